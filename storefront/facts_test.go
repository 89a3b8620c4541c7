package storefront

import (
	"encoding/json"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

var evening = domain.Facts{
	Description: "An evening.\nWith <script>alert(1)</script> & “music”",
	Venue:       domain.Venue{Name: "Tempodrom", Address: "Möckernstraße 10\n10963 Berlin"},
	StartsAt:    time.Date(2024, 5, 1, 18, 0, 0, 0, time.UTC), EndsAt: time.Date(2024, 5, 1, 21, 0, 0, 0, time.UTC), TimeZone: "Europe/Berlin",
	Terms: "No </script><b>cameras</b>.", TermsURL: "https://example.com/terms?a=1&b=2", Imprint: "Bühne GmbH",
}

func TestWhenAndWhere(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2024, 5, day, hour, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		facts       domain.Facts
		when, where string
	}{
		{domain.Facts{}, "", ""},
		{evening, "Wednesday, 1 May 2024, 20:00–23:00 (Europe/Berlin)", "Tempodrom, Möckernstraße 10, 10963 Berlin"},
		{domain.Facts{StartsAt: at(1, 18), TimeZone: "Asia/Seoul", Venue: domain.Venue{Name: "a"}}, "Thursday, 2 May 2024, 03:00 (Asia/Seoul)", "a"},
		{
			domain.Facts{StartsAt: at(1, 20), EndsAt: at(1, 23), TimeZone: "Europe/Berlin", Venue: domain.Venue{Address: "a\nb"}},
			"Wednesday, 1 May 2024, 22:00 – Thursday, 2 May 2024, 01:00 (Europe/Berlin)", "a, b",
		},
	} {
		if got := said(t, "en").when(tt.facts); got != tt.when {
			t.Errorf("when: %q, want %q", got, tt.when)
		}
		if got := where(tt.facts); got != tt.where {
			t.Errorf("where: %q, want %q", got, tt.where)
		}
	}
}

var linked = regexp.MustCompile(`<script type="application/ld\+json">(.*?)</script>`)

// The page of a sale shows its facts as text, and tells them to other sites and to search engines.
func TestThePageOfASaleTellsItsFacts(t *testing.T) {
	c, _ := setup(t)
	c.sales[0].Facts, c.sales[0].Classes[0].Label = evening, "Parkett, links"
	c.sales[0].Image = domain.SaleImage{Hash: "abc", Width: 16, Height: 9}
	c.sales[0].OpensAt = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	pages, err := New(Options{Catalog: c, API: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler), PublicURL: "https://tickets.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Body.String()
	}
	body := get("/sales/conference")
	for _, text := range []string{
		"Wednesday, 1 May 2024, 20:00–23:00 (Europe/Berlin)", "Tempodrom", "10963 Berlin", "Parkett, links", "Class B", "Bühne GmbH",
		"With &lt;script&gt;alert(1)&lt;/script&gt; &amp; “music”", "No &lt;/script&gt;&lt;b&gt;cameras&lt;/b&gt;.", `href="https://example.com/terms?a=1&amp;b=2"`,
		`<meta property="og:title" content="Conference &lt;b&gt;&#34;2027&#34;&lt;/b&gt;">`, `<meta property="og:url" content="https://tickets.example.com/sales/conference">`,
		`<img class="poster" src="/v1/sales/conference/images/abc" alt="" width="16" height="9">`,
		`<meta property="og:image" content="https://tickets.example.com/v1/sales/conference/images/abc">`,
		`<meta property="og:description" content="An evening. With &lt;script&gt;`,
	} {
		if !strings.Contains(body, text) {
			t.Errorf("%q is missing in\n%s", text, body)
		}
	}
	found := linked.FindStringSubmatch(body)
	if found == nil {
		t.Fatal("no JSON-LD in", body)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(found[1]), &event); err != nil {
		t.Fatalf("%v: %s", err, found[1])
	}
	for name, want := range map[string]any{
		"@context": "https://schema.org", "@type": "Event", "name": `Conference <b>"2027"</b>`, "description": evening.Description,
		"startDate": "2024-05-01T20:00:00+02:00", "endDate": "2024-05-01T23:00:00+02:00", "eventStatus": "https://schema.org/EventScheduled",
		"url": "https://tickets.example.com/sales/conference",
	} {
		if event[name] != want {
			t.Errorf("%s is %q, want %q", name, event[name], want)
		}
	}
	if place := event["location"].(map[string]any); place["@type"] != "Place" || place["name"] != "Tempodrom" || place["address"] != "Möckernstraße 10, 10963 Berlin" {
		t.Errorf("location %v", place)
	}
	var offers []string
	for _, offer := range event["offers"].([]any) {
		o := offer.(map[string]any)
		offers = append(offers, strings.Join([]string{
			o["@type"].(string), o["name"].(string), o["price"].(string), o["priceCurrency"].(string), o["availability"].(string), o["validFrom"].(string),
		}, " "))
	}
	if got, want := strings.Join(offers, "; "), "Offer Parkett, links 65.00 EUR https://schema.org/SoldOut 2024-01-01T00:00:00Z; "+
		"Offer Class B 35.00 EUR https://schema.org/InStock 2024-01-01T00:00:00Z"; got != want {
		t.Errorf("offers %q, want %q", got, want)
	}
	if front := get("/"); !strings.Contains(front, "Wednesday, 1 May 2024, 20:00–23:00") || !strings.Contains(front, "Tempodrom") {
		t.Errorf("the front page: %s", front)
	}

	c.sales[0].CanceledAt = time.Unix(1, 0)
	if text := get("/sales/conference"); !strings.Contains(text, "EventCancelled") {
		t.Error("canceled, and the event is not")
	}
}

func TestASaleWithoutFactsHasItsPage(t *testing.T) {
	_, get := setup(t)
	body := get("/sales/conference").Body.String()
	for _, text := range []string{"ld+json", "og:url", "og:description", "<dt>When", "<dt>Where", "Terms"} {
		if strings.Contains(body, text) {
			t.Errorf("%q in\n%s", text, body)
		}
	}
	if !strings.Contains(body, `<meta property="og:title" content="Conference`) {
		t.Error("no title for others")
	}
}

// Whoever bought without JavaScript reads the facts on the order's page, and takes the event along.
func TestAPlainOrderTellsItsFacts(t *testing.T) {
	const calendar = "BEGIN:VCALENDAR\r\n"
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer "+strings.Repeat("t", 22):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "/calendar"):
			_, _ = w.Write([]byte(calendar))
		case strings.HasSuffix(r.URL.Path, "/pdf"):
			_, _ = w.Write([]byte("%PDF-"))
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"order": order, "sale": "conference", "sale_name": "Conference", "status": "paid", "amount": 6500, "currency": "EUR", "facts": evening,
				"items":   []any{map[string]any{"class": "A", "label": "Parkett", "quantity": 1, "unit_price": 6500}},
				"tickets": []any{map[string]any{"number": 1, "class": "A", "code": "ABCDE"}},
			})
		}
	})
	c, _ := setup(t)
	pages, err := New(Options{Catalog: c, API: api, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		if token != "" {
			r.AddCookie(&http.Cookie{Name: orderCookie, Value: token})
		}
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		return w
	}
	token := strings.Repeat("t", 22)
	body := html.UnescapeString(get("/orders/"+order, token).Body.String())
	for _, text := range []string{"1 × Parkett", `<p class="ticket-class">Parkett</p>`, said(t, "en").when(evening), where(evening), "Bühne GmbH", "/orders/" + order + "/event.ics"} {
		if !strings.Contains(body, text) {
			t.Errorf("%q is missing in\n%s", text, body)
		}
	}
	w := get("/orders/"+order+"/event.ics", token)
	if w.Code != 200 || w.Body.String() != calendar || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/calendar") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	w = get("/orders/"+order+"/tickets.pdf", token)
	if w.Code != 200 || w.Body.String() != "%PDF-" || w.Header().Get("Content-Type") != "application/pdf" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, token := range []string{"", "another"} {
		for _, file := range []string{"event.ics", "tickets.pdf"} {
			if w := get("/orders/"+order+"/"+file, token); w.Code != 404 {
				t.Errorf("%s, token %q: %d", file, token, w.Code)
			}
		}
	}
}
