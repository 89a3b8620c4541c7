// Package proxy_test runs the configurations beside it on the real servers, in front of two nodes that only say what reached them.
package proxy_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	name             = "tickets.example.com"
	conditionTimeout = 20 * time.Second
)

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

// freeAddress is below the ephemeral ports, so that nobody gets it by chance before the proxy listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+mathrand.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tls.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A frame is a configuration under test: what of it must be another for a test, and how its server is started.
type frame struct {
	program, file string
	repeatsBodies bool // to another node, if the first is gone
	change        func(text, dir, public, plain string) string
	command       func(file, dir string) *exec.Cmd
}

var frames = []frame{
	{
		program: "nginx", file: "nginx.conf", repeatsBodies: true,
		change: func(text, dir, public, plain string) string {
			return replaceAll(text, "listen 443 ssl", "listen "+public+" ssl", "listen 80;", "listen "+plain+";",
				"/run/nginx.pid", dir+"/nginx.pid", "/var/log/nginx", dir, "worker_processes auto", "worker_processes 2", "user www-data;", "",
				"worker_rlimit_nofile 65536;", "", "worker_connections 16384", "worker_connections 512", "server_tokens off;",
				"server_tokens off; client_body_temp_path "+dir+"/b; proxy_temp_path "+dir+"/p; fastcgi_temp_path "+dir+"/f; uwsgi_temp_path "+dir+"/u; scgi_temp_path "+dir+"/s;")
		},
		command: func(file, dir string) *exec.Cmd {
			return exec.Command("nginx", "-p", dir, "-e", dir+"/error.log", "-c", file, "-g", "daemon off;")
		},
	},
	{
		program: "caddy", file: "Caddyfile",
		change: func(text, _, public, _ string) string {
			_, port, _ := net.SplitHostPort(public)
			return replaceAll(text, "admin off", "admin off\n\tdefault_bind 127.0.0.1\n\tauto_https disable_redirects",
				name+" {", "https://"+name+":"+port+" {")
		},
		command: func(file, dir string) *exec.Cmd {
			cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", file)
			cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "HOME="+dir)
			return cmd
		},
	},
}

// replaceAll replaces what must be there.
func replaceAll(text string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			panic("the configuration has no " + pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// A proxied is a running proxy, and the nodes behind it.
type proxied struct {
	public, dir string
	pool        *x509.CertPool
	nodes       []*node
	release     chan struct{} // lets streams go on
}

func start(t *testing.T, f frame) *proxied {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts nothing")
	}
	if _, err := exec.LookPath(f.program); err != nil {
		t.Skip("SKIPPED: no " + f.program + " on PATH, so its configuration is not tried")
	}
	t.Attr("ran-on", f.program)
	p := &proxied{dir: t.TempDir(), release: make(chan struct{})}
	p.pool = writeCertificate(t, p.dir)
	p.nodes = []*node{newNode(t, p.release), newNode(t, p.release)}
	p.public = freeAddress(t)
	content, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	text := f.change(string(content), p.dir, p.public, freeAddress(t))
	for i, n := range p.nodes {
		text = replaceAll(text, fmt.Sprintf("10.0.0.1%d:8080", i+1), n.buyers.Listener.Addr().String(),
			fmt.Sprintf("10.0.0.1%d:8081", i+1), n.webhooks.Listener.Addr().String())
	}
	text = replaceAll(text, "/etc/boxoffice/tls", p.dir)
	file := filepath.Join(p.dir, f.file)
	write(t, file, text)
	log, err := os.Create(filepath.Join(p.dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := f.command(file, p.dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			for _, file := range []string{"output", "error.log"} {
				said, _ := os.ReadFile(filepath.Join(p.dir, file))
				t.Logf("%s: %s", file, said)
			}
		}
	})
	for deadline := time.Now().Add(conditionTimeout); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.public)
		if err == nil {
			conn.Close()
			return p
		}
		select {
		case <-ended:
			t.Fatalf("%s ended at once", f.program)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", f.program, err)
		}
	}
}

// client connects as a buyer's browser.
func (p *proxied) client(t *testing.T, change func(*tls.Config)) *http.Client {
	t.Helper()
	settings := &tls.Config{RootCAs: p.pool, ServerName: name}
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
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+name+path, body)
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
	for _, f := range frames {
		t.Run(f.program, func(t *testing.T) {
			p := start(t, f)
			t.Run("a request", func(t *testing.T) {
				response, answer := p.do(t, "POST", "/v1/sales/s/checkouts", strings.NewReader("{}"))
				want := `buyers ` + name + ` for=["127.0.0.1"] proto="https"`
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
				if response, err := old.Get("https://" + name + "/"); err == nil {
					response.Body.Close()
					t.Error(response.Status)
				}
			})
			// Both streams at once: one connection to the proxy carries them.
			for _, path := range []string{"/v1/sales/s/events", "/v1/queue/TOKEN/events"} {
				t.Run("a stream at "+path, func(t *testing.T) {
					response, err := p.client(t, nil).Get("https://" + name + path)
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
						if f.repeatsBodies || time.Now().After(deadline) {
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
