package restore

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"boxoffice/audit"
	"boxoffice/domain"
)

// Ledger says which seats were sold.
type Ledger interface {
	Booked(ctx context.Context, order domain.OrderID) (domain.BookedOrder, error)
	BookedCapacity(ctx context.Context, ledger uint32) (domain.BookedCapacity, error)
}

// Orders is the database that lost something. Every method may be repeated.
type Orders interface {
	RecordedCapacities(ctx context.Context, saleID string) ([]domain.RecordedCapacity, error)
	// RestoreCapacity gives a class the capacity that the ledger says.
	RestoreCapacity(ctx context.Context, saleID, class string, booked func(ctx context.Context, ledger uint32) (domain.BookedCapacity, error)) error
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error)
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
	BeginOrderRefund(ctx context.Context, order domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error)
	BeginRefund(ctx context.Context, refund domain.Refund) error
	FinishRefund(ctx context.Context, payment string, at time.Time) error
}

// Checkouts say what Temporal knows, and finish a refund that was begun.
type Checkouts interface {
	Remember(ctx context.Context, order domain.OrderID, payments []string) (domain.RememberedOrder, error)
	RefundFor(ctx context.Context, order domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error)
}

// A Restorer restores orders that the audit found lost.
type Restorer struct {
	Ledger    Ledger
	Orders    Orders
	Checkouts Checkouts
	Now       func() time.Time // nil: time.Now
}

// An Outcome says what happened to a lost order.
type Outcome string

// The outcomes.
const (
	Restored      Outcome = "restored"
	WouldRestore  Outcome = "would_restore"   // it can be restored: nothing was written
	InFlight      Outcome = "in_flight"       // its checkout is open and records it by itself
	NotRestorable Outcome = "not_restorable"  // a person has to look
	NotKnown      Outcome = "could_not_look"  // something did not answer: try again later
	NotReached    Outcome = "not_reached_yet" // the time was up: ask again
)

// An Item is one lost order. It has ids and no buyer's data.
type Item struct {
	Order   domain.OrderID `json:"order"`
	Outcome Outcome        `json:"outcome" enum:"restored,would_restore,in_flight,not_restorable,could_not_look,not_reached_yet"`

	Status   domain.OrderStatus `json:"status,omitempty" doc:"The status that the order is, or would be, recorded with; absent if nothing was sold"`
	Payment  string             `json:"payment,omitempty" doc:"The payment that bought the order"`
	Refunded []string           `json:"refunded,omitempty" doc:"Payments that bought nothing and were given back"`
	Missing  []string           `json:"missing,omitempty" doc:"Fields that no source knows any more; they are left empty"`
	Why      string             `json:"why,omitempty"`
}

// A Capacity is a class whose capacity in the database is not what the ledger says.
type Capacity struct {
	Class    string  `json:"class"`
	Recorded int64   `json:"recorded"`
	Booked   int64   `json:"booked" doc:"What the ledger says; with apply, what is recorded from now on"`
	Outcome  Outcome `json:"outcome" enum:"restored,would_restore,could_not_look"`
	Why      string  `json:"why,omitempty"`
}

// A Report says what was restored of one sale, or of what belongs to no sale: the body of
// POST /v1/sales/{sale}/restore-orders.
type Report struct {
	SaleID  string               `json:"sale,omitempty"`
	Applied bool                 `json:"applied" doc:"false: nothing was written"`
	Counts  map[Outcome]int      `json:"counts" doc:"Orders by outcome"`
	Items   []Item               `json:"items" nullable:"false"`
	Unread  []audit.UnreadSource `json:"could_not_look,omitempty"`

	Capacities []Capacity `json:"capacities,omitempty" doc:"Classes whose recorded capacity is not the ledger's"`
}

// More reports whether asking again goes on with what this request did not reach.
func (r *Report) More() bool { return r.Counts[NotReached] > 0 }

// Limits of one request.
const (
	atOnceMax  = 8
	restoreFor = 45 * time.Second
	itemsMax   = 5000
)

// Restore restores what an audit found lost, or says what it would restore. It does as
// much as the time allows, and counts the rest.
func (r *Restorer) Restore(ctx context.Context, sale *domain.Sale, found *audit.Report, apply bool) Report {
	report := Report{SaleID: found.SaleID, Applied: apply, Counts: make(map[Outcome]int), Items: []Item{}, Unread: found.Unread}
	ctx, cancel := context.WithTimeout(ctx, restoreFor)
	defer cancel()
	report.Capacities = r.restoreCapacities(ctx, sale, apply)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(atOnceMax)
	for i, lost := range found.Lost {
		if i == itemsMax || ctx.Err() != nil {
			report.Counts[NotReached] += len(found.Lost) - i
			break
		}
		group.Go(func() error {
			item := r.restoreOne(ctx, sale, lost, apply)
			mu.Lock()
			defer mu.Unlock()
			report.Counts[item.Outcome]++
			report.Items = append(report.Items, item)
			return nil
		})
	}
	_ = group.Wait() // none fails: a failure is an outcome
	return report
}

// restoreCapacities mends the capacities that were changed after the moment to which the
// database was put back. One whose change is under way is left to it.
func (r *Restorer) restoreCapacities(ctx context.Context, sale *domain.Sale, apply bool) (differing []Capacity) {
	if sale == nil {
		return nil
	}
	recorded, err := r.Orders.RecordedCapacities(ctx, sale.ID)
	if err != nil {
		return []Capacity{{Outcome: NotKnown, Why: err.Error()}}
	}
	for _, class := range recorded {
		booked, err := r.Ledger.BookedCapacity(ctx, class.Ledger)
		c := Capacity{Class: class.Class, Recorded: class.Capacity, Booked: booked.Now(), Outcome: WouldRestore}
		if err == nil && (class.Agrees(booked) || class.Open != nil) {
			continue
		}
		if err == nil && apply {
			c.Outcome = Restored
			err = r.Orders.RestoreCapacity(ctx, sale.ID, class.Class, r.Ledger.BookedCapacity)
		}
		if err != nil {
			c.Outcome, c.Why = NotKnown, err.Error()
		}
		differing = append(differing, c)
	}
	return differing
}

func (r *Restorer) restoreOne(ctx context.Context, sale *domain.Sale, lost audit.Lost, apply bool) Item {
	item := Item{Order: lost.Order, Outcome: WouldRestore}
	k, err := r.learn(ctx, sale, lost)
	if err == nil && k.remembered.Open {
		item.Outcome, item.Why = InFlight, "its checkout is open"
		return item
	}
	var p plan
	if err == nil {
		p, err = planFor(k)
	}
	if err == nil {
		item.show(k, &p)
		if apply {
			item.Outcome = Restored
			err = r.apply(ctx, k, &p, &item)
		}
	}
	var no errNotRestorable
	switch {
	case errors.As(err, &no):
		item.Outcome, item.Why = NotRestorable, no.why
	case err != nil:
		item.Outcome, item.Why = NotKnown, err.Error()
	}
	return item
}

// show says what the plan makes of the order.
func (item *Item) show(k *known, p *plan) {
	item.Payment, item.Missing = p.payment, p.missing
	switch {
	case p.payment == "":
	case p.taken == nil && k.recorded == nil:
		item.Status = domain.OrderPaid
	case p.taken == nil:
		item.Status = k.recorded.Status
	case k.booked.Fate == domain.SeatsReturned:
		item.Status = domain.OrderRefunded
	default:
		item.Status = domain.OrderRefunding
	}
	for _, refund := range p.refunds {
		item.Refunded = append(item.Refunded, refund.Capture.Payment)
	}
}

// learn asks everybody who knows something.
func (r *Restorer) learn(ctx context.Context, sale *domain.Sale, lost audit.Lost) (*known, error) {
	k := &known{Lost: lost, sale: sale, now: r.now()}
	recorded, err := r.Orders.Order(ctx, lost.Order)
	switch {
	case err == nil:
		k.recorded = &recorded
	case domain.CodeOf(err) != domain.CodeNotFound:
		return nil, err
	}
	if k.refunds, err = r.Orders.RefundsOfOrder(ctx, lost.Order); err != nil {
		return nil, err
	}
	if k.booked, err = r.Ledger.Booked(ctx, lost.Order); err != nil || k.recorded != nil {
		return k, err
	}
	payments := make([]string, 0, len(lost.Captures))
	for _, c := range lost.Captures {
		payments = append(payments, c.Payment)
	}
	k.remembered, err = r.Checkouts.Remember(ctx, lost.Order, payments)
	return k, err
}

func (r *Restorer) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// apply records the plan. If it breaks off, the next look finds what is left to do.
func (r *Restorer) apply(ctx context.Context, k *known, p *plan, item *Item) error {
	if p.order != nil {
		if _, err := r.Orders.Record(ctx, *p.order); err != nil {
			return refusedForGood(err)
		}
	}
	if p.taken != nil {
		if err := r.takeBack(ctx, k, p.taken, item); err != nil {
			return err
		}
	}
	for _, refund := range p.refunds {
		if err := r.Orders.BeginRefund(ctx, refund); err != nil {
			return refusedForGood(err)
		}
		if err := r.Orders.FinishRefund(ctx, refund.Capture.Payment, refund.RefundedAt); err != nil {
			return refusedForGood(err)
		}
	}
	return nil
}

// takeBack records that an order's money went back. If its seats did not go back, its
// refund was under way: the workflow goes on, and repeats its request to the provider.
func (r *Restorer) takeBack(ctx context.Context, k *known, refund *domain.Refund, item *Item) error {
	if _, err := r.Orders.BeginOrderRefund(ctx, k.Order, refund.Reason, refund.RequestedAt); err != nil {
		return refusedForGood(err)
	}
	if k.booked.Fate == domain.SeatsReturned {
		return refusedForGood(r.Orders.FinishRefund(ctx, refund.Capture.Payment, refund.RefundedAt))
	}
	status, err := r.Checkouts.RefundFor(ctx, k.Order, refund.Reason)
	if err == nil {
		item.Status = status
	}
	return err
}

// refusedForGood reports what the database will never take.
func refusedForGood(err error) error {
	var definite *domain.Error
	if errors.As(err, &definite) && definite.Code != domain.CodeOverloaded {
		return notRestorable("the orders database refuses it: %v", err)
	}
	return err
}
