package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
	"boxoffice/ratelimit"
)

// RequestTimeout is how long a checkout may take, from its request to its answer.
const RequestTimeout = 15 * time.Second

// Options are the parts of an Admission. All fields without "optional" are needed.
type Options struct {
	Desk    Desk
	Catalog *Catalog
	Books   Books // the same as the catalog's
	Keys    *domain.Keyring
	Rooms   Rooms // optional: without it, sales with a waiting room are refused as unavailable

	// MaySell says why nothing may be sold at the moment: a *domain.Error with
	// CodeClocksDiffer. Optional: without it, everything may be sold.
	MaySell func() error
	// PerBuyer limits the checkouts that the gate lets through; a buyer is an e-mail
	// address in a sale. Optional.
	PerBuyer ratelimit.Rate

	// Cells are the names of the cells beside the default one. Optional; CellOf is needed with
	// them: it names the cell of an order, the default one if nobody can say.
	Cells  []string
	CellOf func(ctx context.Context, order domain.OrderID) string

	InFlightMax int // optional: the ceiling of the adaptive bound
	InFlightMin int // optional: its floor
	InLineMax   int // how many may wait in line under it; 0: none

	Meter prometheus.Registerer // where this package registers its metrics
	Log   *slog.Logger
}

func (o *Options) validate() error {
	needed := map[string]any{"Desk": o.Desk, "Catalog": o.Catalog, "Books": o.Books, "Keys": o.Keys, "Meter": o.Meter, "Log": o.Log}
	if err := domain.Needed("admission", needed); err != nil {
		return err
	}
	if len(o.Cells) > 0 && o.CellOf == nil {
		return errors.New("admission: Cells need CellOf")
	}
	if o.InFlightMax < 0 || o.InFlightMin < 0 || o.InLineMax < 0 {
		return errors.New("admission: a maximum in the options is negative")
	}
	if err := o.PerBuyer.Validate("buyer"); err != nil {
		return fmt.Errorf("admission: %w", err)
	}
	return nil
}

// Admission stands between clients and the engine. It is safe for concurrent use.
type Admission struct {
	*engine // of the default cell

	others    map[string]*engine // of other cells
	cells     []string           // their names
	elsewhere *engine            // for cells that this node does not have
	cellOf    func(ctx context.Context, order domain.OrderID) string

	catalog *Catalog
	gate    *gate
	byBuyer *ratelimit.Buckets[domain.BuyerID]
	lookups chan struct{}           // limits the refusals that first look their key up
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
		cells: slices.Sorted(slices.Values(o.Cells)), cellOf: o.CellOf, elsewhere: newEngine("that is not here", &o),
		catalog: o.Catalog, gate: newGate(o.Catalog, o.Books), lookups: make(chan struct{}, o.InFlightMax),
		desk: o.Desk, books: o.Books, rooms: o.Rooms, keys: o.Keys, maySell: o.MaySell,
	}
	a.engine, a.others = newEngines(&o)
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

// busyFrom is how many checkouts wait for the engine at a time when it is busy. In quiet times there is one, or none.
const busyFrom = InFlightMin

// IsBusy reports whether buyers wait for the engine. Work that can be late by minutes should leave the machine to them.
func (a *Admission) IsBusy() bool {
	_, inFlight := a.state()
	return inFlight >= busyFrom
}

// State asks a checkout for its state, like Desk, unless that part is away.
func (a *Admission) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	return Guard(ctx, a.engineOf(ctx, id).Breakers.Orders, func() (domain.CheckoutState, error) { return a.desk.State(ctx, id) })
}

// Pay delivers a payment, like Desk. It fails with CodeOverloaded if that part is away.
// How long it takes moves the limit of the checkouts.
func (a *Admission) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	began := time.Now()
	e := a.engineOf(ctx, event.Order)
	result, err := Guard(ctx, e.Breakers.Webhooks, func() (domain.PayResult, error) { return a.desk.Pay(ctx, event) })
	if !isRefusedUnasked(err) {
		now := time.Now()
		e.bound.webhook(now, now.Sub(began))
		a.load.settled(began, now)
	}
	return result, err
}
