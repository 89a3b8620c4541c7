// Package domain defines the words of the box office: sales, orders, payments, the states
// that they pass through, their ids, and the errors that every package speaks.
//
// Nothing here needs anything outside the process: no ledger, no database, no workflow,
// no HTTP. Every other package imports this one; this one imports none of them.
package domain
