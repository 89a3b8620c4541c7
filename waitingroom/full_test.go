package waitingroom

import (
	"errors"
	"testing"
	"time"

	"boxoffice/domain"
)

// Machines fill a queue before the opening. Somebody who comes then is told that it is full
// and until when. Once the door is open, it passes those who are not there, and newcomers
// get a place.
func TestAFullQueueSaysSoAndOpensAgain(t *testing.T) {
	store := newMemory(time.Hour)
	n := newNode(t, store, "a", free)
	sale := *testSale
	sale.Classes = []domain.Class{{Name: "A", Capacity: 100, Ledger: 1}}
	n.tick()
	store.q.Joined = waitingMax(&sale) - 1
	n.tick()
	mayJoin := func() error { return n.mayJoin(n.of, n.of.last.Load(), &sale) }
	if err := mayJoin(); err != nil {
		t.Fatalf("the last place: %v", err)
	}
	store.q.Joined++
	n.tick()
	var full *domain.Error
	if !errors.As(mayJoin(), &full) || full.Code != domain.CodeQueueFull || full.RetryAfter < 59*time.Minute {
		t.Fatalf("a full queue an hour before the opening: %+v", full)
	}
	store.pass(time.Hour)
	n.ages(time.Hour)
	for range restExchanges + 10 {
		n.step(store)
	}
	if err := mayJoin(); err != nil {
		t.Errorf("a second after the opening: %v", err)
	}
}

func TestHowManyMayWait(t *testing.T) {
	for tickets, want := range map[int64]int64{1: waitingLeast, 10_000: 2_000_000, 1 << 40: waitingMost} {
		if got := waitingMax(&domain.Sale{Classes: []domain.Class{{Capacity: tickets}}}); got != want {
			t.Errorf("%d tickets: %d may wait, want %d", tickets, got, want)
		}
	}
}
