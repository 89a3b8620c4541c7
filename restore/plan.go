package restore

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
)

// known is everything that is known about a lost order.
type known struct {
	audit.Lost
	sale       *domain.Sale // nil: not in the database
	booked     domain.BookedOrder
	remembered domain.RememberedOrder
	recorded   *domain.SoldOrder // nil: not recorded
	refunds    []domain.Refund   // recorded refunds, of all its payments
	now        time.Time         // for what has no date anywhere
}

// A plan is what has to be recorded, in this order.
type plan struct {
	order   *domain.Sold   // nil: recorded, or nothing was bought
	payment string         // the payment that bought the order; empty: none did
	taken   *domain.Refund // takes the order's tickets back; nil: they are valid, or that is recorded
	refunds []domain.Refund
	missing []string
}

// errNotRestorable is why a person has to look.
type errNotRestorable struct{ why string }

func (e errNotRestorable) Error() string { return e.why }

func notRestorable(format string, args ...any) error {
	return errNotRestorable{fmt.Sprintf(format, args...)}
}

// planFor decides what must be recorded of a lost order.
func planFor(k *known) (p plan, err error) {
	if k.recorded != nil {
		p.payment = k.recorded.Capture.Payment
	} else if err := k.planOrder(&p); err != nil {
		return plan{}, err
	}
	for _, r := range k.Returned {
		k.planRefund(&p, r)
	}
	return p, nil
}

// planOrder rebuilds an order that is not recorded, if it was sold.
func (k *known) planOrder(p *plan) error {
	if k.booked.Fate != domain.SeatsSold && k.booked.Fate != domain.SeatsReturned {
		return nil
	}
	if k.sale == nil {
		return notRestorable("it was sold in ledger %d, and the sale of that ledger is not in this database", k.booked.Lines[0].Ledger)
	}
	order, err := k.order()
	if err != nil {
		return err
	}
	capture := k.bought(order)
	switch {
	case capture == nil && k.booked.Fate == domain.SeatsReturned:
		return nil // unsold again: its money is a refund without an order
	case capture == nil:
		return notRestorable("no payment of %d %s (minor units) that bought it is at the provider: captured %d, given back %d",
			order.AmountMinor, order.Currency, len(k.Captures), len(k.Returned))
	}
	if order.Email == "" {
		p.missing = append(p.missing, "email")
	}
	paidAt := k.booked.SoldAt
	if k.remembered.Payment == capture.Payment && !k.remembered.PaidAt.IsZero() {
		paidAt = k.remembered.PaidAt
	}
	p.payment = capture.Payment
	p.order = &domain.Sold{Order: *order, Capture: *capture, Booking: k.booked.Booking, PerkTaken: k.booked.PerkLedger != 0, PaidAt: paidAt}
	return nil
}

// order is what was asked for: as its checkout was started with, else as the ledger sold
// it, at the sale's prices, which never change.
func (k *known) order() (*domain.Order, error) {
	sold := &domain.Order{
		ID: k.Order, SaleID: k.sale.ID, SaleName: k.sale.Name, Buyer: k.booked.Buyer, QuotaLedger: k.booked.QuotaLedger,
		BuyerLimit: k.sale.BuyerLimit, Currency: k.sale.Currency, HoldTimeout: k.sale.HoldTimeout, Code: k.booked.Code,
	}
	if k.sale.Perk != nil {
		sold.Perk = &domain.PerkRef{Name: k.sale.Perk.Name, Ledger: k.sale.Perk.Ledger}
	}
	for _, line := range k.booked.Lines {
		i := slices.IndexFunc(k.sale.Classes, func(c domain.Class) bool { return c.Ledger == line.Ledger })
		if i < 0 {
			return nil, notRestorable("it was sold in ledger %d, which is no class of sale %s", line.Ledger, k.sale.ID)
		}
		class := k.sale.Classes[i]
		sold.Lines = append(sold.Lines, domain.Line{Class: class.Name, Ledger: line.Ledger, Quantity: line.Quantity, UnitPriceMinor: class.PriceMinor})
		sold.AmountMinor += line.Quantity * class.PriceMinor
	}
	placed := k.remembered.Order
	if placed == nil {
		return sold, nil
	}
	sameCode := placed.Code == sold.Code || placed.Code != nil && sold.Code != nil && *placed.Code == *sold.Code
	if placed.SaleID != sold.SaleID || placed.Buyer != sold.Buyer || !slices.Equal(placed.Lines, sold.Lines) || !sameCode {
		return nil, notRestorable("its checkout was started with another order than the ledger sold")
	}
	return placed, nil
}

// bought finds the payment that bought an order: the one that Temporal names, else the
// first one that can have bought it. The others are refunds, or will be.
func (k *known) bought(order *domain.Order) *domain.Capture {
	free := domain.FreeCapture(order)
	if order.AmountMinor == 0 && len(k.Captures) == 0 && k.booked.Fate == domain.SeatsSold && cmp.Or(k.remembered.Payment, free.Payment) == free.Payment {
		return &free // nothing was to be paid
	}
	var candidates []domain.Capture
	for _, c := range k.Captures {
		if c.Pays(order) && k.mayHaveBought(c.Payment) {
			candidates = append(candidates, c)
		}
	}
	slices.SortFunc(candidates, func(a, b domain.Capture) int {
		return cmp.Or(
			-compareBool(a.Payment == k.remembered.Payment, b.Payment == k.remembered.Payment),
			compareBool(k.returned(a.Payment) != nil, k.returned(b.Payment) != nil),
			a.CapturedAt.Compare(b.CapturedAt), cmp.Compare(a.Payment, b.Payment))
	})
	if len(candidates) > 0 {
		return &candidates[0]
	}
	if k.remembered.Payment != "" && len(k.Captures) == 0 && k.booked.Fate == domain.SeatsSold {
		// A signed success for a session that the provider never saw, as test tools send:
		// it bought the order all the same (I3 warns about it).
		return &domain.Capture{
			Payment: k.remembered.Payment, Session: k.remembered.Session, Order: order.ID,
			AmountMinor: order.AmountMinor, Currency: order.Currency,
		}
	}
	return nil
}

// mayHaveBought: money that was given back because it bought nothing did not buy
// anything, and seats that were bought and are free again were paid back.
func (k *known) mayHaveBought(payment string) bool {
	if slices.ContainsFunc(k.refunds, func(r domain.Refund) bool { return r.Capture.Payment == payment }) {
		return false // without an order it is on record as money that bought nothing
	}
	back := k.returned(payment)
	if back == nil {
		return k.booked.Fate == domain.SeatsSold
	}
	return back.Reason.OfOrder() || back.Reason == "" && k.booked.Fate == domain.SeatsReturned
}

func (k *known) returned(payment string) *audit.Returned {
	if i := slices.IndexFunc(k.Returned, func(r audit.Returned) bool { return r.Payment == payment }); i >= 0 {
		return &k.Returned[i]
	}
	return nil
}

// planRefund adds what is not recorded about a payment that was given back.
func (k *known) planRefund(p *plan, r audit.Returned) {
	i := slices.IndexFunc(k.Captures, func(c domain.Capture) bool { return c.Payment == r.Payment })
	done := slices.ContainsFunc(k.refunds, func(there domain.Refund) bool {
		return there.Capture.Payment == r.Payment && !there.RefundedAt.IsZero()
	})
	if i < 0 || done {
		return
	}
	at := r.At
	if at.IsZero() {
		at = k.now
	}
	refund := domain.Refund{Capture: k.Captures[i], Reason: r.Reason, RequestedAt: at, RefundedAt: at}
	if k.sale != nil {
		refund.SaleID = k.sale.ID
	}
	switch {
	case r.Payment != p.payment:
		refund.Reason = cmp.Or(r.Reason, domain.RefundUnknownOrder)
		p.refunds = append(p.refunds, refund)
	case r.Reason.OfOrder() || k.recorded == nil || k.recorded.Status != domain.OrderPaid:
		refund.Reason = cmp.Or(r.Reason, domain.RefundByOrganiser)
		p.taken = &refund
	default: // valid tickets whose money somebody gave back at the provider: I2
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
