// Package vulncheck tests the script vulncheck beside it.
package vulncheck
