// Package paymentstest checks adapters of payment providers against what package payments
// promises. Run is the suite for an adapter's test; it needs the adapter, and somebody to
// use the provider's pay page (Subject).
//
// Memory is a second provider, as unlike MockPay as the contract allows. It must be
// called to open a session, names sessions itself, processes some payments for a while,
// sends events that name only a session, and may answer late or after the caller gave up.
package paymentstest
