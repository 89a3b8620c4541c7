package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// checkPayment asks as the page does, and returns the answer and after how many seconds
// to ask again.
func (b *bundle) checkPayment(id domain.OrderID, token string) (code int, view PaymentCheckView, again int) {
	b.t.Helper()
	w := b.do(request{method: "POST", path: "/v1/orders/" + id.String() + "/check-payment", header: bearerOf(token)})
	if w.Code/100 == 2 {
		decode(b.t, w, &view)
	}
	again, _ = strconv.Atoi(w.Header().Get("Retry-After"))
	return w.Code, view, again
}

// captured is a session of an order that the provider has taken money in.
func captured(state *domain.CheckoutState) payments.Session {
	return payments.Session{Session: session(state), Order: state.Order, Status: payments.SessionCaptured, Capture: &domain.Capture{
		Payment: "pay_1", Session: session(state), Order: state.Order, AmountMinor: state.AmountMinor, Currency: state.Currency,
	}}
}

func session(state *domain.CheckoutState) string {
	return (&domain.Order{ID: state.Order}).PaymentSession()
}

func TestABuyerWhoComesBackIsToldWhatTheProviderSays(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*bundle, *domain.CheckoutState)
		code    int
		status  domain.OrderStatus
		payment PaymentProgress
		asked   int
	}{
		"paid, and the webhook is late": {func(b *bundle, s *domain.CheckoutState) { b.world.sessions[session(s)] = captured(s) },
			200, domain.OrderPaid, "", 1},
		"paid, and the checkout has not taken it yet": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)], b.world.paySlow = captured(s), true
		}, 202, domain.OrderHeld, PaymentProcessing, 1},
		"paid, and the checkout does not answer": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)], b.world.payErr = captured(s), &domain.UnknownError{Op: "pay"}
		}, 202, domain.OrderHeld, PaymentUnknown, 1},
		"not paid": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)] = payments.Session{Session: session(s), Order: s.Order, Status: payments.SessionOpen}
		}, 200, domain.OrderHeld, PaymentNone, 1},
		"never opened": {func(*bundle, *domain.CheckoutState) {}, 200, domain.OrderHeld, PaymentNone, 1},
		"being processed": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)] = payments.Session{Session: session(s), Order: s.Order, Status: payments.SessionProcessing}
		}, 202, domain.OrderHeld, PaymentProcessing, 1},
		"failed, and the webhook is late": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)] = payments.Session{Session: session(s), Order: s.Order, Status: payments.SessionFailed}
		}, 200, domain.OrderFailed, "", 1},
		"a state that a newer adapter knows": {func(b *bundle, s *domain.CheckoutState) {
			b.world.sessions[session(s)] = payments.Session{Session: session(s), Order: s.Order, Status: "newer"}
		}, 202, domain.OrderHeld, PaymentUnknown, 1},
		"the provider is away": {func(b *bundle, _ *domain.CheckoutState) {
			b.world.sessionErr = &domain.UnknownError{Op: "ask about session"}
		}, 202, domain.OrderHeld, PaymentUnknown, 1},
		"the webhook came first": {func(b *bundle, s *domain.CheckoutState) { b.world.pay(s) },
			200, domain.OrderPaid, "", 0},
		"the time was over": {func(_ *bundle, s *domain.CheckoutState) { s.Status = domain.OrderExpired },
			200, domain.OrderExpired, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			tt.prepare(b, b.world.States[id])
			code, view, again := b.checkPayment(id, token)
			if code != tt.code || view.Order != id || view.Status != tt.status || view.Payment != tt.payment {
				t.Errorf("%d %+v, want %d, %s, %q", code, view, tt.code, tt.status, tt.payment)
			}
			if (again > 0) != (tt.code == http.StatusAccepted) {
				t.Errorf("Retry-After %d with %d", again, code)
			}
			if b.world.sessionsAsked != tt.asked {
				t.Errorf("the provider was asked %d times, want %d", b.world.sessionsAsked, tt.asked)
			}
		})
	}
}

// In a sale whose seats are kept while a payment is being processed, the buyer is told until
// when, and need not ask so often.
func TestABuyerIsToldHowLongTheSeatsAreKept(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	state := b.world.States[id]
	state.Hold.ProcessingExtension, state.Processing = 72*time.Hour, true
	b.world.sessions[session(state)] = payments.Session{Session: session(state), Order: id, Status: payments.SessionProcessing}
	want := state.Hold.ExpiresAt.Add(72 * time.Hour)
	code, view, again := b.checkPayment(id, token)
	if code != http.StatusAccepted || view.Payment != PaymentProcessing || view.SeatsKeptUntil == nil || !view.SeatsKeptUntil.Equal(want) || again != 60 {
		t.Errorf("%d %+v, Retry-After %d; want the seats kept until %s", code, view, again, want)
	}
	var order OrderView
	decode(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), &order)
	if !order.Processing || order.SeatsKeptUntil == nil || !order.SeatsKeptUntil.Equal(want) || !order.HoldExpiresAt.Equal(state.Hold.ExpiresAt) {
		t.Errorf("%+v", order)
	}
}

func TestOnlyTheBuyerHasTheProviderAsked(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	_, other := b.held(testKey + "-2")
	for _, token := range []string{"", other, "nonsense"} {
		if code, _, _ := b.checkPayment(id, token); code != http.StatusNotFound {
			t.Errorf("token %q: %d", token, code)
		}
	}
	if b.world.sessionsAsked != 0 {
		t.Errorf("the provider was asked %d times for strangers", b.world.sessionsAsked)
	}
}

// Questions that were answered take no line of the log away from those that were not.
func TestOnlyWhatFailedIsLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		lines int
	}{
		"answered": {nil, 0},
		"failed":   {&domain.UnknownError{Op: "ask about session"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			b.world.sessionErr = tt.err
			b.checkPayment(id, token)
			b.api.logged.mu.Lock()
			defer b.api.logged.mu.Unlock()
			lines := 0
			if spent := b.api.logged.codes[domain.CodeUnknown]; spent != nil {
				lines = spent.lines
			}
			if lines != tt.lines {
				t.Errorf("%d lines of the log were spent, want %d", lines, tt.lines)
			}
		})
	}
}

// Whoever holds an order cannot hammer the provider with it. In the pauses the answer is
// "unknown", because a payment may have come since.
func TestTheProviderIsAskedEverMoreSeldom(t *testing.T) {
	b := setup(t)
	now := time.Now()
	b.api.checks.now = func() time.Time { return now }
	id, token := b.held(testKey)
	other, otherToken := b.held(testKey + "-2")
	for tenths := range 10 * 600 {
		_, view, again := b.checkPayment(id, token)
		if want := PaymentUnknown; view.Payment != want && view.Payment != PaymentNone || view.Payment == want && (again < 1 || again > 15) {
			t.Fatalf("after %d tenths of a second: %+v, again in %d s", tenths, view, again)
		}
		now = now.Add(100 * time.Millisecond)
	}
	if b.world.sessionsAsked != 43 {
		t.Errorf("the provider was asked %d times in ten minutes, want 43", b.world.sessionsAsked)
	}
	if _, view, _ := b.checkPayment(other, otherToken); view.Payment != PaymentNone {
		t.Errorf("another order had to wait: %+v", view)
	}
	now = now.Add(checkPauseMax + checkPauseForgotten)
	for range 2 {
		if _, view, _ := b.checkPayment(id, token); view.Payment != PaymentNone {
			t.Errorf("who comes back much later has to wait: %+v", view)
		}
		now = now.Add(checkPauseMin)
	}
}

// Buyers of one order share a question. One who came while it was under way may have paid
// since, so "nothing was paid" is no answer for them; "paid" is.
func TestWhoComesDuringAQuestionIsNeverToldThatNothingWasPaid(t *testing.T) {
	for name, tt := range map[string]struct {
		found paymentCheck
		late  PaymentProgress
	}{
		"nothing was paid": {paymentCheck{status: domain.OrderHeld, payment: PaymentNone}, PaymentUnknown},
		"paid":             {paymentCheck{status: domain.OrderPaid}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				checks, err := newPaymentChecks()
				if err != nil {
					t.Fatal(err)
				}
				asked := 0
				ask := func(context.Context) (paymentCheck, error) {
					asked++
					<-time.After(time.Second)
					return tt.found, nil
				}
				answers := make(chan paymentCheck, 2)
				go func() { answers <- checks.check(t.Context(), domain.OrderID{1}, ask) }()
				<-time.After(time.Second / 2)
				late := checks.check(t.Context(), domain.OrderID{1}, ask)
				first := <-answers
				if asked != 1 || first.payment != tt.found.payment || late.payment != tt.late || late.status != tt.found.status {
					t.Errorf("asked %d times; first %+v, late %+v", asked, first, late)
				}
			})
		})
	}
}

// A provider that hangs makes nobody wait for it, and what it says in the end counts.
func TestAProviderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks, err := newPaymentChecks()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		began := time.Now()
		found := checks.check(t.Context(), domain.OrderID{1}, func(ctx context.Context) (paymentCheck, error) {
			<-time.After(8 * time.Second)
			ended <- ctx.Err()
			return paymentCheck{}, errors.New("of no use to anybody")
		})
		if waited := time.Since(began); found.payment != PaymentUnknown || waited != checkWait {
			t.Errorf("%+v after %v", found, waited)
		}
		if err := <-ended; err != nil {
			t.Errorf("the question ended with the request: %v", err)
		}
	})
}

func TestAtMostSoManyQuestionsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks, err := newPaymentChecks()
		if err != nil {
			t.Fatal(err)
		}
		underWay, most, unknown := 0, 0, 0
		answers := make(chan paymentCheck)
		begin := make(chan struct{})
		for i := range 3 * checksInFlightMax {
			go func() {
				answers <- checks.check(t.Context(), domain.OrderID{byte(i)}, func(context.Context) (paymentCheck, error) {
					<-begin
					return paymentCheck{status: domain.OrderHeld, payment: PaymentNone}, nil
				})
			}()
		}
		synctest.Wait()
		underWay = len(checks.permits)
		most = max(most, underWay)
		close(begin)
		for range 3 * checksInFlightMax {
			if (<-answers).payment == PaymentUnknown {
				unknown++
			}
		}
		if most != checksInFlightMax || unknown != 2*checksInFlightMax {
			t.Errorf("%d questions at a time, want %d; %d buyers were told to ask again", most, checksInFlightMax, unknown)
		}
	})
}
