package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"boxoffice/orders/orderstest"
)

// Bounds of waiting. They only end a test that is broken: nothing here measures.
const (
	startTimeout = 10 * time.Minute // cold: it compiles the Temporal server
	stopTimeout  = time.Minute
	waitTimeout  = 90 * time.Second
	waitInterval = 50 * time.Millisecond
)

// repository is the root of the checkout, seen from this package.
const repository = "../.."

// tools are the programs under test, built once: the service and MockPay with
// the race detector. The lab's program is the crowd, and the service where the ledger
// is the lab's.
var tools = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "boxoffice-e2e-bin-")
	if err != nil {
		return "", err
	}
	for _, build := range []struct {
		cgo  string
		args []string
	}{
		{"1", []string{"build", "-race", "-o", dir + "/boxoffice", "./cmd/boxoffice"}},
		{"1", []string{"build", "-race", "-o", dir + "/mockpay", "./cmd/mockpay"}},
		{"1", []string{"build", "-C", "lab", "-race", "-o", dir + "/lab", "./cmd/lab"}},
		{"0", []string{"build", "-C", "deploy/devstack", "-o", dir + "/devstack", "."}},
	} {
		cmd := exec.Command("go", build.args...)
		cmd.Dir = repository
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+build.cgo, "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", strings.Join(build.args, " "), err, output)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if testing.Short() {
		os.Exit(code) // tools would build them first
	}
	if dir, err := tools(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// needStack skips a test where nothing is to be started.
func needStack(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no stack")
	}
}

// ledgers under test; a real TigerBeetle only where there is one.
func ledgers(t *testing.T) []string {
	needStack(t)
	if _, err := exec.LookPath("tigerbeetle"); err != nil {
		t.Log("SKIPPED on a real TigerBeetle: no `tigerbeetle` on PATH; the embedded ledger is tested")
		return []string{embeddedLedger}
	}
	return []string{embeddedLedger, "tigerbeetle"}
}

const (
	embeddedLedger = "embedded"
	postgresLedger = "postgres" // the lab's
)

// stack is a running local stack.
type stack struct {
	t        *testing.T
	dir      string
	process  *exec.Cmd
	ended    chan error // the process's exit, once
	stopped  bool
	env      map[string]string
	temporal client.Client
	http     *http.Client
}

// startStack brings a stack up in a directory, which may hold the state of an
// earlier one.
func startStack(t *testing.T, dir, ledger string, flags ...string) *stack {
	t.Helper()
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	t.Attr("ran-on", "a stack with the ledger "+ledger)
	s := &stack{t: t, dir: dir, http: &http.Client{Timeout: 30 * time.Second}}
	log, err := os.Create(filepath.Join(t.TempDir(), "devstack.log"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"up", "--data", dir, "--free-ports", "--ledger", ledger, "--bin-dir", bin}
	if ledger == embeddedLedger {
		// A database such as people have, which orders text otherwise than Go does. The other
		// stacks' are in the order of bytes. And its statements are counted.
		args = append(args, "--orders-collation", orderstest.NaturalCollation, "--count-statements")
	}
	s.process = exec.Command(filepath.Join(bin, "devstack"), append(args, flags...)...)
	s.process.Dir = repository
	s.process.Env = os.Environ()
	for name, value := range stripeVariables(dir) {
		s.process.Env = append(s.process.Env, name+"="+value)
	}
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.process.Wait() }()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			s.dump(log.Name())
		}
	})
	s.awaitReady(log.Name())
	s.connect()
	if locale, err := orderstest.Collation(t.Context(), s.env["DATABASE_URL"]); ledger == embeddedLedger && locale == "" {
		if err != nil {
			t.Fatal(err)
		}
		t.Log("SKIPPED on a database that orders text as people do: this Postgres knows no ICU; one in the order of bytes is tested")
	}
	return s
}

// status is the part of stack.json that the tests need.
type status struct {
	State     string `json:"state"`
	Error     string `json:"error"`
	PID       int    `json:"pid"`
	Processes []struct {
		Name string `json:"name"`
		PID  int    `json:"pid"`
	} `json:"processes"`
}

func (s *stack) status() (st status) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "stack.json"))
	if err == nil {
		err = json.Unmarshal(raw, &st)
	}
	if err != nil || st.PID != s.process.Process.Pid {
		return status{} // not written yet, or of the stack before
	}
	return st
}

func (s *stack) awaitReady(log string) {
	s.t.Helper()
	deadline := time.After(startTimeout)
	for s.status().State != "ready" {
		var why any
		select {
		case <-time.After(waitInterval):
			continue
		case why = <-s.ended:
			s.stopped = true
		case <-deadline:
			why = "it took too long"
		}
		content, _ := os.ReadFile(log)
		s.t.Fatalf("the stack did not start: %v\n%s", why, content)
	}
}

// pid finds a process of the stack by name.
func (s *stack) pid(name string) int {
	for _, p := range s.status().Processes {
		if p.Name == name {
			return p.PID
		}
	}
	return 0
}

// connect reads dev.env as a shell would.
func (s *stack) connect() {
	s.t.Helper()
	output, err := exec.Command("sh", "-c", "set -a; . "+filepath.Join(s.dir, "dev.env")+"; env").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = stripeVariables(s.dir)
	for line := range strings.Lines(string(output)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		s.env[name] = value
	}
	s.temporal, err = client.Dial(client.Options{
		HostPort: s.env["TEMPORAL_ADDRESS"], Namespace: s.env["TEMPORAL_NAMESPACE"],
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.temporal.Close)
}

// stop asks the stack to end, as Ctrl-C does, and requires that it ends well.
func (s *stack) stop() {
	if s.stopped {
		return
	}
	s.stopped = true
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("the stack did not stop cleanly: %v", err)
		}
	case <-time.After(stopTimeout):
		_ = s.process.Process.Kill()
		<-s.ended
		s.t.Errorf("the stack did not stop within %s", stopTimeout)
	}
}

// command runs the product's own command line against the stack.
func (s *stack) command(ctx context.Context, args ...string) (string, error) {
	return s.run(ctx, "boxoffice", args...)
}

// run runs one of the tools against the stack.
func (s *stack) run(ctx context.Context, tool string, args ...string) (string, error) {
	return s.runWith(ctx, "", tool, args...)
}

// runWith is run with a standard input.
func (s *stack) runWith(ctx context.Context, input, tool string, args ...string) (string, error) {
	bin, err := tools()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, tool), args...)
	cmd.Env, cmd.Stdin = os.Environ(), strings.NewReader(input)
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// dump shows the ends of all logs of a failed test.
func (s *stack) dump(stackLog string) {
	logs, _ := filepath.Glob(filepath.Join(s.dir, "log", "*.log"))
	for _, file := range append(logs, stackLog) {
		content, _ := os.ReadFile(file)
		if len(content) > 6000 {
			content = content[len(content)-6000:]
		}
		s.t.Logf("── %s\n%s", filepath.Base(file), content)
	}
}

// dataDir is a fresh data directory that Postgres' unprivileged user can reach
// when the tests run as root: t.TempDir's parents are closed to it.
func dataDir(t *testing.T) string {
	t.Helper()
	needStack(t)
	dir, err := os.MkdirTemp("", "boxoffice-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

// sameJSON compares JSON, whatever its spaces and the order of its members.
func sameJSON(t *testing.T, got, want []byte) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitTimeout)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("did not happen: " + what)
		}
		time.Sleep(waitInterval) //nolint:forbidigo // between two looks at a condition
	}
}
