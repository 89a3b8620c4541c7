package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/workflows"
)

// world is what a checkout can touch, in memory and with the real ones'
// contracts: idempotent, definite, and failing on request.
type world struct {
	told []domain.OrderStatus // endings without a sale

	mu  sync.Mutex
	now func() time.Time

	// script
	holdOutcome        domain.HoldOutcome
	holdError          error
	postError          error
	holdGone           bool // the ledger expired or voided the hold behind our back
	seatsLeft          bool // for a rebooking
	perkLeft           bool
	captured           *domain.Capture // what the provider answers to expire and capture
	captureAtExpire    bool            // somebody pays at that very moment
	failures           map[string]int  // step → how many times it fails first
	refundUnknown      bool            // the provider never took that payment
	knownAt            time.Time       // the provider knows of no payment before
	unrecordable       bool            // the database will never take the order
	refundUnrecordable bool            // nor its refund
	backAt             time.Time       // the provider refuses refunds before
	free               bool            // the order that is refunded cost nothing
	authorized         *domain.Capture // neither captured nor released
	refuseCapture      bool            // the bank releases it instead
	processing         bool            // a payment is being processed

	// what happened
	why      domain.UnsoldReason
	seats    string // "", held, posted, voided, rebooked, returned, unsold
	recorded []domain.Sold
	expired  int
	refunds  []domain.Refund
	refunded []string
	given    []domain.Capture // back, by the provider
	calls    []string
	flags    []activities.Flag
}

func (w *world) fail(step string) error {
	w.calls = append(w.calls, step)
	if w.failures[step] > 0 {
		w.failures[step]--
		return &domain.UnknownError{Op: step, ID: "test", Err: context.DeadlineExceeded}
	}
	return nil
}

func (w *world) Hold(_ context.Context, o *domain.Order) (domain.Hold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("hold"); err != nil {
		return domain.Hold{}, err
	}
	if w.holdError != nil {
		return domain.Hold{}, w.holdError
	}
	if w.holdOutcome != domain.HoldHeld {
		return domain.Hold{Outcome: w.holdOutcome}, nil
	}
	w.seats = "held"
	at := w.now()
	return domain.Hold{
		Outcome: domain.HoldHeld, HeldAt: at, Grace: o.ProcessingExtension + domain.HoldGraceDefault, ProcessingExtension: o.ProcessingExtension,
	}, nil
}

func (w *world) Post(context.Context, *domain.Order) (domain.PostOutcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("post"); err != nil {
		return "", err
	}
	if w.postError != nil {
		return "", w.postError
	}
	if w.seats == "unsold" {
		return domain.PostReturned, nil
	}
	if w.holdGone || w.seats == "voided" {
		return domain.PostGone, nil
	}
	w.seats = "posted"
	return domain.PostPosted, nil
}

func (w *world) Void(context.Context, *domain.Order) (domain.VoidOutcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("void"); err != nil {
		return "", err
	}
	if w.seats == "posted" {
		return domain.VoidPosted, nil
	}
	if w.holdGone {
		return domain.VoidVoided, nil
	}
	w.seats = "voided"
	return domain.VoidVoided, nil
}

func (w *world) TakePerk(context.Context, *domain.Order) (bool, error) { return w.perkLeft, nil }

func (w *world) Rebook(context.Context, *domain.Order) (domain.RebookOutcome, error) {
	if !w.seatsLeft || w.seats == "unsold" {
		return domain.RebookNoneLeft, nil
	}
	w.seats = "rebooked"
	return domain.RebookBooked, nil
}

func (w *world) Return(context.Context, *domain.SoldOrder) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("return"); err != nil {
		return err
	}
	w.seats = "returned"
	return nil
}

func (w *world) Unsell(_ context.Context, _ *domain.Order, _ domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("unsell"); err != nil {
		return "", err
	}
	if w.seats != "unsold" {
		w.seats, w.why = "unsold", why
	}
	return w.why, nil
}

var errUnrecordable = &domain.Error{Code: domain.CodeInternal, Detail: "check violation"}

func (w *world) Record(_ context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("record"); err != nil {
		return domain.SoldOrder{}, err
	}
	if w.unrecordable {
		return domain.SoldOrder{}, errUnrecordable
	}
	for _, r := range w.refunds {
		if r.Capture.Payment == sold.Capture.Payment {
			return domain.SoldOrder{}, &domain.Error{Code: domain.CodeExists}
		}
	}
	for _, before := range w.recorded {
		if before.Capture.Payment != sold.Capture.Payment {
			return domain.SoldOrder{}, &domain.Error{Code: domain.CodeExists}
		}
	}
	w.recorded = append(w.recorded, sold)
	return domain.SoldOrder{PerkTaken: sold.PerkTaken, Capture: sold.Capture}, nil
}

func (w *world) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("order"); err != nil {
		return domain.SoldOrder{}, err
	}
	if len(w.recorded) == 0 {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return domain.SoldOrder{PerkTaken: w.recorded[0].PerkTaken, Capture: w.recorded[0].Capture}, nil
}

func (w *world) SeatFate(context.Context, domain.OrderID) (domain.SeatFate, error) {
	return domain.SeatsReleased, nil
}

func (w *world) BeginOrderRefund(_ context.Context, id domain.OrderID, _ domain.RefundReason, _ time.Time) (domain.SoldOrder, error) {
	if w.free {
		return domain.SoldOrder{ID: id, SaleID: "conf", Capture: domain.FreeCapture(&domain.Order{ID: id})}, nil
	}
	return domain.SoldOrder{ID: id, SaleID: "conf", Capture: domain.Capture{Payment: "pay_1", Order: id}}, nil
}

func (w *world) BeginRefund(_ context.Context, r domain.Refund) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, sold := range w.recorded {
		if sold.Capture.Payment == r.Capture.Payment {
			return &domain.Error{Code: domain.CodeExists}
		}
	}
	if w.refundUnrecordable {
		return errUnrecordable
	}
	if !slices.ContainsFunc(w.refunds, func(noted domain.Refund) bool { return noted.Capture.Payment == r.Capture.Payment }) {
		w.refunds = append(w.refunds, r)
	}
	return nil
}

func (w *world) FinishRefund(_ context.Context, payment string, _ time.Time) error {
	w.refunded = append(w.refunded, payment)
	return nil
}

func (w *world) Open(_ context.Context, provider string, o payments.Opening) (domain.PayPage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("open"); err != nil {
		return domain.PayPage{}, err
	}
	session := fmt.Sprintf("%s/cs_%s_%d", provider, o.Order, o.Attempt)
	return domain.PayPage{Session: session, URL: "https://other.example/" + session}, nil
}

func (w *world) Expire(context.Context, string) (domain.ExpireOutcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("expire"); err != nil {
		return domain.ExpireOutcome{}, err
	}
	w.expired++
	if w.processing {
		return domain.ExpireOutcome{}, &domain.UnknownError{Op: "expire", Err: payments.ErrProcessing}
	}
	if w.captureAtExpire {
		c := testCapture()
		w.captured = &c
	}
	return w.paid(), nil
}

func (w *world) paid() domain.ExpireOutcome {
	switch {
	case w.captured != nil:
		return domain.ExpireOutcome{Captured: true, Capture: *w.captured}
	case w.authorized != nil:
		return domain.ExpireOutcome{Authorized: true, Capture: *w.authorized}
	default:
		return domain.ExpireOutcome{}
	}
}

func (w *world) CaptureAuthorized(context.Context, string) (domain.ExpireOutcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("take"); err != nil {
		return domain.ExpireOutcome{}, err
	}
	if w.authorized != nil && !w.refuseCapture {
		taken := *w.authorized
		taken.Authorized = false
		w.captured = &taken
	}
	w.authorized = nil
	return w.paid(), nil
}

func (w *world) ReleaseAuthorized(context.Context, string) (domain.ExpireOutcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("release"); err != nil {
		return domain.ExpireOutcome{}, err
	}
	w.authorized = nil
	return w.paid(), nil
}

func (w *world) Capture(context.Context, string) (domain.Capture, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, "capture")
	if paid := w.paid(); paid.Paid() && !w.now().Before(w.knownAt) {
		return paid.Capture, true, nil
	}
	return domain.Capture{}, false, nil
}

func (w *world) Refund(_ context.Context, r domain.Refund) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fail("refund"); err != nil {
		return err
	}
	if w.now().Before(w.backAt) {
		return &domain.Error{Code: domain.CodeOverloaded}
	}
	if w.refundUnknown || w.now().Before(w.knownAt) {
		return domain.NotFound("payment")
	}
	w.given = append(w.given, r.Capture)
	return nil
}

// bundle is one checkout in the SDK's time-skipping environment.
type bundle struct {
	t     *testing.T
	env   *testsuite.TestWorkflowEnvironment
	world *world
	steps *stepRecorder
	order domain.Order
}

const holdTimeout = 5 * time.Minute

func setup(t *testing.T, script func(*world)) *bundle {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	w := &world{holdOutcome: domain.HoldHeld, perkLeft: true, now: env.Now, failures: map[string]int{}}
	if script != nil {
		script(w)
	}
	env.RegisterActivity(&activities.Activities{Ledger: w, Orders: w, Provider: w, Endings: w, Flagged: func(flag activities.Flag, _ domain.OrderID, _ error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flags = append(w.flags, flag)
	}})
	steps := &stepRecorder{}
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{steps}})
	env.RegisterWorkflow(workflows.Checkout)
	env.RegisterWorkflow(workflows.Late)
	env.RegisterWorkflow(workflows.Refund)
	return &bundle{t: t, env: env, world: w, steps: steps, order: testOrder()}
}

func testOrder() domain.Order {
	return domain.Order{
		ID: domain.OrderID{0x01, 0x92, 0xf0, 14: 0x07}, SaleID: "conf", SaleName: "Conference",
		Lines: []domain.Line{
			{Class: "A", Ledger: 10, Quantity: 2, UnitPriceMinor: 6500},
			{Class: "B", Ledger: 11, Quantity: 1, UnitPriceMinor: 3500},
		},
		Perk: &domain.PerkRef{Name: "T-shirt", Ledger: 12}, QuotaLedger: 13, BuyerLimit: 4,
		AmountMinor: 16500, Currency: "EUR", HoldTimeout: holdTimeout, Fingerprint: "f00d", Email: "a@example.com",
	}
}

// event is one of the provider's messages about the bundle's order.
func (b *bundle) event(id string, kind domain.PaymentEventType) domain.PaymentEvent {
	return domain.PaymentEvent{
		ID: id, Type: kind, Session: "ps_" + b.order.ID.String(), Order: b.order.ID,
		Payment: "pay_1", AmountMinor: b.order.AmountMinor, Currency: b.order.Currency,
	}
}

func (b *bundle) capture() domain.Capture {
	return b.event("", domain.PaymentSucceeded).Capture()
}

// answers collects what update handlers said.
type answers struct {
	statuses []domain.OrderStatus
	rejected []error
}

func (b *bundle) update(a *answers, after time.Duration, name, id string, args ...any) {
	b.env.RegisterDelayedCallback(func() {
		b.env.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { a.rejected = append(a.rejected, err) },
			OnComplete: func(result any, err error) {
				if err != nil {
					a.rejected = append(a.rejected, err)
					return
				}
				if answer, ok := result.(workflows.PaymentAnswer); ok {
					a.statuses = append(a.statuses, answer.Status)
				}
			},
		}, args...)
	}, after)
}

func (b *bundle) signal(after time.Duration, event any) {
	b.env.RegisterDelayedCallback(func() { b.env.SignalWorkflow(workflows.PaymentSignal, event) }, after)
}

// run drives the checkout to its end.
func (b *bundle) run() domain.CheckoutState {
	b.t.Helper()
	b.env.ExecuteWorkflow(workflows.Checkout, b.order)
	if !b.env.IsWorkflowCompleted() {
		b.t.Fatal("want true: b.env.IsWorkflowCompleted()")
	}
	if err := b.env.GetWorkflowError(); err != nil {
		b.t.Fatal(err)
	}
	var state domain.CheckoutState
	if err := b.env.GetWorkflowResult(&state); err != nil {
		b.t.Fatal(err)
	}
	return state
}

func (w *world) CheckoutEnded(_ context.Context, _ *domain.Order, ending domain.OrderStatus) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, ending)
	return nil
}
