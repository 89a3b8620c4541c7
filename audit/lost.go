package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"
)

// Lost is an order about which the ledger or the provider knows more than the orders
// database, which was restored to an earlier moment, or lost rows.
type Lost struct {
	Order    domain.OrderID
	Captures []domain.Capture // all that the provider took for the order
	Returned []Returned       // what the provider gave back of these
}

// readFates asks the ledger whether captures that are not recorded bought something all
// the same.
func (s *Snapshot) readFates(ctx context.Context, from Ledger) (err error) {
	recorded := make(map[string]bool, len(s.Orders)+len(s.Refunds))
	for i := range s.Orders {
		recorded[s.Orders[i].Payment] = true
	}
	for i := range s.Refunds {
		recorded[s.Refunds[i].Capture.Payment] = true
	}
	var orders []domain.OrderID
	for i := range s.Captures {
		if c := &s.Captures[i]; !recorded[c.Payment] {
			orders = append(orders, c.Order)
		}
	}
	slices.SortFunc(orders, func(x, y domain.OrderID) int { return slices.Compare(x[:], y[:]) })
	s.Fates, err = from.SeatFates(ctx, slices.Compact(orders))
	return err
}

// recordLost reports whether an order was sold in the ledger and is not recorded.
func (b *books) recordLost(order domain.OrderID) bool {
	return b.Fates[order] == domain.SeatsSold && b.orders[order] == nil
}

// recordsAreThere is I7. If an order is broken here, nothing is done about its money: see
// unheard.
func (b *books) recordsAreThere() *check {
	c := newCheck(
		"I7",
		"",
		"Whatever was sold or given back is on record.",
		"orders sold, payments given back",
		"=",
		"of them recorded",
		"Record lost: the orders database was put back to an earlier moment, or rows were deleted. No such payment is refunded. `boxoffice restore-orders` shows what can be restored, and restores it with --apply.",
	).
		from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	lost := make(map[domain.OrderID]bool) // one offender an order
	add := func(verdict Verdict, order domain.OrderID, format string, args ...any) {
		if !lost[order] {
			lost[order] = true
			c.add(verdict, order.String(), order, "record lost: "+format, args...)
		}
	}
	sold := b.soldSeats()
	for order, s := range sold {
		c.Left.Value++
		if b.orders[order] != nil {
			c.Right.Value++
			continue
		}
		add(b.unrecordedSale(order, s.at), order, "%d sold in the ledger at %s, no order recorded", s.seats, s.at.UTC().Format(time.RFC3339))
	}
	for i := range b.Captures {
		capture := &b.Captures[i]
		returned, isReturned := b.returned[capture.Payment]
		if !isReturned {
			if _, counted := sold[capture.Order]; !counted && b.recordLost(capture.Order) && b.refunds[capture.Payment] == nil {
				c.Left.Value++
				add(b.unrecordedSale(capture.Order, time.Time{}), capture.Order, "sold in the ledger, no order recorded; payment %s", capture.Payment)
			}
			continue
		}
		c.Left.Value++
		if verdict, what := b.unrecordedRefund(capture); what != "" {
			add(verdict, capture.Order, "payment %s: %s was given back, %s", capture.Payment, returned, what)
			continue
		}
		c.Right.Value++
	}
	return c
}

type soldSeats struct {
	seats int64
	at    time.Time
}

// soldSeats adds up what orders have of all classes. A refunded order keeps its perk.
func (b *books) soldSeats() map[domain.OrderID]soldSeats {
	sold := make(map[domain.OrderID]soldSeats)
	for _, class := range b.Sale.Classes {
		for _, booking := range b.Bookings[class.Ledger] {
			if booking.Sold > 0 {
				s := sold[booking.Order]
				s.seats += booking.Sold
				if booking.SoldAt.After(s.at) {
					s.at = booking.SoldAt
				}
				sold[booking.Order] = s
			}
		}
	}
	return sold
}

// unrecordedSale is the verdict on seats that are sold and not recorded.
func (b *books) unrecordedSale(order domain.OrderID, soldAt time.Time) Verdict {
	if b.At.Sub(soldAt) <= recordWithin || b.mayAwaitCapture(order) {
		return b.suspect(order) // a late payment may be about to record them
	}
	return b.lostUnlessInCheckout(order)
}

// lostUnlessInCheckout: an open checkout may be about to record its order. A late payment
// or a refund that stays open is not: it waits for the lost record.
func (b *books) lostUnlessInCheckout(order domain.OrderID) Verdict {
	if b.inCheckout[order] {
		return InFlight
	}
	return Broken
}

// unrecordedRefund says what is missing about a refund that the provider has made;
// nothing if it is recorded, or was never ours. Every refund is recorded before the
// provider is told, so a missing record was lost.
func (b *books) unrecordedRefund(capture *domain.Capture) (verdict Verdict, what string) {
	order, refund := b.tickets[capture.Payment], b.refunds[capture.Payment]
	switch {
	case refund != nil && refund.RefundedAt.IsZero():
		return b.suspect(capture.Order), "recorded as due and not as done"
	case refund != nil:
		return OK, ""
	case order == nil:
		return b.lostUnlessInCheckout(capture.Order), "no refund recorded"
	case b.reasons[capture.Payment].OfOrder():
		return b.lostUnlessInCheckout(capture.Order), fmt.Sprintf("the order is recorded as %s", order.Status)
	default:
		return OK, "" // somebody did it at the provider: I2
	}
}

// lost returns what the offenders of I7 consist of.
func lost(s *Snapshot, offenders []Offender) (all []Lost) {
	at := make(map[domain.OrderID]int)
	for _, o := range offenders {
		if o.Verdict == Broken {
			at[o.Order] = len(all)
			all = append(all, Lost{Order: o.Order})
		}
	}
	of := make(map[string]int)
	for _, c := range s.Captures {
		if i, ok := at[c.Order]; ok {
			all[i].Captures = append(all[i].Captures, c)
			of[c.Payment] = i
		}
	}
	for _, r := range s.Returned {
		if i, ok := of[r.Payment]; ok {
			all[i].Returned = append(all[i].Returned, r)
		}
	}
	return all
}
