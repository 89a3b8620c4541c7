// Package stripe is the adapter for Stripe: an order is paid on Stripe's hosted page, in a Checkout Session.
//
// Stripe calls an attempt to pay a Checkout Session (cs_…) and the money a PaymentIntent (pi_…). A session names its
// order in its metadata, together with the shop that opened it: several box offices may share one account, and each
// ignores what the others do. See docs/stripe.md for what an operator sets up.
package stripe
