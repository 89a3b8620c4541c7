package orders_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"

	"github.com/jackc/pgx/v5"
)

// day is when all of this happens, in whole microseconds like Postgres's times.
var day = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// A bundle is one database with one sale in it.
type bundle struct {
	ctx   context.Context
	url   string
	store *orders.Store
	keys  *domain.Keyring
	sale  *domain.Sale
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	url := orderstest.URL(t)
	b := &bundle{ctx: t.Context(), url: url, store: orderstest.Open(t, url)}
	notePrepared(t, b.store)
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	b.keys = keys
	if b.sale, err = b.store.CreateSale(b.ctx, definition("gophercon")); err != nil {
		t.Fatal(err)
	}
	if err := b.store.MarkSaleOpen(b.ctx, b.sale.ID); err != nil {
		t.Fatal(err)
	}
	return b
}

func definition(id string) *domain.Sale {
	return &domain.Sale{
		ID: id, Name: "Gophercon", Currency: "EUR",
		Classes:    []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 100}, {Name: "B", PriceMinor: 3500, Capacity: 200}},
		Perk:       &domain.Perk{Name: "T-shirt", Capacity: 10},
		BuyerLimit: 6, HoldTimeout: 5 * time.Minute, OpensAt: day, CreatedAt: day.Add(-time.Hour),
		Provider: domain.DefaultProvider, Capture: domain.CaptureAutomatic,
	}
}

// sold is an order of two A and one B, paid by pay_<key>.
func (b *bundle) sold(t *testing.T, key string) domain.Sold {
	t.Helper()
	items := []domain.Item{{Class: "B", Quantity: 1}, {Class: "A", Quantity: 2}}
	order, err := domain.NewOrder(b.sale, b.keys, key, items, key+"@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return b.paid(order, key)
}

// paid is an order, paid by pay_<key>.
func (b *bundle) paid(order domain.Order, key string) domain.Sold {
	return domain.Sold{
		Order:   order,
		Capture: domain.Capture{Payment: "pay_" + key, Session: "ps_" + order.ID.String(), Order: order.ID, AmountMinor: order.AmountMinor, Currency: order.Currency, CapturedAt: day},
		Booking: domain.BookedByHold, PerkTaken: order.Perk != nil, PaidAt: day.Add(time.Second),
	}
}

func (b *bundle) codes(id domain.OrderID) func(int) string {
	return func(n int) string { return b.keys.TicketCode(id, n) }
}

func (b *bundle) record(t *testing.T, sold domain.Sold) domain.SoldOrder {
	t.Helper()
	o, err := b.store.Record(b.ctx, sold, b.codes(sold.Order.ID))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (b *bundle) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	conn, err := pgx.Connect(b.ctx, b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(b.ctx)
	if err := conn.QueryRow(b.ctx, query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantCode(t *testing.T, err error, want domain.Code) {
	t.Helper()
	var definite *domain.Error
	if !errors.As(err, &definite) || definite.Code != want {
		t.Fatalf("error %v, want code %s", err, want)
	}
}

func wantEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// keyOf is the i-th buyer's Idempotency-Key.
func keyOf(i int) string { return fmt.Sprintf("buyer-%04d-0123456789", i) }

func TestMigrateByManyNodesAtOnce(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	const nodes = 4
	errs := make(chan error, nodes)
	for range nodes {
		go func() {
			store, err := orders.Open(t.Context(), url, orders.Options{})
			if err == nil {
				defer store.Close()
				err = errors.Join(store.Migrate(t.Context()), store.CheckSchema(t.Context()))
			}
			errs <- err
		}()
	}
	for range nodes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestCheckSchemaBeforeMigrationSaysWhatToDo(t *testing.T) {
	t.Parallel()
	store, err := orders.Open(t.Context(), orderstest.URL(t), orders.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.CheckSchema(t.Context()); err == nil || !strings.Contains(err.Error(), "boxoffice migrate") {
		t.Fatalf("error %v does not name the command", err)
	}
}

func TestMigrateRefusesANewerDatabaseWhichStillServes(t *testing.T) {
	b := setup(t)
	if err := orderstest.Exec(b.ctx, b.url, `INSERT INTO schema_migrations (version) VALUES (999)`); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Migrate(b.ctx); err == nil || !strings.Contains(err.Error(), "version 999") {
		t.Errorf("Migrate: %v, want a refusal that names version 999", err)
	}
	if err := b.store.CheckSchema(b.ctx); err != nil {
		t.Errorf("CheckSchema: %v, want nil: nodes are replaced one by one", err)
	}
}

func TestCreateSaleReturnsWhatIsStored(t *testing.T) {
	b := setup(t)
	again := definition(b.sale.ID)
	again.CreatedAt = day.Add(time.Hour)
	stored, err := b.store.CreateSale(b.ctx, again)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the same definition again", stored, b.sale)
	read, err := b.store.Sale(b.ctx, b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Sale", read, b.sale)

	want := definition(b.sale.ID)
	want.Classes[0].Ledger, want.Classes[1].Ledger = b.sale.Classes[0].Ledger, b.sale.Classes[1].Ledger
	want.Perk.Ledger, want.QuotaLedger, want.Version = b.sale.Perk.Ledger, b.sale.QuotaLedger, 1
	wantEqual(t, "the stored sale, except its ledgers", read, want)
}

func TestCreateSaleOfOneCheckoutPerBuyer(t *testing.T) {
	b := setup(t)
	limited := definition("limited")
	limited.OneCheckoutPerBuyer = true
	for range 2 {
		stored, err := b.store.CreateSale(b.ctx, limited)
		if err != nil {
			t.Fatal(err)
		}
		if !stored.OneCheckoutPerBuyer || stored.CheckoutLedger == 0 {
			t.Errorf("stored sale %+v, want a ledger for open checkouts", stored)
		}
	}
	if b.sale.OneCheckoutPerBuyer || b.sale.CheckoutLedger != 0 {
		t.Errorf("stored sale %+v, want no ledger for open checkouts: it does not limit them", b.sale)
	}
	_, err := b.store.CreateSale(b.ctx, definition("limited"))
	wantCode(t, err, domain.CodeExists)
}

// A sale keeps the rule that it was created with. One from before there were rules folds nothing.
func TestASaleKeepsItsAliasRule(t *testing.T) {
	b := setup(t)
	folding := definition("folding")
	folding.AliasRule = domain.AliasesFolded
	for range 2 {
		if stored, err := b.store.CreateSale(b.ctx, folding); err != nil || stored.AliasRule != domain.AliasesFolded {
			t.Fatalf("stored sale %+v, %v", stored, err)
		}
	}
	if b.sale.AliasRule != domain.AliasesApart {
		t.Errorf("a sale that says nothing has alias rule %d", b.sale.AliasRule)
	}
}

func TestCreateSaleGivesEveryStockItsOwnLedger(t *testing.T) {
	b := setup(t)
	definition := definition("other")
	definition.OneCheckoutPerBuyer = true
	other, err := b.store.CreateSale(b.ctx, definition)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]bool{0: true}
	for _, s := range []*domain.Sale{b.sale, other} {
		for _, ledger := range []uint32{s.Classes[0].Ledger, s.Classes[1].Ledger, s.Perk.Ledger, s.QuotaLedger} {
			if seen[ledger] {
				t.Errorf("ledger %d of sale %s is 0 or given twice", ledger, s.ID)
			}
			seen[ledger] = true
		}
	}
	if seen[other.CheckoutLedger] {
		t.Errorf("ledger %d of open checkouts is 0 or given twice", other.CheckoutLedger)
	}
}

func TestCreateSaleRefusesAnotherDefinition(t *testing.T) {
	b := setup(t)
	for name, change := range map[string]func(*domain.Sale){
		"name":         func(s *domain.Sale) { s.Name = "Other" },
		"currency":     func(s *domain.Sale) { s.Currency = "USD" },
		"price":        func(s *domain.Sale) { s.Classes[0].PriceMinor++ },
		"capacity":     func(s *domain.Sale) { s.Classes[0].Capacity++ },
		"class order":  func(s *domain.Sale) { s.Classes[0], s.Classes[1] = s.Classes[1], s.Classes[0] },
		"class gone":   func(s *domain.Sale) { s.Classes = s.Classes[:1] },
		"perk":         func(s *domain.Sale) { s.Perk.Capacity++ },
		"perk gone":    func(s *domain.Sale) { s.Perk = nil },
		"limit":        func(s *domain.Sale) { s.BuyerLimit++ },
		"hold":         func(s *domain.Sale) { s.HoldTimeout *= 2 },
		"opening":      func(s *domain.Sale) { s.OpensAt = s.OpensAt.Add(time.Second) },
		"waiting room": func(s *domain.Sale) { s.WaitingRoom = true },
		"one checkout": func(s *domain.Sale) { s.OneCheckoutPerBuyer = true },
		"aliases":      func(s *domain.Sale) { s.AliasRule = domain.AliasesFolded },
	} {
		t.Run(name, func(t *testing.T) {
			changed := definition(b.sale.ID)
			change(changed)
			_, err := b.store.CreateSale(b.ctx, changed)
			wantCode(t, err, domain.CodeExists)
		})
	}
}

func TestSaleIsHiddenUntilItsAccountsAreFunded(t *testing.T) {
	b := setup(t)
	if _, err := b.store.CreateSale(b.ctx, definition("unfunded")); err != nil {
		t.Fatal(err)
	}
	_, err := b.store.Sale(b.ctx, "unfunded")
	wantCode(t, err, domain.CodeNotFound)
	sales, err := b.store.Sales(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "Sales", sales, []*domain.Sale{b.sale})
	wantCode(t, b.store.MarkSaleOpen(b.ctx, "nothing"), domain.CodeNotFound)
}

func TestRecordReturnsWhatOrderReads(t *testing.T) {
	b := setup(t)
	for name, change := range map[string]func(*domain.Sold){
		"with the perk":           func(*domain.Sold) {},
		"without the perk":        func(s *domain.Sold) { s.PerkTaken = false },
		"rebooked":                func(s *domain.Sold) { s.Booking = domain.BookedByRebook },
		"capture time not known":  func(s *domain.Sold) { s.Capture.CapturedAt = time.Time{} },
		"nanoseconds, local time": func(s *domain.Sold) { s.PaidAt = s.PaidAt.Add(789).In(time.FixedZone("CET", 3600)) },
	} {
		t.Run(name, func(t *testing.T) {
			sold := b.sold(t, strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")+"-0123456789")
			change(&sold)
			recorded := b.record(t, sold)
			read, err := b.store.Order(b.ctx, sold.Order.ID)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "Record and Order", recorded, read)
			if len(read.Tickets) != 3 || read.Tickets[0].Class != "A" || read.Tickets[2].Class != "B" || read.Tickets[2].Code != b.keys.TicketCode(sold.Order.ID, 3) {
				t.Errorf("tickets %+v, want two A then one B with the keyring's codes", read.Tickets)
			}
			if read.Status != domain.OrderPaid || read.AmountMinor != 2*6500+3500 || read.QuotaLedger != b.sale.QuotaLedger {
				t.Errorf("order %+v", read)
			}
		})
	}
}

func TestRecordAgainChangesNothing(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	first := b.record(t, sold)
	again := sold
	again.PaidAt, again.PerkTaken = sold.PaidAt.Add(time.Hour), false
	wantEqual(t, "the second Record", b.record(t, again), first)
	if n := b.count(t, `SELECT count(*) FROM outbox WHERE event = 'order.paid'`); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestRecordByManyAtOnceStoresOneOrder(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	const callers = 8
	results := make([]domain.SoldOrder, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			var err error
			if results[i], err = b.store.Record(b.ctx, sold, b.codes(sold.Order.ID)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, r := range results {
		wantEqual(t, "every caller's order", r, results[0])
	}
	if n := b.count(t, `SELECT count(*) FROM tickets`); n != 3 {
		t.Errorf("%d tickets, want 3", n)
	}
}

func TestRecordRefuses(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	refunded := b.sold(t, keyOf(2))
	if _, err := b.store.BeginRefund(b.ctx, domain.Refund{Capture: refunded.Capture, SaleID: b.sale.ID, Reason: domain.RefundNoneLeft, RequestedAt: day}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		sold domain.Sold
		want domain.Code
	}{
		"a second payment of an order":     {with(sold, func(s *domain.Sold) { s.Capture.Payment = "pay_second" }), domain.CodeExists},
		"a payment of another order":       {with(b.sold(t, keyOf(3)), func(s *domain.Sold) { s.Capture.Payment = sold.Capture.Payment }), domain.CodeExists},
		"a payment that is being refunded": {refunded, domain.CodeExists},
		"another amount":                   {with(b.sold(t, keyOf(4)), func(s *domain.Sold) { s.Capture.AmountMinor++ }), domain.CodeInvalid},
		"another currency":                 {with(b.sold(t, keyOf(4)), func(s *domain.Sold) { s.Capture.Currency = "USD" }), domain.CodeInvalid},
		"a capture of another order":       {with(b.sold(t, keyOf(4)), func(s *domain.Sold) { s.Capture.Order = sold.Order.ID }), domain.CodeInvalid},
		"no payment":                       {with(b.sold(t, keyOf(4)), func(s *domain.Sold) { s.Capture.Payment = "" }), domain.CodeInvalid},
		"no time":                          {with(b.sold(t, keyOf(4)), func(s *domain.Sold) { s.PaidAt = time.Time{} }), domain.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.store.Record(b.ctx, tc.sold, b.codes(tc.sold.Order.ID))
			wantCode(t, err, tc.want)
		})
	}
	if n := b.count(t, `SELECT count(*) FROM orders`); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	if n := b.count(t, `SELECT count(*) FROM payments`); n != 2 {
		t.Errorf("%d payments, want the order's and the refund's", n)
	}
}

func with(s domain.Sold, change func(*domain.Sold)) domain.Sold {
	change(&s)
	return s
}

func TestRecordForAnUnknownSaleIsNotForgotten(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	sold.Order.SaleID = "dropped"
	_, err := b.store.Record(b.ctx, sold, b.codes(sold.Order.ID))
	var definite *domain.Error
	if err == nil || errors.As(err, &definite) || domain.IsUnknown(err) {
		t.Fatalf("error %v, want a plain one: a paid order must be tried again, not given up", err)
	}
	if strings.Contains(err.Error(), sold.Order.Email) {
		t.Errorf("the error names the buyer: %v", err)
	}
}

// An order that can never be recorded must not be retried for ever: its seats and money have
// to go back.
func TestRecordOfAnOrderThatTheDatabaseRefuses(t *testing.T) {
	b := setup(t)
	for name, change := range map[string]func(*domain.Sold){
		"check violation":               func(s *domain.Sold) { s.Booking = "gift" },
		"no such character":             func(s *domain.Sold) { s.Order.Email = "a\x00@example.com" },
		"too many tickets":              func(s *domain.Sold) { s.Order.Lines[0].Quantity = 101 },
		"longer than an e-mail address": func(s *domain.Sold) { s.Order.Email = strings.Repeat("a", 300) },
	} {
		t.Run(name, func(t *testing.T) {
			sold := b.sold(t, keyOf(1))
			sold.Order.Lines = slices.Clone(sold.Order.Lines)
			change(&sold)
			_, err := b.store.Record(b.ctx, sold, b.codes(sold.Order.ID))
			var definite *domain.Error
			if !errors.As(err, &definite) || definite.Code != domain.CodeInternal {
				t.Fatalf("error %v, want a definite one", err)
			}
			if strings.Contains(err.Error(), sold.Order.Email) {
				t.Errorf("the error names the buyer: %v", err)
			}
		})
	}
	if n := b.count(t, `SELECT count(*) FROM payments`); n != 0 {
		t.Errorf("%d payments, want none", n)
	}
}

func TestRefundThatTheDatabaseRefuses(t *testing.T) {
	b := setup(t)
	bought := b.sold(t, keyOf(1))
	b.record(t, bought)
	for name, tt := range map[string]struct {
		capture domain.Capture
		want    domain.Code
	}{
		"of a payment that bought nothing": {b.sold(t, keyOf(2)).Capture, domain.CodeInternal},
		"of a payment that bought tickets": {bought.Capture, domain.CodeExists},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.store.BeginRefund(b.ctx, domain.Refund{Capture: tt.capture, SaleID: b.sale.ID, Reason: "NOT A REASON", RequestedAt: day})
			wantCode(t, err, tt.want)
		})
	}
}

func TestEveryReasonOfARefundCanBeStored(t *testing.T) {
	b := setup(t)
	for i, reason := range []domain.RefundReason{
		domain.RefundNoneLeft, domain.RefundCanceled, domain.RefundUnknownOrder, domain.RefundWrongAmount,
		domain.RefundSecondCapture, domain.RefundUnrecordable, domain.RefundByOrganiser,
	} {
		refund := domain.Refund{Capture: b.sold(t, keyOf(i)).Capture, SaleID: b.sale.ID, Reason: reason, RequestedAt: day}
		if _, err := b.store.BeginRefund(b.ctx, refund); err != nil {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestRefundsOwed(t *testing.T) {
	b := setup(t)
	owed := func() orders.Owed {
		got, err := b.store.RefundsOwed(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	wantEqual(t, "owed at first", owed(), orders.Owed{})
	for i := range 2 {
		refund := domain.Refund{Capture: b.sold(t, keyOf(i)).Capture, Reason: domain.RefundNoneLeft, RequestedAt: day.Add(time.Duration(i) * time.Hour)}
		if _, err := b.store.BeginRefund(b.ctx, refund); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "owed", owed(), orders.Owed{Refunds: 2, Oldest: day})
	if err := b.store.FinishRefund(b.ctx, b.sold(t, keyOf(0)).Capture.Payment, day); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "owed after one was refunded", owed(), orders.Owed{Refunds: 1, Oldest: day.Add(time.Hour)})
}

func TestRecordAllAnswersEachOrderForItself(t *testing.T) {
	b := setup(t)
	repeat := b.sold(t, keyOf(0))
	stored := b.record(t, repeat)
	second := with(repeat, func(s *domain.Sold) { s.Capture.Payment = "pay_second" })
	wrong := with(b.sold(t, keyOf(1)), func(s *domain.Sold) { s.Capture.AmountMinor-- })
	lost := with(b.sold(t, keyOf(2)), func(s *domain.Sold) { s.Order.SaleID = "dropped" })
	fresh := []domain.Sold{b.sold(t, keyOf(3)), b.sold(t, keyOf(4))}

	results, errs := b.store.RecordAll(b.ctx, []domain.Sold{fresh[0], repeat, second, wrong, lost, fresh[1]}, b.keys.TicketCode)
	for i, id := range map[int]domain.OrderID{0: fresh[0].Order.ID, 5: fresh[1].Order.ID} {
		if errs[i] != nil || results[i].ID != id || len(results[i].Tickets) != 3 {
			t.Errorf("new order %d: %+v, %v", i, results[i], errs[i])
		}
	}
	wantEqual(t, "the repeat", results[1], stored)
	wantCode(t, errs[2], domain.CodeExists)
	wantCode(t, errs[3], domain.CodeInvalid)
	if errs[4] == nil || domain.CodeOf(errs[4]) != domain.CodeInternal {
		t.Errorf("an order of no sale: %v, want a plain error", errs[4])
	}
	if n := b.count(t, `SELECT count(*) FROM orders`); n != 3 {
		t.Errorf("%d orders, want 3", n)
	}
}

func TestEventsSayNothingAboutTheBuyer(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	if _, err := b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day); err != nil {
		t.Fatal(err)
	}
	if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM outbox WHERE payload->>'order' = $1 AND payload->>'payment' = $2`, sold.Order.ID.String(), sold.Capture.Payment); n != 3 {
		t.Errorf("%d events name the order and its payment, want 3", n)
	}
	if n := b.count(t, `SELECT count(*) FROM outbox WHERE payload::text LIKE '%example.com%' OR payload::text LIKE '%' || $1 || '%'`, sold.Order.Buyer.String()); n != 0 {
		t.Errorf("%d events name the buyer", n)
	}
}

func TestOrderNotRecorded(t *testing.T) {
	b := setup(t)
	_, err := b.store.Order(b.ctx, b.sold(t, keyOf(1)).Order.ID)
	wantCode(t, err, domain.CodeNotFound)
}

func TestOrdersOfSaleByPages(t *testing.T) {
	b := setup(t)
	want := map[domain.OrderID]bool{}
	for i := range 5 {
		want[b.record(t, b.sold(t, keyOf(i))).ID] = true
	}
	var cursor domain.OrderID
	for _, size := range []int{2, 2, 1} {
		page, err := b.store.FindOrders(b.ctx, domain.OrderFilter{SaleID: b.sale.ID, After: cursor, Limit: 2})
		if err != nil || len(page) != size {
			t.Fatalf("page of %d, %v; want %d", len(page), err, size)
		}
		for _, o := range page {
			if !want[o.ID] || string(o.ID[:]) <= string(cursor[:]) {
				t.Errorf("order %s is unknown, seen before or out of order", o.ID)
			}
			delete(want, o.ID)
			cursor = o.ID
		}
	}
	for _, limit := range []int{0, -1, domain.OrdersPageMax + 1} {
		_, err := b.store.FindOrders(b.ctx, domain.OrderFilter{SaleID: b.sale.ID, Limit: limit})
		wantCode(t, err, domain.CodeInvalid)
	}
}

func TestOrdersAreFound(t *testing.T) {
	b := setup(t)
	first, second := b.record(t, b.sold(t, keyOf(1))), b.record(t, b.sold(t, keyOf(2)))
	if _, err := b.store.BeginOrderRefund(b.ctx, second.ID, domain.RefundByOrganiser, day); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		filter domain.OrderFilter
		want   []domain.OrderID
	}{
		"all of the sale":          {domain.OrderFilter{SaleID: b.sale.ID}, []domain.OrderID{first.ID, second.ID}},
		"of another sale":          {domain.OrderFilter{SaleID: "another"}, nil},
		"by address":               {domain.OrderFilter{SaleID: b.sale.ID, Email: first.Email}, ordersOf(first.Email, first, second)},
		"by an unknown address":    {domain.OrderFilter{Email: "nobody@example.org"}, nil},
		"by a ticket's code":       {domain.OrderFilter{TicketCode: first.Tickets[0].Code}, []domain.OrderID{first.ID}},
		"by an unknown code":       {domain.OrderFilter{TicketCode: "X"}, nil},
		"by status":                {domain.OrderFilter{SaleID: b.sale.ID, Status: domain.OrderRefunding}, []domain.OrderID{second.ID}},
		"by all of it":             {domain.OrderFilter{SaleID: b.sale.ID, Status: domain.OrderPaid, TicketCode: first.Tickets[0].Code, Email: first.Email}, []domain.OrderID{first.ID}},
		"by code and wrong status": {domain.OrderFilter{Status: domain.OrderPaid, TicketCode: second.Tickets[0].Code}, nil},
		"of all sales, by pages":   {domain.OrderFilter{After: first.ID, Limit: 1}, []domain.OrderID{second.ID}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.filter.Limit = max(tt.filter.Limit, 10)
			found, err := b.store.FindOrders(b.ctx, tt.filter)
			var ids []domain.OrderID
			for _, o := range found {
				ids = append(ids, o.ID)
			}
			if err != nil || !slices.Equal(ids, tt.want) {
				t.Errorf("found %v, %v; want %v", ids, err, tt.want)
			}
		})
	}
}

func ordersOf(email string, all ...domain.SoldOrder) (ids []domain.OrderID) {
	for _, o := range all {
		if o.Email == email {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

func TestRefundOfTickets(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	_, err := b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day)
	wantCode(t, err, domain.CodeNotPaid)
	b.record(t, sold)

	for i := range 2 { // the second time changes nothing
		o, err := b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day.Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if o.Status != domain.OrderRefunding || !o.RefundingAt.Equal(day) {
			t.Fatalf("after BeginOrderRefund %d: %+v", i+1, o)
		}
	}
	_, err = b.store.BeginRefund(b.ctx, domain.Refund{Capture: sold.Capture, SaleID: b.sale.ID, Reason: domain.RefundSecondCapture, RequestedAt: day})
	wantCode(t, err, domain.CodeExists)

	for i := range 2 {
		if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day.Add(time.Duration(i+1)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := b.store.Order(b.ctx, sold.Order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if o.Status != domain.OrderRefunded || !o.RefundedAt.Equal(day.Add(time.Minute)) {
		t.Errorf("after FinishRefund: %+v", o)
	}
	refunds, err := b.store.RefundsOfOrder(b.ctx, sold.Order.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "refunds", refunds, []domain.Refund{{Capture: sold.Capture, SaleID: b.sale.ID, Reason: domain.RefundByOrganiser, RequestedAt: day, RefundedAt: day.Add(time.Minute)}})
	wantEqual(t, "Record after the refund", b.record(t, sold), o)
}

func TestRefundOfAPaymentThatBoughtNothing(t *testing.T) {
	b := setup(t)
	for name, saleID := range map[string]string{"of a known sale": b.sale.ID, "of an unknown order": ""} {
		t.Run(name, func(t *testing.T) {
			sold := b.sold(t, strings.ReplaceAll(name, " ", "-")+"-0123456789")
			refund := domain.Refund{Capture: sold.Capture, SaleID: saleID, Reason: domain.RefundUnknownOrder, RequestedAt: day}
			wantCode(t, b.store.FinishRefund(b.ctx, sold.Capture.Payment, day), domain.CodeNotFound)
			begun, err := b.store.BeginRefund(b.ctx, refund)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "BeginRefund", begun, refund)
			again := refund
			again.RequestedAt, again.Reason = day.Add(time.Hour), domain.RefundCanceled
			if begun, err = b.store.BeginRefund(b.ctx, again); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "BeginRefund again", begun, refund)
			if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n := b.count(t, `SELECT count(*) FROM outbox WHERE event = 'payment.refunded' AND payment = $1`, sold.Capture.Payment); n != 1 {
				t.Errorf("%d events, want 1", n)
			}
			_, err = b.store.Order(b.ctx, sold.Order.ID)
			wantCode(t, err, domain.CodeNotFound)
		})
	}
}

// The schema refuses what the code must never do.
func TestSchemaRefuses(t *testing.T) {
	b := setup(t)
	paid := b.sold(t, keyOf(1))
	b.record(t, paid)
	id := paid.Order.ID.String()
	for name, sql := range map[string]string{
		"paid with a refund's time":         `UPDATE orders SET refunded_at = now()`,
		"refunding without its time":        `UPDATE orders SET status = 'refunding'`,
		"refunded without its time":         `UPDATE orders SET status = 'refunded', refunding_at = now()`,
		"a status that does not exist":      `UPDATE orders SET status = 'held'`,
		"a refund of a payment that bought": `INSERT INTO refunds (payment, order_id, bought, reason, requested_at) SELECT id, order_id, 'nothing', 'none_left', now() FROM payments`,
		"a payment that bought twice":       `INSERT INTO payments SELECT * FROM payments`,
		"an order without its payment":      `UPDATE orders SET payment = 'other'`,
		"a ticket without a line":           `UPDATE tickets SET class = 'C'`,
		"two tickets with one code":         `UPDATE tickets SET code = 'same'`,
		"ledger 0":                          `UPDATE sale_stocks SET ledger = 0 WHERE kind = 'quota'`,
		"ledger 2^32":                       `UPDATE sale_stocks SET ledger = 4294967296 WHERE kind = 'quota'`,
		"a class without a price":           `UPDATE sale_stocks SET price_minor = NULL WHERE kind = 'class'`,
		"a perk with a price":               `UPDATE sale_stocks SET price_minor = 1 WHERE kind = 'perk'`,
		"open checkouts with a capacity":    `INSERT INTO sale_stocks (sale_id, kind, position, name, capacity) VALUES ('gophercon', 'checkouts', 0, 'open checkouts', 1)`,
		"a second quota":                    `INSERT INTO sale_stocks (sale_id, kind, position, name) VALUES ('gophercon', 'quota', 1, 'more')`,
		"an event twice":                    `INSERT INTO outbox (event, order_id, payment, payload) SELECT event, order_id, payment, payload FROM outbox`,
		"an order of an unknown sale":       `UPDATE orders SET sale_id = 'other'`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := orderstest.Exec(b.ctx, b.url, sql); err == nil {
				t.Errorf("accepted for order %s: %s", id, sql)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	b := setup(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	want := map[domain.OrderID]domain.RecordedOrder{}
	for i := range 20 {
		sold := b.sold(t, keyOf(i))
		sold.PerkTaken = random.IntN(2) == 0
		b.record(t, sold)
		status := domain.OrderPaid
		if random.IntN(2) == 0 {
			status = domain.OrderRefunding
			if _, err := b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day); err != nil {
				t.Fatal(err)
			}
		}
		want[sold.Order.ID] = domain.RecordedOrder{ID: sold.Order.ID, Status: status, Payment: sold.Capture.Payment, Session: sold.Capture.Session, PerkTaken: sold.PerkTaken, Tickets: map[string]int64{"A": 2, "B": 1},
			AmountMinor: sold.Capture.AmountMinor, Currency: sold.Capture.Currency, LinesMinor: sold.Order.AmountMinor}
	}
	got := map[domain.OrderID]domain.RecordedOrder{}
	for o, err := range b.store.RecordedOrders(b.ctx, b.sale.ID) {
		if err != nil {
			t.Fatal(err)
		}
		got[o.ID] = o
	}
	wantEqual(t, "RecordedOrders", got, want)

	refunds := 0
	for r, err := range b.store.RecordedRefunds(b.ctx, b.sale.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if want[r.Capture.Order].Status != domain.OrderRefunding {
			t.Errorf("a refund of order %s, which is %s", r.Capture.Order, want[r.Capture.Order].Status)
		}
		refunds++
	}
	if n := b.count(t, `SELECT count(*) FROM refunds`); refunds != n {
		t.Errorf("%d refunds streamed, %d stored", refunds, n)
	}

	recorded, err := b.store.RecordedPayments(b.ctx, []string{"pay_" + keyOf(0), "pay_unheard_of"})
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "RecordedPayments", recorded, map[string]bool{"pay_" + keyOf(0): true})

	counts, err := b.store.EventCounts(b.ctx, b.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	begun := int64(b.count(t, `SELECT count(*) FROM refunds WHERE bought = 'tickets'`))
	wantEqual(t, "EventCounts", counts, []domain.EventCount{
		{Event: domain.EventOrderPaid, Events: 20, Rows: 20}, {Event: domain.EventOrderRefundBegun, Events: begun, Rows: begun},
		{Event: domain.EventOrderRefunded}, {Event: domain.EventPaymentRefunded},
	})
}

func TestStreamsOverSeveralPages(t *testing.T) {
	b := setup(t)
	const refunds = 2500
	err := orderstest.Exec(b.ctx, b.url, `
		WITH p AS (
			INSERT INTO payments (id, order_id, session, amount_minor, currency, bought)
			SELECT 'pay_' || n, md5(n::text)::uuid, 'ps', 1, 'EUR', 'nothing' FROM generate_series(1, $1::integer) n RETURNING *)
		INSERT INTO refunds (payment, order_id, bought, reason, requested_at) SELECT id, order_id, bought, 'none_left', now() FROM p`, refunds)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for r, err := range b.store.RecordedRefunds(b.ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Capture.Payment] = true
	}
	if len(seen) != refunds {
		t.Errorf("%d refunds, want %d", len(seen), refunds)
	}
}

func TestNoServerListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	store, err := orders.Open(t.Context(), "postgres://user:hunter2@"+address+"/db", orders.Options{})
	if err != nil {
		t.Fatalf("Open connects on first use: %v", err)
	}
	defer store.Close()
	err = store.MarkSaleOpen(t.Context(), "gophercon")
	if err == nil || domain.IsUnknown(err) {
		t.Errorf("error %v, want one that says that nothing was written", err)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestNoAnswerToAWriteIsUnknown(t *testing.T) {
	b := setup(t)
	gate := newGate(t, b.url)
	store := orderstest.Open(t, gate.url)
	// The first order prepares the statement, so the only answer to the second that can get lost
	// is the commit's.
	first, sold := b.sold(t, keyOf(0)), b.sold(t, keyOf(1))
	if _, err := store.Record(b.ctx, first, b.codes(first.Order.ID)); err != nil {
		t.Fatal(err)
	}
	gate.swallowAnswers()
	_, err := store.Record(b.ctx, sold, b.codes(sold.Order.ID))
	if !domain.IsUnknown(err) {
		t.Fatalf("error %v, want *domain.UnknownError", err)
	}
	if strings.Contains(err.Error(), sold.Order.Email) {
		t.Errorf("the error names the buyer: %v", err)
	}
	committed, err := b.store.Order(b.ctx, sold.Order.ID)
	if err != nil {
		t.Fatalf("the order whose answer was lost: %v, want it committed", err)
	}
	wantEqual(t, "the repeat", b.record(t, sold), committed)
	if n := b.count(t, `SELECT count(*) FROM outbox WHERE event = 'order.paid'`); n != 2 {
		t.Errorf("%d events, want one an order", n)
	}
}
