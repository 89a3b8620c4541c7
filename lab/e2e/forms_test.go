package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"boxoffice/client"
	"boxoffice/deploy/proxy/proxytest"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

var tryForms = flag.Bool("forms", false, "run TestFormsOfDeployment, which takes minutes: make forms")

// A form is a way of docs/deploy.md to run the box office.
type form struct {
	name  string
	needs []string // programs on PATH
	// packaged: only root can run it, and it knows no ledger but TigerBeetle.
	packaged bool
	https    bool
	// open prepares its nodes. Two have a proxy before them.
	open func(t *testing.T, s *stack, at site) []*runner
}

var deployments = []form{
	{name: "a certificate of its own", https: true, open: withCertificate},
	{name: "nginx", needs: []string{"nginx"}, https: true, open: behind("nginx", 0)},
	{name: "Caddy", needs: []string{"caddy"}, https: true, open: behind("caddy", drainOfForms)},
	{
		name: "an image", needs: []string{"buildah", "podman", "apt-get", "dpkg-deb", "jq"}, packaged: true, open: withImage,
	},
	{
		name: "a .deb, under systemd", needs: []string{"dpkg-deb", "mmdebstrap", "systemd-nspawn", "nsenter"}, packaged: true, open: withPackage,
	},
}

// drainOfForms is that of the unit and of the image.
const drainOfForms = 5 * time.Second

// After the drain a node has 15 s for requests and 10 s for activities. The rest is the end of a process on a busy machine.
const endsWithin = 40 * time.Second

// A site is where a form serves.
type site struct {
	url string // what buyers know
	// The listeners of a node; behind a proxy they are the first one's.
	listen, webhooks, admin string
	dir                     string // with tls.crt and tls.key
}

// A runner is one node of a form, as its operator starts and stops it.
type runner struct {
	url   string // where it answers itself, whatever is before it
	drain time.Duration
	start func(*testing.T)
	// stop asks it to end in order, and waits. It is an error if that was no success.
	stop func() error
}

// A trial is what became of a form, for the table.
type trial struct {
	form, outcome string
	tickets       int64
	notReady      time.Duration // until /readyz said no
	ended         time.Duration // until the process was gone
	repeated      string        // what buyers had to repeat, where another node served
}

// Each form of deployment that this machine has the programs for sells tickets as the only box office of a stack. It is asked to stop
// while people buy and a checkout is under way, is started again, and sells on. What was begun ends, and the books balance.
func TestFormsOfDeployment(t *testing.T) {
	if !*tryForms {
		t.Skip("SKIPPED: it takes minutes and has a command of its own, make forms")
	}
	s := startStack(t, dataDir(t), ledgerOfSeveralNodes(t), "--without", "boxoffice", "--without", "mockpay")
	certificates := t.TempDir()
	pool := proxytest.WriteCertificate(t, certificates, "localhost")
	s.env["SSL_CERT_FILE"] = filepath.Join(certificates, "tls.crt") // MockPay's webhooks go where buyers go
	var trials []*trial
	for _, f := range deployments {
		r := &trial{form: f.name, outcome: "not asked for"}
		trials = append(trials, r)
		t.Run(f.name, func(t *testing.T) {
			r.outcome = "FAILED"
			if why := f.missing(s); why != "" {
				r.outcome = "skipped: " + why
				t.Skip("SKIPPED: " + why)
			}
			s.try(t, f, pool, r)
			r.outcome = "holds"
		})
	}
	t.Log(tableOf(trials))
}

func (f form) missing(s *stack) string {
	for _, program := range f.needs {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not on PATH"
		}
	}
	switch {
	case f.packaged && os.Getuid() != 0:
		return "it needs root"
	case f.packaged && s.env["TIGERBEETLE_ADDRESS"] == "":
		return "tigerbeetle is not on PATH"
	}
	return ""
}

func tableOf(trials []*trial) string {
	var b strings.Builder
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "form\ttickets bought\t/readyz 503 after\tgone after\trepeated meanwhile\tverify")
	for _, r := range trials {
		if r.outcome != "holds" {
			fmt.Fprintf(w, "%s\t\t\t\t\t%s\n", r.form, r.outcome)
			continue
		}
		notReady := "gone at once"
		if r.notReady > 0 {
			notReady = fmt.Sprintf("%.2f s", r.notReady.Seconds())
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f s\t%s\t%s\n", r.form, r.tickets, notReady, r.ended.Seconds(), r.repeated, r.outcome)
	}
	w.Flush()
	return b.String()
}

// siteOf points the stack's tools at a form.
func (s *stack) siteOf(t *testing.T, f form) site {
	at := site{
		listen: proxytest.FreeAddress(t), webhooks: proxytest.FreeAddress(t), admin: "http://" + proxytest.FreeAddress(t),
		dir: filepath.Dir(s.env["SSL_CERT_FILE"]),
	}
	at.url = "http://" + at.listen
	if f.https {
		_, port, _ := net.SplitHostPort(proxytest.FreeAddress(t))
		at.url = "https://localhost:" + port
	}
	s.env["BOXOFFICE_URL"], s.env["BOXOFFICE_ADMIN_URL"] = at.url, at.admin
	return at
}

func (s *stack) try(t *testing.T, f form, pool *x509.CertPool, r *trial) {
	at := s.siteOf(t, f)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, ExpectContinueTimeout: waitTimeout}
	defer transport.CloseIdleConnections()
	asked := &repeats{RoundTripper: transport}
	s.http = &http.Client{Timeout: 30 * time.Second, Transport: asked}
	provider := s.startMockpay(t)
	nodes := f.open(t, s, at)
	for _, n := range nodes {
		n.start(t)
		s.awaitNode(t, n.url)
	}
	s.speaks(t, f, at)
	sale := s.sale(t, 100_000, longHold, 4)
	kept := []order{s.hold(t, sale, items{"A": 1})}
	people := s.comeAndBuy(t, s.boxOffice(), sale)
	people.more(t)

	t.Log("the node is asked to stop, while people buy and a checkout is under way")
	before := asked.count.Load()
	kept = append(kept, s.drained(t, nodes[0], sale, r)...)
	r.repeated = "-"
	if len(nodes) > 1 {
		people.more(t) // of the other node
		r.repeated = fmt.Sprint(asked.count.Load() - before)
	}
	nodes[0].start(t)
	s.awaitNode(t, nodes[0].url)
	people.more(t)

	t.Log("what was begun before and during the stop ends")
	for _, o := range kept {
		s.pay(t, o, mockpay.OutcomeSucceeded)
		if tickets := s.awaitStatus(t, o, "paid").Tickets; len(tickets) != 1 {
			t.Errorf("order %s has the tickets %v", o.Order, tickets)
		}
	}
	r.tickets = people.leave(t) + int64(len(kept))
	eventually(t, "every webhook is delivered", func() bool {
		n, err := s.mockpay().Undelivered(t.Context())
		return err == nil && n == 0
	})
	s.awaitSold(t, sale, r.tickets)
	testVerify(t, s)
	for _, n := range nodes {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}
	provider.end(t)
}

// awaitSold: as many tickets are sold as people have.
func (s *stack) awaitSold(t *testing.T, sale string, want int64) {
	t.Helper()
	s.awaitStock(t, sale, "A", level{Sold: want, Available: 100_000 - want})
}

// speaks: browsers get HTTP/2 from whoever has the certificate.
func (s *stack) speaks(t *testing.T, f form, at site) {
	t.Helper()
	response, err := s.http.Get(at.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if f.https && response.Proto != "HTTP/2.0" {
		t.Errorf("%s speaks %s", at.url, response.Proto)
	}
}

// drained stops a node as docs/operations.md says it stops: /readyz says no while it still answers; what is under way is answered, and a
// checkout that comes in the drain too; then nothing listens, and the process ends well. It returns the orders.
func (s *stack) drained(t *testing.T, n *runner, sale string, r *trial) (orders []order) {
	t.Helper()
	finish := s.beginCheckout(t, n.url, sale)
	began, ended := time.Now(), make(chan struct{})
	var stopped error
	go func() {
		defer close(ended)
		stopped = n.stop()
	}()
	if n.drain > 0 {
		eventually(t, "/readyz says no", func() bool { return s.readiness(n) == http.StatusServiceUnavailable })
		r.notReady = time.Since(began) //nolint:forbidigo // for the table
		a := asked(t, func(ctx context.Context) error {
			_, err := s.at(n.url).CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: newKey()}, checkoutBody(items{"A": 1}, newBuyer()))
			return err
		})
		orders = append(orders, heldBy(t, a))
	} else {
		eventually(t, "nothing new is taken", func() bool { return s.readiness(n) == 0 })
	}
	orders = append(orders, heldBy(t, finish()))
	if !pace.Within(ended, n.drain+endsWithin) {
		t.Fatalf("the node did not end within %s", n.drain+endsWithin)
	}
	r.ended = time.Since(began) //nolint:forbidigo // for the table
	if stopped != nil {
		t.Fatal(stopped)
	}
	if got := s.readiness(n); got != 0 {
		t.Fatalf("the node has ended, and /readyz answers %d", got)
	}
	return orders
}

func heldBy(t *testing.T, a answer) (o order) {
	t.Helper()
	if a.status != http.StatusCreated {
		t.Fatalf("a checkout, while the node stops: %d %s", a.status, a.body)
	}
	a.into(t, &o)
	return o
}

// readiness is what a new connection hears from /readyz; 0: there is none.
func (s *stack) readiness(n *runner) int {
	transport := s.http.Transport.(*repeats).RoundTripper.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	response, err := (&http.Client{Timeout: 5 * time.Second, Transport: transport}).Get(n.url + "/readyz")
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

// beginCheckout sends a checkout whose body the node has begun to read, and finish sends the rest.
func (s *stack) beginCheckout(t *testing.T, url, sale string) (finish func() answer) {
	t.Helper()
	body, err := json.Marshal(checkoutBody(items{"A": 1}, newBuyer()))
	if err != nil {
		t.Fatal(err)
	}
	reads, gate, came := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reads) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/sales/"+sale+"/checkouts", &gated{gate: gate, Reader: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = int64(len(body))
	request.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {`"` + newKey() + `"`}, "Expect": {"100-continue"}}
	var a answer
	go func() {
		defer close(came)
		response, err := s.http.Transport.(*repeats).RoundTripper.RoundTrip(request)
		if err != nil {
			a.body = []byte(err.Error())
			return
		}
		defer response.Body.Close()
		a.status, a.header = response.StatusCode, response.Header
		a.body, _ = io.ReadAll(response.Body)
	}()
	if !pace.Within(reads, waitTimeout) {
		t.Fatal("the node does not read the checkout")
	}
	return func() answer {
		close(gate)
		if !pace.Within(came, waitTimeout) {
			t.Fatal("the checkout that was under way is not answered")
		}
		return a
	}
}

// A gated body comes when the gate opens.
type gated struct {
	gate <-chan struct{}
	io.Reader
}

func (g *gated) Read(p []byte) (int, error) {
	<-g.gate
	return g.Reader.Read(p)
}

// repeats counts the requests that a client has to repeat: those without an answer, and those of which a server said that it failed.
type repeats struct {
	http.RoundTripper
	count atomic.Int64
}

func (r *repeats) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.RoundTripper.RoundTrip(request)
	if err != nil || response.StatusCode >= http.StatusInternalServerError {
		r.count.Add(1)
	}
	return response, err
}

// A node with a certificate listens where buyers go.
func withCertificate(t *testing.T, s *stack, at site) []*runner {
	return []*runner{s.asProcess(t, at.url, drainOfForms, map[string]string{
		"BOXOFFICE_LISTEN":        strings.TrimPrefix(at.url, "https://"),
		"BOXOFFICE_TLS_CERT_PATH": filepath.Join(at.dir, "tls.crt"),
		"BOXOFFICE_TLS_KEY_PATH":  filepath.Join(at.dir, "tls.key"),
	})}
}

// Two nodes behind a proxy, with its configuration in deploy/proxy.
func behind(program string, drain time.Duration) func(*testing.T, *stack, site) []*runner {
	return func(t *testing.T, s *stack, at site) []*runner {
		sites := [2]site{at, {listen: proxytest.FreeAddress(t), webhooks: proxytest.FreeAddress(t), admin: "http://" + proxytest.FreeAddress(t)}}
		to := proxytest.At{Name: "localhost", Public: strings.Replace(at.url, "https://localhost", "127.0.0.1", 1), Dir: t.TempDir()}
		var nodes []*runner
		for i, one := range sites {
			to.Nodes[i] = proxytest.Node{Buyers: one.listen, Webhooks: one.webhooks}
			nodes = append(nodes, s.asProcess(t, "http://"+one.listen, drain, map[string]string{
				"BOXOFFICE_LISTEN": one.listen, "BOXOFFICE_WEBHOOK_LISTEN": one.webhooks, "BOXOFFICE_ADMIN_URL": one.admin,
				"BOXOFFICE_TRUSTED_PROXIES": "127.0.0.1",
			}))
		}
		// The organiser's routes are not behind the proxy: a node that stays has them.
		s.env["BOXOFFICE_ADMIN_URL"] = sites[1].admin
		for _, file := range []string{"tls.crt", "tls.key"} {
			content, err := os.ReadFile(filepath.Join(at.dir, file))
			if err == nil {
				err = os.WriteFile(filepath.Join(to.Dir, file), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range proxytest.Frames {
			if f.Program == program {
				f.Start(t, filepath.Join(repository, "deploy/proxy"), to)
			}
		}
		return nodes
	}
}

// asProcess runs the program itself, as a shell does.
func (s *stack) asProcess(t *testing.T, url string, drain time.Duration, more map[string]string) *runner {
	t.Helper()
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	var process *exec.Cmd
	return &runner{
		url: url, drain: drain,
		start: func(t *testing.T) {
			t.Helper()
			log, err := os.OpenFile(filepath.Join(s.dir, "log", "second-node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			process = exec.Command(filepath.Join(bin, s.program()), "serve", "--drain", drain.String())
			process.Stdout, process.Stderr = log, log
			process.Env = os.Environ()
			for _, variables := range []map[string]string{s.env, more} {
				for name, value := range variables {
					process.Env = append(process.Env, name+"="+value) // of two, the later counts
				}
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			started := &node{process: process}
			t.Cleanup(started.kill)
		},
		stop: func() error {
			return errors.Join(process.Process.Signal(syscall.SIGTERM), process.Wait())
		},
	}
}
