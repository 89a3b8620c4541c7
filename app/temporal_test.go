package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// A frontend is the part of Temporal that a client needs to connect. It records how it was
// called.
type frontend struct {
	workflowservice.UnimplementedWorkflowServiceServer
	authorization atomic.Pointer[string]
}

func (f *frontend) GetSystemInfo(ctx context.Context, _ *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(values) > 0 {
		f.authorization.Store(&values[0])
	}
	return &workflowservice.GetSystemInfoResponse{}, nil
}

func startFrontend(t *testing.T, config *tls.Config) (*frontend, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	f, server := &frontend{}, grpc.NewServer(options...)
	workflowservice.RegisterWorkflowServiceServer(server, f)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return f, l.Addr().String()
}

// An authority signs certificates for 127.0.0.1 and for clients.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, dir: t.TempDir(), cert: cert, key: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// certFile is the authority's own certificate.
func (a *authority) certFile() string {
	return a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
}

// issue signs a certificate and returns its files.
func (a *authority) issue(name string, usage x509.ExtKeyUsage) (certFile, keyFile string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", raw)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

func TestTemporalOverTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	serverCert, serverKey := ours.issue("temporal", x509.ExtKeyUsageServerAuth)
	clientCert, clientKey := ours.issue("boxoffice", x509.ExtKeyUsageClientAuth)
	strangerCert, strangerKey := others.issue("stranger", x509.ExtKeyUsageClientAuth)
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := (*tls.Config)(nil)
	server := &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	mutual := server.Clone()
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool()

	const ca, cert, key = "TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_KEY_PATH"
	for _, tt := range []struct {
		name      string
		server    *tls.Config
		env       map[string]string
		connected bool
		key       string // what the server was shown
	}{
		{"plain to a plain server", plain, nil, true, ""},
		{"an authority that signed the server", server, map[string]string{ca: ours.certFile()}, true, ""},
		{"and a key", server, map[string]string{ca: ours.certFile(), "TEMPORAL_API_KEY": "k1"}, true, "Bearer k1"},
		{"and a certificate", mutual, map[string]string{ca: ours.certFile(), cert: clientCert, key: clientKey}, true, ""},
		{"plain to a TLS server", server, nil, false, ""},
		{"switched off", server, map[string]string{ca: ours.certFile(), "TEMPORAL_TLS": "false"}, false, ""},
		{"an authority that did not sign the server", server, map[string]string{ca: others.certFile()}, false, ""},
		{"the system's authorities", server, map[string]string{"TEMPORAL_TLS": "true"}, false, ""},
		{"a server of another name", server, map[string]string{ca: ours.certFile(), "TEMPORAL_TLS_SERVER_NAME": "temporal.example"}, false, ""},
		{"no certificate where one is needed", mutual, map[string]string{ca: ours.certFile()}, false, ""},
		{"a stranger's certificate", mutual, map[string]string{ca: ours.certFile(), cert: strangerCert, key: strangerKey}, false, ""},
		{"a key is never sent in the clear", plain, map[string]string{"TEMPORAL_API_KEY": "k1"}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			complete(t)
			f, address := startFrontend(t, tt.server)
			t.Setenv("TEMPORAL_ADDRESS", address)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			c, err := readConfig()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			connection, err := c.dialTemporal(ctx, slog.New(slog.DiscardHandler))
			if !tt.connected {
				if err == nil {
					t.Fatal("no error, want one")
				}
				if got := f.authorization.Load(); got != nil {
					t.Fatalf("f.authorization.Load() is %+v, want nil: a server that is not trusted was shown the key", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			shown := ""
			if p := f.authorization.Load(); p != nil {
				shown = *p
			}
			if shown != tt.key {
				t.Fatalf("shown is %q, want %q", shown, tt.key)
			}
		})
	}
}

// Settings that would silently mean no TLS, or the wrong one, are refused.
func TestTemporalSettingsThatAreRefused(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"a switch that is neither":        {"TEMPORAL_TLS": "yes"},
		"a key without TLS":               {"TEMPORAL_TLS": "false", "TEMPORAL_API_KEY": "k1"},
		"a certificate without its key":   {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere/cert.pem"},
		"an authority that is not a file": {"TEMPORAL_TLS_SERVER_CA_CERT_PATH": "/nowhere/ca.pem"},
		"an invalid authority":            {"TEMPORAL_TLS_SERVER_CA_CERT_DATA": "not PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			for name, value := range env {
				t.Setenv(name, value)
			}
			_, err := readConfig()
			if err == nil || !strings.Contains(err.Error(), "TEMPORAL_TLS") {
				t.Fatalf("the error is %v, want %q in it", err, "TEMPORAL_TLS")
			}
		})
	}
}

func TestTemporalsKeyMayComeFromAFile(t *testing.T) {
	complete(t)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("k1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPORAL_API_KEY_FILE", file)
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.Temporal.Credentials == nil {
		t.Fatal("c.Temporal.Credentials is nil")
	}
	if c.Temporal.ConnectionOptions.TLS == nil {
		t.Fatal("c.Temporal.ConnectionOptions.TLS is nil")
	}
}
