package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
	"boxoffice/pace"
)

const (
	// salesOrders is how many checkouts of a recovery share a sale. The sales of
	// a round differ in how long they hold, so that all deadlines come together:
	// within the seconds that these holds take.
	salesOrders = 500
	// holdShare of the warm-up's time predicts that of the holds, which are the
	// first half of each order.
	holdShare = 0.7
	// deadlineMargin is added to the time that the holds should take, and
	// readyMargin to that what a start on a crashed stack's data takes at most.
	deadlineMargin = 10 * time.Second
	readyMargin    = 30 * time.Second
	// killMargin is how long before the first deadline the kill has to be.
	killMargin = time.Second
	// busyPause is how long a hold waits that was not made for lack of room.
	busyPause = 200 * time.Millisecond
)

// hold opens the checkouts, with deadlines that all come after the last of them
// was made.
func (r *recovery) hold(ctx context.Context) error {
	took, err := r.warmUp(ctx)
	if err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	began := time.Now()
	target := began.Add(r.holdsTake(took) + deadlineMargin)
	if r.row.Case == report.CaseUp {
		target = target.Add(readyMargin)
	}
	stop := r.progress.watch(func() string {
		return fmt.Sprintf("%d of %d checkouts are open; deadlines in %.0f s", r.holds.len(), r.row.Open, time.Until(target).Seconds())
	})
	err = r.holdUntil(ctx, target)
	stop()
	if err != nil {
		return err
	}
	r.row.HeldSeconds = time.Since(began).Seconds()
	seats, err := r.seats(ctx)
	if err != nil {
		return err
	}
	r.row.HeldBefore = seats.Held
	if time.Until(r.firstDeadline) < killMargin {
		return fmt.Errorf(
			"the first deadline passed before the last of them was held, after %.0f s: the machine was slower than during the warm-up, measure again",
			r.row.HeldSeconds,
		)
	}
	return nil
}

// holdsTake predicts from the warm-up's time.
func (r *recovery) holdsTake(warmUp time.Duration) time.Duration {
	return time.Duration(holdShare * float64(warmUp) * float64(r.row.Open) / warmUpOrders)
}

// holdUntil makes sales of salesOrders seats each and holds all of them.
func (r *recovery) holdUntil(ctx context.Context, target time.Time) error {
	for left := r.row.Open; left > 0; left -= salesOrders {
		seats := min(left, salesOrders)
		sale := fmt.Sprintf("%s%d", r.prefix, len(r.sales)+1)
		if err := r.caller.offer(ctx, sale, int64(seats), func(s *client.CreateSaleBody) { s.HoldSeconds = new(holdSeconds(time.Until(target))) }); err != nil {
			return fmt.Errorf("open sale %s: %w", sale, err)
		}
		r.sales = append(r.sales, sale)
		if err := r.many(ctx, seats, func(ctx context.Context) error { return r.holdOne(ctx, sale) }); err != nil {
			return fmt.Errorf("hold %d seats of sale %s: %w", seats, sale, err)
		}
	}
	r.row.Sales = len(r.sales)
	earlier := func(a, b held) int { return a.expires.Compare(b.expires) }
	holds := r.holds.list()
	r.firstDeadline, r.lastDeadline = slices.MinFunc(holds, earlier).expires, slices.MaxFunc(holds, earlier).expires
	return nil
}

// holdSeconds rounds up to what a sale may have.
func holdSeconds(until time.Duration) int64 {
	return int64(math.Ceil(max(until, domain.HoldTimeoutMin).Seconds()))
}

func (r *recovery) holdOne(ctx context.Context, sale string) error {
	h, err := r.holdPatiently(ctx, sale)
	if err == nil {
		r.holds.put(h)
	}
	return err
}

// holdPatiently asks with one key until the hold is made, so that none is made
// of which nobody knows.
func (b *bench) holdPatiently(ctx context.Context, sale string) (held, error) {
	key := uuid.Must(uuid.NewV7()).String()
	for {
		h, err := b.caller.placeOrderOf(ctx, sale, key)
		var failure *load.Failure
		refused := errors.As(err, &failure) && !strings.HasPrefix(failure.Code, "503") && failure.Code != "409 in_flight"
		if err == nil || refused {
			return h, err
		}
		if pace.Pause(ctx, busyPause) != nil {
			return h, err
		}
	}
}
