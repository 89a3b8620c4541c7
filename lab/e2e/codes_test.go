package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"boxoffice/client"
)

// A class behind a code: nobody sees it, and the code is good for one order at a time, whatever becomes of that.
func testHiddenClass(t *testing.T, s *stack) {
	sale := "e2e-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: sale, Name: "With a hidden class", Currency: "EUR", HoldSeconds: new(int64(longHold)),
		Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 100}, {Class: "members", Price: 3500, Capacity: 100, Hidden: new(true)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.boxOffice().MakeClassCodes(t.Context(), sale, &client.MakeClassCodesBody{Count: new(int64(1))})
	if err != nil {
		t.Fatal(err)
	}
	code := made.Codes[0]
	shown, err := s.boxOffice().GetSale(t.Context(), sale)
	if err != nil || len(shown.Classes) != 1 {
		t.Fatalf("everybody sees %+v, %v, want class A alone", shown.Classes, err)
	}
	opened, err := s.boxOffice().OpenClasses(t.Context(), sale, &client.OpenClassesBody{Code: strings.ToLower(code)})
	if err != nil || len(opened.Classes) != 1 || opened.Classes[0].Class != "members" || opened.Left != 1 {
		t.Fatalf("the code opens %+v, %v, want the members' class, once", opened, err)
	}
	checkout := func(code string) answer {
		return asked(t, func(ctx context.Context) error {
			_, err := s.boxOffice().CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: newKey()}, &client.CheckoutBody{
				Items: []client.CheckoutItem{{Class: "members", Quantity: 2}}, Buyer: client.CheckoutBuyer{Email: newBuyer()}, Code: code,
			})
			return err
		})
	}
	held := func() (o order) {
		t.Helper()
		a := checkout(code)
		if a.status != http.StatusCreated {
			t.Fatalf("a checkout with the code: %d %s", a.status, a.body)
		}
		a.into(t, &o)
		return o
	}
	refused := func(code string, status int, want string) {
		t.Helper()
		if a := checkout(code); a.status != status || a.code(t) != want {
			t.Fatalf("a checkout with %q: %d %s, want %d %s", code, a.status, a.body, status, want)
		}
	}
	refused("", http.StatusUnprocessableEntity, "invalid")
	refused("WRONG-WRONG-WRONG", http.StatusForbidden, "class_code_refused")

	first := held()
	refused(code, http.StatusConflict, "class_code_spent")
	s.cancel(t, first)
	second := held()
	s.pay(t, second, "failed")
	s.awaitStatus(t, second, "failed")
	third := held()
	s.pay(t, third, "succeeded")
	s.awaitStatus(t, third, "paid")
	refused(code, http.StatusConflict, "class_code_spent")
	if _, err := s.boxOffice().RefundOrder(t.Context(), third.Order); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, third, "refunded")

	var won atomic.Int64
	var buyers sync.WaitGroup
	for range 8 { // all at once
		buyers.Go(func() {
			switch a := checkout(code); {
			case a.status == http.StatusCreated:
				won.Add(1)
			case a.status != http.StatusConflict:
				t.Errorf("one of many: %d %s", a.status, a.body)
			}
		})
	}
	buyers.Wait()
	if got := won.Load(); got != 1 {
		t.Fatalf("%d orders have the code, want 1", got)
	}
	page := s.request(t, "POST", s.api("/sales/"+sale+"/code"), map[string]string{
		"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin",
	}, url.Values{"code": {code}}.Encode())
	if !strings.Contains(string(page.body), "quantity-members") || !strings.Contains(string(page.body), "Your code is in use") {
		t.Fatalf("the page of the sale with the code: %d %s", page.status, page.body)
	}
}
