package orders_test

import (
	"testing"
	"time"

	"boxoffice/domain"
)

func (b *bundle) claimMails(t *testing.T, asked bool) []domain.Mail {
	t.Helper()
	return must(b.store.ClaimMails(b.ctx, asked, 10, time.Hour))
}

func (b *bundle) settleMail(t *testing.T, o domain.MailOutcome) {
	t.Helper()
	if err := b.store.SettleMails(b.ctx, []domain.MailOutcome{o}); err != nil {
		t.Fatal(err)
	}
}

// One sender at a time has a mail. It is due again when that sender has vanished, and not once
// it was sent, however often its event comes.
func TestAMailIsSentOnce(t *testing.T) {
	b := setup(t)
	mail := domain.Mail{ID: "evt_1", Kind: domain.MailTickets, Order: domain.OrderID{1}}
	queue := func() {
		t.Helper()
		if err := b.store.QueueMails(b.ctx, []domain.Mail{mail, {ID: "evt_2", Kind: domain.MailRefunded, Order: domain.OrderID{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	queue()
	queue()
	claimed := b.claimMails(t, false)
	if len(claimed) != 2 || claimed[0].Order != mail.Order || claimed[0].Attempts != 1 || claimed[0].QueuedAt.IsZero() {
		t.Fatalf("claimed %+v, want both", claimed)
	}
	if again := b.claimMails(t, false); len(again) != 0 {
		t.Fatalf("claimed %+v a second time", again)
	}
	// The first failed because of the relay, the second was sent.
	b.settleMail(t, domain.MailOutcome{ID: "evt_1", State: domain.MailDue, Reason: "the relay is down"})
	b.settleMail(t, domain.MailOutcome{ID: "evt_2", State: domain.MailSent})
	queue()
	claimed = b.claimMails(t, false)
	if len(claimed) != 1 || claimed[0].ID != "evt_1" || claimed[0].Attempts != 1 {
		t.Fatalf("claimed %+v, want the first, at its first attempt", claimed)
	}
	b.settleMail(t, domain.MailOutcome{ID: "evt_1", State: domain.MailDue, Failed: true, Again: time.Hour})
	if again := b.claimMails(t, false); len(again) != 0 {
		t.Fatalf("claimed %+v before its time", again)
	}
	counts := must(b.store.MailCounts(b.ctx))
	if counts.Due != 1 || counts.SetAside != 0 || counts.Oldest.IsZero() {
		t.Errorf("counts %+v, want one due", counts)
	}
	// Settling a mail that another sender has settled changes nothing.
	b.settleMail(t, domain.MailOutcome{ID: "evt_2", State: domain.MailDue})
	if n := b.count(t, `SELECT count(*) FROM mails WHERE id = 'evt_2' AND state = 'sent'`); n != 1 {
		t.Error("a mail that was sent is due again")
	}
}

func TestSetAsideMailsAreListedAndRetried(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"evt_B", "evt_a", "evt_c"} {
		if err := b.store.QueueMails(b.ctx, []domain.Mail{{ID: id, Kind: domain.MailTickets, Order: domain.OrderID{1}}}); err != nil {
			t.Fatal(err)
		}
	}
	b.claimMails(t, false)
	for _, id := range []string{"evt_B", "evt_a"} {
		b.settleMail(t, domain.MailOutcome{ID: id, State: domain.MailSetAside, Failed: true, Reason: "550 user unknown"})
	}
	page := must(b.store.SetAsideMails(b.ctx, "", 1))
	if len(page) != 1 || page[0].ID != "evt_B" || page[0].Reason != "550 user unknown" || page[0].SetAsideAt.IsZero() {
		t.Fatalf("page %+v", page)
	}
	page = must(b.store.SetAsideMails(b.ctx, page[0].ID, 10))
	if len(page) != 1 || page[0].ID != "evt_a" {
		t.Fatalf("next page %+v", page)
	}
	if counts := must(b.store.MailCounts(b.ctx)); counts.Due != 1 || counts.SetAside != 2 {
		t.Errorf("counts %+v", counts)
	}
	if err := b.store.RetryMail(b.ctx, "evt_a"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.store.RetryMail(b.ctx, "evt_a"), domain.CodeNotFound)
	wantCode(t, b.store.RetryMail(b.ctx, "evt_c"), domain.CodeNotFound)
	claimed := b.claimMails(t, false)
	if len(claimed) != 1 || claimed[0].ID != "evt_a" || claimed[0].Attempts != 1 {
		t.Errorf("claimed %+v", claimed)
	}
}

// Each id sends one mail. The address stays in the database until the mail is settled, and is
// then forgotten.
func TestMailsThatSomebodyAskedFor(t *testing.T) {
	b := setup(t)
	for range 2 {
		if err := b.store.AskForOrders(b.ctx, "ask_1", "ann@example.com", "de, en;q=0.5"); err != nil {
			t.Fatal(err)
		}
	}
	if claimed := b.claimMails(t, false); len(claimed) != 0 {
		t.Fatalf("%+v is among the mails about orders", claimed)
	}
	claimed := b.claimMails(t, true)
	if len(claimed) != 1 || claimed[0].Address != "ann@example.com" || claimed[0].Languages != "de, en;q=0.5" || claimed[0].Kind != domain.MailOrders {
		t.Fatalf("claimed %+v", claimed)
	}
	b.settleMail(t, domain.MailOutcome{ID: "ask_1", State: domain.MailSent})
	if n := b.count(t, `SELECT count(*) FROM mails WHERE asked_by IS NOT NULL`); n != 0 {
		t.Error("the address is still there")
	}
	if err := b.store.AskForOrders(b.ctx, "ask_1", "ann@example.com", ""); err != nil {
		t.Fatal(err)
	}
	if claimed := b.claimMails(t, true); len(claimed) != 0 {
		t.Errorf("claimed %+v within the same hour", claimed)
	}
	if err := b.store.ForgetAskedMails(b.ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM mails`); n != 1 {
		t.Error("it was forgotten within the hour, and can be asked for again")
	}
	if err := b.store.ForgetAskedMails(b.ctx, 0); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM mails`); n != 0 {
		t.Errorf("%d mails are left", n)
	}
}

func TestAskedMailsAreBounded(t *testing.T) {
	b := setup(t)
	b.count(t, `WITH many AS (INSERT INTO mails (id, kind, asked_by) SELECT 'ask_' || n, 'orders', 'a@example.com' FROM generate_series(1, 10000) n RETURNING 1) SELECT count(*) FROM many`)
	wantCode(t, b.store.AskForOrders(b.ctx, "ask_new", "ann@example.com", ""), domain.CodeRateLimited)
}

func TestOrdersOfAddresses(t *testing.T) {
	b := setup(t)
	items := []domain.Item{{Class: "A", Quantity: 1}}
	for i := range 3 {
		order := must(domain.NewOrder(b.sale, b.keys, keyOf(i), items, "ann@example.com"))
		b.record(t, b.paid(order, keyOf(i)))
	}
	bob := b.record(t, b.sold(t, "bob"))
	found := must(b.store.OrdersOfAddresses(b.ctx, []string{"ann@example.com", "bob@example.com", "eve@example.com"}, 2))
	if len(found) != 2 || len(found["ann@example.com"]) != 2 || len(found["bob@example.com"]) != 1 || found["bob@example.com"][0].ID != bob.ID {
		t.Fatalf("found %+v", found)
	}
	newest := found["ann@example.com"]
	if newest[0].ID.String() < newest[1].ID.String() {
		t.Error("not the newest first")
	}
	if none := must(b.store.OrdersOfAddresses(b.ctx, []string{"eve@example.com"}, 2)); len(none) != 0 {
		t.Errorf("found %+v", none)
	}
}

// What became of an order's mails can be looked up, and which were tried in vain.
func TestMailsOfAnOrder(t *testing.T) {
	b := setup(t)
	order, other := b.record(t, b.sold(t, "ann")).ID, b.record(t, b.sold(t, "bob")).ID
	mail := func(id string, order domain.OrderID) domain.Mail {
		return domain.Mail{ID: id, Kind: domain.MailTickets, Order: order}
	}
	must(struct{}{}, b.store.QueueMails(b.ctx, []domain.Mail{mail("evt_1", order), mail("evt_2", order), mail("evt_3", other)}))
	b.claimMails(t, false)
	b.settleMail(t, domain.MailOutcome{ID: "evt_1", State: domain.MailDue, Failed: true, Again: time.Hour, Reason: "450 later"})
	b.settleMail(t, domain.MailOutcome{ID: "evt_2", State: domain.MailSetAside, Failed: true, Reason: "550 no"})
	mails := must(b.store.MailsOfOrder(b.ctx, order))
	if len(mails) != 2 || mails[0].State != domain.MailDue || mails[0].Reason != "450 later" || time.Until(mails[0].DueAt) < time.Minute ||
		mails[1].State != domain.MailSetAside || mails[1].Order != order || mails[1].SettledAt.IsZero() {
		t.Errorf("%+v, want one that waits and one that is set aside", mails)
	}
	if delayed := must(b.store.DelayedMails(b.ctx, 10)); len(delayed) != 1 || delayed[0].ID != "evt_1" {
		t.Errorf("delayed %+v, want the one that the relay takes later", delayed)
	}
}
