// Package proxytest runs the proxies' configurations on the real servers, for the tests of them and for those of whole deployments.
package proxytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Name is the server's in the configurations.
const Name = "tickets.example.com"

const startTimeout = 20 * time.Second

// A Frame is a configuration under test: what of it must be another for a test, and how its server is started.
type Frame struct {
	Program, file string
	RepeatsBodies bool // to another node, if the first is gone
	change        func(text string, a At, plain string) string
	command       func(file, dir string) *exec.Cmd
}

// At is where a proxy runs and what it is in front of.
type At struct {
	Name   string // of the server
	Public string // where it listens, on loopback
	Dir    string // its own, with tls.crt and tls.key
	Nodes  [2]Node
}

// A Node is the addresses of one's listeners.
type Node struct{ Buyers, Webhooks string }

// Frames are those that have a server which tests can run.
var Frames = []Frame{
	{
		Program: "nginx", file: "nginx.conf", RepeatsBodies: true,
		change: func(text string, a At, plain string) string {
			return replaceAll(text, "listen 443 ssl", "listen "+a.Public+" ssl", "listen 80;", "listen "+plain+";", "server_name "+Name, "server_name "+a.Name,
				"/run/nginx.pid", a.Dir+"/nginx.pid", "/var/log/nginx", a.Dir, "worker_processes auto", "worker_processes 2", "user www-data;", "",
				"worker_rlimit_nofile 65536;", "", "worker_connections 16384", "worker_connections 512", "server_tokens off;",
				fmt.Sprintf("server_tokens off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;", a.Dir))
		},
		command: func(file, dir string) *exec.Cmd {
			return exec.Command("nginx", "-p", dir, "-e", dir+"/error.log", "-c", file, "-g", "daemon off;")
		},
	},
	{
		Program: "caddy", file: "Caddyfile",
		change: func(text string, a At, _ string) string {
			_, port, _ := net.SplitHostPort(a.Public)
			return replaceAll(text, "admin off", "admin off\n\tdefault_bind 127.0.0.1\n\tauto_https disable_redirects",
				Name+" {", "https://"+a.Name+":"+port+" {")
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

// Start runs the configuration that is in a folder, with only names, addresses and limits replaced, until the test ends.
func (f Frame) Start(t *testing.T, folder string, a At) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, f.file))
	if err != nil {
		t.Fatal(err)
	}
	text := f.change(string(content), a, FreeAddress(t))
	for i, n := range a.Nodes {
		text = replaceAll(text, fmt.Sprintf("10.0.0.1%d:8080", i+1), n.Buyers, fmt.Sprintf("10.0.0.1%d:8081", i+1), n.Webhooks)
	}
	file := filepath.Join(a.Dir, f.file)
	write(t, file, replaceAll(text, "/etc/boxoffice/tls", a.Dir))
	log, err := os.Create(filepath.Join(a.Dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := f.command(file, a.Dir)
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
				said, _ := os.ReadFile(filepath.Join(a.Dir, file))
				t.Logf("%s: %s", file, said)
			}
		}
	})
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", a.Public)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended at once", f.Program)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen: %v", f.Program, err)
		}
	}
}

// FreeAddress is below the ephemeral ports, so that nobody gets it by chance before the proxy listens.
func FreeAddress(t *testing.T) string {
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

// WriteCertificate puts a name's tls.crt and tls.key into a folder. Clients trust it by the pool.
func WriteCertificate(t *testing.T, dir, name string) *x509.CertPool {
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
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "tls.crt"), string(certificate))
	write(t, filepath.Join(dir, "tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	return pool
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
