package orders_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// Every event that this release writes has the payload, subject and schema version from the
// table of types, even if the database builds it.
func TestEventsMatchTheTable(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	sold.Order.Metadata = domain.Metadata{"crm": "17"}
	b.record(t, sold)
	must(b.saleSays(t, []int64{1}, func(e *domain.Editable) { e.Name, e.Facts.HolderNames.Asked = "Another name", true }))
	must(b.names(sold.Order.ID, domain.Holder{Ticket: 1, Name: "Ann"}))
	must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day))
	late := sold.Capture
	late.Payment = "pay_late"
	must(b.store.BeginRefund(b.ctx, domain.Refund{Capture: late, SaleID: b.sale.ID, Reason: domain.RefundNoneLeft, RequestedAt: day}))
	for _, payment := range []string{sold.Capture.Payment, late.Payment} {
		if err := b.store.FinishRefund(b.ctx, payment, day); err != nil {
			t.Fatal(err)
		}
	}
	disputed, lost := reversal(sold, domain.DisputeOpen), reversal(sold, domain.DisputeLost)
	must(b.store.RecordReversal(b.ctx, disputed))
	must(b.store.RecordReversal(b.ctx, lost))
	must(b.store.RecordReversal(b.ctx, reversal(sold, domain.RefundMade)))
	if err := b.store.EraseBuyer(b.ctx, []domain.OrderID{sold.Order.ID}, nil); err != nil {
		t.Fatal(err)
	}
	endings := b.store.NewEndings(domain.EventTypes())
	for _, ending := range []domain.OrderStatus{domain.OrderExpired, domain.OrderFailed, domain.OrderCanceled} {
		if err := endings.CheckoutEnded(b.ctx, &sold.Order, ending); err != nil {
			t.Fatal(err)
		}
	}
	b.tellStock(t, 5)
	b.tellStock(t, 0)
	b.tellStock(t, 1)
	for _, turn := range []func(context.Context, string) error{b.store.EndSale, b.store.ReopenSale} {
		if err := turn(b.ctx, b.sale.ID); err != nil {
			t.Fatal(err)
		}
	}
	b.raise(t)
	must(b.store.BeginCancellation(b.ctx, b.sale.ID, day))
	finding := domain.AuditFinding{AuditKey: domain.AuditKey{Invariant: "I4"}, Offenders: 1}
	for _, broken := range [][]domain.AuditFinding{{finding}, nil} {
		if _, _, err := b.store.RecordAudit(b.ctx, domain.AuditRecord{SaleID: b.sale.ID, EndedAt: day, Broken: broken}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[domain.EventType]int{}
	for _, e := range b.awaitEvents(t, domain.EventCursor{}, len(domain.EventTypes())) {
		seen[e.Type]++
		terms := e.Type.Terms()
		if e.Schema != terms.Schema {
			t.Errorf("%s is written with schema %d, the table says %d", e.Type, e.Schema, terms.Schema)
		}
		if ofOrder := !e.Order.IsZero(); ofOrder != (terms.Subject == domain.SubjectOrder) {
			t.Errorf("%s: about order %s, but its subject is the %s", e.Type, e.Order, terms.Subject)
		}
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		// The payload has all fields of the struct and no others.
		strict := json.NewDecoder(bytes.NewReader(e.Payload))
		strict.DisallowUnknownFields()
		if err := strict.Decode(data); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
		if data.Type() != e.Type {
			t.Errorf("%s has the payload of %s", e.Type, data.Type())
		}
		var written, again map[string]any
		if err := json.Unmarshal(e.Payload, &written); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(must(json.Marshal(data)), &again); err != nil {
			t.Fatal(err)
		}
		for field := range again {
			if _, ok := written[field]; !ok {
				t.Errorf("%s lacks %s: %s", e.Type, field, e.Payload)
			}
		}
	}
	for _, kind := range domain.EventTypes() {
		if seen[kind] != 1 {
			t.Errorf("%d events %s, want 1", seen[kind], kind)
		}
	}
}

// raise gives the sale's first class one more ticket.
func (b *bundle) raise(t *testing.T) {
	t.Helper()
	class := &b.sale.Classes[0]
	change := domain.CapacityChange{
		ID: domain.NewCapacityChangeID(b.sale.ID, "one more"), SaleID: b.sale.ID, Class: class.Name, Ledger: class.Ledger, After: class.Capacity + 1, AskedAt: day,
	}
	must(b.store.BeginCapacityChange(b.ctx, change, func(context.Context, uint32) (domain.BookedCapacity, error) {
		return domain.BookedCapacity{Opened: class.Capacity}, nil
	}))
	must(b.store.SettleCapacityChange(b.ctx, change.ID, domain.CapacityChanged, day))
}

// tellStock reports this many tickets for each class of the sale.
func (b *bundle) tellStock(t *testing.T, available int64) {
	t.Helper()
	must(b.store.OpenedSales(b.ctx, 10))
	task, mine, err := b.store.HoldTask(b.ctx, "sales", "node-a", time.Minute)
	if err != nil || !mine {
		t.Fatalf("the task is not ours: %v", err)
	}
	err = b.store.TellStock(b.ctx, task, b.sale.ID, []domain.EventStock{{Class: "A", Capacity: 5, Sold: 5 - available, Available: available}})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bundle) typesOf(t *testing.T) (types []domain.EventType) {
	t.Helper()
	n := b.count(t, `SELECT count(*) FROM outbox`)
	for _, e := range b.awaitEvents(t, domain.EventCursor{}, n) {
		types = append(types, e.Type)
	}
	return types
}

// Each change of a sale has one event, however often it is reported.
func TestASalesChangesHaveOneEventEach(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	for _, available := range []int64{5, 5, 0, 0, 2, 2, 0} {
		b.tellStock(t, available)
		b.tellStock(t, available)
	}
	wantEqual(t, "told", b.typesOf(t), []domain.EventType{
		domain.EventSaleOpened, domain.EventSaleSoldOut, domain.EventSaleBackOnSale, domain.EventSaleSoldOut,
	})
	if err := b.store.MarkSaleOpen(b.ctx, b.sale.ID); err != nil {
		t.Fatal(err)
	}
	must(b.store.BeginCancellation(b.ctx, b.sale.ID, day))
	must(b.store.BeginCancellation(b.ctx, b.sale.ID, day))
	wantEqual(t, "told", b.typesOf(t)[4:], []domain.EventType{domain.EventSaleCanceled})
	wantEqual(t, "sales that sell", len(must(b.store.SellingSales(b.ctx, nil, "", 10))), 0)
}

// A sale that has closed can still sell out, and tickets that come back are not on sale.
func TestASaleThatHasClosedIsNotBackOnSale(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.tellStock(t, 5)
	b.exec(t, `UPDATE sales SET closes_at = now()`)
	b.tellStock(t, 0)
	b.tellStock(t, 2)
	wantEqual(t, "told", b.typesOf(t), []domain.EventType{domain.EventSaleOpened, domain.EventSaleSoldOut})
	b.exec(t, `UPDATE sales SET closes_at = NULL`)
	b.tellStock(t, 2)
	wantEqual(t, "told", b.typesOf(t)[2:], []domain.EventType{domain.EventSaleBackOnSale})
}

// A sale whose tickets are all held is not sold out: the next hold that expires would take that back.
func TestASaleWithHoldsIsNotSoldOut(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	b.tellStock(t, 5)
	task, _, err := b.store.HoldTask(b.ctx, "sales", "node-a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, held := range []int64{5, 1} {
		stock := []domain.EventStock{{Class: "A", Capacity: 5, Held: held, Sold: 5 - held}}
		if err := b.store.TellStock(b.ctx, task, b.sale.ID, stock); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "told", b.typesOf(t), []domain.EventType{domain.EventSaleOpened})
	b.tellStock(t, 0)
	wantEqual(t, "told", b.typesOf(t), []domain.EventType{domain.EventSaleOpened, domain.EventSaleSoldOut})
}

// A node that lost the task writes nothing, whatever the ledger told it.
func TestOneNodeAtATimeReportsTheStock(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	must(b.store.OpenedSales(b.ctx, 10))
	old, _, err := b.store.HoldTask(b.ctx, "sales", "node-a", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var task orders.Task
	eventually(t, "another takes it", func() bool {
		var mine bool
		task, mine, err = b.store.HoldTask(b.ctx, "sales", "node-b", time.Minute)
		return err == nil && mine
	})
	if _, mine, err := b.store.HoldTask(b.ctx, "sales", "node-a", time.Minute); mine || err != nil {
		t.Fatalf("both have it (%v)", err)
	}
	soldOut := []domain.EventStock{{Class: "A", Capacity: 5, Sold: 5}}
	for _, by := range []orders.Task{old, task} {
		if err := b.store.TellStock(b.ctx, by, b.sale.ID, soldOut); err != nil {
			t.Fatal(err)
		}
		told := b.count(t, `SELECT count(*) FROM outbox WHERE event = 'sale.sold_out'`)
		wantEqual(t, "told by "+by.Node, told == 1, by.Node == "node-b")
	}
}

// Old events are dropped once every reader has passed them, however many there are, and the
// audit does not count them as lost. Events that a reader set aside stay.
func TestOldEventsAreDroppedOnceEveryReaderHasPassedThem(t *testing.T) {
	b := setup(t)
	sold := b.sold(t, keyOf(1))
	b.record(t, sold)
	for n := range 3 {
		if err := orderstest.Exec(b.ctx, b.url, insertEvent, n); err != nil {
			t.Fatal(err)
		}
	}
	age := func(days int) {
		if err := orderstest.Exec(b.ctx, b.url, `UPDATE outbox SET created_at = created_at - make_interval(days => $1)`, days); err != nil {
			t.Fatal(err)
		}
	}
	left := func() int { return b.count(t, `SELECT count(*) FROM outbox`) }
	drop := func() {
		for more := true; more; {
			more = must(b.store.DropEvents(b.ctx, 24*time.Hour))
		}
	}
	b.awaitEvents(t, domain.EventCursor{}, 5)
	if err := b.store.AddReader(b.ctx, "slow", false); err != nil {
		t.Fatal(err)
	}
	drop()
	wantEqual(t, "young events", left(), 5)
	age(200)
	drop()
	wantEqual(t, "events that a reader has not read", left(), 5)
	wantEqual(t, "dropped to", must(b.store.EventPlace(b.ctx, domain.EventCursor{})).DroppedTo, domain.EventCursor{})

	held, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: []string{"slow"}, For: time.Minute})
	if err != nil || len(held) != domain.EventShards {
		t.Fatalf("%d shards are held: %v", len(held), err)
	}
	all := b.awaitEvents(t, domain.EventCursor{}, 5)
	move := func(to domain.EventCursor, put ...orders.AsideEvent) {
		step := orders.ReaderStep{Put: put}
		for i, h := range held {
			step.Moves = append(step.Moves, orders.ShardMove{Shard: h.Shard, Lease: h.Lease, From: h.Cursor, Cursor: to})
			held[i].Cursor = to
		}
		wantEqual(t, "moved", len(must(b.store.MoveShards(b.ctx, "n", "slow", step))), domain.EventShards)
	}
	move(all[2].Cursor, orders.AsideEvent{Shard: all[0].Shard(), Cursor: all[0].Cursor, Subject: all[0].Subject(), Type: all[0].Type, Error: "no", Tries: 5, RetryIn: -1})
	drop()
	wantEqual(t, "the one set aside and those not read", left(), 3)
	wantEqual(t, "dropped to", must(b.store.EventPlace(b.ctx, domain.EventCursor{})).DroppedTo, all[2].Cursor)
	wantEqual(t, "the first", must(b.store.EventsAt(b.ctx, []domain.EventCursor{all[0].Cursor}))[0], all[0])

	move(all[4].Cursor)
	if err := b.store.SkipSetAside(b.ctx, "slow", all[0].ID); err != nil {
		t.Fatal(err)
	}
	drop()
	wantEqual(t, "left", left(), 0)
	wantEqual(t, "dropped to", must(b.store.EventPlace(b.ctx, domain.EventCursor{})).DroppedTo, all[4].Cursor)
	// The order was paid before the newest dropped event was written.
	for _, c := range must(b.store.EventCounts(b.ctx, b.sale.ID)) {
		if c.Events != c.Rows {
			t.Errorf("%+v: a dropped event counts as lost", c)
		}
	}
}

// A reader that no node runs is removed. One that runs is not.
func TestRemoveReader(t *testing.T) {
	b := setup(t)
	wantCode(t, b.store.RemoveReader(b.ctx, "mail"), domain.CodeNotFound)
	if err := b.store.AddReader(b.ctx, "mail", true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: []string{"mail"}, For: time.Minute}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.store.RemoveReader(b.ctx, "mail"), domain.CodeExists)
	if err := b.store.LeaveReaders(b.ctx, "n"); err != nil {
		t.Fatal(err)
	}
	if err := b.store.RemoveReader(b.ctx, "mail"); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "readers", len(must(b.store.ReaderStates(b.ctx))), 0)
}

// Old rows, and the statement with which the previous release writes, reach readers in order,
// with ids that stay.
func TestThePreviousReleaseWritesOn(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	const until = 20 // 0021 makes it the event log
	migrations := must(orders.Migrations())
	for _, sql := range migrations[:until] {
		if err := orderstest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
		fmt.Sprintf(`INSERT INTO schema_migrations VALUES (%d)`, until),
		`INSERT INTO sales (id, name, currency, buyer_limit, hold_seconds, waiting_room, created_at, funded_at, alias_rule)
		 VALUES ('old', 'Old', 'EUR', 1, 60, false, now(), now(), DEFAULT)`,
		`INSERT INTO payments (id, order_id, session, amount_minor, currency, bought)
		 SELECT 'pay_' || n, ('019ca90e1bfb9b449613263ecc54c' || n || '00')::uuid, 's', 1, 'EUR', 'tickets' FROM generate_series(1, 2) n`,
	} {
		if err := orderstest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	const asBefore = `INSERT INTO outbox (event, sale_id, order_id, payment, payload)
		SELECT 'order.paid', 'old', order_id, id, '{"paid_at": "2026-01-01T00:00:00Z"}' FROM payments WHERE id = $1`
	if err := orderstest.Exec(t.Context(), url, asBefore, "pay_1"); err != nil {
		t.Fatal(err)
	}
	b := &bundle{ctx: t.Context(), url: url, store: orderstest.Open(t, url)}
	if err := orderstest.Exec(t.Context(), url, asBefore, "pay_2"); err != nil {
		t.Fatal(err)
	}
	events := b.awaitEvents(t, domain.EventCursor{}, 2)
	for i, e := range events {
		if _, err := e.Data(); err != nil || e.Type != domain.EventOrderPaid || e.Schema != 1 || e.Payment != fmt.Sprint("pay_", i+1) || e.ID.At().After(time.Now().Add(time.Minute)) {
			t.Errorf("event %d: %+v (%v)", i, e, err)
		}
	}
	wantEqual(t, "read again", b.awaitEvents(t, domain.EventCursor{}, 2), events)
	// A sale that opened before gets no event.
	must(b.store.OpenedSales(b.ctx, 10))
	wantEqual(t, "events", b.count(t, `SELECT count(*) FROM outbox`), 2)
}

// A dump that is restored elsewhere keeps its ids, and readers go on where they were.
func TestReadersOfARestoredDumpGoOn(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	for n := range 4 {
		if err := orderstest.Exec(b.ctx, b.url, insertEvent, n); err != nil {
			t.Fatal(err)
		}
	}
	before := b.awaitEvents(t, domain.EventCursor{}, 4)
	if err := b.store.AddReader(b.ctx, "mail", false); err != nil {
		t.Fatal(err)
	}
	held, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: []string{"mail"}, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held {
		must(b.store.MoveShards(b.ctx, "n", "mail", orders.ReaderStep{Moves: []orders.ShardMove{{Shard: h.Shard, Lease: h.Lease, From: h.Cursor, Cursor: before[1].Cursor}}}))
	}
	if err := orderstest.Exec(b.ctx, b.url, `UPDATE event_log SET dropped_transaction_id = '1000000001', dropped_id = 7`); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"outbox", "event_cursors"} {
		sql := fmt.Sprintf(`UPDATE %s SET transaction_id = (transaction_id::text::bigint + 1000000000)::text::xid8`, table)
		if err := orderstest.Exec(b.ctx, b.url, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.Migrate(b.ctx); err != nil {
		t.Fatal(err)
	}
	after := b.awaitEvents(t, domain.EventCursor{}, 4)
	for i := range after {
		wantEqual(t, "id", after[i].ID, before[i].ID)
	}
	wantEqual(t, "unread", must(b.store.ReaderStates(b.ctx))[0].LagEvents, int64(2))
	if to := must(b.store.EventPlace(b.ctx, domain.EventCursor{})).DroppedTo; to.Compare(after[0].Cursor) >= 0 || to.Transaction != after[0].Cursor.Transaction {
		t.Errorf("dropped to %v, and the first event is at %v", to, after[0].Cursor)
	}
}

// The head is the last event in reading order, and transaction ids compare as numbers: 10 comes
// after 9.
func TestEventHead(t *testing.T) {
	b := setup(t)
	b.forgetEvents(t)
	wantEqual(t, "the head of an empty log", must(b.store.EventHead(b.ctx)), domain.EventCursor{})
	for _, transaction := range []string{"10", "9"} {
		sql := `INSERT INTO outbox (event, sale_id, payload, transaction_id) VALUES ('sale.opened', 's', '{}', $1::text::xid8)`
		if err := orderstest.Exec(b.ctx, b.url, sql, transaction); err != nil {
			t.Fatal(err)
		}
	}
	events := b.awaitEvents(t, domain.EventCursor{}, 2)
	wantEqual(t, "the last", events[1].Cursor.Transaction, uint64(10))
	wantEqual(t, "the head", must(b.store.EventHead(b.ctx)), events[1].Cursor)
}

// A move is repeatable, and moves nothing that somebody else has put elsewhere.
func TestAMoveBeginsWhereTheNodeLeftTheCursor(t *testing.T) {
	b := setup(t)
	if err := b.store.AddReader(b.ctx, "r", false); err != nil {
		t.Fatal(err)
	}
	held, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: []string{"r"}, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	shard := held[0]
	at := func(id int64) domain.EventCursor { return domain.EventCursor{Transaction: 1, ID: id} }
	for _, tt := range []struct {
		name     string
		from, to domain.EventCursor
		moved    int
	}{
		{"the first move", shard.Cursor, at(5), 1},
		{"the same again, as after a lost answer", shard.Cursor, at(5), 1},
		{"from where it is not, as in a database that was put back", at(9), at(10), 0},
		{"from where it is", at(5), at(6), 1},
	} {
		step := orders.ReaderStep{Moves: []orders.ShardMove{{Shard: shard.Shard, Lease: shard.Lease, From: tt.from, Cursor: tt.to}}}
		if moved := must(b.store.MoveShards(b.ctx, "n", "r", step)); len(moved) != tt.moved {
			t.Errorf("%s: %d shards moved, want %d", tt.name, len(moved), tt.moved)
		}
	}
}

// Moving a cursor and renewing its lease at the same time loses no lease.
func TestAMoveSurvivesTheRenewalOfItsLease(t *testing.T) {
	b := setup(t)
	if err := b.store.AddReader(b.ctx, "r", false); err != nil {
		t.Fatal(err)
	}
	leasing := orders.Leasing{Node: "n", Readers: []string{"r"}, For: time.Minute}
	held, _, err := b.store.LeaseShards(b.ctx, leasing)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 200 {
			if _, _, err := b.store.LeaseShards(b.ctx, leasing); err != nil {
				t.Error(err)
			}
		}
	}()
	for n := int64(1); ; n++ {
		var step orders.ReaderStep
		to := domain.EventCursor{Transaction: 1, ID: n}
		for i, h := range held {
			step.Moves = append(step.Moves, orders.ShardMove{Shard: h.Shard, Lease: h.Lease, From: h.Cursor, Cursor: to})
			held[i].Cursor = to
		}
		moved, err := b.store.MoveShards(b.ctx, "n", "r", step)
		if err != nil || len(moved) != domain.EventShards {
			t.Fatalf("move %d: %d shards are ours (%v)", n, len(moved), err)
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}
