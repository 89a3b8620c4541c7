package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/api"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// conditionTimeout bounds what a test waits for.
const conditionTimeout = 20 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(conditionTimeout); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", conditionTimeout, what)
		}
	}
}

// Ports that tests choose and listen on later. They lie below the ephemeral range, so the
// kernel gives none of them to a listener on port 0 or to an outgoing connection. A port
// that freeAddress has chosen stays free until its test listens there.
const (
	testPortFirst = 20_000
	testPortsMax  = 10_000
)

// testPort numbers the ports, so that no two tests get the same one. It starts at random,
// because another run of these tests may be under way on this machine.
var testPort atomic.Int64

func init() { testPort.Store(rand.Int64N(testPortsMax)) }

// freeAddress is an address that nobody listens on until the caller does.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range testPortsMax {
		address := fmt.Sprintf("127.0.0.1:%d", testPortFirst+testPort.Add(1)%testPortsMax)
		if l, err := net.Listen("tcp", address); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// The kernel must not give a chosen port to somebody else before its test listens.
func TestFreeAddressIsNotEphemeral(t *testing.T) {
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip("this system does not say which ports are ephemeral")
	}
	var ephemeralFirst, ephemeralLast int
	_, err = fmt.Sscan(string(content), &ephemeralFirst, &ephemeralLast)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for range 100 {
		address := freeAddress(t)
		port := netip.MustParseAddrPort(address).Port()
		if int(port) >= ephemeralFirst && int(port) <= ephemeralLast {
			t.Fatalf("%s is within the ephemeral ports %d–%d", address, ephemeralFirst, ephemeralLast)
		}
		if seen[address] {
			t.Fatalf("%s was chosen twice", address)
		}
		seen[address] = true
	}
}

func newService(t *testing.T, role string) *service {
	t.Helper()
	complete(t)
	t.Setenv("BOXOFFICE_URL", "http://"+freeAddress(t))
	t.Setenv("BOXOFFICE_WORKER_URL", "http://"+freeAddress(t))
	t.Setenv("BOXOFFICE_DATA_DIR", t.TempDir())
	t.Setenv("DATABASE_URL", "postgres://nobody@"+freeAddress(t)+"/x")
	t.Setenv("TEMPORAL_ADDRESS", freeAddress(t))
	t.Setenv("BOXOFFICE_WEBHOOK_SECRET", "whsec_"+strings.Repeat("QUJD", 11))
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	return &service{config: c, role: role, ledgerKind: ledgerAuto, log: slog.New(slog.DiscardHandler)}
}

// kept sends a second request on the same connection.
type kept struct {
	t       *testing.T
	conn    net.Conn
	answers *bufio.Reader
}

func keep(t *testing.T, url string) *kept {
	t.Helper()
	var conn net.Conn
	eventually(t, "it listens", func() bool {
		var err error
		conn, err = net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(conditionTimeout))
	return &kept{t, conn, bufio.NewReader(conn)}
}

func (k *kept) send(path string) {
	k.t.Helper()
	_, err := fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: boxoffice\r\n\r\n", path)
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) answer() (*http.Response, string) {
	k.t.Helper()
	response, err := http.ReadResponse(k.answers, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return response, string(body)
}

func (k *kept) get(path string) (*http.Response, string) { k.send(path); return k.answer() }

// SIGTERM loses nothing that was accepted. After /readyz has said no and the listener is
// closed, a request under way still books in the ledger and is answered. The ledger closes
// last, and has the booking.
func TestShutdownFinishesWhatWasAccepted(t *testing.T) {
	s := newService(t, roleAll)
	s.drain = 50 * time.Millisecond
	ledgerDir := t.TempDir()
	engine, err := embedded.Open(ledgerDir, embedded.Options{Logger: s.log})
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(engine, ledger.WithLogger(s.log))

	var mu sync.Mutex
	var closed []string
	closing := func(name string, closer func()) func() {
		return func() {
			mu.Lock()
			closed = append(closed, name)
			mu.Unlock()
			closer()
		}
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ready") })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		results, err := batcher.CreateAccounts(r.Context(), []tb.Account{{ID: tb.ToUint128(7), Ledger: 1, Code: 1}})
		if err != nil || len(results) != 1 || results[0].Status != tb.AccountCreated {
			http.Error(w, fmt.Sprint(results, err), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "booked")
	})
	start := func(context.Context, func(error)) error { // as start and openAll do
		s.later(closing("database", func() {}))
		s.later(closing("ledger", func() { s.closeLedger(batcher) }))
		s.later(closing("temporal", func() {}))
		s.later(closing("worker", func() {}))
		s.ready.Store(&handlers{public: mux, admin: mux})
		return nil
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, start) }()

	probe, request := keep(t, s.URL), keep(t, s.URL)
	eventually(t, "it is ready", func() bool { response, _ := probe.get("/readyz"); return response.StatusCode == http.StatusOK })
	request.send("/slow")
	<-arrived
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	eventually(t, "/readyz says no", func() bool { return s.stopping.Load() })
	if response, body, err := tryAnswer(probe, "/readyz"); err == nil { // unless its idle connection was closed already
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("response.StatusCode is %v, want %v", response.StatusCode, http.StatusServiceUnavailable)
		}
		if !strings.Contains(body, "stopping") {
			t.Fatalf("no %q in %s", "stopping", body)
		}
	}
	eventually(t, "the listener is closed", func() bool { return refuses(strings.TrimPrefix(s.URL, "http://")) })
	select {
	case err := <-ended:
		t.Fatalf("ended with a request under way: %v", err)
	default:
	}
	mu.Lock()
	if len(closed) != 0 {
		t.Fatalf("closed is %q, want nothing: closed while a request needs it", closed)
	}
	mu.Unlock()
	close(release)
	response, body := request.answer()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("response.StatusCode is %v, want %v: %v", response.StatusCode, http.StatusOK, body)
	}
	if body != "booked" {
		t.Fatalf(`body is %q, want "booked"`, body)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if want := []string{"worker", "temporal", "ledger", "database"}; !reflect.DeepEqual(closed, want) {
		t.Fatalf("closed is %q, want %q", closed, want)
	}

	again, err := embedded.Open(ledgerDir, embedded.Options{Logger: s.log})
	if err != nil {
		t.Fatalf("the ledger was not closed: %v", err)
	}
	defer again.Close()
	accounts, err := again.LookupAccounts([]tb.Uint128{tb.ToUint128(7)})
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts) != 1 {
		t.Fatalf("%d in accounts, want 1: %+v: what was acknowledged is in the books", len(accounts), accounts)
	}
}

func tryAnswer(k *kept, path string) (*http.Response, string, error) {
	if _, err := fmt.Fprintf(k.conn, "GET %s HTTP/1.1\r\nHost: boxoffice\r\n\r\n", path); err != nil {
		return nil, "", err
	}
	response, err := http.ReadResponse(k.answers, nil)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// While a node drains, /readyz says no and everything else goes on, so that a load balancer
// has time to take the node out.
func TestADrainingNodeStillServes(t *testing.T) {
	s := newService(t, roleAll)
	s.drain = conditionTimeout // ended by the test, with the listener
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	stopHTTP, err := s.listen(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer stopHTTP()
	s.ready.Store(&handlers{public: mux, admin: mux})
	s.stopping.Store(true)
	k := keep(t, s.URL)
	response, _ := k.get("/readyz")
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("response.StatusCode is %v, want %v", response.StatusCode, http.StatusServiceUnavailable)
	}
	if got := response.Header.Get("Retry-After"); got == "" {
		t.Fatal(`response.Header.Get("Retry-After") is empty`)
	}
	for _, path := range []string{"/v1/sales", "/healthz"} {
		response, body := k.get(path)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("response.StatusCode is %v, want %v", response.StatusCode, http.StatusOK)
		}
		if body != "served" {
			t.Fatalf(`body is %q, want "served"`, body)
		}
	}
}

// A process whose servers are not up yet listens, says what it waits for, and stops when told to.
func TestStartWaitsForEverythingAndSaysSo(t *testing.T) {
	for role, url := range map[string]func(*service) string{
		roleAll:    func(s *service) string { return s.URL },
		roleAPI:    func(s *service) string { return s.URL },
		roleWorker: func(s *service) string { return s.WorkerURL },
	} {
		t.Run(role, func(t *testing.T) {
			s := newService(t, role)
			want := []string{"orders database", "temporal"} // the embedded ledger is there at once
			if role != roleAll {
				s.TigerBeetleAddresses = []string{freeAddress(t)}
				want = []string{"ledger", "orders database", "temporal"}
			}
			log := &lockedLog{}
			s.log = slog.New(slog.NewJSONHandler(log, nil))
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.run(ctx, s.start) }()

			k := keep(t, url(s))
			response, body := k.get("/healthz")
			if response.StatusCode != http.StatusOK {
				t.Fatalf("response.StatusCode is %v, want %v: %v", response.StatusCode, http.StatusOK, body)
			}
			var missing []string
			eventually(t, fmt.Sprintf("/readyz names %v", want), func() bool {
				response, body := k.get("/readyz")
				if response.StatusCode != http.StatusServiceUnavailable {
					t.Fatalf("response.StatusCode is %v, want %v", response.StatusCode, http.StatusServiceUnavailable)
				}
				var problem api.Problem
				if err := json.Unmarshal([]byte(body), &problem); err != nil {
					t.Fatal(err)
				}
				missing = nil
				for _, e := range problem.Errors {
					missing = append(missing, e.Field)
				}
				return slices.Equal(missing, want)
			})
			response, body = k.get("/v1/sales")
			if response.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("response.StatusCode is %v, want %v: %v", response.StatusCode, http.StatusServiceUnavailable, body)
			}
			if got := response.Header.Get("Retry-After"); got == "" {
				t.Fatal(`response.Header.Get("Retry-After") is empty`)
			}
			for _, name := range want {
				eventually(t, "the log says what to do about "+name, func() bool { return log.says("waiting", name, `"next":`) })
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatalf("asked to stop while it waits: %v", err)
			}
		})
	}
}

type lockedLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// says reports whether one line has all of the parts.
func (l *lockedLog) says(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return true
		}
	}
	return false
}

// Dependencies may come up in any order.
func TestAwait(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	what := dependency{"a server", "start it"}
	t.Run("until it is there", func(t *testing.T) {
		var w waiting
		tries := 0
		value, err := await(t.Context(), log, &w, what, func(context.Context) (int, error) {
			if tries++; tries < 2 {
				return 0, errors.New("not yet")
			}
			if got, want := w.list(), []string{"a server"}; !reflect.DeepEqual(got, want) {
				t.Fatalf("w.list() is %q, want %q", got, want)
			}
			return 7, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if value != 7 {
			t.Fatalf("value is %v, want 7", value)
		}
		if got := w.list(); len(got) != 0 {
			t.Fatalf("w.list() is %q, want nothing", got)
		}
	})
	t.Run("not for what will never be", func(t *testing.T) {
		_, err := await(t.Context(), log, &waiting{}, what, func(context.Context) (int, error) {
			return 0, fmt.Errorf("%w: broken", errPermanent)
		})
		if !errors.Is(err, errPermanent) {
			t.Fatalf("the error is %v, want %v", err, errPermanent)
		}
		if err == nil || !strings.Contains(err.Error(), "start it") {
			t.Fatalf("the error is %v, want %q in it", err, "start it")
		}
	})
	t.Run("until it is told to stop", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		_, err := await(ctx, log, &waiting{}, what, func(context.Context) (int, error) {
			stop()
			return 0, errors.New("not yet")
		})
		if err == nil || !strings.Contains(err.Error(), "not yet") {
			t.Fatalf("the error is %v, want %q in it", err, "not yet")
		}
	})
}

// A worker answers probes and nothing else.
func TestAWorkerHasProbesOnly(t *testing.T) {
	s := newService(t, roleWorker)
	meter := newMetrics()
	failing := errors.New("away")
	checks := []api.Check{{Name: "ledger", Probe: func(context.Context) error { return failing }}}
	probes, err := api.NewProbes(api.Options{Checks: checks, Metrics: meter.handler(), Log: s.log})
	if err != nil {
		t.Fatal(err)
	}
	stopHTTP, err := s.listen(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer stopHTTP()
	s.ready.Store(&handlers{public: probes, admin: probes})
	k := keep(t, s.WorkerURL)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/healthz": {200, "ok"}, "/readyz": {503, "ledger"}, "/metrics": {200, "boxoffice_ledger_refused_total"},
		"/v1/sales": {404, "not_found"}, "/": {404, "not_found"},
	} {
		meter.Refused("create_transfers")
		response, body := k.get(path)
		if response.StatusCode != want.status {
			t.Fatalf("response.StatusCode is %v, want %v: %v", response.StatusCode, want.status, path)
		}
		if !strings.Contains(body, want.body) {
			t.Fatalf("no %q in %s: %v", want.body, body, path)
		}
	}
	if !refuses(strings.TrimPrefix(s.URL, "http://")) {
		t.Fatal(`want true: refuses(strings.TrimPrefix(s.URL, "http://")): a worker does not listen where buyers come`)
	}
}

// seed waits for a box office that starts later, but gives up on a definite refusal.
func TestSeedWaitsForTheBoxOffice(t *testing.T) {
	for name, test := range map[string]struct {
		answers []int
		wrong   string
	}{
		"there": {[]int{201}, ""}, "starting": {[]int{503, 503, 201}, ""}, "refused": {[]int{503, 401}, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			address := freeAddress(t)
			t.Setenv("BOXOFFICE_URL", "http://"+address)
			asked := 0
			server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer 0123456789abcdef" {
					t.Fatalf(`r.Header.Get("Authorization") is %q, want "Bearer 0123456789abcdef"`, got)
				}
				w.WriteHeader(test.answers[min(asked, len(test.answers)-1)])
				_, _ = io.WriteString(w, `{"id":"conference","name":"Conference"}`)
				asked++
			})}
			defer server.Close()
			listening := make(chan struct{})
			go func() { // while seed runs, so that it may find nobody there at first
				defer close(listening)
				l, err := net.Listen("tcp", address)
				if err == nil {
					go func() { _ = server.Serve(l) }()
				}
			}()
			err := seed(t.Context(), []string{"--timeout", conditionTimeout.String()})
			<-listening
			if test.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("the error is %v, want %q in it", err, test.wrong)
				}
			}
			if asked != len(test.answers) {
				t.Fatalf("asked is %v, want %v", asked, len(test.answers))
			}
		})
	}
}

func TestGarbageIsCollectedEarlierUnlessTheOperatorSaysOtherwise(t *testing.T) {
	for gogc, want := range map[string]int{"": gcPercent, "300": 300} {
		t.Run("GOGC="+gogc, func(t *testing.T) {
			t.Setenv("GOGC", gogc)
			before := debug.SetGCPercent(300) // what the runtime read from the variable
			t.Cleanup(func() { debug.SetGCPercent(before) })
			log := slog.Default()
			t.Cleanup(func() { slog.SetDefault(log) })
			newService(t, roleWorker) // for its environment
			stopped, stop := context.WithCancel(t.Context())
			stop()
			if err := (Program{}.serve(stopped, []string{"--role", roleWorker})); err != nil {
				t.Fatal(err)
			}
			if got := debug.SetGCPercent(before); got != want {
				t.Errorf("%d %%, want %d", got, want)
			}
		})
	}
}
