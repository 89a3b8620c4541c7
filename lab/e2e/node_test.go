package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ledgerOfSeveralNodes is one that several nodes can share: a real TigerBeetle
// if there is one, otherwise the baseline in Postgres.
func ledgerOfSeveralNodes(t *testing.T) string {
	needStack(t)
	if _, err := exec.LookPath("tigerbeetle"); err != nil {
		t.Log("no `tigerbeetle` on PATH: several nodes are tested on the postgres ledger")
		return postgresLedger
	}
	return "tigerbeetle"
}

// node is one process of the service.
type node struct {
	url     string
	process *exec.Cmd // nil: the stack's own
}

// startNode starts another process beside that of the stack, at an address of its
// own, or where one has died.
func (s *stack) startNode(t *testing.T, url string) *node {
	t.Helper()
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	return s.startNodeOf(t, url, filepath.Join(bin, s.program()))
}

// program is the one that serves: only the lab's knows the baseline ledger.
func (s *stack) program() string {
	if s.env["BOXOFFICE_LEDGER"] == postgresLedger {
		return "lab"
	}
	return "boxoffice"
}

func (s *stack) startNodeOf(t *testing.T, url, program string, more ...string) *node {
	t.Helper()
	if url == "" {
		url = "http://" + freeAddress(t)
	}
	n := &node{url: url}
	name := filepath.Join(s.dir, "log", "second-node.log") // shown when the test fails
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n.process = exec.Command(program, "serve")
	n.process.Stdout, n.process.Stderr = log, log
	n.process.Env = os.Environ()
	for name, value := range s.env {
		if name != "BOXOFFICE_URL" && name != "BOXOFFICE_ADMIN_URL" {
			n.process.Env = append(n.process.Env, name+"="+value)
		}
	}
	n.process.Env = append(n.process.Env, "BOXOFFICE_URL="+n.url, "BOXOFFICE_ADMIN_URL="+n.url)
	n.process.Env = append(n.process.Env, more...) // of two, the later counts
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	s.awaitNode(t, n.url)
	return n
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *stack) awaitNode(t *testing.T, url string) {
	t.Helper()
	eventually(t, "the node at "+url+" is ready", func() bool {
		response, err := s.http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// address is where a node listens.
func address(url string) string { return strings.TrimPrefix(url, "http://") }

// kill ends the process as a power cut does.
func (n *node) kill() {
	_ = n.process.Process.Signal(syscall.SIGKILL)
	_ = n.process.Wait()
}
