package erasure

import (
	"context"
	"log/slog"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

const (
	keeperInterval = 10 * time.Minute
	// dueAtOnce is how many orders one transaction erases, keeperPause how long the database has
	// until the next.
	dueAtOnce   = 100
	keeperPause = time.Second
)

// A Keeper erases the data of buyers once their sale no longer keeps them. It stores nothing: an
// order that is erased is due no more, so a pass that broke off goes on with the next.
type Keeper struct {
	// Due returns orders whose buyers' data are due, sorted, after one, at most limit.
	Due func(ctx context.Context, after domain.OrderID, limit int) ([]domain.OrderID, error)
	// Erase is Eraser.Erase.
	Erase func(ctx context.Context, r domain.ErasureRequest) (domain.Erasure, error)
	// Mine reports whether this node is the one that does it. Two that do it do no harm.
	Mine func(ctx context.Context) (bool, error)
	Log  *slog.Logger
}

// Start begins a pass every ten minutes, until stop.
func (k *Keeper) Start() (stop func()) {
	return pace.Every(keeperInterval, func(ctx context.Context) {
		if erased, err := k.Pass(ctx); err != nil {
			k.Log.Warn("erasure: cannot erase buyers whose time is over, tries again", "erased", erased, "error", err)
		} else if erased > 0 {
			k.Log.Info("erasure: buyers of sales that no longer keep them were erased", "orders", erased)
		}
	})
}

// Pass erases all that is due, in steps, and returns how many orders it erased. One whose money
// or checkout is still open is left for a later pass.
func (k *Keeper) Pass(ctx context.Context) (erased int, err error) {
	var after domain.OrderID
	for {
		mine, err := k.Mine(ctx)
		if err != nil || !mine {
			return erased, err
		}
		due, err := k.Due(ctx, after, dueAtOnce)
		if err != nil || len(due) == 0 {
			return erased, err
		}
		n, err := k.erase(ctx, due)
		if erased += n; err != nil || len(due) < dueAtOnce {
			return erased, err
		}
		after = due[len(due)-1]
		if err := pace.Pause(ctx, keeperPause); err != nil {
			return erased, err
		}
	}
}

// erase erases orders together or, if one of them is not settled, all but that.
func (k *Keeper) erase(ctx context.Context, orders []domain.OrderID) (erased int, err error) {
	_, err = k.Erase(ctx, domain.ErasureRequest{Orders: orders})
	switch {
	case err == nil:
		return len(orders), nil
	case domain.CodeOf(err) != domain.CodeNotSettled:
		return 0, err
	case len(orders) == 1:
		return 0, nil
	}
	half := len(orders) / 2
	for _, some := range [][]domain.OrderID{orders[:half], orders[half:]} {
		n, err := k.erase(ctx, some)
		if erased += n; err != nil {
			return erased, err
		}
	}
	return erased, nil
}
