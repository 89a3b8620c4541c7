package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

// Options of a demo run.
type Options struct {
	BoxOfficeURL, AdminURL, AdminToken, MockPayURL string

	Buyers      int           // at once; 1…10,000
	Seats       int64         // on sale, in two classes
	FailShare   float64       // of the buyers whose payment fails
	LeaveShare  float64       // of the buyers who walk away from the pay page
	HoldTimeout time.Duration // seats of those come back after it
	Timeout     time.Duration // of the whole run
	Seed        uint64        // seed of the crowd's behaviour
	Out         io.Writer     // progress and summary
	IsTerminal  bool          // redraw the progress in place
}

// Validate says which option cannot be.
func (o Options) Validate() error {
	switch {
	case o.Buyers < 1 || o.Buyers > 10_000:
		return errors.New("--buyers must be 1–10000")
	case o.Seats < 2 || o.Seats > 1_000_000:
		return errors.New("--seats must be 2–1000000")
	case o.FailShare < 0 || o.LeaveShare < 0 || o.FailShare+o.LeaveShare > 1:
		return errors.New("--fail and --leave must be shares whose sum is at most 1")
	case o.AdminToken == "":
		return errors.New("BOXOFFICE_ADMIN_TOKEN is not set: `set -a; . .data/dev.env` points every tool at the running stack")
	}
	return nil
}

// Result is what became of the buyers.
type Result struct {
	Sale   string
	Counts map[Fate]int
	// SoldOut says that every seat was sold: expected unless too few paid.
	SoldOut bool
}

// Fate is how a buyer's visit ended.
type Fate string

// The fates of buyers.
const (
	Paid    Fate = "paid"
	SoldOut Fate = "sold out"
	Failed  Fate = "payment failed"
	Left    Fate = "walked away"
	Gone    Fate = "too late" // paid, but not in time
	Lost    Fate = "no answer"
)

var fates = []Fate{Paid, SoldOut, Failed, Left, Gone, Lost}

type intent int

const (
	pays intent = iota
	fails
	leaves
)

// Run opens a sale and sends the buyers. It returns when every one has a final
// answer, or an error when the sale cannot be opened. A box office that dies and
// comes back meanwhile only makes it take longer.
func Run(ctx context.Context, o Options) (Result, error) {
	if err := o.Validate(); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	api := newBuyers(o)
	run := &run{Options: o, api: api, sale: fmt.Sprintf("demo-%s", time.Now().UTC().Format("20060102-150405")), tally: newTally(o)}
	classes := []client.CreateClassBody{
		{Class: "A", Price: 6500, Capacity: o.Seats - o.Seats*2/5},
		{Class: "B", Price: 3500, Capacity: o.Seats * 2 / 5},
	}
	if err := api.openSale(ctx, run.sale, classes, max(1, o.Seats/2), o.HoldTimeout); err != nil {
		return Result{}, fmt.Errorf("open sale %s at %s: %w (is the stack running? `make run`)", run.sale, o.AdminURL, err)
	}
	fmt.Fprintf(o.Out, "%d buyers for %d seats of sale %s (seed %d)\n", o.Buyers, o.Seats, run.sale, o.Seed)
	run.sendBuyers(ctx)
	run.tally.summary()
	counts := run.tally.counts
	return Result{Sale: run.sale, Counts: counts, SoldOut: int64(counts[Paid]) == o.Seats}, nil
}

type run struct {
	Options
	api   *buyers
	sale  string
	tally *tally
}

func (r *run) sendBuyers(ctx context.Context) {
	random := rand.New(rand.NewPCG(r.Seed, 0))
	stop := r.tally.show(ctx)
	defer stop()
	var buyers sync.WaitGroup
	for i := range r.Buyers {
		what, first := r.intent(random.Float64()), random.IntN(2)
		buyers.Go(func() { r.tally.ended(r.buy(ctx, i, what, first)) })
	}
	buyers.Wait()
}

func (r *run) intent(dice float64) intent {
	switch {
	case dice < r.FailShare:
		return fails
	case dice < r.FailShare+r.LeaveShare:
		return leaves
	default:
		return pays
	}
}

// buy is one buyer's visit: seats first, then what they came to do.
func (r *run) buy(ctx context.Context, buyer int, what intent, first int) Fate {
	placed, fate := r.getSeat(ctx, fmt.Sprintf("buyer-%d@example.com", buyer), first)
	if fate != "" {
		return fate
	}
	switch what {
	case leaves:
		return Left
	case fails:
		return r.finish(ctx, placed, mockpay.OutcomeFailed)
	default:
		return r.finish(ctx, placed, mockpay.OutcomeSucceeded)
	}
}

// getSeat tries one class, then the other, and again while held seats may come
// back. A refusal is that key's answer: each new try takes a new key, and only a
// request without a definite answer is repeated with the same one.
func (r *run) getSeat(ctx context.Context, email string, first int) (client.CheckoutView, Fate) {
	classes := [2]string{"A", "B"}
	gone := 0 // tries in a row that said "for good"
	for try := first; gone < len(classes); try++ {
		placed, err := r.place(ctx, classes[try%2], email)
		var refused *client.Refusal
		switch {
		case err == nil:
			return placed, ""
		case ctx.Err() != nil:
			return client.CheckoutView{}, Lost
		case errors.As(err, &refused) && refused.Code == "sold_out" && (refused.Held == nil || *refused.Held == 0):
			gone++
		case errors.As(err, &refused) && (refused.Code == "sold_out" || refused.Code == "rate_limited"):
			gone = 0
			pace.Pause(ctx, max(refused.RetryAfter, 500*time.Millisecond))
		default:
			r.tally.note(err)
			return client.CheckoutView{}, Lost
		}
	}
	return client.CheckoutView{}, SoldOut
}

func (r *run) place(ctx context.Context, class, email string) (client.CheckoutView, error) {
	key := uuid.Must(uuid.NewV7()).String()
	start := time.Now()
	for {
		placed, err := r.api.placeOrder(ctx, r.sale, key, class, email)
		wait, repeat := again(err)
		if !repeat || ctx.Err() != nil {
			r.tally.answered(time.Since(start))
			return placed, err
		}
		pace.Pause(ctx, wait)
	}
}

// finish pays (or fails to) and follows the order to its ending.
func (r *run) finish(ctx context.Context, placed client.CheckoutView, outcome mockpay.Outcome) Fate {
	for {
		err := r.api.pay(ctx, placed, outcome)
		if wait, repeat := again(err); repeat && ctx.Err() == nil {
			pace.Pause(ctx, wait)
			continue
		}
		if err != nil && ctx.Err() != nil {
			return Lost
		}
		break // taken, or the session is over: the order tells
	}
	for ctx.Err() == nil {
		status, err := r.api.status(ctx, placed)
		if fate := fateOf(status); err == nil && fate != "" {
			return fate
		}
		pace.Pause(ctx, 250*time.Millisecond)
	}
	return Lost
}

// fateOf is empty while the order is not at its end.
func fateOf(status string) Fate {
	switch status {
	case "paid":
		return Paid
	case "failed", "canceled":
		return Failed
	case "expired", "refunded":
		return Gone
	default:
		return ""
	}
}
