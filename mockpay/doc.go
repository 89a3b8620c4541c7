// Package mockpay is a payment provider for development and tests, in a process of its
// own. It hosts the pay page, takes payments, expires sessions, refunds, and reports
// every outcome by a signed webhook that it repeats until the box office acknowledges it.
//
// It moves no real money and knows no cards. Anybody who reaches it can pay or refund, so
// it listens on loopback only. In one respect it is as serious as a real provider: what
// it has answered is on disk. The audit compares the box office with its captures and
// refunds.
//
// A payment session is decided once:
//
//	(unseen) ── pay link visited ──▶ open ──▶ captured | failed | canceled
//	    │                              └────▶ expired
//	    └── expire ───────────────────────▶ expired
//
// A single writer decides pay and expire in the order of its commits, so exactly one of
// captured and expired ever holds. A session captures at most one payment; the payment's
// id is the session's.
//
// On request it misbehaves (Mischief): it reports late, twice, in the wrong order or not
// at all, lets others speak in its name, captures what it should not, and fails. Whatever
// it does, its lists of captures and refunds stay true. Of the promises above, mischief
// can break only two: that an expired, failed or canceled session is never captured, and
// that a session is captured once.
//
// How it is built: bank decides and remembers (on store), courier delivers webhooks
// through a Sender, Server serves the page and the API. trickster knows which tricks
// strike which session. Tricks with money are a course that bank takes; tricks on the
// wire are a Sender around the real one.
package mockpay
