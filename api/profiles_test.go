package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"boxoffice/domain"
)

func TestProfilesAreTheOrganisersAlone(t *testing.T) {
	const path = "/debug/pprof/"
	organiser := bearerOf(testAdminToken)
	const here, elsewhere = "127.0.0.1:1", "203.0.113.9:1"
	for name, tt := range map[string]struct {
		isOn, isApart bool
		from          string
		header        map[string]string
		status        int
	}{
		"off":                                   {false, true, here, organiser, 404},
		"on, without a token":                   {true, true, here, nil, 401},
		"on, with an empty token":               {true, true, here, bearerOf(""), 401},
		"on, with another token":                {true, true, here, bearerOf(testAdminToken + "x"), 401},
		"on the organiser's listener":           {true, true, elsewhere, organiser, 200},
		"on everybody's, from this machine":     {true, false, here, organiser, 200},
		"on everybody's, from another machine":  {true, false, elsewhere, organiser, 404},
		"on everybody's, here, without a token": {true, false, here, nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(o *Options) { o.Profiles, o.SeparateAdmin = tt.isOn, tt.isApart })
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr = tt.from
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			b.api.Admin().ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("%d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if tt.isApart {
				w := httptest.NewRecorder()
				b.api.Public().ServeHTTP(w, r)
				if w.Code != 404 {
					t.Errorf("to everybody: %d, want 404", w.Code)
				}
			}
		})
	}
}

func TestProfilesAreBounded(t *testing.T) {
	b := setup(t, func(o *Options) { o.Profiles, o.SeparateAdmin = true, true })
	ask := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+testAdminToken)
		w := httptest.NewRecorder()
		b.api.Admin().ServeHTTP(w, r)
		return w
	}
	for _, seconds := range []string{"0", "-1", "61", "1e3", "x"} {
		wantProblem(t, ask("/debug/pprof/profile?seconds="+seconds), 422, domain.CodeInvalid)
	}
	if w := ask("/debug/pprof/goroutine"); w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
	b.api.profiles.permits <- struct{}{} // somebody records
	wantProblem(t, ask("/debug/pprof/goroutine"), 503, domain.CodeOverloaded)
	<-b.api.profiles.permits
	if w := ask("/debug/pprof/goroutine"); w.Code != 200 {
		t.Errorf("the permit is taken: %d", w.Code)
	}
}

// A process without a token has no profiles for anybody.
func TestProfilesOfAProcessWithoutATokenAreNobodys(t *testing.T) {
	probes, err := NewProbes(Options{Profiles: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"", "Bearer ", "Bearer x"} {
		r := httptest.NewRequest(http.MethodGet, "/debug/pprof/heap", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		probes.ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("%q: %d, want 401", header, w.Code)
		}
	}
}
