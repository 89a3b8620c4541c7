package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// copyFile puts a file in another's place.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A changed certificate is taken without a restart, and one that is not good never.
func TestCertificateIsReadAgain(t *testing.T) {
	ca := newAuthority(t)
	certPath, keyPath := ca.issue("first", x509.ExtKeyUsageServerAuth)
	nextCert, nextKey := ca.issue("second", x509.ExtKeyUsageServerAuth)
	now := time.Now()
	c := &certificate{certPath: certPath, keyPath: keyPath, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	shown := func() string {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	want := func(when, name string) {
		t.Helper()
		if got := shown(); got != name {
			t.Errorf("%s: the certificate %q, want %q", when, got, name)
		}
	}
	want("at the start", "first")
	copyFile(t, nextCert, certPath)
	want("at once: it is not read for every client", "first")
	now = now.Add(certificateLook)
	want("half written: the key is still the old one", "first")
	if err := c.check(t.Context()); err == nil || !strings.Contains(err.Error(), "BOXOFFICE_TLS_KEY_PATH") {
		t.Errorf("half written: check says %v", err)
	}
	copyFile(t, nextKey, keyPath)
	now = now.Add(certificateLook)
	want("whole", "second")
	if err := os.Remove(keyPath); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateLook)
	want("gone", "second")
	if err := c.check(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone: check says %v", err)
	}
	copyFile(t, nextKey, keyPath)
	now = now.Add(certificateLook)
	want("back", "second")
	if c.refused != nil {
		t.Errorf("back: still refused: %v", c.refused)
	}
	if err := c.check(t.Context()); err == nil || !strings.Contains(err.Error(), "ends at") {
		t.Errorf("it ends within the hour, and check says %v", err)
	}
}

// A node does not start with files that it cannot use.
func TestCertificateMustBeGoodAtTheStart(t *testing.T) {
	ca := newAuthority(t)
	certPath, _ := ca.issue("one", x509.ExtKeyUsageServerAuth)
	_, keyPath := ca.issue("other", x509.ExtKeyUsageServerAuth)
	for name, paths := range map[string][2]string{
		"another's key": {certPath, keyPath}, "no file": {certPath + "x", keyPath}, "no certificate": {keyPath, keyPath},
	} {
		if _, err := (config{TLSCertPath: paths[0], TLSKeyPath: paths[1]}).openCertificate(slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTLSAndItsAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		config
		public, admin, wrong string
	}{
		"no TLS":             {config: config{URL: "http://127.0.0.1:1", AdminURL: "http://127.0.0.1:2"}, public: "127.0.0.1:1", admin: "127.0.0.1:2"},
		"a proxy's":          {config: config{URL: "https://shop.example", AdminURL: "http://127.0.0.1:2"}, public: listenDefault, admin: "127.0.0.1:2"},
		"ours":               {config: config{URL: "https://shop.example", TLSCertPath: "c", TLSKeyPath: "k", AdminURL: "https://127.0.0.1:2"}, public: "shop.example:443", admin: "127.0.0.1:2"},
		"ours, behind NAT":   {config: config{URL: "https://shop.example", Listen: "0.0.0.0:8443", TLSCertPath: "c", TLSKeyPath: "k", AdminURL: "http://127.0.0.1:2"}, public: "0.0.0.0:8443", admin: "127.0.0.1:2"},
		"no key":             {config: config{URL: "https://shop.example", TLSCertPath: "c", AdminURL: "http://127.0.0.1:2"}, wrong: "set both"},
		"links without TLS":  {config: config{URL: "http://shop.example", TLSCertPath: "c", TLSKeyPath: "k", AdminURL: "http://127.0.0.1:2"}, wrong: "BOXOFFICE_URL must be https://"},
		"an admin's without": {config: config{URL: "https://shop.example", AdminURL: "https://127.0.0.1:2"}, wrong: "is not http://"},
	} {
		t.Run(name, func(t *testing.T) {
			public, err := c.publicAddress()
			admin, adminErr := c.adminAddress()
			err = errors.Join(err, adminErr, c.checkTLS())
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("%v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil || public != c.public || admin != c.admin {
				t.Errorf("%s and %s, %v; want %s and %s", public, admin, err, c.public, c.admin)
			}
		})
	}
}

// syncBuffer is a log that several write.
type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// secureService listens with a certificate, and says who asked it with which version of HTTP.
func secureService(t *testing.T, handler http.Handler) (s *service, ca *authority, log *syncBuffer, stop func()) {
	t.Helper()
	ca = newAuthority(t)
	s = newService(t, roleAll)
	log = &syncBuffer{}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	s.AdminURL = "http://" + freeAddress(t)
	s.URL = "https://" + freeAddress(t)
	s.WebhookListen = freeAddress(t)
	s.TLSCertPath, s.TLSKeyPath = ca.issue("shop", x509.ExtKeyUsageServerAuth)
	stop, err := s.listen(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	s.ready.Store(&handlers{public: handler, admin: handler, webhooks: handler})
	return s, ca, log, sync.OnceFunc(stop)
}

func clientOf(t *testing.T, ca *authority, change func(*tls.Config)) *http.Client {
	t.Helper()
	settings := &tls.Config{RootCAs: ca.pool()}
	if change != nil {
		change(settings)
	}
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: conditionTimeout}
}

var sayProto = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })

func TestListenersWithTLS(t *testing.T) {
	s, ca, log, stop := secureService(t, sayProto)
	defer stop()
	get := func(client *http.Client, url string) string {
		t.Helper()
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	client := clientOf(t, ca, nil)
	for url, want := range map[string]string{
		s.URL: "HTTP/2.0", "https://" + s.WebhookListen: "HTTP/2.0", s.AdminURL: "HTTP/1.1",
		strings.Replace(s.URL, "https:", "http:", 1): "Client sent an HTTP request to an HTTPS server.\n",
	} {
		if got := get(client, url); got != want {
			t.Errorf("%s answers %q, want %q", url, got, want)
		}
	}
	if got := get(clientOf(t, ca, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), s.URL); got != "HTTP/2.0" {
		t.Errorf("TLS 1.2: %q", got)
	}
	old := clientOf(t, ca, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	if response, err := old.Get(s.URL); err == nil {
		response.Body.Close()
		t.Errorf("TLS 1.1: %s", response.Status)
	}
	stop()
	// net/http would log the address of everybody whose handshake fails.
	if text := log.String(); strings.Contains(text, "handshake") || !strings.Contains(text, "the certificate is read") {
		t.Errorf("the log: %s", text)
	}
}

// A node that stops answers what it accepted over HTTP/2, and does not wait for clients that only keep their connection.
func TestShutdownWithHTTP2(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s, ca, log, stop := secureService(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		_, _ = io.WriteString(w, r.Proto)
	}))
	defer stop()
	idle := clientOf(t, ca, nil)
	response, err := idle.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	answered := make(chan string, 1)
	go func() {
		response, err := clientOf(t, ca, nil).Get(s.URL + "/slow")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answered <- string(body)
	}()
	<-arrived
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	eventually(t, "the listener is closed", func() bool { return refuses(strings.TrimPrefix(s.URL, "https://")) })
	close(release)
	if got := <-answered; got != "HTTP/2.0" {
		t.Errorf("the request under way got %q", got)
	}
	<-stopped
	if text := log.String(); strings.Contains(text, "cut off") {
		t.Errorf("an idle connection was waited for: %s", text)
	}
}
