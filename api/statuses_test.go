package api

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
)

// statusesWhere are those of domain's table, in its order.
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
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	isShown := func(terms domain.StatusTerms) bool { return terms.Shown }
	isSold := func(terms domain.StatusTerms) bool { return terms.Tickets != domain.TicketsNone }
	for schema, want := range map[string][]domain.OrderStatus{
		"OrderView":      statusesWhere(isShown),
		"AdminOrderView": statusesWhere(isShown),
		"StatusView":     statusesWhere(func(terms domain.StatusTerms) bool { return terms.Shown || terms.Settled }),
		"CheckoutView":   {domain.OrderHeld},
	} {
		require.Equal(t, want, doc.Components.Schemas[schema].Properties["status"].Enum, "api: the tag `enum` of %s.Status is not domain's table", schema)
	}
	for _, path := range []string{"/v1/orders", "/v1/sales/{sale}/orders"} {
		parameters := doc.Paths[path]["get"].Parameters
		i := slices.IndexFunc(parameters, func(p struct {
			Name   string
			Schema struct{ Enum []domain.OrderStatus }
		}) bool {
			return p.Name == "status"
		})
		require.GreaterOrEqual(t, i, 0, path)
		require.Equal(t, statusesWhere(isSold), parameters[i].Schema.Enum, "api: the tag `enum` of the parameter status of GET %s is not domain's table", path)
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
			case status.Terms().Shown:
				code = ""
			case status.Terms().Settled:
				code = domain.CodeNotFound // nothing was ever ordered
			default:
				code = status.Terms().Problem
			}
			view, err := b.api.findOrder(t.Context(), id)
			if code != "" {
				require.Equal(t, code, domain.CodeOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, status, view.Status)
		})
	}
}
