package waitingroom

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// counted runs a node and counts its exchanges; the database's clock agrees with its own.
func counted(t *testing.T, opensIn time.Duration, do func(ctx context.Context, n *node, store *memory, exchanges *atomic.Int64)) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory(opensIn)
		var exchanges atomic.Int64
		began := time.Now()
		start := store.q.Now
		store.wait = func() {
			exchanges.Add(1)
			store.mu.Lock()
			defer store.mu.Unlock()
			store.q.Now = start.Add(time.Since(began))
		}
		n := newNode(t, store, "a", free)
		n.remove(n.of)
		n.count.Store(0)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- n.Run(ctx) }()
		do(ctx, n, store, &exchanges)
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

func TestAnEmptyQueueCostsNothing(t *testing.T) {
	for name, opensIn := range map[string]time.Duration{"before the opening": 24 * time.Hour, "after it": 0} {
		t.Run(name, func(t *testing.T) {
			counted(t, opensIn, func(ctx context.Context, n *node, _ *memory, exchanges *atomic.Int64) {
				const looks = 10
				for range looks {
					if _, err := n.State(ctx, "sale"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				if got := exchanges.Load(); got > 2*looks {
					t.Errorf("%d reads of it took %d exchanges", looks, got)
				}
			})
		})
	}
}

// People in the queue are served as usual, and the room is quiet when all are in.
func TestARoomIsBusyWhileSomebodyQueues(t *testing.T) {
	counted(t, time.Minute, func(ctx context.Context, n *node, store *memory, exchanges *atomic.Int64) {
		token, _, err := n.Join(ctx, testSale)
		if err != nil {
			t.Fatal(err)
		}
		var status Status
		for range 62 {
			time.Sleep(time.Second)
			p, err := n.Place(ctx, token)
			if err != nil {
				t.Fatal(err)
			}
			status = p.Status
		}
		if status != StatusAdmitted {
			t.Fatalf("two seconds after the opening: %s", status)
		}
		time.Sleep(time.Minute)
		before := exchanges.Load()
		time.Sleep(10 * time.Second)
		if got := exchanges.Load() - before; got != 0 {
			t.Errorf("%d exchanges for nobody", got)
		}
		late, _, err := n.Join(ctx, testSale)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if p, err := n.Place(ctx, late); err != nil || p.Status != StatusAdmitted {
			t.Errorf("somebody who came late: %+v, %v", p, err)
		}
	})
}

// A room notices that its database is back, even if nobody is in it.
func TestAnIdleRoomNoticesThatTheDatabaseIsBack(t *testing.T) {
	counted(t, 24*time.Hour, func(ctx context.Context, n *node, store *memory, _ *atomic.Int64) {
		isAway := true
		store.fail = func() error {
			if isAway {
				return errBefore
			}
			return nil
		}
		if _, err := n.State(ctx, "sale"); domain.CodeOf(err) != domain.CodeOverloaded {
			t.Fatalf("while it is down: %v", err)
		}
		store.mu.Lock()
		isAway = false
		store.mu.Unlock()
		time.Sleep(exchangeRetry + 2*ExchangeInterval)
		if _, err := n.State(ctx, "sale"); err != nil {
			t.Error(err)
		}
	})
}

// However many queues are read, there is room for a new one, but never at the cost of one
// with people in it.
func TestThereIsMemoryForANewRoom(t *testing.T) {
	n := newNode(t, newMemory(0), "a", free)
	if _, err := n.join(1); err != nil {
		t.Fatal(err)
	}
	n.of.asked.Store(int64(never)) // the longest ago
	for i := n.count.Add(1); i < roomsMax; i++ {
		of := newRoom(fmt.Sprint("crawled-", i), n.mono()+time.Duration(i))
		of.took(&domain.Queue{SaleID: of.sale, Drawn: domain.QueueUndrawn}, n.mono())
		n.rooms.Store(of.sale, of)
		n.count.Add(1)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _ = n.open(ended, "asked-for") // about which nothing is known yet
	kept := func(sale string) bool { _, kept := n.rooms.Load(sale); return kept }
	if !kept("asked-for") || kept("crawled-1") || !kept("crawled-2") || !kept("sale") || n.count.Load() != roomsMax {
		t.Errorf("new %v, oldest %v, next %v, with people in it %v; %d rooms", kept("asked-for"), kept("crawled-1"), kept("crawled-2"), kept("sale"), n.count.Load())
	}
	n.rooms.Range(func(_, value any) bool {
		value.(*room).wanted.Store(true)
		return true
	})
	if _, _, err := n.open(ended, "one-more"); domain.CodeOf(err) != domain.CodeOverloaded || kept("one-more") {
		t.Errorf("where all are in use: %v", err)
	}
}
