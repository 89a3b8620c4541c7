// Package report is what a bench leaves behind: the result as JSON, a table for
// the terminal, a page of its own as HTML, and the comparison of two results.
//
// It measures nothing.
package report
