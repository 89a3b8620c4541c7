package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

func (b *bundle) cancelSale(sale string) request {
	return request{"POST", "/v1/sales/" + sale + "/cancel", "", bearerOf(testAdminToken)}
}

func TestACanceledSaleSellsNoMore(t *testing.T) {
	for _, sale := range []string{"conference", "soon"} { // the latter has not opened yet
		t.Run(sale, func(t *testing.T) {
			b := setup(t)
			b.do(request{method: "GET", path: "/v1/sales/" + sale}) // it is in the catalog's memory
			w := b.do(b.cancelSale(sale))
			if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/v1/sales/"+sale+"/cancel" {
				t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			r := checkoutRequest(testKey, wish("A", 1))
			r.path = "/v1/sales/" + sale + "/checkouts"
			wantProblem(t, b.do(r), 409, domain.CodeSaleCanceled)
			if b.startsNow() != 0 {
				t.Error("a checkout was started")
			}
			var v SaleView
			decode(t, b.do(request{method: "GET", path: "/v1/sales/" + sale}), &v)
			if v.CanceledAt == nil || v.Open {
				t.Errorf("the sale is shown as %+v", v)
			}
		})
	}
}

func (b *bundle) turnSale(sale, verb string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.do(request{"POST", "/v1/sales/" + sale + "/" + verb, "", bearerOf(testAdminToken)})
}

// Nothing new is held in a sale that was ended, until it is opened again. What is held goes on.
func TestASaleThatWasEndedEarly(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	for range 2 {
		var v SaleView
		if w := b.turnSale("conference", "end"); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		} else if decode(t, w, &v); v.State != "closed" || v.Open || v.EndedAt == nil {
			t.Errorf("the sale is shown as %+v", v)
		}
	}
	wantProblem(t, b.checkout(testKey+"-2", wish("A", 1)), 409, domain.CodeSaleClosed)
	if w := b.checkout(testKey, wish("A", 2)); w.Code != http.StatusCreated || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("the repeat of a held checkout: %d %s", w.Code, w.Body)
	}
	var order OrderView
	if decode(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), &order); order.Status != domain.OrderHeld || order.PaymentURL == "" {
		t.Errorf("the held order: %+v", order)
	}
	var v SaleView
	if decode(t, b.turnSale("conference", "reopen"), &v); v.State != "open" || !v.Open || v.EndedAt != nil {
		t.Errorf("the sale is shown as %+v", v)
	}
	if w := b.checkout(testKey+"-2", wish("A", 1)); w.Code != http.StatusCreated {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWhoMayEndWhichSale(t *testing.T) {
	b := setup(t)
	for _, verb := range []string{"end", "reopen"} {
		wantProblem(t, b.do(request{method: "POST", path: "/v1/sales/conference/" + verb}), 401, domain.CodeUnauthorized)
		wantProblem(t, b.turnSale("nope", verb), 404, domain.CodeNotFound)
		wantProblem(t, b.turnSale("NO%20PE", verb), 404, domain.CodeNotFound)
	}
	b.do(b.cancelSale("conference"))
	wantProblem(t, b.turnSale("conference", "end"), 409, domain.CodeSaleCanceled)
	wantProblem(t, b.turnSale("conference", "reopen"), 409, domain.CodeSaleCanceled)
}

func TestAKeyOfACanceledSaleKeepsItsAnswer(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	b.do(b.cancelSale("conference"))
	w := b.checkout(testKey, wish("A", 2))
	if w.Code != http.StatusCreated || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("the repeat of a held checkout: %d %s", w.Code, w.Body)
	}
	var v OrderView
	decode(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), &v)
	if v.SaleCanceledAt == nil {
		t.Errorf("the buyer is not told: %+v", v)
	}
}

func TestProgressOfACancellation(t *testing.T) {
	b := setup(t)
	progress := request{method: "GET", path: "/v1/sales/conference/cancel", header: bearerOf(testAdminToken)}
	wantProblem(t, b.do(progress), 404, domain.CodeNotFound)
	b.do(b.cancelSale("conference"))
	since := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b.world.cancels["conference"] = &domain.SaleCancellation{
		SaleID: "conference", RequestedAt: since, UpdatedAt: since.Add(time.Minute), Stage: domain.CancelRefunding,
		OpenCheckouts: 1, CanceledCheckouts: 2, HeldTickets: 3, SoldTickets: 4, OrdersToRefund: 5, OrdersRefunding: 6, OrdersRefunded: 7, LatePayments: 8,
		Waiting: []domain.CancelWait{{Order: domain.OrderID{1}, Workflow: "refund/01", Since: since, Reason: "RefundPayment: refused", Attempts: 9}},
	}
	want := `{"sale":"conference","started_at":"2026-03-01T12:00:00Z","updated_at":"2026-03-01T12:01:00Z","stage":"refunding",
		"checkouts":{"open":1,"canceled":2},"orders":{"to_refund":5,"refunding":6,"refunded":7},"late_payments":8,"tickets":{"held":3,"sold":4},
		"waiting":[{"order":"01000000000000000000000000000000","workflow":"refund/01","since":"2026-03-01T12:00:00Z","reason":"RefundPayment: refused","attempts":9}]}`
	for range 2 { // reading it and asking for it again: the same
		w := b.do(progress)
		if w.Code != 200 || !jsonEqual(t, w.Body.Bytes(), []byte(want)) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		progress = b.cancelSale("conference")
		if w := b.do(progress); w.Code != http.StatusAccepted || !jsonEqual(t, w.Body.Bytes(), []byte(want)) {
			t.Errorf("canceled again: %d %s", w.Code, w.Body)
		}
		progress = request{method: "GET", path: "/v1/sales/conference/cancel", header: bearerOf(testAdminToken)}
	}
}

func TestCancellationIsNotAcceptedBeforeItIsInForce(t *testing.T) {
	b := setup(t)
	b.world.cancelErr = &domain.UnknownError{Op: "cancel sale", ID: "conference", Err: errors.New("no worker")}
	wantProblem(t, b.do(b.cancelSale("conference")), 503, domain.CodeUnknown)
	wantProblem(t, b.do(b.cancelSale("nope")), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/NO%20PE/cancel", header: bearerOf(testAdminToken)}), 404, domain.CodeNotFound)
}

func TestOrganiserCancelsAnOrder(t *testing.T) {
	tests := []struct {
		name   string
		change func(b *bundle, id domain.OrderID)
		path   func(id string) string
		status int
		want   string
	}{
		{"held", nil, nil, 200, `"canceled"`},
		{"paid", func(b *bundle, id domain.OrderID) { b.world.pay(b.world.States[id]) }, nil, 202, `"refunding"`},
		{"expired", func(b *bundle, id domain.OrderID) { b.world.States[id].Status = domain.OrderExpired }, nil, 200, `"expired"`},
		{"of another sale", nil, func(id string) string { return "/v1/sales/soon/orders/" + id + "/cancel" }, 404, "not_found"},
		{"unknown", nil, func(string) string { return "/v1/sales/conference/orders/" + strings.Repeat("ab", 15) + "00/cancel" }, 404, "not_found"},
		{"no id at all", nil, func(string) string { return "/v1/sales/conference/orders/x/cancel" }, 404, "not_found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			id, _ := b.held(testKey)
			if test.change != nil {
				test.change(b, id)
			}
			path := "/v1/sales/conference/orders/" + id.String() + "/cancel"
			if test.path != nil {
				path = test.path(id.String())
			}
			for range 2 { // repeating it says where it stands
				w := b.do(request{"POST", path, "", bearerOf(testAdminToken)})
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
}

func TestOnlyTheOrganiserCancels(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	for _, r := range []request{
		{method: "POST", path: "/v1/sales/conference/cancel", header: bearerOf(token)},
		{method: "GET", path: "/v1/sales/conference/cancel"},
		{method: "POST", path: "/v1/sales/conference/orders/" + id.String() + "/cancel", header: bearerOf(token)},
	} {
		wantProblem(t, b.do(r), 401, domain.CodeUnauthorized)
	}
	if b.world.States[id].Status != domain.OrderHeld || len(b.world.cancels) != 0 {
		t.Error("it was canceled")
	}
}

// The organiser's page speaks to the address that it came from, so it is where the
// organiser's routes are.
func TestTheAdminListenerHasThePages(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.SeparateAdmin = true
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for path, want := range map[string]int{
		"/organiser/sales/conference": http.StatusTeapot, "/v1/sales/conference/cancel": http.StatusNotFound, "/v1/nope": http.StatusNotFound,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+testAdminToken)
		b.api.Admin().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s on the admin's listener: %d %s", path, w.Code, w.Body)
		}
	}
}
