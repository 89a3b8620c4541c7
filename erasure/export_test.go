package erasure_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"boxoffice/domain"
	"boxoffice/erasure"
)

// kept is a world whose records can be read.
type kept struct {
	*world
	atOnce int // the most records of one reading
}

func (k *kept) Kept(_ context.Context, ids []domain.OrderID) ([]domain.BuyersRecord, error) {
	k.atOnce = max(k.atOnce, len(ids))
	var records []domain.BuyersRecord
	for _, id := range ids {
		r := domain.BuyersRecord{ID: id}
		if o, ok := k.sold[id]; ok {
			r.Sold = &domain.SoldOrder{ID: id, Email: o.Email}
		}
		records = append(records, r)
	}
	return records, k.call(func() {})
}

func (k *kept) AskedMails(_ context.Context, addresses []string) (asked []domain.AskedMail, err error) {
	for _, address := range k.asked {
		if slices.Contains(addresses, address) {
			asked = append(asked, domain.AskedMail{State: domain.MailDue})
		}
	}
	return asked, k.call(func() {})
}

func (k *kept) Remember(_ context.Context, id domain.OrderID, _ []string) (r domain.RememberedOrder, err error) {
	if open, ok := k.temporal[id]; ok {
		r = domain.RememberedOrder{Open: open}
		if !open {
			r.Order = &domain.Order{ID: id, Email: ann}
		}
	}
	return r, k.call(func() {})
}

// An export has every order of a mailbox, sold or not, and nobody else's. It fails when a source does, at whatever call.
func TestAnExportHasEverythingOfABuyer(t *testing.T) {
	for failAt := 0; ; failAt++ {
		w, e := setup(t)
		delete(w.temporal, number(1)) // its retention is over
		k := &kept{world: w}
		k.failAt = failAt
		exporter := &erasure.Exporter{Orders: k, Ledger: k, Temporal: k, Keys: e.Keys}
		var records []*domain.BuyersRecord
		asked, err := exporter.Export(t.Context(), ann, func(r *domain.BuyersRecord) error {
			records = append(records, r)
			return nil
		})
		if failAt > 0 && failAt <= k.calls {
			if !errors.Is(err, errAway) {
				t.Fatalf("call %d fails: %v", failAt, err)
			}
			continue
		}
		if err != nil || len(asked) != 1 || len(records) != 3 {
			t.Fatalf("%d records, %d mails, %v, want 3 and 1", len(records), len(asked), err)
		}
		if first, second, third := records[0], records[1], records[2]; first.ID != number(1) || first.Sold == nil || first.Placed != nil ||
			second.ID != number(2) || second.Sold.Email != annsAlias || second.Placed == nil || third.ID != number(3) || third.Sold != nil || third.Placed.Order.Email != ann {
			t.Fatalf("%+v %+v %+v", first, second, third)
		}
		if failAt > 0 {
			return
		}
	}
}

// However many orders a buyer has, few are in memory, and who reads no more ends it.
func TestAnExportIsRead(t *testing.T) {
	w, e := setup(t)
	buyer := e.Keys.BuyerID("apart", ann)
	for i := range 500 {
		w.placed[buyer] = append(w.placed[buyer], domain.OrderID{9, byte(i >> 8), byte(i)})
	}
	k := &kept{world: w}
	exporter := &erasure.Exporter{Orders: k, Ledger: k, Temporal: k, Keys: e.Keys}
	n, gone := 0, errors.New("the reader is gone")
	if _, err := exporter.Export(t.Context(), ann, func(*domain.BuyersRecord) error { n++; return nil }); err != nil || n != 503 || k.atOnce > 50 {
		t.Errorf("%d records, at most %d at once, %v", n, k.atOnce, err)
	}
	n = 0
	_, err := exporter.Export(t.Context(), ann, func(*domain.BuyersRecord) error {
		n++
		return gone
	})
	if !errors.Is(err, gone) || n != 1 {
		t.Errorf("%d records, %v, want one and then no more", n, err)
	}
}
