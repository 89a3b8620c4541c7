package mockpay

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"boxoffice/domain"
)

// A Trick is one way to misbehave.
type Trick string

// Tricks on webhooks. Each is played once per webhook, at its first attempt.
const (
	TrickDelay     Trick = "delay"     // sent DelaySeconds later
	TrickDuplicate Trick = "duplicate" // sent twice at once
	TrickReorder   Trick = "reorder"   // sent after the next one, of whichever session
	TrickLose      Trick = "lose"      // never sent: the box office has to ask
	TrickForge     Trick = "forge"     // four forgeries with its id are sent before it
	TrickReplay    Trick = "replay"    // an earlier one is sent again as it was, and this one with a stale timestamp
)

// Tricks with money. The list of captures always has what was captured.
const (
	TrickWrongAmount     Trick = "wrong_amount"      // captures one minor unit less than the link says (one more where it says 0)
	TrickWrongCurrency   Trick = "wrong_currency"    // captures another currency than the link says
	TrickContradict      Trick = "contradict"        // reports a success as failed, LateSeconds later as succeeded
	TrickCaptureAtExpire Trick = "capture_at_expire" // captures an open session at the very moment of expire, and says so
	TrickCaptureLate     Trick = "capture_late"      // captures what it said was failed, canceled or expired; reports it LateSeconds later
)

// TrickDecline is the trick on the buyer: the first DeclinesEach attempts to pay in a session
// are declined.
const TrickDecline Trick = "decline"

// TrickRefuseCapture makes the bank refuse to capture what it has authorised: the
// authorisation is released instead.
const TrickRefuseCapture Trick = "refuse_capture"

// TrickErrors is the trick on the calls of the box office (session, expire, refund, capture, release): each
// fails ErrorsEach times with status 500, alternately before and after it took effect.
const TrickErrors Trick = "errors"

var allTricks = []Trick{
	TrickDelay, TrickDuplicate, TrickReorder, TrickLose, TrickForge, TrickReplay,
	TrickWrongAmount, TrickWrongCurrency, TrickContradict, TrickCaptureAtExpire, TrickCaptureLate,
	TrickDecline, TrickRefuseCapture, TrickErrors,
}

// Limits of a Mischief, and what zeros mean.
const (
	mischiefDelayMax        = time.Hour
	mischiefDelayDefault    = 2 * time.Second
	mischiefLateDefault     = time.Second
	mischiefErrorsMax       = 100
	mischiefErrorsDefault   = 2
	mischiefDeclinesDefault = 1
	refuseRefundsMax        = 7 * 24 * time.Hour
	mischiefSessionsMax     = 100_000 // sessions with a mischief of their own
	failingCallsMax         = 100_000 // calls whose failures are counted; calls beyond that do not fail
)

// A Mischief says how the provider misbehaves, in one session or in all. Only the seed,
// the trick and the session's id decide which sessions a trick strikes, not the order of
// requests, and not restarts.
type Mischief struct {
	Seed  uint64            `json:"seed"`
	Rates map[Trick]float64 `json:"rates,omitempty"` // the share of sessions that it strikes, 0–1

	DelaySeconds float64 `json:"delay_seconds,omitempty"` // up to 3,600; 0 means 2
	LateSeconds  float64 `json:"late_seconds,omitempty"`  // up to 3,600; 0 means 1
	ErrorsEach   int     `json:"errors_each,omitempty"`   // 1–100; 0 means 2
	DeclinesEach int     `json:"declines_each,omitempty"` // 1–10; 0 means 1

	// RefuseRefundsSeconds is how long, from when this is set, refunds get a 503: up to a
	// week.
	RefuseRefundsSeconds float64 `json:"refuse_refunds_seconds,omitempty"`
}

func (m *Mischief) validate() *refusal {
	for trick, rate := range m.Rates {
		switch {
		case !slices.Contains(allTricks, trick):
			return refuse(refusedInvalid, "There is no trick %q; there are %s.", trick, namesOf(allTricks))
		case rate < 0 || rate > 1:
			return refuse(refusedInvalid, "The rate of %s must be 0–1.", trick)
		}
	}
	for _, field := range []struct {
		name  string
		value float64
		limit float64
	}{
		{"delay_seconds", m.DelaySeconds, mischiefDelayMax.Seconds()},
		{"late_seconds", m.LateSeconds, mischiefDelayMax.Seconds()},
		{"errors_each", float64(m.ErrorsEach), mischiefErrorsMax},
		{"declines_each", float64(m.DeclinesEach), domain.DeclinesMax},
		{"refuse_refunds_seconds", m.RefuseRefundsSeconds, refuseRefundsMax.Seconds()},
	} {
		if field.value < 0 || field.value > field.limit {
			return refuse(refusedInvalid, "%s must be 0–%v.", field.name, field.limit)
		}
	}
	return nil
}

func namesOf(tricks []Trick) string {
	names := make([]string, len(tricks))
	for i, trick := range tricks {
		names[i] = string(trick)
	}
	return strings.Join(names, ", ")
}

// strikes rolls the dice for a session, always with the same result.
func (m *Mischief) strikes(trick Trick, order domain.OrderID) bool {
	rate := m.Rates[trick]
	if rate == 0 {
		return false
	}
	text := binary.BigEndian.AppendUint64(nil, m.Seed)
	text = append(append(text, order[:]...), trick...)
	sum := sha256.Sum256(text)
	const bits = 53 // a float64 holds these exactly
	return float64(binary.BigEndian.Uint64(sum[:8])>>(64-bits))/(1<<bits) < rate
}

func (m *Mischief) delay() time.Duration { return secondsOr(m.DelaySeconds, mischiefDelayDefault) }
func (m *Mischief) late() time.Duration  { return secondsOr(m.LateSeconds, mischiefLateDefault) }

func (m *Mischief) errorsEach() int {
	if m.ErrorsEach == 0 {
		return mischiefErrorsDefault
	}
	return m.ErrorsEach
}

func (m *Mischief) declinesEach() int {
	if m.DeclinesEach == 0 {
		return mischiefDeclinesDefault
	}
	return m.DeclinesEach
}

func secondsOr(seconds float64, fallback time.Duration) time.Duration {
	if seconds == 0 {
		return fallback
	}
	return time.Duration(seconds * float64(time.Second))
}

// policy is a Mischief as it was set.
type policy struct {
	Mischief
	SetAt time.Time `json:"set_at"`
}

func (p *policy) refusesRefunds(now time.Time) bool {
	return now.Before(p.SetAt.Add(secondsOr(p.RefuseRefundsSeconds, 0)))
}

// tricks are those that strike one session. The zero value behaves.
type tricks struct {
	policy
	order domain.OrderID
}

func (t *tricks) play(trick Trick) bool { return t.strikes(trick, t.order) }

func (t *tricks) list() []Trick {
	struck := []Trick{} // none is [] in JSON
	for _, trick := range allTricks {
		if t.play(trick) {
			struck = append(struck, trick)
		}
	}
	return struck
}

// trickster knows how to misbehave. The store has what was set, so that a killed provider
// goes on as it was told; it does not have what was counted.
type trickster struct {
	store *store
	log   *slog.Logger
	now   func() time.Time

	setting sync.Mutex // makes store and memory change in the same order

	mu       sync.Mutex
	general  *policy // nil: behaves
	sessions map[domain.OrderID]policy
	failed   map[call]int
	tally    Tally
}

// Tally counts what was done since the process started.
type Tally struct {
	// Played counts by trick. A refused refund is not a trick's.
	Played         map[Trick]int64 `json:"played"`
	RefundsRefused int64           `json:"refunds_refused"`
	// WronglyAccepted is how many forged and stale webhooks got a 2xx: anything but 0 is
	// a hole in the box office.
	WronglyAccepted int64 `json:"wrongly_accepted"`
}

// generalKey is the key of the general mischief. A session's is stored under its order's
// id, which has 16 bytes.
var generalKey = []byte("all")

func newTrickster(s *store, log *slog.Logger) (*trickster, error) {
	t := &trickster{store: s, log: log, now: time.Now, tally: Tally{Played: make(map[Trick]int64)}}
	t.forget()
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(mischiefBucket).ForEach(func(key, _ []byte) error {
			p, _, err := get[policy](tx.Bucket(mischiefBucket), key)
			if err != nil {
				return err
			}
			t.remember(key, p)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the mischief: %w", err)
	}
	if t.general != nil || len(t.sessions) > 0 {
		log.Warn("MockPay goes on misbehaving as it was told; DELETE /v1/mischief ends it", "general", t.general != nil, "sessions", len(t.sessions))
	}
	return t, nil
}

func (t *trickster) forget() {
	t.general = nil
	t.sessions = make(map[domain.OrderID]policy)
	t.failed = make(map[call]int)
}

func (t *trickster) remember(key []byte, p policy) {
	if len(key) == len(domain.OrderID{}) {
		t.sessions[domain.OrderID(key)] = p
		return
	}
	t.general = &p
}

// on returns the tricks that strike a session: those of its own mischief, else of the
// general one.
func (t *trickster) on(order domain.OrderID) *tricks {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.sessions[order]; ok {
		return &tricks{policy: p, order: order}
	}
	if t.general != nil {
		return &tricks{policy: *t.general, order: order}
	}
	return &tricks{order: order}
}

// set makes a mischief the general one (key generalKey), or a session's own. It is on
// disk when set returns.
func (t *trickster) set(key []byte, m Mischief) error {
	if refused := m.validate(); refused != nil {
		return refused
	}
	t.setting.Lock()
	defer t.setting.Unlock()
	if t.full(key) {
		return refuse(refusedOverload, "%d sessions have a mischief of their own: delete some.", mischiefSessionsMax)
	}
	p := policy{Mischief: m, SetAt: t.now().UTC()}
	if err := t.store.update(func(tx *bbolt.Tx) error { return put(tx.Bucket(mischiefBucket), key, p) }); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remember(key, p)
	return nil
}

// full reports whether there is no room for another session's mischief.
func (t *trickster) full(key []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(key) != len(domain.OrderID{}) || len(t.sessions) < mischiefSessionsMax {
		return false
	}
	_, known := t.sessions[domain.OrderID(key)]
	return !known
}

// clear ends all mischief.
func (t *trickster) clear() error {
	t.setting.Lock()
	defer t.setting.Unlock()
	err := t.store.update(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(mischiefBucket); err != nil {
			return err
		}
		_, err := tx.CreateBucket(mischiefBucket)
		return err
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	return nil
}

// clearSession makes a session follow the general mischief again.
func (t *trickster) clearSession(order domain.OrderID) error {
	t.setting.Lock()
	defer t.setting.Unlock()
	if err := t.store.update(func(tx *bbolt.Tx) error { return tx.Bucket(mischiefBucket).Delete(order[:]) }); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, order)
	return nil
}

func (t *trickster) played(done ...Trick) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, trick := range done {
		t.tally.Played[trick]++
	}
}

// call is a call of the box office that can be made to fail.
type call struct {
	name  string
	order domain.OrderID
}

// trouble is how a call ends.
type trouble int

const (
	noTrouble      trouble = iota
	refundsRefused         // for a while
	failsBefore            // 500, nothing was done
	failsAfter             // 500, although it was done
)

// next decides how a call fails, if it does.
func (t *trickster) next(c call) trouble {
	on := t.on(c.order)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.name == callRefund && on.refusesRefunds(t.now()) {
		t.tally.RefundsRefused++
		return refundsRefused
	}
	failed, counted := t.failed[c]
	if !on.play(TrickErrors) || failed >= on.errorsEach() || !counted && len(t.failed) >= failingCallsMax {
		return noTrouble
	}
	t.failed[c]++
	t.tally.Played[TrickErrors]++
	if failed%2 == 0 {
		return failsBefore
	}
	return failsAfter
}

func (t *trickster) wronglyAccepted(how string, order domain.OrderID, status int) {
	t.mu.Lock()
	t.tally.WronglyAccepted++
	t.mu.Unlock()
	t.log.Error("the box office accepted a webhook that it must refuse", "webhook", how, "order", order, "status", status)
}
