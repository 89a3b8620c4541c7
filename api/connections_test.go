package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// work opens a connection with a request under way: a stream.
func (h *house) work(address string) net.Conn {
	h.t.Helper()
	conn := h.dialFrom(address)
	if _, err := io.WriteString(conn, "GET /v1/sales/conference/events HTTP/1.1\r\nHost: boxoffice\r\n\r\n"); err != nil {
		h.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusOK {
		h.t.Fatalf("a stream: %v %v", response, err)
	}
	return conn
}

func isOpen(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return err == nil || isTimeout(err)
}

// Idle connections of a few clients must not shut out the others.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const served = 30
	h := openHouse(t, ConnectionLimits{Max: served})
	kept := make([]*keptConn, served)
	for i := range kept {
		kept[i] = h.keep()
		if response := kept[i].get("/healthz"); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	kept[0].get("/healthz") // no longer the one that has been idle for longest
	for range served - 1 {
		if response := h.get("/v1/sales"); response.StatusCode != http.StatusOK {
			t.Fatalf("shut out by idle connections: %s", response.Status)
		}
	}
	if isOpen(kept[1]) {
		t.Error("the connection that was idle for longest is still open")
	}
	if response := kept[0].get("/healthz"); response.StatusCode != http.StatusOK {
		t.Errorf("one that was used since: %s", response.Status)
	}
}

func TestOnlyConnectionsWithoutARequestMakeRoom(t *testing.T) {
	l := LimitConnections(&fakeListener{}, ConnectionLimits{Max: 2}).(*limitedListener)
	admit := func() *limitedConn {
		conn, _ := l.admit(&fakeConn{from: "203.0.113.7"})
		l.room <- struct{}{}
		c := conn.(*limitedConn)
		_, _ = c.Read(make([]byte, 1)) // its first request comes
		return c
	}
	first, second := admit(), admit()
	TrackConnection(first, http.StateIdle)
	TrackConnection(second, http.StateIdle)
	_, _ = first.Read(make([]byte, 1)) // a byte of the next one
	if third := admit(); third.surplus || first.Conn.(*fakeConn).isClosed() || !second.Conn.(*fakeConn).isClosed() {
		t.Error("want the idle one closed")
	}
	if fourth := admit(); !fourth.surplus || first.Conn.(*fakeConn).isClosed() {
		t.Error("a connection with a request under way lost its place")
	}
}

// A pipelined request counts as under way too, although nothing more is read for it.
func TestAPipelinedRequestKeepsItsConnection(t *testing.T) {
	h := openHouse(t, ConnectionLimits{Max: 1})
	conn := h.dial()
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: boxoffice\r\n\r\nGET /v1/sales/conference/events HTTP/1.1\r\nHost: boxoffice\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for range 2 {
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", response, err)
		}
		if response.ContentLength >= 0 {
			_, _ = io.Copy(io.Discard, response.Body)
		}
	}
	if response := h.get("/v1/sales"); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("another client: %s, want the stream to keep its place", response.Status)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

// fakeListener hands out connections from the addresses that the test names.
type fakeListener struct {
	net.Listener
	from chan string
}

func (l *fakeListener) Accept() (net.Conn, error) {
	address, ok := <-l.from
	if !ok {
		return nil, net.ErrClosed
	}
	return &fakeConn{from: address}, nil
}

type fakeConn struct {
	net.Conn
	from string

	mu     sync.Mutex
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 4001))
}

func (c *fakeConn) Read(p []byte) (int, error) { return 1, nil }

func (c *fakeConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *fakeConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// accept accepts one connection after the other; nil if the next one was turned away.
func acceptFrom(t *testing.T, limits ConnectionLimits, addresses ...string) []net.Conn {
	t.Helper()
	inner := &fakeListener{from: make(chan string, len(addresses))}
	l := LimitConnections(inner, limits).(*limitedListener)
	var conns []net.Conn
	for _, address := range addresses {
		conn, ok := l.admit(&fakeConn{from: address})
		if !ok {
			conns = append(conns, nil)
			continue
		}
		l.room <- struct{}{}
		_, _ = conn.Read(make([]byte, 1)) // its request comes
		conns = append(conns, conn)
	}
	return conns
}

func TestWhatCountsAsOneClient(t *testing.T) {
	proxies, err := ParseProxies("198.51.100.0/24,2001:db8:ffff::/48")
	if err != nil {
		t.Fatal(err)
	}
	limits := ConnectionLimits{Max: 100, PerAddressMax: 2, Exempt: proxies}
	for name, c := range map[string]struct {
		addresses []string
		admitted  int
	}{
		"one address":                  {[]string{"203.0.113.7", "203.0.113.7", "203.0.113.7"}, 2},
		"three addresses":              {[]string{"203.0.113.7", "203.0.113.8", "203.0.113.9"}, 3},
		"an IPv4 address, named twice": {[]string{"203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7"}, 2},
		"an IPv6 /64":                  {[]string{"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"}, 2},
		"three IPv6 /64":               {[]string{"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"}, 3},
		"a trusted proxy":              {[]string{"198.51.100.1", "198.51.100.1", "198.51.100.1"}, 3},
		"trusted proxies by IPv6":      {[]string{"2001:db8:ffff::1", "2001:db8:ffff::1", "2001:db8:ffff::1"}, 3},
	} {
		admitted := 0
		for _, conn := range acceptFrom(t, limits, c.addresses...) {
			if conn != nil {
				admitted++
			}
		}
		if admitted != c.admitted {
			t.Errorf("%s: %d connections, want %d", name, admitted, c.admitted)
		}
	}
}

func TestAClientAboveItsBoundGivesUpItsOwnIdleConnection(t *testing.T) {
	l := LimitConnections(&fakeListener{}, ConnectionLimits{Max: 100, PerAddressMax: 2}).(*limitedListener)
	open := func(address string) *limitedConn {
		t.Helper()
		conn, ok := l.admit(&fakeConn{from: address})
		if !ok {
			t.Fatalf("a connection of %s was turned away", address)
		}
		l.room <- struct{}{}
		_, _ = conn.Read(make([]byte, 1))
		return conn.(*limitedConn)
	}
	isClosed := func(c *limitedConn) bool { return c.Conn.(*fakeConn).isClosed() }
	other := open("203.0.113.8")
	TrackConnection(other, http.StateIdle) // for longer than any other
	busy, idle := open("203.0.113.7"), open("203.0.113.7")
	TrackConnection(idle, http.StateIdle)
	open("203.0.113.7")
	if isClosed(busy) || isClosed(other) || !isClosed(idle) {
		t.Errorf("closed: the busy one %t, another's %t, the idle one %t", isClosed(busy), isClosed(other), isClosed(idle))
	}
	if _, ok := l.admit(&fakeConn{from: "203.0.113.7"}); ok {
		t.Error("a third one was admitted, although both others work")
	}
	if l.open != 3 || l.clients[netip.MustParseAddr("203.0.113.7")].open != 2 {
		t.Errorf("%d open, %v", l.open, l.clients)
	}
}

// A silent connection gives way too, but only after there was time to read.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	l := LimitConnections(&fakeListener{}, ConnectionLimits{Max: 2}).(*limitedListener)
	admit := func(n int) *limitedConn {
		conn, _ := l.admit(&fakeConn{from: fmt.Sprintf("203.0.113.%d", n)})
		l.room <- struct{}{}
		return conn.(*limitedConn)
	}
	first, second := admit(1), admit(2)
	if third := admit(3); !third.surplus || first.Conn.(*fakeConn).isClosed() {
		t.Error("a new connection lost its place")
	}
	l.silentMin = 0
	if fourth := admit(4); fourth.surplus || !first.Conn.(*fakeConn).isClosed() || second.Conn.(*fakeConn).isClosed() {
		t.Error("the first silent one keeps its place")
	}
}

// If all connections have a request under way, the next one waits until one becomes idle or has been
// silent for too long, and not until it leaves.
func TestAFullListenerGoesOnLookingForRoom(t *testing.T) {
	for name, giveWay := range map[string]func(*limitedListener, *limitedConn){
		"one falls idle": func(_ *limitedListener, c *limitedConn) {
			_, _ = c.Read(make([]byte, 1))
			TrackConnection(c, http.StateIdle)
		},
		"one says nothing": func(l *limitedListener, _ *limitedConn) { time.Sleep(l.silentMin) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from := make(chan string, 1+surplusMax+1)
				l := LimitConnections(&fakeListener{from: from}, ConnectionLimits{Max: 1}).(*limitedListener)
				accept := func() *limitedConn {
					from <- "203.0.113.7"
					conn, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					return conn.(*limitedConn)
				}
				first := accept()
				for range surplusMax {
					_, _ = accept().Read(make([]byte, 1)) // its request comes
				}
				accepted := make(chan *limitedConn, 1)
				go func() { accepted <- accept() }()
				synctest.Wait() // there is no room
				giveWay(l, first)
				select {
				case <-accepted:
				case <-time.After(time.Minute):
					t.Error("no connection is accepted, although one of the others has no request")
					_ = first.Close()
					<-accepted
				}
				if !first.Conn.(*fakeConn).isClosed() {
					t.Error("a connection with a request gave way")
				}
			})
		})
	}
}

// The provider's listener has webhooks and probes, and nothing that a crowd asks for.
func TestTheListenerOfWebhooks(t *testing.T) {
	b := setup(t)
	for path, want := range map[string]int{
		"/v1/webhooks/mockpay": http.StatusUnauthorized, "/healthz": http.StatusOK, "/readyz": http.StatusOK,
		"/v1/sales": http.StatusNotFound, "/": http.StatusNotFound, "/metrics": http.StatusNotFound, "/v1/webhooks/mockpay/": http.StatusNotFound,
	} {
		method := http.MethodGet
		if want == http.StatusUnauthorized {
			method = http.MethodPost
		}
		w := httptest.NewRecorder()
		b.api.Webhooks().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader("{}")))
		if w.Code != want {
			t.Errorf("%s %s: %d, want %d", method, path, w.Code, want)
		}
	}
}
