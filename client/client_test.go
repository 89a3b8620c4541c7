package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"boxoffice/client"
)

// A request follows the contract, and a problem comes back as a Refusal.
func TestACheckoutAndItsRefusal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/v1/sales/rock/checkouts" && r.Header.Get("Idempotency-Key") == "a-key-of-16-characters" && len(body) > 0:
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"order":"01a2","token":"t","status":"held","amount":6500}`))
		case r.URL.EscapedPath() == "/v1/orders/a%2Fb" && r.Header.Get("Authorization") == "Bearer t":
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"code":"unknown","detail":"Repeat it.","status":503}`))
		case r.URL.RequestURI() == "/v1/orders?limit=2&status=paid" && r.Header.Get("Authorization") == "Bearer organiser":
			_, _ = w.Write([]byte(`{"orders":[],"next":"n"}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	c := &client.Client{URL: server.URL + "/", AdminToken: "organiser"}

	held, err := c.CreateCheckout(t.Context(), "rock", client.CreateCheckoutParams{IdempotencyKey: "a-key-of-16-characters"},
		&client.CheckoutBody{Items: []client.CheckoutItem{{Class: "A", Quantity: 1}}, Buyer: client.CheckoutBuyer{Email: "a@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if held.Amount != 6500 {
		t.Fatalf("amount %v, want %v", held.Amount, 6500)
	}

	_, err = c.GetOrder(t.Context(), "a/b", held.Token)
	var refused *client.Refusal
	if !errors.As(err, &refused) {
		t.Fatalf("%v is no refusal", err)
	}
	if got := client.CodeOf(err); got != "unknown" {
		t.Fatalf("%v, want %v", got, "unknown")
	}
	if refused.RetryAfter != 3*time.Second {
		t.Fatalf("repeat after %v, want %v", refused.RetryAfter, 3*time.Second)
	}
	if refused.IsDefinite() {
		t.Fatal("an unknown outcome counts as definite")
	}

	page, err := c.FindOrders(t.Context(), client.FindOrdersParams{Status: "paid", Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if page.Next != "n" {
		t.Fatalf("%v, want %v", page.Next, "n")
	}
}
