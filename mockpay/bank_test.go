package mockpay

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

func TestASessionIsDecidedOnce(t *testing.T) {
	type step struct {
		do   string // visit, expire, an outcome, or "late": the link's time passes
		want string // the session's status, or the refusal's code
	}
	for _, row := range []struct {
		name     string
		steps    []step
		captures int
		events   []domain.PaymentEventType
	}{
		{"paid", []step{{"visit", "open"}, {"succeeded", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"paid without a visit", []step{{"succeeded", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"paid twice", []step{{"succeeded", "captured"}, {"succeeded", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"failed is final", []step{{"failed", "failed"}, {"succeeded", "session_closed"}, {"failed", "failed"}}, 0, []domain.PaymentEventType{domain.PaymentFailed}},
		{"canceled is final", []step{{"canceled", "canceled"}, {"succeeded", "session_closed"}}, 0, []domain.PaymentEventType{domain.PaymentCanceled}},
		{"paid is final", []step{{"succeeded", "captured"}, {"failed", "session_closed"}, {"expire", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"expired is final", []step{{"visit", "open"}, {"expire", "expired"}, {"succeeded", "session_closed"}, {"expire", "expired"}}, 0, nil},
		{"expired before anybody came", []step{{"expire", "expired"}, {"visit", "expired"}, {"succeeded", "session_closed"}}, 0, nil},
		{"expired after it failed", []step{{"failed", "failed"}, {"expire", "expired"}, {"visit", "failed"}}, 0, []domain.PaymentEventType{domain.PaymentFailed}},
		{"too late by the clock", []step{{"visit", "open"}, {"late", ""}, {"visit", "expired"}, {"succeeded", "session_closed"}, {"expire", "expired"}}, 0, nil},
		{"seen too late", []step{{"late", ""}, {"succeeded", "session_closed"}}, 0, nil},
		{"paid in time, expired late", []step{{"succeeded", "captured"}, {"late", ""}, {"expire", "captured"}, {"succeeded", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"no such outcome", []step{{"stolen", "invalid"}}, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			for i, s := range row.steps {
				if s.do == "late" {
					b.pass(10 * time.Minute)
					continue
				}
				require.Equal(t, s.want, b.step(link, s.do), "step %d, %s", i+1, s.do)
			}
			require.Len(t, b.captures(), row.captures)
			var events []domain.PaymentEventType
			for _, d := range b.pending() {
				events = append(events, d.Event.Type)
			}
			require.Equal(t, row.events, events)
			require.Equal(t, len(row.events), b.bank.courier.undelivered())
		})
	}
}

// step does one thing to a session and says its status or the refusal.
func (b *bundle) step(link mockpay.PayLink, do string) string {
	var status mockpay.SessionStatus
	var err error
	switch do {
	case "visit":
		var s mockpay.Session
		s, err = b.bank.visit(link)
		status = s.Status
	case "expire":
		var e mockpay.Expiry
		e, err = b.bank.expire(link.Order)
		status = e.Status
		require.Equal(b.t, status == mockpay.SessionCaptured, e.Capture != nil)
	default:
		var s mockpay.Session
		s, err = b.bank.pay(link.Order, mockpay.Outcome(do), &link)
		status = s.Status
	}
	var r *refusal
	if err != nil {
		require.ErrorAs(b.t, err, &r)
		return string(r.code)
	}
	return string(status)
}

func TestACaptureAndItsEventSayWhatTheLinkSaid(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	_, err := b.bank.pay(link.Order, mockpay.OutcomeSucceeded, &link)
	require.NoError(t, err)
	want := domain.Capture{
		Payment: link.Session(), Session: link.Session(), Order: link.Order,
		AmountMinor: 6500, Currency: "EUR", CapturedAt: b.clock(),
	}
	require.Equal(t, []domain.Capture{want}, b.captures())
	event := b.pending()[0].Event
	require.Regexp(t, `^evt_[0-9a-f-]{36}$`, event.ID)
	want.CapturedAt = time.Time{}
	require.Equal(t, want, event.Capture())
}

func TestALinkWithOtherTermsIsRefused(t *testing.T) {
	b := setup(t)
	first, second := b.link(1), b.link(1)
	second.AmountMinor++
	require.Equal(t, "open", b.step(first, "visit"))
	require.Equal(t, "link_differs", b.step(second, "visit"))
	require.Equal(t, "link_differs", b.step(second, "succeeded"))
	require.Empty(t, b.captures())
}

func TestPayAgainstExpireHasOneWinner(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := setup(t)
	const sessions = 200
	type result struct{ paid, expired bool }
	results := make([]result, sessions)
	var all sync.WaitGroup
	for n := range sessions {
		link := b.link(n)
		if random.IntN(2) == 0 {
			require.Equal(t, "open", b.step(link, "visit"))
		}
		pay := func() {
			s, err := b.bank.pay(link.Order, mockpay.OutcomeSucceeded, &link)
			results[n].paid = err == nil && s.Status == mockpay.SessionCaptured
		}
		expire := func() {
			e, err := b.bank.expire(link.Order)
			results[n].expired = err == nil && e.Status == mockpay.SessionExpired
		}
		if random.IntN(2) == 0 {
			pay, expire = expire, pay
		}
		all.Go(pay)
		all.Go(expire)
	}
	all.Wait()
	paid := 0
	for n, r := range results {
		require.NotEqual(t, r.paid, r.expired, "session %d: %+v", n, r)
		if r.paid {
			paid++
		}
	}
	require.Len(t, b.captures(), paid)
	require.Len(t, b.pending(), paid)
}

func TestRefunds(t *testing.T) {
	request := func(payment string, amount int64, currency string) mockpay.RefundRequest {
		return mockpay.RefundRequest{Payment: payment, AmountMinor: amount, Currency: currency, Reason: domain.RefundNoneLeft}
	}
	paid := orderNumber(1)
	payment := mockpay.SessionID(paid)
	for _, row := range []struct {
		name    string
		request mockpay.RefundRequest
		want    string // the refusal's code; empty: done
	}{
		{"in full", request(payment, 6500, "EUR"), ""},
		{"in part", request(payment, 1, "EUR"), ""},
		{"more than captured", request(payment, 6501, "EUR"), "refund_differs"},
		{"another currency", request(payment, 6500, "USD"), "refund_differs"},
		{"nothing", request(payment, 0, "EUR"), "invalid"},
		{"negative", request(payment, -1, "EUR"), "invalid"},
		{"a payment that nobody made", request("pay_1", 6500, "EUR"), "not_found"},
		{"a session that failed", request(mockpay.SessionID(orderNumber(2)), 6500, "EUR"), "not_found"},
		{"no payment", request("", 6500, "EUR"), "not_found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			require.Equal(t, "captured", b.step(b.link(1), "succeeded"))
			require.Equal(t, "failed", b.step(b.link(2), "failed"))
			refund, err := b.bank.refund(row.request)
			refunds, _, errList := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
			require.NoError(t, errList)
			if row.want == "" {
				require.NoError(t, err)
				require.Equal(t, mockpay.Refund{RefundRequest: row.request, Session: payment, Order: paid, RefundedAt: b.clock()}, refund)
				require.Equal(t, []mockpay.Refund{refund}, refunds)
				return
			}
			var r *refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, row.want, string(r.code))
			require.Empty(t, refunds)
		})
	}
}

func TestARefundIsDoneOnce(t *testing.T) {
	b := setup(t)
	require.Equal(t, "captured", b.step(b.link(1), "succeeded"))
	request := mockpay.RefundRequest{Payment: mockpay.SessionID(orderNumber(1)), AmountMinor: 6500, Currency: "EUR", Reason: domain.RefundCanceled}
	first, err := b.bank.refund(request)
	require.NoError(t, err)
	b.pass(time.Hour)
	request.Reason = domain.RefundByOrganiser
	again, err := b.bank.refund(request)
	require.NoError(t, err)
	require.Equal(t, first, again, "the first refund, unchanged")
	request.AmountMinor--
	_, err = b.bank.refund(request)
	var r *refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, refusedRefund, r.code)
	refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
	require.NoError(t, err)
	require.Len(t, refunds, 1)
}

func TestStateSurvivesAReopening(t *testing.T) {
	b := setup(t)
	require.Equal(t, "captured", b.step(b.link(1), "succeeded"))
	require.Equal(t, "expired", b.step(b.link(2), "expire"))
	require.Equal(t, "open", b.step(b.link(3), "visit"))
	_, err := b.bank.refund(mockpay.RefundRequest{Payment: mockpay.SessionID(orderNumber(1)), AmountMinor: 6500, Currency: "EUR"})
	require.NoError(t, err)
	captures, pending := b.captures(), b.pending()
	b.reopen()
	require.Equal(t, captures, b.captures())
	require.Equal(t, pending, b.pending())
	require.Equal(t, 1, b.bank.courier.undelivered())
	require.Equal(t, "session_closed", b.step(b.link(2), "succeeded"))
	require.Equal(t, "captured", b.step(b.link(3), "succeeded"))
	require.Len(t, b.captures(), 2)
}

func TestTheStoreIsPrivateAndLocked(t *testing.T) {
	b := setup(t)
	info, err := os.Stat(filepath.Join(b.dir, storeFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = openStore(b.dir, quiet())
	require.ErrorContains(t, err, "in use by another mockpay")
	require.ErrorContains(t, err, "MOCKPAY_DATA_DIR")
}

func TestAForeignFileIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	foreign := make([]byte, 8192)
	copy(foreign, "not a store")
	require.NoError(t, os.WriteFile(path, foreign, 0o600))
	_, err := openStore(dir, quiet())
	require.ErrorContains(t, err, "is not a store of mockpay")
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, foreign, kept)
}

func TestAStoreOfAnotherReleaseIsRefused(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.bank.store.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(formatKey, []byte("mockpay/9"))
	}))
	require.NoError(t, b.bank.store.close())
	_, err := openStore(b.dir, quiet())
	require.ErrorContains(t, err, `its format is "mockpay/9"`)
}

func TestAFailedCommitBreaksTheStoreForGood(t *testing.T) {
	b := setup(t)
	require.Equal(t, "captured", b.step(b.link(1), "succeeded"))
	err := b.bank.store.update(func(*bbolt.Tx) error { return os.ErrInvalid })
	require.ErrorIs(t, err, os.ErrInvalid)
	<-b.bank.store.broken
	link := b.link(2)
	_, err = b.bank.pay(link.Order, mockpay.OutcomeSucceeded, &link)
	require.ErrorIs(t, err, os.ErrInvalid)
	require.Equal(t, 1, b.bank.courier.undelivered(), "what failed is not reported")
	require.Equal(t, 500, b.pay(b.link(3), mockpay.OutcomeSucceeded).Code)
	require.Equal(t, 503, b.ask("GET", "/healthz", "").Code)
	require.ErrorContains(t, b.bank.store.close(), "the store failed")
	b.open()
	require.Len(t, b.captures(), 1)
}

func TestAClosedStoreRefusesWrites(t *testing.T) {
	b := setup(t)
	require.NoError(t, b.bank.store.close())
	require.NoError(t, b.bank.store.close(), "closing twice is allowed")
	w := b.pay(b.link(1), mockpay.OutcomeSucceeded)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	requireProblem(t, w, 503, "overloaded")
}
