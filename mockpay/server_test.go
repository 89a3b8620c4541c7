package mockpay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// childEnv makes this test binary a separate MockPay, to be killed: the data
// directory to use. The child writes its URL to the file `url` there.
const childEnv = "MOCKPAY_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func runChild(dir string) {
	secrets, errSecrets := mockpay.ParseSecrets(testSecret)
	server, err := New(Config{Addr: "127.0.0.1:0", DataDir: dir, BoxofficeURL: "http://127.0.0.1:1", Secrets: secrets, Log: quiet()})
	if err := errors.Join(errSecrets, err); err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "url")
	if err := errors.Join(os.WriteFile(path+".new", []byte(server.URL()), 0o600), os.Rename(path+".new", path)); err != nil {
		panic(err)
	}
	if err := server.Run(context.Background()); err != nil {
		panic(err)
	}
}

// startChild runs a MockPay in a process and waits until it has its port.
func startChild(t *testing.T, dir string) (*exec.Cmd, *mockpay.Client, string) {
	t.Helper()
	path := filepath.Join(dir, "url")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	var address []byte
	eventually(t, func() bool {
		var err error
		address, err = os.ReadFile(path)
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	return child, newTestClient(t, string(address)), string(address)
}

func newTestClient(t *testing.T, address string) *mockpay.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := mockpay.NewClient(address, &http.Client{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// post pays over HTTP; an error or a status but 200 is false.
func post(address string, links *mockpay.PayLinks, link mockpay.PayLink) bool {
	target, err := links.URL(link)
	if err != nil {
		return false
	}
	query := target[strings.Index(target, "?"):]
	body := `{"outcome":"succeeded","link":"` + query + `"}`
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Post(
		address+mockpay.SessionsPath+link.Session()+"/pay", "application/json", strings.NewReader(body))
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// TestWhatWasAnsweredSurvivesAKill pays while the process is killed, and
// expects every capture that was answered, and its webhook, after the restart.
func TestWhatWasAnsweredSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	links, err := mockpay.NewPayLinks("http://127.0.0.1:8090", testSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	child, _, address := startChild(t, dir)

	const payers = 8
	var answered [payers][]domain.OrderID
	var total atomic.Int64
	done := make(chan struct{}, payers)
	for p := range payers {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := 0; ; n++ {
				link := linkTo(orderNumber(p*100_000+n), time.Now().Add(time.Hour))
				if !post(address, links, link) {
					return
				}
				answered[p] = append(answered[p], link.Order)
				total.Add(1)
			}
		}()
	}
	eventually(t, func() bool { return total.Load() >= 100 }, 30*time.Second, time.Millisecond)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for range payers {
		<-done
	}

	_, client, _ := startChild(t, dir)
	captured, reported := map[domain.OrderID]bool{}, map[domain.OrderID]bool{}
	for c, err := range client.Captures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		captured[c.Order] = true
	}
	for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryPending) {
		if err != nil {
			t.Fatal(err)
		}
		reported[d.Event.Order] = true
	}
	for _, orders := range answered {
		for _, order := range orders {
			if !captured[order] {
				t.Fatalf("want true: captured[order]: order %s was answered as paid", order)
			}
		}
	}
	if !reflect.DeepEqual(reported, captured) {
		t.Fatalf("reported is %v, want %v: each capture has its webhook, and no other", reported, captured)
	}
}

func serve(t *testing.T, cfg Config) (*Server, func() error) {
	t.Helper()
	cfg.Addr, cfg.Secrets, cfg.Log = "127.0.0.1:0", testSecrets(t), quiet()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	stop := func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			_ = stop()
		}
	})
	return server, stop
}

// TestProviderAndBoxOfficeTogether is the whole contract over real sockets: pay
// link, payment, signed webhook, expire, refund, lists.
func TestProviderAndBoxOfficeTogether(t *testing.T) {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan domain.PaymentEvent, 10)
	boxoffice := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(raw)
		event, err := verifier.Verify(r.Header, raw)
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		events <- event
	}))
	defer boxoffice.Close()
	server, stop := serve(t, Config{BoxofficeURL: boxoffice.URL})
	client := newTestClient(t, server.URL())
	links, err := mockpay.NewPayLinks(server.URL(), testSecrets(t))
	if err != nil {
		t.Fatal(err)
	}

	link := linkTo(orderNumber(1), time.Now().Add(time.Minute))
	if !post(server.URL(), links, link) {
		t.Fatal("want true: post(server.URL(), links, link)")
	}
	event := <-events
	if event.Type != domain.PaymentSucceeded {
		t.Fatalf("event.Type is %q, want %q", event.Type, domain.PaymentSucceeded)
	}
	if event.Order != link.Order {
		t.Fatalf("event.Order is %v, want %v", event.Order, link.Order)
	}

	outcome, err := client.Expire(t.Context(), link.Order)
	if err != nil {
		t.Fatal(err)
	}
	if !outcome.Captured {
		t.Fatal("want true: outcome.Captured")
	}
	reported := outcome.Capture
	reported.CapturedAt = time.Time{}
	if want := event.Capture(); !reflect.DeepEqual(reported, want) {
		t.Fatalf("reported is %+v, want %+v", reported, want)
	}
	outcome, err = client.Expire(t.Context(), orderNumber(2))
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Captured {
		t.Fatal("want false: outcome.Captured")
	}
	if post(server.URL(), links, linkTo(orderNumber(2), time.Now().Add(time.Minute))) {
		t.Fatal("paid")
	}

	_, err = client.Session(t.Context(), mockpay.SessionID(orderNumber(3)))
	if got := domain.CodeOf(err); got != domain.CodeNotFound {
		t.Fatalf("domain.CodeOf(err) is %q, want %q", got, domain.CodeNotFound)
	}
	capture, ok, err := client.Capture(t.Context(), link.Session())
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatal("want true: ok")
	}

	refund := domain.Refund{Capture: capture, Reason: domain.RefundCanceled}
	if err := client.Refund(t.Context(), refund); err != nil {
		t.Fatal(err)
	}
	if err := client.Refund(t.Context(), refund); err != nil {
		t.Fatalf("once more changes nothing: %v", err)
	}
	refund.Capture.AmountMinor--
	if got := domain.CodeOf(client.Refund(t.Context(), refund)); got != domain.CodeInvalid {
		t.Fatalf("domain.CodeOf(client.Refund(t.Context(), refund)) is %q, want %q", got, domain.CodeInvalid)
	}
	refund.Capture.Payment = "pay_of_nobody"
	if got := domain.CodeOf(client.Refund(t.Context(), refund)); got != domain.CodeNotFound {
		t.Fatalf("domain.CodeOf(client.Refund(t.Context(), refund)) is %q, want %q", got, domain.CodeNotFound)
	}
	refunds := 0
	for r, err := range client.Refunds(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Reason != domain.RefundCanceled {
			t.Fatalf("r.Reason is %q, want %q", r.Reason, domain.RefundCanceled)
		}
		refunds++
	}
	if refunds != 1 {
		t.Fatalf("refunds is %v, want 1", refunds)
	}
	eventually(t, func() bool {
		for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryAcknowledged) {
			return err == nil && d.Event == event
		}
		return false
	}, 10*time.Second, time.Millisecond)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestMischiefOverRealSockets has everything go wrong at once on the wire; what
// the provider lists is still true.
func TestMischiefOverRealSockets(t *testing.T) {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var genuine, refused atomic.Int64
	boxoffice := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if _, err := verifier.Verify(r.Header, raw); err != nil {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		genuine.Add(1)
	}))
	defer boxoffice.Close()
	server, stop := serve(t, Config{BoxofficeURL: boxoffice.URL})
	if err := server.bank.trickster.set(generalKey, always(TrickDuplicate, TrickForge, TrickReplay)); err != nil {
		t.Fatal(err)
	}
	links, err := mockpay.NewPayLinks(server.URL(), testSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	const sessions = 5
	for n := range sessions {
		if !post(server.URL(), links, linkTo(orderNumber(n), time.Now().Add(time.Minute))) {
			t.Fatalf("order %d is not paid", n)
		}
	}
	client := newTestClient(t, server.URL())
	var captured, acknowledged []domain.OrderID
	eventually(t, func() bool { return server.courier.undelivered() == 0 }, 20*time.Second, time.Millisecond)
	for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryAcknowledged) {
		if err != nil {
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, d.Event.Order)
	}
	for c, err := range client.Captures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		captured = append(captured, c.Order)
	}
	if len(captured) != sessions {
		t.Fatalf("%d in captured, want %d: %+v", len(captured), sessions, captured)
	}
	inOrder := func(a, b domain.OrderID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(captured, inOrder)
	slices.SortFunc(acknowledged, inOrder)
	if !slices.Equal(captured, acknowledged) {
		t.Fatalf("captured %v, acknowledged %v: each capture once", captured, acknowledged)
	}
	if got := genuine.Load(); got != (3 * sessions) {
		t.Fatalf("genuine.Load() is %v, want %v: twice, and a replay", got, 3*sessions)
	}
	if got := refused.Load(); got != (5 * sessions) {
		t.Fatalf("refused.Load() is %v, want %v: four forgeries and a stale one", got, 5*sessions)
	}
	if got := server.bank.trickster.report().WronglyAccepted; got != 0 {
		t.Fatalf("server.bank.trickster.report().WronglyAccepted is %v, want zero", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestNewExplainsWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server, stop := serve(t, Config{BoxofficeURL: "http://127.0.0.1:1"})
	base := Config{Addr: "127.0.0.1:0", DataDir: t.TempDir(), BoxofficeURL: "http://127.0.0.1:1", Secrets: testSecrets(t), Log: quiet()}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		mutate func(*Config)
		want   string
	}{
		{"a port in use", func(c *Config) { c.Addr = taken.Addr().String() }, "is taken by another program: stop it, or set MOCKPAY_URL"},
		{"a directory in use", func(c *Config) { c.DataDir = filepath.Dir(server.store.db.Path()) }, "in use by another mockpay"},
		{"an address that others reach", func(c *Config) { c.Addr = "0.0.0.0:0" }, "not a loopback address"},
		{"every address", func(c *Config) { c.Addr = ":0" }, "not a loopback address"},
		{"no secret", func(c *Config) { c.Secrets = mockpay.Secrets{} }, "no webhook secret"},
		{"a file as directory", func(c *Config) { c.DataDir = file }, "create the data directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg := base
			row.mutate(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("the error is %v, want %q in it", err, row.want)
			}
		})
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again, err := New(base)
	if err != nil {
		t.Fatalf("a failed start leaves nothing locked: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRunEndsWhenTheStoreFails(t *testing.T) {
	server, stop := serve(t, Config{BoxofficeURL: "http://127.0.0.1:1"})
	_ = server.store.update(func(*bbolt.Tx) error { return os.ErrInvalid })
	eventually(t, func() bool { // before it is told to
		conn, err := net.Dial("tcp", server.listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	if err := stop(); err == nil || !strings.Contains(err.Error(), "the store failed") {
		t.Fatalf("the error is %v, want %q in it", err, "the store failed")
	}
}

func TestConfigFromEnv(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		env  map[string]string
		want string // an empty one: accepted
	}{
		{"defaults", nil, ""},
		{"all set", map[string]string{"MOCKPAY_URL": "http://127.0.0.1:9", "BOXOFFICE_URL": "https://tickets.example/", "MOCKPAY_DATA_DIR": "d"}, ""},
		{"elsewhere in a container", map[string]string{"MOCKPAY_LISTEN": "0.0.0.0:8090"}, ""},
		{"a secret and its file", map[string]string{"BOXOFFICE_WEBHOOK_SECRET_FILE": secretFile}, "set one"},
		{"a secret from a file", map[string]string{"BOXOFFICE_WEBHOOK_SECRET": "", "BOXOFFICE_WEBHOOK_SECRET_FILE": secretFile}, ""},
		{"a file that is not there", map[string]string{"BOXOFFICE_WEBHOOK_SECRET": "", "BOXOFFICE_WEBHOOK_SECRET_FILE": secretFile + "x"}, "no such file"},
		{"no secret", map[string]string{"BOXOFFICE_WEBHOOK_SECRET": ""}, "BOXOFFICE_WEBHOOK_SECRET: webhook secret: got 0"},
		{"own URL without a port", map[string]string{"MOCKPAY_URL": "http://127.0.0.1"}, "MOCKPAY_URL: http://127.0.0.1 must be"},
		{"own URL with TLS", map[string]string{"MOCKPAY_URL": "https://127.0.0.1:1"}, "MOCKPAY_URL"},
		{"own URL with a path", map[string]string{"MOCKPAY_URL": "http://127.0.0.1:1/pay"}, "MOCKPAY_URL"},
		{"no scheme", map[string]string{"BOXOFFICE_URL": "127.0.0.1:8080"}, "BOXOFFICE_URL"},
		{"not a URL", map[string]string{"BOXOFFICE_URL": "http://a b"}, "BOXOFFICE_URL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := ConfigFromEnv(func(name string) string {
				if value, ok := row.env[name]; ok {
					return value
				}
				return map[string]string{"BOXOFFICE_WEBHOOK_SECRET": testSecret}[name]
			})
			if row.want != "" {
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Fatalf("the error is %v, want %q in it", err, row.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			own, err := url.Parse(cmp.Or(row.env["MOCKPAY_URL"], defaultURL))
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Addr != own.Host {
				t.Fatalf("cfg.Addr is %q, want %q", cfg.Addr, own.Host)
			}
			if want := strings.TrimSuffix(cmp.Or(row.env["BOXOFFICE_URL"], defaultBoxofficeURL), "/"); cfg.BoxofficeURL != want {
				t.Fatalf("cfg.BoxofficeURL is %q, want %q", cfg.BoxofficeURL, want)
			}
			if cfg.Listen != row.env["MOCKPAY_LISTEN"] {
				t.Fatalf("cfg.Listen is %q", cfg.Listen)
			}
			if want := cmp.Or(row.env["MOCKPAY_DATA_DIR"], defaultDataDir); cfg.DataDir != want {
				t.Fatalf("cfg.DataDir is %q, want %q", cfg.DataDir, want)
			}
		})
	}
}

func eventually(t *testing.T, is func() bool, within, every time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(every) {
		if time.Now().After(end) {
			t.Fatalf("not within %v", within)
		}
	}
}

// In a container it listens where a published port comes in, and its links stay those of this machine.
func TestListensElsewhereInAContainer(t *testing.T) {
	secrets, err := mockpay.ParseSecrets(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Addr: "127.0.0.1:8090", Listen: "127.0.0.1:0", DataDir: t.TempDir(), BoxofficeURL: defaultBoxofficeURL, Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.listener.Addr().String(); got == "127.0.0.1:8090" || got == "" {
		t.Fatalf("it listens at %s", got)
	}
}
