// Package payments is the box office's side of the payment provider: it
// verifies the provider's signed webhooks, signs the links to its hosted pay
// page, and calls its API. The wire types here are the provider's contract, so
// that both sides compile against the same words.
//
// It is not the provider (that is package mockpay) and it decides nothing: what
// a payment means for an order is the workflow's business.
package payments
