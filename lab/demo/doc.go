// Package demo is a small on-sale in a minute. It opens a sale on a running box office
// and sends more buyers than there are seats. They pay, fail or walk away, over HTTP and
// the payment provider's page like anybody else.
//
// It shows the outcome and checks it. Don't quote its figures.
package demo
