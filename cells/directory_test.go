package cells

import (
	"context"
	"errors"
	"testing"

	"boxoffice/domain"
)

// world has two sales, of which the second is in cell b.
type world struct {
	sales    []*domain.Sale
	placed   map[domain.OrderID]uint32
	recorded map[domain.OrderID]string // the sales of sold orders

	noSales, noRecords, noBooks error

	readings, lookups int
}

func newWorld() *world {
	return &world{
		sales: []*domain.Sale{
			{ID: "first", Classes: []domain.Class{{Name: "A", Ledger: 1001}, {Name: "B", Ledger: 1002}}},
			{ID: "second", Cell: "b", Classes: []domain.Class{{Name: "A", Ledger: 1003}}},
		},
		placed:   map[domain.OrderID]uint32{{1}: 1002, {2}: 1003},
		recorded: map[domain.OrderID]string{{3}: "second"},
	}
}

func (w *world) Sales(context.Context) ([]*domain.Sale, error) {
	w.readings++
	return w.sales, w.noSales
}

func (w *world) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	if w.noRecords != nil {
		return domain.SoldOrder{}, w.noRecords
	}
	sale, ok := w.recorded[id]
	if !ok {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return domain.SoldOrder{ID: id, SaleID: sale}, nil
}

func (w *world) Placed(_ context.Context, orders []domain.OrderID) (map[domain.OrderID]uint32, error) {
	w.lookups++
	found := make(map[domain.OrderID]uint32)
	for _, order := range orders {
		if ledger, ok := w.placed[order]; ok {
			found[order] = ledger
		}
	}
	return found, w.noBooks
}

func (w *world) directory() *Directory { return NewDirectory(w, w, w) }

func TestTheCellOfASale(t *testing.T) {
	w := newWorld()
	d := w.directory()
	for range 2 { // from memory the second time
		for sale, want := range map[string]string{"first": "", "second": "b"} {
			if got, err := d.OfSale(t.Context(), sale); err != nil || got != want {
				t.Errorf("sale %s: %q, %v, want %q", sale, got, err, want)
			}
		}
	}
	if w.readings != 1 {
		t.Errorf("the database was read %d times, want once", w.readings)
	}
	w.sales = append(w.sales, &domain.Sale{ID: "third", Cell: "c"})
	if got, err := d.OfSale(t.Context(), "third"); err != nil || got != "c" {
		t.Errorf("a new sale: %q, %v", got, err)
	}
	if _, err := d.OfSale(t.Context(), "none"); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a sale that is none: %v", err)
	}
	w.noSales = errors.New("down")
	if got, err := d.OfSale(t.Context(), "second"); err != nil || got != "b" {
		t.Errorf("without the database: %q, %v", got, err)
	}
	if _, err := d.OfSale(t.Context(), "fourth"); !domain.IsUnknown(err) {
		t.Errorf("a sale that nobody knows without the database: %v", err)
	}
}

func TestTheCellOfAnOrder(t *testing.T) {
	down := errors.New("down")
	tests := []struct {
		name    string
		order   byte
		breaks  func(*world)
		want    string
		known   bool
		wantErr bool
	}{
		{name: "from the books", order: 1, want: "", known: true},
		{name: "from the books, of another cell", order: 2, want: "b", known: true},
		{name: "from the record, where the books lost it", order: 3, want: "b", known: true},
		{name: "nobody knows it", order: 4},
		{name: "the books need no records", order: 2, breaks: func(w *world) { w.noRecords = down }, want: "b", known: true},
		{name: "the record needs no books", order: 3, breaks: func(w *world) { w.noBooks = down }, want: "b", known: true},
		{name: "without books it is not known that nobody knows", order: 4, breaks: func(w *world) { w.noBooks = down }, wantErr: true},
		{name: "nor without records", order: 4, breaks: func(w *world) { w.noRecords = down }, wantErr: true},
		{name: "a ledger of no sale", order: 5, breaks: func(w *world) { w.placed[domain.OrderID{5}] = 7 }, wantErr: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld()
			if test.breaks != nil {
				test.breaks(w)
			}
			d := w.directory()
			for range 2 {
				got, known, err := d.OfOrder(t.Context(), domain.OrderID{test.order})
				if got != test.want || known != test.known || !known && (err != nil) != test.wantErr {
					t.Errorf("%q, %v, %v, want %q, %v", got, known, err, test.want, test.known)
				}
			}
			if want := map[bool]int{true: 1, false: 2}[test.known]; w.lookups != want {
				t.Errorf("%d looks into the books, want %d: what is known stays known", w.lookups, want)
			}
		})
	}
}

func TestWhatWasStartedHereIsKnown(t *testing.T) {
	w := newWorld()
	d := w.directory()
	d.Learn(domain.OrderID{9}, "c")
	if got, known, err := d.OfOrder(t.Context(), domain.OrderID{9}); got != "c" || !known || err != nil || w.lookups != 0 {
		t.Errorf("%q, %v, %v after %d lookups", got, known, err, w.lookups)
	}
}
