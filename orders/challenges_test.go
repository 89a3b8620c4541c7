package orders_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

func TestAChallengeIsSpentOnce(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	a, b := orderstest.Open(t, url), orderstest.Open(t, url)
	nonces := func(names ...string) (all [][]byte) {
		for _, name := range names {
			all = append(all, fmt.Appendf(nil, "%16s", name))
		}
		return all
	}
	later := time.Now().Add(time.Minute)
	for i, step := range []struct {
		names []string
		want  []bool
	}{
		{[]string{"y", "x"}, []bool{true, true}}, {[]string{"x", "z", "y"}, []bool{false, true, false}}, {[]string{"w", "w"}, []bool{true, false}},
	} {
		store := a
		if i%2 == 1 {
			store = b
		}
		got, err := store.SpendChallenges(t.Context(), nonces(step.names...), later)
		if err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%v: %v %v, want %v", step.names, got, err, step.want)
		}
	}
	// Two nodes spend the same challenges at once, in different orders. Each challenge goes to
	// one of them.
	var firsts atomic.Int64
	var all sync.WaitGroup
	for n, store := range []*orders.Store{a, b} {
		for range 20 {
			all.Go(func() {
				names := []string{"p", "q", "r", "s"}
				if n == 1 {
					slices.Reverse(names)
				}
				got, err := store.SpendChallenges(t.Context(), nonces(names...), later)
				if err != nil {
					t.Error(err)
				}
				for _, first := range got {
					if first {
						firsts.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	if firsts.Load() != 4 {
		t.Errorf("4 challenges were used %d times", firsts.Load())
	}
	// Challenges that expired long ago are forgotten, and no others.
	if err := orderstest.Exec(t.Context(), url, `UPDATE spent_challenges SET until = now() - interval '10 minutes' WHERE nonce = $1`, nonces("x")[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SpendChallenges(t.Context(), nonces("v"), later); err != nil {
		t.Fatal(err)
	}
	if got, err := b.SpendChallenges(t.Context(), nonces("x", "y"), later); err != nil || !slices.Equal(got, []bool{true, false}) {
		t.Errorf("expired, and not: %v %v", got, err)
	}
}
