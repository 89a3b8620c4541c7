// Package domain holds the words of the box office: a sale and what it sells,
// an order, its identifiers, the states it passes through, a payment, and the
// errors everybody speaks.
//
// It is not a place for behaviour that needs anything outside the process: no
// ledger, no database, no workflow, no HTTP. Everything else imports it; it
// imports only the standard library and a UUID parser.
package domain
