package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
)

// A phase is one kind of load.
type phase struct {
	name  string
	unit  string        // what is counted
	loads []int         // clients of its closed loops, unless told otherwise
	rates []OfferedRate // of its open loops, likewise
	// anyNode: its requests go to every node that serves, not to the first alone.
	anyNode bool
	// open readies the phase once.
	open func(ctx context.Context, b *bench) (work, error)
	// run is instead of open and loads: a phase that is one event, not a load.
	run func(ctx context.Context, b *bench) error
}

// work is what a phase does once it is open.
type work struct {
	// prepare readies one run; nil where there is nothing to.
	prepare func(ctx context.Context, p load.Plan) error
	step    load.Step
	// meter reads the metrics that tell of this work; nil: the service's.
	meter func(context.Context) (probe.Metrics, error)
	// checkouts: each unit is a whole workflow, and Temporal is asked about it.
	checkouts bool
	close     func() error // nil: nothing to close
}

// phases in the order in which they run. A phase more is an entry more.
var phases = []phase{
	{
		name: "journey", unit: "paid checkout", loads: []int{1, 64, 256}, rates: []OfferedRate{{Share: 0.5}},
		anyNode: true, open: openJourney,
	},
	{name: "checkout", unit: "hold", loads: []int{64}, anyNode: true, open: openCheckout},
	{name: "webhook", unit: "settled webhook", loads: []int{64}, anyNode: true, open: openWebhook},
	{name: "ledger", unit: "hold and post", loads: []int{64, 512}, open: openLedger},
	{name: "reads", unit: "order read", loads: []int{64}, anyNode: true, open: openReads},
	{name: "refusals", unit: "refusal", loads: []int{64, 256}, rates: []OfferedRate{{PerSecond: 13_000}}, open: openRefusals},
	{name: "storm", run: runStorms},
	{name: "room", run: runRooms},
}

// PhaseNames are what may be asked for.
func PhaseNames() []string {
	names := make([]string, len(phases))
	for i, p := range phases {
		names[i] = p.name
	}
	return names
}

// Parts of a unit that are measured separately.
const (
	lapHold = "hold"
	lapPay  = "pay"
)

// openJourney: a buyer holds a ticket and pays; done when the order is paid.
func openJourney(_ context.Context, b *bench) (work, error) {
	return work{checkouts: true, step: b.journey}, nil
}

func (b *bench) journey(ctx context.Context, r *load.Request) error {
	h, err := b.caller.placeOrder(ctx, b.sale)
	if err != nil {
		return err
	}
	r.Lap(lapHold)
	if err := b.pay(ctx, h); err != nil {
		return err
	}
	r.Lap(lapPay)
	return nil
}

// pay settles an order and remembers it for the questions afterwards.
func (b *bench) pay(ctx context.Context, h held) error {
	pay := b.caller.payByWebhook
	if b.ViaMockPay {
		pay = b.caller.payAtMockPay
	}
	if err := pay(ctx, h); err != nil {
		b.unpaid.put(h) // it may be settled or not: asked again at the end
		return err
	}
	b.paid.Add(1)
	b.recent.add(h)
	return nil
}

// openCheckout: holds only. They are paid for by the webhook phase, or at the end.
func openCheckout(_ context.Context, b *bench) (work, error) {
	return work{step: func(ctx context.Context, _ *load.Request) error {
		h, err := b.caller.placeOrder(ctx, b.sale)
		if err == nil {
			b.unpaid.put(h)
		}
		return err
	}}, nil
}

// webhooksPerSecondMax is how many holds are made in advance for each second of
// webhooks: above what a machine settles. Where they run out the run is shorter.
const webhooksPerSecondMax = 200

// openWebhook: the webhooks of orders that are held already.
func openWebhook(_ context.Context, b *bench) (work, error) {
	return work{
		prepare: func(ctx context.Context, p load.Plan) error {
			seconds := (p.Warmup + p.Duration).Seconds()
			return b.holdInAdvance(ctx, int(max(webhooksPerSecondMax, p.RatePerSecond)*seconds))
		},
		step: func(ctx context.Context, _ *load.Request) error {
			h, ok := b.unpaid.take()
			if !ok {
				return load.ErrExhausted
			}
			return b.pay(ctx, h)
		},
	}, nil
}

// ordersRead is among how many orders the reads choose.
const ordersRead = 200

// openReads: the status of paid orders, as their pages ask for it.
func openReads(ctx context.Context, b *bench) (work, error) {
	orders, err := b.paidOrders(ctx, ordersRead)
	if err != nil {
		return work{}, err
	}
	return work{step: readStep(b, orders)}, nil
}

func readStep(b *bench, orders []held) load.Step {
	return func(ctx context.Context, r *load.Request) error {
		status, tickets, err := b.caller.readOrder(ctx, orders[r.N%int64(len(orders))])
		if err == nil && (status != domain.OrderPaid || tickets != 1) {
			err = wrong("order", fmt.Sprintf("%s with %d tickets", status, tickets))
		}
		return err
	}
}

// helpers is how many goroutines prepare and tidy up.
const helpers = 64

// holdInAdvance makes sure that this many orders are held and unpaid.
func (b *bench) holdInAdvance(ctx context.Context, count int) error {
	missing := count - b.unpaid.len()
	return b.many(ctx, missing, func(ctx context.Context) error {
		h, err := b.caller.placeOrder(ctx, b.sale)
		if err == nil {
			b.unpaid.put(h)
		}
		return err
	})
}

// paidOrders returns this many, and pays for those that are missing.
func (b *bench) paidOrders(ctx context.Context, count int) ([]held, error) {
	var (
		mu     sync.Mutex
		orders = b.recent.list()
	)
	err := b.many(ctx, count-len(orders), func(ctx context.Context) error {
		h, err := b.caller.placeOrder(ctx, b.sale)
		if err == nil {
			err = b.pay(ctx, h)
		}
		if err == nil {
			mu.Lock()
			orders = append(orders, h)
			mu.Unlock()
		}
		return err
	})
	return orders, err
}

// warmUpOrders are paid before a rush and before a kill: with cold caches, and where
// nobody has a connection to the database yet, nothing is like later.
const warmUpOrders = 400

func (b *bench) warmUp(ctx context.Context) (took time.Duration, err error) {
	defer b.progress.prepare(fmt.Sprintf("warming up with %d paid checkouts", warmUpOrders))()
	began := time.Now()
	err = b.many(ctx, warmUpOrders, func(ctx context.Context) error { return b.journey(ctx, &load.Request{}) })
	return time.Since(began), err
}

// many does something so often outside of any measurement. The first error ends
// it and is the answer: what follows needs all of them.
func (b *bench) many(ctx context.Context, count int, do func(context.Context) error) error {
	if count <= 0 {
		return nil
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	_, err := load.Run(ctx, load.Plan{Clients: helpers, Requests: int64(count)}, func(ctx context.Context, _ *load.Request) error {
		err := do(ctx)
		if err != nil {
			giveUp(err)
		}
		return err
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// heldOrders are held and not known to be paid, the last one on top. They are as
// large as the holds, about 200 bytes an order.
type heldOrders struct {
	mu     sync.Mutex
	orders []held
}

func (s *heldOrders) put(h held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders = append(s.orders, h)
}

func (s *heldOrders) take() (held, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orders) == 0 {
		return held{}, false
	}
	h := s.orders[len(s.orders)-1]
	s.orders = s.orders[:len(s.orders)-1]
	return h, true
}

func (s *heldOrders) list() []held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.orders)
}

func (s *heldOrders) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.orders)
}

// ring keeps the last few paid orders.
type ring struct {
	mu     sync.Mutex
	orders []held
	next   int
}

const ringMax = 64

func (r *ring) add(h held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.orders) < ringMax {
		r.orders = append(r.orders, h)
		return
	}
	r.orders[r.next] = h
	r.next = (r.next + 1) % ringMax
}

func (r *ring) list() []held {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.orders)
}

// reset forgets: what follows is of the next run.
func (r *ring) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.orders, r.next = nil, 0
}
