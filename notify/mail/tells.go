package mail

import (
	"fmt"
	"time"

	"boxoffice/domain"
)

// Tells is what templates know about one order or several. docs/mail.md lists the fields.
type Tells struct {
	Subject, Language string

	Order        string // the id
	Link         string // opens the order for anyone who has the link
	Sale         string
	Lines        []LineTold
	Tickets      []TicketTold
	AmountMinor  int64
	Currency     string
	Perk         string // empty: the order did not get the perk
	SaleCanceled bool   // the money goes back because the organiser canceled the sale
	PaidAt       time.Time
	RefundingAt  time.Time
	RefundedAt   time.Time

	Orders []OrderTold // for MailOrders
	More   bool        // there are more orders than these
}

// LineTold is the tickets of one class and what they cost together.
type LineTold struct {
	Class       string
	Quantity    int64
	AmountMinor int64
}

// TicketTold is a ticket with its code as people read it and the name of its QR image.
type TicketTold struct {
	Number      int
	Class, Code string
	Image       string

	scanned string // the code as its QR code has it
}

// OrderTold is one of many orders.
type OrderTold struct {
	Sale, Link  string
	Status      domain.OrderStatus
	Quantity    int64
	AmountMinor int64
	Currency    string
	PaidAt      time.Time
}

func tellsOf(o *domain.SoldOrder, link string) *Tells {
	t := &Tells{
		Order: o.ID.String(), Link: link, Sale: o.SaleName, AmountMinor: o.AmountMinor, Currency: o.Currency,
		PaidAt: o.PaidAt, RefundingAt: o.RefundingAt, RefundedAt: o.RefundedAt,
	}
	if o.PerkTaken && o.Perk != nil {
		t.Perk = o.Perk.Name
	}
	for _, l := range o.Lines {
		t.Lines = append(t.Lines, LineTold{Class: l.Class, Quantity: l.Quantity, AmountMinor: l.Quantity * l.UnitPriceMinor})
	}
	for _, ticket := range o.Tickets {
		t.Tickets = append(t.Tickets, TicketTold{
			Number: ticket.Number, Class: ticket.Class, Code: fives(ticket.Code), Image: fmt.Sprintf("ticket-%d.png", ticket.Number), scanned: ticket.Code,
		})
	}
	return t
}

func orderTold(o *domain.SoldOrder, link string) OrderTold {
	told := OrderTold{Sale: o.SaleName, Link: link, Status: o.Status, AmountMinor: o.AmountMinor, Currency: o.Currency, PaidAt: o.PaidAt}
	for _, l := range o.Lines {
		told.Quantity += l.Quantity
	}
	return told
}

// samples are the data that templates are tried with: one ticket and many, with a perk and without, every refund reason.
func samples(kind domain.MailKind) []*Tells {
	at := time.Date(2027, 1, 2, 15, 4, 5, 0, time.UTC)
	order := domain.SoldOrder{
		SaleName: "Sample sale", Currency: "EUR", AmountMinor: 19500, PaidAt: at, RefundingAt: at, RefundedAt: at, Status: domain.OrderPaid,
		Perk: &domain.PerkRef{Name: "poster"}, PerkTaken: true,
		Lines: []domain.Line{{Class: "A", Quantity: 2, UnitPriceMinor: 6500}, {Class: "B", Quantity: 1, UnitPriceMinor: 6500}},
		Tickets: []domain.Ticket{
			{Number: 1, Class: "A", Code: "00000AAAAA"}, {Number: 2, Class: "A", Code: "00000BBBBB"}, {Number: 3, Class: "B", Code: "00000CCCCC"},
		},
	}
	one := order
	one.PerkTaken, one.Lines, one.Tickets = false, order.Lines[1:], order.Tickets[2:]
	const link = "https://tickets.example.com/orders/00000000000000000000000000000000#sample"
	if kind == domain.MailOrders {
		several := &Tells{More: true}
		for _, status := range domain.OrderStatuses {
			if !status.Sold() {
				continue
			}
			order.Status = status
			several.Orders = append(several.Orders, orderTold(&order, link))
		}
		return []*Tells{several, {Orders: several.Orders[:1]}}
	}
	canceled := tellsOf(&one, link)
	canceled.SaleCanceled = true
	return []*Tells{tellsOf(&order, link), tellsOf(&one, link), canceled}
}
