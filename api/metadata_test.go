package api

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"boxoffice/domain"
)

func noted(metadata string) string {
	return fmt.Sprintf(`{"items":[{"class":"A","quantity":1}],"buyer":{"email":"buyer@example.com"},"metadata":%s}`, metadata)
}

// Metadata comes back wherever the order is shown.
func TestMetadataComesBack(t *testing.T) {
	b := setup(t)
	want := map[string]string{"cart": "4711", "campaign": "Frühling"}
	var held CheckoutView
	w := b.checkout(testKey, noted(`{"cart":"4711","campaign":"Frühling"}`))
	decode(t, w, &held)
	if w.Code != 201 || !maps.Equal(held.Metadata, want) {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	see := func(when string) {
		t.Helper()
		var order OrderView
		decode(t, b.do(request{"GET", "/v1/orders/" + held.Order.String(), "", bearerOf(held.Token)}), &order)
		if !maps.Equal(order.Metadata, want) {
			t.Errorf("%s: %v", when, order.Metadata)
		}
	}
	see("held")
	b.do(webhookOf("good", held.Order.String()))
	see("paid")
	var list OrdersView
	decode(t, b.do(request{"GET", "/v1/sales/conference/orders", "", bearerOf(testAdminToken)}), &list)
	if len(list.Orders) != 1 || !maps.Equal(list.Orders[0].Metadata, want) {
		t.Errorf("the organiser's: %+v", list.Orders)
	}
}

// The key stands for the metadata too, in whatever order it is written.
func TestAKeyStandsForItsMetadata(t *testing.T) {
	b := setup(t)
	if w := b.checkout(testKey, noted(`{"a":"1","b":"2"}`)); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := b.checkout(testKey, noted(`{"b":"2","a":"1"}`)); w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same: %d %s", w.Code, w.Body)
	}
	for _, other := range []string{`{"a":"1"}`, `{"a":"1","b":"3"}`, `{"a":"1","b":"2","c":"3"}`, `{}`} {
		wantProblem(t, b.checkout(testKey, noted(other)), 422, domain.CodeKeyReused)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	many := func(n, valueLen int) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(`"k%03d":%q`, i, strings.Repeat("v", valueLen)))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for metadata, ok := range map[string]bool{
		many(16, 124): true, many(16, 125): false, many(17, 1): false, many(1, 500): true, many(1, 501): false,
		`{"` + strings.Repeat("k", 40) + `":"v"}`: true, `{"` + strings.Repeat("k", 41) + `":"v"}`: false,
		`{"":"v"}`: false, `{"grace@example.com":"v"}`: false, `{"k":""}`: false, `{"k":"a\nb"}`: false, `{"k":"a\u0000"}`: false,
		`{"k":null}`: false, `{"grace@example.com":7}`: false, `["k"]`: false, `"k"`: false, `{"k":{"l":"v"}}`: false, `{}`: true, `null`: true,
	} {
		b := setup(t)
		w := b.checkout(testKey, noted(metadata))
		if ok {
			if w.Code != 201 {
				t.Errorf("%.40s: %d %s", metadata, w.Code, w.Body)
			}
			continue
		}
		p := wantProblem(t, w, 422, domain.CodeInvalid)
		if len(p.Errors) == 0 || p.Errors[0].Field != "metadata" || strings.Contains(w.Body.String(), "grace") {
			t.Errorf("%.40s: %s", metadata, w.Body)
		}
	}
}
