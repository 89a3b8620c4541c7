// Package tbtest starts a real TigerBeetle server for a test. It is not for
// production: the server runs in development mode, on a data file that goes
// away with the test.
package tbtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Binary is the name of the server's program on PATH.
const Binary = "tigerbeetle"

const startTimeout = 2 * time.Minute

// A Server is a running single-node cluster with id 0.
type Server struct {
	Address string // 127.0.0.1 and a free port
	Dir     string // where its data file is

	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
}

// StartTigerBeetle starts a server that is stopped at the end of the test. It skips the test, and says so, if the program is
// not on PATH.
func StartTigerBeetle(t testing.TB) *Server {
	t.Helper()
	Need(t)
	s, err := Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// Need skips a test, and says why, if there is no real server. It reports the server's release for the table at the end of
// the tests.
func Need(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skipf("SKIPPED: -short starts no %s", Binary)
	}
	if _, err := exec.LookPath(Binary); err != nil {
		t.Skipf("SKIPPED: no %s program on PATH, so nothing was tried on a real TigerBeetle", Binary)
	}
	t.Attr("ran-on", release())
}

// release is the server's own name, as in "TigerBeetle 0.17.9".
var release = sync.OnceValue(func() string {
	out, err := exec.Command(Binary, "version").Output()
	if err != nil {
		return "a TigerBeetle that does not tell its release"
	}
	name, _, _ := strings.Cut(strings.TrimSpace(strings.Replace(string(out), "version ", "", 1)), "+")
	return name
})

// Start formats a data file in dir, if there is none yet, and starts a server on it. The caller stops it.
func Start(dir string) (*Server, error) {
	file := filepath.Join(dir, "0_0.tigerbeetle")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		format := exec.Command(Binary, "format", "--cluster=0", "--replica=0", "--replica-count=1", "--development", file)
		if out, err := format.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", format, err, out)
		}
	}
	// Address 0: the server picks a free port, prints it, and ends with its
	// standard input, so that it cannot outlive the test.
	s := &Server{Dir: dir, cmd: exec.Command(Binary, "start", "--addresses=0", "--development", file), stderr: &bytes.Buffer{}}
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	port, err := readLine(stdout)
	if err != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("%s: no port: %w\n%s", s.cmd, err, s.stderr)
	}
	s.Address = "127.0.0.1:" + port
	return s, nil
}

func readLine(r io.Reader) (string, error) {
	type answer struct {
		line string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(r).ReadString('\n')
		read <- answer{strings.TrimSpace(line), err}
	}()
	select {
	case a := <-read:
		return a.line, a.err
	case <-time.After(startTimeout):
		return "", fmt.Errorf("nothing within %v", startTimeout)
	}
}

// Stop ends the server as a crash would: TigerBeetle knows no other way.
func (s *Server) Stop() error {
	_ = s.stdin.Close()
	_ = s.cmd.Process.Kill()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// Process is the server's process, for tests that pause it.
func (s *Server) Process() *os.Process { return s.cmd.Process }
