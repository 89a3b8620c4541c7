package domain

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of an error: the HTTP problem's code, the metric's
// label, and what a client may branch on.
type Code string

// The error vocabulary. Package api maps each to its HTTP status.
const (
	CodeInvalid            Code = "invalid"              // the request is malformed or breaks a rule
	CodeTooLarge           Code = "too_large"            // the body exceeds its limit
	CodeKeyMissing         Code = "key_missing"          // no usable Idempotency-Key
	CodeKeyReused          Code = "key_reused"           // the key was used before with another body
	CodeInFlight           Code = "in_flight"            // the key's first request is not answered yet
	CodeSoldOut            Code = "sold_out"             // not enough tickets left
	CodeNotOpen            Code = "not_open"             // the sale has not opened yet
	CodeSaleCanceled       Code = "sale_canceled"        // the organiser canceled the sale
	CodeLimitReached       Code = "limit_reached"        // the buyer's tickets of this sale, or their open checkouts
	CodeRateLimited        Code = "rate_limited"         // too many requests
	CodeQueueFull          Code = "queue_full"           // as many wait as a sale's waiting room takes at a time
	CodeQueueRequired      Code = "queue_required"       // the waiting room's token is missing, or its turn has not come
	CodeProofRequired      Code = "proof_required"       // a human check must be solved first, or its solution is refused
	CodeNotEntitled        Code = "entitlement_required" // a place needs a presale code or an invitation
	CodeBadEntitlement     Code = "entitlement_refused"  // it is none of this sale's, forged, or revoked
	CodeEntitlementExpired Code = "entitlement_expired"  // no place is given for it any more
	CodeEntitlementSpent   Code = "entitlement_spent"    // somebody else has all the places that it was good for
	CodeNotFound           Code = "not_found"            // no such sale or order, or not yours
	CodeAlreadyPaid        Code = "already_paid"         // too late to cancel
	CodeNotPaid            Code = "not_paid"             // nothing to refund
	CodeExists             Code = "exists"               // a sale of that id exists and differs
	CodeUnauthorized       Code = "unauthorized"         // admin token missing or wrong
	CodeForged             Code = "forged"               // webhook signature or timestamp refused
	CodeUnknown            Code = "unknown"              // the outcome is not known: repeat with the same key
	CodeOverloaded         Code = "overloaded"           // nothing was done: try later
	CodeClocksDiffer       Code = "clocks_differ"        // nothing is sold while the clocks differ by more than is tolerated
	CodeInternal           Code = "internal"             // our fault
)

// Codes is the whole vocabulary.
var Codes = []Code{
	CodeInvalid, CodeTooLarge, CodeKeyMissing, CodeKeyReused, CodeInFlight, CodeSoldOut, CodeNotOpen, CodeSaleCanceled, CodeLimitReached,
	CodeRateLimited, CodeQueueFull, CodeQueueRequired, CodeProofRequired,
	CodeNotEntitled, CodeBadEntitlement, CodeEntitlementExpired, CodeEntitlementSpent, CodeNotFound, CodeAlreadyPaid, CodeNotPaid, CodeExists, CodeUnauthorized,
	CodeForged, CodeUnknown, CodeOverloaded, CodeClocksDiffer, CodeInternal,
}

// Error is a definite failure: it is known what happened, and trying the same
// again changes nothing unless RetryAfter says so. Detail is safe to show to
// anybody; Err is for logs only.
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

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Invalid is the *Error of a field that breaks a rule.
func Invalid(field, rule string) *Error {
	return &Error{Code: CodeInvalid, Field: field, Detail: fmt.Sprintf("%s %s", field, rule)}
}

// NotFound is the *Error of something that does not exist, or is not yours.
func NotFound(what string) *Error {
	return &Error{Code: CodeNotFound, Detail: "There is no such " + what + "."}
}

// UnknownError is the other kind of failure: the request was sent and nobody
// knows whether it took effect. It is never a no. It is resolved by repeating
// the operation with the same ids, which every operation here allows.
type UnknownError struct {
	Op  string // what was tried, such as "hold"
	ID  string // for which order, sale or payment
	Err error
}

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s %s: outcome unknown: %v", e.Op, e.ID, e.Err)
}

// Unwrap gives the cause.
func (e *UnknownError) Unwrap() error { return e.Err }

// IsUnknown reports whether the outcome of what failed is not known.
func IsUnknown(err error) bool {
	_, unknown := classify(err)
	return unknown != nil
}

// CodeOf gives the code of an error: that of the *Error in its chain,
// CodeUnknown for an UnknownError, else CodeInternal. Of several, the outermost
// counts: what it wraps is only its cause.
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

// classify finds the outermost error of ours in a chain: one of the two, or none.
func classify(err error) (definite *Error, unknown *UnknownError) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch e := e.(type) { //nolint:errorlint // the outermost is wanted: the loop unwraps
		case *Error:
			return e, nil
		case *UnknownError:
			return nil, e
		}
	}
	if errors.As(err, &definite) { // in a tree of joined errors
		return definite, nil
	}
	errors.As(err, &unknown)
	return nil, unknown
}
