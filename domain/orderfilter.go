package domain

import (
	"strings"
	"unicode/utf8"
)

// OrdersPageMax is the most orders that one question is answered with.
const OrdersPageMax = 500

// An OrderFilter says which paid orders are asked for. What is empty filters nothing.
type OrderFilter struct {
	SaleID     string
	Email      string // in its normal form
	TicketCode string // of any of its tickets
	Status     OrderStatus

	// Orders come in the order of their ids, which is that of their time.
	After OrderID // those behind it
	Limit int     // 1…OrdersPageMax
}

// ticketCodeLenMax is what the database takes.
const ticketCodeLenMax = 64

// ParseTicketCode reads a code as people type it from a ticket.
func ParseTicketCode(text string) (string, error) {
	code := strings.ToUpper(strings.TrimSpace(text))
	if code == "" || len(code) > ticketCodeLenMax || !utf8.ValidString(code) || strings.ContainsRune(code, 0) {
		return "", Invalid("code", "must be a ticket's")
	}
	return code, nil
}
