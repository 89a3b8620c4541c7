// Package stripecheck compares what the Stripe adapter asks with Stripe's own description of its API: every request of
// the conformance suite also goes to stripe-mock, which refuses parameters that Stripe does not know.
package stripecheck
