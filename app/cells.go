package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/api"
	"boxoffice/cells"
	"boxoffice/checkouts"
	"boxoffice/clocks"
	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/pace"
	"boxoffice/worker"
)

// A cellLink is this process's way into a cell.
type cellLink struct {
	cells.Cell
	temporal client.Client
	there    chan struct{}   // closed once the cell answers and is set up
	routing  *worker.Routing // nil: no worker runs here
}

// openCells connects to all cells. The default cell alone must be there, as everything else that a
// process needs. Of several cells, one is enough to start: an outage of one stops no sale of the
// others. The others are awaited until the serving ends.
func (s *service) openCells(ctx, serving context.Context, meter *metrics) ([]*cellLink, error) {
	with := append([]worker.DialOption{worker.WithMetrics(meter.temporal)}, s.temporalSpans()...)
	with = append(with, s.program.Tuning.Temporal...)
	if !s.Cells.Several() {
		temporal, err := await(ctx, s.log, &s.waiting, needsTemporal, func(ctx context.Context) (client.Client, error) {
			return s.openTemporal(ctx, with)
		})
		if err != nil {
			return nil, err
		}
		there := make(chan struct{})
		close(there)
		return []*cellLink{{Cell: s.Cells.Cells()[0], temporal: temporal, there: there}}, nil
	}
	var links []*cellLink
	first := make(chan struct{}, cells.Max)
	for _, cell := range s.Cells.Cells() {
		temporal, err := s.dialLater(cell, s.log, with...)
		if err != nil {
			return links, err
		}
		link := &cellLink{Cell: cell, temporal: temporal, there: make(chan struct{})}
		links = append(links, link)
		go func() {
			if link.await(serving, s.log) == nil {
				close(link.there)
				first <- struct{}{}
			}
		}()
	}
	s.waiting.begin(needsTemporal.name)
	select {
	case <-first:
		s.waiting.end(needsTemporal.name)
		return links, nil
	case <-ctx.Done():
		return links, fmt.Errorf("%s: none of the %d cells answers: %w (%s)", needsTemporal.name, len(links), ctx.Err(), needsTemporal.next)
	}
}

func (s *service) openTemporal(ctx context.Context, with []worker.DialOption) (client.Client, error) {
	c, err := s.dialTemporal(ctx, s.log, with...)
	if err != nil {
		return nil, err
	}
	if err := worker.CheckSetup(ctx, c, s.TemporalNamespace); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// await returns once the cell answers and is set up.
func (l *cellLink) await(ctx context.Context, log *slog.Logger) error {
	_, err := await(ctx, log, &waiting{}, l.needs(), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, worker.CheckSetup(ctx, l.temporal, l.Namespace)
	})
	return err
}

func (l *cellLink) needs() dependency {
	return dependency{
		"temporal of cell " + l.Label(),
		fmt.Sprintf("start Temporal at %s, or correct TEMPORAL_CELLS; a namespace %q that is not set up needs `boxoffice migrate`", l.Address, l.Namespace),
	}
}

// isThere reports whether the cell has answered since the start.
func (l *cellLink) isThere() bool {
	select {
	case <-l.there:
		return true
	default:
		return false
	}
}

// clock is the name of the cell's clock.
func (l *cellLink) clock() string {
	if l.Name == "" {
		return clocks.Temporal
	}
	return clocks.Temporal + " of cell " + l.Name
}

// newDesks makes the desk of each cell.
func (s *service) newDesks(links []*cellLink, store *orders.Store, ledger cells.Ledger, desk func(*cellLink) *checkouts.Desk) *checkouts.Desks {
	var fallback *checkouts.Desk
	others := make(map[string]*checkouts.Desk)
	for _, link := range links {
		if link.Name == "" {
			fallback = desk(link)
		} else {
			others[link.Name] = desk(link)
		}
	}
	return checkouts.NewDesks(cells.NewDirectory(store, store, ledger), fallback, others)
}

// startStopper is a worker.
type startStopper interface {
	Start() error
	Stop()
}

// createWorker makes a worker. onFatal is called if it cannot go on.
type createWorker func(temporal client.Client, onFatal func(error)) startStopper

// cellRestart is how long a cell's worker rests after it failed.
const cellRestart = 5 * time.Second

// runWorkers runs a worker in each of the cells. In the default cell alone it has to run: the process
// ends without it. Of several cells, one that fails is tried again, and the others go on.
func (s *service) runWorkers(links []*cellLink, what string, fail func(error), create createWorker) error {
	if !s.Cells.Several() {
		w := create(links[0].temporal, func(err error) { fail(fmt.Errorf("%s: %w", what, err)) })
		if err := w.Start(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		s.later(w.Stop)
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, link := range links {
		running.Go(func() {
			log := s.log.With("worker", what, "cell", link.Label())
			select {
			case <-link.there:
			case <-ctx.Done():
				return
			}
			for ctx.Err() == nil {
				if err := runWorker(ctx, log, link, create); err != nil {
					log.Error("a cell's worker failed: it is started again", "error", err)
					_ = pace.Pause(ctx, cellRestart)
				}
			}
		})
	}
	s.later(func() {
		stop()
		running.Wait()
	})
	return nil
}

// runWorker returns nil when it was asked to stop.
func runWorker(ctx context.Context, log *slog.Logger, link *cellLink, create createWorker) error {
	fatal := make(chan error, 1)
	w := create(link.temporal, func(err error) {
		select {
		case fatal <- err:
		default:
		}
	})
	if err := w.Start(); err != nil {
		return err
	}
	defer w.Stop()
	log.Info("a cell's worker runs")
	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return err
	}
}

// cellChecks are what /readyz says of Temporal. A node that reaches one of several cells goes on
// serving the sales in it.
func (s *service) cellChecks(links []*cellLink) []api.Check {
	probes := make([]func(context.Context) error, 0, len(links))
	var checks []api.Check
	for _, link := range links {
		health := func(ctx context.Context) error {
			if !link.isThere() {
				return errors.New("it has not answered since the start, or its namespace is not set up")
			}
			_, err := link.temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
			return err
		}
		probes = append(probes, health)
		of := ""
		if len(links) > 1 {
			of = " of cell " + link.Label()
			checks = append(checks, api.Check{Name: "temporal" + of, Advisory: true, Probe: s.probe("temporal"+of, health)})
		}
		if link.routing != nil {
			checks = append(checks, api.Check{Name: "worker version" + of, Advisory: true, Probe: s.probe("worker version"+of, link.routing.Check)})
		}
	}
	return append([]api.Check{{Name: "temporal", Probe: s.probe("temporal", anyOf(probes))}}, checks...)
}

// anyOf fails if all fail. They are asked at once: one that does not answer takes all the time there is.
func anyOf(probes []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		answers := make(chan error, len(probes))
		for _, probe := range probes {
			go func() { answers <- probe(ctx) }()
		}
		var failures error
		for range probes {
			err := <-answers
			if err == nil {
				return nil
			}
			failures = errors.Join(failures, err)
		}
		return failures
	}
}

// checkCells names the sales whose cell is not configured here: nothing of them can be sold by this
// node, and money that they owe does not go back.
func checkCells(ctx context.Context, list listSales, rule *cells.Rule) error {
	return checkSales(ctx, list, "sales of cells that are not in TEMPORAL_CELLS", func(sale *domain.Sale) (string, bool) {
		return sale.Cell, rule.Has(sale.Cell)
	})
}

// placedSales gives each new sale its cell.
type placedSales struct {
	*orders.Store
	rule *cells.Rule
	log  *slog.Logger
}

// CreateSale implements api.Orders. A sale that exists keeps the cell that it has.
func (p placedSales) CreateSale(ctx context.Context, sale *domain.Sale) (*domain.Sale, error) {
	if !p.rule.Several() {
		return p.Store.CreateSale(ctx, sale)
	}
	counts, err := p.SalesOfCells(ctx)
	if err != nil {
		return nil, err
	}
	sale.Cell = p.rule.Next(counts)
	stored, err := p.Store.CreateSale(ctx, sale)
	if err == nil {
		p.log.InfoContext(ctx, "a sale is in a cell", "sale", stored.ID, "cell", cells.Label(stored.Cell))
	}
	return stored, err
}

// otherCells are the names of the cells beside the default one.
func (s *service) otherCells() (names []string) {
	for _, cell := range s.Cells.Cells()[1:] {
		names = append(names, cell.Name)
	}
	return names
}
