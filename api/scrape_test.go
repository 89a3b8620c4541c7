package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"boxoffice/domain"
)

// Of many scrapes at once, a few run. The rest are refused at once, before anything is read.
func TestAFewScrapesAtATime(t *testing.T) {
	var reading, most, read atomic.Int64
	arrived, release := make(chan struct{}, 1000), make(chan struct{})
	b := setup(t, func(o *Options) {
		o.SeparateAdmin = true
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			most.Store(max(most.Load(), reading.Add(1)))
			defer reading.Add(-1)
			read.Add(1)
			arrived <- struct{}{}
			fmt.Fprint(w, "begun\n") // a slow reader keeps its permit
			<-release
		})
	})
	scrape := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		b.api.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w
	}
	served := make(chan int, scrapesInFlightMax)
	for range scrapesInFlightMax {
		go func() { served <- scrape().Code }()
	}
	for range scrapesInFlightMax {
		<-arrived
	}
	for range 1500 {
		w := scrape()
		wantProblem(t, w, 503, domain.CodeOverloaded)
		if w.Header().Get("Retry-After") == "" {
			t.Fatal("no Retry-After")
		}
	}
	if most.Load() != scrapesInFlightMax || read.Load() != scrapesInFlightMax {
		t.Errorf("%d scrapes read at once, %d in all; want %d", most.Load(), read.Load(), scrapesInFlightMax)
	}
	close(release)
	for range scrapesInFlightMax {
		if code := <-served; code != 200 {
			t.Errorf("one of the first: %d", code)
		}
	}
	if w := scrape(); w.Code != 200 {
		t.Errorf("the permits were not given back: %d", w.Code)
	}
}

// Without a separate listener for the organiser, strangers still see no metrics.
func TestMetricsOnAListenerForAllWantTheOrganisersToken(t *testing.T) {
	var read atomic.Int64
	b := setup(t, func(o *Options) {
		o.Metrics = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { read.Add(1) })
	})
	for name, header := range map[string]map[string]string{
		"no token": nil, "another": bearerOf(testAdminToken + "x"), "an empty one": bearerOf(""),
	} {
		w := b.do(request{method: "GET", path: "/metrics", header: header})
		wantProblem(t, w, 401, domain.CodeUnauthorized)
		if read.Load() != 0 {
			t.Errorf("%s: the metrics were read", name)
		}
	}
	if w := b.do(request{method: "GET", path: "/metrics", header: bearerOf(testAdminToken)}); w.Code != 200 || read.Load() != 1 {
		t.Errorf("with the token: %d, %d read", w.Code, read.Load())
	}
}
