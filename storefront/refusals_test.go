package storefront

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"boxoffice/domain"
)

// forPrograms matches texts that the API writes for programmers.
var forPrograms = regexp.MustCompile(`(?i)idempotency|queue-token|array|items|json|_`)

// Buyers read plain words, whatever the API answers.
func TestARefusalIsSaidInWords(t *testing.T) {
	sale, in := &domain.Sale{BuyerLimit: 6}, said(t, "en")
	for _, code := range []domain.Code{
		domain.CodeInvalid, domain.CodeTooLarge, domain.CodeKeyMissing, domain.CodeKeyReused, domain.CodeSoldOut, domain.CodeNotOpen, domain.CodeSaleClosed, domain.CodeSaleCanceled,
		domain.CodeClassNotOpen, domain.CodeClassClosed, domain.CodeMaxPerOrder,
		domain.CodeLimitReached, domain.CodeQueueRequired, domain.CodeProofRequired, domain.CodeNotFound, domain.CodeInternal, "of_a_newer_api",
		domain.CodeNotEntitled, domain.CodeBadEntitlement, domain.CodeEntitlementExpired, domain.CodeEntitlementSpent, domain.CodeQueueFull,
	} {
		p := problem{Code: string(code), RequestID: "request-1"}
		p.Errors = append(p.Errors, struct {
			Field string `json:"field"`
		}{"items[0].quantity"})
		for _, said := range []*notice{
			checkoutRefusal(in, sale, p, false, 0), checkoutRefusal(in, sale, p, false, 2), checkoutRefusal(in, sale, p, true, 0), joinRefusal(in, p),
		} {
			if said.Heading == "" || forPrograms.MatchString(said.Heading+said.Text) {
				t.Errorf("%s: %q", code, *said)
			}
		}
	}
}

func TestALimitPointsAtWhatIsOnHold(t *testing.T) {
	p := problem{Code: string(domain.CodeLimitReached)}
	for _, test := range []struct {
		oneCheckout bool
		onHold      int64
		want        string
	}{
		{false, 0, "At most 6 tickets a person, those that still wait for a payment included."},
		{true, 0, "At most 6 tickets a person, and one order at a time: pay for the open one, or cancel it."},
		{true, 1, "You have 1 ticket on hold already, see above: pay for them, or cancel that order to choose anew."},
	} {
		if said := checkoutRefusal(said(t, "en"), &domain.Sale{BuyerLimit: 6, OneCheckoutPerBuyer: test.oneCheckout}, p, false, test.onHold); said.Text != test.want {
			t.Errorf("%+v: %q", test, said.Text)
		}
	}
}

func heldView(status, sale string) canned {
	return canned{status: 200, body: `{"order":"` + order + `","sale":"` + sale + `","status":"` + status + `","amount":13000,"currency":"EUR","hold_expires_at":"2026-11-22T21:15:49Z","items":[{"class":"A","quantity":2,"unit_price":6500}]}`}
}

func TestTheSalesPageOffersWhatABrowserHolds(t *testing.T) {
	cookie := func(value string) *http.Cookie {
		return &http.Cookie{Name: domain.HeldCookieName("concert"), Value: value}
	}
	kept := order + "." + orderToken
	for _, test := range []struct {
		name    string
		cookie  *http.Cookie
		answer  canned
		offered bool
		asked   bool
	}{
		{"held", cookie(kept), heldView("held", "concert"), true, true},
		{"paid meanwhile", cookie(kept), heldView("paid", "concert"), false, true},
		{"of another sale", cookie(kept), heldView("held", "other"), false, true},
		{"no answer", cookie(kept), canned{status: 503, body: `{"code":"overloaded"}`}, false, true},
		{"not its token", cookie(kept), canned{status: 404, body: `{"code":"not_found"}`}, false, true},
		{"not an order", cookie("../../x." + orderToken), heldView("held", "concert"), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.sales[0].WaitingRoom = false
			v.answer("GET /v1/orders/"+order, test.answer)
			w := v.get("/sales/concert", test.cookie)
			wantShown(t, w, 200, `id="checkout"`)
			if got := strings.Contains(w.Body.String(), "You have tickets on hold until 21:15:49 UTC"); got != test.offered {
				t.Errorf("offered: %t, want %t\n%s", got, test.offered, w.Body)
			}
			q, asked := v.question("GET /v1/orders/" + order)
			if asked != test.asked || asked && q.header.Get("Authorization") != "Bearer "+orderToken {
				t.Errorf("asked: %t with %q", asked, q.header.Get("Authorization"))
			}
		})
	}
}

func TestAnOrderIsCanceledWithoutJavaScript(t *testing.T) {
	const cancel = "POST /v1/orders/" + order + "/cancel"
	for _, test := range []struct {
		name   string
		cookie bool
		answer canned
		status int
		asked  bool
	}{
		{"held", true, canned{status: 200, body: `{"status":"canceled"}`}, 303, true},
		{"paid already", true, canned{status: 409, body: `{"code":"already_paid"}`}, 303, true},
		{"no answer", true, canned{status: 503, body: `{"code":"unknown"}`}, 503, true},
		{"another browser", false, canned{}, 303, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := visit(t)
			v.answer(cancel, test.answer)
			var cookies []*http.Cookie
			if test.cookie {
				cookies = append(cookies, &http.Cookie{Name: orderCookie, Value: orderToken})
			}
			w := v.post("/orders/"+order+"/cancel", url.Values{}, cookies...)
			if w.Code != test.status || test.status == 303 && w.Header().Get("Location") != "/orders/"+order {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
			if q, asked := v.question(cancel); asked != test.asked || asked && q.header.Get("Authorization") != "Bearer "+orderToken {
				t.Errorf("asked: %t with %q", asked, q.header.Get("Authorization"))
			}
		})
	}
	t.Run("a form of another site", func(t *testing.T) {
		v := visit(t)
		r := httptest.NewRequest("POST", "/orders/"+order+"/cancel", nil)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.AddCookie(&http.Cookie{Name: orderCookie, Value: orderToken})
		wantShown(t, v.send(r), 403, "another site")
		if _, asked := v.question(cancel); asked {
			t.Error("the API was asked")
		}
	})
	if w := visit(t).post("/orders/nope/cancel", nil); w.Code != 404 {
		t.Errorf("an invalid order: %d", w.Code)
	}
}

// withoutWords are the codes for which a page only says that something went wrong, and why that is enough.
var withoutWords = map[domain.Code]string{
	domain.CodeTooLarge: "no form of ours is too large", domain.CodeKeyMissing: "every form of ours has a key",
	domain.CodeInFlight: "the page waits and asks again", domain.CodeUnknown: "the page asks again", domain.CodeOverloaded: "the page asks again",
	domain.CodeRateLimited: "the page waits and asks again", domain.CodeClocksDiffer: "the page asks again",
	domain.CodeAlreadyPaid: "the order's page shows it", domain.CodePaymentProcessing: "the order's page says it", domain.CodeHoldersFixed: "the order's page says it", domain.CodeNotPaid: "the organiser's", domain.CodeNotSettled: "the organiser's", domain.CodeExists: "the organiser's",
	domain.CodeChanged: "the organiser's", domain.CodeCapacityInUse: "the organiser's",
	domain.CodeUnauthorized: "the organiser's", domain.CodeForged: "the provider's", domain.CodeInternal: "it did go wrong",
}

// Every code has its words, with and without JavaScript, or is listed as needing none.
func TestEveryCodeHasItsWords(t *testing.T) {
	for _, code := range domain.Codes {
		p := problem{Code: string(code)}
		isUnsaid := func(n *notice) bool { return n.Heading == "Something went wrong" }
		ofCheckout, ofJoin := !isUnsaid(checkoutRefusal(said(t, "en"), &domain.Sale{BuyerLimit: 6}, p, false, 0)), !isUnsaid(joinRefusal(said(t, "en"), p))
		switch why := withoutWords[code]; {
		case !ofCheckout && !ofJoin && why == "":
			t.Errorf("%s has no words: give it some in storefront/refusals.go (checkoutRefusal or joinRefusal) and in static/checkout.js or static/sale.js; "+
				"or say in withoutWords why it needs none", code)
		case (ofCheckout || ofJoin) && why != "":
			t.Errorf("%s has words, but withoutWords says that it needs none", code)
		}
		for script, has := range map[string]bool{"static/checkout.js": ofCheckout, "static/sale.js": ofJoin} {
			text, err := files.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			if has && !strings.Contains(string(text), "case '"+string(code)+"':") {
				t.Errorf("%s has words in storefront/refusals.go, but none in %s", code, script)
			}
		}
	}
}
