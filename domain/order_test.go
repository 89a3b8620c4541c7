package domain_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

const key = "0123456789abcdef"

func TestNewOrderPricesWhatIsAskedFor(t *testing.T) {
	sale := testSale()
	sale.Perk = &domain.Perk{Name: "T-shirt", Capacity: 1, Ledger: 9}
	order, err := domain.NewOrder(sale, keyring(t), key, []domain.Item{{Class: "B", Quantity: 1}, {Class: "A", Quantity: 1}, {Class: "A", Quantity: 1}}, " A@Example.com ")
	if err != nil {
		t.Fatal(err)
	}
	if want := []domain.Line{
		{Class: "A", Ledger: 1, Quantity: 2, UnitPriceMinor: 6500},
		{Class: "B", Ledger: 2, Quantity: 1, UnitPriceMinor: 3500},
	}; !reflect.DeepEqual(order.Lines, want) {
		t.Fatalf("order.Lines is %+v, want %+v: one line a class, sorted", order.Lines, want)
	}
	if order.AmountMinor != 16500 {
		t.Fatalf("order.AmountMinor is %v, want 16500", order.AmountMinor)
	}
	if got := order.Quantity(); got != 3 {
		t.Fatalf("order.Quantity() is %v, want 3", got)
	}
	if order.Email != "a@example.com" {
		t.Fatalf(`order.Email is %q, want "a@example.com"`, order.Email)
	}
	if want := (&domain.PerkRef{Name: "T-shirt", Ledger: 9}); !reflect.DeepEqual(order.Perk, want) {
		t.Fatalf("order.Perk is %+v, want %+v", order.Perk, want)
	}
}

func TestFingerprintTellsBodiesApart(t *testing.T) {
	fingerprint := func(email string, items ...domain.Item) string {
		order, err := domain.NewOrder(testSale(), keyring(t), key, items, email)
		if err != nil {
			t.Fatal(err)
		}
		return order.Fingerprint
	}
	base := fingerprint("a@example.com", domain.Item{Class: "A", Quantity: 2})
	if got := fingerprint("A@example.com", domain.Item{Class: "A", Quantity: 1}, domain.Item{Class: "A", Quantity: 1}); got != base {
		t.Fatalf("got %q, want %q: the same wish", got, base)
	}
	if got := fingerprint("b@example.com", domain.Item{Class: "A", Quantity: 2}); got == base {
		t.Fatalf(`fingerprint("b@example.com", domain.Item{Class: "A", Quantity: 2}) is %q: another buyer`, got)
	}
	if got := fingerprint("a@example.com", domain.Item{Class: "A", Quantity: 1}); got == base {
		t.Fatalf(`fingerprint("a@example.com", domain.Item{Class: "A", Quantity: 1}) is %q: another quantity`, got)
	}
	if got := fingerprint("a@example.com", domain.Item{Class: "B", Quantity: 2}); got == base {
		t.Fatalf(`fingerprint("a@example.com", domain.Item{Class: "B", Quantity: 2}) is %q: another class`, got)
	}
}

func TestNewOrderRefuses(t *testing.T) {
	many := make([]domain.Item, domain.ClassesMax+1)
	for i := range many {
		many[i] = domain.Item{Class: "A", Quantity: 1}
	}
	tests := []struct {
		name  string
		items []domain.Item
		email string
		code  domain.Code
		field string
	}{
		{"no items", nil, "a@example.com", domain.CodeInvalid, "items"},
		{"too many items", many, "a@example.com", domain.CodeInvalid, "items"},
		{"an unknown class", []domain.Item{{Class: "Z", Quantity: 1}}, "a@example.com", domain.CodeInvalid, "items[0].class"},
		{"quantity 0", []domain.Item{{Class: "A"}}, "a@example.com", domain.CodeInvalid, "items[0].quantity"},
		{"a negative quantity", []domain.Item{{Class: "A", Quantity: -1}}, "a@example.com", domain.CodeInvalid, "items[0].quantity"},
		{"an absurd quantity", []domain.Item{{Class: "A", Quantity: 1 << 62}}, "a@example.com", domain.CodeInvalid, "items[0].quantity"},
		{"more than the buyer's limit", []domain.Item{{Class: "A", Quantity: 3}, {Class: "B", Quantity: 2}}, "a@example.com", domain.CodeLimitReached, ""},
		{"no e-mail", []domain.Item{{Class: "A", Quantity: 1}}, "", domain.CodeInvalid, "buyer.email"},
		{"no host", []domain.Item{{Class: "A", Quantity: 1}}, "nobody", domain.CodeInvalid, "buyer.email"},
		{"no dot", []domain.Item{{Class: "A", Quantity: 1}}, "a@b", domain.CodeInvalid, "buyer.email"},
		{"a display name", []domain.Item{{Class: "A", Quantity: 1}}, "A <a@example.com>", domain.CodeInvalid, "buyer.email"},
		{"two addresses", []domain.Item{{Class: "A", Quantity: 1}}, "a@example.com,b@example.com", domain.CodeInvalid, "buyer.email"},
		{"a line break", []domain.Item{{Class: "A", Quantity: 1}}, "a@example.com\r\nbcc: b@example.com", domain.CodeInvalid, "buyer.email"},
		{"too long once folded", []domain.Item{{Class: "A", Quantity: 1}}, strings.Repeat("Ⱥ", 110) + "@example.com", domain.CodeInvalid, "buyer.email"},
		{"too long", []domain.Item{{Class: "A", Quantity: 1}}, strings.Repeat("a", 250) + "@example.com", domain.CodeInvalid, "buyer.email"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := domain.NewOrder(testSale(), keyring(t), key, tt.items, tt.email)
			if got := domain.CodeOf(err); got != tt.code {
				t.Fatalf("domain.CodeOf(err) is %q, want %q: %v", got, tt.code, err)
			}
			var definite *domain.Error
			if !errors.As(err, &definite) {
				t.Fatalf("the error is a %T, want a %T: %v", err, definite, err)
			}
			if definite.Field != tt.field {
				t.Fatalf("definite.Field is %q, want %q", definite.Field, tt.field)
			}
			if tt.email != "" {
				if got := err.Error(); strings.Contains(got, tt.email) {
					t.Fatalf("%q is in %s: an error never repeats a buyer's address", tt.email, got)
				}
			}
		})
	}
}

var noon = time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)

func TestWhenASaleTakesOrders(t *testing.T) {
	for name, tt := range map[string]struct {
		sale       domain.Sale
		sold, when domain.Code // of the sale, of its class
	}{
		"no window":             {sale: domain.Sale{Classes: []domain.Class{{}}}},
		"opens this moment":     {sale: domain.Sale{OpensAt: noon, Classes: []domain.Class{{OpensAt: noon}}}},
		"opens in a moment":     {sale: domain.Sale{OpensAt: noon.Add(1), Classes: []domain.Class{{OpensAt: noon.Add(1)}}}, sold: domain.CodeNotOpen, when: domain.CodeClassNotOpen},
		"closes this moment":    {sale: domain.Sale{ClosesAt: noon, Classes: []domain.Class{{ClosesAt: noon}}}, sold: domain.CodeSaleClosed, when: domain.CodeClassClosed},
		"closes in a moment":    {sale: domain.Sale{ClosesAt: noon.Add(1), Classes: []domain.Class{{ClosesAt: noon.Add(1)}}}},
		"ended early":           {sale: domain.Sale{EndedAt: noon.Add(1), ClosesAt: noon.Add(time.Hour), Classes: []domain.Class{{}}}, sold: domain.CodeSaleClosed},
		"ended before it opens": {sale: domain.Sale{EndedAt: noon, OpensAt: noon.Add(1), Classes: []domain.Class{{}}}, sold: domain.CodeSaleClosed},
		"canceled, and closed":  {sale: domain.Sale{CanceledAt: noon, ClosesAt: noon, Classes: []domain.Class{{}}}, sold: domain.CodeSaleCanceled},
		"a class of its own":    {sale: domain.Sale{Classes: []domain.Class{{ClosesAt: noon}}}, when: domain.CodeClassClosed},
		"a window in an opened": {sale: domain.Sale{OpensAt: noon.Add(-1), Classes: []domain.Class{{OpensAt: noon.Add(1)}}}, when: domain.CodeClassNotOpen},
	} {
		t.Run(name, func(t *testing.T) {
			if sold, when := tt.sale.WhyClosed(noon), tt.sale.Classes[0].WhyClosed(noon); sold != tt.sold || when != tt.when {
				t.Errorf("the sale says %q, its class %q, want %q and %q", sold, when, tt.sold, tt.when)
			}
		})
	}
}

func TestSaleValidate(t *testing.T) {
	if err := testSale().Validate(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		field  string
		change func(*domain.Sale)
	}{
		{"id", func(s *domain.Sale) { s.ID = "Not a slug" }},
		{"id", func(s *domain.Sale) { s.ID = "" }},
		{"name", func(s *domain.Sale) { s.Name = " " }},
		{"currency", func(s *domain.Sale) { s.Currency = "eur" }},
		{"currency", func(s *domain.Sale) { s.Currency = "ZZZ" }},
		{"classes", func(s *domain.Sale) { s.Classes = nil }},
		{"classes[1].class", func(s *domain.Sale) { s.Classes[1].Name = s.Classes[0].Name }},
		{"classes[0].class", func(s *domain.Sale) { s.Classes[0].Name = "a b" }},
		{"classes[0].price", func(s *domain.Sale) { s.Classes[0].PriceMinor = -1 }},
		{"classes[0].capacity", func(s *domain.Sale) { s.Classes[0].Capacity = 0 }},
		{"hold_seconds", func(s *domain.Sale) { s.HoldTimeout = 0 }},
		{"hold_seconds", func(s *domain.Sale) { s.HoldTimeout += 1 }},
		{"processing_seconds", func(s *domain.Sale) { s.ProcessingExtension = time.Second }},
		{"processing_seconds", func(s *domain.Sale) { s.ProcessingExtension = time.Hour + 1 }},
		{"processing_seconds", func(s *domain.Sale) { s.ProcessingExtension = 31 * 24 * time.Hour }},
		{"processing_seconds", func(s *domain.Sale) { s.ProcessingExtension = -time.Hour }},
		{"processing_seconds", func(s *domain.Sale) { s.ProcessingExtension, s.Capture = time.Hour, domain.CaptureAfterSeats }},
		{"processing_seconds", func(s *domain.Sale) {
			s.ProcessingExtension, s.OpensAt, s.Facts.StartsAt = time.Hour, noon, noon.Add(s.HoldTimeout+time.Hour-1)
		}},
		{"buyer_limit", func(s *domain.Sale) { s.BuyerLimit = 0 }},
		{"opens_at", func(s *domain.Sale) { s.OpensAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"closes_at", func(s *domain.Sale) { s.OpensAt, s.ClosesAt = noon, noon }},
		{"closes_at", func(s *domain.Sale) { s.ClosesAt = time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"classes[1].closes_at", func(s *domain.Sale) { s.Classes[1].OpensAt, s.Classes[1].ClosesAt = noon, noon.Add(-1) }},
		{"classes[0].max_per_order", func(s *domain.Sale) { s.Classes[0].MaxPerOrder = s.BuyerLimit + 1 }},
		{"classes[0].max_per_order", func(s *domain.Sale) { s.Classes[0].MaxPerOrder = -1 }},
		{"perk.name", func(s *domain.Sale) { s.Perk = &domain.Perk{Capacity: 1} }},
		{"perk.capacity", func(s *domain.Sale) { s.Perk = &domain.Perk{Name: "T-shirt"} }},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			sale := testSale()
			tt.change(sale)
			var definite *domain.Error
			if err := sale.Validate(); !errors.As(err, &definite) {
				t.Fatalf("the error is a %T, want a %T: %v", err, definite, err)
			}
			if definite.Code != domain.CodeInvalid {
				t.Fatalf("definite.Code is %q, want %q", definite.Code, domain.CodeInvalid)
			}
			if definite.Field != tt.field {
				t.Fatalf("definite.Field is %q, want %q", definite.Field, tt.field)
			}
		})
	}
}

// Seats are kept for a payment that is being processed only if they are free again before the
// event: for an order that comes too late for that, none is accepted.
func TestNoSeatIsKeptBeyondTheStartOfTheEvent(t *testing.T) {
	const extension = 72 * time.Hour
	sale := testSale()
	sale.ProcessingExtension = extension
	lastly := sale.HoldTimeout + extension
	for name, tt := range map[string]struct {
		starts time.Time
		free   bool
		want   time.Duration
	}{
		"nobody says when":     {time.Time{}, false, extension},
		"long before":          {noon.Add(30 * 24 * time.Hour), false, extension},
		"just before":          {noon.Add(lastly), false, extension},
		"too late by a second": {noon.Add(lastly - time.Second), false, 0},
		"during it":            {noon.Add(-time.Second), false, 0},
		"it costs nothing":     {time.Time{}, true, 0},
	} {
		sale.Facts.StartsAt = tt.starts
		order := domain.Order{Provider: "other"}
		if tt.free {
			order.Provider = domain.FreeProvider
		}
		if order.Extend(sale, noon); order.ProcessingExtension != tt.want {
			t.Errorf("%s: the seats are kept for %s, want %s", name, order.ProcessingExtension, tt.want)
		}
	}
}

// What costs nothing needs no provider; one line with a price is enough to need one.
func TestAnOrderWithoutAPriceIsFree(t *testing.T) {
	sale := testSale()
	sale.Provider = "stripe"
	for i := range sale.Classes {
		if sale.Classes[i].Name == "B" {
			sale.Classes[i].PriceMinor = 0
		}
	}
	for name, tt := range map[string]struct {
		items    []domain.Item
		provider string
	}{
		"free":            {[]domain.Item{{Class: "B", Quantity: 2}}, domain.FreeProvider},
		"one has a price": {[]domain.Item{{Class: "B", Quantity: 1}, {Class: "A", Quantity: 1}}, "stripe"},
	} {
		order, err := domain.NewOrder(sale, keyring(t), key, tt.items, "a@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if order.Provider != tt.provider || order.IsFree() != (tt.provider == domain.FreeProvider) {
			t.Errorf("%s: provider %q, free: %t", name, order.Provider, order.IsFree())
		}
		if order.IsFree() && order.PaymentSession() != "" {
			t.Errorf("it has the session %q", order.PaymentSession())
		}
	}
	order := domain.Order{ID: domain.OrderID{1}, Provider: domain.FreeProvider, Currency: "EUR"}
	free := domain.FreeCapture(&order)
	if !free.Pays(&order) || !free.IsFree() || domain.ValidProvider(domain.FreeProvider) {
		t.Errorf("%+v", free)
	}
	if other := (domain.Capture{Payment: "stripe/pi_1"}); other.IsFree() {
		t.Errorf("%+v is free", other)
	}
}
