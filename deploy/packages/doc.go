// Package packages has only tests: of the chart, of compose.yaml and of the proxies' configurations, by the libraries of those who read them.
package packages
