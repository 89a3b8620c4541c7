// Package vulncheck holds a script to its promises: see vulncheck beside it.
package vulncheck
