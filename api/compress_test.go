package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Pages and public lists are compressed; what is held, refused, streamed, asked for with a token, or small is not.
func TestWhatIsCompressed(t *testing.T) {
	long := strings.Repeat("All of this is said again. ", 200)
	handler, err := compressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}
		if r.URL.Path == "/small" {
			_, _ = io.WriteString(w, "{}")
			return
		}
		_, _ = io.WriteString(w, long)
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, accepts, token string
		zipped                       bool
	}{
		{"GET", "/", "gzip, deflate, br, zstd", "", true},
		{"GET", "/", "", "", false},
		{"GET", "/", "gzip;q=0", "", false},
		{"GET", "/sales/concert", "gzip", "", true},
		{"GET", "/openapi.json", "gzip", "", true},
		{"GET", "/v1/sales", "gzip", "", true},
		{"GET", "/v1/sales/concert", "gzip", "", true},
		{"GET", "/small", "gzip", "", false},
		{"POST", "/sales/concert/checkouts", "gzip", "", false}, // repeats what was typed
		{"POST", "/v1/sales/concert/checkouts", "gzip", "", false},
		{"GET", "/v1/sales/concert/events", "gzip", "", false},
		{"GET", "/v1/queue/token", "gzip", "", false},
		{"GET", "/v1/orders/1", "gzip", "Bearer x", false},
		{"GET", "/v1/sales", "gzip", "Bearer x", false},
		{"GET", "/metrics", "gzip", "", false},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Header.Set("Accept-Encoding", tt.accepts)
		if tt.token != "" {
			r.Header.Set("Authorization", tt.token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		body := w.Body.Bytes()
		zipped := w.Header().Get("Content-Encoding") == "gzip"
		if zipped != tt.zipped {
			t.Errorf("%s %s, %q: compressed %t, want %t", tt.method, tt.path, tt.accepts, zipped, tt.zipped)
		}
		if zipped {
			reader, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(w.Header().Get("Vary"), "Accept-Encoding") {
				t.Errorf("%s: caches would mix it up: Vary %q", tt.path, w.Header().Get("Vary"))
			}
		}
		if want := long; tt.path != "/small" && string(body) != want {
			t.Errorf("%s %s has %d bytes, want %d", tt.method, tt.path, len(body), len(want))
		}
	}
}
