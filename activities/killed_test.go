package activities_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/payments"
)

// A scene is an activity in a situation.
type scene struct {
	activity string
	what     string
	says     string       // part of the undisturbed answer: that it is that situation
	before   func(*world) // what has happened by then
	// run is the activity. Its results are compared.
	run func(context.Context, *activities.Activities, *world) (any, error)
}

// scenes must have every activity: TestEveryActivityIsKilled says which is missing.
// A step that is added to one is killed without anybody's doing.
var scenes = []scene{
	{"Hold", "seats are left", `held`, nothing, hold},
	{"Hold", "none left", `sold_out`, (*world).sellOut, hold},
	{"Hold", "beyond the buyer's limit", `limit_reached`, (*world).useUpLimit, hold},
	{"Hold", "the buyer has another checkout open", `checkout_open`, (*world).openAnother, hold},
	{"Settle", "paid in time", `"sold"`, (*world).held, settleBy(domain.BookedByHold)},
	{"Settle", "paid in time, no perk left", `"sold"`, with((*world).noPerkLeft, (*world).held), settleBy(domain.BookedByHold)},
	{"Settle", "the hold was voided", `no_seats`, with((*world).held, (*world).voided), settleBy(domain.BookedByHold)},
	{"Settle", "another payment bought it", `sold_before`, with((*world).held, (*world).soldToAnother), settleBy(domain.BookedByHold)},
	{"Settle", "its payment goes back", `refunding`, with((*world).held, (*world).refundBegun), settleBy(domain.BookedByHold)},
	{"Settle", "the database will never take it", `unrecordable`, with((*world).unrecordable, (*world).held), settleBy(domain.BookedByHold)},
	{"Settle", "seats that nobody had paid for were given back", `no_seats`, with((*world).held, (*world).unsold), settleBy(domain.BookedByHold)},
	{"Settle", "sold, and refunded since", `"sold"`, with((*world).held, (*world).sold, (*world).refunded), settleBy(domain.BookedByHold)},
	{"Settle", "late, seats left", `"sold"`, with((*world).held, (*world).voided), settleBy(domain.BookedByRebook)},
	{"Settle", "late, none left", `no_seats`, with((*world).held, (*world).voided, (*world).sellOut), settleBy(domain.BookedByRebook)},
	{"Settle", "late, its payment goes back", `refunding`, with((*world).held, (*world).voided, (*world).refundBegun), settleBy(domain.BookedByRebook)},
	{"Settle", "late, the database will never take it", `unrecordable`, with((*world).unrecordable, (*world).held, (*world).voided), settleBy(domain.BookedByRebook)},
	{"Settle", "late, for an order that was sold and refunded", `no_seats`, with((*world).held, (*world).sold, (*world).refunded), settleBy(domain.BookedByRebook)},
	{"FindSale", "recorded", `sold_before`, with((*world).held, (*world).sold), findSale},
	{"FindSale", "not recorded", `unpaid`, (*world).held, findSale},
	{"Unsell", "nobody paid", `unpaid`, with((*world).held, (*world).postedOnly), unsellOrder},
	{"Unsell", "it was recorded after all", `sold_before`, with((*world).held, (*world).sold), unsellOrder},
	{"Release", "held", `voided`, (*world).held, release},
	{"Release", "never held", `voided`, nothing, release},
	{"Release", "paid", `already_posted`, with((*world).held, (*world).sold), release},
	{"ExpireSession", "nothing was paid", `"captured":false`, (*world).held, expireSession},
	{"ExpireSession", "captured", `"captured":true`, with((*world).held, (*world).captured), expireSession},
	{"ExpireUnlessProcessing", "nothing was paid", `"captured":false`, (*world).held, expireUnlessProcessing},
	{"ExpireUnlessProcessing", "captured", `"captured":true`, with((*world).held, (*world).captured), expireUnlessProcessing},
	{"ExpireUnlessProcessing", "a payment is being processed", `"processing":true`, with((*world).held, (*world).processing), expireUnlessProcessing},
	{"OpenSession", "nobody has paid", `"session":"other/cs_0"`, (*world).held, openSession},
	{"FindCapture", "captured", `"captured":true`, (*world).captured, findCapture},
	{"RecordRefundDue", "late money", `"due":true`, with((*world).held, (*world).voided), refundDue(domain.RefundNoneLeft)},
	{"RecordRefundDue", "it bought tickets", `"due":false`, with((*world).held, (*world).sold), refundDue(domain.RefundNoneLeft)},
	{"RecordRefundDue", "a wrong amount", `"due":true`, (*world).held, refundDue(domain.RefundWrongAmount)},
	{"RecordRefundDue", "the database will never take it", `"unrecorded":true`, (*world).endlessPayment, refundDue(domain.RefundUnknownOrder)},
	{"RecordOrderRefundDue", "paid", `refunding`, with((*world).held, (*world).sold), orderRefundDue},
	{"RecordOrderRefundDue", "never sold", ``, (*world).held, orderRefundDue},
	{"RefundPayment", "captured", ``, (*world).captured, refundPayment},
	{"RefundPayment", "never captured", ``, nothing, refundPayment},
	{"ReturnSeats", "refunded", ``, with((*world).held, (*world).sold, (*world).orderRefundBegun), returnSeats},
	{"ReturnSeats", "refunded, and booked anew since it was read", `returned`, with((*world).held, (*world).voided, (*world).rebooked, (*world).orderRefundBegun), returnSeatsOfHold},
	{"RecordRefundDone", "of an order", ``, with((*world).held, (*world).sold, (*world).orderRefundBegun), refundDone},
	{"RecordRefundDone", "of late money", ``, (*world).refundBegun, refundDone},
	{"CloseSale", "on offer", ``, (*world).held, closeSale},
	{"CloseSale", "no such sale", ``, func(w *world) { w.sale.ID = "no-such-sale" }, closeSale},
	{"SurveyCancellation", "a checkout is open", `releasing`, with((*world).held, (*world).open, (*world).closed), survey},
	{"SurveyCancellation", "money is owed", `"stage":"refunding"`, with((*world).held, (*world).sold, (*world).closed, (*world).orderRefundBegun), survey},
	{"SurveyCancellation", "seats came back", `finished`, with((*world).held, (*world).closed, (*world).voided), survey},
	{"CancelCheckouts", "two are open", ``, with((*world).held, (*world).open, (*world).openAnother, (*world).closed), untilNoneIsLeft(cancelCheckouts)},
	{"RefundOrders", "one is paid", ``, with((*world).held, (*world).sold, (*world).closed), untilNoneIsLeft(refundOrders)},
	{"BookSeats", "authorised in time", `booked`, (*world).held, bookSeats},
	{"BookSeats", "the hold was voided", `no_seats`, with((*world).held, (*world).voided), bookSeats},
	{"BookSeats", "it was recorded before", `"sold"`, with((*world).held, (*world).sold), bookSeats},
	{"BookSeats", "another payment bought it", `sold_before`, with((*world).held, (*world).soldToAnother), bookSeats},
	{"BookSeats", "its seats went back", `no_seats`, with((*world).held, (*world).unsold), bookSeats},
	{"CapturePayment", "authorised", `"captured":true`, with((*world).held, (*world).authorized), capturePayment},
	{"CapturePayment", "released before", `"captured":false`, with((*world).held, (*world).authorized, (*world).released), capturePayment},
	{"ReleasePayment", "authorised", `"captured":false`, with((*world).held, (*world).authorized), releasePayment},
	{"ReleasePayment", "captured before", `"captured":true`, with((*world).held, (*world).captured), releasePayment},
	{"ReturnUncaptured", "the bank refused", `uncaptured`, with((*world).held, (*world).postedOnly), returnUncaptured},
	{"ReturnUncaptured", "it was recorded after all", `sold_before`, with((*world).held, (*world).sold), returnUncaptured},
	{"AuditSales", "any", ``, nothing, auditSales},
}

// Every multi-step activity can be repeated from any point with the same final books
// and the same answer: this kills it before and after each call that it makes to the
// ledger, the database, the provider and Temporal, and lets another process repeat it.
func TestEveryActivityIsKilled(t *testing.T) {
	for name := range registered() {
		if !slices.ContainsFunc(scenes, func(s scene) bool { return s.activity == name }) {
			t.Errorf("activity %s is never killed: it needs a scene", name)
		}
	}
	house := newHouse(t)
	for _, s := range scenes {
		if !registered()[s.activity] {
			t.Fatalf("a scene of %s, which is no activity", s.activity)
		}
		t.Run(s.activity+"/"+s.what, func(t *testing.T) {
			undisturbed := house.world(t)
			s.before(undisturbed)
			var calls killer
			answer, err := s.run(t.Context(), undisturbed.process(&calls), undisturbed)
			said, _ := json.Marshal(answer)
			if !strings.Contains(string(said), s.says) {
				t.Fatalf("no %q in %s", s.says, string(said))
			}
			want := undisturbed.books(answer, err)
			if len(calls.names) == 0 {
				t.Fatal("calls.names is empty: it calls nothing")
			}
			for at := range calls.names {
				for _, after := range []bool{false, true} {
					w := house.world(t)
					s.before(w)
					k := killer{at: at + 1, after: after}
					_, _ = s.run(t.Context(), w.process(&k), w) // the answer is lost
					if !k.dead {
						t.Fatalf("want true: k.dead: it made fewer calls: %q, then %q", calls.names, k.names)
					}
					for range 2 {
						answer, err := s.run(t.Context(), w.process(&killer{}), w)
						if got := w.books(answer, err); got != want {
							t.Fatalf("killed at call %d of %q, after it: %v; then, undisturbed and repeated:\n%s", at+1, calls.names, after, difference(want, got))
						}
					}
				}
			}
		})
	}
}

// registered are the activities as the worker registers them: exported methods.
func registered() map[string]bool {
	names := map[string]bool{}
	for _, of := range []any{&activities.Activities{}, &activities.Audits{}} {
		for t, i := reflect.TypeOf(of), 0; i < t.NumMethod(); i++ {
			names[t.Method(i).Name] = true
		}
	}
	return names
}

// ---- Death

// A killer counts the calls of one process and ends it at one of them: none that
// comes later gets through either.
type killer struct {
	at    int // counted from 1; 0: never
	after bool

	mu    sync.Mutex
	names []string
	dead  bool
}

var errDied = errors.New("the process dies here")

func alive[T any](k *killer, name string, call func() (T, error)) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var none T
	if k.dead {
		return none, &domain.UnknownError{Op: name, Err: errDied}
	}
	k.names = append(k.names, name)
	dies := len(k.names) == k.at
	if k.dead = dies; dies && !k.after {
		return none, &domain.UnknownError{Op: name, Err: errDied}
	}
	answer, err := call()
	if dies {
		return none, &domain.UnknownError{Op: name, Err: errDied}
	}
	return answer, err
}

func aliveError(k *killer, name string, call func() error) error {
	_, err := alive(k, name, func() (any, error) { return nil, call() })
	return err
}

// The mortal types have every method of what they wrap. They embed nothing, so
// that the compiler says when one is added.
type mortalClient struct {
	to tb.Client
	k  *killer
}

func (c mortalClient) CreateAccounts(a []tb.Account) ([]tb.CreateAccountResult, error) {
	return alive(c.k, "create accounts", func() ([]tb.CreateAccountResult, error) { return c.to.CreateAccounts(a) })
}
func (c mortalClient) CreateTransfers(a []tb.Transfer) ([]tb.CreateTransferResult, error) {
	return alive(c.k, "create transfers", func() ([]tb.CreateTransferResult, error) { return c.to.CreateTransfers(a) })
}
func (c mortalClient) LookupAccounts(a []tb.Uint128) ([]tb.Account, error) {
	return alive(c.k, "look up accounts", func() ([]tb.Account, error) { return c.to.LookupAccounts(a) })
}
func (c mortalClient) LookupTransfers(a []tb.Uint128) ([]tb.Transfer, error) {
	return alive(c.k, "look up transfers", func() ([]tb.Transfer, error) { return c.to.LookupTransfers(a) })
}
func (c mortalClient) GetAccountTransfers(f tb.AccountFilter) ([]tb.Transfer, error) {
	return alive(c.k, "account transfers", func() ([]tb.Transfer, error) { return c.to.GetAccountTransfers(f) })
}
func (c mortalClient) GetAccountBalances(f tb.AccountFilter) ([]tb.AccountBalance, error) {
	return alive(c.k, "account balances", func() ([]tb.AccountBalance, error) { return c.to.GetAccountBalances(f) })
}
func (c mortalClient) QueryAccounts(f tb.QueryFilter) ([]tb.Account, error) {
	return alive(c.k, "query accounts", func() ([]tb.Account, error) { return c.to.QueryAccounts(f) })
}
func (c mortalClient) QueryTransfers(f tb.QueryFilter) ([]tb.Transfer, error) {
	return alive(c.k, "query transfers", func() ([]tb.Transfer, error) { return c.to.QueryTransfers(f) })
}
func (c mortalClient) GetChangeEvents(f tb.ChangeEventsFilter) ([]tb.ChangeEvent, error) {
	return alive(c.k, "change events", func() ([]tb.ChangeEvent, error) { return c.to.GetChangeEvents(f) })
}
func (c mortalClient) Nop() error { return aliveError(c.k, "nop", c.to.Nop) }
func (c mortalClient) Close()     {} // the engine is everybody's

type mortalOrders struct {
	to record
	k  *killer
}

func (o mortalOrders) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return alive(o.k, "record", func() (domain.SoldOrder, error) { return o.to.Record(ctx, sold) })
}
func (o mortalOrders) Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	return alive(o.k, "order", func() (domain.SoldOrder, error) { return o.to.Order(ctx, id) })
}
func (o mortalOrders) BeginOrderRefund(ctx context.Context, id domain.OrderID, reason domain.RefundReason, at time.Time) (domain.SoldOrder, error) {
	return alive(o.k, "begin order refund", func() (domain.SoldOrder, error) { return o.to.BeginOrderRefund(ctx, id, reason, at) })
}
func (o mortalOrders) BeginRefund(ctx context.Context, refund domain.Refund) error {
	return aliveError(o.k, "begin refund", func() error { return o.to.BeginRefund(ctx, refund) })
}
func (o mortalOrders) FinishRefund(ctx context.Context, payment string, at time.Time) error {
	return aliveError(o.k, "finish refund", func() error { return o.to.FinishRefund(ctx, payment, at) })
}
func (o mortalOrders) Sale(ctx context.Context, id string) (*domain.Sale, error) {
	return alive(o.k, "sale", func() (*domain.Sale, error) { return o.to.Sale(ctx, id) })
}
func (o mortalOrders) BeginCancellation(ctx context.Context, id string, at time.Time) (domain.SaleCancellation, error) {
	return alive(o.k, "begin cancellation", func() (domain.SaleCancellation, error) { return o.to.BeginCancellation(ctx, id, at) })
}
func (o mortalOrders) SaveCancellation(ctx context.Context, c domain.SaleCancellation) error {
	return aliveError(o.k, "save cancellation", func() error { return o.to.SaveCancellation(ctx, c) })
}
func (o mortalOrders) DueRefunds(ctx context.Context, c *domain.SaleCancellation) error {
	return aliveError(o.k, "due refunds", func() error { return o.to.DueRefunds(ctx, c) })
}
func (o mortalOrders) PaidOrders(ctx context.Context, id string, after domain.OrderID, limit int) ([]domain.OrderID, error) {
	return alive(o.k, "paid orders", func() ([]domain.OrderID, error) { return o.to.PaidOrders(ctx, id, after, limit) })
}
func (o mortalOrders) OwedRefunds(ctx context.Context, id string, limit int) ([]domain.Refund, error) {
	return alive(o.k, "owed refunds", func() ([]domain.Refund, error) { return o.to.OwedRefunds(ctx, id, limit) })
}

type mortalProvider struct {
	to *bank
	k  *killer
}

func (p mortalProvider) Open(_ context.Context, _ string, opening payments.Opening) (domain.PayPage, error) {
	return alive(p.k, "open", func() (domain.PayPage, error) { return p.to.openPage(opening), nil })
}
func (p mortalProvider) Expire(_ context.Context, session string) (domain.ExpireOutcome, error) {
	return alive(p.k, "expire", func() (domain.ExpireOutcome, error) {
		if p.to.Processing {
			return domain.ExpireOutcome{}, &domain.UnknownError{Op: "expire", ID: session, Err: payments.ErrProcessing}
		}
		return p.to.expire(session), nil
	})
}
func (p mortalProvider) Capture(_ context.Context, session string) (capture domain.Capture, captured bool, err error) {
	capture, err = alive(p.k, "capture", func() (domain.Capture, error) { return p.to.Captured[session], nil })
	return capture, capture.Payment != "", err
}
func (p mortalProvider) CaptureAuthorized(_ context.Context, session string) (domain.ExpireOutcome, error) {
	return alive(p.k, "capture authorized", func() (domain.ExpireOutcome, error) { return p.to.take(session), nil })
}
func (p mortalProvider) ReleaseAuthorized(_ context.Context, session string) (domain.ExpireOutcome, error) {
	return alive(p.k, "release authorized", func() (domain.ExpireOutcome, error) { return p.to.release(session), nil })
}
func (p mortalProvider) Refund(_ context.Context, refund domain.Refund) error {
	return aliveError(p.k, "refund", func() error { return p.to.refund(refund.Capture) })
}

type mortalTemporal struct {
	to *checkoutDesk
	k  *killer
}

func (d mortalTemporal) OpenCheckouts(context.Context, string, int) ([]domain.OrderID, error) {
	return alive(d.k, "open checkouts", func() ([]domain.OrderID, error) { return d.to.openIDs(), nil })
}
func (d mortalTemporal) CountCheckouts(_ context.Context, c *domain.SaleCancellation) error {
	return aliveError(d.k, "count checkouts", func() error { c.OpenCheckouts = int64(len(d.to.open)); return nil })
}
func (d mortalTemporal) Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	return alive(d.k, "cancel", func() (domain.OrderStatus, error) { return domain.OrderCanceled, d.to.cancel(ctx, id) })
}
func (d mortalTemporal) RefundFor(ctx context.Context, id domain.OrderID, reason domain.RefundReason) (domain.OrderStatus, error) {
	return alive(d.k, "refund for", func() (domain.OrderStatus, error) { return domain.OrderRefunded, d.to.refundFor(ctx, id, reason) })
}
func (d mortalTemporal) Waits(context.Context, domain.Refund) (wait domain.CancelWait, waits bool, err error) {
	wait, err = alive(d.k, "waits", func() (domain.CancelWait, error) { return domain.CancelWait{Reason: "the provider is down"}, nil })
	return wait, true, err
}
func (d mortalTemporal) CheckoutWaits(context.Context, domain.OrderID) (wait domain.CancelWait, waits bool, err error) {
	wait, err = alive(d.k, "checkout waits", func() (domain.CancelWait, error) { return domain.CancelWait{Reason: "it waits"}, nil })
	return wait, true, err
}

type mortalAuditor struct{ k *killer }

func (a mortalAuditor) AuditAll(context.Context, func(string)) (domain.AuditOutcome, error) {
	return alive(a.k, "audit", func() (domain.AuditOutcome, error) { return domain.AuditOutcome{Sales: 1}, nil })
}

// ---- The world

// A house is a ledger and a database for many sales.
type house struct {
	engine tb.Client
	store  *orders.Store
	keys   *domain.Keyring
	sales  atomic.Int64
}

func newHouse(t *testing.T) *house {
	engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return &house{engine: engine, store: orderstest.New(t), keys: keys}
}

// A world is a sale with one order that everything is about.
type world struct {
	*house
	t       *testing.T
	ctx     context.Context
	own     *ledger.Book // of the processes that are not killed
	record  record
	sale    *domain.Sale
	order   domain.Order
	payment string
	bank    *bank
	desk    *checkoutDesk
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (h *house) world(t *testing.T) *world {
	w := &world{house: h, t: t, ctx: t.Context(), record: record{h.store, h.keys}, bank: &bank{Captured: map[string]domain.Capture{}, Opened: map[string]string{}, Refunded: map[string]int64{}, Authorized: map[string]domain.Capture{}}}
	w.own = h.book(t, &killer{})
	n := h.sales.Add(1)
	sale, err := h.store.CreateSale(w.ctx, &domain.Sale{
		ID: fmt.Sprintf("sale-%06d", n), Name: "Sale", Currency: "EUR", CreatedAt: noon,
		Classes: []domain.Class{{Name: "VIP", PriceMinor: 6500, Capacity: 4}, {Name: "early", PriceMinor: 3500, Capacity: 3}},
		Perk:    &domain.Perk{Name: "T-shirt", Capacity: 1}, BuyerLimit: 4, OneCheckoutPerBuyer: true, HoldTimeout: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.own.OpenSale(w.ctx, sale); err != nil {
		t.Fatal(err)
	}
	if err := h.store.MarkSaleOpen(w.ctx, sale.ID); err != nil {
		t.Fatal(err)
	}
	w.sale, w.payment = sale, "pay_1_"+sale.ID
	w.order = w.orderOf("ann@example.com", 2, 1)
	w.desk = &checkoutDesk{w: w}
	return w
}

func (h *house) book(t *testing.T, k *killer) *ledger.Book {
	batcher := ledger.NewBatcher(mortalClient{h.engine, k})
	t.Cleanup(func() { _ = batcher.Close() })
	return ledger.NewBook(batcher)
}

// process is a worker that was just started, and dies as told.
func (w *world) process(k *killer) *activities.Activities {
	book, database := w.book(w.t, k), mortalOrders{w.record, k}
	return &activities.Activities{
		Ledger: book, Orders: database, Provider: mortalProvider{w.bank, k},
		SaleCancel: activities.SaleCancel{
			SecondLook: time.Nanosecond,
			Drainer:    book, Cancellations: database, Canceler: mortalTemporal{w.desk, k},
			PerSecond: 10_000, Now: func() time.Time { return noon },
		},
	}
}

func (w *world) orderOf(buyer string, vip, early int64) domain.Order {
	items := []domain.Item{{Class: "VIP", Quantity: vip}}
	if early > 0 {
		items = append(items, domain.Item{Class: "early", Quantity: early})
	}
	order, err := domain.NewOrder(w.sale, w.keys, "key-of-"+buyer+w.sale.ID, items, buyer)
	if err != nil {
		w.t.Fatal(err)
	}
	return order
}

func (w *world) capture(payment string) domain.Capture {
	return domain.Capture{Payment: payment, Session: "ps_" + w.order.ID.String(), Order: w.order.ID, AmountMinor: w.order.AmountMinor, Currency: w.order.Currency}
}

// books is everything that is left, and the answer, without what differs between
// two sales.
func (w *world) books(answer any, err error) string {
	w.t.Helper()
	left := map[string]any{"answer": answer, "bank": w.bank, "open": len(w.desk.open)}
	if err != nil {
		left["error"] = domain.CodeOf(err)
	}
	stock, err := w.own.Stock(w.ctx, w.sale)
	if err != nil {
		w.t.Fatal(err)
	}
	left["stock"] = stock
	for name, of := range map[string]uint32{"quota": w.sale.QuotaLedger, "checkouts": w.sale.CheckoutLedger} {
		left[name], err = w.own.QuotaLevel(w.ctx, w.sale, of)
		if err != nil {
			w.t.Fatal(err)
		}
	}
	left["fate"], err = w.own.SeatFate(w.ctx, w.order.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	recorded, err := w.store.Order(w.ctx, w.order.ID)
	left["order"], left["recorded"] = recorded, err == nil
	left["refunds"], err = w.store.RefundsOfOrder(w.ctx, w.order.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	left["events"], err = w.store.EventCounts(w.ctx, w.sale.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	canceled, err := w.store.Cancellation(w.ctx, w.sale.ID)
	left["cancellation"], left["canceled"] = canceled, err == nil
	text, err := json.MarshalIndent(left, "", " ")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.withoutIDs(string(text))
}

// difference shows the lines that are only in one.
func difference(want, got string) string {
	var shown strings.Builder
	for sign, one := range map[string][2]string{"want": {want, got}, "got ": {got, want}} {
		there := strings.Split(one[1], "\n")
		for line := range strings.Lines(one[0]) {
			if line = strings.TrimSuffix(line, "\n"); !slices.Contains(there, line) {
				fmt.Fprintf(&shown, "%s %s\n", sign, line)
			}
		}
	}
	return cmp.Or(shown.String(), "the same lines in another sequence:\n"+got)
}

var (
	ledgerRE = regexp.MustCompile(`"((?i:(?:quota_?)?ledger))": ([1-9]\d*)`)
	differRE = regexp.MustCompile(`"((?i:buyer)|code|held_at|expires_at)": "[^"]*"`)
)

func (w *world) withoutIDs(text string) string {
	text = strings.NewReplacer(w.order.ID.String(), "ORDER", w.sale.ID, "SALE").Replace(text)
	text = ledgerRE.ReplaceAllStringFunc(text, func(found string) string {
		match := ledgerRE.FindStringSubmatch(found)
		number, err := strconv.ParseUint(match[2], 10, 32)
		if err != nil {
			w.t.Fatal(err)
		}
		return fmt.Sprintf("%q: +%d", match[1], uint32(number)-w.sale.Classes[0].Ledger)
	})
	return differRE.ReplaceAllString(text, `"$1": "…"`)
}

// ---- What has happened

func nothing(*world) {}

func with(all ...func(*world)) func(*world) {
	return func(w *world) {
		for _, one := range all {
			one(w)
		}
	}
}

// by is an activity that nobody kills.
func (w *world) by() *activities.Activities { return w.process(&killer{}) }

func (w *world) holdOf(order domain.Order) {
	hold, err := w.by().Hold(w.ctx, activities.HoldRequest{Order: order})
	if err != nil {
		w.t.Fatal(err)
	}
	if hold.Outcome != domain.HoldHeld {
		w.t.Fatalf("hold.Outcome is %q, want %q", hold.Outcome, domain.HoldHeld)
	}
}

func (w *world) held() { w.holdOf(w.order) }

func (w *world) sellOut() {
	w.holdOf(w.orderOf("bob@example.com", 4, 0))
}

func (w *world) useUpLimit() {
	other := w.orderOf("ann@example.com", 2, 0)
	other.ID[3]++ // another order of hers
	w.holdOf(other)
	outcome, err := w.own.Post(w.ctx, &other)
	if err != nil {
		w.t.Fatal(err)
	}
	if outcome != domain.PostPosted {
		w.t.Fatalf("outcome is %q, want %q", outcome, domain.PostPosted)
	}
}

func (w *world) openAnother() {
	other := w.orderOf("cyd@example.com", 1, 0)
	if len(w.desk.open) == 0 {
		other = w.orderOf("ann@example.com", 1, 0)
		other.ID[3]++
	}
	w.holdOf(other)
	w.desk.open = append(w.desk.open, other)
}

func (w *world) open() { w.desk.open = append(w.desk.open, w.order) }

func (w *world) noPerkLeft() {
	other := w.orderOf("dee@example.com", 1, 0)
	taken, err := w.own.TakePerk(w.ctx, &other)
	if err != nil {
		w.t.Fatal(err)
	}
	if !taken {
		w.t.Fatal("want true: taken")
	}
}

func (w *world) voided() {
	outcome, err := w.by().Release(w.ctx, activities.EndRequest{Order: w.order})
	if err != nil {
		w.t.Fatal(err)
	}
	if outcome != domain.VoidVoided {
		w.t.Fatalf("outcome is %q, want %q", outcome, domain.VoidVoided)
	}
}

func (w *world) settled(payment string) activities.Settled {
	settled, err := w.by().Settle(w.ctx, activities.Settlement{Order: w.order, Booking: domain.BookedByHold, Capture: w.capture(payment), PaidAt: noon})
	if err != nil {
		w.t.Fatal(err)
	}
	return settled
}

func (w *world) sold() {
	if got := w.settled(w.payment).Outcome; got != activities.SettleSold {
		w.t.Fatalf("w.settled(w.payment).Outcome is %q, want %q", got, activities.SettleSold)
	}
}

func (w *world) rebooked() {
	settled, err := settleBy(domain.BookedByRebook)(w.ctx, w.by(), w)
	if err != nil || settled.(activities.Settled).Outcome != activities.SettleSold {
		w.t.Fatalf("settled %+v, %v", settled, err)
	}
}

func (w *world) soldToAnother() {
	if got := w.settled("pay_0_" + w.sale.ID).Outcome; got != activities.SettleSold {
		w.t.Fatalf(`w.settled("pay_0_"+w.sale.ID).Outcome is %q, want %q`, got, activities.SettleSold)
	}
}

func (w *world) postedOnly() {
	outcome, err := w.own.Post(w.ctx, &w.order)
	if err != nil {
		w.t.Fatal(err)
	}
	if outcome != domain.PostPosted {
		w.t.Fatalf("outcome is %q, want %q", outcome, domain.PostPosted)
	}
	_, err = w.own.TakePerk(w.ctx, &w.order)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) unsold() {
	w.postedOnly()
	settled, err := w.by().Unsell(w.ctx, activities.EndRequest{Order: w.order})
	if err != nil {
		w.t.Fatal(err)
	}
	if settled.Outcome != activities.SettleUnpaid {
		w.t.Fatalf("settled.Outcome is %q, want %q", settled.Outcome, activities.SettleUnpaid)
	}
}

// unrecordable: its address is longer than the database takes.
func (w *world) unrecordable() { w.order.Email = strings.Repeat("x", 300) + "@example.com" }

// endlessPayment: its id is longer than the database takes.
func (w *world) endlessPayment() { w.payment = strings.Repeat("x", 300) }

func (w *world) refundBegun() {
	if err := w.record.BeginRefund(w.ctx, w.refund(domain.RefundNoneLeft)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) orderRefundBegun() {
	_, err := w.record.BeginOrderRefund(w.ctx, w.order.ID, domain.RefundByOrganiser, noon)
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) refunded() {
	w.orderRefundBegun()
	if err := w.record.FinishRefund(w.ctx, w.payment, noon); err != nil {
		w.t.Fatal(err)
	}
	if err := w.own.Return(w.ctx, w.soldOrder()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) soldOrder() *domain.SoldOrder {
	sold, err := w.store.Order(w.ctx, w.order.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return &sold
}

func (w *world) captured() {
	capture := w.capture(w.payment)
	w.bank.Captured[capture.Session] = capture
}

func (w *world) authorized() {
	capture := w.capture(w.payment)
	capture.Authorized = true
	w.bank.Authorized[capture.Session] = capture
}

func (w *world) processing() { w.bank.Processing = true }

func (w *world) released() { w.bank.release(w.capture(w.payment).Session) }

func (w *world) closed() {
	if err := w.by().CloseSale(w.ctx, w.toCancel()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) toCancel() activities.SaleToCancel {
	return activities.SaleToCancel{SaleID: w.sale.ID, RequestedAt: noon}
}

func (w *world) refund(reason domain.RefundReason) domain.Refund {
	return domain.Refund{Capture: w.capture(w.payment), SaleID: w.sale.ID, Reason: reason, RequestedAt: noon}
}

// ---- The activities

func hold(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.Hold(ctx, activities.HoldRequest{Order: w.order})
}

func settleBy(booking domain.Booking) func(context.Context, *activities.Activities, *world) (any, error) {
	return func(ctx context.Context, a *activities.Activities, w *world) (any, error) {
		return a.Settle(ctx, activities.Settlement{Order: w.order, Booking: booking, Capture: w.capture(w.payment), PaidAt: noon})
	}
}

func findSale(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.FindSale(ctx, w.order.ID)
}

func unsellOrder(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.Unsell(ctx, activities.EndRequest{Order: w.order})
}

func release(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.Release(ctx, activities.EndRequest{Order: w.order})
}

func expireSession(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.ExpireSession(ctx, activities.Session("ps_"+w.order.ID.String()))
}

func expireUnlessProcessing(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.ExpireUnlessProcessing(ctx, activities.Session("ps_"+w.order.ID.String()))
}

func openSession(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.OpenSession(ctx, activities.SessionToOpen{Provider: "other", Opening: payments.Opening{Order: w.order.ID, Attempt: 1}})
}

func bookSeats(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	authorized := w.capture(w.payment)
	authorized.Authorized = true
	return a.BookSeats(ctx, activities.Settlement{Order: w.order, Booking: domain.BookedByHold, Capture: authorized, PaidAt: noon})
}

func capturePayment(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.CapturePayment(ctx, activities.Session("ps_"+w.order.ID.String()))
}

func releasePayment(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.ReleasePayment(ctx, activities.Session("ps_"+w.order.ID.String()))
}

func returnUncaptured(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.ReturnUncaptured(ctx, activities.Uncaptured{EndRequest: activities.EndRequest{Order: w.order}, Booking: domain.BookedByHold})
}

func findCapture(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.FindCapture(ctx, "ps_"+w.order.ID.String())
}

func refundDue(reason domain.RefundReason) func(context.Context, *activities.Activities, *world) (any, error) {
	return func(ctx context.Context, a *activities.Activities, w *world) (any, error) {
		return a.RecordRefundDue(ctx, w.refund(reason))
	}
}

func orderRefundDue(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.RecordOrderRefundDue(ctx, activities.OrderRefund{Order: w.order.ID, Reason: domain.RefundByOrganiser, At: noon})
}

func refundPayment(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.RefundPayment(ctx, activities.RefundCall{Refund: w.refund(domain.RefundNoneLeft)})
}

func returnSeats(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return nil, a.ReturnSeats(ctx, *w.soldOrder())
}

// returnSeatsOfHold is asked by a workflow that knows the order as it was first sold.
func returnSeatsOfHold(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	sold := *w.soldOrder()
	sold.Booking = domain.BookedByHold
	if err := a.ReturnSeats(ctx, sold); err != nil {
		return nil, err
	}
	return w.own.SeatFate(w.ctx, w.order.ID)
}

func refundDone(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return nil, a.RecordRefundDone(ctx, activities.RefundDone{Payment: w.payment, At: noon})
}

func closeSale(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return nil, a.CloseSale(ctx, w.toCancel())
}

func survey(ctx context.Context, a *activities.Activities, w *world) (any, error) {
	return a.SurveyCancellation(ctx, w.toCancel())
}

func cancelCheckouts(ctx context.Context, a *activities.Activities, w *world) (activities.CanceledBatch, error) {
	return a.CancelCheckouts(ctx, w.toCancel())
}

func refundOrders(ctx context.Context, a *activities.Activities, w *world) (activities.CanceledBatch, error) {
	return a.RefundOrders(ctx, activities.RefundBatch{SaleID: w.sale.ID, WaitingMax: 10})
}

// untilNoneIsLeft repeats a batch as the workflow does. How many each settled is an
// account of that batch: a repeat counts those that were left.
func untilNoneIsLeft(batch func(context.Context, *activities.Activities, *world) (activities.CanceledBatch, error)) func(context.Context, *activities.Activities, *world) (any, error) {
	return func(ctx context.Context, a *activities.Activities, w *world) (any, error) {
		for {
			did, err := batch(ctx, a, w)
			if err != nil || did.Settled+did.Unsettled == 0 || did.Unsettled > 0 {
				return did, err
			}
		}
	}
}

func auditSales(ctx context.Context, a *activities.Activities, _ *world) (any, error) {
	audits := activities.Audits{Auditor: mortalAuditor{a.Orders.(mortalOrders).k}}
	return audits.AuditSales(ctx)
}

// ---- The others

// record is the database, as serve gives it to the activities.
type record struct {
	*orders.Store
	keys *domain.Keyring
}

func (r record) Record(ctx context.Context, sold domain.Sold) (domain.SoldOrder, error) {
	return r.Store.Record(ctx, sold, func(n int) string { return r.keys.TicketCode(sold.Order.ID, n) })
}

func (r record) BeginRefund(ctx context.Context, refund domain.Refund) error {
	_, err := r.Store.BeginRefund(ctx, refund)
	return err
}

// A bank is the provider: what it did is idempotent, and counted.
type bank struct {
	Captured map[string]domain.Capture // by session
	Opened   map[string]string         // by order and attempt
	Expired  bool
	Refunded map[string]int64 // by payment, minor units

	Authorized map[string]domain.Capture // by session
	Processing bool                      // a payment
}

func (b *bank) take(session string) domain.ExpireOutcome {
	if money, ok := b.Authorized[session]; ok {
		money.Authorized = false
		b.Captured[session] = money
		delete(b.Authorized, session)
	}
	return b.expire(session)
}

func (b *bank) release(session string) domain.ExpireOutcome {
	delete(b.Authorized, session)
	return b.expire(session)
}

func (b *bank) openPage(opening payments.Opening) domain.PayPage {
	key := fmt.Sprint(opening.Order, "/", opening.Attempt)
	if b.Opened[key] == "" {
		b.Opened[key] = fmt.Sprintf("other/cs_%d", len(b.Opened))
	}
	return domain.PayPage{Session: b.Opened[key], URL: "https://other.example/" + b.Opened[key]}
}

func (b *bank) expire(session string) domain.ExpireOutcome {
	if capture, ok := b.Captured[session]; ok {
		return domain.ExpireOutcome{Captured: true, Capture: capture}
	}
	b.Expired = true
	return domain.ExpireOutcome{}
}

func (b *bank) refund(capture domain.Capture) error {
	if !slices.Contains(slices.Collect(maps.Values(b.Captured)), capture) {
		return domain.NotFound("payment")
	}
	b.Refunded[capture.Payment] = capture.AmountMinor
	return nil
}

// A checkoutDesk stands for the workflows of single orders.
type checkoutDesk struct {
	w    *world
	open []domain.Order
}

func (d *checkoutDesk) openIDs() (ids []domain.OrderID) {
	for _, o := range d.open {
		ids = append(ids, o.ID)
	}
	return ids
}

func (d *checkoutDesk) cancel(ctx context.Context, id domain.OrderID) error {
	i := slices.IndexFunc(d.open, func(o domain.Order) bool { return o.ID == id })
	if i < 0 {
		return domain.NotFound("order")
	}
	_, err := d.w.own.Void(ctx, &d.open[i])
	d.open = slices.Delete(d.open, i, i+1)
	return err
}

func (d *checkoutDesk) refundFor(ctx context.Context, id domain.OrderID, reason domain.RefundReason) error {
	sold, err := d.w.record.BeginOrderRefund(ctx, id, reason, noon)
	if err != nil {
		return err
	}
	return errors.Join(d.w.own.Return(ctx, &sold), d.w.record.FinishRefund(ctx, sold.Capture.Payment, noon))
}
