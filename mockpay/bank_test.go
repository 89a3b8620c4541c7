package mockpay

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// A second payment is captured while the first is authorised: whichever the box office then asks for, the second is the answer,
// and nothing stays authorised.
func TestAnAuthorisationBesideACaptureCanBeEnded(t *testing.T) {
	for name, decide := range map[string]func(*bank, domain.OrderID) (mockpay.Expiry, error){
		"captured": (*bank).captureAuthorized, "released": (*bank).releaseAuthorized,
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			link.Authorize = true
			if _, err := b.bank.pay(link.Order, mockpay.PayRequest{Outcome: mockpay.OutcomeSucceeded}, &link); err != nil {
				t.Fatal(err)
			}
			second, err := b.bank.capture(link.Order, CaptureRequest{Nth: 2})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // asking again changes nothing
				got, err := decide(b.bank, link.Order)
				if err != nil || got.Status != mockpay.SessionCaptured || got.Capture == nil || got.Capture.Payment != second.Payment {
					t.Fatalf("%+v, %v; want the capture of %s", got, err, second.Payment)
				}
			}
			left, _, err := list[domain.Capture](b.bank, authorizationsBucket, 0, 10)
			if err != nil || len(left) != 0 {
				t.Errorf("%v, %v are still authorised", left, err)
			}
			if got := b.captures(); len(got) != 1 {
				t.Errorf("captures: %+v, want the one", got)
			}
		})
	}
}

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
		{"declined is not final", []step{{"declined", "open"}, {"visit", "open"}, {"succeeded", "captured"}, {"declined", "session_closed"}}, 1,
			[]domain.PaymentEventType{domain.PaymentDeclined, domain.PaymentSucceeded}},
		{"declined, and expired", []step{{"declined", "open"}, {"declined", "open"}, {"expire", "expired"}, {"succeeded", "session_closed"}, {"declined", "session_closed"}}, 0,
			[]domain.PaymentEventType{domain.PaymentDeclined, domain.PaymentDeclined}},
		{"declined too late", []step{{"visit", "open"}, {"late", ""}, {"declined", "session_closed"}}, 0, nil},
		{"paid is final", []step{{"succeeded", "captured"}, {"failed", "session_closed"}, {"expire", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"expired is final", []step{{"visit", "open"}, {"expire", "expired"}, {"succeeded", "session_closed"}, {"expire", "expired"}}, 0, nil},
		{"expired before anybody came", []step{{"expire", "expired"}, {"visit", "expired"}, {"succeeded", "session_closed"}}, 0, nil},
		{"expired after it failed", []step{{"failed", "failed"}, {"expire", "expired"}, {"visit", "failed"}}, 0, []domain.PaymentEventType{domain.PaymentFailed}},
		{"too late by the clock", []step{{"visit", "open"}, {"late", ""}, {"visit", "expired"}, {"succeeded", "session_closed"}, {"expire", "expired"}}, 0, nil},
		{"seen too late", []step{{"late", ""}, {"succeeded", "session_closed"}}, 0, nil},
		{"paid in time, expired late", []step{{"succeeded", "captured"}, {"late", ""}, {"expire", "captured"}, {"succeeded", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"processed, and the money arrives after the link's time", []step{{"visit", "open"}, {"processing", "processing"}, {"processing", "processing"}, {"expire", "processing"},
			{"late", ""}, {"canceled", "session_closed"}, {"declined", "session_closed"}, {"succeeded", "captured"}, {"expire", "captured"}}, 1, []domain.PaymentEventType{domain.PaymentSucceeded}},
		{"processed, and the money does not come", []step{{"processing", "processing"}, {"failed", "failed"}, {"expire", "expired"}, {"succeeded", "session_closed"}}, 0,
			[]domain.PaymentEventType{domain.PaymentFailed}},
		{"processed after a decline", []step{{"declined", "open"}, {"processing", "processing"}, {"succeeded", "captured"}}, 1,
			[]domain.PaymentEventType{domain.PaymentDeclined, domain.PaymentSucceeded}},
		{"too late to be processed", []step{{"visit", "open"}, {"late", ""}, {"processing", "session_closed"}}, 0, nil},
		{"no such outcome", []step{{"stolen", "invalid"}}, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			link.Delayed = true
			for i, s := range row.steps {
				if s.do == "late" {
					b.pass(10 * time.Minute)
					continue
				}
				if got := b.step(link, s.do); got != s.want {
					t.Fatalf("b.step(link, s.do) is %q, want %q: step %d, %s", got, s.want, i+1, s.do)
				}
			}
			if got := b.captures(); len(got) != row.captures {
				t.Fatalf("%d in b.captures(), want %d: %+v", len(got), row.captures, got)
			}
			var events []domain.PaymentEventType
			for _, d := range b.pending() {
				events = append(events, d.Event.Type)
			}
			if !reflect.DeepEqual(events, row.events) {
				t.Fatalf("events is %q, want %q", events, row.events)
			}
			if got := b.bank.courier.undelivered(); got != len(row.events) {
				t.Fatalf("b.bank.courier.undelivered() is %v, want %v", got, len(row.events))
			}
		})
	}
}

// The last decline that a session may have is reported as its failure.
// Without seats that are kept for it, no payment is processed; nor is one by a card that could be declined.
func TestOnlyADelayedSessionProcesses(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	if got := b.step(link, "processing"); got != string(refusedInvalid) {
		t.Errorf("without it: %q", got)
	}
	if page := b.ask("GET", b.payURL(link), "").Body.String(); strings.Contains(page, "bank debit") {
		t.Errorf("the page offers it:\n%s", page)
	}
	delayed := b.link(2)
	delayed.Delayed = true
	if page := b.ask("GET", b.payURL(delayed), "").Body.String(); !strings.Contains(page, "Pay by bank debit") {
		t.Errorf("the page does not offer it:\n%s", page)
	}
	if w := b.ask("POST", b.payURL(delayed), "outcome=processing"); w.Code != 303 {
		t.Errorf("%d", w.Code)
	}
	if page := b.ask("GET", b.payURL(delayed), "").Body.String(); !strings.Contains(page, "The money arrives") || strings.Contains(page, "Pay before") {
		t.Errorf("the page does not ask how it ends:\n%s", page)
	}
	if w := b.ask("POST", b.payURL(delayed), "outcome=succeeded"); w.Code != 303 || len(b.captures()) != 1 {
		t.Errorf("%d, captured %v", w.Code, b.captures())
	}
}

func TestDeclinesOfASessionAreBounded(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	for n := 1; n < domain.DeclinesMax; n++ {
		if got := b.step(link, "declined"); got != "open" {
			t.Fatalf("after decline %d the session is %q, want open", n, got)
		}
	}
	if got := b.step(link, "declined"); got != "failed" {
		t.Fatalf("after decline %d the session is %q, want failed", domain.DeclinesMax, got)
	}
	if got := b.step(link, "succeeded"); got != "session_closed" {
		t.Fatalf("paying after it answers %q, want session_closed", got)
	}
	told := map[domain.PaymentEventType]int{}
	ids := map[string]bool{}
	for _, d := range b.pending() {
		told[d.Event.Type]++
		ids[d.Event.ID] = true
	}
	if want := (map[domain.PaymentEventType]int{domain.PaymentDeclined: domain.DeclinesMax - 1, domain.PaymentFailed: 1}); !reflect.DeepEqual(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if len(ids) != domain.DeclinesMax {
		t.Errorf("%d different event ids, want %d", len(ids), domain.DeclinesMax)
	}
}

// A request that says which attempt it is can be repeated, whatever came after it.
func TestADeclinedAttemptIsOneHoweverOftenItComes(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	attempt := func(n int, outcome mockpay.Outcome) mockpay.Session {
		t.Helper()
		s, err := b.bank.pay(link.Order, mockpay.PayRequest{Outcome: outcome, Attempt: n}, &link)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range 3 {
		if s := attempt(1, mockpay.OutcomeDeclined); s.Declines != 1 || s.Status != mockpay.SessionOpen {
			t.Fatalf("the session has %d declines and is %s, want 1 and open", s.Declines, s.Status)
		}
	}
	attempt(2, mockpay.OutcomeDeclined)
	if s := attempt(1, mockpay.OutcomeSucceeded); s.Capture != nil { // a second click on a page that was declined meanwhile
		t.Fatalf("an attempt that was declined took money: %+v", s)
	}
	if s := attempt(3, mockpay.OutcomeSucceeded); s.Status != mockpay.SessionCaptured || s.Declines != 2 {
		t.Fatalf("the third attempt makes it %s with %d declines, want captured with 2", s.Status, s.Declines)
	}
	if s := attempt(2, mockpay.OutcomeDeclined); s.Status != mockpay.SessionCaptured {
		t.Fatalf("the second attempt again: %s, want captured", s.Status)
	}
	b.reopen()
	if s, err := b.bank.lookup(link.Order); err != nil || s.Declines != 2 {
		t.Fatalf("after a restart it reads %+v, %v", s, err)
	}
	if got := len(b.pending()); got != 3 {
		t.Fatalf("%d webhooks, want 3", got)
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
		if (e.Capture != nil) != (status == mockpay.SessionCaptured) {
			b.t.Fatalf("e.Capture != nil is %v, want %v", e.Capture != nil, status == mockpay.SessionCaptured)
		}
	default:
		var s mockpay.Session
		s, err = b.bank.pay(link.Order, mockpay.PayRequest{Outcome: mockpay.Outcome(do)}, &link)
		status = s.Status
	}
	var r *refusal
	if err != nil {
		if !errors.As(err, &r) {
			b.t.Fatalf("the error is a %T, want a %T: %v", err, r, err)
		}
		return string(r.code)
	}
	return string(status)
}

func TestACaptureAndItsEventSayWhatTheLinkSaid(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	_, err := b.bank.pay(link.Order, mockpay.PayRequest{Outcome: mockpay.OutcomeSucceeded}, &link)
	if err != nil {
		t.Fatal(err)
	}
	want := domain.Capture{
		Payment: link.Session(), Session: link.Session(), Order: link.Order,
		AmountMinor: 6500, Currency: "EUR", CapturedAt: b.clock(),
	}
	if got, want := b.captures(), []domain.Capture{want}; !reflect.DeepEqual(got, want) {
		t.Fatalf("b.captures() is %+v, want %+v", got, want)
	}
	event := b.pending()[0].Event
	if !regexp.MustCompile(`^evt_[0-9a-f-]{36}$`).MatchString(event.ID) {
		t.Fatalf("event.ID is %q", event.ID)
	}
	want.CapturedAt = time.Time{}
	if got := event.Capture(); !reflect.DeepEqual(got, want) {
		t.Fatalf("event.Capture() is %+v, want %+v", got, want)
	}
}

func TestALinkWithOtherTermsIsRefused(t *testing.T) {
	b := setup(t)
	first, second := b.link(1), b.link(1)
	second.AmountMinor++
	if got := b.step(first, "visit"); got != "open" {
		t.Fatalf(`b.step(first, "visit") is %q, want "open"`, got)
	}
	if got := b.step(second, "visit"); got != "link_differs" {
		t.Fatalf(`b.step(second, "visit") is %q, want "link_differs"`, got)
	}
	if got := b.step(second, "succeeded"); got != "link_differs" {
		t.Fatalf(`b.step(second, "succeeded") is %q, want "link_differs"`, got)
	}
	if got := b.captures(); len(got) != 0 {
		t.Fatalf("b.captures() is %+v, want nothing", got)
	}
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
			if got := b.step(link, "visit"); got != "open" {
				t.Fatalf(`b.step(link, "visit") is %q, want "open"`, got)
			}
		}
		pay := func() {
			s, err := b.bank.pay(link.Order, mockpay.PayRequest{Outcome: mockpay.OutcomeSucceeded}, &link)
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
		if r.expired == r.paid {
			t.Fatalf("r.expired is %v: session %d: %+v", r.expired, n, r)
		}
		if r.paid {
			paid++
		}
	}
	if got := b.captures(); len(got) != paid {
		t.Fatalf("%d in b.captures(), want %d: %+v", len(got), paid, got)
	}
	if got := b.pending(); len(got) != paid {
		t.Fatalf("%d in b.pending(), want %d: %+v", len(got), paid, got)
	}
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
			if got := b.step(b.link(1), "succeeded"); got != "captured" {
				t.Fatalf(`b.step(b.link(1), "succeeded") is %q, want "captured"`, got)
			}
			if got := b.step(b.link(2), "failed"); got != "failed" {
				t.Fatalf(`b.step(b.link(2), "failed") is %q, want "failed"`, got)
			}
			refund, err := b.bank.refund(row.request)
			refunds, _, errList := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
			if errList != nil {
				t.Fatal(errList)
			}
			if row.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if want := (mockpay.Refund{RefundRequest: row.request, Session: payment, Order: paid, RefundedAt: b.clock(), ID: refundID(payment)}); !reflect.DeepEqual(refund, want) {
					t.Fatalf("refund is %+v, want %+v", refund, want)
				}
				if want := []mockpay.Refund{refund}; !reflect.DeepEqual(refunds, want) {
					t.Fatalf("refunds is %+v, want %+v", refunds, want)
				}
				return
			}
			var r *refusal
			if !errors.As(err, &r) {
				t.Fatalf("the error is a %T, want a %T: %v", err, r, err)
			}
			if string(r.code) != row.want {
				t.Fatalf("string(r.code) is %q, want %q", string(r.code), row.want)
			}
			if len(refunds) != 0 {
				t.Fatalf("refunds is %+v, want nothing", refunds)
			}
		})
	}
}

func TestARefundIsDoneOnce(t *testing.T) {
	b := setup(t)
	if got := b.step(b.link(1), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(1), "succeeded") is %q, want "captured"`, got)
	}
	request := mockpay.RefundRequest{Payment: mockpay.SessionID(orderNumber(1)), AmountMinor: 6500, Currency: "EUR", Reason: domain.RefundCanceled}
	first, err := b.bank.refund(request)
	if err != nil {
		t.Fatal(err)
	}
	b.pass(time.Hour)
	request.Reason = domain.RefundByOrganiser
	again, err := b.bank.refund(request)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, first) {
		t.Fatalf("again is %+v, want %+v: the first refund, unchanged", again, first)
	}
	request.AmountMinor--
	_, err = b.bank.refund(request)
	var r *refusal
	if !errors.As(err, &r) {
		t.Fatalf("the error is a %T, want a %T: %v", err, r, err)
	}
	if r.code != refusedRefund {
		t.Fatalf("r.code is %q, want %q", r.code, refusedRefund)
	}
	refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(refunds) != 1 {
		t.Fatalf("%d in refunds, want 1: %+v", len(refunds), refunds)
	}
}

func TestStateSurvivesAReopening(t *testing.T) {
	b := setup(t)
	if got := b.step(b.link(1), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(1), "succeeded") is %q, want "captured"`, got)
	}
	if got := b.step(b.link(2), "expire"); got != "expired" {
		t.Fatalf(`b.step(b.link(2), "expire") is %q, want "expired"`, got)
	}
	if got := b.step(b.link(3), "visit"); got != "open" {
		t.Fatalf(`b.step(b.link(3), "visit") is %q, want "open"`, got)
	}
	_, err := b.bank.refund(mockpay.RefundRequest{Payment: mockpay.SessionID(orderNumber(1)), AmountMinor: 6500, Currency: "EUR"})
	if err != nil {
		t.Fatal(err)
	}
	captures, pending := b.captures(), b.pending()
	b.reopen()
	if got := b.captures(); !reflect.DeepEqual(got, captures) {
		t.Fatalf("b.captures() is %+v, want %+v", got, captures)
	}
	if got := b.pending(); !reflect.DeepEqual(got, pending) {
		t.Fatalf("b.pending() is %+v, want %+v", got, pending)
	}
	if got := b.bank.courier.undelivered(); got != 1 {
		t.Fatalf("b.bank.courier.undelivered() is %v, want 1", got)
	}
	if got := b.step(b.link(2), "succeeded"); got != "session_closed" {
		t.Fatalf(`b.step(b.link(2), "succeeded") is %q, want "session_closed"`, got)
	}
	if got := b.step(b.link(3), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(3), "succeeded") is %q, want "captured"`, got)
	}
	if got := b.captures(); len(got) != 2 {
		t.Fatalf("%d in b.captures(), want 2: %+v", len(got), got)
	}
}

func TestTheStoreIsPrivateAndLocked(t *testing.T) {
	b := setup(t)
	info, err := os.Stat(filepath.Join(b.dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Fatalf("info.Mode().Perm() is %v, want %v", got, want)
	}
	_, err = openStore(b.dir, quiet())
	if err == nil || !strings.Contains(err.Error(), "in use by another mockpay") {
		t.Fatalf("the error is %v, want %q in it", err, "in use by another mockpay")
	}
	if err == nil || !strings.Contains(err.Error(), "MOCKPAY_DATA_DIR") {
		t.Fatalf("the error is %v, want %q in it", err, "MOCKPAY_DATA_DIR")
	}
}

func TestAForeignFileIsNotTouched(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	foreign := make([]byte, 8192)
	copy(foreign, "not a store")
	if err := os.WriteFile(path, foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openStore(dir, quiet())
	if err == nil || !strings.Contains(err.Error(), "is not a store of mockpay") {
		t.Fatalf("the error is %v, want %q in it", err, "is not a store of mockpay")
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, foreign) {
		t.Fatalf("kept is %q, want %q", kept, foreign)
	}
}

func TestAStoreOfAnotherReleaseIsRefused(t *testing.T) {
	b := setup(t)
	if err := b.bank.store.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(formatKey, []byte("mockpay/9"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.bank.store.close(); err != nil {
		t.Fatal(err)
	}
	_, err := openStore(b.dir, quiet())
	if err == nil || !strings.Contains(err.Error(), `its format is "mockpay/9"`) {
		t.Fatalf("the error is %v, want %q in it", err, `its format is "mockpay/9"`)
	}
}

func TestAFailedCommitBreaksTheStoreForGood(t *testing.T) {
	b := setup(t)
	if got := b.step(b.link(1), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(1), "succeeded") is %q, want "captured"`, got)
	}
	err := b.bank.store.update(func(*bbolt.Tx) error { return os.ErrInvalid })
	if !errors.Is(err, os.ErrInvalid) {
		t.Fatalf("the error is %v, want %v", err, os.ErrInvalid)
	}
	<-b.bank.store.broken
	link := b.link(2)
	_, err = b.bank.pay(link.Order, mockpay.PayRequest{Outcome: mockpay.OutcomeSucceeded}, &link)
	if !errors.Is(err, os.ErrInvalid) {
		t.Fatalf("the error is %v, want %v", err, os.ErrInvalid)
	}
	if got := b.bank.courier.undelivered(); got != 1 {
		t.Fatalf("b.bank.courier.undelivered() is %v, want 1: what failed is not reported", got)
	}
	if got := b.pay(b.link(3), mockpay.OutcomeSucceeded).Code; got != 500 {
		t.Fatalf("b.pay(b.link(3), mockpay.OutcomeSucceeded).Code is %v, want 500", got)
	}
	if got := b.ask("GET", "/healthz", "").Code; got != 503 {
		t.Fatalf(`b.ask("GET", "/healthz", "").Code is %v, want 503`, got)
	}
	if err := b.bank.store.close(); err == nil || !strings.Contains(err.Error(), "the store failed") {
		t.Fatalf("the error is %v, want %q in it", err, "the store failed")
	}
	b.open()
	if got := b.captures(); len(got) != 1 {
		t.Fatalf("%d in b.captures(), want 1: %+v", len(got), got)
	}
}

func TestAClosedStoreRefusesWrites(t *testing.T) {
	b := setup(t)
	if err := b.bank.store.close(); err != nil {
		t.Fatal(err)
	}
	if err := b.bank.store.close(); err != nil {
		t.Fatalf("closing twice is allowed: %v", err)
	}
	w := b.pay(b.link(1), mockpay.OutcomeSucceeded)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Fatalf(`w.Header().Get("Retry-After") is %q, want "1"`, got)
	}
	requireProblem(t, w, 503, "overloaded")
}
