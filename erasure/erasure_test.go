package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"boxoffice/domain"
	"boxoffice/erasure"
)

var errAway = errors.New("away")

// world is everything that keeps something of buyers. The call failAt fails, before or after
// it has done its work.
type world struct {
	calls, failAt int
	after         bool

	sales    []*domain.Sale
	placed   map[domain.BuyerID][]domain.OrderID // the books: for ever
	sold     map[domain.OrderID]domain.BuyersOrder
	temporal map[domain.OrderID]bool // what it remembers; true: open
	files    []string                // addresses
	asked    []string
}

func (w *world) call(work func()) error {
	w.calls++
	fails := w.calls == w.failAt
	if !fails || w.after {
		work()
	}
	if fails {
		return errAway
	}
	return nil
}

func (w *world) Sales(context.Context) ([]*domain.Sale, error) { return w.sales, w.call(func() {}) }

func (w *world) OrdersOfBuyers(_ context.Context, buyers []domain.BuyerID) (all []domain.OrderID, err error) {
	for _, b := range buyers {
		all = append(all, w.placed[b]...)
	}
	return all, w.call(func() {})
}

func (w *world) OrdersOfBuyer(_ context.Context, address string, ids []domain.OrderID) (found []domain.BuyersOrder, err error) {
	for _, o := range w.sold {
		if slices.Contains(ids, o.ID) || address != "" && o.Email == address {
			found = append(found, o)
		}
	}
	return found, w.call(func() {})
}

func (w *world) PaymentsOfOrders(context.Context, []domain.OrderID) (map[domain.OrderID][]string, error) {
	return nil, w.call(func() {})
}

func (w *world) EraseBuyer(_ context.Context, ids []domain.OrderID, addresses []string) error {
	return w.call(func() {
		for _, id := range ids {
			if o, ok := w.sold[id]; ok {
				o.Email = ""
				w.sold[id] = o
			}
		}
		w.asked = slices.DeleteFunc(w.asked, func(a string) bool { return slices.Contains(addresses, a) })
	})
}

func (w *world) OpenWorkflow(_ context.Context, order domain.OrderID, _ []string) (id string, err error) {
	if w.temporal[order] {
		id = "checkout/" + order.String()
	}
	return id, w.call(func() {})
}

func (w *world) Forget(order domain.OrderID) error {
	return w.call(func() {
		if !w.temporal[order] {
			delete(w.temporal, order)
		}
	})
}

type temporal struct{ *world }

func (t temporal) Forget(_ context.Context, order domain.OrderID, _ []string) error {
	return t.world.Forget(order)
}

type files struct{ *world }

func (f files) Forget(addresses []string) error {
	return f.call(func() {
		f.files = slices.DeleteFunc(f.files, func(a string) bool { return slices.Contains(addresses, a) })
	})
}

func number(n byte) domain.OrderID { return domain.OrderID{n} }

const ann, annsAlias, bob = "ann@gmail.com", "a.nn+fair@gmail.com", "bob@example.com"

// setup is a world in which Ann bought in two sales, in one of them under an alias, and has
// one checkout that ended without a sale; and Bob.
func setup(t *testing.T) (*world, *erasure.Eraser) {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	apart, folded := &domain.Sale{ID: "apart"}, &domain.Sale{ID: "folded", AliasRule: domain.AliasesFolded}
	buyer := func(sale *domain.Sale, address string) domain.BuyerID {
		return keys.BuyerID(sale.ID, sale.AliasRule.Fold(address))
	}
	w := &world{
		sales: []*domain.Sale{apart, folded},
		placed: map[domain.BuyerID][]domain.OrderID{
			buyer(apart, ann): {number(1), number(3)}, buyer(folded, annsAlias): {number(2)}, buyer(apart, bob): {number(4)},
		},
		sold: map[domain.OrderID]domain.BuyersOrder{
			number(1): {ID: number(1), Email: ann}, number(2): {ID: number(2), Email: annsAlias}, number(4): {ID: number(4), Email: bob},
		},
		temporal: map[domain.OrderID]bool{number(1): false, number(2): false, number(3): false, number(4): false},
		files:    []string{ann, annsAlias, bob}, asked: []string{ann, bob},
	}
	return w, &erasure.Eraser{Orders: w, Ledger: w, Temporal: temporal{w}, Mails: files{w}, Keys: keys}
}

// wantErased checks that nothing of Ann is left and all of Bob.
func (w *world) wantErased(t *testing.T, done domain.Erasure) {
	t.Helper()
	want := domain.Erasure{Orders: []domain.OrderID{number(1), number(2)}, Unsold: []domain.OrderID{number(3)}}
	if !slices.Equal(done.Orders, want.Orders) || !slices.Equal(done.Unsold, want.Unsold) {
		t.Fatalf("erased %v, want %v", done, want)
	}
	_, remembersBob := w.temporal[number(4)]
	switch {
	case w.sold[number(1)].Email+w.sold[number(2)].Email != "", len(w.temporal) != 1:
		t.Fatalf("orders %v, Temporal %v, want nothing of Ann", w.sold, w.temporal)
	case !slices.Equal(w.files, []string{bob}), !slices.Equal(w.asked, []string{bob}), w.sold[number(4)].Email != bob, !remembersBob:
		t.Fatalf("files %v, asked %v, orders %v, Temporal %v, want all of Bob and nothing of Ann", w.files, w.asked, w.sold, w.temporal)
	}
}

// Wherever an erasure breaks off, the next one goes on and gives the same answer.
func TestAnErasureIsRepeatableFromAnyPoint(t *testing.T) {
	for failAt := 1; ; failAt++ {
		var calls int
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, done %t", failAt, after), func(t *testing.T) {
				w, e := setup(t)
				w.failAt, w.after = failAt, after
				first, err := e.Erase(t.Context(), domain.ErasureRequest{Email: ann})
				calls = w.calls
				if err == nil {
					w.wantErased(t, first)
				} else if !errors.Is(err, errAway) {
					t.Fatal(err)
				}
				w.failAt = 0
				for range 2 {
					done, err := e.Erase(t.Context(), domain.ErasureRequest{Email: ann})
					if err != nil {
						t.Fatal(err)
					}
					w.wantErased(t, done)
				}
			})
		}
		if calls < failAt {
			return
		}
	}
}

func TestNobodyIsErasedWhileAnOrderIsOpen(t *testing.T) {
	w, e := setup(t)
	w.temporal[number(3)] = true
	_, err := e.Erase(t.Context(), domain.ErasureRequest{Email: ann})
	if domain.CodeOf(err) != domain.CodeNotSettled {
		t.Fatalf("%v, want %s", err, domain.CodeNotSettled)
	}
	if w.sold[number(1)].Email != ann || len(w.temporal) != 4 || len(w.files) != 3 {
		t.Error("something was erased")
	}
	w.temporal[number(3)] = false
	done, err := e.Erase(t.Context(), domain.ErasureRequest{Email: ann})
	if err != nil {
		t.Fatal(err)
	}
	w.wantErased(t, done)
}

// After a backup was restored the address is back. The orders alone say what to erase again.
func TestOrdersAreErasedByTheirIDs(t *testing.T) {
	w, e := setup(t)
	done, err := e.Erase(t.Context(), domain.ErasureRequest{Orders: []domain.OrderID{number(3), number(2), number(1), number(1)}})
	if err != nil {
		t.Fatal(err)
	}
	w.wantErased(t, done)
}
