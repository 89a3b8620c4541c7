package e2e

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"boxoffice/activities"
	"boxoffice/checkouts"
	"boxoffice/codec"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
	"boxoffice/worker"
)

// otherShop is a box office in this process whose only payment provider is as unlike
// MockPay as possible. The Temporal server is the stack's, in another namespace; the
// database and the ledger are real and its own.
type otherShop struct {
	provider *paymentstest.Memory
	set      *payments.Set
	desk     *checkouts.Desk
	store    *orders.Store
	keys     *domain.Keyring
	sale     *domain.Sale
}

type otherRecorder struct {
	*orders.Store
	keys *domain.Keyring
}

func (r otherRecorder) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return r.Store.Record(ctx, sold, func(n int) string { return r.keys.TicketCode(sold.Order.ID, n) })
}

func (r otherRecorder) BeginRefund(ctx context.Context, refund domain.Refund) error {
	_, err := r.Store.BeginRefund(ctx, refund)
	return err
}

func newOtherShop(t *testing.T, s *stack) *otherShop {
	t.Helper()
	const namespace = "another-provider"
	ctx := t.Context()
	_, err := s.temporal.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	payloads, err := codec.Parse(s.env["BOXOFFICE_PAYLOAD_KEYS"])
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	temporal, err := worker.Dial(ctx, s.env["TEMPORAL_ADDRESS"], namespace, payloads, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(temporal.Close)
	eventually(t, "the namespace is ready", func() bool {
		return worker.Setup(ctx, temporal, namespace) == nil && worker.CheckSetup(ctx, temporal, namespace) == nil
	})

	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	batcher := ledger.NewBatcher(engine)
	t.Cleanup(func() { _ = batcher.Close() })
	book, store := ledger.NewBook(batcher), orderstest.New(t)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	memory := paymentstest.NewMemory()
	set, err := payments.NewSet(memory)
	if err != nil {
		t.Fatal(err)
	}
	notices := activities.NewHoldNotices()
	shop := &otherShop{
		provider: memory, set: set, store: store, keys: keys,
		desk: checkouts.NewDesk(temporal, payloads.DataConverter(), notices, store, set, book),
	}
	w := worker.New(temporal, &activities.Activities{
		Ledger: book, Orders: otherRecorder{store, keys}, Provider: activities.BoundProvider(set, set.Names()...), Notices: notices,
	}, nil)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	shop.sale, err = store.CreateSale(ctx, &domain.Sale{
		ID: "elsewhere", Name: "Elsewhere", Currency: "JPY", Provider: memory.Name(), CreatedAt: time.Now(),
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 100}}, BuyerLimit: 4, HoldTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := book.OpenSale(ctx, shop.sale); err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSaleOpen(ctx, shop.sale.ID); err != nil {
		t.Fatal(err)
	}
	return shop
}

// An otherJourney is one checkout there.
type otherJourney struct {
	*otherShop
	*testing.T
	order domain.Order
	page  domain.PayPage
	hooks int // webhooks from before
}

// hold places an order that waits this long for its payment.
func (s *otherShop) hold(t *testing.T, timeout time.Duration) *otherJourney {
	order, err := domain.NewOrder(s.sale, s.keys, uuid.NewString(), []domain.Item{{Class: "A", Quantity: 1}}, uuid.NewString()+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	order.HoldTimeout = timeout
	answer, err := s.desk.Start(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Hold.Outcome != domain.HoldHeld {
		t.Fatalf("answer.Hold.Outcome is %q, want %q", answer.Hold.Outcome, domain.HoldHeld)
	}
	return &otherJourney{otherShop: s, T: t, order: order, hooks: len(s.provider.Webhooks())}
}

// open goes to the page where the order is paid.
func (j *otherJourney) open() *otherJourney {
	var err error
	j.page, err = j.desk.OpenPayment(j.Context(), j.order.ID, domain.PayWish{ReturnURL: "https://boxoffice.example", Description: "1 × A"})
	if err != nil {
		j.Fatal(err)
	}
	return j
}

// report brings what the provider sent since to the desk, as the webhook's route does.
func (j *otherJourney) report() (status domain.OrderStatus) {
	hooks := j.provider.Webhooks()
	for _, hook := range hooks[j.hooks:] {
		event, err := j.set.Event(j.Context(), j.provider.Name(), hook.Header, hook.Body)
		if err != nil {
			j.Fatal(err)
		}
		if !event.Type.Known() {
			continue
		}
		if event.Order != j.order.ID {
			j.Fatalf("event.Order is %v, want %v", event.Order, j.order.ID)
		}
		result, err := j.desk.Pay(j.Context(), event)
		if err != nil {
			j.Fatal(err)
		}
		status = result.Status
	}
	j.hooks = len(hooks)
	return status
}

func (j *otherJourney) awaitStatus(want domain.OrderStatus) domain.CheckoutState {
	var state domain.CheckoutState
	eventually(j.T, "the order is "+string(want), func() bool {
		var err error
		state, err = j.desk.State(j.Context(), j.order.ID)
		return err == nil && state.Status == want
	})
	return state
}

// mustBePaid: recorded once, with the ids of this provider, and captured once.
func (j *otherJourney) mustBePaid(session string) domain.SoldOrder {
	sold, err := j.store.Order(j.Context(), j.order.ID)
	if err != nil {
		j.Fatal(err)
	}
	if sold.Status != domain.OrderPaid {
		j.Fatalf("sold.Status is %q, want %q", sold.Status, domain.OrderPaid)
	}
	if !strings.HasPrefix(sold.Capture.Payment, "other/pi_") {
		j.Fatalf(`want true: strings.HasPrefix(sold.Capture.Payment, "other/pi_"): %v`, sold.Capture.Payment)
	}
	if sold.Capture.Session != session {
		j.Fatalf("sold.Capture.Session is %q, want %q", sold.Capture.Session, session)
	}
	var captured []string
	for c, err := range j.set.Captures(j.Context()) {
		if err != nil {
			j.Fatal(err)
		}
		if c.Order == j.order.ID {
			captured = append(captured, c.Payment)
		}
	}
	if want := []string{sold.Capture.Payment}; !reflect.DeepEqual(captured, want) {
		j.Fatalf("captured is %q, want %q", captured, want)
	}
	return sold
}

func (j *otherJourney) session() payments.Session {
	_, id := domain.SplitID(j.page.Session)
	session, err := j.provider.Session(j.Context(), id)
	if err != nil {
		j.Fatal(err)
	}
	return session
}

// testAnotherProvider is whole checkouts at a provider that assigns its sessions itself.
func testAnotherProvider(t *testing.T, s *stack) {
	shop := newOtherShop(t, s)
	memory := shop.provider

	t.Run("paid, and refunded", func(t *testing.T) {
		j := shop.hold(t, time.Hour)
		if got := memory.Calls("open"); got != 0 {
			t.Fatalf(`memory.Calls("open") is %v, want zero: nobody has asked to pay`, got)
		}
		if got := j.awaitStatus(domain.OrderHeld).Session; got != "" {
			t.Fatalf("j.awaitStatus(domain.OrderHeld).Session is %q, want nothing", got)
		}
		first := j.open().page
		if !strings.HasPrefix(first.Session, "other/cs_") {
			t.Fatalf(`want true: strings.HasPrefix(first.Session, "other/cs_"): %v`, first.Session)
		}
		if got := j.open().page; got != first {
			t.Fatalf("j.open().page is %+v, want %+v: asked again, the page is the same", got, first)
		}
		if got := memory.Calls("open"); got != 1 {
			t.Fatalf(`memory.Calls("open") is %v, want 1`, got)
		}
		if got := j.awaitStatus(domain.OrderHeld).Session; got != first.Session {
			t.Fatalf("j.awaitStatus(domain.OrderHeld).Session is %q, want %q: it is in the checkout's state", got, first.Session)
		}
		if err := memory.Do(j.page, paymentstest.Pay); err != nil {
			t.Fatal(err)
		}
		if got := j.report(); got != domain.OrderPaid {
			t.Fatalf("j.report() is %q, want %q", got, domain.OrderPaid)
		}
		sold := j.mustBePaid(first.Session)
		status, err := shop.desk.Refund(t.Context(), j.order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if status != domain.OrderRefunded {
			t.Fatalf("status is %q, want %q", status, domain.OrderRefunded)
		}
		var back []int64
		for r, err := range shop.set.Refunds(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Payment == sold.Capture.Payment {
				back = append(back, r.AmountMinor)
			}
		}
		if want := []int64{6500}; !reflect.DeepEqual(back, want) {
			t.Fatalf("back is %v, want %v", back, want)
		}
	})
	t.Run("declined, and paid in the same session", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		for range 2 {
			if err := memory.Do(j.page, paymentstest.Decline); err != nil {
				t.Fatal(err)
			}
		}
		if got := j.report(); got != domain.OrderHeld {
			t.Fatalf("j.report() is %q, want %q", got, domain.OrderHeld)
		}
		if got := j.awaitStatus(domain.OrderHeld); got.Declines != 2 || got.Session != j.page.Session {
			t.Fatalf("%d declines in session %s, want 2 in %s", got.Declines, got.Session, j.page.Session)
		}
		if err := memory.Do(j.page, paymentstest.Pay); err != nil {
			t.Fatal(err)
		}
		j.report()
		j.awaitStatus(domain.OrderPaid)
		j.mustBePaid(j.page.Session)
	})
	t.Run("declined too often", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		for range domain.DeclinesMax {
			if err := memory.Do(j.page, paymentstest.Decline); err != nil {
				t.Fatal(err)
			}
		}
		j.report()
		j.awaitStatus(domain.OrderFailed)
		if got := j.session().Status; got != payments.SessionExpired {
			t.Fatalf("the session is %q, want %q", got, payments.SessionExpired)
		}
	})
	t.Run("failed", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		if err := memory.Do(j.page, paymentstest.Fail); err != nil {
			t.Fatal(err)
		}
		if got := j.report(); got != domain.OrderFailed {
			t.Fatalf("j.report() is %q, want %q", got, domain.OrderFailed)
		}
	})
	t.Run("expired", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		j.awaitStatus(domain.OrderExpired)
		if got := j.session().Status; got != payments.SessionExpired {
			t.Fatalf("j.session().Status is %q, want %q", got, payments.SessionExpired)
		}
		if err := memory.Do(j.page, paymentstest.Pay); err == nil {
			t.Fatal("memory.Do(j.page, paymentstest.Pay): no error, want one")
		}
	})
	t.Run("expired, and nobody had asked to pay", func(t *testing.T) {
		opens, expires := memory.Calls("open"), memory.Calls("expire")
		shop.hold(t, time.Second).awaitStatus(domain.OrderExpired)
		if got := memory.Calls("open"); got != opens {
			t.Fatalf(`memory.Calls("open") is %v, want %v`, got, opens)
		}
		if got := memory.Calls("expire"); got != expires {
			t.Fatalf(`memory.Calls("expire") is %v, want %v`, got, expires)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		status, err := shop.desk.Cancel(t.Context(), j.order.ID)
		if err != nil {
			t.Fatal(err)
		}
		if status != domain.OrderCanceled {
			t.Fatalf("status is %q, want %q", status, domain.OrderCanceled)
		}
		if got := j.session().Status; got != payments.SessionExpired {
			t.Fatalf("j.session().Status is %q, want %q", got, payments.SessionExpired)
		}
	})
	t.Run("paid, and the webhook is lost", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		if err := memory.Do(j.page, paymentstest.Pay); err != nil {
			t.Fatal(err)
		}
		j.awaitStatus(domain.OrderPaid)
		j.mustBePaid(j.page.Session)
	})
	t.Run("a payment that is processed holds the deadline up", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		if err := memory.Do(j.page, paymentstest.Transfer); err != nil {
			t.Fatal(err)
		}
		asked := memory.Calls("expire")
		eventually(t, "the checkout asks and is told that the payment is processed", func() bool { return memory.Calls("expire") >= asked+2 })
		j.awaitStatus(domain.OrderHeld)
		if err := memory.Do(j.page, paymentstest.Arrive); err != nil {
			t.Fatal(err)
		}
		if got := j.report(); got != domain.OrderPaid {
			t.Fatalf("j.report() is %q, want %q", got, domain.OrderPaid)
		}
		j.mustBePaid(j.page.Session)
	})
	for name, tt := range map[string]struct {
		end  func(j *otherJourney)
		want domain.OrderStatus
	}{
		"late, after the deadline: it buys seats again": {func(j *otherJourney) { j.awaitStatus(domain.OrderExpired) }, domain.OrderPaid},
		"late, after a cancel: it goes back": {func(j *otherJourney) {
			_, err := shop.desk.Cancel(j.Context(), j.order.ID)
			if err != nil {
				j.Fatal(err)
			}
		}, domain.OrderRefunded},
	} {
		t.Run(name, func(t *testing.T) {
			j := shop.hold(t, 3*time.Second)
			// The provider opened a session of which the checkout never heard.
			opened, err := memory.Open(t.Context(), payments.Opening{
				Order: j.order.ID, Attempt: 1, AmountMinor: j.order.AmountMinor, Currency: j.order.Currency, ExpiresAt: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Fatal(err)
			}
			tt.end(j)
			if err := memory.Do(opened, paymentstest.Pay); err != nil {
				t.Fatal(err)
			}
			if got := j.report(); got != tt.want {
				t.Fatalf("j.report() is %q, want %q", got, tt.want)
			}
			if tt.want == domain.OrderPaid {
				j.mustBePaid("other/" + opened.Session)
			}
		})
	}
	t.Run("while the provider is down nothing is lost", func(t *testing.T) {
		j := shop.hold(t, time.Hour)
		memory.SetAway(true)
		_, err := shop.desk.OpenPayment(t.Context(), j.order.ID, domain.PayWish{})
		memory.SetAway(false)
		if !domain.IsUnknown(err) {
			t.Fatalf("want true: domain.IsUnknown(err): %v", err)
		}
		j.open()
		if err := memory.Do(j.page, paymentstest.Pay); err != nil {
			t.Fatal(err)
		}
		if got := j.report(); got != domain.OrderPaid {
			t.Fatalf("j.report() is %q, want %q", got, domain.OrderPaid)
		}
	})
}
