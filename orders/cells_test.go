package orders_test

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// A sale keeps the cell that it was created in, wherever the rule would place it today.
func TestASaleKeepsItsCell(t *testing.T) {
	b := setup(t)
	create := func(id, cell string) *domain.Sale {
		t.Helper()
		sale := definition(id)
		sale.Cell = cell
		stored, err := b.store.CreateSale(t.Context(), sale)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.store.MarkSaleOpen(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return stored
	}
	if got := create("in-b", "b").Cell; got != "b" {
		t.Errorf("created in %q, want b", got)
	}
	if got := create("in-b", "c").Cell; got != "b" {
		t.Errorf("created again it is in %q, want b as before", got)
	}
	if got := create("in-default", "").Cell; got != "" {
		t.Errorf("created in %q, want the default cell", got)
	}
	read, err := b.store.Sale(t.Context(), "in-b")
	if err != nil || read.Cell != "b" {
		t.Errorf("%+v, %v", read, err)
	}
	if _, err := b.store.CreateSale(t.Context(), func() *domain.Sale { s := definition("no-cell"); s.Cell = "Not/a cell"; return s }()); err == nil {
		t.Error("the database takes any text for a cell")
	}
}

// What counts is what may still sell.
func TestSalesOfCells(t *testing.T) {
	b := setup(t)
	before, err := b.store.SalesOfCells(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, cell := range map[string]string{"one": "b", "two": "b", "three": "c", "ended": "b", "canceled": "c", "over": "b"} {
		sale := definition(id)
		sale.Cell = cell
		if id == "over" {
			sale.OpensAt, sale.ClosesAt = time.Time{}, time.Now().Add(-time.Minute)
			sale.Classes[0].OpensAt, sale.Classes[0].ClosesAt = time.Time{}, time.Time{}
		}
		if _, err := b.store.CreateSale(t.Context(), sale); err != nil {
			t.Fatal(err)
		}
		if err := b.store.MarkSaleOpen(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.EndSale(t.Context(), "ended"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.BeginCancellation(t.Context(), "canceled", time.Now()); err != nil {
		t.Fatal(err)
	}
	counts, err := b.store.SalesOfCells(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for cell, want := range map[string]int{"b": 2, "c": 1, "": before[""]} {
		if counts[cell] != want {
			t.Errorf("cell %q has %d sales, want %d", cell, counts[cell], want)
		}
	}
}
