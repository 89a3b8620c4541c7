package domain_test

import (
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestNamesOfHolders(t *testing.T) {
	for name, tt := range map[string]struct {
		holders []domain.Holder
		field   string // empty: taken
	}{
		"German":                {[]domain.Holder{{Ticket: 1, Name: "Jürgen Groß"}}, ""},
		"Korean, and nobody":    {[]domain.Holder{{Ticket: 1, Name: "김민준"}, {Ticket: 2}}, ""},
		"space around it":       {[]domain.Holder{{Ticket: 1, Name: "\t Ann \n"}}, ""},
		"joined letters":        {[]domain.Holder{{Ticket: 1, Name: "می\u200cخواهم"}}, ""},
		"as long as it may be":  {[]domain.Holder{{Ticket: 1, Name: strings.Repeat("x", domain.HolderNameMaxLen)}}, ""},
		"none":                  {nil, "holders"},
		"too long":              {[]domain.Holder{{Ticket: 1, Name: strings.Repeat("x", domain.HolderNameMaxLen+1)}}, "holders[0].name"},
		"10,000 letters":        {[]domain.Holder{{Ticket: 1, Name: strings.Repeat("김", 10_000)}}, "holders[0].name"},
		"two lines":             {[]domain.Holder{{Ticket: 1, Name: "Ann"}, {Ticket: 2, Name: "A\nB"}}, "holders[1].name"},
		"NUL":                   {[]domain.Holder{{Ticket: 1, Name: "A\x00B"}}, "holders[0].name"},
		"a terminal's code":     {[]domain.Holder{{Ticket: 1, Name: "A\x1b[2J"}}, "holders[0].name"},
		"no UTF-8":              {[]domain.Holder{{Ticket: 1, Name: "A\xff"}}, "holders[0].name"},
		"writing turned around": {[]domain.Holder{{Ticket: 1, Name: "A\u202eB"}}, "holders[0].name"},
		"a line separator":      {[]domain.Holder{{Ticket: 1, Name: "A\u2028B"}}, "holders[0].name"},
		"ticket 0":              {[]domain.Holder{{Ticket: 0, Name: "Ann"}}, "holders[0].number"},
		"the same ticket twice": {[]domain.Holder{{Ticket: 1, Name: "Ann"}, {Ticket: 1, Name: "Ben"}}, "holders[1].number"},
	} {
		t.Run(name, func(t *testing.T) {
			normal, err := domain.NormalHolders(tt.holders)
			if tt.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				for i, h := range normal {
					if h.Ticket != tt.holders[i].Ticket || h.Name != strings.TrimSpace(tt.holders[i].Name) {
						t.Errorf("%+v of %+v", h, tt.holders[i])
					}
				}
				return
			}
			definite, ok := err.(*domain.Error) //nolint:errorlint // it is not wrapped
			if !ok || definite.Code != domain.CodeInvalid || definite.Field != tt.field {
				t.Fatalf("%v, want %s", err, tt.field)
			}
			if strings.Contains(err.Error(), "Ann") || strings.Contains(err.Error(), "김") {
				t.Errorf("the error tells the name: %v", err)
			}
		})
	}
}

func TestWhenHoldersAreNamed(t *testing.T) {
	now := evening
	asked := domain.Facts{HolderNames: domain.HolderNames{Asked: true}}
	with := func(change func(f *domain.Facts)) domain.Facts {
		f := asked
		change(&f)
		return f
	}
	for name, tt := range map[string]struct {
		facts domain.Facts
		order domain.SoldOrder
		sale  domain.Sale
		open  bool
	}{
		"asked, no end":              {facts: asked, open: true},
		"not asked":                  {facts: domain.Facts{}},
		"before it begins":           {facts: with(func(f *domain.Facts) { f.StartsAt = now.Add(time.Second) }), open: true},
		"it has begun":               {facts: with(func(f *domain.Facts) { f.StartsAt = now })},
		"before the deadline":        {facts: with(func(f *domain.Facts) { f.HolderNames.Until = now.Add(time.Second) }), open: true},
		"at the deadline":            {facts: with(func(f *domain.Facts) { f.HolderNames.Until, f.StartsAt = now, now.Add(time.Hour) })},
		"a deadline after the start": {facts: with(func(f *domain.Facts) { f.HolderNames.Until, f.StartsAt = now.Add(time.Hour), now }), open: true},
		"the tickets are void":       {facts: asked, order: domain.SoldOrder{Status: domain.OrderRefunding}},
		"the sale is canceled":       {facts: asked, sale: domain.Sale{CanceledAt: now}},
		"the buyer was erased":       {facts: asked, order: domain.SoldOrder{ErasedAt: now}},
	} {
		t.Run(name, func(t *testing.T) {
			sale, order := tt.sale, tt.order
			sale.Facts = tt.facts
			if order.Status == "" {
				order.Status = domain.OrderPaid
			}
			err := domain.WhyHoldersFixed(&sale, &order, now)
			if (err == nil) != tt.open || err != nil && domain.CodeOf(err) != domain.CodeHoldersFixed {
				t.Errorf("%v, want open: %t", err, tt.open)
			}
		})
	}
}
