// Package stripetest is a double of Stripe for tests: the few endpoints that the adapter calls, with their state, their
// idempotency keys and their refusals, and the webhooks that follow from what a buyer does.
//
// It says what Stripe's documentation says, as far as the adapter relies on it; Server.Check may compare each request
// with Stripe's own description of its API.
package stripetest
