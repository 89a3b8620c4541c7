package mail

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A Relay delivers messages.
type Relay interface {
	// Send returns nil when the relay has accepted the message. A *NotTakenError is about this message alone. Every other error is
	// about the relay: any message would fail now. After such an error, this message may or may not have been sent.
	Send(ctx context.Context, m *Message) error
	// Check reports whether the relay would accept a message now.
	Check(ctx context.Context) error
	Close()
}

// A NotTakenError says that the relay does not accept a message and why, without the address.
type NotTakenError struct {
	Later  bool // it may accept it later; else never
	Reason string
}

// Error implements error.
func (e *NotTakenError) Error() string {
	if e.Later {
		return "not taken yet: " + e.Reason
	}
	return "not taken: " + e.Reason
}

// reasonMaxLen bounds what we store and log of a relay's answer.
const reasonMaxLen = 300

var addressLike = regexp.MustCompile(`[^\s<>]*@[^\s<>]*`)

// withoutAddresses makes a relay's answer fit to store and log: without addresses, on one line, and short.
func withoutAddresses(text, address string) string {
	if address != "" {
		text = replaceFold(text, address, "…")
	}
	text = addressLike.ReplaceAllString(text, "…")
	// Relays name mailboxes without their domains, too: "ann: unknown user".
	if at := strings.LastIndexByte(address, '@'); at > 0 {
		local := address[:at]
		mailbox, _, _ := strings.Cut(local, "+")
		text = withoutWord(withoutWord(text, local), mailbox)
	}
	text = oneLine(strings.ToValidUTF8(text, "?"))
	if len(text) > reasonMaxLen {
		text = strings.ToValidUTF8(text[:reasonMaxLen], "") + "…"
	}
	return text
}

// withoutWord replaces a word wherever it stands by itself, or up to what is no letter and no digit.
func withoutWord(text, word string) string {
	if word == "" {
		return text
	}
	const edge = `([^\pL\pN]|^|$)`
	found := regexp.MustCompile(`(?i)` + edge + regexp.QuoteMeta(word) + edge)
	for range 2 { // two may share what is between them
		text = found.ReplaceAllString(text, "${1}…${2}")
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
