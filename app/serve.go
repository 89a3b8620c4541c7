package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"boxoffice/activities"
	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/capacity"
	"boxoffice/checkouts"
	"boxoffice/clocks"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/payments"
	"boxoffice/tracing"
	"boxoffice/worker"
)

// Roles of a process. `all` is the fast one: the activity that holds the seats wakes the
// request that waits for them.
const (
	roleAll    = "all"
	roleAPI    = "api"
	roleWorker = "worker"
)

const (
	// shutdownTimeout lets accepted requests finish.
	shutdownTimeout = 15 * time.Second
	drainMax        = time.Minute
)

func (p Program) serve(ctx context.Context, args []string) error {
	flags := newFlags("serve")
	role := flags.String("role", roleAll, "all, api or worker")
	ledgerKind := flags.String(
		"ledger",
		"",
		"auto (TigerBeetle if TIGERBEETLE_ADDRESS is set, else embedded), "+p.ledgerNames()+"; default: BOXOFFICE_LEDGER, else auto",
	)
	drain := flags.Duration(
		"drain",
		0,
		"how long /readyz says no before a stopping process takes no more connections: what a load balancer needs to notice, at most 1m",
	)
	if err := parse(flags, args); err != nil {
		return err
	}
	if *drain < 0 || *drain > drainMax {
		return fmt.Errorf("--drain %v: want 0 to %v", *drain, drainMax)
	}
	if *role != roleAll && *role != roleAPI && *role != roleWorker {
		return fmt.Errorf("--role %q: want all, api or worker", *role)
	}
	log := slog.New(tracing.LogHandler(slog.NewJSONHandler(os.Stderr, nil)))
	slog.SetDefault(log)
	c, err := readConfig()
	if err != nil {
		return err
	}
	if err := c.forServing(); err != nil {
		return err
	}
	boundGarbage()
	s := &service{program: p, config: c, role: *role, ledgerKind: cmp.Or(*ledgerKind, c.Ledger), drain: *drain, log: log}
	return s.run(ctx, s.start)
}

// gcPercent is lower than Go's default of 100: a process with 100,000 places and 5,000
// streams stays below 200 MB, and loses a few refusals a second for it
// (docs/lab/performance-notebook.md).
const gcPercent = 60

// boundGarbage changes nothing if the operator has set GOGC or a memory limit.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// service is one process of the box office.
type service struct {
	program Program
	config
	role       string
	ledgerKind string
	drain      time.Duration
	log        *slog.Logger
	tracer     *tracing.Tracer // nil: tracing is off
	waiting    waiting
	// certificate is what buyers see; nil: no TLS.
	certificate *certificate
	stopping    atomic.Bool // /readyz says no, even if everything works

	// ready has the real handlers once everything is there. Until then, requests are told
	// to come back.
	ready        atomic.Pointer[handlers]
	admit        atomic.Pointer[admission.Admission] // nil: not yet, or in a process without an API
	closeStreams func()                              // ends the event streams, which would delay a shutdown
	closeLater   []func()                            // in reverse order
}

// isBusy reports whether buyers wait for this process: mails and webhooks yield to them. A process with role worker does not know.
func (s *service) isBusy() bool {
	admit := s.admit.Load()
	return admit != nil && admit.IsBusy()
}

// handlers are the listeners' handlers.
type handlers struct{ public, admin, webhooks http.Handler }

// run listens at once, waits for what it needs, and serves until the context ends. Then
// it stops in order: /readyz says no, no new connections, accepted requests answered, the
// worker's activities finished, the batcher flushed, the ledger and the stores closed.
func (s *service) run(ctx context.Context, start func(ctx context.Context, fail func(error)) error) error {
	defer s.closeAll()
	serving, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopHTTP, err := s.listen(fail)
	if err != nil {
		return err
	}
	err = start(serving, fail)
	if err == nil {
		s.log.Info("ready", "url", s.URL, "role", s.role)
		<-serving.Done()
		s.stopping.Store(true)
		s.log.Info("stopping: finishing what was accepted", "drain", s.drain.String())
		time.Sleep(s.drain)
		if s.closeStreams != nil {
			s.closeStreams()
		}
	}
	stopHTTP()
	if ctx.Err() != nil {
		return nil // asked to stop
	}
	return errors.Join(err, context.Cause(serving))
}

// start opens everything that a request needs.
func (s *service) start(ctx context.Context, fail func(error)) error {
	keys, err := domain.NewKeyring([]byte(s.ServerKey))
	if err != nil {
		return err
	}
	providers, err := s.openProviders(nil)
	if err != nil {
		return err
	}
	mails, err := s.openMail()
	if err != nil {
		return err
	}
	if s.tracer, err = s.openTracing(ctx); err != nil {
		return err
	}
	meter := newMetrics()
	meter.watch(providers)
	meter.registry.MustRegister(s.program.Collectors...)
	store, batcher, links, err := s.openAll(ctx, meter)
	if err != nil {
		return err
	}
	s.watchMoney(store, meter)
	if err := checkProviders(ctx, store.Sales, providers); err != nil {
		s.log.Error("some sales cannot sell, and their refunds wait", "error", err)
	}
	if err := checkCells(ctx, store.Sales, s.Cells); err != nil {
		s.log.Error("some sales cannot sell here, and their refunds wait", "error", err)
	}
	book := ledger.NewBook(batcher, ledger.WithHoldGrace(s.HoldGrace))
	var notices *activities.HoldNotices
	if s.role == roleAll {
		notices = activities.NewHoldNotices()
	}
	watch := clocks.New(s.log)
	desk := s.newDesks(links, store, book, func(link *cellLink) *checkouts.Desk {
		clock := &temporalClock{watch: watch, name: link.clock(), client: link.temporal}
		desk := checkouts.NewDesk(
			timedTemporal{s.program.Tuning.desk(link.temporal), meter.stages, clock}, s.Payloads.DataConverter(), notices, store, providers, book)
		desk.Namespace, desk.Reversals, desk.Flagged = link.Namespace, store, s.flagged(meter)
		return desk
	})
	p := &parts{
		keys: keys, providers: providers, store: store, book: book, batcher: batcher,
		links: links, desk: desk, meter: meter, clocks: watch, mails: mails,
		capacities: &capacity.Changes{Store: store, Ledger: book},
	}
	s.watchClocks(p)
	if s.role != roleAPI {
		if err := s.startWorker(p, notices, fail); err != nil {
			return err
		}
		s.later(p.capacities.Start(s.log))
		if err := s.runMail(p); err != nil {
			return err
		}
	}
	if err := s.openAudit(p, fail); err != nil {
		return err
	}
	if err := s.openReaders(p, fail); err != nil {
		return err
	}
	if s.role == roleWorker {
		probes, err := api.NewProbes(api.Options{
			Checks: s.readiness(p), Metrics: meter.handler(), Log: s.log,
			Keys: keys, LogSource: s.LogSource, AdminToken: string(s.AdminTokens), Profiles: s.Profiles,
		})
		if err != nil {
			return err
		}
		s.ready.Store(&handlers{public: probes, admin: probes})
		return nil
	}
	return s.openAPI(p, fail)
}

// watchMoney looks up what is owed and what is disputed, for the metrics.
func (s *service) watchMoney(store *orders.Store, meter *metrics) {
	owed := newLook(store.RefundsOwed)
	s.later(owed.start())
	meter.registry.MustRegister(refundMetrics(owed))
	disputed := newLook(store.OpenDisputes)
	s.later(disputed.start())
	meter.registry.MustRegister(disputeMetrics(disputed))
}

// openAll waits for everything at once, so that /readyz names all that is missing. It
// closes things in the order that their users need: nothing uses the ledger and the
// database once Temporal's client is gone.
func (s *service) openAll(serving context.Context, meter *metrics) (store *orders.Store, batcher *ledger.Batcher, links []*cellLink, err error) {
	g, ctx := errgroup.WithContext(serving)
	g.Go(func() (err error) { store, err = s.openOrders(ctx, meter); return err })
	g.Go(func() (err error) { batcher, err = s.openLedger(ctx, meter); return err })
	g.Go(func() (err error) { links, err = s.openCells(ctx, serving, meter); return err })
	err = g.Wait()
	if store != nil {
		s.later(store.Close)
	}
	if batcher != nil {
		s.later(func() { s.closeLedger(batcher) })
	}
	for _, link := range links {
		s.later(link.temporal.Close)
	}
	return store, batcher, links, err
}

// parts is what the API consists of.
type parts struct {
	keys       *domain.Keyring
	providers  *payments.Set
	store      *orders.Store
	book       *ledger.Book
	capacities *capacity.Changes
	batcher    *ledger.Batcher
	links      []*cellLink
	desk       *checkouts.Desks
	meter      *metrics
	auditor    *auditor
	clocks     *clocks.Watch
	mails      *mailing // nil: buyers get no mail
}

// temporal is the client of the default cell, where what belongs to no sale is.
func (p *parts) temporal() client.Client { return p.links[0].temporal }

func (s *service) openOrders(ctx context.Context, meter *metrics) (*orders.Store, error) {
	options := s.program.Tuning.Orders
	options.Recorded = meter.ordersRecorded
	// The pool outlives the start: its background work must not end with it.
	store, err := orders.Open(context.WithoutCancel(ctx), string(s.DatabaseURL), options)
	if err != nil {
		return nil, err
	}
	_, err = await(ctx, s.log, &s.waiting, needsOrders, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, store.CheckSchema(ctx)
	})
	if err == nil {
		s.warnOfLoggedBuyers(ctx, store)
	}
	return store, err
}

// warnOfLoggedBuyers warns if the database logs buyers' data, because we cannot change
// that setting.
func (s *service) warnOfLoggedBuyers(ctx context.Context, store interface {
	LogsBuyers(context.Context) ([]orders.LogSetting, error)
	MendLogs([]orders.LogSetting) []string
}) {
	unsafe, err := store.LogsBuyers(ctx)
	switch {
	case err != nil:
		s.log.Warn("cannot tell whether the database's log shows buyers' addresses", "error", err)
	case len(unsafe) > 0:
		s.log.Warn("the database's log may show buyers' addresses and tickets' codes; fix that as a superuser and restart",
			"settings", fmt.Sprint(unsafe), "mend", strings.Join(store.MendLogs(unsafe), " "))
	}
}

// flagged tells an operator of an order.
func (s *service) flagged(meter *metrics) func(activities.Flag, domain.OrderID, error) {
	return func(flag activities.Flag, order domain.OrderID, why error) {
		meter.flagged.WithLabelValues(string(flag)).Inc()
		s.log.Error("an order needs to be looked into", "flag", flag, "order", order, "why", why)
	}
}

func (s *service) startWorker(p *parts, notices *activities.HoldNotices, fail func(error)) error {
	acts := &activities.Activities{
		Ledger:   timedLedger{p.book, p.meter.stages},
		Orders:   timedOrders{recorder{Store: p.store, keys: p.keys}, p.meter.stages},
		Provider: activities.BoundProvider(p.providers, p.providers.Names()...),
		Notices:  notices,
		Endings:  p.store.Readers().NewEndings(s.endingsTold()),
		Flagged:  s.flagged(p.meter),
		SaleCancel: activities.SaleCancel{
			Drainer: capacity.Drain{Changes: p.capacities, Drainer: p.book}, Cancellations: p.store, Canceler: p.desk,
		},
	}
	options := append([]worker.Option{worker.WithVersion(s.Version)}, s.program.Tuning.Worker...)
	err := s.runWorkers(p.links, "checkout worker", fail, func(temporal client.Client, onFatal func(error)) startStopper {
		return worker.New(temporal, acts, onFatal, options...)
	})
	if err != nil {
		return err
	}
	for _, link := range p.links { // each namespace has its own current version
		routing, stop := worker.WatchRouting(link.temporal, s.Version, s.log.With("cell", link.Label()))
		s.later(stop)
		link.routing = routing
		p.desk.StartHere(link.Name, routing.StartsHere)
	}
	return nil
}

// endingsTold are the types of events about checkouts without a sale that somebody reads who
// is no webhook endpoint.
func (s *service) endingsTold() (types []domain.EventType) {
	named := make(map[domain.EventType]bool)
	for _, reader := range s.program.Readers {
		for _, t := range reader.Types {
			named[t] = true
		}
	}
	for _, t := range domain.EventTypes() {
		if t.Terms().OnRequest && (s.CheckoutEvents || named[t]) {
			types = append(types, t)
		}
	}
	return types
}

// recorder adds what only the server's key can make: the tickets' codes.
type recorder struct {
	*orders.Store
	keys *domain.Keyring
}

func (r recorder) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return r.Store.Record(ctx, sold, func(n int) string { return r.keys.TicketCode(sold.Order.ID, n) })
}

func (r recorder) BeginRefund(ctx context.Context, refund domain.Refund) error {
	_, err := r.Store.BeginRefund(ctx, refund)
	return err
}

func (s *service) later(closer func()) { s.closeLater = append(s.closeLater, closer) }

func (s *service) closeAll() {
	for i := len(s.closeLater) - 1; i >= 0; i-- {
		s.closeLater[i]()
	}
}

// readiness is what /readyz checks.
func (s *service) readiness(p *parts) []api.Check {
	checks := []api.Check{
		clockCheck(p.clocks),
		{Name: "ledger", Probe: s.probe("ledger", pingLedger(p.batcher))},
		// Without the database, seats can be held and payments taken, and are recorded
		// when it is back. So its outage must not take every node out at once.
		{Name: "orders database", Advisory: true, Probe: s.probe("orders database", p.store.CheckSchema)},
		{Name: "sales' payment providers", Advisory: true, Probe: s.probe("sales' payment providers", func(ctx context.Context) error {
			return checkProviders(ctx, p.store.Sales, p.providers)
		})},
		{Name: "sales' cells", Advisory: true, Probe: s.probe("sales' cells", func(ctx context.Context) error {
			return checkCells(ctx, p.store.Sales, s.Cells)
		})},
	}
	checks = append(checks, s.cellChecks(p.links)...)
	if s.certificate != nil {
		checks = append(checks, api.Check{Name: "certificate", Advisory: true, Probe: s.probe("certificate", s.certificate.check)})
	}
	// Seats can be held while a provider is down; buyers who have not paid yet wait for
	// it.
	for _, name := range p.providers.Names() {
		provider, _ := p.providers.Provider(name)
		check := "payment provider"
		if name != domain.DefaultProvider {
			check += " " + name
		}
		checks = append(checks, api.Check{Name: check, Advisory: true, Probe: s.probe(check, provider.Ping)})
	}
	return checks
}

// checkProviders names the sales whose provider is not configured. Nothing of them can be
// sold, and money that they owe does not go back.
func checkProviders(ctx context.Context, list listSales, providers *payments.Set) error {
	return checkSales(ctx, list, "sales of payment providers that are not configured in BOXOFFICE_PAYMENT_PROVIDERS", func(sale *domain.Sale) (string, bool) {
		return sale.Provider, providers.Has(sale.Provider)
	})
}

type listSales = func(context.Context) ([]*domain.Sale, error)

// checkSales names the sales that need what this node does not have.
func checkSales(ctx context.Context, list listSales, what string, need func(*domain.Sale) (name string, isHere bool)) error {
	sales, err := list(ctx)
	if err != nil {
		return err
	}
	var lacking []string
	for _, sale := range sales {
		if name, isHere := need(sale); !isHere {
			lacking = append(lacking, fmt.Sprintf("%s (%s)", sale.ID, name))
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("%s: %s", what, strings.Join(lacking, ", "))
	}
	return nil
}

// probe keeps addresses and roles out of a public answer; the log has them.
func (s *service) probe(name string, ask func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		s.log.Warn("not ready", "check", name, "error", err)
		return errors.New("does not answer as it should; the log says why")
	}
}
