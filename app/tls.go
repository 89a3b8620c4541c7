package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

func (c config) hasTLS() bool { return c.TLSCertPath != "" || c.TLSKeyPath != "" }

// checkTLS checks what the paths promise. Whether the files are good is seen when they are opened.
func (c config) checkTLS() error {
	switch {
	case !c.hasTLS():
		return nil
	case c.TLSCertPath == "" || c.TLSKeyPath == "":
		return errors.New("BOXOFFICE_TLS_CERT_PATH and BOXOFFICE_TLS_KEY_PATH: set both or neither")
	case !strings.HasPrefix(c.URL, "https:"):
		return errors.New("BOXOFFICE_URL must be https:// if BOXOFFICE_TLS_CERT_PATH is set: our links begin with it")
	}
	return nil
}

// adminHasTLS says whether a listener of the organiser's own speaks TLS too.
func (c config) adminHasTLS() bool { return c.hasTLS() && strings.HasPrefix(c.AdminURL, "https:") }

// adminAddress is where the organiser's routes are, on a listener of their own.
func (c config) adminAddress() (string, error) {
	if c.adminHasTLS() {
		return tlsAddress(c.AdminURL)
	}
	return listenAddress(c.AdminURL)
}

// tlsAddress returns the host:port of an https URL.
func tlsAddress(raw string) (string, error) { return addressOf(raw, "https", "443") }

const (
	// certificateLook is how often the files are read again, when somebody connects.
	certificateLook = 10 * time.Second
	// certificateEndsSoon makes /readyz degraded: whatever renews the certificate has not come.
	certificateEndsSoon = 7 * 24 * time.Hour
)

// A certificate is read again when its files change, so that nobody needs to restart a node.
type certificate struct {
	certPath, keyPath string
	log               *slog.Logger
	now               func() time.Time

	mu              sync.Mutex
	lookedAt        time.Time
	certPEM, keyPEM []byte // as last read, good or not
	current         *tls.Certificate
	refused         error // why the files are not what is current; nil: they are
}

// openCertificate returns nil if there is none.
func (c config) openCertificate(log *slog.Logger) (*certificate, error) {
	if !c.hasTLS() {
		return nil, nil
	}
	opened := &certificate{certPath: c.TLSCertPath, keyPath: c.TLSKeyPath, log: log, now: time.Now}
	_, err := opened.get(nil)
	return opened, err
}

// config is a server's. Go chooses the ciphers, and net/http adds HTTP/2.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

// get is what a client is shown. Files that are not good, such as a certificate whose key is not written yet, do not replace
// those that were.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookLocked()
	if c.current == nil {
		return nil, c.refused
	}
	return c.current, nil
}

func (c *certificate) lookLocked() {
	now := c.now()
	if !c.lookedAt.IsZero() && now.Sub(c.lookedAt) < certificateLook {
		return
	}
	c.lookedAt = now
	certPEM, certErr := os.ReadFile(c.certPath)
	keyPEM, keyErr := os.ReadFile(c.keyPath)
	if err := errors.Join(certErr, keyErr); err != nil {
		c.certPEM, c.keyPEM = nil, nil
		c.refuseLocked(err)
		return
	}
	if c.certPEM != nil && bytes.Equal(certPEM, c.certPEM) && bytes.Equal(keyPEM, c.keyPEM) {
		return
	}
	c.certPEM, c.keyPEM = certPEM, keyPEM
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		c.refuseLocked(fmt.Errorf("BOXOFFICE_TLS_CERT_PATH %s, BOXOFFICE_TLS_KEY_PATH %s: %w", c.certPath, c.keyPath, err))
		return
	}
	c.current, c.refused = &pair, nil
	c.log.Info("the certificate is read", "file", c.certPath, "names", pair.Leaf.DNSNames, "ends", pair.Leaf.NotAfter)
}

func (c *certificate) refuseLocked(err error) {
	if c.refused == nil || c.refused.Error() != err.Error() {
		c.log.Error("the certificate's files are not good, so the one before stays", "error", err)
	}
	c.refused = err
}

// check says what somebody has to put right before buyers notice it.
func (c *certificate) check(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookLocked()
	if c.refused != nil {
		return c.refused
	}
	if end := c.current.Leaf.NotAfter; c.now().Add(certificateEndsSoon).After(end) {
		return fmt.Errorf("%s ends at %s", c.certPath, end)
	}
	return nil
}

// withoutHandshakes is a server's log without what strangers can cause at will: net/http logs a handshake that fails with the
// client's address.
func withoutHandshakes(to *slog.Logger) *log.Logger {
	return log.New(handshakeFilter{to}, "", 0)
}

type handshakeFilter struct{ log *slog.Logger }

// Write implements io.Writer.
func (f handshakeFilter) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		f.log.Error("http server", "error", strings.TrimSpace(string(line)))
	}
	return len(line), nil
}
