package e2e

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// plainBrowser is a browser that runs no script: it opens pages, keeps cookies,
// follows redirects and sends forms.
type plainBrowser struct {
	t      *testing.T
	client *http.Client
	at     *url.URL // where it is
	page   string
}

func newPlainBrowser(t *testing.T) *plainBrowser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &plainBrowser{t: t, client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

func (b *plainBrowser) open(address string) int {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(request)
}

func (b *plainBrowser) do(request *http.Request) int {
	b.t.Helper()
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at, b.page = response.Request.URL, string(page)
	return response.StatusCode
}

var (
	forms      = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	cancelLink = regexp.MustCompile(`<a class="button" href="([^"]*)">Cancel</a>`)
	inputs     = regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)
)

// send fills in the page's form whose action has the given part, and sends it.
func (b *plainBrowser) send(action string, fill url.Values) int {
	b.t.Helper()
	for _, form := range forms.FindAllStringSubmatch(b.page, -1) {
		target := html.UnescapeString(form[1])
		if !strings.Contains(target, action) {
			continue
		}
		values := make(url.Values)
		for _, input := range inputs.FindAllStringSubmatch(form[2], -1) {
			values.Set(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
		}
		for name, value := range fill {
			values[name] = value
		}
		to, err := b.at.Parse(target)
		if err != nil {
			b.t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, to.String(), strings.NewReader(values.Encode()))
		if err != nil {
			b.t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
		return b.do(request)
	}
	b.t.Fatalf("no form to %s at %s\n%s", action, b.at, b.page)
	return 0
}

// heading is the first one that is visible without JavaScript.
func (b *plainBrowser) heading() string {
	plain := b.page
	if _, rest, ok := strings.Cut(plain, "<noscript>\n    \n<section>"); ok {
		plain = rest
	}
	m := regexp.MustCompile(`<h1[^>]*>([^<]*)</h1>`).FindStringSubmatch(plain)
	if m == nil {
		b.t.Fatalf("m is nil: %s\n%s", b.at, b.page)
	}
	return m[1]
}

// One buys a ticket with nothing but pages and forms; the form sent twice is one order.
func testWithoutJavaScript(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	b := newPlainBrowser(t)
	if got := b.open(s.api("/sales/" + sale)); got != http.StatusOK {
		t.Fatalf(`b.open(s.api("/sales/"+sale)) is %v, want %v`, got, http.StatusOK)
	}
	wish := url.Values{"quantity-A": {"2"}, "email": {newBuyer()}}
	sent := *b
	if got := b.send("/checkouts", wish); got != http.StatusOK {
		t.Fatalf(`b.send("/checkouts", wish) is %v, want %v`, got, http.StatusOK)
	}
	if !strings.Contains(b.at.Path, "/orders/") {
		t.Fatalf("no %q in %s", "/orders/", b.at.Path)
	}
	if got := b.heading(); got != "Your seats are held" {
		t.Fatalf(`b.heading() is %q, want "Your seats are held"`, got)
	}
	if got := sent.send("/checkouts", wish); got != http.StatusOK {
		t.Fatalf(`sent.send("/checkouts", wish) is %v, want %v`, got, http.StatusOK)
	}
	if sent.at.Path != b.at.Path {
		t.Fatalf("sent.at.Path is %q, want %q: sending the form twice is one order", sent.at.Path, b.at.Path)
	}
	s.awaitStock(t, sale, "A", level{Held: 2, Available: 8})
	order := b.at.String()

	pay := regexp.MustCompile(`href="(/orders/[^"]*/pay)"`).FindStringSubmatch(b.page)
	if pay == nil {
		t.Fatalf("pay is nil: %s", b.page)
	}
	if got := b.open(s.api(pay[1])); got != http.StatusOK {
		t.Fatalf("b.open(s.api(pay[1])) is %v, want %v", got, http.StatusOK)
	}
	if got := b.send("", url.Values{"outcome": {"succeeded"}}); got != http.StatusOK {
		t.Fatalf(`b.send("", url.Values{"outcome": {"succeeded"}}) is %v, want %v`, got, http.StatusOK)
	}
	eventually(t, "the order's page shows the tickets", func() bool {
		if got := b.open(order); got != http.StatusOK {
			t.Fatalf("b.open(order) is %v, want %v", got, http.StatusOK)
		}
		return b.heading() == "You are in!"
	})
	if got := strings.Count(b.page, `class="ticket-code">`) - 1; got != 2 {
		t.Fatalf("got %v, want 2: two codes, and the script's template\n%s", got, b.page)
	}

	// Another browser has the address only, without what stands behind its #.
	other := newPlainBrowser(t)
	if got := other.open(s.api(b.at.Path)); got != http.StatusOK {
		t.Fatalf("other.open(s.api(b.at.Path)) is %v, want %v", got, http.StatusOK)
	}
	if strings.Contains(other.page, "Ticket 1") {
		t.Fatalf("%q is in %s", "Ticket 1", other.page)
	}

	if got := b.open(s.api("/sales/" + sale)); got != http.StatusOK {
		t.Fatalf(`b.open(s.api("/sales/"+sale)) is %v, want %v`, got, http.StatusOK)
	}
	if got := b.send("/checkouts", url.Values{"quantity-a": {"5"}, "email": {newBuyer()}}); got != http.StatusTooManyRequests {
		t.Fatalf("got %v, want %v", got, http.StatusTooManyRequests)
	}
	if !strings.Contains(b.page, "That is more than one person may have") {
		t.Fatalf("no %q in %s", "That is more than one person may have", b.page)
	}
	if !strings.Contains(b.page, `value="5"`) {
		t.Fatalf("no %q in %s: the form is as it was filled in", `value="5"`, b.page)
	}
}
