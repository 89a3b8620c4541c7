package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// notShown are the properties of a new sale that its view does not have.
var notShown = map[string]string{
	"provider": "is the organiser's business",
	"queue":    "is a property of the sale's queue",
}

// What an organiser says of a sale is what everybody reads of it.
func TestWhatASaleIsCreatedWithIsShown(t *testing.T) {
	opens := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	closes := opens.Add(time.Hour)
	ready := map[string]any{
		"classes": []CreateClassBody{{Class: "A", Label: "Stalls", Price: 1, Capacity: 2, OpensAt: &opens, ClosesAt: &closes, MaxPerOrder: new(int64(3))}}, "perk": &CreatePerkBody{Name: "x", Capacity: 3},
		"opens_at": &opens, "closes_at": &closes, "entitlement": &EntitlementRuleBody{PresaleCodes: true},
		"facts": &FactsBody{
			Description: "a", Venue: &VenueBody{"b", "c"}, StartsAt: &opens, EndsAt: &closes, TimeZone: "Asia/Seoul", Terms: "d", TermsURL: "https://e.example", Imprint: "f",
		},
	}
	view := reflect.TypeFor[SaleView]()
	for field := range reflect.TypeFor[CreateSaleBody]().Fields() {
		name := jsonName(field)
		if why := notShown[name]; why != "" {
			continue
		}
		if !hasProperty(view, name) {
			t.Errorf("CreateSaleBody.%s is no property of SaleView: show it in api/views.go, or say in notShown why not", field.Name)
			continue
		}
		var body CreateSaleBody
		value := reflect.ValueOf(&body).Elem().FieldByIndex(field.Index)
		if made, ok := ready[name]; ok {
			value.Set(reflect.ValueOf(made))
		} else {
			fill(t, field.Name, value)
		}
		sale := body.sale(opens)
		var err error
		if sale.Entitlement, err = body.Entitlement.rule(); err != nil {
			t.Fatal(err)
		}
		created, shown := property(t, body, name), property(t, viewSale(sale, nil, opens), name)
		if !holds(shown, created) {
			t.Errorf("a sale created with %s %v is shown with %v: bring it over in CreateSaleBody.sale (api/sales.go) and viewSale (api/views.go)", name, created, shown)
		}
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func hasProperty(of reflect.Type, name string) bool {
	for field := range of.Fields() {
		if jsonName(field) == name {
			return true
		}
	}
	return false
}

// fill makes up a value that is no default.
func fill(t *testing.T, name string, value reflect.Value) {
	t.Helper()
	if value.Kind() == reflect.Pointer {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString("x")
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int64:
		value.SetInt(77)
	default:
		t.Fatalf("CreateSaleBody.%s: give it a value in ready, above", name)
	}
}

func property(t *testing.T, body any, name string) any {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var properties map[string]any
	if err := json.Unmarshal(raw, &properties); err != nil {
		t.Fatal(err)
	}
	return properties[name]
}

// holds reports whether what is shown is what was said, and maybe more.
func holds(shown, said any) bool {
	switch said := said.(type) {
	case map[string]any:
		shown, ok := shown.(map[string]any)
		for name, value := range said {
			ok = ok && holds(shown[name], value)
		}
		return ok
	case []any:
		shown, ok := shown.([]any)
		ok = ok && len(shown) == len(said)
		for i := 0; ok && i < len(said); i++ {
			ok = holds(shown[i], said[i])
		}
		return ok
	default:
		return shown == said
	}
}
