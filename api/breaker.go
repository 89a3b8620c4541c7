package api

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"

	"boxoffice/domain"
)

// When a part counts as away, and how long it is left alone then.
const (
	// breakerFailuresMax in a row, with no success between, open a breaker: an engine
	// that is only slow answers some.
	breakerFailuresMax = 20
	// checkoutFailuresMax is less: behind their bound so few may be under way that more
	// would take several timeouts, one after the other.
	checkoutFailuresMax = CheckoutsInFlightMin
	// breakerOpen is how long nothing is sent. Every failure costs its client up to
	// requestTimeout and this node a slot; a refusal costs nothing.
	breakerOpen = 2 * time.Second
	// breakerProbes are let through when that time is up; all must succeed.
	breakerProbes = 1
	// breakerFairTime is what a part must have had to answer in before its silence
	// counts: a client that sends slowly uses its request's time up itself.
	breakerFairTime = 5 * time.Second
)

// A breaker stops asking a part that does not answer. Only what is not known and
// what the part had no room for are failures: a no is an answer.
type breaker struct {
	name string
	cb   *gobreaker.CircuitBreaker[struct{}]
}

// errCircuitOpen is in the log of a request that was not sent.
var errCircuitOpen = errors.New("the circuit breaker is open")

func newBreaker(name string, failuresMax uint32, log *slog.Logger) *breaker {
	return &breaker{name: name, cb: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        name,
		MaxRequests: breakerProbes,
		Timeout:     breakerOpen,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresMax },
		IsSuccessful: func(err error) bool {
			return err == nil || !isAway(err)
		},
		// A client that left says nothing about the part.
		IsExcluded: func(err error) bool { return errors.Is(err, errClientLeft) },
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn("circuit breaker", "part", name, "from", from.String(), "to", to.String())
		},
	})}
}

// isAway reports whether an error means that a part gives no answers.
func isAway(err error) bool {
	return domain.IsUnknown(err) || domain.CodeOf(err) == domain.CodeOverloaded || errors.Is(err, context.DeadlineExceeded)
}

// errClientLeft marks, towards the breaker only, what says nothing of the part.
var errClientLeft = errors.New("the client left")

// guard asks through a breaker. It fails with CodeOverloaded, without asking, while
// the breaker is open: nothing was done.
func guard[T any](ctx context.Context, b *breaker, ask func() (T, error)) (T, error) {
	var answer T
	var err error
	asked, began := false, time.Now()
	_, refusal := b.cb.Execute(func() (struct{}, error) {
		asked = true
		answer, err = ask()
		if err != nil && isClientsFault(ctx, began) {
			return struct{}{}, errClientLeft
		}
		return struct{}{}, err
	})
	if asked {
		return answer, err
	}
	return answer, b.refused(refusal)
}

// refusesAll is what guard answers as long as not even a probe is let through; else nil.
func (b *breaker) refusesAll() error {
	if b.cb.State() == gobreaker.StateOpen {
		return b.refused(gobreaker.ErrOpenState)
	}
	return nil
}

func (b *breaker) refused(why error) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: breakerOpen,
		Detail: "A part that this needs does not answer at the moment. Nothing was done: try again.",
		Err:    errors.Join(errCircuitOpen, errors.New("of "+b.name), why),
	}
}

// isClientsFault reports whether a client did not leave a part the time to answer.
func isClientsFault(ctx context.Context, began time.Time) bool {
	deadline, ok := ctx.Deadline()
	return errors.Is(ctx.Err(), context.Canceled) || ok && deadline.Sub(began) < breakerFairTime
}

// isRefusedUnasked reports whether a breaker refused.
func isRefusedUnasked(err error) bool { return errors.Is(err, errCircuitOpen) }

// isOpen reports whether nothing is sent. Half-open, it is still being found out.
func (b *breaker) isOpen() bool { return b.cb.State() != gobreaker.StateClosed }

// check is what /readyz says: advisory, because all nodes lose a part at once, and
// one that takes no requests never finds out that it is back.
func (b *breaker) check() Check {
	return Check{Name: b.name + " circuit", Advisory: true, Probe: func(context.Context) error {
		if b.isOpen() {
			return errors.New("open: it did not answer, requests are refused at once until it does")
		}
		return nil
	}}
}

// breakers of the parts that a request waits for. Each of the Desk's has its own:
// without a ledger checkouts fail and webhooks are still stored.
type breakers struct{ checkouts, webhooks, orders, database *breaker }

func newBreakers(log *slog.Logger) breakers {
	return breakers{
		checkouts: newBreaker("checkouts", checkoutFailuresMax, log), webhooks: newBreaker("webhooks", breakerFailuresMax, log),
		orders: newBreaker("orders", breakerFailuresMax, log), database: newBreaker("database", breakerFailuresMax, log),
	}
}

func (b breakers) all() []*breaker { return []*breaker{b.checkouts, b.webhooks, b.orders, b.database} }

// protectedDesk is the Desk behind the breakers. Organisers' calls are few and pass. What is done to an order
// is shown at once.
type protectedDesk struct {
	Desk
	s *Server
}

// Start implements Desk. Besides what the Desk answers: CodeOverloaded, which binds no key.
func (d protectedDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	return guard(ctx, d.s.breakers.checkouts, func() (domain.HoldAnswer, error) { return d.Desk.Start(ctx, order) })
}

// Pay implements Desk.
func (d protectedDesk) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	began := time.Now()
	defer d.s.orderViews.changed(event.Order)
	result, err := guard(ctx, d.s.breakers.webhooks, func() (domain.PayResult, error) { return d.Desk.Pay(ctx, event) })
	if !isRefusedUnasked(err) {
		now := time.Now()
		d.s.adaptive.webhook(now, now.Sub(began))
		d.s.load.settled(began, now)
	}
	return result, err
}

// Cancel implements Desk.
func (d protectedDesk) Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	defer d.s.orderViews.changed(id)
	return d.Desk.Cancel(ctx, id)
}

// Refund implements Desk.
func (d protectedDesk) Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	defer d.s.orderViews.changed(id)
	return d.Desk.Refund(ctx, id)
}

// CancelOrder implements Desk.
func (d protectedDesk) CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	defer d.s.orderViews.changed(id)
	return d.Desk.CancelOrder(ctx, id)
}

// State implements Desk.
func (d protectedDesk) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	return guard(ctx, d.s.breakers.orders, func() (domain.CheckoutState, error) { return d.Desk.State(ctx, id) })
}

// protectedOrders is the database behind its breaker, where a request waits for it.
type protectedOrders struct {
	Orders
	b *breaker
}

// Order implements Orders.
func (o protectedOrders) Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	return guard(ctx, o.b, func() (domain.SoldOrder, error) { return o.Orders.Order(ctx, id) })
}

// RefundsOfOrder implements Orders.
func (o protectedOrders) RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error) {
	return guard(ctx, o.b, func() ([]domain.Refund, error) { return o.Orders.RefundsOfOrder(ctx, id) })
}
