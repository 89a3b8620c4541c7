package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/lab/bench/report"
	"boxoffice/pace"
)

// Recovery is the work that a stack has to resume after all of it was killed.
type Recovery struct {
	Open  []int    // checkouts that are open at the kill, a round each
	Cases []string // of RecoveryCases, a round each
	Stack Mortal
	// Dial connects to the Temporal of the stack that was started last.
	Dial func(ctx context.Context) (client.Client, error)
}

// Mortal is a whole stack, which can be killed and restarted on its data.
type Mortal interface {
	// Kill ends all of its processes as a power cut would, and returns when none
	// is left.
	Kill(ctx context.Context) error
	// Start returns when buyers are served, at the addresses of before.
	Start(ctx context.Context) error
}

// RecoveryCases are all cases, in the order in which they run.
var RecoveryCases = []string{report.CaseDown, report.CaseUp}

const recoveryOpenMax = 100_000

func (r Recovery) validate(o Options) error {
	switch {
	case o.AdminToken == "" || o.Signer == nil:
		return errNoSecrets
	case len(r.Open) == 0 || slices.Min(r.Open) < 1 || slices.Max(r.Open) > recoveryOpenMax:
		return fmt.Errorf("%v open checkouts: want 1–%d", r.Open, recoveryOpenMax)
	case len(r.Cases) == 0:
		return errors.New("no case was chosen")
	}
	for _, c := range r.Cases {
		if !slices.Contains(RecoveryCases, c) {
			return fmt.Errorf("no case is called %q; there are: %s", c, strings.Join(RecoveryCases, ", "))
		}
	}
	return nil
}

// RunRecovery opens checkouts, kills the whole stack, starts it again and looks
// what happens to them, for every number and case. The result is valid if the
// error is nil or wraps ErrFound: one was lost, a seat did not come back, an
// invariant is broken, or a round failed after others were measured.
func RunRecovery(ctx context.Context, o Options, r Recovery) (report.Result, error) {
	if err := r.validate(o); err != nil {
		return report.Result{}, err
	}
	b := newBench(o)
	b.leaves = "the stack may be down; its open orders expire once it is restarted on its data"
	if err := b.caller.openSale(ctx, b.sale); err != nil {
		return report.Result{}, b.noStack(err)
	}
	var err error
	if b.Temporal, err = r.Dial(ctx); err != nil {
		return report.Result{}, err
	}
	defer func() { b.Temporal.Close() }()
	if err := b.describe(ctx); err != nil {
		return report.Result{}, err
	}
	b.result.Settings = report.Settings{Phases: []string{"recovery"}, Payment: b.result.Settings.Payment, Service: b.URL}
	b.openPostgres(ctx) // for its version: the connection would die with the server
	b.closePostgres()
	return b.conclude(ctx, b.recoverAll(ctx, r))
}

func (b *bench) recoverAll(ctx context.Context, r Recovery) error {
	for _, open := range r.Open {
		for _, c := range r.Cases {
			number := len(b.result.Recoveries) + 1
			round := recovery{
				bench: b, stack: r.Stack, dial: r.Dial, row: report.Recovery{Case: c, Open: open},
				prefix: fmt.Sprintf("%s-%d-%s-%d-", b.sale, number, c, open),
			}
			if err := round.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", round.row.Load(), err)
			}
			b.result.Recoveries = append(b.result.Recoveries, round.row)
			fmt.Fprintf(b.Out, "  %-5s %6d open   %s\n", c, open, round.row.Sentence())
		}
	}
	return nil
}

// recovery is one round: recoveryhold.go has what goes before the kill,
// recoveryproof.go the checks after the start.
type recovery struct {
	*bench
	stack  Mortal
	dial   func(ctx context.Context) (client.Client, error)
	row    report.Recovery
	prefix string // of the ids of its sales

	sales         []string
	holds         heldOrders
	firstDeadline time.Time
	lastDeadline  time.Time

	started, ready, stockBack time.Time // stockBack: zero until all seats are for sale again
	atReady, before, after    reading
}

func (r *recovery) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		r.hold, r.killAndStart, r.awaitEndings, r.awaitStock, r.compare, r.lookAtOrders,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.lookAtBooks(ctx)
	return ctx.Err()
}

// killAndStart ends with a stack that serves, right before the first checkout
// ends or while they do.
func (r *recovery) killAndStart(ctx context.Context) error {
	defer r.progress.prepare("kill -9, and a restart")()
	killed := time.Now()
	if err := r.stack.Kill(ctx); err != nil {
		return fmt.Errorf("kill the stack: %w", err)
	}
	r.caller.http.CloseIdleConnections()
	if r.row.Case == report.CaseDown {
		if err := pace.Pause(ctx, time.Until(r.lastDeadline)+time.Second); err != nil {
			return err
		}
	}
	r.started = time.Now()
	r.row.DownSeconds = r.started.Sub(killed).Seconds()
	if err := r.stack.Start(ctx); err != nil {
		return fmt.Errorf("start the stack again: %w", err)
	}
	r.ready = time.Now()
	r.row.ReadySeconds = r.ready.Sub(r.started).Seconds()
	if late := r.ready.Sub(r.firstDeadline); r.row.Case == report.CaseUp && late > 0 {
		r.note(fmt.Sprintf("%s: the start took longer than was allowed for, the first deadline came %.1f s before buyers were served", r.row.Load(), late.Seconds()))
	}
	r.findProcesses()
	r.atReady = r.read(ctx, r.scrape)
	return r.redial(ctx)
}

// redial: the old connection would wait out its own backoff.
func (r *recovery) redial(ctx context.Context) error {
	connection, err := r.dial(ctx)
	if err == nil {
		r.Temporal.Close()
		r.Temporal = connection
	}
	return err
}

// base is when the first checkout could end.
func (r *recovery) base() time.Time { return later(r.firstDeadline, r.started) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
