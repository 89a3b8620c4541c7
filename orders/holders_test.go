package orders_test

import (
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// asks makes the sale ask who its tickets are for.
func (b *bundle) asks(t *testing.T, names domain.HolderNames) {
	t.Helper()
	must(b.saleSays(t, nil, func(e *domain.Editable) { e.Facts.HolderNames = names }))
}

func (b *bundle) names(order domain.OrderID, holders ...domain.Holder) (domain.SoldOrder, error) {
	return b.store.ChangeHolders(b.ctx, domain.HoldersChange{Order: order, Holders: holders})
}

func TestHoldersAreStored(t *testing.T) {
	b := setup(t)
	order := b.record(t, b.sold(t, "holders-0123456789"))
	other := b.record(t, b.sold(t, "another-0123456789"))
	ann, ben := domain.Holder{Ticket: 1, Name: "Ann"}, domain.Holder{Ticket: 3, Name: "김민준"}

	_, err := b.names(order.ID, ann)
	wantCode(t, err, domain.CodeHoldersFixed) // the sale does not ask
	b.asks(t, domain.HolderNames{Asked: true})
	changed := must(b.names(order.ID, ann, ben))
	wantEqual(t, "the order", changed, must(b.store.Order(b.ctx, order.ID)))
	holdersOf := func(id domain.OrderID) (names []string) {
		for _, ticket := range must(b.store.Order(b.ctx, id)).Tickets {
			names = append(names, ticket.Holder)
		}
		return names
	}
	wantEqual(t, "holders", holdersOf(order.ID), []string{"Ann", "", "김민준"})
	wantEqual(t, "another order's", holdersOf(other.ID), []string{"", "", ""})

	must(b.names(order.ID, ann, ben)) // repeated: nothing to tell
	must(b.names(order.ID, domain.Holder{Ticket: 1}))
	wantEqual(t, "nobody in particular", holdersOf(order.ID), []string{"", "", "김민준"})
	var told [][]int
	for _, e := range b.awaitEvents(t, domain.EventCursor{}, 6) { // created, changed, paid twice, and the two changes
		if e.Type != domain.EventHoldersChanged {
			continue
		}
		data, err := e.Data()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(e.Payload), "Ann") || strings.Contains(string(e.Payload), "김민준") {
			t.Errorf("the event says %s", e.Payload)
		}
		wantEqual(t, "the order of the event", data.(*domain.HoldersChangedData).Order, order.ID)
		told = append(told, data.(*domain.HoldersChangedData).Tickets)
	}
	wantEqual(t, "told", told, [][]int{{1, 3}, {1}})

	_, err = b.names(order.ID, ben, domain.Holder{Ticket: 4, Name: "Eve"})
	wantCode(t, err, domain.CodeInvalid)
	_, err = b.names(domain.OrderID{1}, ann)
	wantCode(t, err, domain.CodeNotFound)
}

func TestHoldersAreFixed(t *testing.T) {
	ann := domain.Holder{Ticket: 1, Name: "Ann"}
	for name, fix := range map[string]func(t *testing.T, b *bundle, id domain.OrderID){
		"after the deadline": func(t *testing.T, b *bundle, _ domain.OrderID) {
			b.asks(t, domain.HolderNames{Asked: true, Until: day.Add(-time.Hour)})
		},
		"once the order is refunded": func(_ *testing.T, b *bundle, id domain.OrderID) {
			must(b.store.BeginOrderRefund(b.ctx, id, domain.RefundByOrganiser, day))
		},
		"once the buyer is erased": func(t *testing.T, b *bundle, id domain.OrderID) {
			if err := b.store.EraseBuyer(b.ctx, []domain.OrderID{id}, nil); err != nil {
				t.Fatal(err)
			}
		},
		"after 50 changes": func(_ *testing.T, b *bundle, id domain.OrderID) {
			for n := range domain.HolderChangesMax - 1 {
				must(b.names(id, domain.Holder{Ticket: 1, Name: strings.Repeat("x", n+1)}))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			order := b.record(t, b.sold(t, "fixed-0123456789"))
			b.asks(t, domain.HolderNames{Asked: true})
			must(b.names(order.ID, ann))
			fix(t, b, order.ID)
			_, err := b.names(order.ID, domain.Holder{Ticket: 2, Name: "Ben"}, domain.Holder{Ticket: 1, Name: "Eve"})
			wantCode(t, err, domain.CodeHoldersFixed)
			for _, ticket := range must(b.store.Order(b.ctx, order.ID)).Tickets {
				if ticket.Holder == "Eve" || ticket.Holder == "Ben" {
					t.Errorf("a change that was refused stands: %+v", ticket)
				}
			}
		})
	}
}
