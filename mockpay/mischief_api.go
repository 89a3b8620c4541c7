package mockpay

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// MischiefPath reads (GET), sets (POST) and ends (DELETE, including the sessions' own)
// the general mischief. A session's own is below mockpay.SessionsPath:
// {session}/mischief.
const MischiefPath = "/v1/mischief"

// DeliveryLost is the state of a webhook that is never sent (TrickLose): the box office
// has not heard about it, so nothing follows from it.
const DeliveryLost mockpay.DeliveryState = "lost"

// capturesEachMax limits the captures of one session.
const capturesEachMax = 9

// A MischiefReport says how the provider misbehaves.
type MischiefReport struct {
	Mischief *Mischief `json:"mischief"` // null: it behaves
	SetAt    time.Time `json:"set_at,omitzero"`
	Sessions int       `json:"sessions"` // with a mischief of their own
	Tally
}

// A SessionMischiefReport says how it misbehaves in one session.
type SessionMischiefReport struct {
	Mischief *Mischief `json:"mischief"` // the session's own; null: the general one
	SetAt    time.Time `json:"set_at,omitzero"`
	Tricks   []Trick   `json:"tricks"` // those that strike it
}

// A CaptureRequest captures a payment whatever state its session is in: after it failed,
// expired or was captured, and for an order that nobody placed.
type CaptureRequest struct {
	// AmountMinor and Currency are the session's if left out. A session that nobody
	// opened has none.
	AmountMinor *int64 `json:"amount,omitempty"`
	Currency    string `json:"currency,omitempty"`
	// Nth is the request's key: 1–9, where 0 means 1. The first payment of a session has
	// the session's id, the nth <session>.<nth>.
	Nth int `json:"nth,omitempty"`
}

func (c *CaptureRequest) validate() *refusal {
	switch {
	case c.AmountMinor != nil && (*c.AmountMinor < 0 || *c.AmountMinor > mockpay.AmountMinorMax):
		return refuse(refusedInvalid, "The amount must be 0–%d minor units.", int64(mockpay.AmountMinorMax))
	case c.Currency != "" && (len(c.Currency) != 3 || strings.Trim(c.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
		return refuse(refusedInvalid, "The currency must be an ISO 4217 code such as EUR.")
	case c.Nth < 0 || c.Nth > capturesEachMax:
		return refuse(refusedInvalid, "The parameter nth must be 1–%d.", capturesEachMax)
	}
	return nil
}

func (c *CaptureRequest) payment(session string) string {
	if c.Nth <= 1 {
		return session
	}
	return session + "." + strconv.Itoa(c.Nth)
}

// agrees reports whether an earlier capture is the requested one.
func (c *CaptureRequest) agrees(earlier *domain.Capture) bool {
	return (c.AmountMinor == nil || *c.AmountMinor == earlier.AmountMinor) &&
		(c.Currency == "" || c.Currency == earlier.Currency)
}

// settleTerms gives a session that nobody opened the request's terms.
func (c *CaptureRequest) settleTerms(s *sessionRecord) *refusal {
	if s.Currency != "" {
		return nil
	}
	if c.AmountMinor == nil || c.Currency == "" {
		return refuse(refusedInvalid, "Nobody opened session %s: say amount and currency.", s.Session)
	}
	s.AmountMinor, s.Currency = *c.AmountMinor, c.Currency
	return nil
}

// of returns the requested capture, for a session with terms.
func (c *CaptureRequest) of(s *sessionRecord) domain.Capture {
	capture := s.due()
	capture.Payment = c.payment(s.Session)
	if c.AmountMinor != nil {
		capture.AmountMinor = *c.AmountMinor
	}
	if c.Currency != "" {
		capture.Currency = c.Currency
	}
	return capture
}

func (a *api) mischief(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.bank.trickster.report())
}

func (a *api) setMischief(w http.ResponseWriter, r *http.Request) {
	var m Mischief
	err := readStrictJSON(r, &m)
	if err == nil {
		err = a.bank.trickster.set(generalKey, m)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.mischief(w, r)
}

func (a *api) clearMischief(w http.ResponseWriter, r *http.Request) {
	if err := a.bank.trickster.clear(); err != nil {
		a.fail(w, r, err)
		return
	}
	a.mischief(w, r)
}

func (a *api) sessionMischief(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	a.answerSessionMischief(w, r, order, err)
}

func (a *api) setSessionMischief(w http.ResponseWriter, r *http.Request) {
	var m Mischief
	order, err := orderOf(r)
	if err == nil {
		err = readStrictJSON(r, &m)
	}
	if err == nil {
		err = a.bank.trickster.set(order[:], m)
	}
	a.answerSessionMischief(w, r, order, err)
}

func (a *api) clearSessionMischief(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err == nil {
		err = a.bank.trickster.clearSession(order)
	}
	a.answerSessionMischief(w, r, order, err)
}

func (a *api) answerSessionMischief(w http.ResponseWriter, r *http.Request, order domain.OrderID, err error) {
	a.answer(w, r, a.bank.trickster.sessionReport(order), err)
}

func (a *api) capture(w http.ResponseWriter, r *http.Request) {
	order, err := orderOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var request CaptureRequest
	if err := readStrictJSON(r, &request); err != nil {
		a.fail(w, r, err)
		return
	}
	capture, err := a.bank.capture(order, request)
	a.answer(w, r, capture, err)
}

// readStrictJSON refuses unknown fields: a misspelt trick would be a test that tests
// nothing.
func readStrictJSON(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decodeOne(decoder, into)
}

func (t *trickster) report() MischiefReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	report := MischiefReport{Sessions: len(t.sessions), Tally: t.tally}
	report.Played = make(map[Trick]int64, len(t.tally.Played))
	for trick, n := range t.tally.Played {
		report.Played[trick] = n
	}
	if t.general != nil {
		report.Mischief, report.SetAt = &t.general.Mischief, t.general.SetAt
	}
	return report
}

func (t *trickster) sessionReport(order domain.OrderID) SessionMischiefReport {
	report := SessionMischiefReport{Tricks: t.on(order).list()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if own, ok := t.sessions[order]; ok {
		report.Mischief, report.SetAt = &own.Mischief, own.SetAt
	}
	return report
}

// The calls of the box office that can be made to fail.
const (
	callSession = "session"
	callExpire  = "expire"
	callRefund  = "refund"
	callCapture = "capture" // of what is authorised
	callRelease = "release"
)

// orderOfPayment reads the order from a payment's id; zero if the id is not ours.
func orderOfPayment(payment string) domain.OrderID {
	session, _, _ := strings.Cut(payment, ".")
	order, err := mockpay.OrderOfSession(session)
	if err != nil {
		return domain.OrderID{}
	}
	return order
}

// troubled makes a call, unless mischief makes it fail.
func troubled[T any](a *api, c call, do func() (T, error)) (T, error) {
	var none T
	switch a.bank.trickster.next(c) {
	case refundsRefused:
		return none, refuse(refusedRefunds, "No refunds for a while: repeat the request later.")
	case failsAfter:
		_, _ = do() // its answer gets lost
		fallthrough
	case failsBefore:
		return none, refuse(refusedFailing, "The provider failed. Repeat the request: it has no second effect.")
	default:
		return do()
	}
}
