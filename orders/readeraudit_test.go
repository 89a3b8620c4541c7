package orders_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// readAll has the readers mail and webhooks read what is in the log, as package notify
// does: the effects, then the cursors.
func (b *bundle) readAll(t *testing.T) (events []domain.Event) {
	t.Helper()
	names := []string{domain.ReaderMail, domain.ReaderWebhooks}
	held, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: names, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	events = must(b.store.EventsAfter(b.ctx, held[0].Cursor, 100))
	if len(events) == 0 {
		t.Fatal("there is nothing to read")
	}
	var mails []domain.Mail
	for _, e := range events {
		if kind, is := domain.MailKinds()[e.Type]; is {
			mails = append(mails, domain.Mail{ID: e.ID.String(), Kind: kind, Order: e.Order})
		}
	}
	if err := b.store.QueueMails(b.ctx, mails); err != nil {
		t.Fatal(err)
	}
	must(b.store.QueueWebhooks(b.ctx, events))
	for _, h := range held {
		move := orders.ShardMove{Shard: h.Shard, Lease: h.Lease, From: h.Cursor, Cursor: events[len(events)-1].Cursor}
		must(b.store.MoveShards(b.ctx, "n", h.Reader, orders.ReaderStep{Moves: []orders.ShardMove{move}}))
	}
	return events
}

// readersAt adds the readers, and an endpoint, and sells and refunds an order that they
// read: two events that call for a mail each.
func (b *bundle) readersAt(t *testing.T) domain.Sold {
	t.Helper()
	b.record(t, b.sold(t, keyOf(1))) // nobody owes anything for it
	b.awaitAll(t)
	for _, reader := range []string{domain.ReaderMail, domain.ReaderWebhooks} {
		if err := b.store.AddReader(b.ctx, reader, true); err != nil {
			t.Fatal(err)
		}
	}
	b.webhook(t)
	sold := b.sold(t, keyOf(2))
	b.record(t, sold)
	must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, domain.RefundByOrganiser, day))
	b.awaitAll(t)
	b.readAll(t)
	return sold
}

func readerCounts(t *testing.T, b *bundle, saleID string) map[string]domain.ReaderCount {
	t.Helper()
	found := map[string]domain.ReaderCount{}
	for _, c := range must(b.store.ReaderCounts(b.ctx, saleID)) {
		found[c.Reader] = c
	}
	return found
}

func TestReaderCountsOfReadersThatMissNothing(t *testing.T) {
	b := setup(t)
	b.readersAt(t)
	ofSale := readerCounts(t, b, b.sale.ID)
	wantEqual(t, "mail", ofSale[domain.ReaderMail], domain.ReaderCount{Reader: "mail", Owed: 2, Done: 2})
	wantEqual(t, "webhooks", ofSale[domain.ReaderWebhooks], domain.ReaderCount{Reader: "webhooks", Owed: 2, Done: 2})
	ofNone := readerCounts(t, b, "")
	wantEqual(t, "positions", ofNone[""], domain.ReaderCount{Owed: 2 * domain.EventShards, Done: 2 * domain.EventShards})
}

// What is still to be read, or was set aside, is owed by nobody yet.
func TestReaderCountsLeaveOutWhatIsToCome(t *testing.T) {
	b := setup(t)
	b.readersAt(t)
	later := b.sold(t, keyOf(3))
	b.record(t, later)
	all := b.awaitAll(t)
	event := all[len(all)-1]
	if got := readerCounts(t, b, b.sale.ID)[domain.ReaderMail]; got.Owed != 2 || got.Done != 2 {
		t.Errorf("with one to be read: %+v", got)
	}
	held, _, err := b.store.LeaseShards(b.ctx, orders.Leasing{Node: "n", Readers: []string{domain.ReaderMail}, For: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held {
		step := orders.ReaderStep{Moves: []orders.ShardMove{{Shard: h.Shard, Lease: h.Lease, From: h.Cursor, Cursor: event.Cursor}}}
		if h.Shard == 0 {
			step.Put = []orders.AsideEvent{{Shard: 0, Cursor: event.Cursor, Subject: event.Subject(), Type: event.Type, Error: "x", Tries: 5, RetryIn: -1}}
		}
		must(b.store.MoveShards(b.ctx, "n", domain.ReaderMail, step))
	}
	if got := readerCounts(t, b, b.sale.ID)[domain.ReaderMail]; got.Owed != 2 || got.Done != 2 {
		t.Errorf("with one that is set aside: %+v", got)
	}
	places := readerCounts(t, b, "")[""]
	if places.Owed != 2*domain.EventShards+1 || places.Owed != places.Done {
		t.Errorf("positions: %+v", places)
	}
}

// An endpoint owes nothing for the time in which it wanted something else.
func TestReaderCountsOfAnEndpointThatChanged(t *testing.T) {
	for name, change := range map[string]domain.WebhookChange{
		"other types":      {Types: &[]domain.EventType{domain.EventOrderPaid, domain.EventOrderRefundBegun}},
		"off and on again": {Enabled: new(bool)},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.readersAt(t)
			must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Types: &[]domain.EventType{domain.EventSaleCanceled}}))
			b.record(t, b.sold(t, keyOf(4)))
			b.awaitAll(t)
			b.readAll(t)
			must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, change))
			if change.Enabled != nil {
				on := true
				must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Enabled: &on, Types: &[]domain.EventType{}}))
			}
			if got := readerCounts(t, b, b.sale.ID)[domain.ReaderWebhooks]; got.Owed != got.Done || len(got.Faults) > 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestReaderCountsNameWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		sql    string
		reader string // "": positions
		what   string
	}{
		"a mail is lost":            {`DELETE FROM mails WHERE kind = 'tickets'`, "mail", "no mail was queued"},
		"a mail is another":         {`UPDATE mails SET kind = 'refunded' WHERE kind = 'tickets'`, "mail", "its mail is another: refunded"},
		"a mail is doubled":         {`INSERT INTO mails (id, kind, order_id) SELECT 'evt_other', kind, order_id FROM mails WHERE kind = 'tickets'`, "mail", "2 mails of this kind"},
		"a delivery is lost":        {`DELETE FROM webhook_deliveries WHERE type = 'order.paid'`, "webhooks", "not queued for the endpoint"},
		"a delivery is another":     {`UPDATE webhook_deliveries SET event = 'evt_other' WHERE type = 'order.paid'`, "webhooks", "queued as another event: evt_other"},
		"a delivery cannot be sent": {`UPDATE webhook_deliveries SET transaction_id = '1' WHERE type = 'order.paid'`, "webhooks", "never sent"},
		"a cursor ran ahead":        {`UPDATE event_cursors SET transaction_id = '999999999' WHERE reader = 'mail' AND shard = 3`, "", "ahead of the log"},
		"an event set aside is gone": {`INSERT INTO events_set_aside (reader, shard, transaction_id, id, subject, event, error, tries)
			VALUES ('mail', 3, '1', 1, 's', 'order.paid', 'x', 5)`, "", "not in the log"},
		"an event set aside comes again": {`INSERT INTO events_set_aside (reader, shard, transaction_id, id, subject, event, error, tries)
			SELECT 'mail', 3, transaction_id, id, 's', event, 'x', 5 FROM outbox ORDER BY id DESC LIMIT 1;
			UPDATE event_cursors SET transaction_id = '1' WHERE reader = 'mail' AND shard = 3`, "", "still to be read"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			sold := b.readersAt(t)
			if err := orderstest.Exec(b.ctx, b.url, tc.sql); err != nil {
				t.Fatal(err)
			}
			sale := b.sale.ID
			if tc.reader == "" {
				sale = ""
			}
			got := readerCounts(t, b, sale)[tc.reader]
			if got.Owed-got.Done != 1 || len(got.Faults) != 1 || !strings.Contains(got.Faults[0].What, tc.what) {
				t.Fatalf("%+v, want one fault: %s", got, tc.what)
			}
			if tc.reader != "" && (got.Faults[0].Order != sold.Order.ID || !strings.HasPrefix(got.Faults[0].ID, "evt_")) {
				t.Errorf("the fault is about %+v, want the event and the order %s", got.Faults[0], sold.Order.ID)
			}
			others := readerCounts(t, b, sale)
			delete(others, tc.reader)
			for reader, c := range others {
				if c.Owed != c.Done && !slices.Contains([]string{"", "mail"}, tc.reader) {
					t.Errorf("%s has faults too: %+v", reader, c)
				}
			}
		})
	}
}
