// Package paymentstest holds adapters of payment providers to what package payments
// promises. Run is the suite for the test of an adapter; it needs the adapter and a hand
// at the provider's pay page (Subject).
//
// Memory is a provider of its own, as unlike MockPay as the contract allows: it must be
// called to open a session, names sessions itself, takes payments that are processed for
// a while, sends events that name a session and nothing more, and may answer late or
// after the caller gave up.
package paymentstest
