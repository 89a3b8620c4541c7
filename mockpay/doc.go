// Package mockpay is a payment provider for development and tests, a process of
// its own: it hosts the pay page, takes payments, expires sessions, refunds,
// and reports every outcome by a signed webhook that it repeats until the box
// office acknowledges it.
//
// It moves no real money and knows no cards, and since anybody who reaches it
// can pay or refund, it listens on loopback only. In one respect it is as
// serious as a real provider: what it has answered is on disk. Its captures and
// refunds are what the audit of the box office is held against.
//
// A payment session is decided once:
//
//	(unseen) ── pay link visited ──▶ open ──▶ captured | failed | canceled
//	    │                              └────▶ expired
//	    └── expire ───────────────────────▶ expired
//
// Pay and expire are decided by a single writer in the order of its commits, so
// exactly one of captured and expired ever holds. A session captures at most one
// payment; the payment's id is the session's.
//
// How it is built: bank decides and remembers (on store), courier delivers
// webhooks through a Sender, Server serves the page and the API. To make the
// provider misbehave, wrap the Sender (Config.WrapSender).
package mockpay
