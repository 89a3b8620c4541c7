package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/pace"
)

// Store is the event log and the cursors. *orders.Store is one.
type Store interface {
	Events(context.Context, orders.EventQuery) (orders.EventPage, error)
	EventsAt(context.Context, []domain.EventCursor) ([]domain.Event, error)
	EventHead(context.Context) (domain.EventCursor, error)
	AddReader(ctx context.Context, reader string, fromNow bool) error
	LeaseShards(context.Context, orders.Leasing) (held []orders.ReaderShard, share map[string]int, err error)
	ReleaseShards(ctx context.Context, node, reader string, shards []int) error
	LeaveReaders(ctx context.Context, node string) error
	MoveShards(ctx context.Context, node, reader string, step orders.ReaderStep) (moved map[int]bool, err error)
	SetAside(ctx context.Context, reader string, shards []int, limit int) ([]orders.AsideRow, error)
}

// Options change how a Runner works. The zero value means the defaults.
type Options struct {
	Log *slog.Logger
	// Handled is called after every call of a reader; nil: not called.
	Handled func(reader string, events int, result Result, took time.Duration)

	// Lease is how long a node holds a shard of a reader's work; it renews the lease while it
	// runs. The shards of a dead node stand still for that long.
	Lease time.Duration
	// PollMin and PollMax are how often the log is polled, while there is news and while there
	// is none.
	PollMin, PollMax time.Duration
	// RetryMin and RetryMax bound the wait after a failure, which doubles each time.
	// RetryLaterMax is the longest wait for an event that is set aside.
	RetryMin, RetryMax, RetryLaterMax time.Duration
	// TriesMax is how often an event may be refused before it is set aside.
	TriesMax int
	// AsideMax bounds how many events a shard sets aside. At the bound it stops and keeps
	// failing, because then the events are hardly at fault.
	AsideMax int
	// PageMax is how many events are read at once.
	PageMax int
	// StopGrace is how long a call under way may go on after the Runner is stopped.
	StopGrace time.Duration
}

// The defaults of Options.
const (
	LeaseDefault         = 20 * time.Second
	PollMinDefault       = 200 * time.Millisecond
	PollMaxDefault       = 2 * time.Second
	RetryMinDefault      = time.Second
	RetryMaxDefault      = time.Minute
	RetryLaterMaxDefault = time.Hour
	TriesMaxDefault      = 5
	AsideMaxDefault      = 1000
	PageMaxDefault       = 500
	StopGraceDefault     = 10 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Handled == nil {
		o.Handled = func(string, int, Result, time.Duration) {}
	}
	o.Lease = cmp.Or(o.Lease, LeaseDefault)
	o.PollMin, o.PollMax = cmp.Or(o.PollMin, PollMinDefault), cmp.Or(o.PollMax, PollMaxDefault)
	o.RetryMin, o.RetryMax = cmp.Or(o.RetryMin, RetryMinDefault), cmp.Or(o.RetryMax, RetryMaxDefault)
	o.RetryLaterMax = cmp.Or(o.RetryLaterMax, RetryLaterMaxDefault)
	o.TriesMax, o.AsideMax = cmp.Or(o.TriesMax, TriesMaxDefault), cmp.Or(o.AsideMax, AsideMaxDefault)
	o.PageMax, o.StopGrace = cmp.Or(o.PageMax, PageMaxDefault), cmp.Or(o.StopGrace, StopGraceDefault)
	return o
}

// A Runner runs readers until it is stopped.
type Runner struct {
	store   Store
	options Options
	node    string
	work    []*work
	head    head
}

// New makes a Runner. The error names an invalid reader, or a name that two readers share.
func New(store Store, readers []Reader, o Options) (*Runner, error) {
	r := &Runner{store: store, options: o.withDefaults(), node: rand.Text(), head: head{moved: make(chan struct{})}}
	names := make(map[string]bool)
	for i := range readers {
		reader := readers[i]
		if err := reader.check(); err != nil {
			return nil, err
		}
		if names[reader.Name] {
			return nil, fmt.Errorf("notify: two readers are called %s", reader.Name)
		}
		names[reader.Name] = true
		reader.BatchMax, reader.Timeout = max(reader.BatchMax, 1), cmp.Or(reader.Timeout, TimeoutDefault)
		r.work = append(r.work, newWork(r, reader))
	}
	return r, nil
}

// Start runs the readers until stop is called. stop lets calls under way end and releases
// the leases, so that another node goes on at once. Without readers nothing runs.
func (r *Runner) Start() (stop func()) {
	if len(r.work) == 0 {
		return func() {}
	}
	running, end := context.WithCancel(context.Background())
	calls, cut := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { r.lease(running) })
	all.Go(func() { r.watchHead(running) })
	for _, w := range r.work {
		all.Go(func() { w.run(running, calls) })
	}
	return sync.OnceFunc(func() {
		end()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			all.Wait()
		}()
		if !pace.Within(ended, r.options.StopGrace) {
			cut()
		}
		if !pace.Within(ended, r.options.StopGrace) {
			// The process ends all the same. The leases stay: nobody else may begin with these events while Handle has them.
			for _, w := range r.work {
				for shard, event := range w.callsNow() {
					r.options.Log.Error("a reader does not stop; its leases run out by themselves", "reader", w.Name, "shard", shard, "event", event)
				}
			}
			return
		}
		cut()
		leaving, cancel := context.WithTimeout(context.Background(), r.options.StopGrace)
		defer cancel()
		if err := r.store.LeaveReaders(leaving, r.node); err != nil {
			r.options.Log.Warn("readers: cannot release the leases, so they run out by themselves", "error", err)
		}
	})
}

// leasesPerTerm is how often a lease is renewed within its term.
const leasesPerTerm = 4

// lease registers the readers and keeps leasing this node's share.
func (r *Runner) lease(ctx context.Context) {
	next := time.NewTicker(r.options.Lease / leasesPerTerm)
	defer next.Stop()
	added := make(map[string]bool)
	for ctx.Err() == nil {
		if err := r.leaseOnce(ctx, added); err != nil && ctx.Err() == nil {
			r.options.Log.Warn("readers: cannot lease", "error", err)
		}
		select {
		case <-next.C:
		case <-ctx.Done():
		}
	}
}

func (r *Runner) leaseOnce(ctx context.Context, added map[string]bool) error {
	var names []string
	for _, w := range r.work {
		if !added[w.Name] {
			if err := r.store.AddReader(ctx, w.Name, w.FromNow); err != nil {
				return err
			}
			added[w.Name] = true
		}
		names = append(names, w.Name)
	}
	before := make(map[string]map[int]place, len(r.work))
	for _, w := range r.work {
		before[w.Name] = w.storedBefore()
	}
	asked := time.Now() // the lease lasts at least until a term from now
	held, share, err := r.store.LeaseShards(ctx, orders.Leasing{Node: r.node, Readers: names, For: r.options.Lease})
	if err != nil {
		return err
	}
	for _, w := range r.work {
		var its []orders.ReaderShard
		var unwanted []int
		for _, h := range held {
			switch {
			case h.Reader != w.Name:
			case w.unwanted(before[w.Name], h):
				unwanted = append(unwanted, h.Shard)
			default:
				its = append(its, h)
			}
		}
		w.offer(its, share[w.Name], asked.Add(r.options.Lease))
		if len(unwanted) > 0 {
			w.release(ctx, unwanted...)
		}
	}
	return nil
}

// head is the last event of the log, polled once for all readers of the node, so that none
// of them queries while there is nothing new.
type head struct {
	mu    sync.Mutex
	at    domain.EventCursor
	moved chan struct{} // closed when it changes
}

func (h *head) get() (domain.EventCursor, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at, h.moved
}

func (h *head) set(at domain.EventCursor) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == at {
		return false
	}
	h.at = at
	close(h.moved)
	h.moved = make(chan struct{})
	return true
}

func (r *Runner) watchHead(ctx context.Context) {
	wait := r.options.PollMin
	for pace.Pause(ctx, wait) == nil {
		at, err := r.store.EventHead(ctx)
		if err != nil && ctx.Err() == nil {
			r.options.Log.Warn("readers: cannot poll the event log", "error", err)
		}
		if err == nil && r.head.set(at) {
			wait = r.options.PollMin
		} else {
			wait = min(2*wait, r.options.PollMax)
		}
	}
}

func backoff(failures int, least, most time.Duration) time.Duration {
	return pace.Spread(pace.Backoff(least, most, failures))
}
