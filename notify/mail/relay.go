package mail

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Relay takes messages from here on.
type Relay interface {
	// Send returns nil once the message is the relay's. A *NotTakenError is about this message
	// alone. Every other error is about the relay: any message would fail now. After it the
	// message may or may not be on its way.
	Send(ctx context.Context, m *Message) error
	// Check tells whether the relay would take a message now.
	Check(ctx context.Context) error
	Close()
}

// A NotTakenError says that the relay does not take a message and why, without its address.
type NotTakenError struct {
	Later  bool // it may take it later; else never
	Reason string
}

// Error implements error.
func (e *NotTakenError) Error() string {
	if e.Later {
		return "not taken yet: " + e.Reason
	}
	return "not taken: " + e.Reason
}

// reasonMaxLen bounds what is kept and logged of a relay's answers.
const reasonMaxLen = 300

var addressLike = regexp.MustCompile(`[^\s<>]*@[^\s<>]*`)

// withoutAddresses is a relay's answer as it may be kept and logged: without buyers, on one
// line, and short.
func withoutAddresses(text, address string) string {
	if address != "" {
		text = replaceFold(text, address, "…")
	}
	text = oneLine(strings.ToValidUTF8(addressLike.ReplaceAllString(text, "…"), "?"))
	if len(text) > reasonMaxLen {
		text = strings.ToValidUTF8(text[:reasonMaxLen], "") + "…"
	}
	return text
}

func replaceFold(text, old, replacement string) string {
	return regexp.MustCompile(`(?i)`+regexp.QuoteMeta(old)).ReplaceAllLiteralString(text, replacement)
}

// relayError is a failure of the relay, without addresses.
func relayError(doing string, err error) error {
	var taken *NotTakenError
	if errors.As(err, &taken) {
		return err
	}
	return fmt.Errorf("the relay: %s: %s", doing, withoutAddresses(err.Error(), ""))
}
