package webhooks

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// untidy is an UpkeepStore with so many steps to sweep.
type untidy struct {
	mu      sync.Mutex
	overdue []string
	steps   int
	fails   error
	swept   int
}

func (u *untidy) OverdueWebhookEndpoints(context.Context, time.Duration) ([]string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.overdue, u.fails
}

func (u *untidy) SweepWebhooks(context.Context, time.Duration, int) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fails != nil {
		return false, u.fails
	}
	u.swept++
	u.steps--
	return u.steps > 0, nil
}

// is changes what the database says.
func (u *untidy) is(fails error, steps int, overdue ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fails, u.overdue, u.steps = fails, overdue, steps
}

// What should have been sent is woken at once when a process starts, and each minute, also where one of them cannot be woken. What is to
// be swept is swept until nothing is left, and a database that is away is asked again.
func TestUpkeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &untidy{overdue: []string{"whe_A", "whe_B"}, steps: 3}
		temporal := &wakes{failures: 1}
		stop := StartUpkeep(store, temporal, slog.New(slog.DiscardHandler))
		time.Sleep(upkeepInterval / 2)
		synctest.Wait()
		if want := []string{"webhooks/whe_B"}; !slices.Equal(temporal.got, want) || store.swept != 3 {
			t.Errorf("woken %v, %d steps; want %v and 3", temporal.got, store.swept, want)
		}
		store.is(errors.New("the database is away"), 0, "whe_A", "whe_B")
		time.Sleep(upkeepInterval)
		store.is(nil, 1, "whe_A")
		time.Sleep(upkeepInterval)
		synctest.Wait()
		if want := []string{"webhooks/whe_B", "webhooks/whe_A", "webhooks/whe_B", "webhooks/whe_A"}; !slices.Equal(temporal.got, want) || store.swept != 4 {
			t.Errorf("woken %v, %d steps; want %v and 4", temporal.got, store.swept, want)
		}
		stop()
	})
}
