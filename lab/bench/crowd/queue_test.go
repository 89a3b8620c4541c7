package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// join answers after the exchange of the nodes.
func (o *office) join(w http.ResponseWriter, r *http.Request) {
	time.Sleep(100 * time.Millisecond)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first != nil && o.first(w) {
		return
	}
	token := fmt.Sprintf("token-%d", len(o.places))
	o.places[token] = len(o.places)
	problem(w, http.StatusCreated, "10", `{"token":"`+token+`",`+o.placeOf(token)[1:])
}

func (o *office) placeOf(token string) string {
	place, status := o.places[token], "waiting"
	switch {
	case place < o.admitted:
		status = "admitted"
	case len(o.paid) == o.tickets:
		status = "sold_out"
	}
	return fmt.Sprintf(`{"sale":"storm","status":"%s","position":%d}`, status, place+1)
}

func (o *office) place(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.places[r.PathValue("token")]; !ok {
		o.t.Errorf("a read of place %q", r.PathValue("token"))
	}
	o.admitted += o.doorTurns
	problem(w, http.StatusOK, "10", o.placeOf(r.PathValue("token")))
}

// beginWatch is whether the test answers instead.
func (o *office) beginWatch(w http.ResponseWriter) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watching++
	return o.events != nil && o.events(w)
}

func (o *office) watch(w http.ResponseWriter, r *http.Request) {
	if o.beginWatch(w) {
		return
	}
	for last := ""; ; {
		o.mu.Lock()
		place := o.placeOf(r.PathValue("token"))
		o.mu.Unlock()
		if place != last {
			_, _ = io.WriteString(w, "event: place\ndata: "+place+"\n\n")
		} else {
			_, _ = io.WriteString(w, ": still here\n\n")
		}
		if http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
			return
		}
		last = place
		time.Sleep(time.Second)
	}
}

// full opens the door for n people.
func (o *office) full(admitted int) func(context.Context) error {
	return func(context.Context) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.admitted = admitted
		return nil
	}
}

func (o *office) queuePlan(buyers, live int) Plan {
	p := o.plan(buyers)
	p.Queue = &Queue{Live: live, Full: o.full(o.tickets)}
	return p
}

func TestAWaitingRoomLetsEverybodyHaveOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 10)
		p := o.queuePlan(200, 20)
		p.Spread = time.Second
		r := run(t, p)
		if r.Paid != 10 || r.SoldOut != 190 || r.OneAnswer != 200 || r.Queue.Joined != 200 || len(o.places) != 200 || len(o.checkedOut) != 10 {
			t.Errorf("%d places, %d tokens used, got %+v", len(o.places), len(o.checkedOut), r)
		}
		if r.Requests != 10 || r.Queue.Live != 20 || o.watching != 20 || r.Queue.Polls == 0 || r.Queue.Join.P50 < 99 || r.Queue.DoorSeconds < 1 {
			t.Errorf("%d checkouts, %d watched, got %+v", r.Requests, o.watching, r.Queue)
		}
		for token, n := range o.checkedOut {
			if n != 1 {
				t.Errorf("%s checked out %d times", token, n)
			}
		}
	})
}

// The measured reads are of everybody, at the rate, and decide nothing.
func TestReadsOfPlacesAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 5)
		p := o.queuePlan(50, 0)
		p.Queue.ReadsPerSecond, p.Queue.ReadFor = 100, 5*time.Second
		r := run(t, p)
		if r.Queue.Read.Count < 500 || r.Queue.ReadsPerSecond < 95 || r.Queue.ReadsPerSecond > 125 || r.OneAnswer != 50 || r.Paid != 5 {
			t.Errorf("got %+v of %+v", r.Queue, r)
		}
	})
}

func TestWhoCannotWatchPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 5)
		o.events = func(w http.ResponseWriter) bool { problem(w, 503, "3", `{"code":"overloaded"}`); return true }
		r := run(t, o.queuePlan(20, 20))
		if r.Queue.LiveRefused != 20 || o.watching != 20 || r.Queue.Polls < 20 || r.OneAnswer != 20 || r.Paid != 5 {
			t.Errorf("%d watched, got %+v of %+v", o.watching, r.Queue, r)
		}
	})
}

func TestABrokenStreamIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 5)
		broken := 0
		o.events = func(http.ResponseWriter) bool {
			if broken++; broken <= 7 {
				panic(http.ErrAbortHandler)
			}
			return false
		}
		r := run(t, o.queuePlan(20, 20))
		if r.Queue.LiveBroken != 7 || o.watching != 27 || r.OneAnswer != 20 || r.Paid != 5 {
			t.Errorf("%d watched, got %+v of %+v", o.watching, r.Queue, r)
		}
	})
}

func TestWhoComesBeforeItsTurnGoesBackToTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 3)
		o.early = 2
		r := run(t, o.queuePlan(10, 0))
		if r.Queue.SentBack != 2 || r.Paid != 3 || r.OneAnswer != 10 || r.Failed != 0 {
			t.Errorf("got %+v of %+v", r.Queue, r)
		}
	})
}

func TestAJoinThatIsNoPlaceIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 3)
		busy := 0
		o.first = func(w http.ResponseWriter) bool {
			if busy++; busy > 10 {
				return false
			}
			problem(w, 503, "1", `{"code":"overloaded"}`)
			return true
		}
		p := o.queuePlan(10, 0)
		r := run(t, p)
		if r.Busy != 10 || r.Queue.Joined != 10 || len(o.places) != 10 || r.Paid != 3 || r.OneAnswer != 10 {
			t.Errorf("%d places, got %+v of %+v", len(o.places), r.Queue, r)
		}
	})
}

func TestADoorThatCannotBeOpenedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOffice(t, 3).queuePlan(10, 2)
		shut := errors.New("shut")
		p.Queue.Full = func(context.Context) error { return shut }
		if _, err := Run(t.Context(), p); !errors.Is(err, shut) {
			t.Errorf("error %v", err)
		}
	})
}

func TestQueuesThatCannotBe(t *testing.T) {
	full := func(context.Context) error { return nil }
	for name, q := range map[string]*Queue{
		"nobody opens the door":      {},
		"more watch than there are":  {Live: 2, Full: full},
		"reads in the past":          {ReadsPerSecond: 1, ReadFor: -1, Full: full},
		"reads beyond all counting":  {ReadsPerSecond: 1e6, ReadFor: time.Hour, Full: full},
		"a number of watchers below": {Live: -1, Full: full},
	} {
		if err := q.validate(1); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}
