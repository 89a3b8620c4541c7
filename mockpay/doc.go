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
// Asked to, it misbehaves (Mischief): it says things late, twice, in the wrong
// order or not at all, lets others speak in its name, captures what it should
// not, and fails. Whatever it does, its lists of captures and refunds stay true;
// of what is above, mischief alone can break that a session which was expired,
// failed or canceled is never captured, and that it is captured once.
//
// How it is built: bank decides and remembers (on store), courier delivers
// webhooks through a Sender, Server serves the page and the API. trickster knows
// which tricks strike which session; those with money are a course that bank
// takes, those on the wire a Sender around the real one.
package mockpay
