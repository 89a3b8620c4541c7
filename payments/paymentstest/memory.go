package paymentstest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// MemoryName is what a Memory is called.
const MemoryName = "other"

// SignatureHeader has the signature of a Memory's webhooks.
const SignatureHeader = "Other-Signature"

// A Webhook is a webhook on its way.
type Webhook struct {
	Header http.Header
	Body   []byte
}

// A Memory is a payment provider in this process, and its adapter. Make one with
// NewMemory. It is safe for concurrent use.
type Memory struct {
	// Delay is how long it takes to answer, after the call took effect.
	Delay func(call string) time.Duration
	// Deliver is called with each webhook as it happens. Nil: they are only kept.
	Deliver func(Webhook)
	// IDPrefix goes before its sessions' ids.
	IDPrefix string
	// Break makes it break a promise: see Breaks.
	Break Break

	key []byte

	mu       sync.Mutex
	away     bool
	limited  time.Duration
	calls    map[string]int
	opened   map[string]*memorySession // by order and attempt
	sessions map[string]*memorySession
	captures []domain.Capture
	refunds  []memoryRefund
	disputes []domain.Reversal
	webhooks []Webhook
	refusing bool
}

type memorySession struct {
	payments.Session
	opening  payments.Opening
	released *domain.Capture // what was authorised before
}

type memoryRefund struct {
	key string
	payments.Refunded
}

// A Break is a promise that a Memory does not keep, so that tests can see the suite fail.
type Break string

// The breaks.
const (
	BreakNothing           Break = ""
	BreakOpenAgain         Break = "a session is opened again"
	BreakSharedSession     Break = "two orders have one session"
	BreakPayAfterExpire    Break = "an expired session can be paid"
	BreakExpireCaptured    Break = "expire says nothing of a capture"
	BreakExpireForgets     Break = "expire answers differently the second time"
	BreakExpireProcessing  Break = "a payment that is processed counts as none"
	BreakProcessingTold    Break = "a payment that is being processed is told as a success"
	BreakDelaysAlways      Break = "delayed methods are offered where nobody waits for them"
	BreakRaceOfExpire      Break = "expire is not atomic with paying"
	BreakCaptureElsewhere  Break = "a capture names no order"
	BreakCaptureListed     Break = "a capture is not listed"
	BreakCurrency          Break = "amounts are in hundredths, whatever the currency"
	BreakRefundKey         Break = "a refund's key is ignored"
	BreakRefundSum         Break = "refunds may exceed the payment"
	BreakRefundUnknown     Break = "a payment that nobody took is given back"
	BreakRefundAmount      Break = "a key that came with another amount is taken for done"
	BreakForgedEvent       Break = "signatures are not checked"
	BreakEventID           Break = "an event has another id each time it is read"
	BreakForeignEvent      Break = "an event of another type is an error"
	BreakAwayIsNo          Break = "an outage is a definite no"
	BreakAwayIsNothing     Break = "an outage is an empty list"
	BreakUnknownSessionIsn Break = "a session that nobody opened is there"
	BreakDeclineEnds       Break = "a decline ends the session"
	BreakDeclineFails      Break = "a decline is told as a failure"
	BreakDeclineCaptures   Break = "a decline takes the money"
	BreakDisputeRefunded   Break = "a refund gives back what a dispute has taken"
	BreakDisputeForgotten  Break = "what a dispute took never goes back, though it was won"
	BreakDisputeListed     Break = "a dispute is not listed"
	BreakDisputeState      Break = "a dispute is told as it began"
	BreakElsewhereRefunded Break = "a refund gives back what somebody gave back before"
	BreakElsewhereListed   Break = "a refund made elsewhere passes for one of ours"
	BreakLimitIsNo         Break = "a rate limit is a definite no"
	BreakLimitUntold       Break = "a rate limit is an outage like any other"
	BreakOwnRefundTold     Break = "a refund of ours is told as one made elsewhere"
	BreakAuthorizeTakes    Break = "an authorisation takes the money"
	BreakAuthorizeLost     Break = "expire says nothing of an authorisation"
	BreakAuthorizeUnlisted Break = "an authorisation is not listed"
	BreakCaptureTwice      Break = "an authorisation is captured twice"
	BreakCaptureReleased   Break = "what was released is captured"
	BreakReleaseCaptured   Break = "release says nothing of a capture"
	BreakReleaseLists      Break = "what was released is still listed"
	BreakCaptureOpens      Break = "a session in which nothing was authorised can be paid after its capture"
)

// Breaks lists every break but none.
var Breaks = []Break{
	BreakOpenAgain, BreakSharedSession, BreakPayAfterExpire, BreakExpireCaptured, BreakExpireForgets, BreakExpireProcessing,
	BreakProcessingTold, BreakDelaysAlways,
	BreakRaceOfExpire, BreakCaptureElsewhere, BreakCaptureListed, BreakCurrency, BreakRefundKey, BreakRefundSum, BreakRefundUnknown,
	BreakRefundAmount, BreakForgedEvent, BreakEventID, BreakForeignEvent, BreakAwayIsNo, BreakAwayIsNothing, BreakUnknownSessionIsn,
	BreakDeclineEnds, BreakDeclineFails, BreakDeclineCaptures,
	BreakDisputeRefunded, BreakDisputeForgotten, BreakDisputeListed, BreakDisputeState,
	BreakElsewhereRefunded, BreakElsewhereListed, BreakOwnRefundTold,
	BreakAuthorizeTakes, BreakAuthorizeLost, BreakAuthorizeUnlisted,
	BreakCaptureTwice, BreakCaptureReleased, BreakReleaseCaptured, BreakReleaseLists, BreakCaptureOpens,
	BreakLimitIsNo, BreakLimitUntold,
}

// NewMemory makes a provider that has seen nothing yet.
func NewMemory() *Memory {
	return &Memory{
		key: []byte(rand.Text()), calls: make(map[string]int),
		opened: make(map[string]*memorySession), sessions: make(map[string]*memorySession),
	}
}

var (
	_ payments.Authorizer = (*Memory)(nil)
	_ payments.Delayer    = (*Memory)(nil)
)

// Name implements payments.Provider.
func (m *Memory) Name() string { return MemoryName }

// SetAway makes the provider unreachable, or reachable again.
func (m *Memory) SetAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

// RefuseCaptures makes the bank refuse to capture what it has authorised.
func (m *Memory) RefuseCaptures(refuse bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusing = refuse
}

// SetLimited makes the provider answer with its rate limit, and this Retry-After; 0 ends
// that.
func (m *Memory) SetLimited(retryAfter time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limited = retryAfter
}

// Calls is how often the call was made.
func (m *Memory) Calls(call string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[call]
}

// answer is one call: it takes effect under the lock, then answers, perhaps late.
func answer[T any](ctx context.Context, m *Memory, call, id string, effect func() (T, error)) (T, error) {
	var none T
	value, err := func() (T, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calls[call]++
		switch {
		case m.away && m.Break == BreakAwayIsNo:
			return none, domain.NotFound("anything")
		case m.away:
			return none, &domain.UnknownError{Op: call, ID: id, Err: errors.New("the provider is down")}
		case ctx.Err() != nil:
			return none, &domain.UnknownError{Op: call, ID: id, Err: ctx.Err()}
		case m.limited > 0 && m.Break == BreakLimitIsNo:
			return none, domain.Invalid("anything", "is refused")
		case m.limited > 0 && m.Break == BreakLimitUntold:
			return none, &domain.UnknownError{Op: call, ID: id, Err: errors.New("status 429")}
		case m.limited > 0:
			return none, &domain.UnknownError{Op: call, ID: id, Err: &payments.RateLimitedError{RetryAfter: m.limited, Err: errors.New("too many requests")}}
		}
		return effect()
	}()
	if m.Delay != nil {
		if delay := m.Delay(call); delay > 0 {
			timer := time.NewTimer(delay)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
				return none, &domain.UnknownError{Op: call, ID: id, Err: ctx.Err()}
			}
		}
	}
	return value, err
}

// Open implements payments.Provider.
func (m *Memory) Open(ctx context.Context, o payments.Opening) (domain.PayPage, error) {
	return answer(ctx, m, "open", o.Order.String(), func() (domain.PayPage, error) {
		key := fmt.Sprint(o.Order, "/", o.Attempt)
		if m.Break == BreakSharedSession {
			key = "one for all"
		}
		s := m.opened[key]
		if s == nil || m.Break == BreakOpenAgain {
			id := m.IDPrefix + "cs_" + rand.Text()
			s = &memorySession{opening: o, Session: payments.Session{Session: id, Order: o.Order, Status: payments.SessionOpen, Visited: true}}
			m.opened[key], m.sessions[id] = s, s
		}
		return domain.PayPage{Session: s.Session.Session, URL: "https://pay.other.example/" + s.Session.Session}, nil
	})
}

// Expire implements payments.Provider.
func (m *Memory) Expire(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	if m.Break == BreakRaceOfExpire {
		if found, err := m.Session(ctx, session); err == nil && found.Status == payments.SessionOpen {
			time.Sleep(time.Millisecond) // between reading and writing, as a careless adapter would
			m.mu.Lock()
			defer m.mu.Unlock()
			m.sessions[session].Status = payments.SessionExpired
			return domain.ExpireOutcome{}, nil
		}
	}
	return answer(ctx, m, "expire", session, func() (domain.ExpireOutcome, error) {
		s := m.sessions[session]
		switch {
		case s == nil:
			return domain.ExpireOutcome{}, domain.NotFound("session")
		case s.Status == payments.SessionProcessing && m.Break != BreakExpireProcessing:
			return domain.ExpireOutcome{}, &domain.UnknownError{Op: "expire", ID: session, Err: payments.ErrProcessing}
		case s.Status == payments.SessionCaptured && m.Break != BreakExpireCaptured && (m.Break != BreakExpireForgets || m.calls["expire"]%2 == 1):
			return domain.ExpireOutcome{Captured: true, Capture: *s.Capture}, nil
		case s.Status == payments.SessionAuthorized && m.Break != BreakAuthorizeLost:
			return domain.ExpireOutcome{Authorized: true, Capture: *s.Capture}, nil
		case s.Status == payments.SessionOpen:
			s.Status = payments.SessionExpired
		}
		return domain.ExpireOutcome{}, nil
	})
}

// Delays implements payments.Delayer.
func (m *Memory) Delays() bool { return true }

// Authorizes implements payments.Authorizer.
func (m *Memory) Authorizes() bool { return true }

// CaptureAuthorized implements payments.Authorizer.
func (m *Memory) CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return m.decide(ctx, "capture", session, func(s *memorySession) {
		if m.refusing {
			s.release()
			return
		}
		m.take(s, *s.Capture)
	})
}

// ReleaseAuthorized implements payments.Authorizer.
func (m *Memory) ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return m.decide(ctx, "release", session, (*memorySession).release)
}

// decide captures or releases what is authorised in a session.
func (m *Memory) decide(ctx context.Context, call, session string, how func(*memorySession)) (domain.ExpireOutcome, error) {
	return answer(ctx, m, call, session, func() (domain.ExpireOutcome, error) {
		s := m.sessions[session]
		switch {
		case s == nil:
			return domain.ExpireOutcome{}, domain.NotFound("session")
		case s.Status == payments.SessionProcessing:
			return domain.ExpireOutcome{}, &domain.UnknownError{Op: call, ID: session, Err: payments.ErrProcessing}
		case s.Status == payments.SessionAuthorized:
			how(s)
		case s.Status == payments.SessionOpen && m.Break != BreakCaptureOpens:
			s.Status = payments.SessionExpired
		case s.Status == payments.SessionCaptured && call == "capture" && m.Break == BreakCaptureTwice:
			m.take(s, *s.Capture)
		case s.released != nil && call == "capture" && m.Break == BreakCaptureReleased:
			m.take(s, *s.released)
		}
		if s.Status == payments.SessionCaptured && (call != "release" || m.Break != BreakReleaseCaptured) {
			return domain.ExpireOutcome{Captured: true, Capture: *s.Capture}, nil
		}
		return domain.ExpireOutcome{}, nil
	})
}

func (s *memorySession) release() {
	s.Status, s.released, s.Capture = payments.SessionFailed, s.Capture, nil
}

// Authorizations implements payments.Authorizer.
func (m *Memory) Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return listOf(ctx, m, "authorizations", func() (all []domain.Capture) {
		for _, s := range m.sessions {
			switch {
			case m.Break == BreakAuthorizeUnlisted:
			case s.Status == payments.SessionAuthorized:
				all = append(all, *s.Capture)
			case s.released != nil && m.Break == BreakReleaseLists:
				all = append(all, *s.released)
			}
		}
		return all
	})
}

// Session implements payments.Provider.
func (m *Memory) Session(ctx context.Context, session string) (payments.Session, error) {
	return answer(ctx, m, "session", session, func() (payments.Session, error) {
		s := m.sessions[session]
		switch {
		case s != nil:
			return s.Session, nil
		case m.Break == BreakUnknownSessionIsn:
			return payments.Session{Session: session, Status: payments.SessionOpen}, nil
		default:
			return payments.Session{}, domain.NotFound("session")
		}
	})
}

// Refund implements payments.Provider.
func (m *Memory) Refund(ctx context.Context, r payments.Refund) error {
	_, err := answer(ctx, m, "refund", r.Payment, func() (struct{}, error) { return struct{}{}, m.refund(r) })
	return err
}

func (m *Memory) refund(r payments.Refund) error {
	i := slices.IndexFunc(m.captures, func(c domain.Capture) bool { return c.Payment == r.Payment })
	if i < 0 {
		if m.Break == BreakRefundUnknown {
			return nil
		}
		return domain.NotFound("payment")
	}
	amount := r.AmountMinor
	if r.Key == r.Payment {
		amount -= m.back(r.Payment)
		if amount < 1 && r.AmountMinor > 0 && r.Currency == m.captures[i].Currency {
			return nil
		}
	}
	left := m.captures[i].AmountMinor
	for _, earlier := range m.refunds {
		if earlier.Payment != r.Payment {
			continue
		}
		if earlier.key == r.Key && r.Key != r.Payment && m.Break != BreakRefundKey {
			if (earlier.AmountMinor != r.AmountMinor || earlier.Currency != r.Currency) && m.Break != BreakRefundAmount {
				return domain.Invalid("amount", "differs from that of the first refund with this key")
			}
			return nil
		}
		if !earlier.Elsewhere || m.Break != BreakElsewhereRefunded {
			left -= earlier.AmountMinor
		}
	}
	if r.Currency != m.captures[i].Currency || amount < 1 || amount > left && m.Break != BreakRefundSum {
		return domain.Invalid("amount", "exceeds what is left of the payment")
	}
	if hook := m.giveBack(r, amount); hook != nil && m.Deliver != nil {
		m.Deliver(*hook)
	}
	return nil
}

// back is what of a payment the organiser does not have any more.
func (m *Memory) back(payment string) (sum int64) {
	for _, r := range m.refunds {
		isSeen := r.Payment == payment && m.Break != BreakRefundKey
		if isSeen && (!r.Elsewhere || m.Break != BreakElsewhereRefunded) {
			sum += r.AmountMinor
		}
	}
	for _, d := range m.disputes {
		switch {
		case d.Payment != payment || m.Break == BreakDisputeRefunded:
		case m.Break == BreakDisputeForgotten:
			sum += d.AmountMinor
		default:
			sum += d.Taken()
		}
	}
	return sum
}

// giveBack makes a refund: of the box office, or, without a key, of somebody else.
func (m *Memory) giveBack(r payments.Refund, amount int64) *Webhook {
	done := memoryRefund{r.Key, payments.Refunded{
		ID: "re_" + rand.Text(), Payment: r.Payment, AmountMinor: amount, Currency: r.Currency, Reason: r.Reason, At: time.Now().UTC(),
		Elsewhere: r.Key == "" && m.Break != BreakElsewhereListed,
	}}
	m.refunds = append(m.refunds, done)
	if r.Key != "" && m.Break != BreakOwnRefundTold {
		return nil
	}
	return m.hook("refund.made", done.ID)
}

// Disputes implements payments.Provider.
func (m *Memory) Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error] {
	return listOf(ctx, m, "disputes", func() []domain.Reversal {
		if m.Break == BreakDisputeListed {
			return nil
		}
		return slices.Clone(m.disputes)
	})
}

// reversal finds what a webhook about a dispute or a refund names.
func (m *Memory) reversal(ctx context.Context, id string) (domain.Reversal, domain.OrderID, error) {
	type found struct {
		domain.Reversal
		order domain.OrderID
	}
	f, err := answer(ctx, m, "reversal", id, func() (f found, err error) {
		for _, d := range m.disputes {
			if d.ID == id {
				f.Reversal = d
				if m.Break == BreakDisputeState {
					f.State = domain.DisputeOpen
				}
			}
		}
		for _, r := range m.refunds {
			if r.ID == id {
				f.Reversal = r.Reversal()
			}
		}
		i := slices.IndexFunc(m.captures, func(c domain.Capture) bool { return c.Payment == f.Payment })
		if i < 0 {
			return f, domain.NotFound("reversal")
		}
		f.order = m.captures[i].Order
		return f, nil
	})
	return f.Reversal, f.order, err
}

// Captures implements payments.Provider.
func (m *Memory) Captures(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return listOf(ctx, m, "captures", func() []domain.Capture {
		if m.Break == BreakCaptureListed {
			return nil
		}
		return slices.Clone(m.captures)
	})
}

// Refunds implements payments.Provider.
func (m *Memory) Refunds(ctx context.Context) iter.Seq2[payments.Refunded, error] {
	return listOf(ctx, m, "refunds", func() (all []payments.Refunded) {
		for _, r := range m.refunds {
			all = append(all, r.Refunded)
		}
		return all
	})
}

func listOf[T any](ctx context.Context, m *Memory, call string, read func() []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		items, err := answer(ctx, m, call, "all", func() ([]T, error) { return read(), nil })
		if err != nil {
			if m.Break == BreakAwayIsNothing {
				return
			}
			var none T
			yield(none, err)
			return
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// Ping implements payments.Provider.
func (m *Memory) Ping(ctx context.Context) error {
	_, err := answer(ctx, m, "ping", "", func() (struct{}, error) { return struct{}{}, nil })
	return err
}

// memoryEvent is thin: the adapter has to ask what happened in the session, or to the
// dispute or refund that stands there instead.
type memoryEvent struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Session string `json:"session"`
}

// Event implements payments.Provider.
func (m *Memory) Event(ctx context.Context, header http.Header, body []byte) (domain.PaymentEvent, error) {
	switch signature, err := hex.DecodeString(header.Get(SignatureHeader)); {
	case len(body) > payments.EventBytesMax:
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeTooLarge, Detail: "The event is too large."}
	case m.Break == BreakForgedEvent:
	case err != nil || !hmac.Equal(signature, m.mac(body)):
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeForged, Detail: "The signature is not valid."}
	}
	var thin memoryEvent
	if err := json.Unmarshal(body, &thin); err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event is not JSON.", Err: err}
	}
	kind, ours := map[string]domain.PaymentEventType{
		"session.paid": domain.PaymentSucceeded, "session.failed": domain.PaymentFailed, "session.abandoned": domain.PaymentCanceled,
		"session.declined": domain.PaymentDeclined, "dispute.changed": domain.PaymentReversed, "refund.made": domain.PaymentReversed,
		"session.authorized": domain.PaymentAuthorized,
	}[thin.Type]
	if !ours {
		if m.Break == BreakForeignEvent {
			return domain.PaymentEvent{}, domain.Invalid("type", "is not known")
		}
		return domain.PaymentEvent{Type: domain.PaymentEventType(thin.Type)}, nil
	}
	if kind == domain.PaymentReversed {
		reversal, order, err := m.reversal(ctx, thin.Session)
		return domain.PaymentEvent{
			ID: thin.ID, Type: kind, Order: order, Payment: reversal.Payment, AmountMinor: reversal.AmountMinor, Currency: reversal.Currency,
			Reversal: reversal,
		}, err
	}
	session, err := m.Session(ctx, thin.Session)
	if err != nil {
		return domain.PaymentEvent{}, err
	}
	id := thin.ID
	if m.Break == BreakEventID {
		id = "evt_" + rand.Text()
	}
	m.mu.Lock()
	opening := m.sessions[thin.Session].opening
	m.mu.Unlock()
	event := domain.PaymentEvent{
		ID: id, Type: kind, Session: session.Session, Order: session.Order, Payment: session.Session,
		AmountMinor: opening.AmountMinor, Currency: opening.Currency,
	}
	if session.Capture != nil {
		event.Payment, event.AmountMinor, event.Currency = session.Capture.Payment, session.Capture.AmountMinor, session.Capture.Currency
	}
	return event, nil
}

func (m *Memory) mac(body []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write(body)
	return h.Sum(nil)
}

// A Deed is what a buyer does on a pay page, or the buyer's bank later.
type Deed string

// The deeds.
const (
	Pay     Deed = "pay"
	Fail    Deed = "fail"
	Abandon Deed = "abandon"
	// Decline is an attempt that the buyer's bank declines.
	Decline Deed = "decline"
	// Transfer begins a payment that is processed; Arrive and Bounce end it.
	Transfer Deed = "transfer"
	Arrive   Deed = "arrive"
	Bounce   Deed = "bounce"
	// Debit is Transfer by a delayed method, which not every session offers.
	Debit Deed = "debit"
	// Dispute is the buyer's bank, which asks a payment back; Win and Lose end that, for
	// the organiser.
	Dispute Deed = "dispute"
	Win     Deed = "win"
	Lose    Deed = "lose"
	// RefundElsewhere is somebody who gives ElsewhereMinor of a payment back at the
	// provider.
	RefundElsewhere Deed = "refund elsewhere"
)

// ElsewhereMinor is what RefundElsewhere gives back, in minor units.
const ElsewhereMinor = 1500

// errClosed is why a deed has no effect.
var errClosed = errors.New("the session is closed")

// Do acts as a buyer on a page.
func (m *Memory) Do(page domain.PayPage, deed Deed) error {
	_, id, _ := strings.Cut(page.Session, "/")
	if id == "" {
		id = page.Session
	}
	webhook, err := m.do(id, deed)
	if err == nil && webhook != nil && m.Deliver != nil {
		m.Deliver(*webhook)
	}
	return err
}

func (m *Memory) do(id string, deed Deed) (*Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[id]
	open := s != nil &&
		(s.Status == payments.SessionOpen || s.Status == payments.SessionExpired &&
			(m.Break == BreakPayAfterExpire || m.Break == BreakRaceOfExpire && deed == Pay && s.Capture != nil))
	processing := s != nil && s.Status == payments.SessionProcessing
	if s != nil && s.Capture != nil && slices.Contains([]Deed{Dispute, Win, Lose, RefundElsewhere}, deed) {
		return m.reverse(s.Capture, deed)
	}
	switch {
	case deed == Debit && open && m.Break == BreakProcessingTold:
		s.Status = payments.SessionProcessing
		return m.hook("session.paid", id), nil
	case deed == Transfer && open, deed == Debit && open && (s.opening.Processing > 0 || m.Break == BreakDelaysAlways):
		s.Status = payments.SessionProcessing
		return m.hook("session.processing", id), nil
	case deed == Pay && open && s.opening.Authorize && m.Break != BreakAuthorizeTakes:
		m.authorize(s)
		return m.hook("session.authorized", id), nil
	case deed == Pay && open, deed == Arrive && processing:
		m.capture(s)
		return m.hook("session.paid", id), nil
	case deed == Decline && open && m.Break != BreakDeclineFails:
		if m.Break == BreakDeclineEnds {
			s.Status = payments.SessionFailed
		}
		if m.Break == BreakDeclineCaptures {
			m.capture(s)
		}
		return m.hook("session.declined", id), nil
	case deed == Decline && open, deed == Fail && open, deed == Bounce && processing:
		s.Status = payments.SessionFailed
		return m.hook("session.failed", id), nil
	case deed == Abandon && open:
		s.Status = payments.SessionCanceled
		return m.hook("session.abandoned", id), nil
	default:
		return nil, errClosed
	}
}

// reverse is what happens to a payment after it was taken.
func (m *Memory) reverse(c *domain.Capture, deed Deed) (*Webhook, error) {
	i := slices.IndexFunc(m.disputes, func(d domain.Reversal) bool { return d.Payment == c.Payment })
	switch isOpen := i >= 0 && m.disputes[i].State == domain.DisputeOpen; {
	case deed == RefundElsewhere:
		return m.giveBack(payments.Refund{Payment: c.Payment, Order: c.Order, Currency: c.Currency}, ElsewhereMinor), nil
	case deed == Dispute && i < 0:
		i = len(m.disputes)
		m.disputes = append(m.disputes, domain.Reversal{
			ID: "dp_" + rand.Text(), Kind: domain.ReversalDispute, Payment: c.Payment, AmountMinor: c.AmountMinor, Currency: c.Currency,
			State: domain.DisputeOpen, Reason: "fraudulent", At: time.Now().UTC().Truncate(time.Second),
			RespondBy: time.Now().UTC().Truncate(time.Second).Add(7 * 24 * time.Hour),
		})
	case deed == Win && isOpen:
		m.disputes[i].State, m.disputes[i].RespondBy = domain.DisputeWon, time.Time{}
	case deed == Lose && isOpen:
		m.disputes[i].State, m.disputes[i].RespondBy = domain.DisputeLost, time.Time{}
	default:
		return nil, errClosed
	}
	return m.hook("dispute.changed", m.disputes[i].ID), nil
}

func (m *Memory) capture(s *memorySession) { m.take(s, m.due(s)) }

func (m *Memory) authorize(s *memorySession) {
	c := m.due(s)
	c.Authorized = true
	s.Status, s.Capture = payments.SessionAuthorized, &c
}

func (m *Memory) due(s *memorySession) domain.Capture {
	c := domain.Capture{
		Payment: "pi_" + rand.Text(), Session: s.Session.Session, Order: s.Order,
		AmountMinor: s.opening.AmountMinor, Currency: s.opening.Currency, CapturedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	switch {
	case m.Break == BreakCaptureElsewhere:
		c.Order = domain.OrderID{}
	case m.Break == BreakCurrency && c.Currency == "JPY":
		c.AmountMinor *= 100
	}
	return c
}

func (m *Memory) take(s *memorySession, c domain.Capture) {
	c.Authorized = false
	s.Status, s.Capture = payments.SessionCaptured, &c
	m.captures = append(m.captures, c)
}

func (m *Memory) hook(kind, session string) *Webhook {
	body, _ := json.Marshal(memoryEvent{ID: "evt_" + rand.Text(), Type: kind, Session: session})
	w := Webhook{Header: http.Header{}, Body: body}
	w.Header.Set(SignatureHeader, hex.EncodeToString(m.mac(body)))
	m.webhooks = append(m.webhooks, w)
	return &w
}

// Webhooks lists all that happened, in order.
func (m *Memory) Webhooks() []Webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.webhooks)
}
