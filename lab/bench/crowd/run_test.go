package crowd

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func run(t *testing.T, p Plan) Result {
	t.Helper()
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverybodyGetsExactlyOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 10)
		p := o.plan(500)
		p.Spread = 2 * time.Second
		r := run(t, p)
		if r.Paid != 10 || r.Orders != 10 || len(o.paid) != 10 || r.SoldOut+r.AllHeld != 490 || r.OneAnswer != 500 || r.Unanswered != 0 {
			t.Errorf("got %+v", r)
		}
		if r.Refusals != 490 || r.Refusal.Count != 490 || r.Requests != 500 || r.Retries != 0 || len(o.asked) != 500 {
			t.Errorf("%d refusals of %d requests with %d keys", r.Refusals, r.Requests, len(o.asked))
		}
		if r.AnsweredSeconds < 1.9 || r.AnsweredSeconds > 2.1 || r.RefusalsPerSecond < 200 || r.RefusalsPerSecond > 300 {
			t.Errorf("answered after %v s, %v refusals/s; the last buyer came after 2 s", r.AnsweredSeconds, r.RefusalsPerSecond)
		}
	})
}

// A request without a final answer is repeated with the same key, when the answer says so
// or up to half of that later.
func TestWhatIsNoAnswerIsAskedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		first func(http.ResponseWriter) bool
		after time.Duration
		count func(Result) int64
	}{
		"overloaded": {func(w http.ResponseWriter) bool { problem(w, 503, "4", `{"code":"overloaded"}`); return true },
			4 * time.Second, func(r Result) int64 { return r.Busy }},
		"unknown": {func(w http.ResponseWriter) bool { problem(w, 503, "1", `{"code":"unknown"}`); return true },
			time.Second, func(r Result) int64 { return r.Busy }},
		"rate limited": {func(w http.ResponseWriter) bool { problem(w, 429, "2", `{"code":"rate_limited"}`); return true },
			2 * time.Second, func(r Result) int64 { return r.Busy }},
		"in flight": {func(w http.ResponseWriter) bool { problem(w, 409, "1", `{"code":"in_flight"}`); return true },
			time.Second, func(r Result) int64 { return r.InFlight }},
		"a broken connection": {func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
			retryAfterNoAnswer, func(r Result) int64 { return r.Lost }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, 3)
				o.first = test.first
				r := run(t, o.plan(20))
				if r.Paid != 3 || r.OneAnswer != 20 || r.Retries != 20 || test.count(r) != 20 || len(o.asked) != 20 {
					t.Errorf("%d keys, got %+v", len(o.asked), r)
				}
				for key, at := range o.askedAt {
					if wait := at[1] - at[0]; wait < test.after || wait > test.after*3/2+2*tick {
						t.Errorf("key %s came back after %v, was told %v", key, wait, test.after)
					}
				}
			})
		})
	}
}

// "All held" is a no for those without patience; the others ask with a new key.
func TestPatience(t *testing.T) {
	for name, test := range map[string]struct {
		patience, settled      time.Duration
		allHeld, soldOut, keys int64
	}{
		"none":                     {0, 30 * time.Second, 2, 0, 4},
		"for one more try":         {8 * time.Second, 30 * time.Second, 2, 0, 6},
		"until they are sold":      {time.Minute, 4 * time.Second, 0, 2, 6},
		"for less than it is told": {4 * time.Second, 30 * time.Second, 2, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, 2)
				p := o.plan(4)
				p.Connections, p.Patience = 1, test.patience
				p.Pay = func(ctx context.Context, h Held) error { time.Sleep(test.settled); return o.pay(ctx, h) }
				r := run(t, p)
				if keys := int64(len(o.asked)); r.Paid != 2 || r.AllHeld != test.allHeld || r.SoldOut != test.soldOut || keys != test.keys || r.OneAnswer != 4 {
					t.Errorf("%d keys, got %+v", keys, r)
				}
			})
		})
	}
}

func TestAPatientBuyerGetsWhatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1)
		o.comeBack = 1
		p := o.plan(2)
		p.Connections, p.Patience = 1, time.Minute
		p.Pay = func(ctx context.Context, h Held) error { time.Sleep(20 * time.Second); return o.pay(ctx, h) }
		if r := run(t, p); r.Paid != 2 || r.Retries != 1 || len(o.asked) != 3 {
			t.Errorf("%d keys, got %+v", len(o.asked), r)
		}
	})
}

// A wrong answer is final, counted as such, and never a success.
func TestWrongAnswersAreFailures(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		code   string
	}{
		"another status":         {404, `{"code":"not_found"}`, "404 not_found"},
		"a hold without order":   {201, `{"status":"held"}`, "wrong_answer"},
		"a hold that is paid":    {201, `{"order":"1","status":"paid"}`, "wrong_answer"},
		"a hold that is no JSON": {201, `<html>`, "wrong_answer"},
		"another conflict":       {409, `{"code":"not_open"}`, "409 not_open"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, 3)
				o.first = func(w http.ResponseWriter) bool { problem(w, test.status, "", test.body); return true }
				r := run(t, o.plan(2))
				if r.Failed != 2 || r.Errors[test.code] != 2 || r.Samples[test.code] == "" || r.Paid != 0 || r.OneAnswer != 2 {
					t.Errorf("got %+v, want 2 × %s", r, test.code)
				}
			})
		})
	}
}

func TestAPaymentIsReportedUntilItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 1)
		p := o.plan(1)
		deliveries := 0
		p.Pay = func(ctx context.Context, h Held) error {
			if deliveries++; deliveries < 3 {
				return &PayLater{errors.New("202")}
			}
			return o.pay(ctx, h)
		}
		r := run(t, p)
		if r.Paid != 1 || r.WebhookRetries != 2 || r.Webhook.Count != 1 || r.Settle.P50 < 2000 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestAPaymentThatEndsUnpaidIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newOffice(t, 1).plan(1)
		p.Pay = func(context.Context, Held) error { return errors.New("the order is expired") }
		if r := run(t, p); r.Paid != 0 || r.Errors["payment"] != 1 || r.OneAnswer != 1 {
			t.Errorf("got %+v", r)
		}
	})
}

// A request that finds no free connection waits, and both latencies say what
// they say.
func TestTheWaitForAConnectionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 0)
		o.takes = 100 * time.Millisecond
		p := o.plan(10)
		p.Connections = 1
		r := run(t, p)
		if r.Refusal.Max > 110 || r.RefusalDue.Max < 990 {
			t.Errorf("from sent up to %v ms, want 100; from due up to %v ms, want 1000", r.Refusal.Max, r.RefusalDue.Max)
		}
	})
}

func TestTheDeadlineLeavesPeopleUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 0)
		o.takes = time.Minute
		p := o.plan(10)
		p.Deadline, p.Timeout = 10*time.Second, time.Hour
		r := run(t, p)
		if r.Unanswered != 10 || r.OneAnswer != 0 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, 0)
		o.takes = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Run(ctx, o.plan(10)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPlansThatCannotBe(t *testing.T) {
	good := Plan{URL: "http://127.0.0.1:1", Sale: "s", Class: "A", Buyers: 1, Connections: 1, Deadline: 1, Pay: func(context.Context, Held) error { return nil }}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Plan){
		"nobody":                 func(p *Plan) { p.Buyers = 0 },
		"too many":               func(p *Plan) { p.Buyers = BuyersMax + 1 },
		"no connection":          func(p *Plan) { p.Connections = 0 },
		"too many connections":   func(p *Plan) { p.Connections = ConnectionsMax + 1 },
		"before the start":       func(p *Plan) { p.Spread = -1 },
		"a patience in the past": func(p *Plan) { p.Patience = -1 },
		"no deadline":            func(p *Plan) { p.Deadline = 0 },
		"no sale":                func(p *Plan) { p.Sale = "" },
		"no way to pay":          func(p *Plan) { p.Pay = nil },
		"an encrypted address":   func(p *Plan) { p.URL = "https://127.0.0.1" },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			change(&p)
			if _, err := Run(t.Context(), p); err == nil {
				t.Error("the plan was accepted")
			}
		})
	}
}
