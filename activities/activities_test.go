package activities_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"pgregory.net/rapid"

	"boxoffice/activities"
	"boxoffice/domain"
)

// scripted gives scripted answers and records its calls in order.
type scripted struct {
	activities.Ledger
	activities.Orders
	activities.Provider
	calls []string

	heldAt time.Time
	post   domain.PostOutcome
	rebook domain.RebookOutcome
	void   domain.VoidOutcome
	unsold domain.UnsoldReason // what stands from before
	fate   domain.SeatFate
	sold   *domain.SoldOrder
	fail   map[string]error
}

func (s *scripted) call(name string) error {
	s.calls = append(s.calls, name)
	return s.fail[name]
}

func (s *scripted) Hold(context.Context, *domain.Order) (domain.Hold, error) {
	return domain.Hold{Outcome: domain.HoldHeld, HeldAt: s.heldAt}, s.call("hold")
}
func (s *scripted) Post(context.Context, *domain.Order) (domain.PostOutcome, error) {
	return s.post, s.call("post")
}
func (s *scripted) Rebook(context.Context, *domain.Order) (domain.RebookOutcome, error) {
	return s.rebook, s.call("rebook")
}
func (s *scripted) TakePerk(context.Context, *domain.Order) (bool, error) {
	return true, s.call("perk")
}
func (s *scripted) Record(context.Context, domain.Sold) (domain.SoldOrder, error) {
	return domain.SoldOrder{PerkTaken: true}, s.call("record")
}
func (s *scripted) SeatFate(context.Context, domain.OrderID) (domain.SeatFate, error) {
	return cmp.Or(s.fate, domain.SeatsReleased), s.fail["fate"]
}
func (s *scripted) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	if s.sold != nil {
		return *s.sold, s.call("order")
	}
	return domain.SoldOrder{}, s.call("order")
}
func (s *scripted) Return(context.Context, *domain.SoldOrder) error { return s.call("return") }
func (s *scripted) Unsell(_ context.Context, _ *domain.Order, _ domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error) {
	return cmp.Or(s.unsold, why), s.call("unsell")
}
func (s *scripted) BeginRefund(context.Context, domain.Refund) error { return s.call("begin") }
func (s *scripted) Void(context.Context, *domain.Order) (domain.VoidOutcome, error) {
	return s.void, s.call("void")
}
func (s *scripted) FinishRefund(context.Context, string, time.Time) error { return s.call("finish") }
func (s *scripted) Refund(context.Context, domain.Refund) error           { return s.call("refund") }

func setup(script scripted) (*activities.Activities, *scripted) {
	s := &script
	return &activities.Activities{Ledger: s, Orders: s, Provider: s, Notices: activities.NewHoldNotices()}, s
}

var order = domain.Order{ID: domain.OrderID{1}}

// forGood is what the database answers to rows that it will never take.
var forGood = &domain.Error{Code: domain.CodeInternal, Detail: "check violation"}

func TestWhatMustBeLookedIntoIsFlagged(t *testing.T) {
	wrong := domain.Refund{Reason: domain.RefundWrongAmount, Capture: domain.Capture{Order: order.ID}}
	noOrder := map[string]error{"record": forGood, "order": domain.NotFound("order")}
	tests := []struct {
		name   string
		script scripted
		do     func(context.Context, *activities.Activities) (any, error)
		want   any
		flags  []activities.Flag
	}{
		{"a paid order that cannot be recorded", scripted{post: domain.PostPosted, fail: noOrder}, settle,
			activities.Settled{Outcome: activities.SettleUnrecordable}, []activities.Flag{activities.FlagUnrecordable}},
		{"a sale, not", scripted{post: domain.PostPosted}, settle,
			activities.Settled{Outcome: activities.SettleSold, PerkTaken: true}, nil},
		{"seats that nobody paid for", scripted{fail: noOrder}, unsell,
			activities.Settled{Outcome: activities.SettleUnpaid}, []activities.Flag{activities.FlagUnpaidPost}},
		{"seats that somebody paid for, not: they stay", scripted{sold: &domain.SoldOrder{Capture: domain.Capture{Payment: "pay_1"}}}, unsell,
			activities.Settled{Outcome: activities.SettleSoldBefore, Payment: "pay_1"}, nil},
		{"money of a wrong amount", scripted{}, begin(wrong), activities.RefundDue{Due: true}, []activities.Flag{activities.FlagWrongAmount}},
		{"any other money that goes back, not", scripted{}, begin(domain.Refund{Reason: domain.RefundNoneLeft}), activities.RefundDue{Due: true}, nil},
		{"a refund that cannot be recorded goes back all the same", scripted{fail: map[string]error{"begin": forGood}}, begin(domain.Refund{}),
			activities.RefundDue{Due: true, Unrecorded: true}, []activities.Flag{activities.FlagUnrecordedRefund}},
		{"money of an order whose record is lost: it stays", scripted{fate: domain.SeatsSold, fail: noOrder}, beginLost, activities.RefundDue{}, []activities.Flag{activities.FlagRecordLost}},
		{"a payment that bought tickets stays", scripted{fail: map[string]error{"begin": &domain.Error{Code: domain.CodeExists}}}, begin(domain.Refund{}),
			activities.RefundDue{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			acts, _ := setup(tt.script)
			var flags []activities.Flag
			acts.Flagged = func(flag activities.Flag, _ domain.OrderID, why error) {
				if why == nil {
					t.Fatal("no error, want one")
				}
				flags = append(flags, flag)
			}
			got, err := tt.do(t.Context(), acts)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			if !reflect.DeepEqual(flags, tt.flags) {
				t.Fatalf("flags is %q, want %q", flags, tt.flags)
			}
			for _, flag := range flags {
				if !slices.Contains(activities.Flags, flag) {
					t.Fatalf("no %q in %q: shown as 0 until it happens", flag, activities.Flags)
				}
			}
		})
	}
}

func settle(ctx context.Context, a *activities.Activities) (any, error) {
	return a.Settle(ctx, activities.Settlement{Order: order, Booking: domain.BookedByHold})
}

func unsell(ctx context.Context, a *activities.Activities) (any, error) {
	return a.Unsell(ctx, activities.EndRequest{Order: order})
}

func begin(refund domain.Refund) func(context.Context, *activities.Activities) (any, error) {
	return func(ctx context.Context, a *activities.Activities) (any, error) {
		return a.RecordRefundDue(ctx, refund)
	}
}

// beginLost is begin for an unknown outcome; the error comes from elsewhere.
func beginLost(ctx context.Context, a *activities.Activities) (any, error) {
	due, _ := a.RecordRefundDue(ctx, domain.Refund{Reason: domain.RefundNoneLeft})
	return due, nil
}

func TestSettle(t *testing.T) {
	unknown := &domain.UnknownError{Op: "x", ID: "y", Err: context.DeadlineExceeded}
	tests := []struct {
		name    string
		script  scripted
		booking domain.Booking
		want    activities.Settled
		calls   []string
		err     domain.Code
	}{
		{"a seat is sold before its ticket is recorded", scripted{post: domain.PostPosted}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleSold, PerkTaken: true, Payment: "pay_1"}, []string{"post", "perk", "record"}, ""},
		{"nothing is recorded when the hold is gone", scripted{post: domain.PostGone}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleNoSeats}, []string{"post"}, ""},
		{"nothing is recorded when the post's outcome is unknown", scripted{post: "", fail: map[string]error{"post": unknown}}, domain.BookedByHold,
			activities.Settled{}, []string{"post"}, domain.CodeUnknown},
		{"not settled while the perk is unknown", scripted{post: domain.PostPosted, fail: map[string]error{"perk": unknown}}, domain.BookedByHold,
			activities.Settled{}, []string{"post", "perk"}, domain.CodeUnknown},
		{"not settled while it is not recorded", scripted{post: domain.PostPosted, fail: map[string]error{"record": errors.New("down")}}, domain.BookedByHold,
			activities.Settled{}, []string{"post", "perk", "record"}, domain.CodeInternal},
		{"rebooked", scripted{rebook: domain.RebookBooked}, domain.BookedByRebook,
			activities.Settled{Outcome: activities.SettleSold, PerkTaken: true, Payment: "pay_1"}, []string{"rebook", "perk", "record"}, ""},
		{"none left to rebook", scripted{rebook: domain.RebookNoneLeft}, domain.BookedByRebook,
			activities.Settled{Outcome: activities.SettleNoSeats}, []string{"rebook"}, ""},
		{"another payment bought it: its seats stay", scripted{post: domain.PostPosted, fail: map[string]error{"record": &domain.Error{Code: domain.CodeExists}},
			sold: &domain.SoldOrder{Capture: domain.Capture{Payment: "pay_0"}}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleSoldBefore, Payment: "pay_0"}, []string{"post", "perk", "record", "order"}, ""},
		{"this payment goes back: the seats are returned", scripted{post: domain.PostPosted, fail: map[string]error{
			"record": &domain.Error{Code: domain.CodeExists}, "order": domain.NotFound("order")}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleRefunding, Payment: "pay_1"}, []string{"post", "perk", "record", "order", "unsell"}, ""},
		{"not settled while the seats are not returned", scripted{post: domain.PostPosted, fail: map[string]error{
			"record": &domain.Error{Code: domain.CodeExists}, "order": domain.NotFound("order"), "unsell": unknown}}, domain.BookedByHold,
			activities.Settled{}, []string{"post", "perk", "record", "order", "unsell"}, domain.CodeUnknown},
		{"the database will never take it: nothing is left behind", scripted{post: domain.PostPosted, fail: map[string]error{
			"record": forGood, "order": domain.NotFound("order")}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleUnrecordable, Payment: "pay_1"}, []string{"post", "perk", "record", "order", "unsell"}, ""},
		{"an earlier attempt had begun to take it back: that is finished, and the answer is its own", scripted{post: domain.PostReturned,
			unsold: domain.UnsoldUnrecordable, fail: map[string]error{"order": domain.NotFound("order")}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleUnrecordable, Payment: "pay_1"}, []string{"post", "order", "unsell"}, ""},
		{"the same of a payment that goes back", scripted{rebook: domain.RebookReturned,
			unsold: domain.UnsoldRefunding, fail: map[string]error{"order": domain.NotFound("order")}}, domain.BookedByRebook,
			activities.Settled{Outcome: activities.SettleRefunding, Payment: "pay_1"}, []string{"rebook", "order", "unsell"}, ""},
		{"given back for want of a payment, which comes now", scripted{post: domain.PostReturned,
			unsold: domain.UnsoldUnpaid, fail: map[string]error{"order": domain.NotFound("order")}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleNoSeats}, []string{"post", "order", "unsell"}, ""},
		{"sold to this payment, and refunded before the answer was heard", scripted{post: domain.PostReturned,
			sold: &domain.SoldOrder{PerkTaken: true, Capture: domain.Capture{Payment: "pay_1"}}}, domain.BookedByHold,
			activities.Settled{Outcome: activities.SettleSold, PerkTaken: true, Payment: "pay_1"}, []string{"post", "order"}, ""},
		{"the same of a capture that is not for the order", scripted{rebook: domain.RebookBooked, fail: map[string]error{
			"record": domain.Invalid("payment", "must pay"), "order": domain.NotFound("order")}}, domain.BookedByRebook,
			activities.Settled{Outcome: activities.SettleUnrecordable, Payment: "pay_1"}, []string{"rebook", "perk", "record", "order", "unsell"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			acts, script := setup(tt.script)
			got, err := acts.Settle(t.Context(), activities.Settlement{
				Order: order, Booking: tt.booking, Capture: domain.Capture{Payment: "pay_1"},
			})
			if tt.err == "" {
				if got != tt.want {
					t.Fatalf("got %+v, want %+v", got, tt.want)
				}
			}
			if !reflect.DeepEqual(script.calls, tt.calls) {
				t.Fatalf("script.calls is %q, want %q", script.calls, tt.calls)
			}
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if got := failed.Type(); got != string(tt.err) {
				t.Fatalf("failed.Type() is %q, want %q", got, string(tt.err))
			}
			if failed.NonRetryable() {
				t.Fatal("want false: failed.NonRetryable(): what may succeed later is retried")
			}
		})
	}
}

func TestOnlyWhatCanNeverSucceedIsNotRetried(t *testing.T) {
	for err, retried := range map[error]bool{
		&domain.UnknownError{Err: context.DeadlineExceeded}: true,
		&domain.Error{Code: domain.CodeOverloaded}:          true,
		errors.New("connection refused"):                    true,
		&domain.Error{Code: domain.CodeInternal}:            false,
		&domain.Error{Code: domain.CodeInvalid}:             false,
		&domain.Error{Code: domain.CodeKeyReused}:           false,
	} {
		t.Run(err.Error(), func(t *testing.T) {
			acts, _ := setup(scripted{fail: map[string]error{"hold": err}})
			_, got := acts.Hold(t.Context(), activities.HoldRequest{Order: order})
			var failed *temporal.ApplicationError
			if !errors.As(got, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", got, failed, got)
			}
			if got := !failed.NonRetryable(); got != retried {
				t.Fatalf("!failed.NonRetryable() is %v, want %v", got, retried)
			}
		})
	}
}

func TestWhatTheProviderRefusesStaysDue(t *testing.T) {
	acts, _ := setup(scripted{fail: map[string]error{"refund": &domain.Error{Code: domain.CodeInvalid}}})
	var failed *temporal.ApplicationError
	_, err := acts.RefundPayment(t.Context(), activities.RefundCall{})
	if !errors.As(err, &failed) {
		t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
	}
	if failed.NonRetryable() {
		t.Fatal("want false: failed.NonRetryable()")
	}
}

// A provider that says when it takes requests again is asked then, and not after the minutes that a refund of an outage waits.
func TestARefundWaitsAsLongAsTheProviderSays(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want time.Duration
	}{
		"it is held back":  {&domain.Error{Code: domain.CodeOverloaded, RetryAfter: 7 * time.Second}, 7 * time.Second},
		"nobody says when": {&domain.Error{Code: domain.CodeOverloaded}, 0},
		"an outage":        {&domain.UnknownError{Op: "refund"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			acts, _ := setup(scripted{fail: map[string]error{"refund": tt.err}})
			_, err := acts.RefundPayment(t.Context(), activities.RefundCall{})
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) || failed.NonRetryable() || failed.NextRetryDelay() != tt.want || failed.Type() != string(domain.CodeOf(tt.err)) {
				t.Errorf("%v, want it retried after %s", err, tt.want)
			}
		})
	}
}

// A payment that the provider has shown, or that bought tickets, and does not know
// when it is to go back: another account may answer. Money is not done with by that.
func TestARefundOfWhatTheProviderDoesNotKnow(t *testing.T) {
	for name, confirmed := range map[string]bool{"confirmed: it stays due": true, "only an event spoke of it: it was never taken": false} {
		t.Run(name, func(t *testing.T) {
			acts, _ := setup(scripted{fail: map[string]error{"refund": domain.NotFound("payment")}})
			var flags []activities.Flag
			acts.Flagged = func(flag activities.Flag, _ domain.OrderID, _ error) { flags = append(flags, flag) }
			given, err := acts.RefundPayment(t.Context(), activities.RefundCall{Confirmed: confirmed})
			if want := []activities.Flag{activities.FlagRefundUnknown}; !reflect.DeepEqual(flags, want) {
				t.Fatalf("flags is %q, want %q: an alarm in either case", flags, want)
			}
			if !confirmed {
				if err != nil {
					t.Fatal(err)
				}
				if !given.Untaken {
					t.Fatal("want true: given.Untaken")
				}
				return
			}
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if failed.NonRetryable() {
				t.Fatal("want false: failed.NonRetryable()")
			}
			if given.Untaken {
				t.Fatal("want false: given.Untaken")
			}
		})
	}
}

// A fault of ours, such as a status of the ledger that this release does not know,
// does not end a workflow that has somebody's money.
func TestStepsWithMoneyWaitForAReleaseThatKnowsBetter(t *testing.T) {
	fault := &domain.Error{Code: domain.CodeInternal, Detail: "The ledger answered with a status of a later release."}
	steps := []struct {
		name, fails string
		do          func(*activities.Activities) error
	}{
		{"settle: post", "post", func(a *activities.Activities) error {
			_, err := a.Settle(t.Context(), activities.Settlement{Booking: domain.BookedByHold})
			return err
		}},
		{"settle: rebook", "rebook", func(a *activities.Activities) error {
			_, err := a.Settle(t.Context(), activities.Settlement{Booking: domain.BookedByRebook})
			return err
		}},
		{"settle: perk", "perk", func(a *activities.Activities) error {
			_, err := a.Settle(t.Context(), activities.Settlement{Booking: domain.BookedByHold})
			return err
		}},
		{"release", "void", func(a *activities.Activities) error {
			_, err := a.Release(t.Context(), activities.EndRequest{Order: order})
			return err
		}},
		{"unsell", "unsell", func(a *activities.Activities) error {
			_, err := a.Unsell(t.Context(), activities.EndRequest{Order: order})
			return err
		}},
		{"find the sale", "order", func(a *activities.Activities) error { _, err := a.FindSale(t.Context(), order.ID); return err }},
		{"return the seats", "return", func(a *activities.Activities) error { return a.ReturnSeats(t.Context(), domain.SoldOrder{}) }},
		{"note a refund as done", "finish", func(a *activities.Activities) error {
			return a.RecordRefundDone(t.Context(), activities.RefundDone{})
		}},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			fail := map[string]error{tt.fails: fault}
			if tt.fails == "unsell" {
				fail["order"] = domain.NotFound("order")
			}
			acts, _ := setup(scripted{post: domain.PostPosted, rebook: domain.RebookBooked, fail: fail})
			var flags []activities.Flag
			acts.Flagged = func(flag activities.Flag, _ domain.OrderID, _ error) { flags = append(flags, flag) }
			var failed *temporal.ApplicationError
			if err := tt.do(acts); !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if failed.NonRetryable() {
				t.Fatal("want false: failed.NonRetryable()")
			}
			if !slices.Contains(flags, activities.FlagStuck) {
				t.Fatalf("no %q in %q", activities.FlagStuck, flags)
			}
		})
	}
}

func TestFindSale(t *testing.T) {
	tests := []struct {
		name   string
		script scripted
		want   activities.Settled
		err    bool
	}{
		{"recorded", scripted{sold: &domain.SoldOrder{PerkTaken: true, Capture: domain.Capture{Payment: "pay_1"}}},
			activities.Settled{Outcome: activities.SettleSoldBefore, PerkTaken: true, Payment: "pay_1"}, false},
		{"not recorded", scripted{fail: map[string]error{"order": domain.NotFound("order")}}, activities.Settled{Outcome: activities.SettleUnpaid}, false},
		{"not known while the database is down", scripted{fail: map[string]error{"order": errors.New("down")}}, activities.Settled{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			acts, _ := setup(tt.script)
			got, err := acts.FindSale(t.Context(), order.ID)
			if got != tt.want {
				t.Fatalf("got %+v, want %+v", got, tt.want)
			}
			if (err != nil) != tt.err {
				t.Fatalf("err != nil is %v, want %v: %v", err != nil, tt.err, err)
			}
		})
	}
}

// The provider is told only after the refund is recorded, so that no money goes back unseen.
func TestARefundIsNotDueWhileItIsNotNoted(t *testing.T) {
	acts, _ := setup(scripted{fail: map[string]error{"begin": errors.New("down")}})
	due, err := acts.RecordRefundDue(t.Context(), domain.Refund{Reason: domain.RefundNoneLeft})
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) {
		t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
	}
	if failed.NonRetryable() {
		t.Fatal("want false: failed.NonRetryable()")
	}
	if want := (activities.RefundDue{}); due != want {
		t.Fatalf("due is %+v, want %+v", due, want)
	}
}

func TestRefundPayment(t *testing.T) {
	acts, script := setup(scripted{})
	given, err := acts.RefundPayment(t.Context(), activities.RefundCall{})
	if err != nil {
		t.Fatal(err)
	}
	if given.Untaken {
		t.Fatal("want false: given.Untaken")
	}
	if want := []string{"refund"}; !reflect.DeepEqual(script.calls, want) {
		t.Fatalf("script.calls is %q, want %q", script.calls, want)
	}
}

func TestHoldWakesWhoWaitsForIt(t *testing.T) {
	acts, _ := setup(scripted{})
	notice, cancel := acts.Notices.Subscribe(order.ID)
	defer cancel()
	second, cancelSecond := acts.Notices.Subscribe(order.ID)
	defer cancelSecond()
	if second != nil {
		t.Fatalf("second is %+v, want nil: the first is served, the other asks the workflow", second)
	}

	_, err := acts.Hold(t.Context(), activities.HoldRequest{Order: order})
	if err != nil {
		t.Fatal(err)
	}
	_, err = acts.Hold(t.Context(), activities.HoldRequest{Order: order}) // an attempt more does not block
	if err != nil {
		t.Fatal(err)
	}
	select {
	case hold := <-notice:
		if hold.Outcome != domain.HoldHeld {
			t.Fatalf("hold.Outcome is %q, want %q", hold.Outcome, domain.HoldHeld)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
}

// The checkout's deadline is by Temporal's clock. The ledger's timestamp is believed
// only within what that clock says is possible.
func TestTheDeadlineIsByTemporalsClock(t *testing.T) {
	begun := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		heldAt, begunAt, askedAt time.Time
		want                     time.Time // the deadline, less the hold timeout
	}{
		"held at once":                      {begun.Add(time.Millisecond), begun, begun, begun},
		"held after an outage":              {begun.Add(time.Hour + time.Millisecond), begun, begun.Add(time.Hour), begun.Add(time.Hour)},
		"held before an outage":             {begun.Add(time.Millisecond), begun, begun.Add(time.Hour), begun.Add(time.Millisecond)},
		"the ledger is ahead":               {begun.Add(time.Hour), begun, begun.Add(time.Second), begun.Add(time.Second)},
		"the ledger is behind":              {begun.Add(-time.Hour), begun, begun.Add(time.Second), begun},
		"requested by the previous release": {begun.Add(time.Hour), time.Time{}, time.Time{}, begun.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			acts, _ := setup(scripted{heldAt: c.heldAt})
			request := activities.HoldRequest{Order: order, BegunAt: c.begunAt, AskedAt: c.askedAt}
			request.HoldTimeout = 5 * time.Minute
			hold, err := acts.Hold(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			if want := c.want.Add(request.HoldTimeout); !reflect.DeepEqual(hold.ExpiresAt, want) {
				t.Fatalf("hold.ExpiresAt is %v, want %v", hold.ExpiresAt, want)
			}
		})
	}
}

// Nobody who was told a deadline loses the tickets to an earlier one, and the ledger
// never frees the seats before it, whatever is between two attempts.
func TestHoldsAskedForAgainAndAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		upTo := func(most time.Duration, name string) time.Duration {
			return time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, name))
		}
		begun := time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
		skew := upTo(2*domain.ClockSkewMax, "skew") - domain.ClockSkewMax
		asked := begun.Add(upTo(time.Hour, "waited for a worker"))
		placed := asked.Add(upTo(10*time.Second, "waited for the ledger"))
		acts, _ := setup(scripted{heldAt: placed.Add(skew)})
		request := activities.HoldRequest{Order: order, BegunAt: begun}
		request.HoldTimeout = 5 * time.Minute
		last := begun.Add(request.HoldTimeout)
		for range rapid.IntRange(1, 4).Draw(t, "attempts") {
			request.AskedAt = asked
			hold, err := acts.Hold(context.Background(), request)
			if err != nil || hold.ExpiresAt.Before(last) {
				t.Fatalf("deadline %v, %v, after %v was told", hold.ExpiresAt, err, last)
			}
			if freed := placed.Add(request.HoldTimeout + domain.HoldGraceMin); freed.Sub(hold.ExpiresAt) < domain.HoldGraceMin-domain.ClockSkewMax {
				t.Fatalf("deadline %v, and the ledger frees the seats at %v", hold.ExpiresAt, freed)
			}
			last = hold.ExpiresAt
			asked = asked.Add(upTo(time.Hour, "outage"))
		}
	})
}

// A worker of the previous release accepts an Order, and one of this release what that
// asked for.
func TestAHoldIsAskedForAcrossReleases(t *testing.T) {
	full := order
	full.Email, full.HoldTimeout, full.Lines = "a@example.com", time.Minute, []domain.Line{{Class: "A", Ledger: 7, Quantity: 2}}
	now := time.Now().UTC()
	raw, err := json.Marshal(activities.HoldRequest{Order: full, BegunAt: now, AskedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	var before domain.Order
	if err := json.Unmarshal(raw, &before); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, full) {
		t.Fatalf("before is %+v, want %+v", before, full)
	}

	raw, err = json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	var request activities.HoldRequest
	if err := json.Unmarshal(raw, &request); err != nil {
		t.Fatal(err)
	}
	if want := (activities.HoldRequest{Order: full}); !reflect.DeepEqual(request, want) {
		t.Fatalf("request is %+v, want %+v", request, want)
	}
}

func TestHoldWithoutAnAPI(t *testing.T) {
	acts, _ := setup(scripted{})
	acts.Notices = nil
	_, err := acts.Hold(t.Context(), activities.HoldRequest{Order: order})
	if err != nil {
		t.Fatal(err)
	}
	notice, cancel := acts.Notices.Subscribe(order.ID)
	defer cancel()
	if notice != nil {
		t.Fatalf("notice is %+v, want nil: the caller asks the workflow", notice)
	}
}

// Money goes back only where it is known that it bought nothing. Whatever is not
// known waits.
func TestARefundIsDueOnPositiveEvidence(t *testing.T) {
	recorded := func(payment string) *domain.SoldOrder {
		return &domain.SoldOrder{Status: domain.OrderPaid, Capture: domain.Capture{Payment: payment}}
	}
	const due, waits, bought = "due", "waits", "bought tickets"
	notRecorded := map[string]error{"order": domain.NotFound("order")}
	away := &domain.UnknownError{Op: "look up", Err: errors.New("no answer")}
	exists := map[string]error{"begin": &domain.Error{Code: domain.CodeExists}}
	for _, tt := range []struct {
		name   string
		script scripted
		reason domain.RefundReason
		want   string
	}{
		{"never held", scripted{fate: domain.SeatsNeverHeld}, domain.RefundUnknownOrder, due},
		{"voided or expired", scripted{fate: domain.SeatsReleased}, domain.RefundNoneLeft, due},
		{"sold and given back", scripted{fate: domain.SeatsReturned}, domain.RefundUnrecordable, due},
		{"sold, and recorded with another payment", scripted{fate: domain.SeatsSold, sold: recorded("pay_0")}, domain.RefundSecondCapture, due},
		{"sold, and recorded with this one", scripted{fate: domain.SeatsSold, sold: recorded("pay_1"), fail: exists}, domain.RefundUnknownOrder, bought},
		{"sold, and not recorded: of no known order", scripted{fate: domain.SeatsSold, fail: notRecorded}, domain.RefundUnknownOrder, waits},
		{"sold, and not recorded: whatever its workflow said", scripted{fate: domain.SeatsSold, fail: notRecorded}, domain.RefundCanceled, waits},
		{"held, of no known order", scripted{fate: domain.SeatsHeld}, domain.RefundUnknownOrder, waits},
		{"held, of a wrong amount: the hold waits for the right one", scripted{fate: domain.SeatsHeld}, domain.RefundWrongAmount, due},
		{"a fate of a later release", scripted{fate: "lent", fail: notRecorded}, domain.RefundNoneLeft, waits},
		{"the ledger is down", scripted{fail: map[string]error{"fate": away}}, domain.RefundNoneLeft, waits},
		{"the database is down", scripted{fate: domain.SeatsSold, fail: map[string]error{"order": errors.New("away")}}, domain.RefundNoneLeft, waits},
	} {
		t.Run(tt.name, func(t *testing.T) {
			acts, script := setup(tt.script)
			got, err := acts.RecordRefundDue(t.Context(), domain.Refund{Reason: tt.reason, Capture: domain.Capture{Payment: "pay_1", Order: order.ID}})
			if tt.want != waits {
				if err != nil {
					t.Fatal(err)
				}
				if want := (activities.RefundDue{Due: tt.want == due}); got != want {
					t.Fatalf("got %+v, want %+v", got, want)
				}
				return
			}
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if failed.NonRetryable() {
				t.Fatal("want false: failed.NonRetryable(): it is asked again until it is known")
			}
			if slices.Contains(script.calls, "begin") {
				t.Fatalf("%q is in %q: nothing is noted as due", "begin", script.calls)
			}
		})
	}
}

// What another part answers and this release does not know refuses nothing and gives
// nothing back: the step is retried, and an operator is told.
func TestAnAnswerThatIsNotKnownIsNoNo(t *testing.T) {
	rebook := func(ctx context.Context, a *activities.Activities) (any, error) {
		return a.Settle(ctx, activities.Settlement{Order: order, Booking: domain.BookedByRebook})
	}
	otherwise := func(ctx context.Context, a *activities.Activities) (any, error) {
		return a.Settle(ctx, activities.Settlement{Order: order, Booking: "by_lot"})
	}
	for _, tt := range []struct {
		name   string
		script scripted
		do     func(context.Context, *activities.Activities) (any, error)
		calls  []string
	}{
		{"to a post", scripted{post: "in_part"}, settle, []string{"post"}},
		{"none to a post", scripted{}, settle, []string{"post"}},
		{"to a rebooking", scripted{rebook: "in_part"}, rebook, []string{"rebook"}},
		{"a way to book", scripted{}, otherwise, nil},
		{"why seats went back", scripted{post: domain.PostReturned, unsold: "mood", fail: map[string]error{"order": domain.NotFound("order")}}, settle,
			[]string{"post", "order", "unsell"}},
		{"what became of the seats", scripted{fate: "on_loan"}, begin(domain.Refund{}), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			acts, script := setup(tt.script)
			var flags []activities.Flag
			acts.Flagged = func(flag activities.Flag, _ domain.OrderID, _ error) { flags = append(flags, flag) }
			_, err := tt.do(t.Context(), acts)
			if err == nil || !strings.Contains(err.Error(), "this release does not know") {
				t.Fatalf("the error is %v, want %q in it", err, "this release does not know")
			}
			var failed *temporal.ApplicationError
			if !errors.As(err, &failed) {
				t.Fatalf("the error is a %T, want a %T: %v", err, failed, err)
			}
			if failed.NonRetryable() {
				t.Fatal("want false: failed.NonRetryable(): a release that knows it goes on")
			}
			if !reflect.DeepEqual(script.calls, tt.calls) {
				t.Fatalf("script.calls is %q, want %q", script.calls, tt.calls)
			}
			if want := []activities.Flag{activities.FlagStuck}; !reflect.DeepEqual(flags, want) {
				t.Fatalf("flags is %q, want %q", flags, want)
			}
		})
	}
}

// endings are told what ended.
type endings struct{ s *scripted }

func (e endings) CheckoutEnded(_ context.Context, _ *domain.Order, ending domain.OrderStatus) error {
	return e.s.call("tell " + string(ending))
}

// An ending is told once the seats are back, and only if they were sold to nobody. While it cannot be told, the step is repeated.
func TestAnEndingIsToldOnceTheSeatsAreBack(t *testing.T) {
	expired := activities.EndRequest{Order: order, Ending: domain.OrderExpired}
	earlier := activities.EndRequest{Order: order}
	noOrder := func() map[string]error { return map[string]error{"order": domain.NotFound("order")} }
	away := errors.New("connection refused")
	release := func(end activities.EndRequest) func(*activities.Activities) error {
		return func(a *activities.Activities) error { _, err := a.Release(t.Context(), end); return err }
	}
	unsell := func(end activities.EndRequest) func(*activities.Activities) error {
		return func(a *activities.Activities) error { _, err := a.Unsell(t.Context(), end); return err }
	}
	for name, tt := range map[string]struct {
		script scripted
		do     func(*activities.Activities) error
		calls  []string
		fails  bool
	}{
		"voided":                        {scripted{void: domain.VoidVoided}, release(expired), []string{"void", "tell expired"}, false},
		"posted: it is sold":            {scripted{void: domain.VoidPosted}, release(expired), []string{"void"}, false},
		"of an earlier release":         {scripted{void: domain.VoidVoided}, release(earlier), []string{"void"}, false},
		"the ledger is away":            {scripted{fail: map[string]error{"void": away}}, release(expired), []string{"void"}, true},
		"the database is away":          {scripted{void: domain.VoidVoided, fail: map[string]error{"tell expired": away}}, release(expired), []string{"void", "tell expired"}, true},
		"unsold":                        {scripted{fail: noOrder()}, unsell(expired), []string{"order", "unsell", "tell expired"}, false},
		"not unsold: somebody has paid": {scripted{sold: &domain.SoldOrder{Capture: domain.Capture{Payment: "pay_1"}}}, unsell(expired), []string{"order"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			acts, s := setup(tt.script)
			acts.Endings = endings{s}
			if err := tt.do(acts); (err != nil) != tt.fails {
				t.Errorf("error %v, want one: %t", err, tt.fails)
			}
			if !slices.Equal(s.calls, tt.calls) {
				t.Errorf("calls %q, want %q", s.calls, tt.calls)
			}
		})
	}
}
