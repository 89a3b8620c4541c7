// Package entitlement decides whether a buyer may have a place in the queue of a sale
// that asks for a presale code or a signed invitation. It gives each entitlement as many
// places as it is good for, and no more.
//
// A Verifier says what one kind of entitlement is worth. For another kind, such as an
// address verified by mail, add a Verifier to verifiersOf. Desk does what is the same for
// all kinds: look, join, take.
package entitlement
