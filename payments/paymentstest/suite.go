package paymentstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// A Subject is an adapter, and its provider.
type Subject struct {
	Provider payments.Provider
	// Do acts as a buyer on a page. It fails if that has no effect.
	Do func(ctx context.Context, page domain.PayPage, deed Deed) error
	// Webhook returns the next webhook that the provider sends.
	Webhook func(ctx context.Context) (Webhook, error)
	// SetAway makes the provider unreachable for the adapter, or reachable again.
	SetAway func(away bool)
	// SetLimited makes the provider answer with its rate limit and this Retry-After, in
	// seconds; 0 ends that.
	SetLimited func(retryAfter time.Duration)
	// Foreign is a genuine webhook of a type that we do not use.
	Foreign func() (Webhook, error)
	// Processes: the provider has payments that it processes for a while.
	Processes bool
	// RefuseCaptures makes the bank refuse to capture what it has authorised. Nil: the
	// double cannot.
	RefuseCaptures func(refuse bool)
	// Cannot lists what a buyer cannot do at this provider: at some, nothing but a deadline ends a session, and leaving is
	// no event.
	Cannot []Deed
	// Amounts are those to try, by currency, in minor units. Nil: amounts that a provider may refuse, unlike MockPay.
	Amounts map[string]int64
}

// A Promise is one thing that an adapter must do. Check returns an error if it does not.
type Promise struct {
	Name  string
	Check func(ctx context.Context, s *Subject) error
}

// Run checks an adapter against every promise, each with a new subject.
func Run(t *testing.T, open func(t *testing.T) *Subject) {
	for _, p := range Promises {
		t.Run(p.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := p.Check(ctx, open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// told is the error's text, or empty.
func told(err error) string { return fmt.Sprint(err) }

const patience = 30 * time.Second // for a busy machine, not for a slow adapter

// Promises is everything that package payments promises and a test can see from outside.
var Promises = []Promise{
	{"its name can stand in a route and before an id", checkName},
	{"a session is opened once for an order", checkOpen},
	{"a session that nobody opened is not there", checkUnknownSession},
	{"an expired session stays expired and takes no money", checkExpired},
	{"a captured session stays captured, however often it is asked for", checkCaptured},
	{"expire is atomic with paying", checkRace},
	{"a session that failed or was left takes no money", checkEnded},
	{"a decline ends an attempt, not the session", checkDeclined},
	{"a payment that is processed is not decided", checkProcessing},
	{"delayed methods are offered where the opening says so, and told once they are decided", checkDelayed},
	{"what is authorised is captured once, on request", checkAuthorized},
	{"what is released is never captured", checkReleased},
	{"capture and release are atomic with each other", checkCaptureOrRelease},
	{"where nothing was authorised, nothing ever will be captured", checkNothingAuthorized},
	{"amounts are in minor units of their currency", checkCurrencies},
	{"a refund happens once for its key, and in parts", checkRefunds},
	{"refunds never exceed the payment, nor at once", checkRefundSum},
	{"what cannot be given back is a definite no", checkRefusedRefunds},
	{"a dispute is told and listed, and its money does not go back twice", checkDisputes},
	{"a refund that was made elsewhere is told and listed, and its money does not go back twice", checkElsewhere},
	{"an event is the provider's or it is forged", checkForged},
	{"an event is the same each time it comes", checkRepeatedEvent},
	{"an event of another type is ignored", checkForeign},
	{"an outage is unknown, never a no", checkAway},
	{"a rate limit is unknown, and says how long it lasts", checkLimited},
	{"a call that is given up ends", checkGivenUp},
}

// opening is for a new order.
func opening() payments.Opening {
	var id [16]byte
	_, _ = rand.Read(id[:15])
	order, err := domain.ParseOrderID(hex.EncodeToString(id[:]))
	if err != nil {
		panic(err)
	}
	return payments.Opening{
		Order: order, Attempt: 1, SaleID: "gophercon", AmountMinor: 6500, Currency: "EUR", ExpiresAt: time.Now().Add(10 * time.Minute),
		ReturnURL: "https://boxoffice.example/orders/" + order.String() + "#back=key", Description: "gophercon · 1 × A",
	}
}

func (s *Subject) opened(ctx context.Context, o payments.Opening) (domain.PayPage, error) {
	page, err := s.Provider.Open(ctx, o)
	if err != nil {
		return page, fmt.Errorf("open a session: %w", err)
	}
	if !domain.ValidSessionID(page.Session) {
		return page, fmt.Errorf("the session's id is %q", page.Session)
	}
	return page, payments.CheckPageURL(page.URL)
}

// paid opens a session, pays it, and returns it with its event.
func (s *Subject) paid(ctx context.Context, o payments.Opening) (page domain.PayPage, capture domain.Capture, err error) {
	if page, err = s.opened(ctx, o); err != nil {
		return page, capture, err
	}
	if err = s.Do(ctx, page, Pay); err != nil {
		return page, capture, fmt.Errorf("pay: %w", err)
	}
	found, err := s.Provider.Session(ctx, page.Session)
	if err != nil {
		return page, capture, fmt.Errorf("read the session: %w", err)
	}
	if found.Status != payments.SessionCaptured || found.Capture == nil {
		return page, capture, fmt.Errorf("a paid session reads %+v", found)
	}
	capture = *found.Capture
	return page, capture, isOf(capture, page, o)
}

func isOf(c domain.Capture, page domain.PayPage, o payments.Opening) error {
	if c.Order != o.Order || c.Session != page.Session || c.AmountMinor != o.AmountMinor || c.Currency != o.Currency || !domain.ValidPaymentID(c.Payment) {
		return fmt.Errorf("the capture is %+v, want one of order %s, session %s, %d %s", c, o.Order, page.Session, o.AmountMinor, o.Currency)
	}
	return nil
}

// known repeats a call while its outcome is unknown, as the callers of an adapter do: a provider may refuse to do the
// same thing twice at once.
func known(ctx context.Context, call func() error) error {
	for {
		if err := call(); !domain.IsUnknown(err) || ctx.Err() != nil {
			return err
		}
	}
}

// event waits for a webhook and reads it, skipping those of other types.
func (s *Subject) event(ctx context.Context) (Webhook, domain.PaymentEvent, error) {
	for {
		hook, err := s.Webhook(ctx)
		if err != nil {
			return hook, domain.PaymentEvent{}, fmt.Errorf("no webhook came: %w", err)
		}
		event, err := s.Provider.Event(ctx, hook.Header, hook.Body)
		if err != nil || event.Type.Known() {
			return hook, event, err
		}
	}
}

func checkName(_ context.Context, s *Subject) error {
	if name := s.Provider.Name(); !domain.ValidProvider(name) || name != s.Provider.Name() {
		return fmt.Errorf("its name is %q", name)
	}
	return nil
}

func checkOpen(ctx context.Context, s *Subject) error {
	o := opening()
	first, err := s.opened(ctx, o)
	if err != nil {
		return err
	}
	if local, ok := s.Provider.(payments.Local); ok && local.SessionOf(o.Order) != first.Session {
		return fmt.Errorf("it derives session %s and opens %s", local.SessionOf(o.Order), first.Session)
	}
	const atOnce = 8
	var all sync.WaitGroup
	errs := make([]error, atOnce)
	for i := range errs {
		all.Go(func() {
			var page domain.PayPage
			err := known(ctx, func() (err error) {
				page, err = s.opened(ctx, o)
				return err
			})
			if err == nil && page.Session != first.Session {
				err = fmt.Errorf("the same attempt has sessions %s and %s", first.Session, page.Session)
			}
			errs[i] = err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	other, err := s.opened(ctx, opening())
	if err == nil && other.Session == first.Session {
		err = fmt.Errorf("two orders have session %s", first.Session)
	}
	return err
}

func checkUnknownSession(ctx context.Context, s *Subject) error {
	const nobodys = "ps_0197a3b4000000000000000000000f00"
	if _, err := s.Provider.Session(ctx, nobodys); domain.CodeOf(err) != domain.CodeNotFound {
		return fmt.Errorf("session: %v, want %s", told(err), domain.CodeNotFound)
	}
	outcome, err := s.Provider.Expire(ctx, nobodys)
	if err != nil && domain.CodeOf(err) != domain.CodeNotFound || outcome.Captured {
		return fmt.Errorf("expire: %+v, %v", outcome, told(err))
	}
	return nil
}

// mustStayUnpaid: the session took no money and never will.
func (s *Subject) mustStayUnpaid(ctx context.Context, page domain.PayPage) error {
	for range 2 {
		outcome, err := s.Provider.Expire(ctx, page.Session)
		if err != nil || outcome.Captured {
			return fmt.Errorf("expire: %+v, %v; want it expired", outcome, told(err))
		}
		if err := s.Do(ctx, page, Pay); err == nil {
			return errors.New("a session was paid after expire said that none ever will be")
		}
	}
	found, err := s.Provider.Session(ctx, page.Session)
	if err != nil || found.Capture != nil || found.Status == payments.SessionOpen || found.Status == payments.SessionCaptured {
		return fmt.Errorf("it reads %+v, %v", found, told(err))
	}
	return s.mustList(ctx, page.Session, 0)
}

// mustList counts the captures of a session in the provider's list.
func (s *Subject) mustList(ctx context.Context, session string, want int) error {
	n := 0
	for c, err := range s.Provider.Captures(ctx) {
		if err != nil {
			return err
		}
		if c.Session == session {
			n++
		}
	}
	if n != want {
		return fmt.Errorf("session %s has %d captures in the list, want %d", session, n, want)
	}
	return nil
}

func checkExpired(ctx context.Context, s *Subject) error {
	page, err := s.opened(ctx, opening())
	if err != nil {
		return err
	}
	return s.mustStayUnpaid(ctx, page)
}

func checkCaptured(ctx context.Context, s *Subject) error {
	o := opening()
	page, capture, err := s.paid(ctx, o)
	if err != nil {
		return err
	}
	_, event, err := s.event(ctx)
	if err != nil {
		return err
	}
	reported := capture
	reported.CapturedAt = time.Time{}
	if event.Type != domain.PaymentSucceeded || event.Capture() != reported || !domain.ValidEventID(event.ID) {
		return fmt.Errorf("the event is %+v, the capture %+v", event, capture)
	}
	for range 3 {
		outcome, err := s.Provider.Expire(ctx, page.Session)
		if err != nil || !outcome.Captured || outcome.Capture != capture {
			return fmt.Errorf("expire: %+v, %v; want capture %+v", outcome, told(err), capture)
		}
	}
	_ = s.Do(ctx, page, Pay) // whatever it answers, the money is taken once
	return s.mustList(ctx, page.Session, 1)
}

func checkRace(ctx context.Context, s *Subject) error {
	const rounds = 20
	for range rounds {
		o := opening()
		page, err := s.opened(ctx, o)
		if err != nil {
			return err
		}
		var both sync.WaitGroup
		var payErr, expireErr error
		var outcome domain.ExpireOutcome
		both.Go(func() { payErr = s.Do(ctx, page, Pay) })
		both.Go(func() { outcome, expireErr = s.Provider.Expire(ctx, page.Session) })
		both.Wait()
		if expireErr != nil {
			return expireErr
		}
		if isPaid := payErr == nil; isPaid != outcome.Captured {
			return fmt.Errorf("paid %t, and expire says captured %t", isPaid, outcome.Captured)
		}
		again, err := s.Provider.Expire(ctx, page.Session)
		if err != nil || again != outcome {
			return fmt.Errorf("expire says %+v, then %+v (%v)", outcome, again, told(err))
		}
	}
	return nil
}

func checkEnded(ctx context.Context, s *Subject) error {
	for deed, want := range map[Deed]domain.PaymentEventType{Fail: domain.PaymentFailed, Abandon: domain.PaymentCanceled} {
		if slices.Contains(s.Cannot, deed) {
			continue
		}
		o := opening()
		page, err := s.opened(ctx, o)
		if err != nil {
			return err
		}
		if err := s.Do(ctx, page, deed); err != nil {
			return err
		}
		_, event, err := s.event(ctx)
		if err != nil || event.Type != want || event.Order != o.Order || event.Session != page.Session {
			return fmt.Errorf("after %s the event is %+v, %v", deed, event, told(err))
		}
		if err := s.mustStayUnpaid(ctx, page); err != nil {
			return fmt.Errorf("after %s: %w", deed, err)
		}
	}
	return nil
}

func checkDeclined(ctx context.Context, s *Subject) error {
	if slices.Contains(s.Cannot, Decline) {
		return nil
	}
	for _, end := range []Deed{Pay, "expire"} {
		o := opening()
		page, err := s.opened(ctx, o)
		if err != nil {
			return err
		}
		ids := make(map[string]bool)
		for n := 1; n <= 3; n++ {
			event, err := s.declined(ctx, page, o)
			if err != nil {
				return fmt.Errorf("decline %d: %w", n, err)
			}
			if ids[event.ID] = true; len(ids) != n {
				return fmt.Errorf("decline %d has the event id of another one: %s", n, event.ID)
			}
		}
		if end != Pay {
			if err := s.mustStayUnpaid(ctx, page); err != nil {
				return fmt.Errorf("after declines: %w", err)
			}
			continue
		}
		if again, err := s.opened(ctx, o); err != nil || again.Session != page.Session {
			return fmt.Errorf("after declines the attempt has session %s, and before %s (%v)", again.Session, page.Session, told(err))
		}
		if _, capture, err := s.paid(ctx, o); err != nil {
			return fmt.Errorf("after declines: %w", err)
		} else if outcome, err := s.Provider.Expire(ctx, page.Session); err != nil || outcome.Capture != capture {
			return fmt.Errorf("after declines and a payment expire says %+v, %v", outcome, told(err))
		}
		if _, event, err := s.event(ctx); err != nil || event.Type != domain.PaymentSucceeded {
			return fmt.Errorf("after declines and a payment the event is %+v, %v", event, told(err))
		}
		if err := s.mustList(ctx, page.Session, 1); err != nil {
			return err
		}
	}
	return nil
}

// declined makes an attempt that is declined, and returns its event.
func (s *Subject) declined(ctx context.Context, page domain.PayPage, o payments.Opening) (domain.PaymentEvent, error) {
	if err := s.Do(ctx, page, Decline); err != nil {
		return domain.PaymentEvent{}, err
	}
	hook, event, err := s.event(ctx)
	if err != nil || event.Type != domain.PaymentDeclined || event.Order != o.Order || event.Session != page.Session || !event.Usable() {
		return event, fmt.Errorf("the event is %+v, %v", event, told(err))
	}
	if again, err := s.Provider.Event(ctx, hook.Header, hook.Body); err != nil || again != event {
		return event, fmt.Errorf("the event reads %+v, then %+v (%v)", event, again, told(err))
	}
	found, err := s.Provider.Session(ctx, page.Session)
	if err != nil || found.Status != payments.SessionOpen || found.Capture != nil {
		return event, fmt.Errorf("the session reads %+v, %v", found, told(err))
	}
	return event, s.mustList(ctx, page.Session, 0)
}

func checkProcessing(ctx context.Context, s *Subject) error {
	if !s.Processes {
		return nil
	}
	for _, end := range []Deed{Arrive, Bounce} {
		o := opening()
		page, err := s.opened(ctx, o)
		if err != nil {
			return err
		}
		if err := s.Do(ctx, page, Transfer); err != nil {
			return err
		}
		found, err := s.Provider.Session(ctx, page.Session)
		if err != nil || found.Status != payments.SessionProcessing || found.Capture != nil {
			return fmt.Errorf("a session whose payment is processed reads %+v, %v", found, told(err))
		}
		if _, err := s.Provider.Expire(ctx, page.Session); !domain.IsUnknown(err) || !errors.Is(err, payments.ErrProcessing) {
			return fmt.Errorf("expire while it is processed: %v, want an unknown error that wraps ErrProcessing", told(err))
		}
		if err := s.Do(ctx, page, end); err != nil {
			return err
		}
		outcome, err := s.Provider.Expire(ctx, page.Session)
		if err != nil || outcome.Captured != (end == Arrive) {
			return fmt.Errorf("expire after %s: %+v, %v", end, outcome, told(err))
		}
	}
	return nil
}

func checkDelayed(ctx context.Context, s *Subject) error {
	if p, ok := s.Provider.(payments.Delayer); !ok || !p.Delays() {
		return nil
	}
	page, err := s.opened(ctx, opening())
	if err != nil {
		return err
	}
	if err := s.Do(ctx, page, Debit); err == nil {
		return errors.New("a delayed method was offered for seats that nobody keeps so long")
	}
	if err := s.mustStayUnpaid(ctx, page); err != nil {
		return err
	}
	for end, want := range map[Deed]domain.PaymentEventType{Arrive: domain.PaymentSucceeded, Bounce: domain.PaymentFailed} {
		o := opening()
		o.Processing = 3 * 24 * time.Hour
		if page, err = s.opened(ctx, o); err != nil {
			return err
		}
		if err := s.Do(ctx, page, Debit); err != nil {
			return fmt.Errorf("pay by a delayed method: %w", err)
		}
		found, err := s.Provider.Session(ctx, page.Session)
		if err != nil || found.Status != payments.SessionProcessing || found.Capture != nil {
			return fmt.Errorf("a session whose payment is delayed reads %+v, %v", found, told(err))
		}
		for range 2 {
			if _, err := s.Provider.Expire(ctx, page.Session); !domain.IsUnknown(err) || !errors.Is(err, payments.ErrProcessing) {
				return fmt.Errorf("expire while it is processed: %v, want an unknown error that wraps ErrProcessing", told(err))
			}
		}
		if err := s.mustList(ctx, page.Session, 0); err != nil {
			return err
		}
		if err := s.Do(ctx, page, end); err != nil {
			return err
		}
		// The first event is the end's: that it is processed is no news.
		_, event, err := s.event(ctx)
		for err == nil && event.Type == domain.PaymentDeclined { // an attempt of it, at some providers
			_, event, err = s.event(ctx)
		}
		if err != nil || event.Type != want || event.Order != o.Order || event.Session != page.Session || !event.Usable() {
			return fmt.Errorf("after %s the event is %+v, %v", end, event, told(err))
		}
		outcome, err := s.Provider.Expire(ctx, page.Session)
		if err != nil || outcome.Captured != (end == Arrive) {
			return fmt.Errorf("expire after %s: %+v, %v", end, outcome, told(err))
		}
		if end == Bounce {
			if err := s.mustStayUnpaid(ctx, page); err != nil {
				return fmt.Errorf("after %s: %w", end, err)
			}
		}
	}
	return nil
}

func checkCurrencies(ctx context.Context, s *Subject) error {
	amounts := s.Amounts
	if amounts == nil {
		amounts = map[string]int64{"EUR": 1, "JPY": 6500, "KWD": 6_500_001, "USD": 99_999_999}
	}
	for currency, amount := range amounts {
		o := opening()
		o.Currency, o.AmountMinor = currency, amount
		if _, _, err := s.paid(ctx, o); err != nil {
			return err
		}
		if _, event, err := s.event(ctx); err != nil || event.AmountMinor != amount || event.Currency != currency {
			return fmt.Errorf("the event of %d %s is %+v, %v", amount, currency, event, told(err))
		}
	}
	return nil
}

func refundOf(c domain.Capture, key string, amount int64) payments.Refund {
	return payments.Refund{Key: key, Payment: c.Payment, Order: c.Order, AmountMinor: amount, Currency: c.Currency, Reason: domain.RefundByOrganiser}
}

// mustReturn compares the refunds of a payment in the provider's list: their amounts, smallest first.
func (s *Subject) mustReturn(ctx context.Context, payment string, want ...int64) error {
	var got []int64
	for r, err := range s.Provider.Refunds(ctx) {
		if err != nil {
			return err
		}
		if r.Payment == payment {
			got = append(got, r.AmountMinor)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("refunds of payment %s: %v, want %v", payment, got, want)
	}
	return nil
}

func checkRefunds(ctx context.Context, s *Subject) error {
	_, whole, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	for range 3 {
		if err := s.Provider.Refund(ctx, refundOf(whole, whole.Payment, whole.AmountMinor)); err != nil {
			return fmt.Errorf("refund all: %w", err)
		}
	}
	if err := s.mustReturn(ctx, whole.Payment, whole.AmountMinor); err != nil {
		return err
	}
	_, parts, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	for _, r := range []payments.Refund{
		refundOf(parts, "first", 1500), refundOf(parts, "first", 1500), refundOf(parts, "second", 5000), refundOf(parts, "second", 5000),
	} {
		if err := s.Provider.Refund(ctx, r); err != nil {
			return fmt.Errorf("refund %d as %s: %w", r.AmountMinor, r.Key, err)
		}
	}
	return s.mustReturn(ctx, parts.Payment, 1500, 5000)
}

func checkRefundSum(ctx context.Context, s *Subject) error {
	_, c, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	const atOnce = 6
	var all sync.WaitGroup
	errs := make([]error, atOnce)
	for i := range errs {
		all.Go(func() {
			errs[i] = known(ctx, func() error { return s.Provider.Refund(ctx, refundOf(c, fmt.Sprint("part-", i), 3000)) })
		})
	}
	all.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case domain.CodeOf(err) != domain.CodeInvalid:
			return fmt.Errorf("a refund too many: %v, want %s", told(err), domain.CodeInvalid)
		}
	}
	if done != 2 {
		return fmt.Errorf("%d refunds of 3000 of a payment of %d", done, c.AmountMinor)
	}
	return s.mustReturn(ctx, c.Payment, 3000, 3000)
}

func checkRefusedRefunds(ctx context.Context, s *Subject) error {
	_, c, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	if err := s.Provider.Refund(ctx, refundOf(c, "first", 1000)); err != nil {
		return err
	}
	otherCurrency := refundOf(c, "second", 1000)
	otherCurrency.Currency = "USD"
	nobodys := refundOf(c, "third", 1000)
	nobodys.Payment = "pay_nobody"
	for what, tt := range map[string]struct {
		refund payments.Refund
		want   domain.Code
	}{
		"too much":                {refundOf(c, "second", c.AmountMinor), domain.CodeInvalid},
		"the key, another amount": {refundOf(c, "first", 1001), domain.CodeInvalid},
		"another currency":        {otherCurrency, domain.CodeInvalid},
		"nothing":                 {refundOf(c, "second", 0), domain.CodeInvalid},
		"a payment of nobody":     {nobodys, domain.CodeNotFound},
	} {
		if err := s.Provider.Refund(ctx, tt.refund); err == nil || domain.CodeOf(err) != tt.want {
			return fmt.Errorf("%s: %v, want %s", what, told(err), tt.want)
		}
	}
	return s.mustReturn(ctx, c.Payment, 1000)
}

// reversed does something to a paid session, and reads the event of it.
func (s *Subject) reversed(ctx context.Context, page domain.PayPage, c domain.Capture, deed Deed) (domain.Reversal, error) {
	if err := s.Do(ctx, page, deed); err != nil {
		return domain.Reversal{}, fmt.Errorf("%s: %w", deed, err)
	}
	hook, event, err := s.event(ctx)
	if err != nil {
		return domain.Reversal{}, fmt.Errorf("%s: %w", deed, err)
	}
	if again, err := s.Provider.Event(ctx, hook.Header, hook.Body); err != nil || again != event {
		return domain.Reversal{}, fmt.Errorf("the event reads %+v, then %+v (%v)", event, again, told(err))
	}
	r := event.Reversal
	if event.Type != domain.PaymentReversed || event.Order != c.Order || event.Payment != c.Payment || !domain.ValidEventID(event.ID) ||
		event.Usable() || r.Check() != nil || r.Payment != c.Payment || r.Currency != c.Currency {
		return r, fmt.Errorf("after %s the event is %+v (%v)", deed, event, r.Check())
	}
	return r, nil
}

// mustDispute compares the dispute of a payment in the provider's list with what an event said.
func (s *Subject) mustDispute(ctx context.Context, want domain.Reversal) error {
	var listed []domain.Reversal
	for d, err := range s.Provider.Disputes(ctx) {
		if err != nil {
			return err
		}
		if d.Payment == want.Payment {
			listed = append(listed, d)
		}
	}
	if len(listed) != 1 || listed[0] != want {
		return fmt.Errorf("the list of disputes has %+v, and the event said %+v", listed, want)
	}
	return nil
}

func checkDisputes(ctx context.Context, s *Subject) error {
	for _, tt := range []struct {
		end  Deed
		want domain.ReversalState
		back []int64 // after the end
	}{
		{Win, domain.DisputeWon, []int64{6500}},
		{Lose, domain.DisputeLost, nil},
	} {
		page, c, err := s.paid(ctx, opening())
		if err != nil {
			return err
		}
		if _, event, err := s.event(ctx); err != nil || event.Type != domain.PaymentSucceeded {
			return fmt.Errorf("the event of the payment is %+v, %v", event, told(err))
		}
		opened, err := s.reversed(ctx, page, c, Dispute)
		if err != nil {
			return err
		}
		if opened.Kind != domain.ReversalDispute || opened.State != domain.DisputeOpen || opened.AmountMinor != c.AmountMinor {
			return fmt.Errorf("a new dispute reads %+v", opened)
		}
		whole := func() error { return s.Provider.Refund(ctx, refundOf(c, c.Payment, c.AmountMinor)) }
		if err := errors.Join(s.mustDispute(ctx, opened), whole(), s.mustReturn(ctx, c.Payment)); err != nil {
			return fmt.Errorf("while it is disputed: %w", err)
		}
		ended, err := s.reversed(ctx, page, c, tt.end)
		if err != nil {
			return err
		}
		if ended.ID != opened.ID || ended.State != tt.want {
			return fmt.Errorf("after %s the dispute reads %+v", tt.end, ended)
		}
		if err := errors.Join(s.mustDispute(ctx, ended), whole(), whole(), s.mustReturn(ctx, c.Payment, tt.back...)); err != nil {
			return fmt.Errorf("after %s: %w", tt.end, err)
		}
	}
	return nil
}

func checkElsewhere(ctx context.Context, s *Subject) error {
	page, c, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	if _, event, err := s.event(ctx); err != nil || event.Type != domain.PaymentSucceeded {
		return fmt.Errorf("the event of the payment is %+v, %v", event, told(err))
	}
	r, err := s.reversed(ctx, page, c, RefundElsewhere)
	if err != nil {
		return err
	}
	if r.Kind != domain.ReversalRefund || r.State != domain.RefundMade || r.AmountMinor != ElsewhereMinor {
		return fmt.Errorf("a refund made elsewhere reads %+v", r)
	}
	for range 2 {
		if err := s.Provider.Refund(ctx, refundOf(c, c.Payment, c.AmountMinor)); err != nil {
			return fmt.Errorf("refund the rest: %w", err)
		}
	}
	elsewhere := 0
	for listed, err := range s.Provider.Refunds(ctx) {
		switch {
		case err != nil:
			return err
		case listed.Payment != c.Payment:
		case listed.Elsewhere != (listed.ID == r.ID):
			return fmt.Errorf("the list has %+v, and %s was made elsewhere", listed, r.ID)
		case listed.Elsewhere:
			elsewhere++
		}
	}
	if elsewhere != 1 {
		return fmt.Errorf("the list has %d refunds made elsewhere, want 1", elsewhere)
	}
	if err := s.mustReturn(ctx, c.Payment, ElsewhereMinor, c.AmountMinor-ElsewhereMinor); err != nil {
		return err
	}
	// What comes next is news of another payment: a refund of ours is none.
	if _, _, err := s.paid(ctx, opening()); err != nil {
		return err
	}
	if _, event, err := s.event(ctx); err != nil || event.Type != domain.PaymentSucceeded {
		return fmt.Errorf("after a refund of ours the next event is %+v, %v", event, told(err))
	}
	return nil
}

func checkForged(ctx context.Context, s *Subject) error {
	if _, _, err := s.paid(ctx, opening()); err != nil {
		return err
	}
	hook, _, err := s.event(ctx)
	if err != nil {
		return err
	}
	changed := append([]byte(nil), hook.Body...)
	changed[len(changed)/2] ^= 1
	large := append(append([]byte(nil), hook.Body...), make([]byte, payments.EventBytesMax)...)
	for what, tt := range map[string]struct {
		header http.Header
		body   []byte
		want   domain.Code
	}{
		"another body": {hook.Header, changed, domain.CodeForged},
		"a byte more":  {hook.Header, append(append([]byte(nil), hook.Body...), ' '), domain.CodeForged},
		"no headers":   {http.Header{}, hook.Body, domain.CodeForged},
		"nothing":      {http.Header{}, nil, domain.CodeForged},
		"too large":    {hook.Header, large, domain.CodeTooLarge},
	} {
		if event, err := s.Provider.Event(ctx, tt.header, tt.body); err == nil || domain.CodeOf(err) != tt.want {
			return fmt.Errorf("%s: %+v, %v; want %s", what, event, told(err), tt.want)
		}
	}
	return nil
}

func checkRepeatedEvent(ctx context.Context, s *Subject) error {
	if _, _, err := s.paid(ctx, opening()); err != nil {
		return err
	}
	hook, first, err := s.event(ctx)
	if err != nil {
		return err
	}
	again, err := s.Provider.Event(ctx, hook.Header, hook.Body)
	if err != nil || again != first {
		return fmt.Errorf("an event reads %+v, then %+v (%v)", first, again, told(err))
	}
	return nil
}

func checkForeign(ctx context.Context, s *Subject) error {
	hook, err := s.Foreign()
	if err != nil {
		return err
	}
	event, err := s.Provider.Event(ctx, hook.Header, hook.Body)
	if err != nil || event.Type.Known() {
		return fmt.Errorf("it reads %+v, %v; want a type that we do not use", event, told(err))
	}
	return nil
}

func checkAway(ctx context.Context, s *Subject) error {
	page, capture, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	s.SetAway(true)
	_, openErr := s.Provider.Open(ctx, opening())
	if _, isLocal := s.Provider.(payments.Local); isLocal {
		if openErr != nil {
			return fmt.Errorf("it opens without a call, and fails in an outage: %w", openErr)
		}
		openErr = &domain.UnknownError{}
	}
	_, expireErr := s.Provider.Expire(ctx, page.Session)
	_, sessionErr := s.Provider.Session(ctx, page.Session)
	for what, err := range map[string]error{
		"open": openErr, "expire": expireErr, "session": sessionErr, "refund": s.Provider.Refund(ctx, refundOf(capture, "k", 1)),
		"captures": endOf(s.Provider.Captures(ctx)), "refunds": endOf(s.Provider.Refunds(ctx)), "ping": s.Provider.Ping(ctx),
		"disputes": endOf(s.Provider.Disputes(ctx)),
	} {
		if !domain.IsUnknown(err) {
			return fmt.Errorf("%s in an outage: %v, want an unknown error", what, told(err))
		}
	}
	s.SetAway(false)
	outcome, err := s.Provider.Expire(ctx, page.Session)
	if err != nil || outcome.Capture != capture {
		return fmt.Errorf("after the outage expire says %+v, %v", outcome, told(err))
	}
	return s.Provider.Ping(ctx)
}

func checkLimited(ctx context.Context, s *Subject) error {
	page, capture, err := s.paid(ctx, opening())
	if err != nil {
		return err
	}
	const after = 7 * time.Second
	s.SetLimited(after)
	_, expireErr := s.Provider.Expire(ctx, page.Session)
	_, sessionErr := s.Provider.Session(ctx, page.Session)
	calls := map[string]error{
		"expire": expireErr, "session": sessionErr, "refund": s.Provider.Refund(ctx, refundOf(capture, "k", 1)),
		"captures": endOf(s.Provider.Captures(ctx)), "ping": s.Provider.Ping(ctx),
	}
	if _, isLocal := s.Provider.(payments.Local); !isLocal {
		_, calls["open"] = s.Provider.Open(ctx, opening())
	}
	for what, err := range calls {
		var limited *payments.RateLimitedError
		if !domain.IsUnknown(err) || !errors.As(err, &limited) || limited.RetryAfter != after {
			return fmt.Errorf("%s above the provider's rate limit: %v, want an unknown error that wraps one of %s", what, told(err), after)
		}
	}
	s.SetLimited(0)
	outcome, err := s.Provider.Expire(ctx, page.Session)
	if err != nil || outcome.Capture != capture {
		return fmt.Errorf("after the limit expire says %+v, %v", outcome, told(err))
	}
	return s.mustReturn(ctx, capture.Payment)
}

func endOf[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkGivenUp(ctx context.Context, s *Subject) error {
	page, err := s.opened(ctx, opening())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_, expireErr := s.Provider.Expire(ctx, page.Session)
	for what, err := range map[string]error{"expire": expireErr, "captures": endOf(s.Provider.Captures(ctx)), "ping": s.Provider.Ping(ctx)} {
		if !domain.IsUnknown(err) {
			return fmt.Errorf("%s that was given up: %v, want an unknown error", what, told(err))
		}
	}
	return nil
}
