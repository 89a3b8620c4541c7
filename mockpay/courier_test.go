package mockpay

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
	require.NoError(t, err)
	r := &round{t: t, dir: dir, sender: &fakeSender{answer: answer}, done: make(chan struct{})}
	r.courier = newCourier(store, r.sender, quiet())
	require.NoError(t, r.courier.load())
	trickster, err := newTrickster(store, quiet())
	require.NoError(t, err)
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
	require.NoError(r.t, r.bank.store.close())
}

func (r *round) pay(n int, outcome mockpay.Outcome) {
	link := linkTo(orderNumber(n), time.Now().Add(time.Hour))
	_, err := r.bank.pay(link.Order, outcome, &link)
	require.NoError(r.t, err)
}

func (r *round) listed(bucket []byte) []mockpay.Delivery {
	values, _, err := list[mockpay.Delivery](r.bank, bucket, 0, mockpay.ListLimitMax)
	require.NoError(r.t, err)
	return values
}

// await lets what is under way end, commits included, and what is due within a
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
			require.Equal(t, mockpay.DeliveryAcknowledged, d.State)
			require.Equal(t, http.StatusOK, d.HTTPStatus)
			require.False(t, d.EndedAt.IsZero())
		}
		require.Len(t, types, 3)
		require.Empty(t, r.listed(pendingBucket))
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
				require.Len(t, sent, failures+1)
				for i, m := range sent {
					require.Equal(t, i+1, m.Attempt)
					require.Equal(t, sent[0].Event.ID, m.Event.ID, "the webhook-id stays the same")
					require.Equal(t, sent[0].Body, m.Body)
				}
				require.Equal(t, http.StatusAccepted, r.listed(acknowledgedBucket)[0].HTTPStatus)
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
			require.GreaterOrEqual(t, delay, full/2, "attempt %d", attempt)
			require.Less(t, delay, full, "attempt %d", attempt)
		}
	}
}

// A checkout waits so long for an event to come again; one attempt that gets no answer
// is not the last that comes in time.
func TestWebhooksComeAgainWhileACheckoutWaitsForThem(t *testing.T) {
	require.Greater(t, workflows.RedeliveryTimeout, retryMax+2*sendTimeout)
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
		require.Len(t, r.sender.sent(), 1)
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
		require.Equal(t, 1, r.courier.undelivered(), "still trying")
		attempts := len(r.sender.sent())
		require.Greater(t, attempts, 100)
		require.Less(t, attempts, 400)
		time.Sleep(2 * retryMax)
		r.await(func() bool { return r.courier.undelivered() == 0 })
		abandoned := r.listed(abandonedBucket)
		require.Len(t, abandoned, 1)
		require.Equal(t, mockpay.DeliveryAbandoned, abandoned[0].State)
		require.Equal(t, 500, abandoned[0].HTTPStatus)
		require.Empty(t, r.listed(pendingBucket))
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
		require.Len(t, ids, 20)

		up := startRound(t, dir, nil)
		defer up.stop()
		up.await(func() bool { return up.courier.undelivered() == 0 })
		sent := up.sender.sent()
		require.Len(t, sent, 20)
		for _, m := range sent {
			require.True(t, ids[m.Event.ID], "event %s keeps its id", m.Event.ID)
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
		require.Len(t, slow.started, deliveriesAtOnceMax)
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
		require.LessOrEqual(t, time.Since(stopped), drainTimeout, "the end waits for attempts, but not for long")
		again := startRound(t, r.dir, nil)
		defer again.stop()
		again.await(func() bool { return again.courier.undelivered() == 0 })
		require.Len(t, again.sender.sent(), 1)
	})
}

func TestHTTPSenderSignsWhatTheBoxOfficeVerifies(t *testing.T) {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	require.NoError(t, err)
	want := domain.PaymentEvent{
		ID: "evt_1", Type: domain.PaymentSucceeded, Session: mockpay.SessionID(orderNumber(1)), Order: orderNumber(1),
		Payment: "pay_1", AmountMinor: 6500, Currency: "EUR",
	}
	body, err := mockpay.EncodeEvent(want, time.Now())
	require.NoError(t, err)
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
	require.NoError(t, err)
	answer := sender.Send(t.Context(), Message{Event: want, Attempt: 1, Body: body})
	require.NoError(t, <-received)
	require.Equal(t, Answer{HTTPStatus: http.StatusAccepted, RetryAfter: 7 * time.Second}, answer)
	require.True(t, answer.Acknowledged())
}

func TestHTTPSenderFollowsNoRedirect(t *testing.T) {
	receiver := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	defer receiver.Close()
	sender, err := NewHTTPSender(receiver.URL, testSecrets(t))
	require.NoError(t, err)
	answer := sender.Send(t.Context(), Message{Event: domain.PaymentEvent{ID: "evt_1"}, Body: []byte("{}")})
	require.NoError(t, answer.Err)
	require.Equal(t, http.StatusTemporaryRedirect, answer.HTTPStatus)
	require.False(t, answer.Acknowledged())
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
		require.Zero(t, wait)
		if i > 0 {
			require.False(t, p.due.Before(last.due))
			require.False(t, p.due.Equal(last.due) && p.key < last.key, "ties go by age")
		}
		last = p
	}
}
