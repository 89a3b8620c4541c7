package ledger_test

import (
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/tbtest"
)

// Books that were moved to a cluster go on there: whatever is repeated is
// recognised although its events are marked as imported, and known buyers go on
// buying.
func TestMovedBooksGoOn(t *testing.T) {
	targets := map[string]func(t *testing.T) tb.Client{
		"to another engine": func(t *testing.T) tb.Client {
			engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: discard})
			if err != nil {
				t.Fatal(err)
			}
			return engine
		},
		"to a real TigerBeetle": func(t *testing.T) tb.Client {
			server := tbtest.StartTigerBeetle(t) // new: it takes no event older than its newest
			client, err := ledger.Dial(t.Context(), ledger.Config{Addresses: []string{server.Address}})
			if err != nil {
				t.Fatal(err)
			}
			return client
		},
	}
	for name, open := range targets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine, err := embedded.Open(t.TempDir(), embedded.Options{Logger: discard})
			if err != nil {
				t.Fatal(err)
			}
			before := boxOn(t, engine, newSaleOfOneCheckout())
			sold, voided := before.order(2), before.order(1)
			before.mustHold(sold)
			before.mustPost(sold)
			before.mustHold(voided)
			before.mustVoid(voided)
			canceled := boxOn(t, engine, newSale())
			refunded := canceled.order(1)
			canceled.mustHold(refunded)
			canceled.mustPost(refunded)
			canceled.mustDrain()
			exported, err := engine.Export()
			if err != nil {
				t.Fatal(err)
			}

			cluster := open(t)
			if err := exported.SendTo(cluster, 200); err != nil {
				t.Fatal(err)
			}
			after := boxOn(t, cluster, before.sale) // opens the sale again
			after.mustPost(sold)
			after.mustVoid(voided)
			again := sold
			again.ID = after.keys.OrderID(after.sale, "the same buyer's next order")
			after.mustHold(again)
			another := again
			another.ID = after.keys.OrderID(after.sale, "and one beside it")
			if hold, err := after.book.Hold(t.Context(), &another); err != nil || !hold.CheckoutOpen {
				t.Errorf("a second checkout after the move: %+v %v, want it refused", hold, err)
			}
			levels, err := after.book.Stock(t.Context(), after.sale)
			if err != nil || levels[0].Sold != 2 || levels[0].Held != 2 {
				t.Errorf("stock after the move: %+v %v", levels, err)
			}

			drained := boxOn(t, cluster, canceled.sale)
			drained.mustReturn(refunded)
			drained.mustDrain() // the next round, not the one that was moved
		})
	}
}

// movedBox is a book on its own ledger.
type movedBox struct {
	t    *testing.T
	book *ledger.Book
	sale *domain.Sale
	keys *domain.Keyring
	n    int
}

func (b *movedBox) mustReturn(o domain.Order) {
	b.t.Helper()
	if err := b.book.Return(b.t.Context(), sold(&o, domain.BookedByHold)); err != nil {
		b.t.Fatal(err)
	}
}

// mustDrain leaves nothing available.
func (b *movedBox) mustDrain() {
	b.t.Helper()
	levels, err := b.book.Drain(b.t.Context(), b.sale)
	for _, level := range levels {
		if level.Available != 0 {
			b.t.Errorf("after the drain: %+v", level)
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func boxOn(t *testing.T, client tb.Client, sale *domain.Sale) *movedBox {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(client, ledger.WithLogger(discard))
	t.Cleanup(func() { _ = batcher.Close() })
	b := &movedBox{t: t, book: ledger.NewBook(batcher), sale: sale, keys: keys}
	if err := b.book.OpenSale(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *movedBox) order(quantity int64) domain.Order {
	b.t.Helper()
	b.n++
	key := string(rune('a'+b.n)) + " key of sixteen chars"
	o, err := domain.NewOrder(b.sale, b.keys, key, []domain.Item{{Class: "A", Quantity: quantity}}, key[:1]+"@example.com")
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (b *movedBox) mustHold(o domain.Order) {
	b.t.Helper()
	if hold, err := b.book.Hold(b.t.Context(), &o); err != nil || hold.Outcome != domain.HoldHeld {
		b.t.Fatalf("hold: %+v %v", hold, err)
	}
}

func (b *movedBox) mustPost(o domain.Order) {
	b.t.Helper()
	if outcome, err := b.book.Post(b.t.Context(), &o); err != nil || outcome != domain.PostPosted {
		b.t.Fatalf("post: %s %v", outcome, err)
	}
}

func (b *movedBox) mustVoid(o domain.Order) {
	b.t.Helper()
	if outcome, err := b.book.Void(b.t.Context(), &o); err != nil || outcome != domain.VoidVoided {
		b.t.Fatalf("void: %s %v", outcome, err)
	}
}
