package mockpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
	"boxoffice/workflows"
)

// round is a courier at work inside a synctest bubble, where days pass in no
// time and synctest.Wait means that nothing more happens before they do.
type round struct {
	t       *testing.T
	dir     string
	sender  *fakeSender
	bank    *bank
	courier *courier
	cancel  context.CancelFunc
	done    chan struct{}
}

func startRound(t *testing.T, dir string, answer func(Message) Answer) *round {
	store, err := openStore(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	r := &round{t: t, dir: dir, sender: &fakeSender{answer: answer}, done: make(chan struct{})}
	r.courier = newCourier(store, r.sender, quiet())
	if err := r.courier.load(); err != nil {
		t.Fatal(err)
	}
	trickster, err := newTrickster(store, quiet())
	if err != nil {
		t.Fatal(err)
	}
	r.bank = &bank{store: store, courier: r.courier, trickster: trickster, now: time.Now}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.courier.run(ctx)
	}()
	return r
}

func (r *round) stop() {
	r.cancel()
	<-r.done
	if err := r.bank.store.close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *round) pay(n int, outcome mockpay.Outcome) {
	link := linkTo(orderNumber(n), time.Now().Add(time.Hour))
	_, err := r.bank.pay(link.Order, mockpay.PayRequest{Outcome: outcome}, &link)
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *round) listed(bucket []byte) []mockpay.Delivery {
	values, _, err := list[mockpay.Delivery](r.bank, bucket, 0, mockpay.ListLimitMax)
	if err != nil {
		r.t.Fatal(err)
	}
	return values
}

// await lets everything under way end, commits included, and everything that is due within a
// second of the bubble's clock happen.
func (r *round) await(condition func() bool) {
	for range 1000 {
		synctest.Wait()
		if condition() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	r.t.Fatal("the condition did not come true within a second of the bubble's time")
}

func TestEveryOutcomeIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRound(t, t.TempDir(), nil)
		defer r.stop()
		r.pay(1, mockpay.OutcomeSucceeded)
		r.pay(2, mockpay.OutcomeFailed)
		r.pay(3, mockpay.OutcomeCanceled)
		r.await(func() bool { return r.courier.undelivered() == 0 })
		types := map[domain.PaymentEventType]bool{}
		for _, d := range r.listed(acknowledgedBucket) {
			types[d.Event.Type] = true
			if d.State != mockpay.DeliveryAcknowledged {
				t.Fatalf("d.State is %q, want %q", d.State, mockpay.DeliveryAcknowledged)
			}
			if d.HTTPStatus != http.StatusOK {
				t.Fatalf("d.HTTPStatus is %v, want %v", d.HTTPStatus, http.StatusOK)
			}
			if d.EndedAt.IsZero() {
				t.Fatal("want false: d.EndedAt.IsZero()")
			}
		}
		if len(types) != 3 {
			t.Fatalf("%d in types, want 3: %v", len(types), types)
		}
		if got := r.listed(pendingBucket); len(got) != 0 {
			t.Fatalf("r.listed(pendingBucket) is %+v, want nothing", got)
		}
	})
}

func TestAWebhookIsRepeatedUntilAcknowledged(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer Answer
	}{
		{"no connection", Answer{Err: errors.New("connection refused")}},
		{"500", Answer{HTTPStatus: 500}},
		{"503", Answer{HTTPStatus: 503}},
		{"401", Answer{HTTPStatus: 401}},
		{"404", Answer{HTTPStatus: 404}},
		{"a redirect", Answer{HTTPStatus: 302}},
		{"a 200 that broke off", Answer{HTTPStatus: 200, Err: errors.New("unexpected EOF")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const failures = 5
				r := startRound(t, t.TempDir(), func(m Message) Answer {
					if m.Attempt <= failures {
						return row.answer
					}
					return Answer{HTTPStatus: http.StatusAccepted}
				})
				defer r.stop()
				r.pay(1, mockpay.OutcomeSucceeded)
				time.Sleep(time.Minute)
				r.await(func() bool { return r.courier.undelivered() == 0 })
				sent := r.sender.sent()
				if len(sent) != (failures + 1) {
					t.Fatalf("%d in sent, want %d: %+v", len(sent), failures+1, sent)
				}
				for i, m := range sent {
					if m.Attempt != (i + 1) {
						t.Fatalf("m.Attempt is %v, want %v", m.Attempt, i+1)
					}
					if m.Event.ID != sent[0].Event.ID {
						t.Fatalf("m.Event.ID is %q, want %q: the webhook-id stays the same", m.Event.ID, sent[0].Event.ID)
					}
					if !bytes.Equal(m.Body, sent[0].Body) {
						t.Fatalf("m.Body is %q, want %q", m.Body, sent[0].Body)
					}
				}
				if got := r.listed(acknowledgedBucket)[0].HTTPStatus; got != http.StatusAccepted {
					t.Fatalf("r.listed(acknowledgedBucket)[0].HTTPStatus is %v, want %v", got, http.StatusAccepted)
				}
			})
		})
	}
}

func TestRetryDelayGrowsUpToItsBound(t *testing.T) {
	for attempt, full := range map[int]time.Duration{
		1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 8: 64 * time.Second,
		11: 512 * time.Second, 12: 10 * time.Minute, 17: 10 * time.Minute, 1000: 10 * time.Minute,
	} {
		for range 100 {
			delay := retryDelay(attempt)
			if delay < (full / 2) {
				t.Fatalf("delay is %v, want at least %v: attempt %d", delay, full/2, attempt)
			}
			if delay >= full {
				t.Fatalf("delay is %v, want less than %v: attempt %d", delay, full, attempt)
			}
		}
	}
}

// A checkout waits so long for an event to come again; one attempt that gets no answer
// is not the last that comes in time.
func TestWebhooksComeAgainWhileACheckoutWaitsForThem(t *testing.T) {
	if (retryMax + 2*sendTimeout) >= workflows.RedeliveryTimeout {
		t.Fatalf("retryMax+2*sendTimeout is %v, want less than %v", retryMax+2*sendTimeout, workflows.RedeliveryTimeout)
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRound(t, t.TempDir(), func(m Message) Answer {
			if m.Attempt == 1 {
				return Answer{HTTPStatus: 429, RetryAfter: time.Minute}
			}
			return Answer{HTTPStatus: 200}
		})
		defer r.stop()
		r.pay(1, mockpay.OutcomeSucceeded)
		time.Sleep(59 * time.Second)
		if got := r.sender.sent(); len(got) != 1 {
			t.Fatalf("%d in r.sender.sent(), want 1: %+v", len(got), got)
		}
		time.Sleep(2 * time.Second)
		r.await(func() bool { return r.courier.undelivered() == 0 })
	})
}

func TestAWebhookIsAbandonedAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRound(t, t.TempDir(), func(Message) Answer { return Answer{HTTPStatus: 500} })
		defer r.stop()
		r.pay(1, mockpay.OutcomeSucceeded)
		time.Sleep(deliveryWindow - 2*retryMax)
		synctest.Wait()
		if got := r.courier.undelivered(); got != 1 {
			t.Fatalf("r.courier.undelivered() is %v, want 1: still trying", got)
		}
		attempts := len(r.sender.sent())
		if attempts <= 100 {
			t.Fatalf("attempts is %v, want more than 100", attempts)
		}
		if attempts >= 400 {
			t.Fatalf("attempts is %v, want less than 400", attempts)
		}
		time.Sleep(2 * retryMax)
		r.await(func() bool { return r.courier.undelivered() == 0 })
		abandoned := r.listed(abandonedBucket)
		if len(abandoned) != 1 {
			t.Fatalf("%d in abandoned, want 1: %+v", len(abandoned), abandoned)
		}
		if abandoned[0].State != mockpay.DeliveryAbandoned {
			t.Fatalf("abandoned[0].State is %q, want %q", abandoned[0].State, mockpay.DeliveryAbandoned)
		}
		if abandoned[0].HTTPStatus != 500 {
			t.Fatalf("abandoned[0].HTTPStatus is %v, want 500", abandoned[0].HTTPStatus)
		}
		if got := r.listed(pendingBucket); len(got) != 0 {
			t.Fatalf("r.listed(pendingBucket) is %+v, want nothing", got)
		}
	})
}

func TestWhatIsUndeliveredIsResumedByTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		down := startRound(t, dir, func(Message) Answer { return Answer{Err: errors.New("connection refused")} })
		for n := range 20 {
			down.pay(n, mockpay.OutcomeSucceeded)
		}
		down.await(func() bool { return len(down.sender.sent()) >= 20 })
		ids := map[string]bool{}
		for _, m := range down.sender.sent() {
			ids[m.Event.ID] = true
		}
		down.stop()
		if len(ids) != 20 {
			t.Fatalf("%d in ids, want 20: %v", len(ids), ids)
		}

		up := startRound(t, dir, nil)
		defer up.stop()
		up.await(func() bool { return up.courier.undelivered() == 0 })
		sent := up.sender.sent()
		if len(sent) != 20 {
			t.Fatalf("%d in sent, want 20: %+v", len(sent), sent)
		}
		for _, m := range sent {
			if !ids[m.Event.ID] {
				t.Fatalf("want true: ids[m.Event.ID]: event %s keeps its id", m.Event.ID)
			}
		}
	})
}

// slowSender holds every message until its context ends or the test lets go.
type slowSender struct {
	started chan struct{}
	release chan struct{}
}

func (s *slowSender) Send(ctx context.Context, _ Message) Answer {
	s.started <- struct{}{}
	select {
	case <-s.release:
		return Answer{HTTPStatus: 200}
	case <-ctx.Done():
		return Answer{Err: ctx.Err()}
	}
}

func TestDeliveriesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRound(t, t.TempDir(), nil)
		defer r.stop()
		slow := &slowSender{started: make(chan struct{}, 1000), release: make(chan struct{})}
		r.courier.sender = slow
		for n := range deliveriesAtOnceMax + 10 {
			r.pay(n, mockpay.OutcomeSucceeded)
		}
		r.await(func() bool { return len(slow.started) == deliveriesAtOnceMax })
		time.Sleep(time.Second)
		synctest.Wait()
		if len(slow.started) != deliveriesAtOnceMax {
			t.Fatalf("%d in slow.started, want %d: %+v", len(slow.started), deliveriesAtOnceMax, slow.started)
		}
		close(slow.release)
		r.await(func() bool { return r.courier.undelivered() == 0 })
	})
}

func TestAttemptsAreBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRound(t, t.TempDir(), nil)
		slow := &slowSender{started: make(chan struct{}, 10), release: make(chan struct{})}
		r.courier.sender = slow
		r.pay(1, mockpay.OutcomeSucceeded)
		r.await(func() bool { return len(slow.started) == 1 })
		time.Sleep(sendTimeout + time.Second)
		r.await(func() bool { return len(slow.started) == 2 })

		stopped := time.Now()
		r.stop()
		if got := time.Since(stopped); got > drainTimeout {
			t.Fatalf("time.Since(stopped) is %v, want at most %v: the end waits for attempts, but not for long", got, drainTimeout)
		}
		again := startRound(t, r.dir, nil)
		defer again.stop()
		again.await(func() bool { return again.courier.undelivered() == 0 })
		if got := again.sender.sent(); len(got) != 1 {
			t.Fatalf("%d in again.sender.sent(), want 1: %+v", len(got), got)
		}
	})
}

func TestHTTPSenderSignsWhatTheBoxOfficeVerifies(t *testing.T) {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	want := domain.PaymentEvent{
		ID: "evt_1", Type: domain.PaymentSucceeded, Session: mockpay.SessionID(orderNumber(1)), Order: orderNumber(1),
		Payment: "pay_1", AmountMinor: 6500, Currency: "EUR",
	}
	body, err := mockpay.EncodeEvent(want, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(raw)
		got, err := verifier.Verify(r.Header, raw)
		if err == nil && (got != want || r.URL.Path != WebhookPath || !json.Valid(raw)) {
			err = errors.New("another event than was sent")
		}
		received <- err
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer receiver.Close()
	sender, err := NewHTTPSender(receiver.URL, testSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	answer := sender.Send(t.Context(), Message{Event: want, Attempt: 1, Body: body})
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	if want := (Answer{HTTPStatus: http.StatusAccepted, RetryAfter: 7 * time.Second}); !reflect.DeepEqual(answer, want) {
		t.Fatalf("answer is %+v, want %+v", answer, want)
	}
	if !answer.Acknowledged() {
		t.Fatal("want true: answer.Acknowledged()")
	}
}

func TestHTTPSenderFollowsNoRedirect(t *testing.T) {
	receiver := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	defer receiver.Close()
	sender, err := NewHTTPSender(receiver.URL, testSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	answer := sender.Send(t.Context(), Message{Event: domain.PaymentEvent{ID: "evt_1"}, Body: []byte("{}")})
	if err := answer.Err; err != nil {
		t.Fatal(err)
	}
	if answer.HTTPStatus != http.StatusTemporaryRedirect {
		t.Fatalf("answer.HTTPStatus is %v, want %v", answer.HTTPStatus, http.StatusTemporaryRedirect)
	}
	if answer.Acknowledged() {
		t.Fatal("want false: answer.Acknowledged()")
	}
}

func TestParcelsComeByDueTime(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newCourier(nil, nil, quiet())
	start := time.Now().Add(-time.Hour)
	for key := range uint64(100) {
		c.add(parcel{key: key, due: start.Add(time.Duration(random.IntN(10)) * time.Second)})
	}
	var last parcel
	for i := range 100 {
		p, wait := c.take()
		if wait != 0 {
			t.Fatalf("wait is %v, want zero", wait)
		}
		if i > 0 {
			if p.due.Before(last.due) {
				t.Fatal("want false: p.due.Before(last.due)")
			}
			if p.due.Equal(last.due) && p.key < last.key {
				t.Fatal("want false: p.due.Equal(last.due) && p.key < last.key: ties go by age")
			}
		}
		last = p
	}
}
