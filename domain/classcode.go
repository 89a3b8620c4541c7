package domain

import (
	"encoding/hex"
	"fmt"
)

// Limits of codes for hidden classes.
const (
	ClassCodeUsesMax  = 10_000 // orders with one code
	ClassCodesMadeMax = 1000   // codes that are made at once
)

// A ClassCodeID identifies a code for the hidden classes of a sale: a keyed hash, from which
// nobody can read the code. It is also the id of the account that says how often the code may
// still be used.
type ClassCodeID [16]byte

// String is the text form, 32 lower-case hexadecimal digits.
func (id ClassCodeID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ClassCodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ClassCodeID) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(id) {
		return fmt.Errorf("id of a code: want 32 hexadecimal digits, got %d", len(text))
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// A ClassCodeRef is the code that an order uses once, and the ledger of its sale's codes.
type ClassCodeRef struct {
	ID     ClassCodeID `json:"id"`
	Ledger uint32      `json:"ledger"`
}

// A ClassCode is what the books have of a code.
type ClassCode struct {
	ID   ClassCodeID
	Only uint32 // the ledger of the one hidden class that it opens; 0: it opens all of the sale
	Left int64  // orders that may still use it
	Held int64  // uses of open checkouts: they may come back

	Revoked bool // no further order may use it, whatever is left
}

// Opens reports whether the code opens a hidden class of its sale.
func (c *ClassCode) Opens(class *Class) bool {
	return c != nil && (c.Only == 0 || c.Only == class.Ledger)
}

// ClassCodeUses counts the codes of a sale.
type ClassCodeUses struct {
	Codes int64 // that were made
	Uses  int64 // orders that they are good for together
	Held  int64 // by open checkouts; may come back
	Used  int64
}

// HasHidden reports whether a class of the sale needs a code.
func (s *Sale) HasHidden() bool {
	for i := range s.Classes {
		if s.Classes[i].Hidden {
			return true
		}
	}
	return false
}

// Public is the sale as everybody may see it: without its hidden classes. It may share its
// parts with the sale.
func (s *Sale) Public() *Sale { return s.Shown(nil) }

// Shown is the sale as somebody with a code may see it: with the hidden classes that the code
// opens. Nil is no code.
func (s *Sale) Shown(code *ClassCode) *Sale {
	if !s.HasHidden() {
		return s
	}
	shown := *s
	shown.Classes = make([]Class, 0, len(s.Classes))
	for _, c := range s.Classes {
		if !c.Hidden || code.Opens(&c) {
			shown.Classes = append(shown.Classes, c)
		}
	}
	return &shown
}
