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

	"github.com/stretchr/testify/require"
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
	require.NoError(t, err)
	return &plainBrowser{t: t, client: &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

func (b *plainBrowser) open(address string) int {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	require.NoError(b.t, err)
	return b.do(request)
}

func (b *plainBrowser) do(request *http.Request) int {
	b.t.Helper()
	response, err := b.client.Do(request)
	require.NoError(b.t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	b.at, b.page = response.Request.URL, string(page)
	return response.StatusCode
}

var (
	forms  = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*action="([^"]*)"[^>]*>(.*?)</form>`)
	inputs = regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"`)
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
		require.NoError(b.t, err)
		request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, to.String(), strings.NewReader(values.Encode()))
		require.NoError(b.t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", b.at.Scheme+"://"+b.at.Host)
		return b.do(request)
	}
	require.FailNow(b.t, "no form to "+action, "%s\n%s", b.at, b.page)
	return 0
}

// heading is the first one that stands for who has no JavaScript.
func (b *plainBrowser) heading() string {
	plain := b.page
	if _, rest, ok := strings.Cut(plain, "<noscript>\n    \n<section>"); ok {
		plain = rest
	}
	m := regexp.MustCompile(`<h1[^>]*>([^<]*)</h1>`).FindStringSubmatch(plain)
	require.NotNil(b.t, m, "%s\n%s", b.at, b.page)
	return m[1]
}

// One buys a ticket with nothing but pages and forms; the form sent twice is one order.
func testWithoutJavaScript(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	b := newPlainBrowser(t)
	require.Equal(t, http.StatusOK, b.open(s.api("/sales/"+sale)))
	wish := url.Values{"quantity-A": {"2"}, "email": {newBuyer()}}
	sent := *b
	require.Equal(t, http.StatusOK, b.send("/checkouts", wish))
	require.Contains(t, b.at.Path, "/orders/")
	require.Equal(t, "Your seats are held", b.heading())
	require.Equal(t, http.StatusOK, sent.send("/checkouts", wish))
	require.Equal(t, b.at.Path, sent.at.Path, "sending the form twice is one order")
	s.awaitStock(t, sale, "A", level{Held: 2, Available: 8})
	order := b.at.String()

	pay := regexp.MustCompile(`href="([^"]*/pay/[^"]*)"`).FindStringSubmatch(b.page)
	require.NotNil(t, pay, "%s", b.page)
	require.Equal(t, http.StatusOK, b.open(html.UnescapeString(pay[1])))
	require.Equal(t, http.StatusOK, b.send("", url.Values{"outcome": {"succeeded"}}))
	eventually(t, "the order's page shows the tickets", func() bool {
		require.Equal(t, http.StatusOK, b.open(order))
		return b.heading() == "You are in!"
	})
	require.Equal(t, 2, strings.Count(b.page, `class="ticket-code">`)-1, "two codes, and the script's template\n%s", b.page)

	// Another browser has the address only, without what stands behind its #.
	other := newPlainBrowser(t)
	require.Equal(t, http.StatusOK, other.open(s.api(b.at.Path)))
	require.NotContains(t, other.page, "Ticket 1")

	require.Equal(t, http.StatusOK, b.open(s.api("/sales/"+sale)))
	require.Equal(t, http.StatusTooManyRequests, b.send("/checkouts", url.Values{"quantity-a": {"5"}, "email": {newBuyer()}}))
	require.Contains(t, b.page, "That is more than one person may have")
	require.Contains(t, b.page, `value="5"`, "the form is as it was filled in")
}
