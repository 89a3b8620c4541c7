package domain

import (
	"strings"
	"unicode/utf8"
)

// OrdersPageMax is the most orders that one page has.
const OrdersPageMax = 500

// An OrderFilter selects paid orders. Empty fields filter nothing.
type OrderFilter struct {
	SaleID     string
	Email      string // in its normal form
	TicketCode string // of any of the order's tickets
	Status     OrderStatus

	// Orders are sorted by id, which is by time.
	After OrderID // start after this one
	Limit int     // 1…OrdersPageMax
}

// ticketCodeLenMax is the database's limit.
const ticketCodeLenMax = 64

// ParseTicketCode reads a code as people type it from a ticket.
func ParseTicketCode(text string) (string, error) {
	code := strings.ToUpper(strings.TrimSpace(text))
	if code == "" || len(code) > ticketCodeLenMax || !utf8.ValidString(code) || strings.ContainsRune(code, 0) {
		return "", Invalid("code", "must be a ticket's")
	}
	return code, nil
}
