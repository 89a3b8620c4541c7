package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"

	"boxoffice/domain"
	"boxoffice/ledger"
)

var discard = slog.New(slog.DiscardHandler)

// unit makes transfers first, first+1, …: all but the last linked.
func unit(first, events int) []tb.Transfer {
	transfers := make([]tb.Transfer, events)
	for i := range transfers {
		transfers[i].ID = tb.ToUint128(uint64(first + i))
		transfers[i].Flags = tb.TransferFlags{Linked: i < events-1}.ToUint16()
	}
	return transfers
}

// own checks that the results are those of unit(first, events).
func own(first, events int, results []tb.CreateTransferResult) error {
	if len(results) != events {
		return fmt.Errorf("%d results for %d events", len(results), events)
	}
	for i, r := range results {
		if r.Timestamp != uint64(first+i) {
			return fmt.Errorf("event %d got the result of event %d", first+i, r.Timestamp)
		}
	}
	return nil
}

// outcome is how a submission can end.
type outcome string

const (
	answered   outcome = "answered"
	notSent    outcome = "not sent"
	unknown    outcome = "unknown"
	impossible outcome = "refused for good"
)

func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return answered
	case domain.IsUnknown(err):
		return unknown
	case domain.CodeOf(err) == domain.CodeOverloaded:
		return notSent
	default:
		return impossible
	}
}

// submitted is a submission that runs.
type submitted struct {
	first, events int
	result        chan error
}

func submit(ctx context.Context, b *ledger.Batcher, first, events int) submitted {
	s := submitted{first, events, make(chan error, 1)}
	go func() {
		results, err := b.CreateTransfers(ctx, unit(first, events))
		if err == nil {
			err = own(first, events, results)
		}
		s.result <- err
	}()
	return s
}

func (s submitted) want(t *testing.T, want outcome) {
	t.Helper()
	err := <-s.result
	if got := outcomeOf(err); got != want {
		t.Errorf("unit %d: %s (%v), want %s", s.first, got, err, want)
	}
}

// inBubble runs a test in a synctest bubble, with a batcher on a fake client.
func inBubble(t *testing.T, test func(t *testing.T, f *fake, b *ledger.Batcher), options ...ledger.BatcherOption) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		test(t, f, newBatcher(t, f, options...))
	})
}

func sizes(requests [][]tb.Transfer) []int {
	n := make([]int, len(requests))
	for i, r := range requests {
		n[i] = len(r)
	}
	return n
}

func TestWhileOneRequestIsOutTheNextCollects(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		first := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		var rest []submitted
		for i := range 10 {
			rest = append(rest, submit(t.Context(), b, 100*(i+1), 3))
		}
		synctest.Wait()
		f.unblock()
		first.want(t, answered)
		for _, s := range rest {
			s.want(t, answered)
		}
		if got := fmt.Sprint(sizes(f.seen())); got != "[1 30]" {
			t.Errorf("requests of %s events, want [1 30]", got)
		}
	})
}

func TestARequestIsNeverLargerThanItMayBe(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		first := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		var rest []submitted
		for i := range 3 {
			rest = append(rest, submit(t.Context(), b, 10_000*(i+1), 5000))
		}
		synctest.Wait()
		f.unblock()
		for _, s := range append(rest, first) {
			s.want(t, answered)
		}
		if got := fmt.Sprint(sizes(f.seen())); got != "[1 5000 5000 5000]" {
			t.Errorf("requests of %s events, want a unit each", got)
		}
	})
}

func TestASmallerLimitIsLearned(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.sizeMax = 253 // as with `tigerbeetle start --development`
		for round := range 30 {
			f.block()
			units := []submitted{submit(t.Context(), b, 0, 1)}
			synctest.Wait()
			for i := range 300 {
				units = append(units, submit(t.Context(), b, 10*(i+1), 2))
			}
			synctest.Wait()
			f.unblock()
			for _, s := range units {
				s.want(t, answered)
			}
			if round == 29 {
				requests := sizes(f.seen())
				for _, n := range requests[len(requests)-3:] {
					if n > 253 {
						t.Errorf("still tries %d events: %v", n, requests)
					}
				}
				if n := requests[len(requests)-2]; n < 250 {
					t.Errorf("requests of %d events, want nearly 253: %v", n, requests)
				}
			}
		}
	})
}

func TestAUnitLargerThanTheLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		submit(t.Context(), b, 0, ledger.BatchEventsMax).want(t, answered)
		submit(t.Context(), b, 0, ledger.BatchEventsMax+1).want(t, impossible)
		f.sizeMax = 253
		submit(t.Context(), b, 0, 254).want(t, impossible)
		submit(t.Context(), b, 0, 254).want(t, impossible)
		submit(t.Context(), b, 0, 253).want(t, answered) // more than half of what failed
		if got := fmt.Sprint(sizes(f.seen())); got != "[8189 254 253]" {
			t.Errorf("requests of %s events, want [8189 254 253]", got)
		}
	})
}

func TestUnitsThatWouldChangeOthers(t *testing.T) {
	b := newBatcher(t, newFake())
	open := unit(0, 2)[:1]
	if _, err := b.CreateTransfers(t.Context(), open); outcomeOf(err) != impossible {
		t.Errorf("open chain: %v, want a definite error", err)
	}
	imported := []tb.Transfer{{Flags: tb.TransferFlags{Imported: true}.ToUint16()}}
	if _, err := b.CreateTransfers(t.Context(), imported); outcomeOf(err) != impossible {
		t.Errorf("imported: %v, want a definite error", err)
	}
	accounts := []tb.Account{{Flags: tb.AccountFlags{Linked: true}.ToUint16()}}
	if _, err := b.CreateAccounts(t.Context(), accounts); outcomeOf(err) != impossible {
		t.Errorf("open chain of accounts: %v, want a definite error", err)
	}
}

func TestAnEmptyUnit(t *testing.T) {
	f := newFake()
	b := newBatcher(t, f)
	results, err := b.CreateTransfers(t.Context(), nil)
	if err != nil || len(results) != 0 || len(f.seen()) != 0 {
		t.Errorf("= %v, %v after %d requests, want nothing", results, err, len(f.seen()))
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		out := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		queued := submit(t.Context(), b, 10, 9)
		synctest.Wait()
		start := time.Now()
		submit(t.Context(), b, 20, 2).want(t, notSent)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the refusal took %v, want it at once", waited)
		}
		fits := submit(t.Context(), b, 30, 1)
		synctest.Wait()
		f.unblock()
		for _, s := range []submitted{out, queued, fits} {
			s.want(t, answered)
		}
	}, ledger.WithQueueEventsMax(10))
}

func TestALedgerThatDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		start := time.Now()
		sent := submit(t.Context(), b, 0, 2)
		synctest.Wait()
		queued := submit(t.Context(), b, 10, 2)
		sent.want(t, unknown)
		queued.want(t, notSent)
		if waited := time.Since(start); waited != ledger.AnswerTimeout {
			t.Errorf("gave up after %v, want %v", waited, ledger.AnswerTimeout)
		}

		// The request stays unanswered. What comes meanwhile waits; once it is
		// answered, that is sent, and what was taken back is not.
		later := submit(t.Context(), b, 20, 2)
		synctest.Wait()
		if n := len(f.seen()); n != 1 {
			t.Errorf("%d requests, want the first to be still out", n)
		}
		f.unblock()
		later.want(t, answered)
		if got := fmt.Sprint(sizes(f.seen())); got != "[2 2]" {
			t.Errorf("requests of %s events, want [2 2]", got)
		}
	})
}

func TestACallerThatGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		ctx, cancel := context.WithCancel(t.Context())
		sent := submit(ctx, b, 0, 2)
		synctest.Wait()
		queued := submit(ctx, b, 10, 2)
		other := submit(t.Context(), b, 20, 2)
		synctest.Wait()
		cancel()
		sent.want(t, unknown)
		queued.want(t, notSent)
		submit(ctx, b, 30, 2).want(t, notSent) // it had given up before it came
		f.unblock()
		other.want(t, answered)
		if got := fmt.Sprint(sizes(f.seen())); got != "[2 2]" {
			t.Errorf("requests of %s events, want [2 2]", got)
		}
	})
}

func TestAnErrorOfTheClientIsUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.fail(errors.New("no idea"))
		submit(t.Context(), b, 0, 2).want(t, unknown)
		submit(t.Context(), b, 0, 2).want(t, answered)
	})
}

// lossy answers with a result too few.
type lossy struct{ *fake }

func (l lossy) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	results, err := l.fake.CreateTransfers(transfers)
	return results[:len(results)-1], err
}

func TestAnAnswerThatDoesNotFitIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(t, lossy{newFake()})
		submit(t.Context(), b, 0, 2).want(t, unknown)
	})
}

func TestAnEvictedSessionIsReplaced(t *testing.T) {
	for _, cause := range []error{tb.ErrClientEvicted, tb.ErrClientClosed, tb.ErrClientReleaseTooLow, tb.ErrClientReleaseTooHigh} {
		t.Run(cause.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old, fresh := newFake(), newFake()
				var dials atomic.Int32
				b := newBatcher(t, old, ledger.WithRedial(func(context.Context) (tb.Client, error) {
					if dials.Add(1) < 3 {
						return nil, errors.New("not yet")
					}
					return fresh, nil
				}))
				old.fail(cause)
				old.block()
				sent := submit(t.Context(), b, 0, 2)
				synctest.Wait()
				queued := submit(t.Context(), b, 10, 2)
				synctest.Wait()
				old.unblock()
				sent.want(t, unknown)
				queued.want(t, answered)
				submit(t.Context(), b, 0, 2).want(t, answered) // asked again
				if dials.Load() != 3 || len(old.seen()) != 1 || len(fresh.seen()) != 2 {
					t.Errorf("%d dials, %d requests to the old client, %d to the new, want 3, 1, 2", dials.Load(), len(old.seen()), len(fresh.seen()))
				}
				select {
				case <-old.closed:
				default:
					t.Error("the old client was not closed")
				}
			})
		})
	}
}

func TestAnEvictedSessionThatCannotBeReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.fail(tb.ErrClientEvicted)
		submit(t.Context(), b, 0, 2).want(t, unknown)
		start := time.Now()
		submit(t.Context(), b, 10, 2).want(t, notSent)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the refusal took %v, want it at once", waited)
		}
	})
}

func TestUnitsWaitForASessionOnlySoLong(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.fail(tb.ErrClientEvicted)
		submit(t.Context(), b, 0, 2).want(t, unknown)
		submit(t.Context(), b, 10, 2).want(t, notSent)
	}, ledger.WithRedial(func(context.Context) (tb.Client, error) { return nil, errors.New("nobody there") }))
}

func TestCloseSendsWhatWasAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		out := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		queued := submit(t.Context(), b, 10, 2)
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		synctest.Wait()
		submit(t.Context(), b, 20, 2).want(t, notSent)
		f.unblock()
		out.want(t, answered)
		queued.want(t, answered)
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
		submit(t.Context(), b, 30, 2).want(t, notSent)
		if err := b.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		out := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		start := time.Now()
		if err := b.Close(); !domain.IsUnknown(err) {
			t.Errorf("close = %v, want an UnknownError", err)
		}
		if waited := time.Since(start); waited > 2*ledger.AnswerTimeout {
			t.Errorf("close took %v, want at most %v", waited, 2*ledger.AnswerTimeout)
		}
		out.want(t, unknown)
	})
}

func TestLookupsKeepTheSequenceOfTheirCaller(t *testing.T) {
	b := newBatcher(t, newFake())
	accounts, err := b.LookupAccounts(t.Context(), []tb.Uint128{tb.ToUint128(4), tb.ToUint128(3), tb.ToUint128(2), tb.ToUint128(4)})
	if err != nil {
		t.Fatal(err)
	}
	if accounts[0].ID != tb.ToUint128(4) || accounts[1] != nil || accounts[2].ID != tb.ToUint128(2) || accounts[3].ID != tb.ToUint128(4) {
		t.Errorf("accounts = %v, want 4, none, 2, 4", accounts)
	}
}

// counts is an Observer.
type counts struct {
	mu                        sync.Mutex
	requests, units, events   int
	errors                    int
	refused, unanswered       int
	queueWaitMax, requestTook time.Duration
}

func (c *counts) Answered(r ledger.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.units += r.Units
	c.events += r.Events
	if r.Err != nil {
		c.errors++
	}
	c.queueWaitMax = max(c.queueWaitMax, r.QueueWait)
	c.requestTook = max(c.requestTook, r.Took)
}

func (c *counts) Refused(ledger.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
}

func (c *counts) Unanswered(ledger.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unanswered++
}

func TestTheObserverIsTold(t *testing.T) {
	observer := &counts{}
	inBubble(t, func(t *testing.T, f *fake, b *ledger.Batcher) {
		f.block()
		out := submit(t.Context(), b, 0, 1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		taken := submit(ctx, b, 10, 1)
		queued := submit(t.Context(), b, 20, 3)
		synctest.Wait()
		cancel()
		taken.want(t, notSent)
		time.Sleep(time.Second)
		f.unblock()
		out.want(t, answered)
		queued.want(t, answered)
		f.block()
		submit(t.Context(), b, 30, 1).want(t, unknown)
		f.unblock()
		synctest.Wait()

		observer.mu.Lock()
		defer observer.mu.Unlock()
		if observer.requests != 3 || observer.units != 3 || observer.events != 5 || observer.errors != 0 {
			t.Errorf("observed %d requests, %d units, %d events, %d errors, want 3, 3, 5, 0", observer.requests, observer.units, observer.events, observer.errors)
		}
		if observer.refused != 1 || observer.unanswered != 1 {
			t.Errorf("observed %d refused, %d unanswered, want 1 each", observer.refused, observer.unanswered)
		}
		if observer.queueWaitMax != time.Second || observer.requestTook != ledger.AnswerTimeout {
			t.Errorf("observed a wait of %v, a request of %v, want 1s, %v", observer.queueWaitMax, observer.requestTook, ledger.AnswerTimeout)
		}
	}, ledger.WithObserver(observer))
}

// Whatever happens, a unit reaches the ledger whole, at most once and in one
// request; whoever is told that it was answered has their own results; whoever
// is told that it was not sent is right.
func TestBatcherProperties(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.sizeMax = rapid.IntRange(20, 300).Draw(r, "sizeMax")
			queueMax := rapid.IntRange(20, 400).Draw(r, "queueMax")
			b := newBatcher(t, f, ledger.WithQueueEventsMax(queueMax))
			type told struct {
				submitted
				outcome outcome
			}
			var units []*told
			var wg sync.WaitGroup
			for i := range rapid.IntRange(1, 150).Draw(r, "units") {
				u := &told{submitted: submitted{first: 1000 * (i + 1), events: rapid.IntRange(1, 25).Draw(r, "events")}}
				wait := time.Duration(rapid.IntRange(0, 3).Draw(r, "wait")) * time.Second
				timeout := time.Duration(rapid.IntRange(1, 8).Draw(r, "timeout")) * time.Second
				units = append(units, u)
				wg.Go(func() {
					time.Sleep(wait)
					ctx, cancel := context.WithTimeout(t.Context(), timeout)
					defer cancel()
					results, err := b.CreateTransfers(ctx, unit(u.first, u.events))
					u.outcome = outcomeOf(err)
					if err == nil {
						if err := own(u.first, u.events, results); err != nil {
							r.Error(err)
						}
					}
				})
			}
			for range rapid.IntRange(0, 4).Draw(r, "outages") {
				f.block()
				time.Sleep(time.Duration(rapid.IntRange(1, 3).Draw(r, "outage")) * time.Second)
				f.unblock()
				time.Sleep(500 * time.Millisecond)
			}
			wg.Wait()
			if err := b.Close(); err != nil {
				r.Error(err)
			}
			if n := len(f.errs); n != 0 {
				r.Errorf("%d scripted errors are left", n)
			}
			whole := wholeUnits(r, f.accepted)
			for _, u := range units {
				times := whole[u.first]
				switch {
				case times > 1:
					r.Errorf("unit %d was sent %d times", u.first, times)
				case u.outcome == answered && times != 1, (u.outcome == notSent || u.outcome == impossible) && times != 0:
					r.Errorf("unit %d was %s, but sent %d times", u.first, u.outcome, times)
				case u.outcome == impossible && u.events <= f.sizeMax:
					r.Errorf("unit %d of %d events was refused for good, with a limit of %d", u.first, u.events, f.sizeMax)
				}
			}
		})
	})
}

// wholeUnits counts the units in the requests, and fails where one is cut.
func wholeUnits(r *rapid.T, requests [][]tb.Transfer) map[int]int {
	whole := map[int]int{}
	for _, request := range requests {
		for i := 0; i < len(request); {
			first, _ := request[i].ID.Uint64()
			events := 0
			for {
				if i == len(request) {
					r.Fatalf("unit %d is cut after %d events", first, events)
				}
				if id, _ := request[i].ID.Uint64(); id != first+uint64(events) {
					r.Fatalf("event %d stands within unit %d", id, first)
				}
				events++
				i++
				if !request[i-1].TransferFlags().Linked {
					break
				}
			}
			whole[int(first)]++
		}
	}
	return whole
}

func TestRequestUnitsMaxSendsOneCallerAtATime(t *testing.T) {
	f := newFake()
	b := newBatcher(t, f, ledger.WithRequestUnitsMax(1))
	f.block()
	var g sync.WaitGroup
	for i := range 5 {
		g.Go(func() {
			if _, err := b.CreateTransfers(t.Context(), []tb.Transfer{{ID: tb.ToUint128(uint64(i + 1))}}); err != nil {
				t.Error(err)
			}
		})
	}
	<-f.arrived
	f.unblock()
	g.Wait()
	for i, request := range f.seen() {
		if len(request) != 1 {
			t.Errorf("request %d carries %d transfers, want 1", i, len(request))
		}
	}
}
