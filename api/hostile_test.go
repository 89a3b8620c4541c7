package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/storefront"
)

// socketTimeout bounds what a test waits for on a socket.
const socketTimeout = 20 * time.Second

// A house is a server on real sockets, as in `boxoffice serve`, but with timeouts that a
// test can wait for.
type house struct {
	t       *testing.T
	bundle  *bundle
	address string
	url     string
}

func openHouse(t *testing.T, limits ConnectionLimits, change ...func(*Options)) *house {
	t.Helper()
	b := setup(t, change...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(b.api.Public())
	// Long enough for a well-behaved client on a busy machine.
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 2*time.Second, 3*time.Second, 3*time.Second
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	go func() { _ = server.Serve(LimitConnections(l, limits)) }()
	t.Cleanup(func() { b.api.CloseStreams(); _ = server.Close() })
	return &house{t: t, bundle: b, address: l.Addr().String(), url: "http://" + l.Addr().String()}
}

func (h *house) dial() net.Conn { return h.dialFrom("127.0.0.1") }

func (h *house) dialFrom(address string) net.Conn {
	h.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: socketTimeout}
	conn, err := dialer.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(socketTimeout))
	return conn
}

// get is a well-behaved client with its own connection.
func (h *house) get(path string) *http.Response {
	h.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		h.t.Fatalf("a well-behaved client: %v", err)
	}
	response.Body.Close()
	return response
}

// A client that is slow in any way is dropped, and nobody else notices.
func TestSlowClientsCannotHoldTheServer(t *testing.T) {
	const slowClients = 40
	start := "POST /v1/sales/conference/checkouts HTTP/1.1\r\nHost: boxoffice\r\n"
	for name, misbehave := range map[string]func(net.Conn){
		"connects and says nothing": func(net.Conn) {},
		"stops within the header":   func(c net.Conn) { _, _ = io.WriteString(c, start) },
		"a header line at a time, for ever (slowloris)": func(c net.Conn) {
			_, err := io.WriteString(c, start)
			for n := 0; err == nil; n++ {
				time.Sleep(20 * time.Millisecond)
				_, err = fmt.Fprintf(c, "X-%d: y\r\n", n)
			}
		},
		"stops within the body": func(c net.Conn) {
			_, _ = io.WriteString(c, start+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		},
		"a byte of the body at a time": func(c net.Conn) {
			_, err := io.WriteString(c, start+"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
			for err == nil {
				time.Sleep(20 * time.Millisecond)
				_, err = io.WriteString(c, " ")
			}
		},
		"a chunk of the body at a time": func(c net.Conn) {
			_, err := io.WriteString(c, start+"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
			for err == nil {
				time.Sleep(20 * time.Millisecond)
				_, err = io.WriteString(c, "1\r\n \r\n")
			}
		},
		"keeps the connection after an answer": func(c net.Conn) {
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := openHouse(t, ConnectionLimits{Max: ConnectionsMax})
			var dropped atomic.Int32
			for range slowClients {
				conn := h.dial()
				go misbehave(conn)
				go func() {
					if _, err := io.Copy(io.Discard, conn); err == nil || !isTimeout(err) {
						dropped.Add(1)
					}
				}()
			}
			for deadline := time.Now().Add(2 * socketTimeout); dropped.Load() < slowClients; {
				if response := h.get("/v1/sales"); response.StatusCode != http.StatusOK {
					t.Fatalf("a well-behaved client got %d", response.StatusCode)
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d slow clients were dropped", dropped.Load(), slowClients)
				}
			}
			if h.bundle.world.Starts != 0 {
				t.Error("an unfinished request reached the Desk")
			}
		})
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func TestConnectionsAreBounded(t *testing.T) {
	h := openHouse(t, ConnectionLimits{Max: 2})
	held := []net.Conn{h.work("127.0.0.1"), h.work("127.0.0.1")}
	refused := h.get("/v1/sales")
	if refused.StatusCode != http.StatusServiceUnavailable || refused.Header.Get("Retry-After") == "" || !refused.Close {
		t.Errorf("above the maximum: %s %v, closing %t", refused.Status, refused.Header, refused.Close)
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusOK, "/metrics": http.StatusUnauthorized} {
		if response := h.get(path); response.StatusCode != want {
			t.Errorf("%s above the maximum: %s, want %d", path, response.Status, want)
		}
	}
	held[0].Close()
	waitFor(t, func() bool { return h.get("/v1/sales").StatusCode == http.StatusOK })
}

// When all connections are busy, webhooks still get through, and a checkout that is turned
// away there does not slow the waiting room's door.
func TestASurplusConnectionTakesWebhooks(t *testing.T) {
	b := setup(t)
	b.api.Admission.Load()
	for _, test := range []struct {
		path string
		want domain.Code
	}{
		{"/v1/webhooks/mockpay", domain.CodeForged}, {"/v1/sales/no-such-sale/checkouts", domain.CodeOverloaded}, {"/v1/sales/" + b.sale.ID + "/checkouts", domain.CodeOverloaded},
	} {
		r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader("{}"))
		r = r.WithContext(context.WithValue(r.Context(), surplusKey, true))
		w := httptest.NewRecorder()
		b.api.Public().ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `"`+string(test.want)+`"`) || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d %s %v, want %s and an end", test.path, w.Code, w.Body, w.Header(), test.want)
		}
	}
	if refused := b.api.Admission.Load().Windows[0].Refused; refused != 0 {
		t.Errorf("%d overloaded answers, although the engine was not asked", refused)
	}
}

// A checkout that the waiting room could not check does not count as refused by the engine.
func TestARoomWithoutItsDatabaseIsNoOverload(t *testing.T) {
	b := setup(t, func(o *Options) { o.Rooms = nil })
	b.sale.WaitingRoom = true
	wantProblem(t, b.checkout(testKey, wish("A", 1)), 503, domain.CodeOverloaded)
	if refused := b.api.Admission.Load().Windows[0].Refused; refused != 0 {
		t.Errorf("%d overloaded answers, although the engine was not asked", refused)
	}
}

func TestConnectionsFarAboveTheMaximumWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const served = 3
	limited := LimitConnections(l, ConnectionLimits{Max: served})
	limited.(*limitedListener).silentMin = time.Hour // none of them gives way
	accepted := make(chan net.Conn, served+surplusMax+8)
	go func() {
		defer close(accepted)
		for {
			conn, err := limited.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	for range served + surplusMax + 4 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	waitFor(t, func() bool { return len(accepted) == served+surplusMax })
	first := <-accepted
	first.Close()
	first.Close() // frees one place, not two
	waitFor(t, func() bool { return len(accepted) == served+surplusMax })
	limited.Close() // ends the blocked Accept
	for conn := range accepted {
		conn.Close()
	}
}

func TestConnectionsOfAnAddressAreBounded(t *testing.T) {
	h := openHouse(t, ConnectionLimits{Max: ConnectionsMax, PerAddressMax: 1})
	h.work("127.0.0.1")
	if _, err := h.dial().Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a second connection of the same address is not closed: %v", err)
	}
	other := &keptConn{t: t, Conn: h.dialFrom("127.0.0.2")}
	if response := other.get("/healthz"); response.StatusCode != http.StatusOK {
		t.Errorf("another address: %s", response.Status)
	}
}

// A keptConn sends one request after the other.
type keptConn struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func (h *house) keep() *keptConn { return &keptConn{t: h.t, Conn: h.dial()} }

func (k *keptConn) get(path string) *http.Response {
	k.t.Helper()
	return k.send("GET " + path + " HTTP/1.1\r\nHost: boxoffice\r\n\r\n")
}

func (k *keptConn) send(raw string) *http.Response {
	k.t.Helper()
	if k.answers == nil {
		k.answers = bufio.NewReader(k.Conn)
	}
	if _, err := io.WriteString(k.Conn, raw); err != nil {
		k.t.Fatal(err)
	}
	response, err := http.ReadResponse(k.answers, nil)
	if err != nil {
		k.t.Fatalf("%.60q: no answer: %v", raw, err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response
}

// The next three tests use the real timeouts, in fake time.

// overPipes serves the API on connections that buffer nothing, so a client that does not
// read blocks the server at once. ask sends a request on a new connection and does not read
// the answer.
func overPipes(t *testing.T) (b *bundle, ask func(path string) net.Conn) {
	t.Helper()
	b = setup(t)
	listener := make(pipes)
	server := NewServer(b.api.Public())
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return b, func(path string) net.Conn {
		t.Helper()
		conn, _ := listener.dial(context.Background(), "", "")
		t.Cleanup(func() { conn.Close() })
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: boxoffice\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		return conn
	}
}

func TestAWatcherWhoNeverReadsIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ask := overPipes(t)
		ask("/v1/sales/conference/events")
		synctest.Wait()
		if b.api.hub.open() != 1 {
			t.Fatal("nobody is watching")
		}
		time.Sleep(eventsWriteTimeout + time.Second)
		synctest.Wait()
		if open := b.api.hub.open(); open != 0 {
			t.Errorf("%d still watching after %v without reading", open, eventsWriteTimeout)
		}
	})
}

func TestAnAnswerThatNobodyReadsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ask := overPipes(t)
		conn := ask("/openapi.json")
		time.Sleep(requestTimeout + answerGrace + time.Second)
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := io.Copy(io.Discard, conn); isTimeout(err) {
			t.Errorf("still connected after %v: %d bytes, %v", requestTimeout+answerGrace, n, err)
		}
	})
}

// As many clients as a bound has permits ask and read nothing. Others are still served.
func TestAnAnswerThatNobodyReadsHoldsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, ask := overPipes(t)
		for range othersInFlightMax {
			ask("/openapi.json")
		}
		synctest.Wait()
		if w := b.do(request{method: http.MethodGet, path: "/v1/sales"}); w.Code != http.StatusOK {
			t.Errorf("another client: %d %s", w.Code, w.Body)
		}
	})
}

// Hostile requests are answered or cut off, and the next client is served, both with the
// pages, as in production, and without.
func TestHostileRequests(t *testing.T) {
	t.Run("without pages", func(t *testing.T) { testHostileRequests(t) })
	t.Run("with pages", func(t *testing.T) { testHostileRequests(t, withPages(t)) })
}

// withPages puts the real pages in front of the fakes.
func withPages(t *testing.T) func(*Options) {
	return func(o *Options) {
		pages, err := storefront.New(storefront.Options{
			Catalog: o.Catalog, Log: o.Log,
			API: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Pages = pages
	}
}

func testHostileRequests(t *testing.T, change ...func(*Options)) {
	h := openHouse(t, ConnectionLimits{Max: ConnectionsMax}, change...)
	id, _ := h.bundle.held(testKey)
	post := func(path, header, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: boxoffice\r\nContent-Type: application/json\r\nIdempotency-Key: 0123456789abcdef\r\n%sContent-Length: %d\r\n\r\n%s", path, header, len(body), body)
	}
	const checkouts = "/v1/sales/conference/checkouts"
	get := func(target, header string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: boxoffice\r\n" + header + "\r\n"
	}
	quantity := func(n string) string {
		return post(checkouts, "", `{"items":[{"class":"A","quantity":`+n+`}],"buyer":{"email":"a@example.com"}}`)
	}
	for _, tt := range []struct {
		name, raw string
		status    int
	}{
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		{"no Host", "GET /v1/sales HTTP/1.1\r\n\r\n", 400},
		{"two Hosts", "GET /v1/sales HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"an unknown method", "HACK /v1/sales HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		{"TRACE", "TRACE /v1/sales HTTP/1.1\r\nHost: a\r\n\r\n", 405},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 404},
		{"a target elsewhere", get("http://169.254.169.254/latest", ""), 404},
		{"path: up and out", get("/v1/orders/../../metrics", ""), 404},
		{"path: up and out, escaped", get("/v1/orders/%2e%2e%2f%2e%2e%2fmetrics", ""), 404},
		{"path: to a file", get("/static/../../../../etc/passwd", ""), 404},
		{"path: NUL", get("/v1/sales/conference%00", ""), 404},
		{"path: not UTF-8", get("/v1/sales/%ff%fe", ""), 404},
		{"path: broken escape", get("/v1/sales/%zz", ""), 400},
		{"path: double slash", get("//v1//sales", ""), 404},
		{"path: double slash alone", get("//", ""), 404},
		{"path: another host behind a double slash", get("//evil.example/..", ""), 404},
		{"path: to a file, in the pages' own folder", get("/static/../../etc/passwd", ""), 404},
		{"path: a full stop", get("/static/./page.css", ""), 404},
		{"path: up and out of a sale", get("/sales/../../etc/passwd", ""), 404},
		{"path: up, escaped", get("/static/%2e%2e/%2e%2e/etc/passwd", ""), 404},
		{"path: line break into the answer", get("/v1/sales/a%0d%0aSet-Cookie:%20x", ""), 404},
		{"header: line break into the answer", get("/v1/sales", "X-Request-Id: aaaaaaaa%0d%0aSet-Cookie:x\r\n"), 200},
		{"header: bare carriage return", get("/v1/sales", "X-Request-Id: aaaaaaaa\rSet-Cookie: x\r\n"), 400},
		{"header: NUL", get("/v1/sales", "X-Request-Id: aaaa\x00aaaa\r\n"), 400},
		{"header: folded", get("/v1/sales", "X-A: b\r\n c\r\n"), 200},
		{"header: 64 KB in one", get("/v1/sales", "X-A: "+strings.Repeat("a", 64<<10)+"\r\n"), 431},
		{"header: a thousand of them", get("/v1/sales", strings.Repeat("X-Abcdefghijklmnopqrstuvwxyz: 1\r\n", 1000)), 431},
		{"request line of 64 KB", get("/"+strings.Repeat("a", 64<<10), ""), 431},
		{"query of 10 KB", get("/v1/sales?"+strings.Repeat("a=b&", 2500), ""), 422},
		{"two lengths", "POST " + checkouts + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
		{"negative length", "POST " + checkouts + " HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
		{"a length of 1 TB", "POST " + checkouts + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1099511627776\r\n\r\n", 413},
		{"an unknown transfer coding", "POST " + checkouts + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"invalid chunks", "POST " + checkouts + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 422},
		{"body: 9 KB", post(checkouts, "", strings.Repeat(" ", 9<<10)), 413},
		{"body: a webhook of 17 KB", post("/v1/webhooks/mockpay", "", strings.Repeat(" ", 17<<10)), 413},
		{"body: 65 KB to a route without one", post("/v1/orders/"+id.String()+"/cancel", "", strings.Repeat(" ", 65<<10)), 413},
		{"JSON: nothing", post(checkouts, "", ""), 422},
		{"JSON: garbage", post(checkouts, "", "\x00\x01\x02"), 422},
		{"JSON: 4,000 deep", post(checkouts, "", strings.Repeat("[", 4000)), 422},
		{"JSON: 2,000 deep, closed", post(checkouts, "", strings.Repeat(`{"a":`, 1300)+"1"+strings.Repeat("}", 1300)), 422},
		{"JSON: a thousand items", post(checkouts, "", `{"items":[`+strings.Repeat(`{},`, 1000)+`{}],"buyer":{"email":"a@example.com"}}`), 422},
		{"quantity: beyond 64 bits", quantity("9223372036854775808"), 422},
		{"quantity: the largest of 64 bits", quantity("9223372036854775807"), 422},
		{"quantity: 1e400", quantity("1e400"), 422},
		{"quantity: negative", quantity("-1"), 422},
		{"quantity: a fraction", quantity("0.5"), 422},
		{"quantity: text", quantity(`"1"`), 422},
		{"quantity: 4,000 digits", quantity(strings.Repeat("9", 4000)), 422},
		{"ticket number beyond 64 bits", get("/v1/orders/"+id.String()+"/tickets/99999999999999999999/qr", ""), 422},
		{"token: none", get("/v1/orders/"+id.String(), ""), 404},
		{"token: empty", get("/v1/orders/"+id.String(), "Authorization: Bearer \r\n"), 404},
		{"token: another scheme", get("/v1/orders/"+id.String(), "Authorization: Basic YTpi\r\n"), 404},
		{"token: the organiser's", get("/v1/orders/"+id.String(), "Authorization: Bearer "+testAdminToken+"\r\n"), 404},
		{"token: 8 KB", get("/v1/orders/"+id.String(), "Authorization: Bearer "+strings.Repeat("a", 8<<10)+"\r\n"), 404},
		{"organiser's token: none", post("/v1/sales", "", "{}"), 401},
		{"organiser's token: one letter short", post("/v1/sales", "Authorization: Bearer "+testAdminToken[1:]+"\r\n", "{}"), 401},
		{"organiser's token: twice, one right", post("/v1/sales", "Authorization: Bearer x\r\nAuthorization: Bearer "+testAdminToken+"\r\n", "{}"), 401},
		{"no debug route", get("/debug/pprof/", ""), 404},
		{"no debug variables", get("/debug/vars", ""), 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := &keptConn{t: t, Conn: h.dial()}
			response := conn.send(tt.raw)
			if response.StatusCode != tt.status {
				t.Errorf("status %d, want %d", response.StatusCode, tt.status)
			}
			if location := response.Header.Get("Location"); location != "" {
				t.Errorf("it is sent on to %q", location)
			}
			if response.Header.Get("Set-Cookie") != "" {
				t.Error("the request wrote a header of the answer")
			}
			if after := h.get("/v1/sales"); after.StatusCode != http.StatusOK {
				t.Errorf("the next client: %s", after.Status)
			}
		})
	}
	if h.bundle.world.Starts != 1 { // that of held
		t.Errorf("%d checkouts were started, want none but the first", h.bundle.world.Starts)
	}
}
