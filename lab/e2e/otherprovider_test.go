package e2e

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
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
// MockPay as may be. The Temporal server is the stack's, in a namespace of its own; the
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
	require.NoError(t, err)
	payloads, err := codec.Parse(s.env["BOXOFFICE_PAYLOAD_KEYS"])
	require.NoError(t, err)
	quiet := slog.New(slog.DiscardHandler)
	temporal, err := worker.Dial(ctx, s.env["TEMPORAL_ADDRESS"], namespace, payloads, quiet)
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	eventually(t, "the namespace is ready", func() bool {
		return worker.Setup(ctx, temporal, namespace) == nil && worker.CheckSetup(ctx, temporal, namespace) == nil
	})

	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(engine.Close)
	batcher := ledger.NewBatcher(engine)
	t.Cleanup(func() { _ = batcher.Close() })
	book, store := ledger.NewBook(batcher), orderstest.New(t)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	require.NoError(t, err)
	memory := paymentstest.NewMemory()
	set, err := payments.NewSet(memory)
	require.NoError(t, err)
	notices := activities.NewHoldNotices()
	shop := &otherShop{
		provider: memory, set: set, store: store, keys: keys,
		desk: checkouts.NewDesk(temporal, payloads.DataConverter(), notices, store, set, book),
	}
	w := worker.New(temporal, &activities.Activities{
		Ledger: book, Orders: otherRecorder{store, keys}, Provider: activities.BoundProvider(set, set.Names()...), Notices: notices,
	}, nil)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	shop.sale, err = store.CreateSale(ctx, &domain.Sale{
		ID: "elsewhere", Name: "Elsewhere", Currency: "JPY", Provider: memory.Name(), CreatedAt: time.Now(),
		Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 100}}, BuyerLimit: 4, HoldTimeout: time.Hour,
	})
	require.NoError(t, err)
	require.NoError(t, book.OpenSale(ctx, shop.sale))
	require.NoError(t, store.MarkSaleOpen(ctx, shop.sale.ID))
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

// hold places an order that waits so long for its payment.
func (s *otherShop) hold(t *testing.T, timeout time.Duration) *otherJourney {
	order, err := domain.NewOrder(s.sale, s.keys, uuid.NewString(), []domain.Item{{Class: "A", Quantity: 1}}, uuid.NewString()+"@example.com")
	require.NoError(t, err)
	order.HoldTimeout = timeout
	answer, err := s.desk.Start(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, domain.HoldHeld, answer.Hold.Outcome)
	return &otherJourney{otherShop: s, T: t, order: order, hooks: len(s.provider.Webhooks())}
}

// open goes to the page where the order is paid.
func (j *otherJourney) open() *otherJourney {
	var err error
	j.page, err = j.desk.OpenPayment(j.Context(), j.order.ID, domain.PayWish{ReturnURL: "https://boxoffice.example", Description: "1 × A"})
	require.NoError(j, err)
	return j
}

// report brings what the provider sent since to the desk, as the webhook's route does.
func (j *otherJourney) report() (status domain.OrderStatus) {
	hooks := j.provider.Webhooks()
	for _, hook := range hooks[j.hooks:] {
		event, err := j.set.Event(j.Context(), j.provider.Name(), hook.Header, hook.Body)
		require.NoError(j, err)
		if !event.Type.Known() {
			continue
		}
		require.Equal(j, j.order.ID, event.Order)
		result, err := j.desk.Pay(j.Context(), event)
		require.NoError(j, err)
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
	require.NoError(j, err)
	require.Equal(j, domain.OrderPaid, sold.Status)
	require.True(j, strings.HasPrefix(sold.Capture.Payment, "other/pi_"), sold.Capture.Payment)
	require.Equal(j, session, sold.Capture.Session)
	var captured []string
	for c, err := range j.set.Captures(j.Context()) {
		require.NoError(j, err)
		if c.Order == j.order.ID {
			captured = append(captured, c.Payment)
		}
	}
	require.Equal(j, []string{sold.Capture.Payment}, captured)
	return sold
}

func (j *otherJourney) session() payments.Session {
	_, id := domain.SplitID(j.page.Session)
	session, err := j.provider.Session(j.Context(), id)
	require.NoError(j, err)
	return session
}

// testAnotherProvider is whole checkouts at a provider that assigns its sessions itself.
func testAnotherProvider(t *testing.T, s *stack) {
	shop := newOtherShop(t, s)
	memory := shop.provider

	t.Run("paid, and refunded", func(t *testing.T) {
		j := shop.hold(t, time.Hour)
		require.Zero(t, memory.Calls("open"), "nobody has asked to pay")
		require.Empty(t, j.awaitStatus(domain.OrderHeld).Session)
		first := j.open().page
		require.True(t, strings.HasPrefix(first.Session, "other/cs_"), first.Session)
		require.Equal(t, first, j.open().page, "asked again, the page is the same")
		require.Equal(t, 1, memory.Calls("open"))
		require.Equal(t, first.Session, j.awaitStatus(domain.OrderHeld).Session, "it is in the checkout's state")
		require.NoError(t, memory.Do(j.page, paymentstest.Pay))
		require.Equal(t, domain.OrderPaid, j.report())
		sold := j.mustBePaid(first.Session)
		status, err := shop.desk.Refund(t.Context(), j.order.ID)
		require.NoError(t, err)
		require.Equal(t, domain.OrderRefunded, status)
		var back []int64
		for r, err := range shop.set.Refunds(t.Context()) {
			require.NoError(t, err)
			if r.Payment == sold.Capture.Payment {
				back = append(back, r.AmountMinor)
			}
		}
		require.Equal(t, []int64{6500}, back)
	})
	t.Run("failed", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		require.NoError(t, memory.Do(j.page, paymentstest.Fail))
		require.Equal(t, domain.OrderFailed, j.report())
	})
	t.Run("expired", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		j.awaitStatus(domain.OrderExpired)
		require.Equal(t, payments.SessionExpired, j.session().Status)
		require.Error(t, memory.Do(j.page, paymentstest.Pay))
	})
	t.Run("expired, and nobody had asked to pay", func(t *testing.T) {
		opens, expires := memory.Calls("open"), memory.Calls("expire")
		shop.hold(t, time.Second).awaitStatus(domain.OrderExpired)
		require.Equal(t, opens, memory.Calls("open"))
		require.Equal(t, expires, memory.Calls("expire"))
	})
	t.Run("canceled", func(t *testing.T) {
		j := shop.hold(t, time.Hour).open()
		status, err := shop.desk.Cancel(t.Context(), j.order.ID)
		require.NoError(t, err)
		require.Equal(t, domain.OrderCanceled, status)
		require.Equal(t, payments.SessionExpired, j.session().Status)
	})
	t.Run("paid, and the webhook is lost", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		require.NoError(t, memory.Do(j.page, paymentstest.Pay))
		j.awaitStatus(domain.OrderPaid)
		j.mustBePaid(j.page.Session)
	})
	t.Run("a payment that is processed holds the deadline up", func(t *testing.T) {
		j := shop.hold(t, 3*time.Second).open()
		require.NoError(t, memory.Do(j.page, paymentstest.Transfer))
		asked := memory.Calls("expire")
		eventually(t, "the checkout asks and hears that it is processed", func() bool { return memory.Calls("expire") >= asked+2 })
		j.awaitStatus(domain.OrderHeld)
		require.NoError(t, memory.Do(j.page, paymentstest.Arrive))
		require.Equal(t, domain.OrderPaid, j.report())
		j.mustBePaid(j.page.Session)
	})
	for name, tt := range map[string]struct {
		end  func(j *otherJourney)
		want domain.OrderStatus
	}{
		"late, after the deadline: it buys seats again": {func(j *otherJourney) { j.awaitStatus(domain.OrderExpired) }, domain.OrderPaid},
		"late, after a cancel: it goes back": {func(j *otherJourney) {
			_, err := shop.desk.Cancel(j.Context(), j.order.ID)
			require.NoError(j, err)
		}, domain.OrderRefunded},
	} {
		t.Run(name, func(t *testing.T) {
			j := shop.hold(t, 3*time.Second)
			// The provider opened a session of which the checkout never heard.
			opened, err := memory.Open(t.Context(), payments.Opening{
				Order: j.order.ID, Attempt: 1, AmountMinor: j.order.AmountMinor, Currency: j.order.Currency, ExpiresAt: time.Now().Add(time.Hour),
			})
			require.NoError(t, err)
			tt.end(j)
			require.NoError(t, memory.Do(opened, paymentstest.Pay))
			require.Equal(t, tt.want, j.report())
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
		require.True(t, domain.IsUnknown(err), "%v", err)
		j.open()
		require.NoError(t, memory.Do(j.page, paymentstest.Pay))
		require.Equal(t, domain.OrderPaid, j.report())
	})
}
