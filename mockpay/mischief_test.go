package mockpay

import (
	"fmt"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// misbehave sets the mischief of the n-th order's session.
func (b *bundle) misbehave(n int, m Mischief) {
	order := orderNumber(n)
	require.NoError(b.t, b.bank.trickster.set(order[:], m))
}

// always is a mischief of tricks that strike every time.
func always(tricks ...Trick) Mischief {
	m := Mischief{Rates: map[Trick]float64{}}
	for _, trick := range tricks {
		m.Rates[trick] = 1
	}
	return m
}

// told is what will be sent about payments, and when.
func (b *bundle) told() (told []string) {
	pending := b.pending()
	require.Len(b.t, b.bank.courier.waiting, len(pending))
	due := map[uint64]time.Time{}
	for _, p := range b.bank.courier.waiting {
		due[p.key] = p.due
	}
	for i, d := range pending {
		after := due[uint64(i+1)].Sub(b.clock())
		told = append(told, strings.TrimPrefix(string(d.Event.Type), "payment.")+" after "+after.String())
	}
	return told
}

func (b *bundle) lost() []mockpay.Delivery {
	values, _, err := list[mockpay.Delivery](b.bank, lostBucket, 0, mockpay.ListLimitMax)
	require.NoError(b.t, err)
	return values
}

// What a trick makes of a session: what the caller is answered, what is
// captured, and what the box office will be told.
func TestTricksWithMoneyAndReports(t *testing.T) {
	for _, row := range []struct {
		name     string
		mischief Mischief
		do       string // a step
		answer   string
		captured string // empty: nothing
		told     []string
		lost     int
		played   []Trick
	}{
		{"well-behaved", Mischief{}, "succeeded", "captured", "6500 EUR", []string{"succeeded after 0s"}, 0, nil},
		{"delay", always(TrickDelay), "succeeded", "captured", "6500 EUR", []string{"succeeded after 2s"}, 0, []Trick{TrickDelay}},
		{"delay for some time", Mischief{Rates: map[Trick]float64{TrickDelay: 1}, DelaySeconds: 0.5}, "failed", "failed", "", []string{"failed after 500ms"}, 0, []Trick{TrickDelay}},
		{"lose a success", always(TrickLose), "succeeded", "captured", "6500 EUR", nil, 1, []Trick{TrickLose}},
		{"lose a failure", always(TrickLose), "failed", "failed", "", nil, 1, []Trick{TrickLose}},
		{"lose goes before delay", always(TrickLose, TrickDelay), "succeeded", "captured", "6500 EUR", nil, 1, []Trick{TrickLose}},
		{"wrong amount", always(TrickWrongAmount), "succeeded", "captured", "6499 EUR", []string{"succeeded after 0s"}, 0, []Trick{TrickWrongAmount}},
		{"wrong currency", always(TrickWrongCurrency), "succeeded", "captured", "6500 XTS", []string{"succeeded after 0s"}, 0, []Trick{TrickWrongCurrency}},
		{"wrong amount of nothing", always(TrickWrongAmount), "failed", "failed", "", []string{"failed after 0s"}, 0, nil},
		{"contradict", always(TrickContradict), "succeeded", "captured", "6500 EUR", []string{"failed after 0s", "succeeded after 1s"}, 0, []Trick{TrickContradict}},
		{"nothing to contradict", always(TrickContradict), "failed", "failed", "", []string{"failed after 0s"}, 0, nil},
		{"contradict late", Mischief{Rates: map[Trick]float64{TrickContradict: 1, TrickDelay: 1}, LateSeconds: 3, DelaySeconds: 4}, "succeeded", "captured", "6500 EUR", []string{"failed after 4s", "succeeded after 7s"}, 0, []Trick{TrickContradict, TrickDelay}},
		{"a contradiction is not lost", always(TrickContradict, TrickLose), "succeeded", "captured", "6500 EUR", []string{"failed after 0s", "succeeded after 1s"}, 0, []Trick{TrickContradict}},
		{"captured after it failed", always(TrickCaptureLate), "failed", "captured", "6500 EUR", []string{"failed after 0s", "succeeded after 1s"}, 0, []Trick{TrickCaptureLate}},
		{"captured after it was canceled", always(TrickCaptureLate), "canceled", "captured", "6500 EUR", []string{"canceled after 0s", "succeeded after 1s"}, 0, []Trick{TrickCaptureLate}},
		{"captured after it expired", always(TrickCaptureLate), "expire", "expired", "6500 EUR", []string{"succeeded after 1s"}, 0, []Trick{TrickCaptureLate}},
		{"a late capture is not lost", always(TrickCaptureLate, TrickLose), "expire", "expired", "6500 EUR", []string{"succeeded after 1s"}, 0, []Trick{TrickCaptureLate}},
		{"a late capture of the wrong amount", always(TrickCaptureLate, TrickWrongAmount), "expire", "expired", "6499 EUR", []string{"succeeded after 1s"}, 0, []Trick{TrickCaptureLate, TrickWrongAmount}},
		{"a success is not late", always(TrickCaptureLate), "succeeded", "captured", "6500 EUR", []string{"succeeded after 0s"}, 0, nil},
		{"captured at expire", always(TrickCaptureAtExpire), "expire", "captured", "6500 EUR", []string{"succeeded after 0s"}, 0, []Trick{TrickCaptureAtExpire}},
		{"captured at expire, and lost", always(TrickCaptureAtExpire, TrickLose), "expire", "captured", "6500 EUR", nil, 1, []Trick{TrickCaptureAtExpire, TrickLose}},
		{"expire without a trick", always(TrickLose, TrickDelay, TrickContradict, TrickWrongAmount), "expire", "expired", "", nil, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			b.misbehave(1, row.mischief)
			require.Equal(t, "open", b.step(link, "visit"))
			require.Equal(t, row.answer, b.step(link, row.do))
			var captured string
			for _, c := range b.captures() {
				captured += fmt.Sprint(c.AmountMinor, " ", c.Currency)
				s, err := b.bank.lookup(link.Order)
				require.NoError(t, err)
				require.Equal(t, c, *s.Capture, "session and list agree")
				require.Equal(t, mockpay.SessionCaptured, s.Status)
			}
			require.Equal(t, row.captured, captured)
			require.Equal(t, row.told, b.told())
			for _, d := range b.pending() {
				if d.Event.Type == domain.PaymentSucceeded {
					reported := b.captures()[0]
					reported.CapturedAt = time.Time{}
					require.Equal(t, reported, d.Event.Capture(), "what is reported is what was captured")
				}
			}
			lost := b.lost()
			require.Len(t, lost, row.lost)
			for _, d := range lost {
				require.Equal(t, DeliveryLost, d.State)
				require.Equal(t, link.Order, d.Event.Order)
				require.False(t, d.EndedAt.IsZero())
			}
			played := map[Trick]int64{}
			for _, trick := range row.played {
				played[trick] = 1
			}
			require.Equal(t, played, b.bank.trickster.report().Played)
		})
	}
}

func TestASessionThatNobodyOpenedCannotBeCapturedAtExpire(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickCaptureAtExpire, TrickCaptureLate))
	require.Equal(t, "expired", b.step(b.link(1), "expire"))
	require.Empty(t, b.captures())
}

func TestAContradictionHasTwoEvents(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickContradict))
	b.step(b.link(1), "succeeded")
	pending := b.pending()
	require.NotEqual(t, pending[0].Event.ID, pending[1].Event.ID)
	require.Less(t, pending[0].Event.ID, pending[1].Event.ID, "ids are ordered by time")
}

func TestWhatWasToldAtExpireIsNotRepeated(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickCaptureLate))
	require.Equal(t, "open", b.step(b.link(1), "visit"))
	require.Equal(t, "expired", b.step(b.link(1), "expire"))
	require.Equal(t, "captured", b.step(b.link(1), "expire"), "who asks again hears the truth")
	require.Len(t, b.captures(), 1)
	require.Len(t, b.pending(), 1)
}

func TestCaptureByHand(t *testing.T) {
	for _, row := range []struct {
		name     string
		before   []string // steps
		body     string
		want     string // payment, amount and currency; or the refusal's code
		captures int
		status   mockpay.SessionStatus
	}{
		{"an open session", []string{"visit"}, `{}`, "ps 6500 EUR", 1, "captured"},
		{"after it failed", []string{"failed"}, `{}`, "ps 6500 EUR", 1, "captured"},
		{"after it was canceled", []string{"canceled"}, `{}`, "ps 6500 EUR", 1, "captured"},
		{"after it expired", []string{"visit", "expire"}, `{}`, "ps 6500 EUR", 1, "captured"},
		{"another amount", []string{"visit"}, `{"amount":1}`, "ps 1 EUR", 1, "captured"},
		{"another currency", []string{"visit"}, `{"currency":"CHF"}`, "ps 6500 CHF", 1, "captured"},
		{"an order that nobody placed", nil, `{"amount":5,"currency":"EUR"}`, "ps 5 EUR", 1, "captured"},
		{"expired before anybody came", []string{"expire"}, `{"amount":5,"currency":"EUR"}`, "ps 5 EUR", 1, "captured"},
		{"an order that nobody placed, without terms", nil, `{}`, "invalid", 0, ""},
		{"again", []string{"succeeded"}, `{}`, "ps 6500 EUR", 1, "captured"},
		{"again, with other terms", []string{"succeeded"}, `{"amount":1}`, "capture_differs", 1, "captured"},
		{"a second payment", []string{"succeeded"}, `{"nth":2}`, "ps.2 6500 EUR", 2, "captured"},
		{"a negative amount", []string{"visit"}, `{"amount":-1}`, "invalid", 0, "open"},
		{"a currency that is none", []string{"visit"}, `{"currency":"eur"}`, "invalid", 0, "open"},
		{"too many", []string{"visit"}, `{"nth":10}`, "invalid", 0, "open"},
		{"a field that is none", []string{"visit"}, `{"amuont":1}`, "invalid", 0, "open"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			for _, step := range row.before {
				b.step(link, step)
			}
			target := "/v1/sessions/" + link.Session()
			w := b.ask("POST", target+"/capture", row.body)
			if w.Code == 200 {
				c := decode[domain.Capture](t, w)
				require.Equal(t, strings.Replace(row.want, "ps", link.Session(), 1), fmt.Sprintf("%s %d %s", c.Payment, c.AmountMinor, c.Currency))
				require.Contains(t, b.captures(), c)
				reports := 0
				for _, d := range b.pending() {
					if d.Event.Payment == c.Payment && d.Event.Type == domain.PaymentSucceeded {
						reports++
					}
				}
				require.Equal(t, 1, reports)
				again := b.ask("POST", target+"/capture", row.body)
				require.Equal(t, c, decode[domain.Capture](t, again), "the same request has no second effect")
			} else {
				require.Equal(t, row.want, decode[mockpay.Problem](t, w).Code)
			}
			require.Len(t, b.captures(), row.captures)
			if row.status != "" {
				s, err := b.bank.lookup(link.Order)
				require.NoError(t, err)
				require.Equal(t, row.status, s.Status)
			}
		})
	}
}

func TestEveryCaptureByHandCanBeRefunded(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	b.step(link, "succeeded")
	require.Equal(t, 200, b.ask("POST", "/v1/sessions/"+link.Session()+"/capture", `{"nth":2}`).Code)
	for _, c := range b.captures() {
		w := b.refund(c.Payment)
		require.Equal(t, 200, w.Code, w.Body)
	}
	refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
	require.NoError(t, err)
	require.Len(t, refunds, 2)
}

func TestACaptureByHandIsLostOnlyWhileItCanBeAskedFor(t *testing.T) {
	for before, lost := range map[string]int{"visit": 1, "failed": 0} {
		b := setup(t)
		b.step(b.link(1), before)
		b.misbehave(1, always(TrickLose))
		require.Equal(t, 200, b.ask("POST", "/v1/sessions/"+b.link(1).Session()+"/capture", `{}`).Code)
		require.Len(t, b.lost(), lost, "after %s", before)
	}
}

// A call fails as often as was said, first without its effect, then with it.
func TestCallsFailAndThenSucceed(t *testing.T) {
	type state struct {
		code     int
		happened bool
	}
	refunded := func(b *bundle) bool {
		refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
		require.NoError(b.t, err)
		return len(refunds) > 0
	}
	expired := func(b *bundle) bool {
		s, err := b.bank.lookup(orderNumber(1))
		require.NoError(b.t, err)
		return s.Status == mockpay.SessionExpired
	}
	session := "/v1/sessions/" + mockpay.SessionID(orderNumber(1))
	for _, row := range []struct {
		name     string
		before   string
		mischief Mischief
		ask      func(*bundle) int
		happened func(*bundle) bool
		want     []state
	}{
		{"refund", "succeeded", always(TrickErrors), func(b *bundle) int { return b.refund(mockpay.SessionID(orderNumber(1))).Code }, refunded,
			[]state{{500, false}, {500, true}, {200, true}, {200, true}}},
		{"expire", "visit", always(TrickErrors), func(b *bundle) int { return b.ask("POST", session+"/expire", "").Code }, expired,
			[]state{{500, false}, {500, true}, {200, true}}},
		{"session", "visit", always(TrickErrors), func(b *bundle) int { return b.ask("GET", session, "").Code }, func(*bundle) bool { return false },
			[]state{{500, false}, {500, false}, {200, false}}},
		{"once", "visit", Mischief{Rates: map[Trick]float64{TrickErrors: 1}, ErrorsEach: 1}, func(b *bundle) int { return b.ask("POST", session+"/expire", "").Code }, expired,
			[]state{{500, false}, {200, true}}},
		{"paying never does", "visit", always(TrickErrors), func(b *bundle) int { return b.ask("POST", session+"/pay", `{"outcome":"failed"}`).Code }, func(*bundle) bool { return true },
			[]state{{200, true}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			b.step(b.link(1), row.before)
			b.misbehave(1, row.mischief)
			for i, want := range row.want {
				require.Equal(t, want.code, row.ask(b), "call %d", i+1)
				require.Equal(t, want.happened, row.happened(b), "after call %d", i+1)
			}
		})
	}
}

func (b *bundle) refund(payment string) *httptest.ResponseRecorder {
	body := fmt.Sprintf(`{"payment":%q,"amount":6500,"currency":"EUR","reason":"none_left"}`, payment)
	return b.ask("POST", "/v1/refunds", body)
}

func TestRefundsAreRefusedForAWhile(t *testing.T) {
	b := setup(t)
	b.step(b.link(1), "succeeded")
	require.Equal(t, 200, b.ask("POST", MischiefPath, `{"refuse_refunds_seconds":30}`).Code)
	payment := mockpay.SessionID(orderNumber(1))
	w := b.refund(payment)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	requireProblem(t, w, 503, "refunds_refused")
	b.pass(30*time.Second - time.Millisecond)
	requireProblem(t, b.refund(payment), 503, "refunds_refused")
	b.pass(time.Millisecond)
	require.Equal(t, 200, b.refund(payment).Code)
	require.Equal(t, int64(2), b.bank.trickster.report().RefundsRefused)
}

// The dice are the seed's, the trick's and the session's: nothing else decides.
func TestTricksAreDeterministic(t *testing.T) {
	const sessions = 4000
	throw := func(seed uint64, trick Trick, rate float64) (struck []bool) {
		m := Mischief{Seed: seed, Rates: map[Trick]float64{trick: rate}}
		for n := range sessions {
			struck = append(struck, m.strikes(trick, orderNumber(n)))
		}
		return struck
	}
	count := func(struck []bool) (n int) {
		for _, s := range struck {
			if s {
				n++
			}
		}
		return n
	}
	first := throw(1, TrickLose, 0.3)
	require.Equal(t, first, throw(1, TrickLose, 0.3))
	require.NotEqual(t, first, throw(2, TrickLose, 0.3), "another seed, other sessions")
	require.NotEqual(t, first, throw(1, TrickForge, 0.3), "tricks are independent of each other")
	require.Zero(t, count(throw(1, TrickLose, 0)))
	require.Equal(t, sessions, count(throw(1, TrickLose, 1)))
	sigma := math.Sqrt(sessions * 0.3 * 0.7)
	require.InDelta(t, 0.3*sessions, count(first), 4*sigma)
	for n, struck := range throw(1, TrickLose, 0.5) {
		require.True(t, struck || !first[n], "a higher rate strikes more sessions, not others")
	}
}

func TestASessionsMischiefGoesBeforeTheGeneralOne(t *testing.T) {
	b := setup(t)
	session := func(n int) string { return "/v1/sessions/" + mockpay.SessionID(orderNumber(n)) + "/mischief" }
	require.Equal(t, 200, b.ask("POST", MischiefPath, `{"rates":{"lose":1}}`).Code)
	require.Equal(t, 200, b.ask("POST", session(1), `{"rates":{"forge":1,"delay":1}}`).Code)
	tricks := func(n int) []Trick { return decode[SessionMischiefReport](t, b.ask("GET", session(n), "")).Tricks }
	require.Equal(t, []Trick{TrickDelay, TrickForge}, tricks(1))
	require.Equal(t, []Trick{TrickLose}, tricks(2))

	report := decode[MischiefReport](t, b.ask("GET", MischiefPath, ""))
	require.Equal(t, map[Trick]float64{TrickLose: 1}, report.Mischief.Rates)
	require.Equal(t, 1, report.Sessions)
	require.Equal(t, b.clock(), report.SetAt)

	require.Equal(t, 200, b.ask("DELETE", session(1), "").Code)
	require.Equal(t, []Trick{TrickLose}, tricks(1))
	require.Equal(t, 200, b.ask("POST", session(1), `{"rates":{"forge":1}}`).Code)
	require.Equal(t, 200, b.ask("DELETE", MischiefPath, "").Code)
	require.Empty(t, tricks(1))
	require.Empty(t, tricks(2))
	require.Equal(t, "captured", b.step(b.link(2), "succeeded"))
	require.Empty(t, b.lost())
	b.reopen()
	require.Empty(t, tricks(1), "what was ended stays ended")
}

func TestMischiefSurvivesAReopening(t *testing.T) {
	b := setup(t)
	require.Equal(t, 200, b.ask("POST", MischiefPath, `{"seed":7,"rates":{"lose":1},"refuse_refunds_seconds":30}`).Code)
	b.misbehave(1, always(TrickForge))
	require.Equal(t, "captured", b.step(b.link(2), "succeeded"))
	lost := b.lost()
	require.Len(t, lost, 1)
	before := b.bank.trickster.report()
	b.reopen()
	after := b.bank.trickster.report()
	require.Equal(t, before.Mischief, after.Mischief)
	require.Equal(t, before.SetAt, after.SetAt)
	require.Equal(t, before.Sessions, after.Sessions)
	require.Equal(t, lost, b.lost())
	require.Zero(t, b.bank.courier.undelivered(), "a lost webhook stays lost")
	requireProblem(t, b.refund(mockpay.SessionID(orderNumber(2))), 503, "refunds_refused")
}

func TestLostWebhooksAreListedApart(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickLose))
	b.step(b.link(1), "succeeded")
	for state, want := range map[string]int{"lost": 1, "acknowledged": 0, "pending": 0, "abandoned": 0} {
		page := decode[mockpay.Page[mockpay.Delivery]](t, b.ask("GET", mockpay.DeliveriesPath+"?state="+state, ""))
		require.Len(t, page.Items, want, state)
	}
}

func TestMischiefRefusals(t *testing.T) {
	b := setup(t)
	for _, body := range []string{
		"", "[]", `{"rates":{"steal":1}}`, `{"rates":{"lose":1.1}}`, `{"rates":{"lose":-0.1}}`, `{"rate":{"lose":1}}`, `{"seed":-1}`,
		`{"delay_seconds":-1}`, `{"delay_seconds":3601}`, `{"late_seconds":3601}`, `{"errors_each":101}`, `{"errors_each":-1}`,
		`{"refuse_refunds_seconds":604801}`, `{"rates":{"lose":"1"}}`,
	} {
		for _, path := range []string{MischiefPath, "/v1/sessions/" + mockpay.SessionID(orderNumber(1)) + "/mischief"} {
			requireProblem(t, b.ask("POST", path, body), 422, "invalid")
		}
	}
	requireProblem(t, b.ask("POST", "/v1/sessions/x/mischief", `{}`), 404, "not_found")
	requireProblem(t, b.ask("POST", "/v1/sessions/x/capture", `{}`), 404, "not_found")
	requireProblem(t, b.ask("PUT", MischiefPath, `{}`), 405, "method_not_allowed")
	report := decode[MischiefReport](t, b.ask("GET", MischiefPath, ""))
	require.Nil(t, report.Mischief)
	require.Zero(t, report.Sessions)
}
