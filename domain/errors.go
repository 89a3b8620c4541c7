package domain

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of an error: the HTTP problem's code, the metric's
// label, and what a client may branch on.
type Code string

// The error codes. Package api maps each to its HTTP status.
const (
	CodeInvalid            Code = "invalid"              // the request is malformed or breaks a rule
	CodeTooLarge           Code = "too_large"            // the body exceeds its limit
	CodeKeyMissing         Code = "key_missing"          // no usable Idempotency-Key
	CodeKeyReused          Code = "key_reused"           // the key was used before with another body
	CodeInFlight           Code = "in_flight"            // the key's first request is not answered yet
	CodeSoldOut            Code = "sold_out"             // not enough tickets left
	CodeNotOpen            Code = "not_open"             // the sale has not opened yet
	CodeSaleClosed         Code = "sale_closed"          // the sale has closed, or the organiser has ended it
	CodeSaleCanceled       Code = "sale_canceled"        // the organiser canceled the sale
	CodeClassNotOpen       Code = "class_not_open"       // a class of the order is sold later
	CodeClassClosed        Code = "class_closed"         // a class of the order is no longer sold
	CodeMaxPerOrder        Code = "max_per_order"        // more tickets of a class than one order may have
	CodeLimitReached       Code = "limit_reached"        // the buyer's tickets of this sale, or their open checkouts, are at the limit
	CodeRateLimited        Code = "rate_limited"         // too many requests
	CodeQueueFull          Code = "queue_full"           // the sale's waiting room is full
	CodeQueueRequired      Code = "queue_required"       // no waiting room token, or its turn has not come
	CodeProofRequired      Code = "proof_required"       // the client must solve a human check first, or its solution is refused
	CodeNotEntitled        Code = "entitlement_required" // a place needs a presale code or an invitation
	CodeBadEntitlement     Code = "entitlement_refused"  // the entitlement is not one of this sale's, forged, or revoked
	CodeEntitlementExpired Code = "entitlement_expired"  // the entitlement has expired and gives no more places
	CodeEntitlementSpent   Code = "entitlement_spent"    // others have taken all the places that the entitlement gave
	CodeClassCodeRefused   Code = "class_code_refused"   // the sale has no such code for hidden classes any more
	CodeClassCodeSpent     Code = "class_code_spent"     // other orders have all the uses of the code for hidden classes
	CodeNotFound           Code = "not_found"            // no such sale or order, or not yours
	CodeAlreadyPaid        Code = "already_paid"         // too late to cancel
	CodePaymentProcessing  Code = "payment_processing"   // a payment is being processed: it cannot be stopped
	CodeNotPaid            Code = "not_paid"             // nothing to refund
	CodeNotSettled         Code = "not_settled"          // an order is still open, or its money is still owed
	CodeHoldersFixed       Code = "holders_fixed"        // who the tickets are for cannot be changed, or not any more
	CodeCapacityInUse      Code = "capacity_in_use"      // more of a class is held and sold than it is to have
	CodeExists             Code = "exists"               // a different sale with that id exists
	CodeChanged            Code = "changed"              // the sale is not as the client read it
	CodeUnauthorized       Code = "unauthorized"         // admin token missing or wrong
	CodeForged             Code = "forged"               // webhook signature or timestamp refused
	CodeUnknown            Code = "unknown"              // the outcome is not known: repeat the request with the same key
	CodeOverloaded         Code = "overloaded"           // nothing was done: try later
	CodeClocksDiffer       Code = "clocks_differ"        // nothing is sold while the clocks differ too much
	CodeInternal           Code = "internal"             // our fault
)

// Codes lists all of them.
var Codes = []Code{
	CodeInvalid, CodeTooLarge, CodeKeyMissing, CodeKeyReused, CodeInFlight, CodeSoldOut, CodeNotOpen, CodeSaleClosed, CodeSaleCanceled,
	CodeClassNotOpen, CodeClassClosed, CodeMaxPerOrder, CodeLimitReached,
	CodeRateLimited, CodeQueueFull, CodeQueueRequired, CodeProofRequired,
	CodeNotEntitled, CodeBadEntitlement, CodeEntitlementExpired, CodeEntitlementSpent, CodeClassCodeRefused, CodeClassCodeSpent, CodeNotFound,
	CodeAlreadyPaid, CodePaymentProcessing, CodeNotPaid, CodeNotSettled, CodeHoldersFixed, CodeCapacityInUse, CodeExists, CodeChanged, CodeUnauthorized,
	CodeForged, CodeUnknown, CodeOverloaded, CodeClocksDiffer, CodeInternal,
}

// Error is a definite failure: we know what happened, and trying again changes nothing
// unless RetryAfter says so. Detail is safe to show to anybody; Err is for logs only.
type Error struct {
	Code       Code
	Detail     string
	Field      string        // the offending field, for CodeInvalid
	Held       int64         // CodeSoldOut: tickets held by others, which may come back
	RetryAfter time.Duration // 0: no hint
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Field != "" {
		s += ": " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid returns the *Error for a field that breaks a rule.
func Invalid(field, rule string) *Error {
	return &Error{Code: CodeInvalid, Field: field, Detail: fmt.Sprintf("%s %s", field, rule)}
}

// NotFound returns the *Error for something that does not exist or is not yours.
func NotFound(what string) *Error {
	return &Error{Code: CodeNotFound, Detail: "There is no such " + what + "."}
}

// UnknownError is the other kind of failure: the request was sent, and nobody knows
// whether it took effect. Never treat it as a no. Repeat the operation with the same ids;
// every operation here allows that.
type UnknownError struct {
	Op  string // what was tried, such as "hold"
	ID  string // for which order, sale or payment
	Err error
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s %s: outcome unknown: %v", e.Op, e.ID, e.Err)
}

// Unwrap returns the cause.
func (e *UnknownError) Unwrap() error { return e.Err }

// IsUnknown reports whether the failed operation may have taken effect.
func IsUnknown(err error) bool {
	_, unknown := classify(err)
	return unknown != nil
}

// CodeOf returns the code of the outermost Error or UnknownError in the chain, because
// what it wraps is only its cause. An UnknownError has CodeUnknown; anything else has
// CodeInternal.
func CodeOf(err error) Code {
	definite, unknown := classify(err)
	switch {
	case definite != nil:
		return definite.Code
	case unknown != nil:
		return CodeUnknown
	default:
		return CodeInternal
	}
}

// classify finds the outermost of our errors in a chain: one of the two, or neither.
func classify(err error) (definite *Error, unknown *UnknownError) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) { //nolint:errorlint // we want the outermost, and the loop unwraps
		case *Error:
			return e, nil
		case *UnknownError:
			return nil, e
		}
	}
	if errors.As(err, &definite) { // a tree of joined errors
		return definite, nil
	}
	errors.As(err, &unknown)
	return nil, unknown
}
