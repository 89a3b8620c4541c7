package app

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestEraseBuyer(t *testing.T) {
	var asked map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = nil
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/v1/erasures" {
			t.Errorf("%s: %v", r.URL, err)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"orders": []string{"01", "02"}, "unsold": []string{"03"}})
	}))
	t.Cleanup(server.Close)
	c := config{AdminURL: server.URL, AdminToken: "an-admin-token-of-tests"}
	for name, tt := range map[string]struct {
		in       string
		byOrders bool
		want     map[string]any // nil: nothing is asked
	}{
		"an address":      {in: "ann@example.com\n", want: map[string]any{"email": "ann@example.com"}},
		"two addresses":   {in: "ann@example.com\nbob@example.com\n"},
		"nothing":         {in: "\n"},
		"what it printed": {in: "01\n02\n03\n", byOrders: true, want: map[string]any{"orders": []any{"01", "02", "03"}}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := readLines(strings.NewReader(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			asked = nil
			var out bytes.Buffer
			err = c.eraseBuyer(t.Context(), lines, tt.byOrders, &out)
			if !reflect.DeepEqual(asked, tt.want) {
				t.Errorf("asked %v, want %v", asked, tt.want)
			}
			if (err == nil) != (tt.want != nil) || err == nil && out.String() != "01\n02\n03\n" {
				t.Errorf("printed %q, %v", out.String(), err)
			}
		})
	}
}
