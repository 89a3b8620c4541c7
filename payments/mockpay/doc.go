// Package mockpay is the box office's side of MockPay: it verifies its signed
// webhooks, signs the links to its hosted pay page, and calls its API. The wire
// types here are MockPay's contract, so that both sides compile against the same
// words.
//
// It is not the provider itself (that is boxoffice/mockpay) and it decides nothing:
// what a payment means for an order is the workflow's business.
package mockpay
