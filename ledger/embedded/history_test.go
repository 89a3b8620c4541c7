package embedded_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
	"boxoffice/ledger/embedded/internal/model"
)

// observed is one request of a concurrent run and its answer.
type observed struct {
	events  []tb.Transfer
	results []tb.CreateTransferResult
}

// last is the timestamp of the request's last event.
func (o observed) last() uint64 { return o.results[len(o.results)-1].Timestamp }

// TestHistoryOfTheEngine runs many callers at once. Every result carries a
// timestamp, so the run has one order; sorted by it and replayed one by one on the
// model, it must give the same results, and no request may come before one that had
// been answered when it was sent.
func TestHistoryOfTheEngine(t *testing.T) {
	engine := open(t, "ledger", embedded.Options{
		FileSystem: disktest.New(), SnapshotLogBytes: 64 << 10, Clock: fastClock{time.Now()}, PulseInterval: time.Millisecond,
	})
	checkHistory(t, engine)
}

// TestHistoryOfARealServer does the same with a real server: what the model says
// of the engine is worth as much as what it says of the original.
func TestHistoryOfARealServer(t *testing.T) { checkHistory(t, real(t)) }

func checkHistory(t *testing.T, client tb.Client) {
	const callers, requestsEach = 16, 60
	random := seeded(t)
	accounts := make([]tb.Account, 4)
	for i, flags := range []uint16{0, accountFlagDebitsLimited, accountFlagCreditsLimited, 0} {
		accounts[i] = tb.Account{ID: tb.ID(), Ledger: 1 + random.Uint32N(1<<30), Code: 1, Flags: flags}
		accounts[i].Ledger = accounts[0].Ledger
	}
	created, err := client.CreateAccounts(accounts)
	if err != nil {
		t.Fatal(err)
	}
	createdAt := created[len(created)-1].Timestamp

	histories := make([][]observed, callers)
	var answered atomic.Uint64 // the greatest timestamp that any caller has seen
	var group sync.WaitGroup
	for c := range callers {
		w := &walker{client: client, random: rand.New(rand.NewPCG(random.Uint64(), 0)), accounts: accounts, answered: &answered}
		group.Go(func() { histories[c] = w.walk(t, requestsEach) })
	}
	group.Wait()

	all := slices.Concat(histories...)
	slices.SortFunc(all, func(a, b observed) int { return cmp.Compare(a.last(), b.last()) })
	var changes []tb.ChangeEvent
	waitFor(t, "all holds with a timeout have ended", func() bool {
		changes = allChangeEvents(t, client, createdAt)
		return allEnded(changes)
	})
	replay(t, createdAt, accounts, all, changes)
}

// fastClock runs a thousand times as fast, so that holds of a second expire during
// the test.
type fastClock struct{ start time.Time }

func (c fastClock) Now() time.Time { return c.start.Add(time.Since(c.start) * 1000) } //nolint:forbidigo // a clock

// walker is one of the callers.
type walker struct {
	client   tb.Client
	random   *rand.Rand
	accounts []tb.Account
	answered *atomic.Uint64
	holds    []tb.Uint128
}

func (w *walker) walk(t *testing.T, requests int) (history []observed) {
	for range requests {
		events := make([]tb.Transfer, 1+w.random.IntN(4))
		for i := range events {
			events[i] = w.transfer()
			if i < len(events)-1 && w.random.IntN(3) == 0 {
				events[i].Flags |= flagLinked
			}
		}
		before := w.answered.Load()
		results, err := w.client.CreateTransfers(events)
		if err != nil {
			t.Error(err)
			return nil
		}
		o := observed{events, results}
		if first := o.last() - uint64(len(events)) + 1; first <= before {
			t.Errorf("a request got timestamp %d, though %d had been answered before it was sent", first, before)
		}
		for seen := w.answered.Load(); o.last() > seen && !w.answered.CompareAndSwap(seen, o.last()); {
			seen = w.answered.Load()
		}
		history = append(history, o)
	}
	return history
}

func (w *walker) transfer() tb.Transfer {
	id := tb.ID()
	if len(w.holds) > 0 && w.random.IntN(2) == 0 {
		hold := w.holds[w.random.IntN(len(w.holds))]
		return tb.Transfer{
			ID: id, PendingID: hold, Amount: []tb.Uint128{tb.AmountMax, {}, tb.ToUint128(1)}[w.random.IntN(3)],
			Flags: []uint16{flagPost, flagVoid}[w.random.IntN(2)],
		}
	}
	t := tb.Transfer{
		ID: id, DebitAccountID: w.accounts[w.random.IntN(4)].ID, CreditAccountID: w.accounts[w.random.IntN(4)].ID,
		Amount: tb.ToUint128(w.random.Uint64N(5)), Ledger: w.accounts[0].Ledger, Code: 1,
	}
	if w.random.IntN(20) == 0 {
		t.CreditAccountID = tb.ID()
	}
	if w.random.IntN(2) == 0 {
		t.Flags = flagPending
		t.Timeout = uint32(w.random.IntN(3))
		w.holds = append(w.holds, id)
	}
	return t
}

// allChangeEvents reads page by page what happened after a timestamp.
func allChangeEvents(t *testing.T, client tb.Client, after uint64) (all []tb.ChangeEvent) {
	t.Helper()
	const page = 1000 // a server in development mode gives 1016 at most
	for {
		events, err := client.GetChangeEvents(tb.ChangeEventsFilter{TimestampMin: after + 1, Limit: page})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, events...)
		if len(events) < page {
			return all
		}
		after = all[len(all)-1].Timestamp
	}
}

// allEnded reports whether every pending transfer with a timeout was posted, voided
// or expired.
func allEnded(changes []tb.ChangeEvent) bool {
	open := map[tb.Uint128]bool{}
	for _, e := range changes {
		switch e.Type {
		case tb.ChangeEventTwoPhasePending:
			if e.TransferTimeout > 0 {
				open[e.TransferID] = true
			}
		case tb.ChangeEventTwoPhaseExpired:
			delete(open, e.TransferID)
		default:
			delete(open, e.TransferPendingID)
		}
	}
	return len(open) == 0
}

// replay executes the history in its order on the model, with the expiries where
// the engine had them.
func replay(t *testing.T, accountsAt uint64, accounts []tb.Account, history []observed, changes []tb.ChangeEvent) {
	t.Helper()
	reference := model.New(func() time.Time { return time.Unix(0, 1) })
	reference.ExecuteAccounts(accountsAt, accounts)
	var expiries []tb.ChangeEvent
	for _, e := range changes {
		if e.Type == tb.ChangeEventTwoPhaseExpired {
			expiries = append(expiries, e)
		}
	}
	expired := 0
	expireBefore := func(timestamp uint64) {
		for ; expired < len(expiries) && expiries[expired].Timestamp < timestamp; expired++ {
			if e := expiries[expired]; !reference.Expire(e.TransferID, e.Timestamp) {
				t.Fatalf("transfer %s expired at %d, where it could not", e.TransferID, e.Timestamp)
			}
		}
	}
	for _, o := range history {
		expireBefore(o.last())
		if want := reference.ExecuteTransfers(o.last(), o.events); !slices.Equal(o.results, want) {
			t.Fatalf("%s\n got %v\nwant %v", describe(o.events), o.results, want)
		}
	}
	expireBefore(1 << 63)
	if want := reference.AllChangeEvents(); !slices.Equal(changes, want) {
		t.Fatalf("%d change events, the model has %d others", len(changes), len(want))
	}
	if len(expiries) == 0 {
		t.Error("nothing expired: the test did not test that")
	}
	t.Logf("%d requests, %d expiries, %d change events", len(history), len(expiries), len(changes))
}
