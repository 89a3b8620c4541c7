package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// testStrangers: parts without a password on this machine cannot be reached by those who
// should not.
func testStrangers(t *testing.T, s *stack) {
	ask := func(method, url, host, body string, header http.Header) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		if host != "" {
			r.Host = host
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	t.Run("pages whose name was made to resolve to this machine", func(t *testing.T) {
		for _, url := range []string{s.env["MOCKPAY_URL"] + "/healthz", s.env["TEMPORAL_UI_URL"] + "/healthz", s.env["TEMPORAL_UI_URL"] + "/api/v1/settings"} {
			if got := ask(http.MethodGet, url, "", "", http.Header{}); got != http.StatusOK {
				t.Fatalf(`ask(http.MethodGet, url, "", "", http.Header{}) is %v, want %v: %v`, got, http.StatusOK, url)
			}
			if got := ask(http.MethodGet, url, "evil.example", "", http.Header{}); got != http.StatusMisdirectedRequest {
				t.Fatalf(`ask(http.MethodGet, url, "evil.example", "", http.Header{}) is %v, want %v: %v`, got, http.StatusMisdirectedRequest, url)
			}
		}
	})
	t.Run("programs at the codec", func(t *testing.T) {
		decode := s.env["BOXOFFICE_CODEC_URL"] + "/decode"
		for name, c := range map[string]struct {
			header http.Header
			want   int
		}{
			"without the token": {http.Header{}, http.StatusUnauthorized},
			"with it":           {http.Header{"Authorization": {"Bearer " + s.env["BOXOFFICE_CODEC_TOKEN"]}}, http.StatusOK},
			"the Web UI's page": {http.Header{"Origin": {s.env["TEMPORAL_UI_URL"]}}, http.StatusOK},
		} {
			c.header.Set("Content-Type", "application/json")
			if got := ask(http.MethodPost, decode, "", `{"payloads":[]}`, c.header); got != c.want {
				t.Fatalf("got %v, want %v: %v", got, c.want, name)
			}
		}
	})
	t.Run("metrics on a listener for all", func(t *testing.T) {
		url := s.env["BOXOFFICE_ADMIN_URL"] + "/metrics"
		if got := ask(http.MethodGet, url, "", "", http.Header{}); got != http.StatusUnauthorized {
			t.Fatalf(`ask(http.MethodGet, url, "", "", http.Header{}) is %v, want %v`, got, http.StatusUnauthorized)
		}
		if got := ask(http.MethodGet, url, "", "", http.Header{"Authorization": {"Bearer " + s.env["BOXOFFICE_ADMIN_TOKEN"]}}); got != http.StatusOK {
			t.Fatalf("got %v, want %v", got, http.StatusOK)
		}
	})
}
