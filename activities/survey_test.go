package activities_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"

	"boxoffice/activities"
	"boxoffice/domain"
)

// backOffice is all that a cancellation asks, as scripted. It notes the calls in
// order, and what was saved.
type backOffice struct {
	activities.Canceler
	activities.Cancellations
	calls []string
	fail  map[string]error

	sale   domain.Sale
	stage  domain.CancelStage // at the beginning
	counts domain.SaleCancellation
	later  *domain.SaleCancellation // counts from the second look on
	levels []domain.StockLevel
	owed   []domain.Refund
	open   []domain.OrderID
	waits  map[domain.OrderID]wait
	saved  []domain.SaleCancellation
}

type wait struct {
	domain.CancelWait
	ended bool
	err   error
}

func (b *backOffice) call(name string) error {
	b.calls = append(b.calls, name)
	return b.fail[name]
}

func (b *backOffice) BeginCancellation(_ context.Context, saleID string, at time.Time) (domain.SaleCancellation, error) {
	return domain.SaleCancellation{SaleID: saleID, RequestedAt: at, Stage: b.stage}, b.call("begin")
}

func (b *backOffice) Sale(context.Context, string) (*domain.Sale, error) {
	return &b.sale, b.call("sale")
}

func (b *backOffice) Drain(context.Context, *domain.Sale) ([]domain.StockLevel, error) {
	return b.levels, b.call("drain")
}

func (b *backOffice) SaveCancellation(_ context.Context, c domain.SaleCancellation) error {
	b.saved = append(b.saved, c)
	return b.call("save")
}

func (b *backOffice) CountCheckouts(_ context.Context, c *domain.SaleCancellation) error {
	if b.later != nil && slices.Contains(b.calls, "count") {
		b.counts = *b.later
	}
	c.OpenCheckouts, c.CanceledCheckouts, c.LatePayments = b.counts.OpenCheckouts, b.counts.CanceledCheckouts, b.counts.LatePayments
	return b.call("count")
}

func (b *backOffice) DueRefunds(_ context.Context, c *domain.SaleCancellation) error {
	c.OrdersToRefund, c.OrdersRefunding, c.OrdersRefunded = b.counts.OrdersToRefund, b.counts.OrdersRefunding, b.counts.OrdersRefunded
	return b.call("due")
}

func (b *backOffice) OwedRefunds(context.Context, string, int) ([]domain.Refund, error) {
	return b.owed, b.call("owed")
}

func (b *backOffice) OpenCheckouts(context.Context, string, int) ([]domain.OrderID, error) {
	return b.open, b.call("open")
}

func (b *backOffice) PaidOrders(context.Context, string, domain.OrderID, int) ([]domain.OrderID, error) {
	return b.open, b.call("paid")
}

func (b *backOffice) Waits(_ context.Context, refund domain.Refund) (domain.CancelWait, bool, error) {
	w := b.waits[refund.Capture.Order]
	return w.CancelWait, !w.ended, w.err
}

func (b *backOffice) CheckoutWaits(_ context.Context, id domain.OrderID) (domain.CancelWait, bool, error) {
	w := b.waits[id]
	return w.CancelWait, !w.ended, w.err
}

func (b *backOffice) activities() *activities.SaleCancel {
	return &activities.SaleCancel{Canceler: b, Cancellations: b, Drainer: b, SecondLook: time.Nanosecond, Now: func() time.Time { return surveyedAt }}
}

var (
	askedAt    = time.Date(2026, 11, 1, 20, 0, 0, 0, time.UTC)
	surveyedAt = askedAt.Add(time.Minute)
	toCancel   = activities.SaleToCancel{SaleID: "conf", RequestedAt: askedAt}
	errAway    = errors.New("connection refused")
)

// A late payment that has just begun is listed a moment later. It must not be missed by
// the look that says that nothing is left.
func TestNothingIsLeftInTwoLooks(t *testing.T) {
	for name, late := range map[string]int64{"a late payment that was not listed yet": 1, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			b := &backOffice{later: &domain.SaleCancellation{LatePayments: late}}
			got, err := b.activities().SurveyCancellation(t.Context(), toCancel)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Stage == domain.CancelFinished) != (late == 0) {
				t.Fatalf("got.Stage == domain.CancelFinished is %v, want %v", got.Stage == domain.CancelFinished, late == 0)
			}
			if got := !b.saved[0].FinishedAt.IsZero(); got != (late == 0) {
				t.Fatalf("!b.saved[0].FinishedAt.IsZero() is %v, want %v", got, late == 0)
			}
			if got.LatePayments != late {
				t.Fatalf("got.LatePayments is %v, want %v", got.LatePayments, late)
			}
		})
	}
}

func TestCloseSale(t *testing.T) {
	releasing := domain.SaleCancellation{SaleID: "conf", RequestedAt: askedAt, Stage: domain.CancelReleasing}
	tests := []struct {
		name  string
		stage domain.CancelStage
		calls []string
		saved []domain.SaleCancellation
	}{
		{"in force once the ledger has nothing left", domain.CancelClosing,
			[]string{"begin", "sale", "drain", "save"}, []domain.SaleCancellation{releasing}},
		{"again, when more was done: that stays", domain.CancelRefunding, []string{"begin", "sale", "drain"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &backOffice{stage: tt.stage}
			if err := b.activities().CloseSale(t.Context(), toCancel); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(b.calls, tt.calls) {
				t.Fatalf("b.calls is %q, want %q", b.calls, tt.calls)
			}
			if !reflect.DeepEqual(b.saved, tt.saved) {
				t.Fatalf("b.saved is %+v, want %+v", b.saved, tt.saved)
			}
		})
	}
}

// A step that fails is the last one, and is tried again; only what is not there
// never will be.
func TestCancellationStopsAtWhatFails(t *testing.T) {
	closeSale := func(a *activities.SaleCancel) error { return a.CloseSale(t.Context(), toCancel) }
	survey := func(a *activities.SaleCancel) error {
		_, err := a.SurveyCancellation(t.Context(), toCancel)
		return err
	}
	cancelBatch := func(a *activities.SaleCancel) error {
		_, err := a.CancelCheckouts(t.Context(), toCancel)
		return err
	}
	refundBatch := func(a *activities.SaleCancel) error {
		_, err := a.RefundOrders(t.Context(), activities.RefundBatch{SaleID: "conf", WaitingMax: 1})
		return err
	}
	tests := []struct {
		name    string
		do      func(*activities.SaleCancel) error
		fails   string
		why     error
		retried bool
	}{
		{"close: no such sale", closeSale, "begin", domain.NotFound("sale"), false},
		{"close: the database is down", closeSale, "begin", errAway, true},
		{"close: the sale cannot be read", closeSale, "sale", errAway, true},
		{"close: the ledger is down", closeSale, "drain", errAway, true},
		{"close: not saved", closeSale, "save", errAway, true},
		{"survey: Temporal is down", survey, "count", errAway, true},
		{"survey: the sale cannot be read", survey, "sale", errAway, true},
		{"survey: the ledger is down", survey, "drain", errAway, true},
		{"survey: the database is down", survey, "due", errAway, true},
		{"survey: not saved", survey, "save", errAway, true},
		{"cancel: Temporal is down", cancelBatch, "open", errAway, true},
		{"refund: the database is down", refundBatch, "paid", errAway, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &backOffice{stage: domain.CancelClosing, fail: map[string]error{tt.fails: tt.why}}
			var failed *temporal.ApplicationError
			if err := tt.do(b.activities()); !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if got := !failed.NonRetryable(); got != tt.retried {
				t.Fatalf("!failed.NonRetryable() is %v, want %v", got, tt.retried)
			}
			if b.calls[len(b.calls)-1] != tt.fails {
				t.Fatalf("b.calls[len(b.calls)-1] is %q, want %q", b.calls[len(b.calls)-1], tt.fails)
			}
		})
	}
}

func TestSurveyCountsWhatIsLeft(t *testing.T) {
	levels := []domain.StockLevel{
		{Ledger: 1, Held: 1, Sold: 20, Available: 300},
		{Ledger: 2, Held: 4, Sold: 50, Available: 600},
		{Ledger: 3, Held: 7, Sold: 80, Available: 900},
	}
	classes := []domain.Class{{Name: "A", Ledger: 1}, {Name: "B", Ledger: 2}}
	tests := []struct {
		name                  string
		sale                  domain.Sale
		held, sold, available int64
	}{
		{"a perk is no ticket: an order that goes back keeps it", domain.Sale{Classes: classes, Perk: &domain.Perk{Ledger: 3}}, 5, 70, 900},
		{"without a perk", domain.Sale{Classes: append(classes, domain.Class{Name: "C", Ledger: 3})}, 12, 150, 1800},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &backOffice{sale: tt.sale, levels: levels, counts: domain.SaleCancellation{
				CanceledCheckouts: 9, OrdersToRefund: 3, OrdersRefunded: 2,
			}}
			want := domain.SaleCancellation{
				SaleID: "conf", RequestedAt: askedAt, UpdatedAt: surveyedAt, Stage: domain.CancelReleasing,
				CanceledCheckouts: 9, OrdersToRefund: 3, OrdersRefunded: 2,
				HeldTickets: tt.held, SoldTickets: tt.sold, AvailableTickets: tt.available,
			}
			got, err := b.activities().SurveyCancellation(t.Context(), toCancel)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if want := []domain.SaleCancellation{want}; !reflect.DeepEqual(b.saved, want) {
				t.Fatalf("b.saved is %+v, want %+v: the result must be what is stored", b.saved, want)
			}
			if want := []string{"count", "sale", "drain", "due", "save"}; !reflect.DeepEqual(b.calls, want) {
				t.Fatalf("b.calls is %q, want %q: Temporal first and the ledger before the orders; nobody waits, so nobody is looked into", b.calls, want)
			}
		})
	}
}

func TestSurveyTellsWhatItWaitsFor(t *testing.T) {
	first, second := domain.OrderID{1}, domain.OrderID{2}
	refused := domain.CancelWait{Order: first, Reason: "the provider refuses"}
	waits := func(id domain.OrderID, w wait) *backOffice {
		return &backOffice{
			owed:  []domain.Refund{{Capture: domain.Capture{Order: id}}},
			open:  []domain.OrderID{id},
			waits: map[domain.OrderID]wait{id: w},
		}
	}
	tests := []struct {
		name   string
		b      *backOffice
		counts domain.SaleCancellation
		want   []domain.CancelWait
	}{
		{"a refund that the provider refuses", waits(first, wait{CancelWait: refused}), domain.SaleCancellation{OrdersRefunding: 1}, []domain.CancelWait{refused}},
		{"a late payment that goes back", waits(first, wait{CancelWait: refused}), domain.SaleCancellation{LatePayments: 1}, []domain.CancelWait{refused}},
		{"a checkout", waits(first, wait{CancelWait: refused}), domain.SaleCancellation{OpenCheckouts: 1}, []domain.CancelWait{refused}},
		{"both", waits(first, wait{CancelWait: refused}), domain.SaleCancellation{OpenCheckouts: 1, OrdersRefunding: 1}, []domain.CancelWait{refused, refused}},
		{"one that just began has no reason yet", waits(second, wait{CancelWait: domain.CancelWait{Order: second}}), domain.SaleCancellation{OpenCheckouts: 1, LatePayments: 1}, nil},
		{"one that has ended", waits(first, wait{CancelWait: refused, ended: true}), domain.SaleCancellation{OpenCheckouts: 1, LatePayments: 1}, nil},
		{"one that cannot be read: it is only shown", waits(first, wait{CancelWait: refused, err: errAway}), domain.SaleCancellation{OpenCheckouts: 1, LatePayments: 1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.b.counts = tt.counts
			got, err := tt.b.activities().SurveyCancellation(t.Context(), toCancel)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Waiting, tt.want) {
				t.Fatalf("got.Waiting is %+v, want %+v", got.Waiting, tt.want)
			}
		})
	}
}

func TestSurveyOfASaleThatIsDone(t *testing.T) {
	b := &backOffice{counts: domain.SaleCancellation{OrdersRefunded: 2}}
	a := b.activities()
	a.Now = nil // the clock
	began := time.Now()
	got, err := a.SurveyCancellation(t.Context(), toCancel)
	if err != nil {
		t.Fatal(err)
	}
	if got.Stage != domain.CancelFinished {
		t.Fatalf("got.Stage is %q, want %q", got.Stage, domain.CancelFinished)
	}
	if at := got.FinishedAt; at.Before(began.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
		t.Fatalf("it finished at %v, and began at %v", at, began)
	}
}
