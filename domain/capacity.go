package domain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// A CapacityChange raises or lowers the capacity of a class while its sale runs. It is
// noted before the ledger is asked, so that whoever finds it open can finish it: the same
// change is the same transfer.
type CapacityChange struct {
	ID      CapacityChangeID
	SaleID  string
	Class   string
	Ledger  uint32 // of the class
	Before  int64
	After   int64
	Outcome CapacityOutcome
	AskedAt time.Time
	// SettledAt is when its outcome was noted; zero: it is open.
	SettledAt time.Time
}

// By is how much it raises the capacity; below zero, how much it lowers it.
func (c *CapacityChange) By() int64 { return c.After - c.Before }

// A CapacityOutcome says what became of a change.
type CapacityOutcome string

// The outcomes. They are stored under these names.
const (
	CapacityOpen    CapacityOutcome = "open"    // nobody has noted the ledger's answer yet
	CapacityChanged CapacityOutcome = "changed" // it is in the ledger
	CapacityRefused CapacityOutcome = "refused" // the ledger has fewer available than it takes away; so for ever
	// CapacityReused: the ledger has another change under its id, of which the database lost
	// the record.
	CapacityReused CapacityOutcome = "reused"
)

// A CapacityChangeID names a change: the same sale and Idempotency-Key, the same change.
type CapacityChangeID [16]byte

// NewCapacityChangeID derives it.
func NewCapacityChangeID(saleID, key string) CapacityChangeID {
	sum := sha256.Sum256(fmt.Appendf(nil, "capacity %q %q", saleID, key))
	return CapacityChangeID(sum[:16])
}

// String returns it in hexadecimal.
func (id CapacityChangeID) String() string { return hex.EncodeToString(id[:]) }

// A BookedCapacity is what the ledger's transfers say about a class: what its sale opened
// with, and what was raised and lowered since. What a canceled sale took back is not in it.
type BookedCapacity struct {
	Opened, Raised, Lowered int64
}

// Now is the capacity by the books.
func (c BookedCapacity) Now() int64 { return c.Opened + c.Raised - c.Lowered }

// A RecordedCapacity is what the database says about a class.
type RecordedCapacity struct {
	Class    string
	Ledger   uint32
	Capacity int64
	Open     *CapacityChange // nil: none is under way
}

// Agrees reports whether the ledger's capacity is what the record says, or what it says once
// the change under way is noted.
func (c *RecordedCapacity) Agrees(booked BookedCapacity) bool {
	now := booked.Now()
	return now == c.Capacity || c.Open != nil && now == c.Open.After
}
