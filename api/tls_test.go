package api

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// openTLS serves the whole API as a node without a proxy does.
func openTLS(b *bundle, http2 bool) *httptest.Server {
	b.api.placeHub.every = 20 * time.Millisecond
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = http2
	server.Config = NewServer(b.api.Public())
	server.Listener = LimitConnections(server.Listener, ConnectionLimits{Max: ConnectionsMax, TLS: true})
	server.StartTLS()
	b.t.(*testing.T).Cleanup(func() { b.api.CloseStreams(); server.Close() })
	return server
}

// Through TLS a connection cannot be taken over: streams are ordinary answers there, with the same events and the same ends.
func TestStreamsThroughTLS(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		open := func(t *testing.T, b *bundle, path string) (next func() string, leave func() error) {
			t.Helper()
			server := openTLS(b, http2)
			response, err := server.Client().Get(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { response.Body.Close() })
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" || response.Proto != name {
				t.Fatalf("%s %s %v", response.Proto, response.Status, response.Header)
			}
			lines := bufio.NewScanner(response.Body)
			return (&watcher{lines: lines}).next, response.Body.Close
		}
		t.Run(name+", stock", func(t *testing.T) {
			b, _ := roomSetup(t)
			next, _ := open(t, b, "/v1/sales/conference/events")
			if head, event := next(), next(); head != "retry: 3000" || event != "event: stock" {
				t.Errorf("%q %q", head, event)
			}
		})
		t.Run(name+", a place", func(t *testing.T) {
			b, r := roomSetup(t)
			token := b.joined()
			next, leave := open(t, b, "/v1/queue/"+token+"/events")
			if head, event, data := next(), next(), next(); head != "retry: 3000" || event != "event: place" || !strings.HasPrefix(data, `data: {`) {
				t.Errorf("%q %q %q", head, event, data)
			}
			r.set(token, admit)
			if event, data := next(), next(); event != "event: place" || !strings.Contains(data, `"status":"admitted"`) {
				t.Errorf("%q %q", event, data)
			}
			leave()
			waitFor(t, func() bool { return b.api.placeHub.count() == 0 })
		})
		t.Run(name+", the node stops", func(t *testing.T) {
			b, _ := roomSetup(t)
			next, _ := open(t, b, "/v1/queue/"+b.joined()+"/events")
			waitFor(t, func() bool { return b.api.placeHub.looping() })
			b.api.CloseStreams()
			for next() != "" {
			}
			waitFor(t, func() bool { return b.api.placeHub.count() == 0 })
		})
	}
}

// A client that does not read is dropped here too.
func TestALentConnectionNeverWaits(t *testing.T) {
	c := &lentConn{ctx: t.Context(), due: make(chan []byte, 1), ended: make(chan struct{})}
	if !c.write([]byte("first")) || c.gone() {
		t.Fatal("the first event is refused")
	}
	if c.write([]byte("second")) {
		t.Error("the second event is taken, and the first is not written yet")
	}
	_ = c.Close()
	if !c.gone() {
		t.Error("closed and not gone")
	}
}

// What arrives through TLS is perhaps no request: only the server knows, and a connection that has just been heard of is not idle
// for the one second that the server may need.
func TestTalkOfTLSIsNoRequest(t *testing.T) {
	l := LimitConnections(&fakeListener{}, ConnectionLimits{Max: 1, TLS: true}).(*limitedListener)
	admit := func() *limitedConn {
		conn, _ := l.admit(&fakeConn{from: "203.0.113.7"})
		l.room <- struct{}{}
		return conn.(*limitedConn)
	}
	first := admit()
	_, _ = first.Read(make([]byte, 1))                                  // the handshake
	TrackConnection(tls.Server(first, &tls.Config{}), http.StateActive) // HTTP/2 begins
	TrackConnection(tls.Server(first, &tls.Config{}), http.StateIdle)   // and waits for a request
	_, _ = first.Read(make([]byte, 1))                                  // its settings
	if second := admit(); !second.surplus || first.Conn.(*fakeConn).isClosed() {
		t.Error("one that was just heard of lost its place")
	}
	l.silentMin = 0
	if third := admit(); third.surplus || !first.Conn.(*fakeConn).isClosed() {
		t.Error("one that has no request keeps its place")
	}
}

// Over the maximum clients are told so through TLS too, and their connection ends.
func TestASurplusConnectionThroughTLS(t *testing.T) {
	b, _ := roomSetup(t)
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.Config = NewServer(b.api.Public())
	server.Listener = LimitConnections(server.Listener, ConnectionLimits{Max: 1, TLS: true})
	server.StartTLS()
	t.Cleanup(func() { b.api.CloseStreams(); server.Close() })
	busy, err := server.Client().Get(server.URL + "/v1/sales/conference/events")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Body.Close()
	other := server.Client().Transport.(*http.Transport).Clone()
	t.Cleanup(other.CloseIdleConnections)
	response, err := (&http.Client{Transport: other}).Get(server.URL + "/v1/sales")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"overloaded"`) {
		t.Errorf("%s %s %v", response.Status, body, err)
	}
}
