//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startWithin bounds the start of a server or of Postgres on a busy machine.
const startWithin = time.Minute

// A server is a process of Temporal.
type server struct {
	address string
	process *os.Process
	stats   string
	alive   io.Closer // its standard input
	log     string
	done    chan struct{}
}

var servers int

// startServer starts one and does not wait until it serves: the front does.
func startServer(t *testing.T, folder string, off bool) *server {
	t.Helper()
	servers++
	name := filepath.Join(folder, fmt.Sprintf("server-%d", servers))
	set := settings{Ports: freePorts(t, len(services)), Folder: folder, Off: off, Stats: name + ".stats"}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	logFile, err := os.Create(name + ".log")
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), envServer+"="+string(text))
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &server{
		address: fmt.Sprintf("127.0.0.1:%d", set.Ports[0]), process: cmd.Process, stats: set.Stats, alive: alive, log: name + ".log",
		done: make(chan struct{}),
	}
	go func() {
		_ = cmd.Wait() // it is killed
		close(s.done)
	}()
	t.Cleanup(s.kill)
	return s
}

func (s *server) kill() {
	_ = s.process.Kill()
	<-s.done
}

func (s *server) signal(t *testing.T, sent syscall.Signal) {
	t.Helper()
	if err := s.process.Signal(sent); err != nil {
		t.Fatal(err)
	}
}

func (s *server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// counted gives what a server's store counted until shortly before it ended.
func (s *server) counted() map[string]int64 {
	counts := map[string]int64{}
	if text, err := os.ReadFile(s.stats); err == nil {
		_ = json.Unmarshal(text, &counts)
	}
	return counts
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// A front is the one address that clients know. It forwards them to the server that serves now, and holds those who come meanwhile
// waiting.
type front struct {
	listener net.Listener
	mu       sync.Mutex
	to       string
	open     map[net.Conn]bool
}

func newFront(t *testing.T) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: listener, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); f.send("") })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(client)
		}
	}()
	return f
}

func (f *front) address() string { return f.listener.Addr().String() }

// send ends all connections and sends those who come from now on to another server.
func (f *front) send(to string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.to = to
	for c := range f.open {
		_ = c.Close()
	}
}

func (f *front) serve(client net.Conn) {
	f.mu.Lock()
	f.open[client] = true
	f.mu.Unlock()
	defer func() {
		_ = client.Close()
		f.mu.Lock()
		delete(f.open, client)
		f.mu.Unlock()
	}()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		f.mu.Lock()
		to := f.to
		f.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			continue
		}
		go func() {
			_, _ = io.Copy(server, client)
			_ = server.Close()
		}()
		_, _ = io.Copy(client, server)
		_ = server.Close()
		return
	}
}

// await waits for a condition, and ends the test where it does not come.
func await(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !within(limit, condition) {
		t.Fatalf("it did not happen: %s within %v", what, limit)
	}
}

// within waits for a condition, and says whether it came.
func within(limit time.Duration, condition func() bool) bool {
	for end := time.Now().Add(limit); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
