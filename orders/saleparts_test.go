package orders_test

import (
	"crypto/ed25519"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// notDefined are the fields of a sale that an organiser does not set.
var notDefined = map[string]string{
	"ID":                 "names the sale",
	"QuotaLedger":        "the store assigns it",
	"CheckoutLedger":     "the store assigns it",
	"CodeLedger":         "the store assigns it",
	"Classes.OpenedWith": "the store keeps it when the capacity is changed",
	"Classes.Ledger":     "the store assigns it",
	"Perk.Ledger":        "the store assigns it",
	"Cell":               "the rule of package cells chooses it",
	"EndedAt":            "the organiser ends a sale later",
	"CanceledAt":         "belongs to the cancellation",
	"Version":            "the store counts it",
	"Image.Hash":         "comes after the sale",
	"Image.Width":        "comes after the sale",
	"Image.Height":       "comes after the sale",
}

// otherwise has another value for each field of a sale whose type does not suggest one.
var otherwise = map[string]any{
	"Currency": "USD", "AliasRule": domain.AliasesFolded, "Provider": "another", "Capture": domain.CaptureAfterSeats, "ProcessingExtension": time.Hour,
	"OpensAt": day.Add(time.Hour), "ClosesAt": day.Add(2 * time.Hour), "Classes.OpensAt": day.Add(time.Hour), "Classes.ClosesAt": day.Add(2 * time.Hour), "CreatedAt": day.Add(-2 * time.Hour),
	"Facts.StartsAt": day.Add(48 * time.Hour), "Facts.EndsAt": day.Add(50 * time.Hour), "Facts.TimeZone": "Asia/Seoul", "Facts.TermsURL": "https://example.com/terms",
	"Facts.HolderNames.Until":   day.Add(50 * time.Hour),
	"Entitlement.InvitationKey": ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)),
}

// If the store forgot a field of a sale, the API would accept it and lose it. So each field is stored and read back,
// and changing it makes a different definition.
func TestEveryPartOfASaleIsStored(t *testing.T) {
	b := setup(t)
	for _, part := range partsOf(reflect.TypeFor[domain.Sale](), "") {
		if notDefined[part] != "" {
			continue
		}
		t.Run(part, func(t *testing.T) {
			id := "part-" + strings.ReplaceAll(strings.ToLower(part), ".", "-")
			before, changed := definition(id), definition(id+"-2")
			if strings.HasPrefix(part, "Entitlement.") {
				before.WaitingRoom, changed.WaitingRoom = true, true // an entitlement is for places in one
			}
			if part == "Facts.StartsAt" || part == "Facts.EndsAt" { // a start needs a zone, an end a start
				for _, sale := range []*domain.Sale{before, changed} {
					sale.Facts = domain.Facts{StartsAt: day.Add(24 * time.Hour), TimeZone: "Europe/Berlin"}
				}
			}
			if part == "Facts.HolderNames.Until" { // an end needs names that are asked for
				before.Facts.HolderNames.Asked, changed.Facts.HolderNames.Asked = true, true
			}
			change(t, changed, part)
			if err := changed.Validate(); err != nil {
				t.Fatalf("domain.Sale.%s: a made-up value breaks a rule (%v): give it a good one in otherwise, above", part, err)
			}
			read, err := b.store.CreateSale(b.ctx, changed)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := value(read, part), value(changed, part); !reflect.DeepEqual(got.Interface(), want.Interface()) {
				t.Fatalf("domain.Sale.%s was %v and is read as %v: store it in orders/sales.go, in insertSale, querySales and scanSale", part, want, got)
			}
			if part == "CreatedAt" {
				return // the same sale may be created again later
			}
			if _, err := b.store.CreateSale(b.ctx, before); err != nil {
				t.Fatal(err)
			}
			changed.ID = id
			if _, err := b.store.CreateSale(b.ctx, changed); domain.CodeOf(err) != domain.CodeExists {
				t.Errorf("a sale that differs in %s alone: %v, want exists: compare it in sameDefinition, orders/sales.go", part, err)
			}
		})
	}
}

// partsOf lists the fields of a type, nested fields by their path.
func partsOf(of reflect.Type, path string) (parts []string) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return []string{strings.TrimPrefix(path, ".")}
	}
	for field := range of.Fields() {
		parts = append(parts, partsOf(field.Type, path+"."+field.Name)...)
	}
	return parts
}

// value is a field of a sale; for classes, of the first one.
func value(sale *domain.Sale, part string) reflect.Value {
	v := reflect.ValueOf(sale).Elem()
	for name := range strings.SplitSeq(part, ".") {
		switch {
		case v.Kind() == reflect.Slice:
			v = v.Index(0)
		case v.Kind() == reflect.Pointer:
			v = v.Elem()
		}
		v = v.FieldByName(name)
	}
	return v
}

func change(t *testing.T, sale *domain.Sale, part string) {
	t.Helper()
	v := value(sale, part)
	if other, ok := otherwise[part]; ok {
		v.Set(reflect.ValueOf(other))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + max(1, v.Int()))
	default:
		t.Fatalf("domain.Sale.%s: put another value of it into otherwise, above", part)
	}
}
