package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"go.temporal.io/sdk/interceptor"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/workflows"
)

// Whatever buyers, provider, network and crashes do, in whatever order: every
// workflow ends, and the invariants of the audit hold.
// A failure prints its seed; -rapid.checks=20000 looks harder.
func TestWhateverHappensTheInvariantsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay(t)
		p.checkout()
		p.afterwards()
		p.requireInvariants()
	})
}

// books are the ledger, the database and the provider as one order sees them,
// with the contracts of the real ones: idempotent, atomic where they are, and
// forgetting nothing. Each call may fail without its effect or after it.
type books struct {
	mu    sync.Mutex
	now   func() time.Time
	order domain.Order
	fails map[string][]bool // by step: how the next calls fail; true: after their effect

	// Ledger. The order takes one seat; a free one more lets a double booking show.
	free         int64
	greedy       bool   // others take at once what is given back
	hold         string // "", refused, held, posted, voided, expired
	heldAt       time.Time
	rebook       string // "", refused, booked
	returned     bool
	why          domain.UnsoldReason // they were
	perk         string              // "", refused, taken, back
	perksLeft    int64
	unrecordable bool // the database will never take the order

	// Database.
	sold   *domain.Sold
	bought map[string]string // by payment: tickets or nothing
	done   map[string]bool   // refunds

	// Provider.
	session  string // open, processing, authorized, captured, failed, canceled, expired; empty: the order is free and has none
	captures []domain.Capture
	takenAt  []time.Time   // of each
	ofIt     int           // which of them is the session's, if it is captured
	payments int           // authorised or captured
	auth     *authorized   // the session's, if it only authorises
	refuse   bool          // the bank does not capture what it has authorised
	lag      time.Duration // until the provider shows what it took; expire knows at once
	refunds  map[string]int
}

// authorized is a payment that waits to be captured or released.
type authorized struct {
	domain.Capture
	at    time.Time
	state string // "", captured, released
}

var errLost = errors.New("the answer was lost")

// try makes a call as it is due to fail. The caller holds the lock.
func (b *books) try(step string, effect func() error) error {
	fails := b.fails[step]
	if len(fails) == 0 {
		return effect()
	}
	b.fails[step] = fails[1:]
	if fails[0] {
		_ = effect() // its answer is what gets lost
	}
	return &domain.UnknownError{Op: step, ID: b.order.ID.String(), Err: errLost}
}

// call is try with a value.
func call[T any](b *books, step string, effect func() (T, error)) (value T, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire()
	var none T
	err = b.try(step, func() (err error) {
		value, err = effect()
		return err
	})
	if err != nil {
		return none, err
	}
	return value, nil
}

// ---- Ledger

// expire is the hold's own timeout.
func (b *books) expire() {
	if !b.now().Before(b.heldAt.Add(b.order.HoldTimeout + b.order.ProcessingExtension + domain.HoldGraceDefault)) {
		b.lapse()
	}
}

func (b *books) lapse() {
	if b.hold == "held" {
		b.hold = "expired"
		b.giveBack()
	}
}

func (b *books) giveBack() {
	if !b.greedy {
		b.free++
	}
}

func (b *books) Hold(context.Context, *domain.Order) (domain.Hold, error) {
	return call(b, "hold", func() (domain.Hold, error) {
		switch {
		case b.hold == "" && b.free == 0, b.hold == "refused":
			b.hold = "refused"
			return domain.Hold{Outcome: domain.HoldSoldOut}, nil
		case b.hold == "":
			b.hold, b.heldAt = "held", b.now()
			b.free--
		}
		return domain.Hold{
			Outcome: domain.HoldHeld, HeldAt: b.heldAt, Grace: b.order.ProcessingExtension + domain.HoldGraceDefault,
			ProcessingExtension: b.order.ProcessingExtension,
		}, nil
	})
}

func (b *books) Post(context.Context, *domain.Order) (domain.PostOutcome, error) {
	return call(b, "post", func() (domain.PostOutcome, error) { return b.post(), nil })
}

func (b *books) post() domain.PostOutcome {
	if b.hold == "held" {
		b.hold = "posted"
	}
	switch {
	case b.hold == "posted" && b.returned:
		return domain.PostReturned
	case b.hold == "posted":
		return domain.PostPosted
	default:
		return domain.PostGone
	}
}

func (b *books) Void(context.Context, *domain.Order) (domain.VoidOutcome, error) {
	return call(b, "void", func() (domain.VoidOutcome, error) {
		switch b.hold {
		case "posted":
			return domain.VoidPosted, nil
		case "held":
			b.hold = "voided"
			b.giveBack()
		}
		return domain.VoidVoided, nil
	})
}

func (b *books) TakePerk(context.Context, *domain.Order) (bool, error) {
	return call(b, "perk", func() (bool, error) {
		switch {
		case b.perk == "" && b.perksLeft > 0:
			b.perk = "taken"
			b.perksLeft--
		case b.perk == "":
			b.perk = "refused"
		}
		return b.perk == "taken", nil
	})
}

func (b *books) Rebook(context.Context, *domain.Order) (domain.RebookOutcome, error) {
	return call(b, "rebook", func() (domain.RebookOutcome, error) {
		switch {
		case b.returned && b.rebook == "booked":
			return domain.RebookReturned, nil
		case b.returned:
			return domain.RebookNoneLeft, nil
		case b.rebook == "" && b.free > 0:
			b.rebook = "booked"
			b.free--
		case b.rebook == "":
			b.rebook = "refused"
		}
		if b.rebook == "booked" {
			return domain.RebookBooked, nil
		}
		return domain.RebookNoneLeft, nil
	})
}

func (b *books) Unsell(_ context.Context, o *domain.Order, booking domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error) {
	return call(b, "unsell", func() (domain.UnsoldReason, error) {
		if booking == domain.BookedByHold && b.hold != "posted" || booking == domain.BookedByRebook && b.rebook != "booked" {
			return "", &domain.Error{Code: domain.CodeInternal, Detail: "it was not sold"}
		}
		if !b.returned {
			b.returned, b.why = true, why
			b.giveBack()
		}
		if b.perk == "taken" {
			b.perk = "back"
			b.perksLeft++
		}
		return b.why, nil
	})
}

func (b *books) Return(context.Context, *domain.SoldOrder) error {
	return &domain.Error{Code: domain.CodeInternal, Detail: "no organiser refunds anything here"}
}

func (b *books) SeatFate(context.Context, domain.OrderID) (domain.SeatFate, error) {
	return call(b, "fate", func() (domain.SeatFate, error) {
		switch {
		case b.returned:
			return domain.SeatsReturned, nil
		case b.hold == "posted" || b.rebook == "booked":
			return domain.SeatsSold, nil
		case b.hold == "held":
			return domain.SeatsHeld, nil
		case b.hold == "voided":
			return domain.SeatsReleased, nil
		default:
			return domain.SeatsNeverHeld, nil
		}
	})
}

// ---- Orders

func (b *books) Record(_ context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return call(b, "record", func() (domain.SoldOrder, error) { return b.record(sold) })
}

func (b *books) record(sold domain.Sold) (domain.SoldOrder, error) {
	payment := sold.Capture.Payment
	switch {
	case b.unrecordable || !sold.Capture.Pays(&b.order):
		return domain.SoldOrder{}, errUnrecordable
	case b.sold != nil && b.sold.Capture.Payment == payment:
		return b.soldOrder(), nil
	case b.sold != nil || b.bought[payment] != "":
		return domain.SoldOrder{}, &domain.Error{Code: domain.CodeExists}
	}
	b.sold, b.bought[payment] = &sold, "tickets"
	return b.soldOrder(), nil
}

func (b *books) soldOrder() domain.SoldOrder {
	return domain.SoldOrder{ID: b.order.ID, Status: domain.OrderPaid, Capture: b.sold.Capture, PerkTaken: b.sold.PerkTaken}
}

func (b *books) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	return call(b, "order", func() (domain.SoldOrder, error) {
		if b.sold == nil {
			return domain.SoldOrder{}, domain.NotFound("order")
		}
		return b.soldOrder(), nil
	})
}

func (b *books) BeginOrderRefund(context.Context, domain.OrderID, domain.RefundReason, time.Time) (domain.SoldOrder, error) {
	return domain.SoldOrder{}, &domain.Error{Code: domain.CodeNotPaid}
}

func (b *books) BeginRefund(_ context.Context, r domain.Refund) error {
	_, err := call(b, "begin", func() (any, error) {
		if b.bought[r.Capture.Payment] == "tickets" {
			return nil, &domain.Error{Code: domain.CodeExists}
		}
		b.bought[r.Capture.Payment] = "nothing"
		return nil, nil
	})
	return err
}

func (b *books) FinishRefund(_ context.Context, payment string, _ time.Time) error {
	_, err := call(b, "finish", func() (any, error) {
		if b.bought[payment] != "nothing" {
			return nil, domain.NotFound("refund")
		}
		b.done[payment] = true
		return nil, nil
	})
	return err
}

// ---- Provider

func (b *books) Open(_ context.Context, provider string, o payments.Opening) (domain.PayPage, error) {
	return domain.PayPage{}, nil
}

func (b *books) Expire(context.Context, string) (domain.ExpireOutcome, error) {
	return call(b, "expire", func() (domain.ExpireOutcome, error) {
		switch b.session {
		case "open":
			b.session = "expired"
		case "processing":
			return domain.ExpireOutcome{}, &domain.UnknownError{Op: "expire", Err: payments.ErrProcessing}
		}
		return b.paid(), nil
	})
}

func (b *books) paid() domain.ExpireOutcome {
	switch b.session {
	case "captured":
		return domain.ExpireOutcome{Captured: true, Capture: b.captures[b.ofIt]}
	case "authorized":
		return domain.ExpireOutcome{Authorized: true, Capture: b.auth.Capture}
	default:
		return domain.ExpireOutcome{}
	}
}

func (b *books) CaptureAuthorized(context.Context, string) (domain.ExpireOutcome, error) {
	return call(b, "take", func() (domain.ExpireOutcome, error) {
		b.decide(!b.refuse)
		return b.paid(), nil
	})
}

func (b *books) ReleaseAuthorized(context.Context, string) (domain.ExpireOutcome, error) {
	return call(b, "release", func() (domain.ExpireOutcome, error) {
		b.decide(false)
		return b.paid(), nil
	})
}

// decide captures what is authorised, or releases it. A session in which nothing is can
// never be paid after that.
func (b *books) decide(capture bool) {
	switch {
	case b.session == "open":
		b.session = "expired"
	case b.session == "authorized" && capture:
		taken := b.auth.Capture
		taken.Authorized = false
		b.session, b.auth.state, b.ofIt = "captured", "captured", len(b.captures)
		b.captures, b.takenAt = append(b.captures, taken), append(b.takenAt, b.now())
	case b.session == "authorized":
		b.session, b.auth.state = "failed", "released"
	}
}

func (b *books) Capture(context.Context, string) (domain.Capture, bool, error) {
	type found struct {
		capture domain.Capture
		ok      bool
	}
	f, err := call(b, "capture", func() (found, error) {
		switch {
		case b.session == "authorized":
			return found{b.auth.Capture, !b.now().Before(b.auth.at.Add(b.lag))}, nil
		case !b.shown(b.ofIt):
			return found{}, nil
		}
		return found{b.captures[b.ofIt], true}, nil
	})
	return f.capture, f.ok, err
}

// shown: the provider answers for the capture.
func (b *books) shown(i int) bool {
	return i >= 0 && i < len(b.captures) && !b.now().Before(b.takenAt[i].Add(b.lag))
}

func (b *books) Refund(_ context.Context, r domain.Refund) error {
	_, err := call(b, "refund", func() (any, error) {
		i := slices.IndexFunc(b.captures, func(c domain.Capture) bool { return c.Payment == r.Capture.Payment })
		if !b.shown(i) {
			return nil, domain.NotFound("payment")
		}
		if b.captures[i].AmountMinor != r.Capture.AmountMinor {
			return nil, domain.Invalid("amount", "is not what was taken")
		}
		b.refunds[r.Capture.Payment] = 1 // the payment is the key
		return nil, nil
	})
	return err
}

// ---- The play

// A turn is something that happens at the provider, or that somebody does.
type turn struct {
	at, delay  time.Duration // delay: until its event is delivered
	what       string
	deliveries int // of the event; 0: lost, and the box office will ask
	bySignal   bool
	crash      string // what a worker did of its settlement before it died: "", post, record
	taken      bool
}

// play is one order's story.
type play struct {
	*books
	t       *rapid.T
	turns   []*turn
	state   domain.CheckoutState
	pending []domain.PaymentEvent // not acknowledged when the checkout ended
	handed  []workflows.LateInput // to Late, in their order
	late    map[string]bool       // payments that had their Late
	clock   time.Time
	events  int
	lost    bool // an event, for ever
}

func newPlay(t *rapid.T) *play {
	order := testOrder()
	order.Lines = []domain.Line{{Class: "A", Ledger: 10, Quantity: 1, UnitPriceMinor: order.AmountMinor}}
	longest := 330 // seconds until the last turn
	turns := []string{"pay", "pay", "pay wrong", "debit", "debit", "arrive", "arrive", "bounce", "decline", "decline", "decline", "fail", "cancel at provider", "capture", "capture wrong", "cancel", "cancel workflow", "sell unpaid"}
	session := "open"
	switch rapid.SampledFrom([]string{"", "seats first", "delayed methods", "free"}).Draw(t, "sale") {
	case "free":
		order.AmountMinor, order.Lines[0].UnitPriceMinor, order.Provider = 0, 0, domain.FreeProvider
		session = "" // so nobody can do anything in it, but the provider may take money all the same
		turns = []string{"capture wrong", "cancel", "cancel workflow", "sell unpaid", "hold lapses", "hold lapses"}
	case "seats first":
		order.Capture = domain.CaptureAfterSeats
	case "delayed methods":
		order.ProcessingExtension = time.Duration(rapid.IntRange(1, 20).Draw(t, "extension")) * time.Minute
		longest = 1500
	}
	b := &books{
		order: order, fails: map[string][]bool{}, free: rapid.Int64Range(0, 3).Draw(t, "free"),
		greedy: rapid.Bool().Draw(t, "greedy"), perksLeft: rapid.Int64Range(0, 1).Draw(t, "perks"),
		lag:          time.Duration(rapid.IntRange(0, 5).Draw(t, "lag")) * time.Second,
		unrecordable: rapid.IntRange(0, 9).Draw(t, "unrecordable") == 0,
		refuse:       rapid.IntRange(0, 3).Draw(t, "the bank refuses captures") == 0,
		bought:       map[string]string{}, done: map[string]bool{}, session: session, refunds: map[string]int{},
	}
	for _, step := range []string{"hold", "post", "void", "perk", "rebook", "unsell", "record", "order", "begin", "finish", "expire", "capture", "refund", "take", "release"} {
		b.fails[step] = rapid.SliceOfN(rapid.Bool(), 0, 5).Draw(t, "failures of "+step)
	}
	seconds := func(name string, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Second
	}
	p := &play{books: b, t: t, late: map[string]bool{}}
	for i := range rapid.IntRange(0, 6).Draw(t, "turns") {
		name := func(s string) string { return fmt.Sprintf("turn %d: %s", i, s) }
		p.turns = append(p.turns, &turn{
			at:         seconds(name("at"), 1, longest),
			delay:      time.Duration(rapid.OneOf(rapid.IntRange(0, 90), rapid.IntRange(600, 1500)).Draw(t, name("delay"))) * time.Second,
			what:       rapid.SampledFrom(turns).Draw(t, name("what")),
			deliveries: rapid.IntRange(0, 3).Draw(t, name("deliveries")),
			bySignal:   rapid.Bool().Draw(t, name("by signal")),
			crash:      rapid.SampledFrom([]string{"", "", "post", "record"}).Draw(t, name("crash")),
		})
	}
	slices.SortStableFunc(p.turns, func(a, b *turn) int { return int(a.at - b.at) })
	return p
}

// environment is a fresh one whose clock goes on where the last one ended.
func (p *play) environment() *testsuite.TestWorkflowEnvironment {
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.SetWorkerOptions(worker.Options{
		Interceptors:             []interceptor.WorkerInterceptor{&stepRecorder{}},
		DeadlockDetectionTimeout: time.Minute, // a busy machine is no deadlock
	})
	if !p.clock.IsZero() {
		env.SetStartTime(p.clock)
	}
	env.SetTestTimeout(time.Minute)
	p.now = env.Now
	env.RegisterActivity(&activities.Activities{Ledger: p.books, Orders: p.books, Provider: p.books})
	env.RegisterWorkflow(workflows.Checkout)
	env.RegisterWorkflow(workflows.Late)
	return env
}

// checkout runs the order's checkout. Its children are noted and run later.
func (p *play) checkout() {
	env := p.environment()
	env.OnWorkflow(workflows.Late, mock.Anything, mock.Anything).Return(func(_ workflow.Context, input workflows.LateInput) (domain.CheckoutState, error) {
		p.handed = append(p.handed, input)
		return domain.CheckoutState{}, nil
	}).Maybe()
	for _, turn := range p.turns {
		env.RegisterDelayedCallback(func() { p.take(env, turn) }, turn.at)
	}
	env.ExecuteWorkflow(workflows.Checkout, p.order)
	p.requireEnded(env)
	p.clock = env.Now()
	if err := env.GetWorkflowResult(&p.state); err != nil {
		p.t.Fatalf("result: %v", err)
	}
}

func (p *play) requireEnded(env *testsuite.TestWorkflowEnvironment) {
	if !env.IsWorkflowCompleted() {
		p.t.Fatal("the workflow never ended")
	}
	if err := env.GetWorkflowError(); err != nil {
		p.t.Fatalf("the workflow failed: %v", err)
	}
}

// take lets a turn happen, and has its event delivered.
func (p *play) take(env *testsuite.TestWorkflowEnvironment, turn *turn) {
	turn.taken = true
	event, ok := p.happen(turn)
	if !ok {
		switch turn.what {
		case "cancel":
			p.events++
			env.UpdateWorkflow(workflows.CancelUpdate, fmt.Sprint("cancel-", p.events), ignoreUpdate())
		case "cancel workflow":
			env.CancelWorkflow()
		case "sell unpaid": // a signed success whose sender gave up, or a bug
			p.mu.Lock()
			defer p.mu.Unlock()
			p.expire()
			p.post()
		case "hold lapses": // no worker was there until the ledger's timeout
			p.mu.Lock()
			defer p.mu.Unlock()
			p.lapse()
		}
		return
	}
	if turn.deliveries == 0 && p.asksAnyway(event) {
		p.lost = true
		return
	}
	p.crash(turn.crash, event)
	p.pending = append(p.pending, event)
	for i := range max(turn.deliveries, 1) {
		env.RegisterDelayedCallback(func() { p.deliver(env, event, turn.bySignal) }, turn.delay+time.Duration(i)*time.Second)
	}
}

func ignoreUpdate() *testsuite.TestUpdateCallback {
	return &testsuite.TestUpdateCallback{OnAccept: func() {}, OnReject: func(error) {}, OnComplete: func(any, error) {}}
}

// happen changes the provider; ok where that has an event.
func (p *play) happen(turn *turn) (event domain.PaymentEvent, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := p.session == "open" && p.hold != "" && p.hold != "refused" // the pay link comes with the hold
	switch {
	case turn.what == "pay" && open && p.order.AuthorizesFirst():
		return p.authorizeNow(0), true
	case turn.what == "pay wrong" && open && p.order.AuthorizesFirst():
		return p.authorizeNow(-1), true
	case turn.what == "pay" && open:
		return p.captureNow(0), true
	case turn.what == "pay wrong" && open:
		return p.captureNow(-1), true
	case turn.what == "debit" && open && p.order.ProcessingExtension > 0:
		p.session = "processing"
		return event, false // that is no news
	case turn.what == "arrive" && p.session == "processing":
		return p.captureNow(0), true
	case turn.what == "fail" && open, turn.what == "bounce" && p.session == "processing":
		p.session = "failed"
		return p.eventOf(domain.PaymentFailed, domain.Capture{Payment: "ps_" + p.order.ID.String()}), true
	case turn.what == "decline" && open:
		return p.eventOf(domain.PaymentDeclined, domain.Capture{Payment: "ps_" + p.order.ID.String()}), true
	case turn.what == "cancel at provider" && open:
		p.session = "canceled"
		return p.eventOf(domain.PaymentCanceled, domain.Capture{Payment: "ps_" + p.order.ID.String()}), true
	case p.lost && p.payments > 0: // a provider that loses reports as well must not capture twice: nobody could know
		return event, false
	case turn.what == "capture": // whatever was promised
		return p.captureNow(0), true
	case turn.what == "capture wrong":
		return p.captureNow(1), true
	default:
		return event, false
	}
}

func (p *play) captureNow(differs int64) domain.PaymentEvent {
	c := p.nextPayment(differs)
	if p.session == "open" || p.session == "processing" {
		p.session, p.ofIt = "captured", len(p.captures)
	}
	p.captures, p.takenAt = append(p.captures, c), append(p.takenAt, p.now())
	return p.eventOf(domain.PaymentSucceeded, c)
}

func (p *play) authorizeNow(differs int64) domain.PaymentEvent {
	c := p.nextPayment(differs)
	c.Authorized = true
	p.session, p.auth = "authorized", &authorized{Capture: c, at: p.now()}
	return p.eventOf(domain.PaymentAuthorized, c)
}

func (p *play) nextPayment(differs int64) domain.Capture {
	payment := "ps_" + p.order.ID.String()
	if p.payments++; p.payments > 1 {
		payment = fmt.Sprintf("%s.%d", payment, p.payments)
	}
	return domain.Capture{
		Payment: payment, Session: "ps_" + p.order.ID.String(), Order: p.order.ID,
		AmountMinor: p.order.AmountMinor + differs, Currency: p.order.Currency,
	}
}

func (p *play) eventOf(kind domain.PaymentEventType, c domain.Capture) domain.PaymentEvent {
	p.events++
	return domain.PaymentEvent{
		ID: fmt.Sprint("evt_", p.events), Type: kind, Session: "ps_" + p.order.ID.String(), Order: p.order.ID,
		Payment: c.Payment, AmountMinor: c.AmountMinor, Currency: p.order.Currency,
	}
}

// asksAnyway: an event may only get lost while the box office will still ask:
// it has heard nothing of the session, and its deadline is to come.
func (p *play) asksAnyway(event domain.PaymentEvent) bool {
	return !event.Type.Paid() || (p.session == "captured" || p.session == "authorized") && p.payments == 1 && p.hold == "held"
}

// crash is what a worker did before it died, of which the history knows nothing.
// Its event was not acknowledged: it will come again.
func (p *play) crash(how string, event domain.PaymentEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	if how == "" || !event.Type.Paid() || !event.Capture().Pays(&p.order) || p.hold != "held" || p.late[event.Payment] {
		return
	}
	if p.post() != domain.PostPosted || how != "record" {
		return
	}
	capture := event.Capture()
	if capture.Authorized {
		p.decide(!p.refuse)
		capture = p.paid().Capture
	}
	if capture.Payment == event.Payment {
		_, _ = p.record(domain.Sold{Order: p.order, Capture: capture, Booking: domain.BookedByHold, PaidAt: p.now(), PerkTaken: p.takePerk()})
	}
}

func (p *play) takePerk() bool {
	if p.perk == "" && p.perksLeft > 0 {
		p.perk = "taken"
		p.perksLeft--
	}
	return p.perk == "taken"
}

// deliver delivers an event, which stays pending until it is acknowledged.
func (p *play) deliver(env *testsuite.TestWorkflowEnvironment, event domain.PaymentEvent, bySignal bool) {
	if bySignal {
		env.SignalWorkflow(workflows.PaymentSignal, event)
		p.acknowledged(event)
		return
	}
	p.events++ // Temporal's own dedup of update ids is not what is tested here
	env.UpdateWorkflow(workflows.PaymentUpdate, fmt.Sprint("event/", event.ID, "/", p.events), &testsuite.TestUpdateCallback{
		OnAccept: func() {}, OnReject: func(error) {},
		OnComplete: func(_ any, err error) {
			if err == nil {
				p.acknowledged(event)
			}
		},
	}, event)
}

func (p *play) acknowledged(event domain.PaymentEvent) {
	p.pending = slices.DeleteFunc(p.pending, func(e domain.PaymentEvent) bool { return e.ID == event.ID })
}

// afterwards runs what was handed to Late, then lets happen what had not
// happened yet, and brings the events that nobody acknowledged, as the front desk
// does to a checkout that has closed.
func (p *play) afterwards() {
	for _, input := range p.handed {
		p.runLate(input)
	}
	for _, turn := range p.turns {
		if turn.taken {
			continue
		}
		if event, ok := p.happen(turn); ok {
			p.pending = append(p.pending, event)
		}
	}
	for _, event := range p.pending {
		if event.Type.Paid() {
			p.payAfterEnd(event)
		}
	}
}

func (p *play) payAfterEnd(event domain.PaymentEvent) {
	state := p.state
	if p.sold != nil {
		state = domain.CheckoutState{Status: domain.OrderPaid, Payment: p.sold.Capture.Payment}
	}
	input, late, err := workflows.LateTerms(&state, event.Capture())
	if err != nil {
		p.t.Fatal(err)
	}
	if !late {
		return
	}
	if input.Rebook {
		input.Order = &p.order
	}
	p.runLate(input)
}

func (p *play) runLate(input workflows.LateInput) {
	if p.late[input.Capture.Payment] {
		return // one workflow a payment
	}
	p.late[input.Capture.Payment] = true
	env := p.environment()
	env.ExecuteWorkflow(workflows.Late, input)
	p.requireEnded(env)
	p.clock = env.Now()
}

// isPaidFor: the provider took just this, or there was nothing to pay.
func (p *play) isPaidFor(by domain.Capture) bool {
	if p.order.IsFree() {
		return by == domain.FreeCapture(&p.order)
	}
	return slices.Contains(p.captures, by) && by.Pays(&p.order)
}

// requireInvariants is the audit, with both sides.
func (p *play) requireInvariants() {
	count := func(conditions ...bool) (n int) {
		for _, c := range conditions {
			if c {
				n++
			}
		}
		return n
	}
	if p.free < 0 || p.perksLeft < 0 {
		p.t.Fatalf("I1: %d seats and %d perks left", p.free, p.perksLeft)
	}
	standing := 0
	for _, c := range p.captures {
		tickets, refunded := p.sold != nil && p.sold.Capture.Payment == c.Payment, p.refunds[c.Payment] == 1
		if tickets == refunded {
			p.t.Fatalf("I2: payment %s has tickets: %v, refund: %v", c.Payment, tickets, refunded)
		}
		if refunded != p.done[c.Payment] {
			p.t.Fatalf("I2: payment %s was refunded: %v, recorded so: %v", c.Payment, refunded, p.done[c.Payment])
		}
		standing += count(!refunded)
	}
	if payment := domain.FreeCapture(&p.order).Payment; p.bought[payment] == "nothing" {
		p.t.Fatalf("I2: %s was given back, and nobody had paid it", payment)
	}
	if a := p.auth; a != nil && (a.state == "" || a.state == "released" && (p.refunds[a.Payment] > 0 || p.sold != nil && p.sold.Capture.Payment == a.Payment)) {
		p.t.Fatalf("I2: payment %s was authorised and is %q, refunds %d, sold %+v", a.Payment, a.state, p.refunds[a.Payment], p.sold)
	}
	if p.sold != nil && !p.isPaidFor(p.sold.Capture) {
		p.t.Fatalf("I3: tickets for %+v, captured were %+v", p.sold.Capture, p.captures)
	}
	inLedger := count(p.hold == "posted", p.rebook == "booked") - count(p.returned)
	if recorded := count(p.sold != nil); inLedger != recorded {
		p.t.Fatalf("I4: %d sold in the ledger (hold %s, rebook %s, returned %v), %d recorded", inLedger, p.hold, p.rebook, p.returned, recorded)
	}
	if perk := p.sold != nil && p.sold.PerkTaken; perk != (p.perk == "taken") {
		p.t.Fatalf("I4: perk %s in the ledger, recorded: %v", p.perk, perk)
	}
	if p.hold == "held" {
		p.t.Fatal("I4: a hold outlived its checkout")
	}
	if standing > 1 {
		p.t.Fatalf("I5: %d captures stand", standing)
	}
}
