package orders_test

import (
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestActs(t *testing.T) {
	b := setup(t)
	order := b.record(t, b.sold(t, "somebody-0123456789abc"))
	sale := "/v1/sales/" + b.sale.ID
	paths := []string{
		"/v1/sales/" + b.sale.ID, sale + "/cancel", sale + "-2/cancel", "/v1/orders/" + order.ID.String() + "/refund",
		"/v1/orders/" + domain.OrderID{1}.String() + "/refund", "/v1/orders/%ff/refund", "/v1/erasures",
	}
	var ids []int64
	for _, path := range paths {
		act := domain.Act{Who: "ann", Act: "an-act", Path: path, From: "192.0.2.0/24", Request: "r-12345678"}
		id := must(b.store.BeginAct(b.ctx, act))
		if n := len(ids); n > 0 && id <= ids[n-1] {
			t.Fatalf("id %d follows %d", id, ids[n-1])
		}
		ids = append(ids, id)
	}
	pathsOf := func(f domain.ActFilter) (found []string) {
		for _, a := range must(b.store.Acts(b.ctx, f)) {
			found = append(found, a.Path)
		}
		return found
	}
	for name, tt := range map[string]struct {
		filter domain.ActFilter
		want   []string
	}{
		"all, newest first":       {domain.ActFilter{Limit: 10}, []string{paths[6], paths[5], paths[4], paths[3], paths[2], paths[1], paths[0]}},
		"a page":                  {domain.ActFilter{Limit: 2}, []string{paths[6], paths[5]}},
		"the next page":           {domain.ActFilter{Limit: 2, Before: ids[5]}, []string{paths[4], paths[3]}},
		"of a sale and its order": {domain.ActFilter{Limit: 10, SaleID: b.sale.ID}, []string{paths[3], paths[1], paths[0]}},
		"of a sale without any":   {domain.ActFilter{Limit: 10, SaleID: "nothing"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pathsOf(tt.filter); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	t.Run("the outcome follows", func(t *testing.T) {
		for range 2 { // it may be repeated
			if err := b.store.EndAct(b.ctx, domain.Act{ID: ids[6], Path: "/v1/erasures/7", Status: 409}); err != nil {
				t.Fatal(err)
			}
		}
		got := must(b.store.Acts(b.ctx, domain.ActFilter{Limit: 1}))[0]
		if got.At.IsZero() {
			t.Error("it has no time")
		}
		got.At = time.Time{}
		if want := (domain.Act{ID: ids[6], Who: "ann", Act: "an-act", Path: "/v1/erasures/7", From: "192.0.2.0/24", Request: "r-12345678", Status: 409}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("what is old is dropped", func(t *testing.T) {
		if _, err := b.connect(t).Exec(b.ctx, `UPDATE acts SET at = at - interval '401 days' WHERE id <= $1`, ids[4]); err != nil {
			t.Fatal(err)
		}
		if more := must(b.store.DropActs(b.ctx, domain.ActsKept)); more {
			t.Error("there is more")
		}
		if got := pathsOf(domain.ActFilter{Limit: 10}); !slices.Equal(got, []string{"/v1/erasures/7", paths[5]}) {
			t.Errorf("left are %v", got)
		}
	})
}
