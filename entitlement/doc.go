// Package entitlement decides whether somebody may have a place in the queue of a sale that
// asks for a presale code or a signed invitation, and gives each entitlement as many places as
// it is good for, once.
//
// A Verifier says what a buyer shows is worth, a kind each: that is the seam. Another kind,
// such as an address that was verified by mail, is one more of them, in verifiersOf. What is the
// same for all kinds is Desk's: look, join, take.
package entitlement
