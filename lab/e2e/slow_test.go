package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"boxoffice/client"
)

const (
	slowClients = 10_000
	// slowAddresses is from how many of 127.0.0.0/8 they come.
	slowAddresses = 40
	// slowAtOnceMin are connected at the same time: some are cut off, and come again,
	// while the others arrive.
	slowAtOnceMin = slowClients * 9 / 10
	// slowMemoryMax is what the process may grow by: 32 kB a connection, of which two
	// buffers of 4 kB and the stacks of two goroutines are net/http's.
	slowMemoryMax = slowClients * 32 << 10
	// patientMax is the timeout of the clients that behave.
	patientMax = 10 * time.Second
	// slowDeaf of them ask and read no answer: more than a bound has permits.
	slowDeaf = 1200
	// slowStep is the pause between two bytes of who dribbles.
	slowStep = 250 * time.Millisecond
)

// slowKinds are the ways of being slow. Each says what is sent at once, and what
// after that, a little at a time.
var slowKinds = []struct {
	name, first, more string
	deaf              bool // reads nothing
}{
	{"says nothing", "", "", false},
	{"stops within the header", slowHeader, "", false},
	{"a byte of the header at a time", slowHeader + "X: ", "x", false},
	{"stops within the body", slowHeader + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", "", false},
	{"a byte of the body at a time", slowHeader + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", " ", false},
	{"a chunk of the body at a time", slowHeader + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", false},
	{"keeps the connection after an answer", "GET /healthz HTTP/1.1\r\nHost: boxoffice\r\n\r\n", "", false},
	{"asks again and again and reads no answer", "", "GET /openapi.json HTTP/1.1\r\nHost: boxoffice\r\n\r\n", true},
}

const slowHeader = "POST /v1/sales/conference/checkouts HTTP/1.1\r\nHost: boxoffice\r\n"

// testSlowClients: 10,000 of them are connected to a node at once, and whoever is
// cut off comes back. Others are served meanwhile, from the first page to the
// ticket, and once the slow ones stay away all that they took is free again.
//
// The node is built without the race detector, which has no room for so many
// goroutines.
func testSlowClients(t *testing.T, s *stack) {
	if err := haveDescriptors(slowClients + 500); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	t.Setenv("BOXOFFICE_CONNECTIONS_MAX", strconv.Itoa(slowClients+1000))
	n := s.startNodeOf(t, "", s.fastService(t))
	sale := s.sale(t, 50, longHold, 4)
	before := s.vitals(t, n)

	// Without a time limit: it ends when everything was seen.
	ctx, leave := context.WithCancel(t.Context())
	rush := &slowRush{address: address(n.url)}
	var working sync.WaitGroup
	defer func() { leave(); working.Wait() }()
	for worker := range slowAddresses {
		working.Go(func() { rush.run(ctx, worker) })
	}
	served := make(chan int, 1)
	working.Go(func() { served <- s.behave(ctx, t, n, sale) })

	var most vitals
	eventually(t, fmt.Sprintf("%d slow clients are connected", slowAtOnceMin), func() bool {
		now := s.vitals(t, n)
		most = vitals{max(most.goroutines, now.goroutines), max(most.descriptors, now.descriptors), max(most.memory, now.memory)}
		return now.descriptors-before.descriptors >= slowAtOnceMin
	})
	eventually(t, "they are cut off and come back", func() bool {
		now := s.vitals(t, n)
		most = vitals{max(most.goroutines, now.goroutines), max(most.descriptors, now.descriptors), max(most.memory, now.memory)}
		return rush.cut.Load() >= slowClients/4
	})
	o := s.holdAt(t, n, sale)
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")

	leave()
	working.Wait()
	requests := <-served
	t.Logf("before %+v, most %+v; %d connected in all, %d cut off, %d requests of others meanwhile",
		before, most, rush.connected.Load(), rush.cut.Load(), requests)
	if requests <= 0 {
		t.Fatalf("requests is %v, want more than 0", requests)
	}
	if (most.memory - before.memory) >= int64(slowMemoryMax) {
		t.Fatalf("most.memory-before.memory is %v, want less than %v: bytes that the process grew by", (most.memory - before.memory), int64(slowMemoryMax))
	}
	eventually(t, "all that the slow clients took is free", func() bool {
		now := s.vitals(t, n)
		return now.descriptors < before.descriptors+50 && now.goroutines < before.goroutines+100
	})
}

// haveDescriptors raises the limit of open files, of this process and of those it
// starts.
func haveDescriptors(wanted uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < wanted {
		return fmt.Errorf("a process may open %d files at most, %d are needed", limit.Max, wanted)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// fastService is the service as it is deployed, without the race detector.
func (s *stack) fastService(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "boxoffice")
	folder := repository
	if s.program() == "lab" {
		folder = filepath.Join(repository, "lab")
	}
	cmd := exec.Command("go", "build", "-o", program, "./cmd/"+s.program())
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "CGO_ENABLED=1")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	return program
}

// vitals are what a process says of itself.
type vitals struct{ goroutines, descriptors, memory int64 }

func (s *stack) vitals(t *testing.T, n *node) vitals {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patientMax)
	defer cancel()
	var body []byte
	at := s.overOwnConnections(n.url)
	at.AdminURL = n.url
	if err := at.Do(ctx, client.Request{Method: http.MethodGet, Path: "/metrics", IsOrganisers: true}, &body); err != nil {
		t.Fatal(err)
	}
	value := func(name string) int64 {
		_, after, found := strings.Cut(string(body), "\n"+name+" ")
		if !found {
			t.Fatalf("no metric %s", name)
		}
		line, _, _ := strings.Cut(after, "\n")
		v, err := strconv.ParseFloat(line, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int64(v)
	}
	return vitals{value("go_goroutines"), value("process_open_fds"), value("process_resident_memory_bytes")}
}

// behave sends ordinary requests, each over a new connection, until ctx
// ends: every answer must be there within a client's own timeout.
func (s *stack) behave(ctx context.Context, t *testing.T, n *node, sale string) (requests int) {
	for ctx.Err() == nil {
		for _, path := range []string{"/v1/sales/" + sale, "/v1/sales", "/healthz"} {
			bounded, cancel := context.WithTimeout(ctx, patientMax)
			err := s.overOwnConnections(n.url).Do(bounded, client.Request{Method: http.MethodGet, Path: path}, new([]byte))
			cancel()
			if ctx.Err() != nil {
				return requests
			}
			requests++
			if err != nil {
				t.Error(err)
				return requests
			}
		}
	}
	return requests
}

// holdAt checks out at a node.
func (s *stack) holdAt(t *testing.T, n *node, sale string) (o order) {
	t.Helper()
	a := s.checkoutWith(t, n, sale, "", newBuyer())
	if a.status != http.StatusCreated {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
	}
	a.into(t, &o)
	return o
}

// slowRush is the slow clients.
type slowRush struct {
	address        string
	connected, cut atomic.Int64
}

// run is a share of them, from one address: one goroutine for all, so that they
// cost little.
func (r *slowRush) run(ctx context.Context, worker int) {
	clients := make([]*slowClient, slowClients/slowAddresses)
	for i := range clients {
		kind := i % (len(slowKinds) - 1)
		if i < slowDeaf/slowAddresses {
			kind = len(slowKinds) - 1
		}
		clients[i] = &slowClient{kind: kind}
		defer clients[i].close()
	}
	step := time.NewTicker(slowStep)
	defer step.Stop()
	for {
		for _, c := range clients {
			switch {
			case ctx.Err() != nil:
				return
			case c.conn == nil:
				if c.connect(ctx, worker, r.address) {
					r.connected.Add(1)
				}
			case !c.dribble():
				r.cut.Add(1)
				c.close()
			}
		}
		select {
		case <-step.C:
		case <-ctx.Done():
			return
		}
	}
}

type slowClient struct {
	kind    int
	conn    *net.TCPConn // nil: it is to connect
	scratch [1 << 10]byte
}

func (c *slowClient) connect(ctx context.Context, worker int, address string) bool {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+worker))}, Timeout: patientMax}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	c.conn = conn.(*net.TCPConn)
	_ = c.conn.SetReadBuffer(4 << 10) // so that unread data soon fills the server's side
	_ = c.conn.SetWriteDeadline(time.Now().Add(patientMax))
	_, _ = io.WriteString(c.conn, slowKinds[c.kind].first)
	return true
}

// dribble sends a little more, if the server takes it at once, and reports whether
// the connection still is one.
func (c *slowClient) dribble() bool {
	kind := slowKinds[c.kind]
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return false
	}
	alive := true
	// The socket does not block: these calls return at once.
	err = raw.Control(func(fd uintptr) {
		if kind.more != "" {
			_, err := syscall.Write(int(fd), []byte(kind.more))
			alive = err == nil || errors.Is(err, syscall.EAGAIN)
		}
		if !kind.deaf {
			n, err := syscall.Read(int(fd), c.scratch[:])
			alive = alive && (n > 0 || errors.Is(err, syscall.EAGAIN))
		}
	})
	return alive && err == nil
}

func (c *slowClient) close() {
	if c.conn != nil {
		_ = c.conn.SetLinger(0) // no TIME_WAIT for each
		_ = c.conn.Close()
		c.conn = nil
	}
}
