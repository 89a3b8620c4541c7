package orders_test

import (
	"context"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// However many public requests wait for the database, a paid order gets a connection.
func TestThePublicHasItsOwnConnections(t *testing.T) {
	store := orderstest.New(t)
	if store.Public() == store || store.Public().Public() != store.Public() {
		t.Fatal("want one other store")
	}
	release := store.Public().TakeAllConnections(t.Context(), t.Fatal)
	defer release()

	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Public().Sale(brief, "any"); err == nil || domain.CodeOf(err) == domain.CodeNotFound {
		t.Fatalf("the public still has a connection: %v", err)
	}
	if _, err := store.Sale(t.Context(), "any"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("recording has none: %v", err)
	}
	release()
	if _, err := store.Public().Sale(t.Context(), "any"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("afterwards: %v", err)
	}
	if got := store.Public().ConnectionsMax(); got != orders.PublicMaxDefault {
		t.Errorf("the public has %d connections, want %d", got, orders.PublicMaxDefault)
	}
}

// However many waiting rooms exchange, and however long each waits, a paid order gets a
// connection. And whatever the public asks, the rooms get theirs.
func TestQueuesHaveTheirOwnConnections(t *testing.T) {
	store := orderstest.New(t)
	if store.Queues() == store || store.Queues() == store.Public() || store.Queues().Queues() != store.Queues() {
		t.Fatal("want a third store")
	}
	for name, c := range map[string]struct{ full, free []*orders.Store }{
		"rooms take all":   {[]*orders.Store{store.Queues()}, []*orders.Store{store, store.Public()}},
		"readers take all": {[]*orders.Store{store.Public()}, []*orders.Store{store, store.Queues()}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range c.full {
				defer s.TakeAllConnections(t.Context(), t.Fatal)()
			}
			for _, s := range c.free {
				if _, err := s.Sale(t.Context(), "any"); domain.CodeOf(err) != domain.CodeNotFound {
					t.Errorf("no connection is left: %v", err)
				}
			}
		})
	}
	if got := store.Queues().ConnectionsMax(); got != orders.QueuesMaxDefault {
		t.Errorf("the rooms have %d connections, want %d", got, orders.QueuesMaxDefault)
	}
}
