// Package payments is the contract with payment providers: what the box office asks of
// one, and what it relies on. It knows no particular provider. Each is an adapter in a
// package below this one (payments/mockpay is the first), and payments/paymentstest checks
// an adapter against every promise made here.
//
// A Provider speaks its own ids. A Set puts several of them together and sends each call
// to the right one: outside of the adapters, the ids of sessions and payments carry their
// provider's name (domain.QualifiedID), so that those of two providers never collide.
package payments
