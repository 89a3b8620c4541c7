package domain

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Limits of what is said of the holders of tickets.
const (
	HolderNameMaxLen = 200 // bytes
	// HolderChangesMax is how often the name on one ticket may be changed: each change is an event for all readers.
	HolderChangesMax = 50
)

// A Holder says who a ticket is for.
type Holder struct {
	Ticket int    // its number within the order
	Name   string // empty: nobody in particular
}

// NormalHolders returns names as they are stored: without space around them. The error is an *Error with CodeInvalid that names the
// field and never the name.
func NormalHolders(holders []Holder) ([]Holder, error) {
	named := make(map[int]bool)
	normal := make([]Holder, 0, len(holders))
	for i, h := range holders {
		field := fmt.Sprintf("holders[%d]", i)
		h.Name = strings.TrimSpace(h.Name)
		switch {
		case h.Ticket < 1:
			return nil, Invalid(field+".number", "must be the number of a ticket")
		case named[h.Ticket]:
			return nil, Invalid(field+".number", "must not come twice")
		case h.Name != "" && (!isTitle(h.Name, HolderNameMaxLen) || strings.ContainsFunc(h.Name, isInvisible)):
			return nil, Invalid(field+".name", titleRule(HolderNameMaxLen))
		}
		named[h.Ticket] = true
		normal = append(normal, h)
	}
	if len(normal) == 0 {
		return nil, Invalid("holders", "must name at least one ticket")
	}
	return normal, nil
}

// isInvisible reports whether a character would make a name look like another one: it is not drawn, or turns the writing around.
// Those that join letters belong to some scripts.
func isInvisible(r rune) bool {
	const joiner, nonJoiner = '\u200d', '\u200c'
	return unicode.Is(unicode.Cf, r) && r != joiner && r != nonJoiner
}

// HoldersChange is what a buyer says of the holders of an order's tickets. Tickets that are not named stay as they are.
type HoldersChange struct {
	Order   OrderID
	Holders []Holder // normal
}

// WhyHoldersFixed says why the holders of an order's tickets cannot be changed: an *Error with CodeHoldersFixed, or nil.
func WhyHoldersFixed(sale *Sale, order *SoldOrder, now time.Time) error {
	fixed := func(why string) error { return &Error{Code: CodeHoldersFixed, Detail: why} }
	switch {
	case !sale.Facts.HolderNames.Asked:
		return fixed("This sale does not ask who the tickets are for.")
	case sale.Canceled() || order.Status.Terms().Tickets != TicketsValid:
		return fixed("The tickets are void.")
	case !order.ErasedAt.IsZero():
		return fixed("The buyer was erased: nothing of them is stored any more.")
	case !sale.Facts.TakesHolderNames(now):
		return fixed("Names could be changed until " + sale.Facts.HolderNamesUntil().UTC().Format(time.RFC3339) + ".")
	}
	return nil
}
