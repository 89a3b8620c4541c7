package loopback

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyNamesOfThisMachineAreServed(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1:8233": 200, "127.0.0.1": 200, "127.8.8.8:1": 200, "localhost:8233": 200, "LOCALHOST": 200, "[::1]:8233": 200, "[::1]": 200,
		"evil.example:8233": 421, "evil.example": 421, "127.0.0.1.evil.example:8233": 421, "localhost.evil.example": 421,
		"203.0.113.7:8233": 421, "0.0.0.0:8233": 421, "": 421, "127.1": 421, "localhost@evil.example": 421,
	} {
		reached := false
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		Only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true })).ServeHTTP(w, r)
		if w.Code != want || reached != (want == 200) {
			t.Errorf("Host %q: %d, reached %t; want %d", host, w.Code, reached, want)
		}
	}
}
