package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"boxoffice/domain"
)

func webhookOf(signature, body string) request {
	return request{"POST", webhookRoute, body, map[string]string{"Content-Type": "application/json", "Webhook-Id": "evt_1", "Webhook-Signature": signature}}
}

func adminOf(method, path, body, token string) request {
	header := bearerOf(token)
	header["Content-Type"] = "application/json"
	return request{method, path, body, header}
}

// Every route that answers GET answers HEAD with the same status and headers and no body,
// even a stream.
func TestHeadIsGetWithoutItsBody(t *testing.T) {
	b, _ := roomSetup(t)
	server := httptest.NewServer(b.api.Public())
	t.Cleanup(server.Close)
	t.Cleanup(b.api.CloseStreams)
	h := &house{t: t, bundle: b, address: server.Listener.Addr().String(), url: server.URL}
	id, token := b.held(testKey)
	path := strings.NewReplacer(":sale", "rush", ":order", id.String(), ":token", b.joined(), ":n", "1", ":code", "sold_out")
	for _, route := range b.api.public.Routes() {
		if route.Method != http.MethodGet {
			continue
		}
		t.Run(route.Path, func(t *testing.T) {
			authorization := testAdminToken
			if strings.Contains(route.Path, ":order") {
				authorization = token
			}
			ask := func(method string) *http.Response {
				ctx, cancel := context.WithCancel(t.Context()) // what ends a stream
				t.Cleanup(cancel)
				r, err := http.NewRequestWithContext(ctx, method, h.url+path.Replace(route.Path), nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+authorization)
				response, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				return response
			}
			get, head := ask(http.MethodGet), ask(http.MethodHead)
			if head.StatusCode != get.StatusCode || head.Header.Get("Content-Type") != get.Header.Get("Content-Type") || get.StatusCode == http.StatusMethodNotAllowed {
				t.Errorf("HEAD %s %v\nGET %s %v", head.Status, head.Header, get.Status, get.Header)
			}
			if body, err := io.ReadAll(head.Body); len(body) > 0 || err != nil {
				t.Errorf("%q %v", body, err)
			}
		})
	}
	conn := h.keep() // there is no body on the wire, or the next answer could not be parsed
	for range 2 {
		fmt.Fprint(conn, "HEAD /v1/sales HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
	}
	answers := bufio.NewReader(conn)
	for range 2 {
		if response, err := http.ReadResponse(answers, &http.Request{Method: http.MethodHead}); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", response, err)
		}
	}
	waitFor(t, func() bool { return b.api.placeHub.count() <= 1 }) // as for GET
}

func TestMediaTypesHaveNoCase(t *testing.T) {
	for contentType, want := range map[string]int{
		"application/json": 201, "Application/JSON": 201, "APPLICATION/JSON; Charset=UTF-8": 201, "application/json;charset=utf-8": 201,
		"text/plain": 415, "application/jsonp": 415, "multipart/form-data; boundary=application/json": 415, "Application/X-WWW-Form-Urlencoded": 415,
	} {
		b := setup(t)
		r := checkoutRequest(testKey, wish("A", 1))
		r.header["Content-Type"] = contentType
		if w := b.do(r); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", contentType, w.Code, want, w.Body)
		}
	}
	b := setup(t)
	id, token := b.held(testKey)
	b.do(webhookOf("good", id.String()))
	w := b.do(request{"GET", "/v1/orders/" + id.String() + "/tickets/1/qr", "", map[string]string{"Authorization": "Bearer " + token, "Accept": "Image/PNG"}})
	if w.Header().Get("Content-Type") != "image/png" {
		t.Errorf("Accept: Image/PNG is answered %s", w.Header())
	}
}

func TestEncodedBodiesAreRefused(t *testing.T) {
	for coding, want := range map[string]int{"gzip": 415, "GZIP": 415, "br": 415, "identity, gzip": 415, "identity": 201, "Identity": 201, "": 201} {
		b := setup(t)
		r := checkoutRequest(testKey, wish("A", 1))
		r.header["Content-Encoding"] = coding
		w := b.do(r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d: %s", coding, w.Code, want, w.Body)
		}
		if want == 415 && (w.Header().Get("Accept-Encoding") != "identity" || !strings.Contains(w.Body.String(), "Content-Encoding")) {
			t.Errorf("%q: %v %s", coding, w.Header(), w.Body)
		}
	}
}

// Nothing is read after a request with both lengths, because a proxy may have taken what
// follows for a part of that request.
func TestNothingIsReadAfterARequestWithBothLengths(t *testing.T) {
	h := openHouse(t, ConnectionLimits{Max: ConnectionsMax})
	for name, header := range map[string]string{
		"both": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "both, the other way round": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"chunks": "Transfer-Encoding: chunked\r\n", "refused before it is read": "Transfer-Encoding: chunked\r\nSec-Fetch-Site: cross-site\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := h.keep()
			response := conn.send("POST /v1/sales/conference/queue HTTP/1.1\r\nHost: boxoffice\r\n" + header + "\r\n0\r\n\r\nGET /v1/sales HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
			if !response.Close {
				t.Errorf("%s keeps the connection", response.Status)
			}
			if second, err := http.ReadResponse(conn.answers, nil); err == nil {
				t.Errorf("what followed was answered %s", second.Status)
			}
		})
	}
}

// A client whose body stalls, or comes a byte at a time, is told why we give up.
func TestABodyThatStallsIsTold(t *testing.T) {
	for name, drip := range map[string]time.Duration{"stalls": 0, "drips": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				listener := make(pipes)
				server := NewServer(b.api.Public())
				go func() { _ = server.Serve(listener) }()
				t.Cleanup(func() { server.Close() })
				conn, _ := listener.dial(context.Background(), "", "")
				t.Cleanup(func() { conn.Close() })
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := io.WriteString(conn, "POST /v1/sales/conference/checkouts HTTP/1.1\r\nHost: boxoffice\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
					for err == nil && drip > 0 {
						time.Sleep(drip)
						_, err = io.WriteString(conn, " ")
					}
				}()
				defer func() { conn.Close(); <-sent }()
				_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatalf("no answer: %v", err)
				}
				if response.StatusCode != http.StatusRequestTimeout || !response.Close || response.Header.Get("Content-Type") != problemType {
					t.Errorf("%s %v", response.Status, response.Header)
				}
			})
		})
	}
}

func TestEvery401NamesItsScheme(t *testing.T) {
	b := setup(t)
	for name, r := range map[string]request{
		"Bearer": {method: "GET", path: "/v1/audit"}, "Webhook-Signature": webhookOf("bad", "x"),
	} {
		w := b.do(r)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || !strings.HasPrefix(got, name+" realm=") {
			t.Errorf("%d %q, want %s", w.Code, got, name)
		}
	}
}

// Text that a database would refuse or a page could not show is refused in every field.
func TestTextOfTheOrganisersIsText(t *testing.T) {
	body := func(name, class, perk, opensAt string) string {
		return fmt.Sprintf(`{"id":"new","name":"%s","currency":"EUR","opens_at":"%s","classes":[{"class":"%s","price":1,"capacity":1}],"perk":{"name":"%s","capacity":1}}`, name, opensAt, class, perk)
	}
	const opens = "2027-01-01T00:00:00Z"
	type wrong struct{ body, field string }
	tests := map[string]wrong{}
	for what, text := range map[string]string{"NUL": `a\u0000b`, "an escape": `a\u001bb`, "a line break": `a\nb`, "DEL": `a\u007fb`, "C1": `a\u0085b`, "a line separator": `a\u2028b`} {
		tests[what+" in the name"] = wrong{body(text, "A", "Shirt", opens), "name"}
		tests[what+" in a class"] = wrong{body("New", text, "Shirt", opens), "classes[0].class"}
		tests[what+" in the perk"] = wrong{body("New", "A", text, opens), "perk.name"}
		tests[what+" in the id"] = wrong{strings.Replace(body("New", "A", "Shirt", opens), `"new"`, `"`+text+`"`, 1), "id"}
		tests[what+" in the currency"] = wrong{strings.Replace(body("New", "A", "Shirt", opens), `"EUR"`, `"`+text+`"`, 1), "currency"}
	}
	for _, at := range []string{
		"2027-01-01T00:00:00+24:00", "2027-01-01T00:00:00+00:60", "2027-01-01T0:00:00Z", "2027-01-01T00:00:00,5Z", "2027-01-01 00:00:00Z", "2027-02-29T00:00:00Z",
		"2027-01-01T00:00:00", "2027-01-01", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1969-12-31T23:59:59Z", "",
	} {
		tests["opens at "+at] = wrong{body("New", "A", "Shirt", at), "opens_at"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			p := wantProblem(t, b.do(adminOf("POST", "/v1/sales", tt.body, testAdminToken)), 422, domain.CodeInvalid)
			if len(p.Errors) == 0 || p.Errors[0].Field != tt.field {
				t.Errorf("errors %+v, want %s", p.Errors, tt.field)
			}
		})
	}
	b := setup(t)
	if w := b.do(adminOf("POST", "/v1/sales", body(`Łódź 👩\u200d🎤`, "A", "T-shirt “été”", "2027-01-01T00:00:00+23:59"), testAdminToken)); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Another site's page can do nothing. Our own pages and programs can.
func TestOtherSitesPagesCanDoNothing(t *testing.T) {
	b, _ := roomSetup(t)
	for name, tt := range map[string]struct {
		header map[string]string
		ok     bool
	}{
		"a program":                      {nil, true},
		"our page":                       {map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://example.com"}, true},
		"our page on plain http":         {map[string]string{"Origin": "http://example.com"}, true},
		"another site's":                 {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		"a sibling's":                    {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example.com"}, false},
		"another site's on plain http":   {map[string]string{"Origin": "http://evil.example"}, false},
		"one that hides what it is":      {map[string]string{"Origin": "null"}, false},
		"a form's, as another site can":  {map[string]string{"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}, false},
		"the public name behind a proxy": {map[string]string{"Origin": "https://tickets.example"}, false},
	} {
		for _, r := range []request{
			joinOf("rush", ""), checkoutRequest(testKey, wish("A", 1)), {method: "POST", path: "/v1/orders/" + strings.Repeat("a", 30) + "00/cancel"},
			adminOf("PATCH", "/v1/sales/rush/queue", `{}`, testAdminToken), adminOf("POST", "/v1/sales/conference/cancel", "", "no"),
		} {
			if r.header == nil {
				r.header = map[string]string{}
			}
			for key, value := range tt.header {
				r.header[key] = value
			}
			if w := b.do(r); (w.Code == 403) == tt.ok {
				t.Errorf("%s: %s %s: %d %s", name, r.method, r.path, w.Code, w.Body)
			}
		}
	}
	if w := b.do(request{"GET", "/v1/sales", "", map[string]string{"Sec-Fetch-Site": "cross-site"}}); w.Code != 200 {
		t.Errorf("reading: %d", w.Code)
	}
	behindProxy := setup(t, func(o *Options) { o.PublicURL = "https://tickets.example" })
	r := checkoutRequest(testKey, wish("A", 1))
	r.header["Origin"] = "https://tickets.example"
	if w := behindProxy.do(r); w.Code != 201 {
		t.Errorf("our page behind a proxy that does not keep the host: %d %s", w.Code, w.Body)
	}
}

// A genuine event that is not about payments is acknowledged and ignored.
func TestEventsOfOtherTypesAreIgnored(t *testing.T) {
	b, signer := realWebhooks(t)
	for _, body := range []string{`{"type":"ping"}`, `{"type":"payout.created","data":{"amount":"1.00"}}`} {
		header, err := signer.Headers("evt_ping", time.Now(), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if w := sendWebhook(b, header, body); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	var counted dto.Metric
	if err := b.api.metrics.eventsIgnored.Write(&counted); err != nil || counted.GetCounter().GetValue() != 2 {
		t.Errorf("%v counted, %v", &counted, err)
	}
	if strings.Contains(b.log.String(), "reached the Desk") {
		t.Error("one reached the Desk")
	}
}

// The log has the client's network of a refused request, and nothing else about the client.
func TestRefusalsAreLoggedWithTheirNetwork(t *testing.T) {
	proxies, err := ParseProxies("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ remote, forwarded, want, not string }{
		"IPv4":         {"198.51.100.77:4711", "", `"from":"198.51.100.0/24"`, "100.77"},
		"IPv6":         {"[2001:db8:1:2:3::4]:4711", "", `"from":"2001:db8:1::/48"`, "2001:db8:1:2"},
		"by a proxy":   {"192.0.2.1:1", "203.0.113.9:5555", `"from":"203.0.113.0/24"`, "113.9"},
		"by a lie":     {"198.51.100.77:4711", "203.0.113.9", `"from":"198.51.100.0/24"`, "203.0"},
		"no network":   {"@", "", `"code":"unauthorized"`, "from"},
		"a broken one": {"192.0.2.1:1", "203.0.113.9:x", `"from":"192.0.2.0/24"`, "113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(o *Options) { o.Rates.TrustedProxies = proxies })
			r := httptest.NewRequest("GET", "/v1/audit", nil)
			r.RemoteAddr = tt.remote
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			b.api.Public().ServeHTTP(httptest.NewRecorder(), r)
			if log := b.log.String(); !strings.Contains(log, tt.want) || strings.Contains(log, tt.not) {
				t.Errorf("%s\nwant %s and no %s", log, tt.want, tt.not)
			}
		})
	}
}

// By a setting the log has a tag of the address, or nothing.
func TestRefusalsAreLoggedWithATagOrNothing(t *testing.T) {
	from := func(source LogSource, remote string) string {
		b := setup(t, func(o *Options) { o.LogSource = source })
		r := httptest.NewRequest("GET", "/v1/audit", nil)
		r.RemoteAddr = remote
		b.api.Public().ServeHTTP(httptest.NewRecorder(), r)
		found := regexp.MustCompile(`"from":"([^"]*)"`).FindStringSubmatch(b.log.String())
		if found == nil {
			return ""
		}
		return found[1]
	}
	one := from(LogHash, "198.51.100.77:4711")
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(one) {
		t.Errorf("%q is no tag", one)
	}
	if again := from(LogHash, "198.51.100.77:4712"); again != one {
		t.Errorf("%s, then %s of the same address", one, again)
	}
	if neighbour := from(LogHash, "198.51.100.78:4711"); neighbour == one {
		t.Errorf("a neighbour has the same tag %s", one)
	}
	if a, b := from(LogHash, "[2001:db8:1:2:3::4]:1"), from(LogHash, "[2001:db8:1:2:9::9]:1"); a != b || a == "" {
		t.Errorf("%q and %q of one household", a, b)
	}
	if got := from(LogHash, "@"); got != "" {
		t.Errorf("%q without an address", got)
	}
	if got := from(LogNothing, "198.51.100.77:4711"); got != "" {
		t.Errorf("%q is logged", got)
	}
	if _, err := ParseLogSource("address"); err == nil {
		t.Error("another setting is taken")
	}
}

func TestHeadersOfSixteenKiB(t *testing.T) {
	h := openHouse(t, ConnectionLimits{Max: ConnectionsMax})
	const line = "GET /v1/sales HTTP/1.1\r\nHost: boxoffice\r\nX-A: "
	for size, want := range map[int]int{HeaderBytesMax: 200, HeaderBytesMax + 1: 431, 20 << 10: 431} {
		raw := line + strings.Repeat("a", size-len(line)-len("\r\n\r\n")) + "\r\n\r\n"
		if response := h.keep().send(raw); response.StatusCode != want || len(raw) != size {
			t.Errorf("%d bytes: %s, want %d", len(raw), response.Status, want)
		}
	}
}
