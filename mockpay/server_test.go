package mockpay

import (
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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// childEnv makes this test binary a MockPay of its own, to be killed: the data
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
	require.NoError(t, os.RemoveAll(path))
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	var address []byte
	require.Eventually(t, func() bool {
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
	require.NoError(t, err)
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
	require.NoError(t, err)
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
	require.Eventually(t, func() bool { return total.Load() >= 100 }, 30*time.Second, time.Millisecond)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	for range payers {
		<-done
	}

	_, client, _ := startChild(t, dir)
	captured, reported := map[domain.OrderID]bool{}, map[domain.OrderID]bool{}
	for c, err := range client.Captures(t.Context()) {
		require.NoError(t, err)
		captured[c.Order] = true
	}
	for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryPending) {
		require.NoError(t, err)
		reported[d.Event.Order] = true
	}
	for _, orders := range answered {
		for _, order := range orders {
			require.True(t, captured[order], "order %s was answered as paid", order)
		}
	}
	require.Equal(t, captured, reported, "each capture has its webhook, and no other")
}

func serve(t *testing.T, cfg Config) (*Server, func() error) {
	t.Helper()
	cfg.Addr, cfg.Secrets, cfg.Log = "127.0.0.1:0", testSecrets(t), quiet()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	server, err := New(cfg)
	require.NoError(t, err)
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
	require.NoError(t, err)
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
	require.NoError(t, err)

	link := linkTo(orderNumber(1), time.Now().Add(time.Minute))
	require.True(t, post(server.URL(), links, link))
	event := <-events
	require.Equal(t, domain.PaymentSucceeded, event.Type)
	require.Equal(t, link.Order, event.Order)

	outcome, err := client.Expire(t.Context(), link.Order)
	require.NoError(t, err)
	require.True(t, outcome.Captured)
	reported := outcome.Capture
	reported.CapturedAt = time.Time{}
	require.Equal(t, event.Capture(), reported)
	outcome, err = client.Expire(t.Context(), orderNumber(2))
	require.NoError(t, err)
	require.False(t, outcome.Captured)
	require.False(t, post(server.URL(), links, linkTo(orderNumber(2), time.Now().Add(time.Minute))))

	_, err = client.Session(t.Context(), mockpay.SessionID(orderNumber(3)))
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(err))
	capture, ok, err := client.Capture(t.Context(), link.Session())
	require.NoError(t, err)
	require.True(t, ok)

	refund := domain.Refund{Capture: capture, Reason: domain.RefundCanceled}
	require.NoError(t, client.Refund(t.Context(), refund))
	require.NoError(t, client.Refund(t.Context(), refund), "once more changes nothing")
	refund.Capture.AmountMinor--
	require.Equal(t, domain.CodeInvalid, domain.CodeOf(client.Refund(t.Context(), refund)))
	refund.Capture.Payment = "pay_of_nobody"
	require.Equal(t, domain.CodeNotFound, domain.CodeOf(client.Refund(t.Context(), refund)))
	refunds := 0
	for r, err := range client.Refunds(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, domain.RefundCanceled, r.Reason)
		refunds++
	}
	require.Equal(t, 1, refunds)
	require.Eventually(t, func() bool {
		for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryAcknowledged) {
			return err == nil && d.Event == event
		}
		return false
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, stop())
}

// TestMischiefOverRealSockets has everything go wrong at once on the wire; what
// the provider lists is true all the same.
func TestMischiefOverRealSockets(t *testing.T) {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	require.NoError(t, err)
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
	require.NoError(t, server.bank.trickster.set(generalKey, always(TrickDuplicate, TrickForge, TrickReplay)))
	links, err := mockpay.NewPayLinks(server.URL(), testSecrets(t))
	require.NoError(t, err)
	const sessions = 5
	for n := range sessions {
		require.True(t, post(server.URL(), links, linkTo(orderNumber(n), time.Now().Add(time.Minute))))
	}
	client := newTestClient(t, server.URL())
	var captured, acknowledged []domain.OrderID
	require.Eventually(t, func() bool { return server.courier.undelivered() == 0 }, 20*time.Second, time.Millisecond)
	for d, err := range client.Deliveries(t.Context(), mockpay.DeliveryAcknowledged) {
		require.NoError(t, err)
		acknowledged = append(acknowledged, d.Event.Order)
	}
	for c, err := range client.Captures(t.Context()) {
		require.NoError(t, err)
		captured = append(captured, c.Order)
	}
	require.Len(t, captured, sessions)
	require.ElementsMatch(t, captured, acknowledged, "each capture was acknowledged once")
	require.EqualValues(t, 3*sessions, genuine.Load(), "twice, and a replay")
	require.EqualValues(t, 5*sessions, refused.Load(), "four forgeries and a stale one")
	require.Zero(t, server.bank.trickster.report().WronglyAccepted)
	require.NoError(t, stop())
}

func TestNewExplainsWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	server, stop := serve(t, Config{BoxofficeURL: "http://127.0.0.1:1"})
	base := Config{Addr: "127.0.0.1:0", DataDir: t.TempDir(), BoxofficeURL: "http://127.0.0.1:1", Secrets: testSecrets(t), Log: quiet()}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
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
			require.ErrorContains(t, err, row.want)
		})
	}
	require.NoError(t, stop())
	again, err := New(base)
	require.NoError(t, err, "a failed start leaves nothing locked")
	require.NoError(t, again.Close())
}

func TestRunEndsWhenTheStoreFails(t *testing.T) {
	server, stop := serve(t, Config{BoxofficeURL: "http://127.0.0.1:1"})
	_ = server.store.update(func(*bbolt.Tx) error { return os.ErrInvalid })
	require.Eventually(t, func() bool { // by itself, before it is told to
		conn, err := net.Dial("tcp", server.listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	require.ErrorContains(t, stop(), "the store failed")
}

func TestConfigFromEnv(t *testing.T) {
	for _, row := range []struct {
		name string
		env  map[string]string
		want string // an empty one: accepted
	}{
		{"defaults", nil, ""},
		{"all set", map[string]string{"MOCKPAY_URL": "http://127.0.0.1:9", "BOXOFFICE_URL": "https://tickets.example/", "MOCKPAY_DATA_DIR": "d"}, ""},
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
				require.ErrorContains(t, err, row.want)
				return
			}
			require.NoError(t, err)
			own, err := url.Parse(cmp.Or(row.env["MOCKPAY_URL"], defaultURL))
			require.NoError(t, err)
			require.Equal(t, own.Host, cfg.Addr)
			require.Equal(t, strings.TrimSuffix(cmp.Or(row.env["BOXOFFICE_URL"], defaultBoxofficeURL), "/"), cfg.BoxofficeURL)
			require.Equal(t, cmp.Or(row.env["MOCKPAY_DATA_DIR"], defaultDataDir), cfg.DataDir)
		})
	}
}
