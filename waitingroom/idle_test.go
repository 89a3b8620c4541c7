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

// counted runs a node whose exchanges are counted, with the database's clock beside its own.
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

func TestAQueueInWhichNobodyIsCostsNothing(t *testing.T) {
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
					t.Errorf("%d looks at it took %d exchanges", looks, got)
				}
			})
		})
	}
}

// Who queues is served as ever, and the room is quiet when all are in.
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
			t.Errorf("who came late: %+v, %v", p, err)
		}
	})
}

// A room whose database was away hears that it is back, also where nobody is in it.
func TestAnIdleRoomHearsThatTheDatabaseIsBack(t *testing.T) {
	counted(t, 24*time.Hour, func(ctx context.Context, n *node, store *memory, _ *atomic.Int64) {
		isAway := true
		store.fail = func() error {
			if isAway {
				return errBefore
			}
			return nil
		}
		if _, err := n.State(ctx, "sale"); domain.CodeOf(err) != domain.CodeOverloaded {
			t.Fatalf("while it is away: %v", err)
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

// However many queues are looked at, a new one finds room; not at the cost of one in which
// somebody is.
func TestARoomThatIsAskedForFindsRoom(t *testing.T) {
	n := newNode(t, newMemory(0), "a", free)
	if _, err := n.join(1); err != nil {
		t.Fatal(err)
	}
	n.of.asked.Store(int64(never)) // longer ago than any
	for i := n.count.Add(1); i < roomsMax; i++ {
		of := newRoom(fmt.Sprint("crawled-", i), n.mono()+time.Duration(i))
		of.took(&domain.Queue{SaleID: of.sale, Drawn: domain.QueueUndrawn}, n.mono())
		n.rooms.Store(of.sale, of)
		n.count.Add(1)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _ = n.open(ended, "asked-for") // of which nothing is known yet
	kept := func(sale string) bool { _, kept := n.rooms.Load(sale); return kept }
	if !kept("asked-for") || kept("crawled-1") || !kept("crawled-2") || !kept("sale") || n.count.Load() != roomsMax {
		t.Errorf("asked for %v, oldest %v, next %v, with people in it %v; %d rooms", kept("asked-for"), kept("crawled-1"), kept("crawled-2"), kept("sale"), n.count.Load())
	}
	n.rooms.Range(func(_, value any) bool {
		value.(*room).wanted.Store(true)
		return true
	})
	if _, _, err := n.open(ended, "one-more"); domain.CodeOf(err) != domain.CodeOverloaded || kept("one-more") {
		t.Errorf("where all are in use: %v", err)
	}
}
