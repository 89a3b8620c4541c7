package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"boxoffice/audit"
	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/lab/bench/crowd"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
	"boxoffice/pace"
)

// Storm is the rush on its own sale that the phases of that name make.
type Storm struct {
	Buyers      int
	Tickets     int64
	Spread      time.Duration // the time within which all of them arrive
	Patience    time.Duration // of buyers who are told that all tickets are held; see crowd.Plan
	Connections int           // over which all of them ask, as behind a proxy

	// Of the phase with a waiting room.
	RoomConnections int     // likewise; a join waits for an exchange of the nodes, so it wants more
	Live            int     // watch their place, each over a connection more
	ReadsPerSecond  float64 // of places, once everybody has one
	ReadFor         time.Duration
}

// DefaultStorm is the one that figures are compared by.
var DefaultStorm = Storm{
	Buyers: 100_000, Tickets: 1000, Spread: 5 * time.Second, Connections: 256, RoomConnections: 2000,
	Live: 5000, ReadsPerSecond: 10_000, ReadFor: 5 * time.Second,
}

func (s Storm) validate() error {
	if s == (Storm{}) {
		return nil // no such phase was asked for
	}
	if s.Tickets < 1 || s.Tickets > int64(s.Buyers) {
		return fmt.Errorf("%d tickets for %d buyers: a storm has at least one, and not more than buyers", s.Tickets, s.Buyers)
	}
	plan := s.plan()
	plan.URL, plan.Sale, plan.Class = "http://localhost", "s", "A"
	plan.Pay = func(context.Context, crowd.Held) error { return nil }
	if err := plan.Validate(); err != nil {
		return err
	}
	plan.Queue = s.queue(func(context.Context) error { return nil })
	plan.Connections = s.RoomConnections
	return plan.Validate()
}

func (s Storm) queue(full func(context.Context) error) *crowd.Queue {
	return &crowd.Queue{Live: min(s.Live, s.Buyers), ReadsPerSecond: s.ReadsPerSecond, ReadFor: s.ReadFor, Full: full}
}

// stormDeadline is far above what anybody should wait.
const stormDeadline = 3 * time.Minute

func (s Storm) plan() crowd.Plan {
	return crowd.Plan{Buyers: s.Buyers, Spread: s.Spread, Patience: s.Patience, Connections: s.Connections, Class: ticketClass, Deadline: stormDeadline}
}

// runStorms sells out one fresh sale a run.
func runStorms(ctx context.Context, b *bench) error {
	if _, err := b.warmUp(ctx); err != nil {
		return err
	}
	for n := range b.Runs {
		sale := fmt.Sprintf("%s-storm-%d", b.sale, n+1)
		if err := b.caller.offer(ctx, sale, b.Storm.Tickets, nil); err != nil {
			return fmt.Errorf("open sale %s: %w", sale, err)
		}
		storm, err := b.storm(ctx, sale, n, nil)
		if err != nil {
			return err
		}
		b.addStorm("storm", n, storm)
	}
	return nil
}

// roomOpensAfter is when a sale with a waiting room opens: most have joined by
// then, and their places are drawn.
const roomOpensAfter = 4 * time.Second

// runRooms is a storm on a sale with a waiting room. Its door is paused until
// everybody has a place, so that all tokens are outstanding at once.
func runRooms(ctx context.Context, b *bench) error {
	if _, err := b.warmUp(ctx); err != nil {
		return err
	}
	for n := range b.Runs {
		sale, opensAt := fmt.Sprintf("%s-room-%d", b.sale, n+1), time.Now().Add(roomOpensAfter)
		err := b.caller.offer(ctx, sale, b.Storm.Tickets, func(s *client.CreateSaleBody) {
			s.WaitingRoom, s.OpensAt = new(true), &opensAt
		})
		if err == nil {
			err = b.caller.pauseQueue(ctx, sale, true)
		}
		if err != nil {
			return fmt.Errorf("open sale %s with a waiting room: %w", sale, err)
		}
		var full map[string]float64
		storm, err := b.storm(ctx, sale, n, b.Storm.queue(func(ctx context.Context) error {
			full = b.memory()
			if err := pace.Pause(ctx, time.Until(opensAt)); err != nil {
				return err
			}
			return b.caller.pauseQueue(ctx, sale, false)
		}))
		if err != nil {
			return err
		}
		storm.LiveWanted, storm.MemoryFull = min(b.Storm.Live, b.Storm.Buyers), full
		b.addStorm("room", n, storm)
	}
	return nil
}

func (b *bench) addStorm(phase string, n int, storm report.Storm) {
	b.result.Storms = append(b.result.Storms, storm)
	fmt.Fprintf(b.Out, "  %-9s run %d/%d  %s\n", phase, n+1, b.Runs, storm.Sentence())
}

func (b *bench) storm(ctx context.Context, sale string, n int, queue *crowd.Queue) (report.Storm, error) {
	plan := b.Storm.plan()
	plan.URL, plan.Sale, plan.Seed, plan.Progress = b.URL, sale, b.Seed+uint64(n), &crowd.Progress{}
	plan.Pay, plan.Queue = b.payForStorm, queue
	if queue != nil {
		plan.Connections = b.Storm.RoomConnections
	}
	before := b.read(ctx, b.scrape)
	stop := b.progress.watch(func() string { return stormProgress(&plan) })
	result, err := crowd.Run(ctx, plan)
	stop()
	if err != nil {
		return report.Storm{}, err
	}
	storm := report.Storm{
		Sale: sale, Tickets: b.Storm.Tickets, SpreadSeconds: plan.Spread.Seconds(), PatienceSeconds: plan.Patience.Seconds(),
		Connections: plan.Connections, Result: result,
	}
	after := b.read(ctx, b.scrape)
	b.addStormCosts(&storm, before, after)
	b.auditStorm(ctx, &storm)
	return storm, ctx.Err()
}

func stormProgress(p *crowd.Plan) string {
	return fmt.Sprintf("storm: %d of %d answered, %d held, %d paid, %d × busy",
		p.Progress.Answered.Load(), p.Buyers, p.Progress.Held.Load(), p.Progress.Paid.Load(), p.Progress.Busy.Load())
}

// payForStorm reports a payment. Where the box office is busy, or took it for
// later, the provider's next attempt finds out.
func (b *bench) payForStorm(ctx context.Context, c crowd.Held) error {
	order, err := domain.ParseOrderID(c.Order)
	if err != nil {
		return wrong("checkout", fmt.Sprintf("%+v", c))
	}
	if c.Amount != priceMinor || c.Currency != currency {
		return wrong("checkout", fmt.Sprintf("%+v", c))
	}
	err = b.caller.payByWebhook(ctx, held{order: order, token: c.Token, amount: c.Amount})
	var failure *load.Failure
	if err != nil && (!errors.As(err, &failure) || strings.HasPrefix(failure.Code, "503") || strings.HasPrefix(failure.Code, "202")) {
		return &crowd.PayLater{Err: err}
	}
	return err
}

// addStormCosts reports CPU in seconds, because the units of a storm differ too much.
func (b *bench) addStormCosts(storm *report.Storm, before, after reading) {
	if e, ok := after.effortSince(before); ok {
		storm.MeasuredSeconds, storm.CPUSeconds, storm.OthersCores, storm.Memory = e.seconds, e.cpuSeconds, e.othersCores, memoryOf(*after.processes)
	}
}

// auditStorm asks the box office's own books how much was sold.
func (b *bench) auditStorm(ctx context.Context, storm *report.Storm) {
	reports, text := b.audit(ctx, storm.Sale)
	if len(reports) == 0 {
		return
	}
	storm.Verdict, storm.AuditText = string(reports[0].Verdict), text
	storm.Ticketed = withTickets(reports[0])
	i := slices.IndexFunc(reports[0].Results, func(r audit.Result) bool { return r.ID == "I1" && r.Subject == "class "+ticketClass })
	if i >= 0 {
		capacity := reports[0].Results[i]
		storm.Sold, storm.Oversold = capacity.Left.Value, max(0, capacity.Left.Value-storm.Tickets)
	}
}

// openRefusals sells a sale's only ticket, and then asks for it.
func openRefusals(ctx context.Context, b *bench) (work, error) {
	sale := b.sale + "-refusals"
	if err := b.caller.offer(ctx, sale, 1, nil); err != nil {
		return work{}, err
	}
	h, err := b.caller.placeOrder(ctx, sale)
	if err == nil {
		err = b.caller.payByWebhook(ctx, h)
	}
	if err != nil {
		return work{}, fmt.Errorf("sell the only ticket of sale %s: %w", sale, err)
	}
	pool, err := crowd.NewPool(b.URL, sale, ticketClass, refusalTimeout)
	if err != nil {
		return work{}, err
	}
	return work{step: func(ctx context.Context, _ *load.Request) error { return refuse(ctx, pool) }, close: pool.Close}, nil
}

const refusalTimeout = 30 * time.Second

func refuse(ctx context.Context, pool *crowd.Pool) error {
	status, code, err := pool.Checkout(ctx, crowd.NewKey())
	switch {
	case err != nil:
		return err
	case status != 409 || code != string(domain.CodeSoldOut):
		return &load.Failure{Code: fmt.Sprintf("%d %s", status, code), Detail: "a checkout of a sale that is sold out"}
	default:
		return nil
	}
}
