package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// ids walks through all pages of a list of sales.
func (b *bundle) saleIDs(query string) (ids []string, pages int) {
	b.t.Helper()
	for after := ""; ; {
		target := "/v1/sales?limit=2" + query
		if after != "" {
			target += "&after=" + url.QueryEscape(after)
		}
		w := b.do(request{method: "GET", path: target})
		var page SalesView
		decode(b.t, w, &page)
		if w.Code != 200 || len(page.Sales) > 2 {
			b.t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		for _, sale := range page.Sales {
			ids = append(ids, sale.ID)
		}
		pages++
		if after = page.Next; after == "" {
			return ids, pages
		}
	}
}

func TestSalesComeByPages(t *testing.T) {
	b := setup(t)
	at := b.sale.CreatedAt.Add(time.Second)
	add := func(id string, change func(*domain.Sale)) {
		sale := &domain.Sale{
			ID: id, Name: id, Currency: "EUR", BuyerLimit: 1, HoldTimeout: time.Minute, CreatedAt: at,
			Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}},
		}
		change(sale)
		b.world.AddSale(sale)
		b.world.Opened[id] = true
	}
	for i := range 3 {
		add(fmt.Sprintf("same-moment-%d", i), func(*domain.Sale) {})
	}
	add("later", func(s *domain.Sale) { s.CreatedAt = at.Add(time.Hour) })
	add("off", func(s *domain.Sale) { s.CreatedAt, s.CanceledAt = at.Add(time.Minute), time.Now() })

	add("over", func(s *domain.Sale) { s.CreatedAt, s.ClosesAt = at.Add(30*time.Second), time.Now() })

	all := []string{"later", "off", "over", "same-moment-0", "same-moment-1", "same-moment-2", "conference", "soon"}
	got, pages := b.saleIDs("")
	if !slices.Equal(got, all) || pages != 4 {
		t.Errorf("%v on %d pages, want %v", got, pages, all)
	}
	for state, want := range map[string][]string{
		"open": {"later", "same-moment-0", "same-moment-1", "same-moment-2", "conference"}, "upcoming": {"soon"}, "canceled": {"off"}, "closed": {"over"},
	} {
		if got, _ := b.saleIDs("&state=" + state); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", state, got, want)
		}
	}
}

// A sale that is created while somebody reads pages moves none of the others.
func TestAPageOfSalesDoesNotMove(t *testing.T) {
	b := setup(t)
	var page SalesView
	decode(t, b.do(request{method: "GET", path: "/v1/sales?limit=1"}), &page)
	b.world.Opened["new"] = true
	b.world.AddSale(&domain.Sale{ID: "new", Name: "New", Currency: "EUR", CreatedAt: time.Now().Add(time.Hour), BuyerLimit: 1, Classes: []domain.Class{{Name: "A", Capacity: 1}}})
	b.api.Catalog.Forget("new")
	first := page.Sales[0].ID
	decode(t, b.do(request{method: "GET", path: "/v1/sales?after=" + url.QueryEscape(page.Next)}), &page)
	if first != "conference" || len(page.Sales) != 1 || page.Sales[0].ID != "soon" {
		t.Errorf("after %s came %+v", first, page.Sales)
	}
}

func TestAListRefusesWhatItCannotRead(t *testing.T) {
	b := setup(t)
	organiser := bearerOf(testAdminToken)
	for path, field := range map[string]string{
		"/v1/sales?limit=0": "limit", "/v1/sales?limit=101": "limit", "/v1/sales?limit=x": "limit", "/v1/sales?state=secret": "state",
		"/v1/sales?after=conference": "after", "/v1/sales?after=1.": "after", "/v1/sales?after=01.conference": "after",
		"/v1/orders?email=grace": "email", "/v1/orders?status=held": "status", "/v1/orders?after=x": "after", "/v1/orders?limit=501": "limit",
		"/v1/orders?code=%20": "code", "/v1/orders?code=" + strings.Repeat("a", 65): "code",
	} {
		p := wantProblem(t, b.do(request{"GET", path, "", organiser}), 422, domain.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %+v", path, p.Errors)
		}
	}
}

func TestTheOrganiserFindsOrders(t *testing.T) {
	b := setup(t)
	organiser := bearerOf(testAdminToken)
	id, _ := b.held(testKey)
	b.do(webhookOf("good", id.String()))
	code := b.world.Keys.TicketCode(id, 2)
	for query, found := range map[string]bool{
		"email=buyer@example.com": true, "email=Buyer@EXAMPLE.com": true, "email=other@example.org": false,
		"code=" + code: true, "code=%20" + strings.ToLower(code): true, "code=ABC": false,
		"status=paid": true, "status=refunded": false, "status=paid&code=" + code + "&email=buyer@example.com&limit=1": true,
	} {
		for _, path := range []string{"/v1/orders", "/v1/sales/conference/orders"} {
			w := b.do(request{"GET", path + "?" + query, "", organiser})
			var page OrdersView
			decode(t, w, &page)
			if w.Code != 200 || len(page.Orders) == 1 != found || found && page.Orders[0].Order != id {
				t.Errorf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	}
	if w := b.do(request{"GET", "/v1/sales/soon/orders?email=buyer@example.com", "", organiser}); !strings.Contains(w.Body.String(), `"orders":[]`) {
		t.Errorf("of another sale: %s", w.Body)
	}
	wantProblem(t, b.do(request{"GET", "/v1/orders?email=buyer@example.com", "", nil}), 401, domain.CodeUnauthorized)
}
