package workflows_test

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/workflows"
)

// ledgersClock is Temporal's clock, put off.
type ledgersClock struct {
	temporal func() time.Time
	off      time.Duration
}

func (c ledgersClock) Now() time.Time { return c.temporal().Add(c.off) }

// booked is a world whose seats are in a real ledger with a clock of its own, and
// whose provider may be away.
type booked struct {
	*world
	book      *ledger.Book
	lostHolds int  // this many answers to holds get lost
	isBefore  bool // a hold of before its grace was noted

	awayFrom, awayUntil time.Time // the provider
}

func (b *booked) Hold(ctx context.Context, o *domain.Order) (domain.Hold, error) {
	hold, err := b.book.Hold(ctx, o)
	if b.lostHolds > 0 {
		b.lostHolds--
		return domain.Hold{}, &domain.UnknownError{Op: "hold", ID: o.ID.String(), Err: context.DeadlineExceeded}
	}
	if b.isBefore {
		hold.Grace = 0
	}
	return hold, err
}

func (b *booked) Post(ctx context.Context, o *domain.Order) (domain.PostOutcome, error) {
	return b.book.Post(ctx, o)
}

func (b *booked) Void(ctx context.Context, o *domain.Order) (domain.VoidOutcome, error) {
	return b.book.Void(ctx, o)
}

func (b *booked) away() error {
	if now := b.now(); !now.Before(b.awayFrom) && now.Before(b.awayUntil) {
		return &domain.UnknownError{Op: "provider", Err: context.DeadlineExceeded}
	}
	return nil
}

func (b *booked) Expire(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	if err := b.away(); err != nil {
		return domain.ExpireOutcome{}, err
	}
	return b.world.Expire(ctx, session)
}

func (b *booked) Capture(ctx context.Context, session string) (domain.Capture, bool, error) {
	if err := b.away(); err != nil {
		return domain.Capture{}, false, err
	}
	return b.world.Capture(ctx, session)
}

// setupBooked is setup with a ledger whose clock is off by so much.
func setupBooked(t *testing.T, off, grace time.Duration) (*bundle, *booked) {
	t.Helper()
	b := setup(t, nil)
	var suite testsuite.WorkflowTestSuite
	b.env = suite.NewTestWorkflowEnvironment()
	b.world.now = b.env.Now
	discard := slog.New(slog.DiscardHandler)
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: discard, Clock: ledgersClock{b.env.Now, off}})
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(engine, ledger.WithLogger(discard))
	t.Cleanup(func() {
		if err := batcher.Close(); err != nil {
			t.Fatal(err)
		}
	})
	w := &booked{world: b.world, book: ledger.NewBook(batcher, ledger.WithHoldGrace(grace))}
	if err := w.book.OpenSale(t.Context(), &domain.Sale{
		ID: "conf", Name: "Conference", Currency: "EUR", BuyerLimit: b.order.BuyerLimit, QuotaLedger: b.order.QuotaLedger, HoldTimeout: holdTimeout,
		Classes: []domain.Class{ // as many as the order takes, so a late payment finds none
			{Name: "A", Ledger: 10, PriceMinor: 6500, Capacity: 2}, {Name: "B", Ledger: 11, PriceMinor: 3500, Capacity: 1},
		},
		Perk: &domain.Perk{Name: "T-shirt", Capacity: 1, Ledger: 12},
	}); err != nil {
		t.Fatal(err)
	}
	b.order.Buyer = domain.BuyerID{0: 0x01, 7: 0x07}
	b.env.RegisterActivity(&activities.Activities{Ledger: w, Orders: w, Provider: w})
	b.env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{b.steps}})
	b.env.RegisterWorkflow(workflows.Checkout)
	b.env.RegisterWorkflow(workflows.Late)
	return b, w
}

// Whatever the ledger's clock says: a buyer who pays in time is paid, and one who does not has
// the time that the sale gives, and the seats are back then.
func TestTheLedgersClockMayBeOff(t *testing.T) {
	skews := map[string]time.Duration{
		"as Temporal's": 0, "30 s ahead": 30 * time.Second, "ahead by the hold time": holdTimeout,
		"30 s behind": -30 * time.Second, "behind by the hold time": -holdTimeout, "behind by an hour": -time.Hour,
	}
	endings := map[string]struct {
		drive func(*bundle)
		want  domain.OrderStatus
		after time.Duration // from the beginning to the ending
	}{
		"paid well in time":          {func(b *bundle) { b.signal(soon, b.event("e1", domain.PaymentSucceeded)) }, domain.OrderPaid, soon},
		"paid in the last second":    {func(b *bundle) { b.signal(holdTimeout-time.Second, b.event("e1", domain.PaymentSucceeded)) }, domain.OrderPaid, holdTimeout - time.Second},
		"captured, the webhook lost": {func(b *bundle) { c := testCapture(); b.world.captured = &c }, domain.OrderPaid, holdTimeout},
		"not paid":                   {func(*bundle) {}, domain.OrderExpired, holdTimeout},
	}
	for skewed, off := range skews {
		for ending, e := range endings {
			for lost, holds := range map[string]int{"": 0, ", the first answer to the hold lost": 1, ", the first five lost": 5} {
				t.Run("clock "+skewed+", "+ending+lost, func(t *testing.T) {
					b, w := setupBooked(t, off, domain.HoldGraceDefault)
					w.lostHolds = holds
					began := b.env.Now()
					e.drive(b)
					state := b.run()
					if state.Status != e.want {
						t.Fatalf("state.Status is %q, want %q", state.Status, e.want)
					}
					const tries = 10 * time.Second // what the attempts at the hold take at most
					if want := began.Add(holdTimeout); state.Hold.ExpiresAt.Sub(want).Abs() > tries {
						t.Fatalf("state.Hold.ExpiresAt is %v, want %v, give or take %v", state.Hold.ExpiresAt, want, tries)
					}
					if state.Hold.ExpiresAt.Before(began.Add(holdTimeout)) {
						t.Fatal("want false: state.Hold.ExpiresAt.Before(began.Add(holdTimeout)): less time than the sale gives")
					}
					if want := began.Add(e.after); state.Ended.Sub(want).Abs() > tries {
						t.Fatalf("state.Ended is %v, want %v, give or take %v", state.Ended, want, tries)
					}
					levels, err := w.book.Stock(t.Context(), &domain.Sale{ID: "conf", Classes: []domain.Class{{Name: "A", Ledger: 10}}})
					if err != nil {
						t.Fatal(err)
					}
					sold := int64(0)
					if e.want == domain.OrderPaid {
						sold = 2
					}
					if want := (domain.StockLevel{Name: "A", Ledger: 10, Capacity: 2, Sold: sold, Available: 2 - sold}); levels[0] != want {
						t.Fatalf("levels[0] is %+v, want %+v", levels[0], want)
					}
				})
			}
		}
	}
}

// Whose payment came in time gets the tickets although the provider was away over
// the deadline and the sale is sold out, as long as it is back some seconds before
// the ledger frees the seats.
func TestAnOutageOverTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		grace, away time.Duration
	}{
		"16 s":                                 {domain.HoldGraceDefault, 16 * time.Second},
		"a minute":                             {domain.HoldGraceDefault, time.Minute},
		"nearly the grace":                     {domain.HoldGraceDefault, domain.HoldGraceDefault - 6*time.Second},
		"nearly the least grace":               {domain.HoldGraceMin, domain.HoldGraceMin - 4*time.Second},
		"nearly the longest grace":             {domain.HoldGraceMax, domain.HoldGraceMax - 6*time.Second},
		"16 s, a hold of the previous release": {graceBefore, 16 * time.Second},
		"28 s, a hold of the previous release": {graceBefore, 28 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b, w := setupBooked(t, 0, c.grace)
			capture := testCapture()
			w.captured = &capture
			w.isBefore = c.grace == graceBefore
			deadline := b.env.Now().Add(holdTimeout)
			w.awayFrom, w.awayUntil = deadline.Add(-time.Second), deadline.Add(c.away)
			if got := b.run().Status; got != domain.OrderPaid {
				t.Fatalf("b.run().Status is %q, want %q", got, domain.OrderPaid)
			}
		})
	}
}

// The provider is asked about money of a wrong amount. While it is down, the right
// payment waits for nobody.
func TestTheRightPaymentDoesNotWaitForTheWrongOne(t *testing.T) {
	b, w := setupBooked(t, 0, domain.HoldGraceDefault)
	began := b.env.Now()
	w.awayFrom, w.awayUntil = began, began.Add(holdTimeout+domain.HoldGraceDefault+time.Hour)
	wrong := b.event("e1", domain.PaymentSucceeded)
	wrong.AmountMinor, wrong.Payment = 1, "pay_wrong"
	b.signal(soon, wrong)
	b.signal(2*soon, b.event("e2", domain.PaymentSucceeded))
	state := b.run()
	if state.Status != domain.OrderPaid {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderPaid)
	}
	if state.Payment != "pay_1" {
		t.Fatalf(`state.Payment is %q, want "pay_1"`, state.Payment)
	}
	if want := began.Add(2 * soon); state.Ended.Sub(want).Abs() > time.Second {
		t.Fatalf("state.Ended is %v, want %v, give or take %v", state.Ended, want, time.Second)
	}
	if want := []string{"pay_wrong"}; !reflect.DeepEqual(w.refunded, want) {
		t.Fatalf("w.refunded is %q, want %q", w.refunded, want)
	}
}

// An outage that outlasts the hold: the provider is asked patiently then, and what it
// took goes back.
func TestAnOutageBeyondTheGrace(t *testing.T) {
	b, w := setupBooked(t, 0, domain.HoldGraceDefault)
	capture := testCapture()
	w.captured = &capture
	deadline := b.env.Now().Add(holdTimeout)
	const away = 10 * time.Hour
	w.awayFrom, w.awayUntil = deadline, deadline.Add(away)
	other := b.order // takes the seats as soon as they are free
	other.ID[0], other.Buyer[0] = 0xff, 0xff
	b.env.RegisterDelayedCallback(func() {
		hold, err := w.book.Hold(t.Context(), &other)
		if err != nil {
			t.Fatal(err)
		}
		if hold.Outcome != domain.HoldHeld {
			t.Fatalf("hold.Outcome is %q, want %q", hold.Outcome, domain.HoldHeld)
		}
	}, holdTimeout+domain.HoldGraceDefault+time.Second)
	state := b.run()
	if state.Status != domain.OrderRefunding {
		t.Fatalf("state.Status is %q, want %q", state.Status, domain.OrderRefunding)
	}
	if got := state.Ended.Sub(deadline); got >= (away + providerBackoffMax + time.Second) {
		t.Fatalf("state.Ended.Sub(deadline) is %v, want less than %v", got, away+providerBackoffMax+time.Second)
	}
	var asked []scheduled
	for _, s := range b.steps.steps {
		if s.activity == "ExpireSession" {
			asked = append(asked, s)
		}
	}
	if len(asked) != 2 {
		t.Fatalf("%d in asked, want 2: %+v: an outage costs one more activity, however long it lasts", len(asked), asked)
	}
	if asked[1].retry.MaximumInterval != providerBackoffMax {
		t.Fatalf("asked[1].retry.MaximumInterval is %v, want %v", asked[1].retry.MaximumInterval, providerBackoffMax)
	}
}

const (
	providerBackoffMax = 30 * time.Second
	graceBefore        = 30 * time.Second // of holds that do not tell theirs
)
