package api

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"boxoffice/domain"
)

// statusesWhere returns the statuses of domain's table that match, in its order.
func statusesWhere(is func(domain.StatusTerms) bool) (those []domain.OrderStatus) {
	for _, status := range domain.OrderStatuses {
		if is(status.Terms()) {
			those = append(those, status)
		}
	}
	return those
}

func TestOpenAPIKnowsEveryStatus(t *testing.T) {
	w := setup(t).do(request{method: "GET", path: "/openapi.json"})
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name   string
				Schema struct{ Enum []domain.OrderStatus }
			}
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []domain.OrderStatus }
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	isShown := func(terms domain.StatusTerms) bool { return terms.Shown }
	isSold := func(terms domain.StatusTerms) bool { return terms.Tickets != domain.TicketsNone }
	for schema, want := range map[string][]domain.OrderStatus{
		"OrderView":      statusesWhere(isShown),
		"AdminOrderView": statusesWhere(isShown),
		"StatusView":     statusesWhere(func(terms domain.StatusTerms) bool { return terms.Shown || terms.Settled }),
		"CheckoutView":   {domain.OrderHeld},
	} {
		if got := doc.Components.Schemas[schema].Properties["status"].Enum; !reflect.DeepEqual(got, want) {
			t.Fatalf("api: the tag `enum` of %s.Status is not domain's table: %v, want %v", schema, got, want)
		}
	}
	for _, path := range []string{"/v1/orders", "/v1/sales/{sale}/orders"} {
		parameters := doc.Paths[path]["get"].Parameters
		i := slices.IndexFunc(parameters, func(p struct {
			Name   string
			Schema struct{ Enum []domain.OrderStatus }
		}) bool {
			return p.Name == "status"
		})
		if i < 0 {
			t.Fatalf("%v: %v, want at least %v", path, i, 0)
		}
		if got, want := parameters[i].Schema.Enum, statusesWhere(isSold); !reflect.DeepEqual(got, want) {
			t.Fatalf("api: the tag `enum` of the parameter status of GET %s is not domain's table: %v, want %v", path, got, want)
		}
	}
}

func TestEveryStatusOfACheckoutIsShownOrAnsweredWithAProblem(t *testing.T) {
	for _, status := range append(slices.Clone(domain.OrderStatuses), "disputed") {
		t.Run(string(status), func(t *testing.T) {
			b := setup(t)
			id := domain.OrderID{0: 1}
			b.world.States[id] = &domain.CheckoutState{Order: id, SaleID: "conference", Status: status, Currency: "EUR"}
			code := domain.CodeUnknown
			switch {
			case !status.Known():
			case status == domain.OrderPaid:
				code = domain.CodeOverloaded // without its record it would be shown without its tickets
			case status.Terms().Shown:
				code = ""
			case status.Terms().Settled:
				code = domain.CodeNotFound // nothing was ever ordered
			default:
				code = status.Terms().Problem
			}
			view, err := b.api.findOrder(t.Context(), id)
			if code != "" {
				if got := domain.CodeOf(err); got != code {
					t.Fatalf("%v: %v, want %v", err, got, code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if view.Status != status {
				t.Fatalf("%v, want %v", view.Status, status)
			}
		})
	}
}

func TestOpenAPIKnowsEveryKindOfMail(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Enum []domain.MailKind }
			}
		}
	}
	if err := json.Unmarshal(setup(t).do(request{method: "GET", path: "/openapi.json"}).Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(slices.Values(doc.Components.Schemas["SetAsideMailView"].Properties["kind"].Enum))
	if want := domain.AllMailKinds(); !slices.Equal(got, want) {
		t.Errorf("api/mails.go: the tag `enum` of SetAsideMailView.Kind is %v, domain's mails are %v", got, want)
	}
}
