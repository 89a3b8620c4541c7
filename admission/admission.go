package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
	"boxoffice/ratelimit"
)

// RequestTimeout is how long a checkout may take, from its request to its answer.
const RequestTimeout = 15 * time.Second

// Options are what an Admission is made of. All fields without "optional" are
// needed.
type Options struct {
	Desk    Desk
	Catalog *Catalog
	Books   Books // those of the catalog
	Keys    *domain.Keyring
	Rooms   Rooms // optional: without, sales with a waiting room are refused as unavailable

	// MaySell says why nothing may be sold at the moment: a *domain.Error with
	// CodeClocksDiffer. Optional: without, everything may.
	MaySell func() error
	// PerBuyer bounds the checkouts that the gate lets through; a buyer is an e-mail address in a
	// sale. Optional.
	PerBuyer ratelimit.Rate

	InFlightMax int // optional: the ceiling of the adaptive bound
	InFlightMin int // optional: its floor
	InLineMax   int // how many may wait in line under it; 0: nobody

	Meter prometheus.Registerer // where this package registers its own
	Log   *slog.Logger
}

func (o *Options) validate() error {
	needed := map[string]any{"Desk": o.Desk, "Catalog": o.Catalog, "Books": o.Books, "Keys": o.Keys, "Meter": o.Meter, "Log": o.Log}
	if err := domain.Needed("admission", needed); err != nil {
		return err
	}
	if o.InFlightMax < 0 || o.InFlightMin < 0 || o.InLineMax < 0 {
		return errors.New("admission: a maximum in the options is negative")
	}
	if err := o.PerBuyer.Validate("buyer"); err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}

// Admission stands between those who ask and the engine. It is safe for concurrent use.
type Admission struct {
	// Breakers of the parts that requests wait for, for who asks one of them without Admission.
	Breakers Breakers

	catalog *Catalog
	gate    *gate
	bound   *adaptiveBound // checkouts that the engine is given at a time
	byBuyer *ratelimit.Buckets[domain.BuyerID]
	lookups chan struct{}           // refusals that first ask whether the key is known
	tries   *lru.Cache[string, int] // key of a token → how many of its tries were refused
	load    load
	metrics metrics

	desk    Desk
	books   Books
	rooms   Rooms
	keys    *domain.Keyring
	maySell func() error
}

// New checks the options. The error names what is missing.
func New(o Options) (*Admission, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.InFlightMax == 0 {
		o.InFlightMax = InFlightMax
	}
	if o.InFlightMin == 0 {
		o.InFlightMin = InFlightMin
	}
	if o.MaySell == nil {
		o.MaySell = func() error { return nil }
	}
	a := &Admission{
		Breakers: newBreakers(o.Log), catalog: o.Catalog, gate: newGate(o.Catalog, o.Books),
		bound: newAdaptiveBound(o.InFlightMin, o.InFlightMax, o.InLineMax), lookups: make(chan struct{}, o.InFlightMax),
		desk: o.Desk, books: o.Books, rooms: o.Rooms, keys: o.Keys, maySell: o.MaySell,
	}
	var err error
	if a.byBuyer, err = ratelimit.New[domain.BuyerID](o.PerBuyer, ratelimit.ClientsMax); err != nil {
		return nil, err
	}
	if a.tries, err = lru.New[string, int](triesRememberedMax); err != nil {
		return nil, err
	}
	if a.metrics, err = newMetrics(o.Meter, a); err != nil {
		return nil, err
	}
	return a, nil
}

// Interrupted reports whether new checkouts are refused at once at the moment,
// because what they need does not answer: what a page may tell its reader.
func (a *Admission) Interrupted() bool { return a.Breakers.Checkouts.IsOpen() }

// State asks a checkout how it stands, as Desk has it, unless that part is away.
func (a *Admission) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	return Guard(ctx, a.Breakers.Orders, func() (domain.CheckoutState, error) { return a.desk.State(ctx, id) })
}

// Pay hands a payment over, as Desk has it, unless that part is away: CodeOverloaded. How
// long it takes moves the bound of the checkouts.
func (a *Admission) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	began := time.Now()
	result, err := Guard(ctx, a.Breakers.Webhooks, func() (domain.PayResult, error) { return a.desk.Pay(ctx, event) })
	if !isRefusedUnasked(err) {
		now := time.Now()
		a.bound.webhook(now, now.Sub(began))
		a.load.settled(began, now)
	}
	return result, err
}
