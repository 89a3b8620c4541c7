package orders_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"

	"github.com/jackc/pgx/v5"
)

// found names every table in which a text stands anywhere, in whatever column.
func (b *bundle) found(t *testing.T, text string) (tables []string) {
	t.Helper()
	conn := b.connect(t)
	rows, err := conn.Query(b.ctx, `SELECT table_name FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name COLLATE "C"`)
	all := must(pgx.CollectRows(rows, pgx.RowTo[string]))
	if err != nil || len(all) < 10 {
		t.Fatalf("tables %v, %v", all, err)
	}
	for _, table := range all {
		var n int
		err := conn.QueryRow(b.ctx, fmt.Sprintf(`SELECT count(*) FROM %s row WHERE strpos(lower(row::text), lower($1)) > 0`, pgx.Identifier{table}.Sanitize()), text).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			tables = append(tables, table)
		}
	}
	return tables
}

const (
	annsAddress = "ann.buyer@example.com"
	annsName    = "Ann Elliot-Buyer"
)

// ofAnn has something of Ann wherever it can stand.
func (b *bundle) ofAnn(t *testing.T) domain.SoldOrder {
	t.Helper()
	order := must(domain.NewOrder(b.sale, b.keys, "ann-0123456789abcdef", []domain.Item{{Class: "A", Quantity: 2}}, annsAddress))
	if err := order.Note(b.keys, domain.Metadata{"name": annsName}); err != nil {
		t.Fatal(err)
	}
	b.webhook(t)
	ann := b.record(t, b.paid(order, "ann"))
	if _, err := b.connect(t).Exec(b.ctx, `UPDATE tickets SET holder = $1 WHERE code = $2`, annsName, ann.Tickets[0].Code); err != nil {
		t.Fatal(err)
	}
	b.record(t, b.sold(t, "somebody-else-0123456789"))
	events := b.awaitEvents(t, domain.EventCursor{}, 3)
	must(b.store.QueueWebhooks(b.ctx, events))
	for _, e := range events {
		if e.Order != ann.ID {
			continue
		}
		b.recordWebhook(t, &orders.WebhookResult{Event: e.ID, State: domain.WebhookPending, Failures: 1, Attempt: domain.WebhookAttempt{
			At: day, Status: 500, Error: "it answered 500 to " + annsName, Answer: "no such customer: " + annsAddress,
		}})
		for _, kind := range []domain.MailKind{domain.MailTickets, domain.MailRefundBegun} {
			if err := b.store.QueueMails(b.ctx, []domain.Mail{{ID: e.ID.String() + "-" + string(kind), Kind: kind, Order: ann.ID}}); err != nil {
				t.Fatal(err)
			}
		}
		conn := b.connect(t)
		for _, sql := range []string{
			`UPDATE mails SET state = 'set_aside', settled_at = now(), reason = '550 ` + annsAddress + ` is unknown' WHERE kind = 'refund_begun'`,
			`INSERT INTO event_cursors (reader, shard, transaction_id, id) VALUES ('crm', 0, '0', 0)`,
			`INSERT INTO events_set_aside (reader, shard, transaction_id, id, subject, event, error, tries)
			 VALUES ('crm', 0, '1', 1, '` + ann.ID.String() + `', 'order.paid', 'crm: ` + annsAddress + ` exists twice', 5)`,
		} {
			if _, err := conn.Exec(b.ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.store.AskForOrders(b.ctx, "ask_ann", annsAddress, "en"); err != nil {
		t.Fatal(err)
	}
	return ann
}

// Whatever the database has of a buyer is gone, and what counts, is owed or lets somebody in is
// as before. A column that somebody adds and forgets here shows up by itself, if ofAnn fills it.
func TestNothingOfABuyerIsLeft(t *testing.T) {
	b := setup(t)
	ann := b.ofAnn(t)
	wantEqual(t, "where the address stands", b.found(t, annsAddress), []string{"events_set_aside", "mails", "orders", "webhook_deliveries"})
	wantEqual(t, "where the name stands", b.found(t, annsName), []string{"orders", "outbox", "tickets", "webhook_deliveries"})
	figures := func() (all []any) {
		for o, err := range b.store.RecordedOrders(b.ctx, b.sale.ID) {
			all = append(all, o, err)
		}
		order := must(b.store.Order(b.ctx, ann.ID))
		counts := must(b.store.EventCounts(b.ctx, b.sale.ID))
		for i := range order.Tickets {
			order.Tickets[i].Holder = "" // hers
		}
		return append(all, order.Tickets, order.Buyer, order.Capture, counts)
	}
	before, toldBefore := figures(), must(b.store.EventsAfter(b.ctx, domain.EventCursor{}, 100))

	sold := must(b.store.OrdersOfBuyer(b.ctx, annsAddress, nil))
	wantEqual(t, "her orders", sold, []domain.BuyersOrder{{ID: ann.ID, Status: domain.OrderPaid, Email: annsAddress}})
	for range 2 { // repeated it changes nothing, and tells nobody twice
		if err := b.store.EraseBuyer(b.ctx, []domain.OrderID{ann.ID}, []string{annsAddress}); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{annsAddress, annsName, "Elliot"} {
		if tables := b.found(t, text); len(tables) != 0 {
			t.Errorf("%q still stands in %v", text, tables)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE log -> 0 ->> 'status' = '500' AND log -> 0 ->> 'error' <> ''`); n != 1 {
		t.Error("that the attempt failed is lost, too")
	}
	wantEqual(t, "the figures", figures(), before)
	if erased := must(b.store.Order(b.ctx, ann.ID)); erased.Email != "" || len(erased.Metadata) != 0 || erased.ErasedAt.IsZero() {
		t.Errorf("her order %+v, want it without her", erased)
	}
	if other := must(b.store.FindOrders(b.ctx, domain.OrderFilter{Limit: 10, Email: "somebody-else-0123456789@example.com"})); len(other) != 1 {
		t.Error("somebody else's order was erased too")
	}
	if due := b.claimMails(t, false); len(due) != 0 {
		t.Errorf("%+v are still due to her", due)
	}

	// Who reads the log from the beginning reads what others read, without what was hers.
	told := b.awaitEvents(t, domain.EventCursor{}, len(toldBefore)+1)
	last := told[len(told)-1]
	if len(told) != len(toldBefore)+1 || last.Type != domain.EventBuyerErased || last.Order != ann.ID || last.SaleID != b.sale.ID {
		t.Fatalf("%d events, the last %+v, want one more: that she was erased", len(told), last)
	}
	if _, err := last.Data(); err != nil {
		t.Error(err)
	}
	for i, was := range toldBefore {
		var payload map[string]any
		if err := json.Unmarshal(was.Payload, &payload); err != nil {
			t.Fatal(err)
		}
		if was.Order == ann.ID {
			delete(payload, "metadata")
		}
		var is map[string]any
		if err := json.Unmarshal(told[i].Payload, &is); err != nil {
			t.Fatal(err)
		}
		was.Payload, told[i].Payload = nil, nil
		wantEqual(t, fmt.Sprintf("event %d", i), told[i], was)
		wantEqual(t, fmt.Sprintf("its payload %d", i), is, payload)
	}
}

// Nobody is erased whose money is on its way back: who would tell them?
func TestABuyerWhoseMoneyIsOwedIsNotErased(t *testing.T) {
	b := setup(t)
	ann := b.ofAnn(t)
	erase := func() error { return b.store.EraseBuyer(b.ctx, []domain.OrderID{ann.ID}, []string{annsAddress}) }

	second := domain.Refund{
		Capture: domain.Capture{Payment: "pay_second", Session: "ps", Order: ann.ID, AmountMinor: 1, Currency: "EUR"},
		SaleID:  b.sale.ID, Reason: domain.RefundSecondCapture, RequestedAt: day,
	}
	must(b.store.BeginRefund(b.ctx, second))
	wantCode(t, erase(), domain.CodeNotSettled)
	if err := b.store.FinishRefund(b.ctx, "pay_second", day); err != nil {
		t.Fatal(err)
	}
	must(b.store.BeginOrderRefund(b.ctx, ann.ID, domain.RefundByOrganiser, day))
	err := erase()
	wantCode(t, err, domain.CodeNotSettled)
	if !strings.Contains(err.Error(), ann.ID.String()) || strings.Contains(err.Error(), "ann") {
		t.Errorf("%v, want it to name the order and not the buyer", err)
	}
	if tables := b.found(t, annsName); !slices.Contains(tables, "orders") {
		t.Error("something was erased")
	}
	if err := b.store.FinishRefund(b.ctx, ann.Capture.Payment, day.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := erase(); err != nil {
		t.Fatal(err)
	}
	payments := must(b.store.PaymentsOfOrders(b.ctx, []domain.OrderID{ann.ID}))[ann.ID]
	slices.Sort(payments)
	wantEqual(t, "her payments", payments, []string{"pay_ann", "pay_second"})
}
