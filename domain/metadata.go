package domain

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// Limits of an order's metadata. All of it travels with the order through Temporal.
const (
	MetadataKeysMax     = 16
	MetadataBytesMax    = 2048 // keys and values together
	metadataValueLenMax = 500  // the message of Validate says the same
)

// Metadata is what a client notes on the order for its own systems. It comes back with
// the order and its events, and means nothing to us, except
// LanguageKey.
type Metadata map[string]string

var metadataKeyPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)

// Validate checks the limits. The error is an *Error with CodeInvalid that repeats
// neither keys nor values.
func (m Metadata) Validate() error {
	if len(m) > MetadataKeysMax {
		return Invalid("metadata", fmt.Sprintf("must have at most %d keys", MetadataKeysMax))
	}
	total := 0
	for key, value := range m {
		switch {
		case !metadataKeyPattern.MatchString(key):
			return Invalid("metadata", "must have keys of 1–40 letters, digits, and _ . -")
		case !isTitle(value, metadataValueLenMax):
			return Invalid("metadata", "must have values of 1–500 bytes of text in one line, without control characters")
		}
		total += len(key) + len(value)
	}
	if total > MetadataBytesMax {
		return Invalid("metadata", fmt.Sprintf("must be at most %d bytes, keys and values together", MetadataBytesMax))
	}
	return nil
}

// Note puts metadata on a new order. The Idempotency-Key stands for it too. The error is
// that of Validate.
func (o *Order) Note(keys *Keyring, m Metadata) error {
	if len(m) == 0 {
		return nil
	}
	if err := m.Validate(); err != nil {
		return err
	}
	o.Metadata = m
	o.Fingerprint = keys.Fingerprint(o)
	return nil
}

// canonical returns the same text for the same metadata.
func (m Metadata) canonical() string {
	text, _ := json.Marshal(m) // keys are sorted; strings cannot fail
	return string(text)
}
