// Package payments is the contract with payment providers: what the box office asks of
// one, and what it relies on. It knows no particular provider. Each is an adapter in a
// package below this one (payments/mockpay is the first). Package payments/paymentstest
// checks an adapter against every promise made here.
//
// A Provider uses its own ids. A Set combines several providers and sends each call to
// the right one. Outside the adapters, ids of sessions and payments carry their
// provider's name (domain.QualifiedID), so that ids of two providers never collide.
package payments
