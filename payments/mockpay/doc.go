// Package mockpay is the box office's side of MockPay: it verifies its signed webhooks,
// signs the links to its hosted pay page, and calls its API. The wire types here are
// MockPay's contract, and both sides compile against them.
//
// The provider itself is package boxoffice/mockpay. Nothing is decided here: the workflow
// decides what a payment means for an order.
package mockpay
