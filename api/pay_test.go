package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

func (b *bundle) pay(id domain.OrderID, key string) (code int, location string) {
	w := b.do(request{method: "GET", path: "/v1/orders/" + id.String() + "/pay?key=" + key})
	return w.Code, w.Header().Get("Location")
}

// A provider that must be called is called when the buyer wants to pay, and not before.
func TestThePaymentPageIsOpenedWhenTheBuyerComes(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	b.world.States[id].Provider, b.world.States[id].Session = "other", ""
	if code, location := b.pay(id, b.api.Keys.PayKey(id)); code != http.StatusSeeOther || location != "https://other.example/"+id.String() {
		t.Errorf("%d to %q", code, location)
	}
	for name, key := range map[string]string{"the order's token": token, "another order's": b.api.Keys.PayKey(domain.OrderID{9})} {
		if code, location := b.pay(id, key); code != http.StatusNotFound || location != "" {
			t.Errorf("%s: %d to %q", name, code, location)
		}
	}
}

func TestAnOrderThatIsNotHeldLeadsToItself(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	for _, status := range []domain.OrderStatus{domain.OrderPaid, domain.OrderExpired, domain.OrderCanceled} {
		b.world.States[id].Status = status
		if code, location := b.pay(id, b.api.Keys.PayKey(id)); code != http.StatusSeeOther || location != b.api.PublicURL+"/orders/"+id.String() {
			t.Errorf("%s: %d to %q", status, code, location)
		}
	}
}

func TestASaleNamesAProviderThatIsConfigured(t *testing.T) {
	b := setup(t)
	create := func(id, provider string) int {
		body := `{"id":"` + id + `","name":"Fresh","currency":"EUR","provider":"` + provider + `","classes":[{"class":"A","price":1,"capacity":1}]}`
		return b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)}).Code
	}
	for provider, want := range map[string]int{"other": 201, "mockpay": 201, "": 201, "elsewhere": 422, "Not a name": 422} {
		if code := create("fresh-"+map[bool]string{true: "none", false: provider}[provider == "" || provider == "Not a name"], provider); code != want {
			t.Errorf("provider %q: %d, want %d", provider, code, want)
		}
	}
	if sale := b.world.SalesByID["fresh-other"]; sale == nil || sale.Provider != "other" {
		t.Errorf("the sale is stored as %+v", sale)
	}
	if sale := b.world.SalesByID["fresh-none"]; sale == nil || sale.Provider != domain.DefaultProvider {
		t.Errorf("a sale that names none is stored as %+v", sale)
	}
}

func TestASaleCapturesAfterTheSeatsWhereItsProviderCan(t *testing.T) {
	b := setup(t)
	for name, tt := range map[string]struct {
		members string
		want    int
		rule    domain.CaptureRule
	}{
		"nothing said":                   {``, 201, domain.CaptureAutomatic},
		"automatic":                      {`,"capture":"automatic"`, 201, domain.CaptureAutomatic},
		"after-seats":                    {`,"capture":"after_seats"`, 201, domain.CaptureAfterSeats},
		"a provider that cannot":         {`,"capture":"after_seats","provider":"other"`, 422, ""},
		"a rule that there is not":       {`,"capture":"never"`, 422, ""},
		"a provider that need not to be": {`,"capture":"automatic","provider":"other"`, 201, domain.CaptureAutomatic},
	} {
		id := "fresh-" + strings.ReplaceAll(name, " ", "-")
		body := `{"id":"` + id + `","name":"Fresh","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}]` + tt.members + `}`
		w := b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)})
		if w.Code != tt.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.want)
		}
		sale := b.world.SalesByID[id]
		if tt.want != 201 {
			if sale != nil || !strings.Contains(w.Body.String(), `"field":"capture"`) && !strings.Contains(w.Body.String(), "capture") {
				t.Errorf("%s: stored %+v; the answer is %s", name, sale, w.Body)
			}
			continue
		}
		if sale == nil || sale.Capture != tt.rule || !strings.Contains(w.Body.String(), `"capture":"`+string(tt.rule)+`"`) {
			t.Errorf("%s: stored %+v, answered %s; want %s", name, sale, w.Body, tt.rule)
		}
	}
}

func TestASaleKeepsSeatsForPaymentsThatAreProcessedWhereItsProviderHasThem(t *testing.T) {
	b := setup(t)
	for name, tt := range map[string]struct {
		members string
		want    int
		kept    time.Duration
	}{
		"nothing said":                 {``, 201, 0},
		"three days":                   {`,"processing_seconds":259200`, 201, 72 * time.Hour},
		"a provider without":           {`,"processing_seconds":259200,"provider":"other"`, 422, 0},
		"seats before money":           {`,"processing_seconds":259200,"capture":"after_seats"`, 422, 0},
		"no time":                      {`,"processing_seconds":0`, 422, 0},
		"two months":                   {`,"processing_seconds":5184000`, 422, 0},
		"longer than until the event":  {`,"processing_seconds":259200,"facts":{"starts_at":"` + time.Now().Add(72*time.Hour).UTC().Format(time.RFC3339) + `","time_zone":"UTC"}`, 422, 0},
		"shorter than until the event": {`,"processing_seconds":259200,"facts":{"starts_at":"` + time.Now().Add(74*time.Hour).UTC().Format(time.RFC3339) + `","time_zone":"UTC"}`, 201, 72 * time.Hour},
	} {
		id := "kept-" + strings.ReplaceAll(name, " ", "-")
		body := `{"id":"` + id + `","name":"Fresh","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}]` + tt.members + `}`
		w := b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)})
		sale := b.world.SalesByID[id]
		switch {
		case w.Code != tt.want:
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.want)
		case tt.want != 201:
			if sale != nil || !strings.Contains(w.Body.String(), "processing_seconds") {
				t.Errorf("%s: stored %+v; the answer is %s", name, sale, w.Body)
			}
		case sale == nil || sale.ProcessingExtension != tt.kept || strings.Contains(w.Body.String(), `"processing_seconds":259200`) != (tt.kept > 0):
			t.Errorf("%s: stored %+v, answered %s; want %s", name, sale, w.Body, tt.kept)
		}
	}
}

func TestEveryProvidersWebhooksHaveARoute(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	for route, want := range map[string]int{"mockpay": 200, "other": 200, "elsewhere": 404} {
		header := map[string]string{"Webhook-Id": "evt_" + route, "Webhook-Signature": "good"}
		if code := b.do(request{"POST", "/v1/webhooks/" + route, id.String(), header}).Code; code != want {
			t.Errorf("%s: %d, want %d", route, code, want)
		}
	}
}

// Where nothing is to be paid there is no link to pay, and no provider is asked.
func TestAFreeOrderHasNowhereToPay(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.PayPage = func(o domain.Order, _ domain.Hold) (domain.PayPage, error) {
			t.Errorf("a page to pay was made for %+v", o)
			return domain.PayPage{}, nil
		}
	})
	sale := b.world.AddSale(&domain.Sale{
		ID: "gratis", Name: "Gratis", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, Classes: []domain.Class{{Name: "A", Capacity: 5}},
	})
	b.world.Opened[sale.ID] = true
	r := checkoutRequest(testKey, wish("A", 2))
	r.path = "/v1/sales/gratis/checkouts"
	w := b.do(r)
	var held CheckoutView
	if decode(t, w, &held); w.Code != http.StatusCreated || held.Amount != 0 || held.PaymentURL != "" || held.PaymentSession != "" || held.Status != domain.OrderHeld {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w = b.do(request{method: "GET", path: "/v1/orders/" + held.Order.String(), header: bearerOf(held.Token)})
	var view OrderView
	if decode(t, w, &view); view.PaymentURL != "" || view.PaymentSession != "" {
		t.Errorf("%s", w.Body)
	}
	if code, location := b.pay(held.Order, b.api.Keys.PayKey(held.Order)); code != http.StatusSeeOther || location != b.api.PublicURL+"/orders/"+held.Order.String() {
		t.Errorf("pay leads to %d %q", code, location)
	}
	if code, checked, _ := b.checkPayment(held.Order, held.Token); code != http.StatusOK || checked.Payment != PaymentNone || b.world.sessionsAsked != 0 {
		t.Errorf("%d %+v, the provider was asked %d times", code, checked, b.world.sessionsAsked)
	}
}

// A provider that takes no more requests is not asked. The buyer keeps the seats and is told when to come again, and the
// doors of its sales learn of it as of an engine that is too slow.
func TestAProviderThatTakesNoMoreIsNotAsked(t *testing.T) {
	b := setup(t)
	id, _ := b.held(testKey)
	b.world.States[id].Provider, b.world.States[id].Session = "other", ""
	b.world.waits = map[string]time.Duration{"other": 7 * time.Second}
	w := b.do(request{method: "GET", path: "/v1/orders/" + id.String() + "/pay?key=" + b.api.Keys.PayKey(id)})
	wantProblem(t, w, http.StatusServiceUnavailable, domain.CodeOverloaded)
	if after := w.Header().Get("Retry-After"); after != "7" {
		t.Errorf("Retry-After %q, want 7", after)
	}
	b.world.waits = nil
	if code, location := b.pay(id, b.api.Keys.PayKey(id)); code != http.StatusSeeOther || location != "https://other.example/"+id.String() {
		t.Errorf("afterwards: %d to %q", code, location)
	}
	longest := len(b.api.Admission.Load().Opens["other"]) - 1
	if got := b.api.Admission.Load().Opens["other"][longest]; got.Opened != 1 || got.Refused != 1 {
		t.Errorf("the door learns of %+v", got)
	}
}

// What the provider cannot take is refused before anything is sold, with its field.
func TestASaleHasPricesThatItsProviderTakes(t *testing.T) {
	b := setup(t)
	for name, tt := range map[string]struct {
		provider, classes string
		field             string // empty: the sale is created
	}{
		"within its bounds":     {"other", `[{"class":"A","price":100,"capacity":1},{"class":"B","price":10000,"capacity":1}]`, ""},
		"too much":              {"other", `[{"class":"A","price":100,"capacity":1},{"class":"B","price":100001,"capacity":1}]`, "classes[1].price"},
		"too much in one order": {"other", `[{"class":"A","price":10001,"capacity":1}]`, "classes[0].price"},
		"not so many in one":    {"other", `[{"class":"A","price":10001,"capacity":1,"max_per_order":9}]`, ""},
		"nothing to be taken":   {"other", `[{"class":"A","price":0,"capacity":1}]`, ""},
		"another takes it":      {"mockpay", `[{"class":"A","price":100001,"capacity":1}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := "p" + strings.ReplaceAll(name, " ", "-")
			body := `{"id":"` + id + `","name":"Fresh","currency":"EUR","buyer_limit":10,"provider":"` + tt.provider + `","classes":` + tt.classes + `}`
			w := b.do(request{"POST", "/v1/sales", body, bearerOf(testAdminToken)})
			if tt.field == "" {
				if w.Code != http.StatusCreated {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				return
			}
			p := wantProblem(t, w, http.StatusUnprocessableEntity, domain.CodeInvalid)
			if len(p.Errors) != 1 || p.Errors[0].Field != tt.field || b.world.SalesByID[id] != nil {
				t.Errorf("%s", w.Body)
			}
		})
	}
}
