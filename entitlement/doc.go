// Package entitlement decides whether somebody may have a place in the queue of a sale that
// asks for a presale code or a signed invitation, and gives each entitlement as many places as
// it is good for, once.
//
// A Verifier says what one kind of entitlement is worth. Another kind, such as an address that
// was verified by mail, is another Verifier, in verifiersOf. Desk has what is the same for all
// kinds: look, join, take.
package entitlement
