package mockpay

import (
	"fmt"
	"math"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// misbehave sets the mischief of the n-th order's session.
func (b *bundle) misbehave(n int, m Mischief) {
	order := orderNumber(n)
	if err := b.bank.trickster.set(order[:], m); err != nil {
		b.t.Fatal(err)
	}
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
	if len(b.bank.courier.waiting) != len(pending) {
		b.t.Fatalf("%d in b.bank.courier.waiting, want %d: %+v", len(b.bank.courier.waiting), len(pending), b.bank.courier.waiting)
	}
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
	if err != nil {
		b.t.Fatal(err)
	}
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
		{"decline the first attempt", always(TrickDecline), "succeeded", "open", "", []string{"declined after 0s"}, 0, []Trick{TrickDecline}},
		{"decline as often as a session may be", Mischief{Rates: map[Trick]float64{TrickDecline: 1}, DeclinesEach: 10}, "succeeded", "open", "", []string{"declined after 0s"}, 0, []Trick{TrickDecline}},
		{"decline, and lose it", always(TrickDecline, TrickLose), "succeeded", "open", "", nil, 1, []Trick{TrickDecline, TrickLose}},
		{"decline, and say so later", always(TrickDecline, TrickDelay), "succeeded", "open", "", []string{"declined after 2s"}, 0, []Trick{TrickDecline, TrickDelay}},
		{"decline contradicts nothing", always(TrickDecline, TrickContradict, TrickCaptureLate, TrickWrongAmount), "succeeded", "open", "", []string{"declined after 0s"}, 0, []Trick{TrickDecline}},
		{"what fails is not declined", always(TrickDecline), "failed", "failed", "", []string{"failed after 0s"}, 0, nil},
		{"a declined attempt is not captured", always(TrickCaptureLate), "declined", "open", "", []string{"declined after 0s"}, 0, nil},
		{"captured at expire", always(TrickCaptureAtExpire), "expire", "captured", "6500 EUR", []string{"succeeded after 0s"}, 0, []Trick{TrickCaptureAtExpire}},
		{"captured at expire, and lost", always(TrickCaptureAtExpire, TrickLose), "expire", "captured", "6500 EUR", nil, 1, []Trick{TrickCaptureAtExpire, TrickLose}},
		{"expire without a trick", always(TrickLose, TrickDelay, TrickContradict, TrickWrongAmount), "expire", "expired", "", nil, 0, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := setup(t)
			link := b.link(1)
			b.misbehave(1, row.mischief)
			if got := b.step(link, "visit"); got != "open" {
				t.Fatalf(`b.step(link, "visit") is %q, want "open"`, got)
			}
			if got := b.step(link, row.do); got != row.answer {
				t.Fatalf("b.step(link, row.do) is %q, want %q", got, row.answer)
			}
			var captured string
			for _, c := range b.captures() {
				captured += fmt.Sprint(c.AmountMinor, " ", c.Currency)
				s, err := b.bank.lookup(link.Order)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(*s.Capture, c) {
					t.Fatalf("*s.Capture is %+v, want %+v: session and list agree", *s.Capture, c)
				}
				if s.Status != mockpay.SessionCaptured {
					t.Fatalf("s.Status is %q, want %q", s.Status, mockpay.SessionCaptured)
				}
			}
			if captured != row.captured {
				t.Fatalf("captured is %q, want %q", captured, row.captured)
			}
			if got := b.told(); !reflect.DeepEqual(got, row.told) {
				t.Fatalf("b.told() is %q, want %q", got, row.told)
			}
			for _, d := range b.pending() {
				if d.Event.Type == domain.PaymentSucceeded {
					reported := b.captures()[0]
					reported.CapturedAt = time.Time{}
					if got := d.Event.Capture(); !reflect.DeepEqual(got, reported) {
						t.Fatalf("d.Event.Capture() is %+v, want %+v: what is reported is what was captured", got, reported)
					}
				}
			}
			lost := b.lost()
			if len(lost) != row.lost {
				t.Fatalf("%d in lost, want %d: %+v", len(lost), row.lost, lost)
			}
			for _, d := range lost {
				if d.State != DeliveryLost {
					t.Fatalf("d.State is %q, want %q", d.State, DeliveryLost)
				}
				if d.Event.Order != link.Order {
					t.Fatalf("d.Event.Order is %v, want %v", d.Event.Order, link.Order)
				}
				if d.EndedAt.IsZero() {
					t.Fatal("want false: d.EndedAt.IsZero()")
				}
			}
			played := map[Trick]int64{}
			for _, trick := range row.played {
				played[trick] = 1
			}
			if got := b.bank.trickster.report().Played; !reflect.DeepEqual(got, played) {
				t.Fatalf("b.bank.trickster.report().Played is %v, want %v", got, played)
			}
		})
	}
}

func TestASessionThatNobodyOpenedCannotBeCapturedAtExpire(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickCaptureAtExpire, TrickCaptureLate))
	if got := b.step(b.link(1), "expire"); got != "expired" {
		t.Fatalf(`b.step(b.link(1), "expire") is %q, want "expired"`, got)
	}
	if got := b.captures(); len(got) != 0 {
		t.Fatalf("b.captures() is %+v, want nothing", got)
	}
}

func TestAContradictionHasTwoEvents(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickContradict))
	b.step(b.link(1), "succeeded")
	pending := b.pending()
	if pending[1].Event.ID == pending[0].Event.ID {
		t.Fatalf("pending[1].Event.ID is %q", pending[1].Event.ID)
	}
	if pending[0].Event.ID >= pending[1].Event.ID {
		t.Fatalf("%s is not before %s: ids are ordered by time", pending[0].Event.ID, pending[1].Event.ID)
	}
}

func TestWhatWasToldAtExpireIsNotRepeated(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickCaptureLate))
	if got := b.step(b.link(1), "visit"); got != "open" {
		t.Fatalf(`b.step(b.link(1), "visit") is %q, want "open"`, got)
	}
	if got := b.step(b.link(1), "expire"); got != "expired" {
		t.Fatalf(`b.step(b.link(1), "expire") is %q, want "expired"`, got)
	}
	if got := b.step(b.link(1), "expire"); got != "captured" {
		t.Fatalf(`b.step(b.link(1), "expire") is %q, want "captured": asking again returns the truth`, got)
	}
	if got := b.captures(); len(got) != 1 {
		t.Fatalf("%d in b.captures(), want 1: %+v", len(got), got)
	}
	if got := b.pending(); len(got) != 1 {
		t.Fatalf("%d in b.pending(), want 1: %+v", len(got), got)
	}
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
		{"an invalid currency", []string{"visit"}, `{"currency":"eur"}`, "invalid", 0, "open"},
		{"too many", []string{"visit"}, `{"nth":10}`, "invalid", 0, "open"},
		{"an unknown field", []string{"visit"}, `{"amuont":1}`, "invalid", 0, "open"},
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
				if got, want := fmt.Sprintf("%s %d %s", c.Payment, c.AmountMinor, c.Currency), strings.Replace(row.want, "ps", link.Session(), 1); got != want {
					t.Fatalf(`fmt.Sprintf("%%s %%d %%s", c.Payment, c.AmountMinor, c.Currency) is %q, want %q`, got, want)
				}
				if !slices.ContainsFunc(b.captures(), func(other domain.Capture) bool { return reflect.DeepEqual(other, c) }) {
					t.Fatalf("%+v is not among the captures", c)
				}
				reports := 0
				for _, d := range b.pending() {
					if d.Event.Payment == c.Payment && d.Event.Type == domain.PaymentSucceeded {
						reports++
					}
				}
				if reports != 1 {
					t.Fatalf("reports is %v, want 1", reports)
				}
				again := b.ask("POST", target+"/capture", row.body)
				if got := decode[domain.Capture](t, again); !reflect.DeepEqual(got, c) {
					t.Fatalf("decode[domain.Capture](t, again) is %+v, want %+v: the same request has no second effect", got, c)
				}
			} else {
				if got := decode[mockpay.Problem](t, w).Code; got != row.want {
					t.Fatalf("decode[mockpay.Problem](t, w).Code is %q, want %q", got, row.want)
				}
			}
			if got := b.captures(); len(got) != row.captures {
				t.Fatalf("%d in b.captures(), want %d: %+v", len(got), row.captures, got)
			}
			if row.status != "" {
				s, err := b.bank.lookup(link.Order)
				if err != nil {
					t.Fatal(err)
				}
				if s.Status != row.status {
					t.Fatalf("s.Status is %q, want %q", s.Status, row.status)
				}
			}
		})
	}
}

func TestEveryCaptureByHandCanBeRefunded(t *testing.T) {
	b := setup(t)
	link := b.link(1)
	b.step(link, "succeeded")
	if got := b.ask("POST", "/v1/sessions/"+link.Session()+"/capture", `{"nth":2}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	for _, c := range b.captures() {
		w := b.refund(c.Payment)
		if w.Code != 200 {
			t.Fatalf("w.Code is %v, want 200: %v", w.Code, w.Body)
		}
	}
	refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(refunds) != 2 {
		t.Fatalf("%d in refunds, want 2: %+v", len(refunds), refunds)
	}
}

func TestACaptureByHandIsLostOnlyWhileItCanBeAskedFor(t *testing.T) {
	for before, lost := range map[string]int{"visit": 1, "failed": 0} {
		b := setup(t)
		b.step(b.link(1), before)
		b.misbehave(1, always(TrickLose))
		if got := b.ask("POST", "/v1/sessions/"+b.link(1).Session()+"/capture", `{}`).Code; got != 200 {
			t.Fatalf("got %v, want 200", got)
		}
		if got := b.lost(); len(got) != lost {
			t.Fatalf("%d in b.lost(), want %d: %+v: after %s", len(got), lost, got, before)
		}
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
		if err != nil {
			b.t.Fatal(err)
		}
		return len(refunds) > 0
	}
	expired := func(b *bundle) bool {
		s, err := b.bank.lookup(orderNumber(1))
		if err != nil {
			b.t.Fatal(err)
		}
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
				if got := row.ask(b); got != want.code {
					t.Fatalf("row.ask(b) is %v, want %v: call %d", got, want.code, i+1)
				}
				if got := row.happened(b); got != want.happened {
					t.Fatalf("row.happened(b) is %v, want %v: after call %d", got, want.happened, i+1)
				}
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
	if got := b.ask("POST", MischiefPath, `{"refuse_refunds_seconds":30}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	payment := mockpay.SessionID(orderNumber(1))
	w := b.refund(payment)
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Fatalf(`w.Header().Get("Retry-After") is %q, want "1"`, got)
	}
	requireProblem(t, w, 503, "refunds_refused")
	b.pass(30*time.Second - time.Millisecond)
	requireProblem(t, b.refund(payment), 503, "refunds_refused")
	b.pass(time.Millisecond)
	if got := b.refund(payment).Code; got != 200 {
		t.Fatalf("b.refund(payment).Code is %v, want 200", got)
	}
	if got := b.bank.trickster.report().RefundsRefused; got != int64(2) {
		t.Fatalf("b.bank.trickster.report().RefundsRefused is %v, want int64(2)", got)
	}
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
	if got := throw(1, TrickLose, 0.3); !reflect.DeepEqual(got, first) {
		t.Fatalf("throw(1, TrickLose, 0.3) is %v, want %v", got, first)
	}
	if got := throw(2, TrickLose, 0.3); reflect.DeepEqual(got, first) {
		t.Fatalf("throw(2, TrickLose, 0.3) is %v: another seed, other sessions", got)
	}
	if got := throw(1, TrickForge, 0.3); reflect.DeepEqual(got, first) {
		t.Fatalf("throw(1, TrickForge, 0.3) is %v: tricks are independent of each other", got)
	}
	if got := count(throw(1, TrickLose, 0)); got != 0 {
		t.Fatalf("count(throw(1, TrickLose, 0)) is %v, want zero", got)
	}
	if got := count(throw(1, TrickLose, 1)); got != sessions {
		t.Fatalf("count(throw(1, TrickLose, 1)) is %v, want sessions", got)
	}
	sigma := math.Sqrt(sessions * 0.3 * 0.7)
	if n := count(first); math.Abs(float64(n)-0.3*sessions) > 4*sigma {
		t.Fatalf("struck %v of %v, want three in ten", n, sessions)
	}
	for n, struck := range throw(1, TrickLose, 0.5) {
		if !(struck || !first[n]) {
			t.Fatal("want true: struck || !first[n]: a higher rate strikes more sessions, not others")
		}
	}
}

func TestASessionsMischiefGoesBeforeTheGeneralOne(t *testing.T) {
	b := setup(t)
	session := func(n int) string { return "/v1/sessions/" + mockpay.SessionID(orderNumber(n)) + "/mischief" }
	if got := b.ask("POST", MischiefPath, `{"rates":{"lose":1}}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	if got := b.ask("POST", session(1), `{"rates":{"forge":1,"delay":1}}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	tricks := func(n int) []Trick { return decode[SessionMischiefReport](t, b.ask("GET", session(n), "")).Tricks }
	if got, want := tricks(1), []Trick{TrickDelay, TrickForge}; !reflect.DeepEqual(got, want) {
		t.Fatalf("tricks(1) is %q, want %q", got, want)
	}
	if got, want := tricks(2), []Trick{TrickLose}; !reflect.DeepEqual(got, want) {
		t.Fatalf("tricks(2) is %q, want %q", got, want)
	}

	report := decode[MischiefReport](t, b.ask("GET", MischiefPath, ""))
	if want := map[Trick]float64{TrickLose: 1}; !reflect.DeepEqual(report.Mischief.Rates, want) {
		t.Fatalf("report.Mischief.Rates is %v, want %v", report.Mischief.Rates, want)
	}
	if report.Sessions != 1 {
		t.Fatalf("report.Sessions is %v, want 1", report.Sessions)
	}
	if want := b.clock(); !reflect.DeepEqual(report.SetAt, want) {
		t.Fatalf("report.SetAt is %v, want %v", report.SetAt, want)
	}

	if got := b.ask("DELETE", session(1), "").Code; got != 200 {
		t.Fatalf(`b.ask("DELETE", session(1), "").Code is %v, want 200`, got)
	}
	if got, want := tricks(1), []Trick{TrickLose}; !reflect.DeepEqual(got, want) {
		t.Fatalf("tricks(1) is %q, want %q", got, want)
	}
	if got := b.ask("POST", session(1), `{"rates":{"forge":1}}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	if got := b.ask("DELETE", MischiefPath, "").Code; got != 200 {
		t.Fatalf(`b.ask("DELETE", MischiefPath, "").Code is %v, want 200`, got)
	}
	if got := tricks(1); len(got) != 0 {
		t.Fatalf("tricks(1) is %q, want nothing", got)
	}
	if got := tricks(2); len(got) != 0 {
		t.Fatalf("tricks(2) is %q, want nothing", got)
	}
	if got := b.step(b.link(2), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(2), "succeeded") is %q, want "captured"`, got)
	}
	if got := b.lost(); len(got) != 0 {
		t.Fatalf("b.lost() is %+v, want nothing", got)
	}
	b.reopen()
	if got := tricks(1); len(got) != 0 {
		t.Fatalf("tricks(1) is %q, want nothing: what was ended stays ended", got)
	}
}

func TestMischiefSurvivesAReopening(t *testing.T) {
	b := setup(t)
	if got := b.ask("POST", MischiefPath, `{"seed":7,"rates":{"lose":1},"refuse_refunds_seconds":30}`).Code; got != 200 {
		t.Fatalf("got %v, want 200", got)
	}
	b.misbehave(1, always(TrickForge))
	if got := b.step(b.link(2), "succeeded"); got != "captured" {
		t.Fatalf(`b.step(b.link(2), "succeeded") is %q, want "captured"`, got)
	}
	lost := b.lost()
	if len(lost) != 1 {
		t.Fatalf("%d in lost, want 1: %+v", len(lost), lost)
	}
	before := b.bank.trickster.report()
	b.reopen()
	after := b.bank.trickster.report()
	if !reflect.DeepEqual(after.Mischief, before.Mischief) {
		t.Fatalf("after.Mischief is %+v, want %+v", after.Mischief, before.Mischief)
	}
	if !reflect.DeepEqual(after.SetAt, before.SetAt) {
		t.Fatalf("after.SetAt is %v, want %v", after.SetAt, before.SetAt)
	}
	if after.Sessions != before.Sessions {
		t.Fatalf("after.Sessions is %v, want %v", after.Sessions, before.Sessions)
	}
	if got := b.lost(); !reflect.DeepEqual(got, lost) {
		t.Fatalf("b.lost() is %+v, want %+v", got, lost)
	}
	if got := b.bank.courier.undelivered(); got != 0 {
		t.Fatalf("b.bank.courier.undelivered() is %v, want zero: a lost webhook stays lost", got)
	}
	requireProblem(t, b.refund(mockpay.SessionID(orderNumber(2))), 503, "refunds_refused")
}

func TestLostWebhooksAreListedApart(t *testing.T) {
	b := setup(t)
	b.misbehave(1, always(TrickLose))
	b.step(b.link(1), "succeeded")
	for state, want := range map[string]int{"lost": 1, "acknowledged": 0, "pending": 0, "abandoned": 0} {
		page := decode[mockpay.Page[mockpay.Delivery]](t, b.ask("GET", mockpay.DeliveriesPath+"?state="+state, ""))
		if len(page.Items) != want {
			t.Fatalf("%d in page.Items, want %d: %+v: %v", len(page.Items), want, page.Items, state)
		}
	}
}

func TestMischiefRefusals(t *testing.T) {
	b := setup(t)
	for _, body := range []string{
		"", "[]", `{"rates":{"steal":1}}`, `{"rates":{"lose":1.1}}`, `{"rates":{"lose":-0.1}}`, `{"rate":{"lose":1}}`, `{"seed":-1}`,
		`{"delay_seconds":-1}`, `{"delay_seconds":3601}`, `{"late_seconds":3601}`, `{"errors_each":101}`, `{"errors_each":-1}`,
		`{"declines_each":11}`, `{"declines_each":-1}`,
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
	if report.Mischief != nil {
		t.Fatalf("report.Mischief is %+v, want nil", report.Mischief)
	}
	if report.Sessions != 0 {
		t.Fatalf("report.Sessions is %v, want zero", report.Sessions)
	}
}
