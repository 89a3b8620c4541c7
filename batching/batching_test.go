package batching_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"boxoffice/batching"
)

// A desk answers twice the question, once it is let.
type desk struct {
	batching.Calls[int, int]
	begun chan int // the requests of each call
	goOn  chan struct{}
	err   error
}

func newDesk(callMax, waitingMax int) *desk {
	d := &desk{begun: make(chan int), goOn: make(chan struct{})}
	d.Timeout, d.Max, d.WaitingMax = time.Minute, callMax, waitingMax
	d.Call = func(_ context.Context, questions []int) ([]int, error) {
		d.begun <- len(questions)
		<-d.goOn
		answers := make([]int, len(questions))
		for i, q := range questions {
			answers[i] = 2 * q
		}
		return answers, d.err
	}
	return d
}

func (d *desk) awaitLine(n int) {
	for d.Waiting() < n {
		runtime.Gosched()
	}
}

// What comes while a call is under way shares the next one, as many as one may have; each
// hears their own answer.
func TestCallersShareCalls(t *testing.T) {
	const callers, callMax = 100, 60 // and one that comes first
	d := newDesk(callMax, callers)
	var asking sync.WaitGroup
	ask := func(n int) {
		asking.Go(func() {
			if got, err := d.Do(t.Context(), n); err != nil || got != 2*n {
				t.Errorf("asked %d: %d, %v", n, got, err)
			}
		})
	}
	ask(0)
	for i, want := range []int{1, callMax, callers - callMax} {
		if n := <-d.begun; n != want {
			t.Errorf("call %d has %d questions, want %d", i, n, want)
		}
		if i == 0 {
			for n := range callers {
				ask(n)
			}
			d.awaitLine(callers)
		}
		d.goOn <- struct{}{}
	}
	asking.Wait()
}

func TestWhoFindsTheLineFullIsToldSo(t *testing.T) {
	d := newDesk(1, 1)
	d.err = errors.New("down")
	var asking sync.WaitGroup
	for i := range 2 {
		asking.Go(func() {
			if _, err := d.Do(t.Context(), 1); !errors.Is(err, d.err) {
				t.Errorf("a call that fails: %v", err)
			}
		})
		if i == 0 {
			<-d.begun
		}
	}
	d.awaitLine(1)
	if _, err := d.Do(t.Context(), 1); !errors.Is(err, batching.ErrTooMany) {
		t.Errorf("a full line: %v", err)
	}
	d.goOn <- struct{}{}
	<-d.begun
	d.goOn <- struct{}{}
	asking.Wait()
}

// A caller that gives up returns at once, and the call goes on for the others.
func TestWhoGivesUpDisturbsNobody(t *testing.T) {
	d := newDesk(10, 10)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := d.Do(ctx, 1)
		gaveUp <- err
	}()
	<-d.begun
	other := make(chan int)
	go func() {
		answer, _ := d.Do(t.Context(), 21)
		other <- answer
	}()
	d.awaitLine(1)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("gave up: %v", err)
	}
	d.goOn <- struct{}{}
	<-d.begun
	d.goOn <- struct{}{}
	if answer := <-other; answer != 42 {
		t.Errorf("the other heard %d", answer)
	}
}
