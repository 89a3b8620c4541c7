// Package demo is a small on-sale in a minute: it opens a sale on a running
// box office and sends more buyers than there are seats, who pay, fail or walk
// away, over HTTP and the payment provider's page like anybody else.
//
// It shows and it checks the outcome; it measures nothing that may be quoted.
package demo
