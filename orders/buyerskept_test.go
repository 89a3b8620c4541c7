package orders_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// What an erasure would remove is in an export before, and gone afterwards.
func TestAnExportHasAllThatAnErasureRemoves(t *testing.T) {
	b := setup(t)
	ann := b.ofAnn(t)
	if err := b.store.AskForOrders(b.ctx, "ask_ann", annsAddress, "en"); err != nil {
		t.Fatal(err)
	}
	unsold := domain.OrderID{1, 2, 3}
	records := must(b.store.Kept(b.ctx, []domain.OrderID{ann.ID, unsold}))
	if len(records) != 2 || records[0].ID != unsold || records[0].Sold != nil || records[1].Sold == nil {
		t.Fatalf("%+v", records)
	}
	record := records[1]
	wantEqual(t, "the order", *record.Sold, must(b.store.Order(b.ctx, ann.ID)))
	answers, _ := json.Marshal(record.Answers)
	if !strings.Contains(string(answers), annsAddress) || !strings.Contains(string(answers), annsName) || len(record.SetAside) != 1 || !strings.Contains(record.SetAside[0], annsAddress) {
		t.Errorf("answers %s, set aside %q, want what others said of Ann", answers, record.SetAside)
	}
	reasons := ""
	for _, mail := range record.Mails {
		reasons += mail.Reason
	}
	if len(record.Mails) < 2 || !strings.Contains(reasons, annsAddress) {
		t.Errorf("mails %+v", record.Mails)
	}
	wantEqual(t, "asked mails", len(must(b.store.AskedMails(b.ctx, []string{annsAddress}))), 1)

	if err := b.store.EraseBuyer(b.ctx, []domain.OrderID{ann.ID}, []string{annsAddress}); err != nil {
		t.Fatal(err)
	}
	erased := must(b.store.Kept(b.ctx, []domain.OrderID{ann.ID}))
	raw, _ := json.Marshal(erased)
	if strings.Contains(string(raw), annsAddress) || strings.Contains(string(raw), annsName) || erased[0].Sold.ErasedAt.IsZero() {
		t.Errorf("after the erasure: %s", raw)
	}
	wantEqual(t, "asked mails", len(must(b.store.AskedMails(b.ctx, []string{annsAddress}))), 0)
}

// A sale keeps its buyers for so many days after the last of its ends. Without an end it keeps them.
func TestWhenTheBuyersOfASaleAreDue(t *testing.T) {
	b := setup(t)
	ago := func(days int) time.Time { return time.Now().Add(-time.Duration(days)*24*time.Hour - time.Hour) }
	var want []domain.OrderID
	var refunding domain.OrderID
	for name, tt := range map[string]struct {
		days   int64
		change func(s *domain.Sale)
		end    bool // early, now
		due    bool
	}{
		"the event is over":               {3, func(s *domain.Sale) { s.Facts.StartsAt, s.Facts.EndsAt = ago(9), ago(3) }, false, true},
		"not for so long":                 {4, func(s *domain.Sale) { s.Facts.StartsAt, s.Facts.EndsAt = ago(9), ago(3) }, false, false},
		"no end is said, but a start":     {3, func(s *domain.Sale) { s.Facts.StartsAt = ago(3) }, false, true},
		"the window closed":               {3, func(s *domain.Sale) { s.ClosesAt = ago(3) }, false, true},
		"the window closed, no event yet": {3, func(s *domain.Sale) { s.ClosesAt, s.Facts.StartsAt = ago(9), ago(-9) }, false, false},
		"the event is over, ended now":    {3, func(s *domain.Sale) { s.Facts.StartsAt = ago(9) }, true, false},
		"nothing says when it ends":       {1, func(*domain.Sale) {}, false, false},
		"nothing says how long":           {0, func(s *domain.Sale) { s.Facts.StartsAt = ago(999) }, false, false},
	} {
		sale := definition("kept-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", ""))
		sale.BuyersKeptDays, sale.OpensAt = tt.days, ago(30)
		if tt.change(sale); !sale.Facts.StartsAt.IsZero() {
			sale.Facts.TimeZone = "Europe/Berlin"
		}
		sale.Facts = sale.Facts.Normal()
		stored := must(b.store.CreateSale(b.ctx, sale))
		if err := b.store.MarkSaleOpen(b.ctx, sale.ID); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if tt.end {
			if err := b.store.EndSale(b.ctx, sale.ID); err != nil {
				t.Fatal(err)
			}
		}
		order := must(domain.NewOrder(stored, b.keys, "key-of-"+sale.ID, []domain.Item{{Class: "A", Quantity: 1}}, "ann@example.com"))
		b.record(t, b.paid(order, sale.ID))
		if tt.due {
			want = append(want, order.ID)
			refunding = order.ID
		}
	}
	due := func() map[domain.OrderID]bool {
		found := make(map[domain.OrderID]bool)
		for after := (domain.OrderID{}); ; {
			page := must(b.store.DueBuyers(b.ctx, after, 2))
			for _, id := range page {
				found[id] = true
			}
			if len(page) < 2 {
				return found
			}
			after = page[len(page)-1]
		}
	}
	all := make(map[domain.OrderID]bool)
	for _, id := range want {
		all[id] = true
	}
	wantEqual(t, "due", due(), all)
	must(b.store.BeginOrderRefund(b.ctx, refunding, domain.RefundByOrganiser, day))
	delete(all, refunding)
	wantEqual(t, "due, without the one whose money is on its way", due(), all)
	for id := range all {
		if err := b.store.EraseBuyer(b.ctx, []domain.OrderID{id}, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, "due, once erased", due(), map[domain.OrderID]bool{})
}
