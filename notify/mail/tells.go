package mail

import (
	"cmp"
	"fmt"
	"time"

	"boxoffice/calendar"
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
	Void         bool   // the tickets let nobody in any more
	PaidAt       time.Time
	RefundingAt  time.Time
	RefundedAt   time.Time

	// What the sale says of itself, for MailTickets. All may be empty. The times are by the clocks of the venue.
	Venue, Address   string
	StartsAt, EndsAt time.Time
	TimeZone         string
	Terms, TermsURL  string
	Imprint          string

	Orders []OrderTold // for MailOrders
	More   bool        // there are more orders than these

	event []byte // a calendar file; nil: none
}

// LineTold is the tickets of one class, as people call it, and what they cost together.
type LineTold struct {
	Class       string
	Quantity    int64
	AmountMinor int64
}

// TicketTold is a ticket with its code as people read it and the name of its QR image.
type TicketTold struct {
	Number      int
	Class, Code string
	Holder      string // who it is for; empty: nobody said
	Image       string

	scanned string // the code as its QR code has it
	png     []byte // the QR code; nil: not drawn yet
}

// tellFacts adds what the sale says of itself, and its event as a file.
func (t *Tells) tellFacts(o *domain.SoldOrder, sale *domain.Sale, madeAt time.Time) {
	called := func(name string) string {
		class, _ := sale.Class(name)
		return cmp.Or(class.Label, name)
	}
	for i := range t.Lines {
		t.Lines[i].Class = called(t.Lines[i].Class)
	}
	for i := range t.Tickets {
		t.Tickets[i].Class = called(t.Tickets[i].Class)
	}
	f := sale.Facts
	t.Venue, t.Address, t.TimeZone = f.Venue.Name, f.Venue.Address, f.Location().String()
	t.StartsAt, t.EndsAt, t.Terms, t.TermsURL, t.Imprint = f.Begins(), f.Ends(), f.Terms, f.TermsURL, f.Imprint
	t.event, _ = calendar.Of(o.ID, o.Lines, sale, madeAt).Write()
}

// SameDay reports whether the event ends on the day on which it begins.
func (t *Tells) SameDay() bool {
	return t.StartsAt.Format(time.DateOnly) == t.EndsAt.Format(time.DateOnly)
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
			Number: ticket.Number, Class: ticket.Class, Holder: ticket.Holder, Code: fives(ticket.Code),
			Image: fmt.Sprintf("ticket-%d.png", ticket.Number), scanned: ticket.Code,
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
	told := []*Tells{tellsOf(&order, link), tellsOf(&one, link), canceled}
	if kind == domain.MailTickets {
		told = append(told, withFacts(&order, link))
	}
	return told
}

// withFacts is a sample of a sale that says all there is to say.
func withFacts(order *domain.SoldOrder, link string) *Tells {
	starts := time.Date(2027, 5, 1, 18, 0, 0, 0, time.UTC)
	t := tellsOf(order, link)
	t.tellFacts(order, &domain.Sale{
		Name: order.SaleName, Version: 1, Classes: []domain.Class{{Name: "A", Label: "Stalls, left"}, {Name: "B"}},
		Facts: domain.Facts{
			Venue:    domain.Venue{Name: "Sample hall", Address: "1 Sample Street\nSampletown"},
			StartsAt: starts, EndsAt: starts.Add(3 * time.Hour), TimeZone: "Europe/Berlin",
			Terms: "Sample terms.", TermsURL: "https://example.com/terms", Imprint: "Sample organiser",
		},
	}, starts)
	return t
}
