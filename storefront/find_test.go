package storefront

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFindYourOrders(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		code   string
		want   int
		says   string
	}{
		"asked":          {202, "", 202, "Gibt es Bestellungen zu dieser Adresse"},
		"no address":     {422, "invalid", 422, "Das ist keine E-Mail-Adresse"},
		"too often":      {429, "rate_limited", 429, "in 7 Sekunden noch einmal"},
		"away":           {503, "overloaded", 503, "Wir können gerade nicht antworten"},
		"somebody's bug": {500, "internal", 503, "Wir können gerade nicht antworten"},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]string
			api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/order-links" {
					return
				}
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.Header.Get("Accept-Language") != "de" {
					t.Errorf("%v, language %q", err, r.Header.Get("Accept-Language"))
				}
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(tt.status)
				_ = json.NewEncoder(w).Encode(map[string]string{"code": tt.code})
			})
			pages, err := New(Options{Catalog: &catalog{}, API: api, Log: slog.New(slog.DiscardHandler), Mails: true})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "/orders", strings.NewReader("email=ann%40example.com"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Accept-Language", "de")
			w := httptest.NewRecorder()
			pages.ServeHTTP(w, r)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.says) || got["email"] != "ann@example.com" {
				t.Errorf("%d %v %s", w.Code, got, w.Body)
			}
			if tt.want != 202 && !strings.Contains(w.Body.String(), `value="ann@example.com"`) {
				t.Error("the input is gone")
			}
		})
	}
}

// If mail is on, the page exists and every page links to it. Otherwise there is no page and
// no link.
func TestThePageToFindOrdersExistsIfMailIsOn(t *testing.T) {
	for _, mails := range []bool{false, true} {
		pages, err := New(Options{Catalog: &catalog{}, API: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), Mails: mails})
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			pages.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			return w
		}
		if linked := strings.Contains(get("/").Body.String(), `href="/orders"`); linked != mails {
			t.Errorf("linked %v with mail %v", linked, mails)
		}
		if found := get("/orders").Code == 200; found != mails {
			t.Errorf("found %v with mail %v", found, mails)
		}
	}
}
