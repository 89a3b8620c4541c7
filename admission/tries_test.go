package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"

	"boxoffice/domain"
)

// anotherNode shares everything with b except a node's memory. change may put something
// between it and what they share.
func anotherNode(b *bundle, r *rooms, change ...func(*Options)) *bundle {
	b.t.Helper()
	return newNode(b.t, b.world, b.sale, append([]func(*Options){func(o *Options) { o.Rooms = r }}, change...)...)
}

// rush sets how much sale rush has left in the ledger; others hold the rest. The gates of
// the named nodes have read before that there is enough.
func (b *bundle) rush(available int64, deceived ...*bundle) {
	b.t.Helper()
	sale := b.world.SalesByID["rush"]
	ledger := sale.Classes[0].Ledger
	if len(deceived) > 0 {
		b.world.SetStock(ledger, 0, 0)
		for _, node := range deceived {
			gate := node.adm.gate
			s := gate.of(sale.ID)
			s.mu.Lock()
			s.answer.Store(nil)
			s.mu.Unlock()
			if answer := gate.look(b.t.Context(), s, sale); answer == nil {
				b.t.Fatal("the gate has no answer")
			}
		}
	}
	b.world.SetStock(ledger, sale.Classes[0].Capacity-available, 0)
}

// ordersOfRush counts the orders of sale rush by status.
func (w *world) ordersOfRush() map[domain.OrderStatus]int {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	count := make(map[domain.OrderStatus]int)
	for _, state := range w.States {
		if state.SaleID == "rush" {
			count[state.Status]++
		}
	}
	return count
}

// An order that the ledger refused took nothing. Whoever was let in tries again with the
// same token, on any node, for the same tickets or others.
func TestARefusalLeavesTheTokenUsable(t *testing.T) {
	refusals := map[string]struct {
		refuse func(b *bundle, nodes ...*bundle)
		code   domain.Code
	}{
		"sold out": {func(b *bundle, nodes ...*bundle) { b.rush(0, nodes...) }, domain.CodeSoldOut},
		"over the limit": {func(b *bundle, nodes ...*bundle) {
			b.rush(5, nodes...)
			b.world.LimitReached = true
		}, domain.CodeLimitReached},
	}
	for name, refusal := range refusals {
		for _, sameNode := range []bool{true, false} {
			for _, sameWish := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, same node %t, same tickets %t", name, sameNode, sameWish), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b, r := roomSetup(t)
						token := r.admitted()
						node, again := b, wish("A", 2)
						if !sameNode {
							node = anotherNode(b, r)
						}
						if !sameWish {
							again = wish("A", 1)
						}
						refusal.refuse(b, b)
						wantRefusal(t, b.tokenRefusal(token, wish("A", 2)), refusal.code)

						b.world.LimitReached = false
						b.rush(5, node)
						held, err := node.byToken(token, again)
						if err != nil {
							t.Fatalf("tried again: %v", err)
						}
						b.rush(0)
						b.outdate("rush", b, node)
						// Even now that nothing is left, on a node that knows nothing of it, and on one that
						// cannot read the takings.
						fresh, blind := anotherNode(b, r), anotherNode(b, r)
						blind.adm.gate.takingsMax = 0
						for _, any := range []*bundle{b, node, fresh, blind} {
							answer, err := any.byToken(token, again)
							if err != nil || answer.Order.ID != held.Order.ID || !answer.Replayed {
								t.Errorf("replayed: %+v, %v", answer, err)
							}
						}
						b.rush(5, b, node)
						for _, any := range []*bundle{b, node} { // nor does another request take more
							wantRefusal(t, any.tokenRefusal(token, wish("A", 3)), domain.CodeKeyReused)
						}
						if orders := b.world.ordersOfRush(); orders[domain.OrderHeld] != 1 {
							t.Errorf("orders %v, want one that is held", orders)
						}
					})
				})
			}
		}
	}
}

// tokenRefusal is why a checkout with a token was refused; nil if it was not.
func (b *bundle) tokenRefusal(token string, w wanted) error {
	b.t.Helper()
	_, err := b.byToken(token, w)
	return err
}

// outdate makes gates ask the ledger before they judge a sale.
func (b *bundle) outdate(sale string, nodes ...*bundle) {
	for _, node := range nodes {
		s := node.adm.gate.of(sale)
		s.mu.Lock()
		s.answer.Store(nil)
		s.outdated++
		s.mu.Unlock()
	}
}

// A token whose order was held keeps that order's answer for good.
func TestATokenThatTookSomethingIsUsed(t *testing.T) {
	b, r := roomSetup(t)
	token := r.admitted()
	held, err := b.byToken(token, wish("A", 2))
	if err != nil {
		t.Fatal(err)
	}
	b.world.GiveUp(held.Order.ID)
	for _, node := range []*bundle{b, anotherNode(b, r)} {
		again, err := node.byToken(token, wish("A", 2))
		wantRefusal(t, node.tokenRefusal(token, wish("A", 1)), domain.CodeKeyReused)
		if err != nil || again.Order.ID != held.Order.ID {
			t.Errorf("order %s, %v, want %s", again.Order.ID, err, held.Order.ID)
		}
	}
	if orders := b.world.ordersOfRush(); orders[domain.OrderHeld] != 0 || orders[domain.OrderCanceled] != 1 {
		t.Errorf("orders %v", orders)
	}
}

// A token has a number of tries. After that it is worthless on every node.
func TestTheTriesOfATokenAreBounded(t *testing.T) {
	b, r := roomSetup(t)
	token := r.admitted()
	b.world.LimitReached = true
	for range triesMax {
		wantRefusal(t, b.tokenRefusal(token, wish("A", 1)), domain.CodeLimitReached)
	}
	b.world.LimitReached = false
	for _, node := range []*bundle{b, anotherNode(b, r)} {
		if refusal := wantRefusal(t, node.tokenRefusal(token, wish("A", 1)), domain.CodeKeyReused); refusal.Detail == "" {
			t.Error("nothing says what to do")
		}
	}
	if orders := b.world.ordersOfRush(); orders[domain.OrderLimitReached] != triesMax || len(orders) != 1 {
		t.Errorf("orders %v", orders)
	}
}

// While the outcome of a try is unknown, no other one begins.
func TestNoTryBeginsBeforeTheLastIsRefused(t *testing.T) {
	tests := map[string]struct {
		fail func(w *world)
		heal func(w *world)
		wish wanted
		code domain.Code
	}{
		"the Desk does not know": {
			func(w *world) { w.StartErr = &domain.UnknownError{Op: "hold"} }, func(w *world) { w.StartErr = nil }, wish("A", 2), domain.CodeUnknown},
		"the first request is under way": {
			func(w *world) { w.StartErr = &domain.Error{Code: domain.CodeInFlight} }, func(w *world) { w.StartErr = nil }, wish("A", 2), domain.CodeInFlight},
		"other tickets, and the state of the last try is unknown": {
			func(w *world) { w.StateErr = &domain.UnknownError{Op: "state"} }, func(w *world) { w.StateErr = nil }, wish("A", 1), domain.CodeUnknown},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, r := roomSetup(t)
			token := r.admitted()
			if err := b.tokenRefusal(token, wish("A", 2)); err != nil {
				t.Fatal(err)
			}
			node := anotherNode(b, r)
			test.fail(b.world)
			wantRefusal(t, node.tokenRefusal(token, test.wish), test.code)
			test.heal(b.world)
			if orders := b.world.ordersOfRush(); orders[domain.OrderHeld] != 1 || len(orders) != 1 {
				t.Errorf("orders %v", orders)
			}
		})
	}
}

// lossyDesk does what it is asked but loses some answers, as if a node died between the
// hold and the answer.
type lossyDesk struct {
	*world
	loses func() bool
}

func (d lossyDesk) Start(ctx context.Context, o domain.Order) (domain.HoldAnswer, error) {
	answer, err := d.world.Start(ctx, o)
	if d.loses() {
		return domain.HoldAnswer{}, &domain.UnknownError{Op: "hold", Err: errors.New("the answer is lost")}
	}
	return answer, err
}

// However often a token is sent, for whatever tickets, to however many nodes that die and
// forget, while seats come and go, it makes one order.
func TestATokenMakesOneOrder(t *testing.T) {
	const rounds, nodesMax, atOnce = 40, 3, 6
	for range 5 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		b, r := roomSetup(t)
		token := r.admitted()
		var mu sync.Mutex
		loses := func() bool { mu.Lock(); defer mu.Unlock(); return random.IntN(4) == 0 }
		newNode := func() *bundle {
			return anotherNode(b, r, func(o *Options) { o.Desk = lossyDesk{b.world, loses} })
		}
		nodes := make([]*bundle, nodesMax)
		for i := range nodes {
			nodes[i] = newNode()
		}
		orders := map[domain.OrderID]bool{}
		for range rounds {
			mu.Lock()
			if i := random.IntN(2 * nodesMax); i < nodesMax {
				nodes[i] = newNode()
			}
			b.world.LimitReached = random.IntN(5) == 0
			if b.world.ordersOfRush()[domain.OrderHeld] == 0 {
				b.rush(random.Int64N(3), nodes...)
			}
			mu.Unlock()
			var asking sync.WaitGroup
			for i := range atOnce {
				node, body := nodes[i%nodesMax], wish("A", 1+int64(i%2))
				asking.Go(func() {
					if answer, err := node.byToken(token, body); err == nil {
						mu.Lock()
						orders[answer.Order.ID] = true
						mu.Unlock()
					}
				})
			}
			asking.Wait()
		}
		if count := b.world.ordersOfRush(); count[domain.OrderHeld] > 1 || len(orders) > 1 {
			t.Fatalf("seed %d: orders %v, but %d were answered", seed, count, len(orders))
		}
	}
}

// All tries have the time of the token, and none the key of another.
func TestKeysOfTries(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []string{"0198c0de-0000-7000-8000-000000000000", "0198c0de-0000-7000-8000-000000000001"} {
		for try := range triesMax {
			k := tryKey(key, try)
			u, err := uuid.Parse(k)
			if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 || k[:13] != key[:13] {
				t.Errorf("try %d of %s: %s, %v", try, key, k, err)
			}
			if try == 0 && k != key || k != tryKey(key, try) || seen[k] {
				t.Errorf("try %d of %s: %s", try, key, k)
			}
			seen[k] = true
		}
	}
}
