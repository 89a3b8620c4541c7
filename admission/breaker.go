package admission

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"

	"boxoffice/domain"
)

// When a part counts as away, and how long it is then left alone.
const (
	// breakerFailuresMax failures in a row open a breaker: an engine that is only slow
	// answers some.
	breakerFailuresMax = 20
	// checkoutFailuresMax is lower: behind their limit so few may be under way that more
	// failures would take several timeouts, one after the other.
	checkoutFailuresMax = InFlightMin
	// breakerOpen is how long nothing is sent. Every failure costs its client up to
	// RequestTimeout and this node a permit; a refusal costs nothing.
	breakerOpen = 2 * time.Second
	// breakerProbes are let through when that time is up; all must succeed.
	breakerProbes = 1
	// breakerFairTime is how long a part must have had before its silence counts: a
	// client that sends slowly uses up its request's time itself.
	breakerFairTime = 5 * time.Second
)

// A Breaker stops asking a part that does not answer. Only unknown outcomes and overload
// count as failures: a no is an answer.
type Breaker struct {
	name string
	cb   *gobreaker.CircuitBreaker[struct{}]
}

// errCircuitOpen is in the log of a request that was not sent.
var errCircuitOpen = errors.New("the circuit breaker is open")

func newBreaker(name string, failuresMax uint32, log *slog.Logger) *Breaker {
	return &Breaker{name: name, cb: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
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

// errClientLeft tells the breaker, and nobody else, that a failure says nothing about the
// part.
var errClientLeft = errors.New("the client left")

// Guard asks through a breaker. While the breaker is open, it fails with CodeOverloaded
// without asking: nothing was done.
func Guard[T any](ctx context.Context, b *Breaker, ask func() (T, error)) (T, error) {
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

// refusesAll is what Guard returns while not even a probe is let through; else nil.
func (b *Breaker) refusesAll() error {
	if b.cb.State() == gobreaker.StateOpen {
		return b.refused(gobreaker.ErrOpenState)
	}
	return nil
}

func (b *Breaker) refused(why error) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: breakerOpen,
		Detail: "A part that this needs does not answer at the moment. Nothing was done: try again.",
		Err:    errors.Join(errCircuitOpen, errors.New("of "+b.name), why),
	}
}

// isClientsFault reports whether a client did not leave a part enough time to answer.
func isClientsFault(ctx context.Context, began time.Time) bool {
	deadline, ok := ctx.Deadline()
	return errors.Is(ctx.Err(), context.Canceled) || ok && deadline.Sub(began) < breakerFairTime
}

// isRefusedUnasked reports whether a breaker refused.
func isRefusedUnasked(err error) bool { return errors.Is(err, errCircuitOpen) }

// Name is the part's name in metrics and /readyz.
func (b *Breaker) Name() string { return b.name }

// IsOpen reports whether nothing is sent. A half-open breaker is still finding out.
func (b *Breaker) IsOpen() bool { return b.cb.State() != gobreaker.StateClosed }

// FailuresInARow is how many of the last requests had no answer, 0 after one that had. It says nothing once the breaker is open.
func (b *Breaker) FailuresInARow() int { return int(b.cb.Counts().ConsecutiveFailures) }

// Breakers of the parts that a request waits for. Each of the Desk's parts has its own:
// without a ledger checkouts fail, but webhooks are still stored.
type Breakers struct {
	Checkouts *Breaker // starting a checkout: Temporal, a worker, the ledger
	Webhooks  *Breaker // handing a payment over
	Orders    *Breaker // asking a checkout how it stands
	Database  *Breaker // reading orders and refunds
}

// All lists them.
func (b Breakers) All() []*Breaker {
	return []*Breaker{b.Checkouts, b.Webhooks, b.Orders, b.Database}
}
