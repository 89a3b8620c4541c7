package orders_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/domain"
)

var facts = domain.Facts{
	Description: "An evening", Venue: domain.Venue{Name: "Tempodrom", Address: "Berlin"}, StartsAt: day.Add(time.Hour), EndsAt: day.Add(2 * time.Hour),
	TimeZone: "Europe/Berlin", Terms: "None", TermsURL: "https://example.com/", Imprint: "Bühne GmbH",
}

func (b *bundle) saleSays(t *testing.T, versions []int64, edit func(e *domain.Editable)) (*domain.Sale, error) {
	t.Helper()
	return b.store.ChangeSale(b.ctx, domain.SaleChange{Sale: b.sale.ID, Versions: versions, Request: "request-1", Edit: func(e *domain.Editable) error {
		edit(e)
		return nil
	}})
}

// changes counts the events of changes.
func (b *bundle) changes(t *testing.T) (changes []*domain.SaleChangedData) {
	t.Helper()
	for _, event := range b.awaitAll(t) {
		if event.Type == domain.EventSaleChanged {
			changes = append(changes, must(event.Data()).(*domain.SaleChangedData))
		}
	}
	return changes
}

func TestASaleIsChanged(t *testing.T) {
	b := setup(t)
	wantEqual(t, "version", b.sale.Version, int64(1))
	change := func(e *domain.Editable) {
		e.Name, e.Facts, e.Labels = "Another", facts, map[string]string{"B": "Balcony"}
	}
	sale := must(b.saleSays(t, []int64{1}, change))
	read := must(b.store.Sale(b.ctx, b.sale.ID))
	wantEqual(t, "read", read, sale)
	wantEqual(t, "facts", read.Facts, facts)
	b2, _ := read.Class("B")
	wantEqual(t, "label", b2.Label, "Balcony")
	wantEqual(t, "version", read.Version, int64(2))

	// A repeated change is one change, for whatever version it was made.
	wantEqual(t, "repeated", must(b.saleSays(t, []int64{1}, change)), sale)
	changes := b.changes(t)
	wantEqual(t, "changes", len(changes), 1)
	wantEqual(t, "changed", changes[0].Changed, []string{
		"facts.description", "facts.ends_at", "facts.imprint", "facts.starts_at", "facts.terms", "facts.terms_url", "facts.time_zone", "facts.venue", "labels", "name",
	})
	wantEqual(t, "told", changes[0].Facts, facts.Brief())
	wantEqual(t, "request", changes[0].Request, "request-1")

	_, err := b.saleSays(t, []int64{1}, func(e *domain.Editable) { e.Name = "A third" })
	wantCode(t, err, domain.CodeChanged)
	_, err = b.saleSays(t, nil, func(e *domain.Editable) { e.Facts.EndsAt = e.Facts.StartsAt })
	wantCode(t, err, domain.CodeInvalid)
	broken := errors.New("broken")
	_, err = b.store.ChangeSale(b.ctx, domain.SaleChange{Sale: b.sale.ID, Edit: func(*domain.Editable) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
	wantEqual(t, "after refusals", must(b.store.Sale(b.ctx, b.sale.ID)), sale)
	wantEqual(t, "changes", len(b.changes(t)), 1)
}

// What created a sale creates it again after a change, and so does what stands now.
func TestAChangedSaleIsCreatedAgain(t *testing.T) {
	b := setup(t)
	for _, name := range []string{"Second", "Third"} {
		must(b.saleSays(t, nil, func(e *domain.Editable) { e.Name, e.Facts, e.Labels = name, facts, map[string]string{"A": "Stalls"} }))
	}
	stands := must(b.store.Sale(b.ctx, b.sale.ID))
	now := definition(b.sale.ID)
	now.Edit(stands.Editable())
	for name, sale := range map[string]*domain.Sale{"as it was created": definition(b.sale.ID), "as it is": now} {
		wantEqual(t, name, must(b.store.CreateSale(b.ctx, sale)), stands)
	}
	between := definition(b.sale.ID)
	between.Name = "Second"
	_, err := b.store.CreateSale(b.ctx, between)
	wantCode(t, err, domain.CodeExists)
}

func TestNoSaleToChange(t *testing.T) {
	b := setup(t)
	must(b.store.CreateSale(b.ctx, definition("unfunded")))
	for _, id := range []string{"nothing", "unfunded"} {
		_, err := b.store.ChangeSale(b.ctx, domain.SaleChange{Sale: id, Edit: func(e *domain.Editable) error { e.Name = "x"; return nil }})
		wantCode(t, err, domain.CodeNotFound)
	}
}

// A change waits for no order that is being recorded, and no order for it.
func TestAChangeAndAnOrderDoNotWaitForEachOther(t *testing.T) {
	b := setup(t)
	conn := must(pgx.Connect(b.ctx, b.url))
	defer func() { _ = conn.Close(b.ctx) }()
	tx := must(conn.Begin(b.ctx))
	if _, err := tx.Exec(b.ctx, `SELECT FROM sales WHERE id = $1 FOR KEY SHARE`, b.sale.ID); err != nil { // as a foreign key does
		t.Fatal(err)
	}
	must(b.saleSays(t, nil, func(e *domain.Editable) { e.Name = "Meanwhile" }))
}

func TestASaleHasAnImage(t *testing.T) {
	b := setup(t)
	first, second := domain.SaleImage{Hash: strings.Repeat("a", 32), Width: 16, Height: 9}, domain.SaleImage{Hash: strings.Repeat("b", 32), Width: 1, Height: 2}
	put := func(image domain.SaleImage, file string) *domain.Sale {
		return must(b.store.ChangeSale(b.ctx, domain.SaleChange{Sale: b.sale.ID, Image: []byte(file), Edit: func(e *domain.Editable) error {
			e.Image = image
			return nil
		}}))
	}
	shown := func(image domain.SaleImage, want string) {
		t.Helper()
		file, err := b.store.SaleImage(b.ctx, b.sale.ID, image.Hash)
		if want == "" {
			wantCode(t, err, domain.CodeNotFound)
		} else {
			wantEqual(t, "file", string(file), want)
		}
	}
	shown(first, "")
	wantEqual(t, "image", put(first, "one").Image, first)
	shown(first, "one")
	put(second, "two")
	wantEqual(t, "read", must(b.store.Sale(b.ctx, b.sale.ID)).Image, second)
	shown(first, "")
	shown(second, "two")

	must(b.saleSays(t, nil, func(e *domain.Editable) { e.Name = "Renamed" })) // and the image stays
	shown(second, "two")
	for _, name := range []string{"Gophercon", "Renamed"} { // as it was created, and as it is
		sale := definition(b.sale.ID)
		sale.Name = name
		wantEqual(t, "created again", must(b.store.CreateSale(b.ctx, sale)).Image, second)
	}
	put(domain.SaleImage{}, "")
	shown(second, "")
	wantEqual(t, "version", must(b.store.Sale(b.ctx, b.sale.ID)).Version, int64(5))
}

// Windows and maxima change while a sale runs, and what created it creates it again: also where it was changed before, by a release that
// changed no terms.
func TestTheTermsOfASaleAreChanged(t *testing.T) {
	b := setup(t)
	created := must(b.store.Sale(b.ctx, b.sale.ID))
	must(b.saleSays(t, nil, func(e *domain.Editable) { e.Name = "Another" }))
	b.exec(t, `UPDATE sales SET created_as = created_as - 'terms' WHERE id = $1`, b.sale.ID)
	closes := day.Add(30 * 24 * time.Hour)
	terms := domain.Terms{OpensAt: created.OpensAt, ClosesAt: closes}
	terms.Set("A", domain.ClassTerms{OpensAt: day, ClosesAt: closes.Add(-time.Hour), MaxPerOrder: 2})
	sale := must(b.saleSays(t, []int64{2}, func(e *domain.Editable) { e.Terms = &terms }))
	read := must(b.store.Sale(b.ctx, b.sale.ID))
	wantEqual(t, "read", read, sale)
	class, _ := read.Class("A")
	if !read.ClosesAt.Equal(closes) || class.MaxPerOrder != 2 || !class.OpensAt.Equal(day) || !class.ClosesAt.Equal(closes.Add(-time.Hour)) || read.Version != 3 {
		t.Errorf("%+v", read)
	}
	changes := b.changes(t)
	wantEqual(t, "changed", changes[len(changes)-1].Changed, []string{"classes", "closes_at"})
	for name, definition := range map[string]*domain.Sale{"as it was created": definition(b.sale.ID), "as it is": read} {
		if _, err := b.store.CreateSale(b.ctx, definition); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(b.saleSays(t, nil, func(e *domain.Editable) { e.Terms = &domain.Terms{OpensAt: created.OpensAt} }))
	if class, _ := must(b.store.Sale(b.ctx, b.sale.ID)).Class("A"); class.MaxPerOrder != 0 || !class.OpensAt.IsZero() {
		t.Errorf("taken back: %+v", class)
	}
	for name, change := range map[string]func(e *domain.Editable){
		"closes before it opens": func(e *domain.Editable) { e.Terms.ClosesAt = e.Terms.OpensAt },
		"more than a buyer may":  func(e *domain.Editable) { e.Terms.Set("B", domain.ClassTerms{MaxPerOrder: b.sale.BuyerLimit + 1}) },
		"a class closes first": func(e *domain.Editable) {
			e.Terms.Set("B", domain.ClassTerms{OpensAt: closes, ClosesAt: closes})
		},
	} {
		before := must(b.store.Sale(b.ctx, b.sale.ID))
		_, err := b.saleSays(t, nil, change)
		wantCode(t, err, domain.CodeInvalid)
		wantEqual(t, name, must(b.store.Sale(b.ctx, b.sale.ID)), before)
	}
}

// When a sale opens can be changed until then, and without a waiting room: its draw goes by it.
func TestWhenASaleOpensIsChangedBefore(t *testing.T) {
	b := setup(t)
	later := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Microsecond)
	for name, tt := range map[string]struct {
		opensAt     time.Time
		waitingRoom bool
		want        domain.Code
	}{
		"before":              {later, false, ""},
		"after":               {day, false, domain.CodeInvalid},
		"with a waiting room": {later, true, domain.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			sale := definition("opens-" + strings.ReplaceAll(name, " ", "-"))
			sale.OpensAt, sale.WaitingRoom = tt.opensAt, tt.waitingRoom
			must(b.store.CreateSale(b.ctx, sale))
			if err := b.store.MarkSaleOpen(b.ctx, sale.ID); err != nil {
				t.Fatal(err)
			}
			changed, err := b.store.ChangeSale(b.ctx, domain.SaleChange{Sale: sale.ID, Edit: func(e *domain.Editable) error {
				e.Terms.OpensAt = later.Add(time.Hour)
				return nil
			}})
			if tt.want != "" {
				wantCode(t, err, tt.want)
				wantEqual(t, "it opens", must(b.store.Sale(b.ctx, sale.ID)).OpensAt, sale.OpensAt)
				return
			}
			if err != nil || !changed.OpensAt.Equal(later.Add(time.Hour)) {
				t.Errorf("%+v, %v", changed, err)
			}
		})
	}
}

// Whatever the organiser changes makes another version: If-Match notices it.
func TestEveryChangeMakesAVersion(t *testing.T) {
	b := setup(t)
	version := func() int64 { return must(b.store.Sale(b.ctx, b.sale.ID)).Version }
	change := domain.CapacityChange{ID: domain.CapacityChangeID{1}, SaleID: b.sale.ID, Class: "A", After: b.sale.Classes[0].Capacity + 1, AskedAt: day}
	booked := func(context.Context, uint32) (domain.BookedCapacity, error) {
		return domain.BookedCapacity{Opened: b.sale.Classes[0].Capacity}, nil
	}
	begun := must(b.store.BeginCapacityChange(b.ctx, change, booked))
	for name, step := range map[string]func() error{
		"capacity": func() error {
			_, err := b.store.SettleCapacityChange(b.ctx, begun.ID, domain.CapacityChanged, day)
			return err
		},
		"end and reopen": func() error {
			return errors.Join(b.store.EndSale(b.ctx, b.sale.ID), b.store.ReopenSale(b.ctx, b.sale.ID))
		},
	} {
		before := version()
		if err := step(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after := version()
		if after <= before {
			t.Errorf("%s: version %d after %d", name, after, before)
		}
		if name != "capacity" {
			continue
		}
		if err := step(); err != nil || version() != after {
			t.Errorf("%s again: version %d, %v, want %d", name, version(), err, after)
		}
	}
	_, err := b.saleSays(t, []int64{1}, func(e *domain.Editable) { e.Name = "Undoes somebody's change" })
	wantCode(t, err, domain.CodeChanged)
}
