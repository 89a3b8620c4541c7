// Package report writes what a bench leaves behind: the result as JSON, a table for the
// terminal, an HTML page, and the comparison of two results.
//
// It measures nothing.
package report
