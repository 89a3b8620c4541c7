package storefront

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

type catalog struct {
	sales    []*domain.Sale
	levels   []domain.StockLevel
	err      error
	stockErr error
	hangs    bool // the ledger never answers

	interrupted bool
}

func (c *catalog) isInterrupted(string) bool { return c.interrupted }

func (c *catalog) Sales(context.Context) ([]*domain.Sale, error) { return c.sales, c.err }

func (c *catalog) Stock(ctx context.Context, _ *domain.Sale) ([]domain.StockLevel, error) {
	if c.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.levels, c.stockErr
}

func (c *catalog) Sale(_ context.Context, id string) (*domain.Sale, error) {
	for _, sale := range c.sales {
		if sale.ID == id {
			return sale, c.err
		}
	}
	return nil, domain.NotFound("sale")
}

func setup(t *testing.T) (*catalog, func(path string) *httptest.ResponseRecorder) {
	t.Helper()
	c := &catalog{
		sales: []*domain.Sale{{
			ID: "conference", Name: `Conference <b>"2027"</b>`, Currency: "EUR", BuyerLimit: 6, HoldTimeout: 10 * time.Minute,
			Classes: []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 10, Ledger: 1}, {Name: "B", PriceMinor: 3500, Capacity: 10, Ledger: 2}},
			Perk:    &domain.Perk{Name: "T-shirt", Capacity: 100, Ledger: 3},
		}},
		levels: []domain.StockLevel{{Ledger: 1, Capacity: 10, Sold: 10}, {Ledger: 2, Capacity: 10, Available: 7, Sold: 3}, {Ledger: 3, Capacity: 100, Available: 96}},
	}
	pages, err := New(Options{
		Catalog: c, API: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
		TemporalUIURL: "http://127.0.0.1:8233/", TemporalNamespace: "default",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
}

const order = "0198c0de0000aaaaaaaaaaaaaaaaaa00"

func TestPages(t *testing.T) {
	tests := []struct {
		path   string
		status int
		shows  []string
	}{
		{"/", 200, []string{"€35.00", "7 tickets left", "T-shirt", `href="/sales/conference"`}},
		{"/sales/conference", 200, []string{"€65.00", "Sold out", "7 of 10 left", "96 left", "10 minutes", `method="post" action="/sales/conference/checkouts"`, "<noscript>", `data-sale="conference"`}},
		{"/sales/nope", 404, []string{"There is nothing here"}},
		{"/orders/" + order, 200, []string{order, "http://127.0.0.1:8233/namespaces/default/workflows/checkout%2F" + order}},
		{"/organiser/sales/conference", 200, []string{`data-sale="conference"`, `src="/static/organiser.`, `type="password"`, "<noscript>"}},
		{"/organiser/sales/No", 404, []string{"There is nothing here"}},
		{"/orders/xyz", 404, []string{"There is nothing here"}},
		{"/nope", 404, []string{"There is nothing here"}},
		{"/static/nope.js", 404, nil},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			_, get := setup(t)
			w := get(test.path)
			if w.Code != test.status || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
			}
			for _, text := range test.shows {
				if !strings.Contains(w.Body.String(), text) {
					t.Errorf("%q is missing in\n%s", text, w.Body)
				}
			}
		})
	}
}

var inline = regexp.MustCompile(`<script(>| [^>]*>[^<])|<style|\son\w+=|\sstyle=|javascript:|https?://[^"]*\.(js|css)`)

// A page must not contain what its policy forbids, because it would not work.
func TestPagesKeepToTheirPolicy(t *testing.T) {
	_, get := setup(t)
	for _, path := range []string{"/", "/sales/conference", "/orders/" + order, "/organiser/sales/conference", "/nope"} {
		w := get(path)
		if found := inline.FindString(w.Body.String()); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		h := w.Header()
		if policy := h.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if h.Get("Referrer-Policy") != "same-origin" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, h)
		}
		if strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s does not escape the sale's name", path)
		}
	}
}

func TestStandingOfASale(t *testing.T) {
	tests := []struct {
		name   string
		change func(*catalog)
		shows  string
	}{
		{"others hold the rest", func(c *catalog) { c.levels[1].Held, c.levels[1].Available = 7, 0 }, "All on hold, some may come back"},
		{"sold out for good", func(c *catalog) { c.levels[1].Sold, c.levels[1].Available = 10, 0 }, "Sold out"},
		{"not open yet", func(c *catalog) { c.sales[0].OpensAt = time.Date(2999, 1, 2, 3, 4, 0, 0, time.UTC) }, "Opens 2 Jan 2999, 03:04 UTC"},
		{"canceled", func(c *catalog) { c.sales[0].CanceledAt = time.Now() }, "Canceled by the organiser"},
		{"closed", func(c *catalog) { c.sales[0].ClosesAt = time.Now().Add(-time.Hour) }, "Closed"},
		{"nothing on sale", func(c *catalog) { c.sales = nil }, "Nothing is on sale"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, get := setup(t)
			test.change(c)
			if w := get("/"); w.Code != 200 || !strings.Contains(w.Body.String(), test.shows) {
				t.Errorf("%d, %q is missing in\n%s", w.Code, test.shows, w.Body)
			}
		})
	}
}

func TestACanceledSaleSaysSo(t *testing.T) {
	c, get := setup(t)
	if w := get("/sales/conference"); !strings.Contains(w.Body.String(), `id="canceled" role="status" hidden`) {
		t.Errorf("a sale that is not canceled says it is:\n%s", w.Body)
	}
	c.sales[0].CanceledAt = time.Now()
	w := get("/sales/conference")
	for _, text := range []string{`data-open="false"`, `data-canceled="true"`, `id="canceled" role="status"><strong>This sale is canceled`} {
		if !strings.Contains(w.Body.String(), text) {
			t.Errorf("%q is missing in\n%s", text, w.Body)
		}
	}
}

func TestWhatAPageSaysOfWindows(t *testing.T) {
	past, future := time.Date(2001, 1, 2, 3, 4, 0, 0, time.UTC), time.Date(2999, 1, 2, 3, 4, 0, 0, time.UTC)
	for _, test := range []struct {
		name     string
		change   func(*domain.Sale)
		shows    []string
		notShown []string
	}{
		{"it closes later", func(s *domain.Sale) { s.ClosesAt = future }, []string{"On sale until 2 Jan 2999, 03:04 UTC", `data-closed="false"`}, nil},
		{"it has closed", func(s *domain.Sale) { s.ClosesAt = past }, []string{`id="closed" role="status"><strong>This sale is closed`, `data-closed="true"`, `autocomplete="on" hidden`}, []string{"On sale until"}},
		{"a class opens later", func(s *domain.Sale) { s.Classes[0].OpensAt = future }, []string{"On sale from 2 Jan 2999, 03:04 UTC", `data-shut="later"`}, nil},
		{"a class has closed", func(s *domain.Sale) { s.Classes[0].ClosesAt = past }, []string{"No longer on sale", `data-shut="over"`}, nil},
		{"a class closes later", func(s *domain.Sale) { s.Classes[0].ClosesAt = future }, []string{"until 2 Jan 2999, 03:04 UTC"}, []string{"data-shut"}},
		{"none is on sale now", func(s *domain.Sale) {
			for i := range s.Classes {
				s.Classes[i].OpensAt = future
			}
		}, []string{"Nothing is on sale right now"}, []string{"Sold out"}},
		{"a maximum per order", func(s *domain.Sale) { s.Classes[0].MaxPerOrder = 3 }, []string{"at most 3 an order", `data-max="3"`}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, get := setup(t)
			test.change(c.sales[0])
			body := get("/sales/conference").Body.String()
			for _, text := range test.shows {
				if !strings.Contains(body, text) {
					t.Errorf("%q is missing in\n%s", text, body)
				}
			}
			for _, text := range test.notShown {
				if strings.Contains(body, text) {
					t.Errorf("%q is shown in\n%s", text, body)
				}
			}
		})
	}
}

func TestWithoutTheLedgerNothingWrongIsShown(t *testing.T) {
	c, get := setup(t)
	c.levels, c.stockErr = nil, errors.New("down")
	for _, path := range []string{"/", "/sales/conference"} {
		if w := get(path); w.Code != 200 || strings.Contains(w.Body.String(), "Sold out") {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
}

func TestTheFrontPageWaitsOnceForAllSales(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, get := setup(t)
		c.hangs = true
		for range 20 {
			c.sales = append(c.sales, c.sales[0])
		}
		start := time.Now()
		if w := get("/"); w.Code != 200 || time.Since(start) != cardsStockTimeout {
			t.Errorf("status %d after %v, want 200 after %v", w.Code, time.Since(start), cardsStockTimeout)
		}
	})
}

func TestWithoutTheDatabaseThePageSaysSo(t *testing.T) {
	c, get := setup(t)
	c.err = errors.New("secret host is down")
	for _, path := range []string{"/", "/sales/conference"} {
		if w := get(path); w.Code != 503 || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d\n%s", path, w.Code, w.Body)
		}
	}
}

func TestStaticFilesAreRevalidated(t *testing.T) {
	c, get := setup(t)
	for path, contentType := range map[string]string{
		"/static/style.css": "text/css; charset=utf-8", "/static/sale.js": "text/javascript; charset=utf-8", "/static/icon.svg": "image/svg+xml",
	} {
		w := get(path)
		if w.Code != 200 || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		pages, err := New(Options{Catalog: c, API: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", w.Header().Get("ETag"))
		again := httptest.NewRecorder()
		pages.ServeHTTP(again, r)
		if again.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", path, again.Code)
		}
	}
}

func TestMoney(t *testing.T) {
	for _, test := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{6500, "EUR", "€65.00"}, {5, "EUR", "€0.05"}, {0, "USD", "$0.00"}, {123456789, "GBP", "£1,234,567.89"},
		{4500, "JPY", "¥4,500"}, {1500, "KWD", "KWD\u00a01.500"}, {-250, "EUR", "-€2.50"}, {100000, "CHF", "CHF\u00a01,000.00"},
		{1000000, "HUF", "HUF\u00a010,000.00"}, {-1500000, "IQD", "-IQD\u00a01,500.000"},
	} {
		if got := Money("en", test.minor, test.currency); got != test.want {
			t.Errorf("%d %s: %q, want %q", test.minor, test.currency, got, test.want)
		}
	}
}
