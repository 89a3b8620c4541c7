// Package proxy_test runs the configurations beside it on the real servers, in front of two nodes that only say what reached them.
package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/deploy/proxy/proxytest"
)

const conditionTimeout = 20 * time.Second

// A node says on which of its listeners a request came, and what the proxy made of it.
type node struct{ buyers, webhooks *httptest.Server }

func newNode(t *testing.T, release <-chan struct{}) *node {
	t.Helper()
	serve := func(listener string) *httptest.Server {
		mux := http.NewServeMux()
		mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%s %s for=%q proto=%q id=%d", listener, r.Host, r.Header.Values("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), len(r.Header.Get("X-Request-Id")))
		})
		mux.HandleFunc("/v1/sales/s/events", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no")
			io.WriteString(w, "data: first\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			io.WriteString(w, "data: second\n\n")
		})
		// As a node streams places: it takes the connection over, and the answer ends with it.
		mux.HandleFunc("/v1/queue/TOKEN/events", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\ndata: first\n\n")
			<-release
			io.WriteString(conn, "data: second\n\n")
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		return server
	}
	return &node{serve("buyers"), serve("webhooks")}
}

// A proxied is a running proxy, and the nodes behind it.
type proxied struct {
	public, dir string
	pool        *x509.CertPool
	nodes       []*node
	release     chan struct{} // lets streams go on
}

func start(t *testing.T, f proxytest.Frame) *proxied {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts nothing")
	}
	if _, err := exec.LookPath(f.Program); err != nil {
		t.Skip("SKIPPED: no " + f.Program + " on PATH, so its configuration is not tried")
	}
	t.Attr("ran-on", f.Program)
	p := &proxied{dir: t.TempDir(), public: proxytest.FreeAddress(t), release: make(chan struct{})}
	p.pool = proxytest.WriteCertificate(t, p.dir, proxytest.Name)
	at := proxytest.At{Name: proxytest.Name, Public: p.public, Dir: p.dir}
	for i := range at.Nodes {
		n := newNode(t, p.release)
		p.nodes = append(p.nodes, n)
		at.Nodes[i] = proxytest.Node{Buyers: n.buyers.Listener.Addr().String(), Webhooks: n.webhooks.Listener.Addr().String()}
	}
	f.Start(t, ".", at)
	return p
}

// client connects as a buyer's browser.
func (p *proxied) client(t *testing.T, change func(*tls.Config)) *http.Client {
	t.Helper()
	settings := &tls.Config{RootCAs: p.pool, ServerName: proxytest.Name}
	if change != nil {
		change(settings)
	}
	transport := &http.Transport{
		TLSClientConfig: settings, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", p.public)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: conditionTimeout}
}

func (p *proxied) do(t *testing.T, method, path string, body io.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+proxytest.Name+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Forwarded-For", "203.0.113.66") // a lie
	response, err := p.client(t, nil).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(answer)
}

func TestProxies(t *testing.T) {
	for _, f := range proxytest.Frames {
		t.Run(f.Program, func(t *testing.T) {
			p := start(t, f)
			t.Run("a request", func(t *testing.T) {
				response, answer := p.do(t, "POST", "/v1/sales/s/checkouts", strings.NewReader("{}"))
				want := `buyers ` + proxytest.Name + ` for=["127.0.0.1"] proto="https"`
				if response.Proto != "HTTP/2.0" || !strings.HasPrefix(answer, want) || response.Header.Get("Strict-Transport-Security") == "" {
					t.Errorf("%s %q %v, want %q", response.Proto, answer, response.Header, want)
				}
			})
			t.Run("a webhook", func(t *testing.T) {
				if _, answer := p.do(t, "POST", "/v1/webhooks/mockpay", strings.NewReader("{}")); !strings.HasPrefix(answer, "webhooks ") {
					t.Errorf("%q, want the listener of webhooks", answer)
				}
			})
			t.Run("TLS 1.1", func(t *testing.T) {
				old := p.client(t, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
				if response, err := old.Get("https://" + proxytest.Name + "/"); err == nil {
					response.Body.Close()
					t.Error(response.Status)
				}
			})
			// Both streams at once: one connection to the proxy carries them.
			for _, path := range []string{"/v1/sales/s/events", "/v1/queue/TOKEN/events"} {
				t.Run("a stream at "+path, func(t *testing.T) {
					response, err := p.client(t, nil).Get("https://" + proxytest.Name + path)
					if err != nil {
						t.Fatal(err)
					}
					defer response.Body.Close()
					lines := bufio.NewScanner(response.Body)
					if !lines.Scan() || lines.Text() != "data: first" { // the node waits, so nothing but the event itself can push it on
						t.Fatalf("%q, %v", lines.Text(), lines.Err())
					}
					p.release <- struct{}{}
					for lines.Scan() {
						if lines.Text() == "data: second" {
							return
						}
					}
					t.Errorf("the stream ended: %v", lines.Err())
				})
			}
			t.Run("a node that is gone", func(t *testing.T) {
				p.nodes[0].buyers.Close()
				for range 8 {
					if response, answer := p.do(t, "GET", "/v1/sales/s", nil); response.StatusCode != http.StatusOK {
						t.Errorf("a read: %s %s", response.Status, answer)
					}
				}
				for deadline, well := time.Now().Add(conditionTimeout), 0; well < 8; {
					response, answer := p.do(t, "POST", "/v1/sales/s/checkouts", strings.NewReader("{}"))
					if well++; response.StatusCode != http.StatusOK {
						well = 0
						if f.RepeatsBodies || time.Now().After(deadline) {
							t.Fatalf("a checkout: %s %s", response.Status, answer)
						}
					}
				}
			})
			t.Run("no node is there", func(t *testing.T) {
				p.nodes[1].buyers.Close()
				if response, _ := p.do(t, "GET", "/orders/TOKEN", nil); response.StatusCode < 500 {
					t.Error(response.Status)
				}
			})
			t.Run("no log has a token", func(t *testing.T) {
				for _, file := range []string{"access.log", "error.log", "output"} {
					if said, err := os.ReadFile(filepath.Join(p.dir, file)); err == nil && strings.Contains(string(said), "TOKEN") {
						t.Errorf("%s: %s", file, said)
					}
				}
			})
		})
	}
}
