package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/proxy"

	"boxoffice/client"
	"boxoffice/lab/mockpayclient"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
	"boxoffice/payments/stripe"
)

var changeKeys = flag.Bool("keys", false, "run TestKeysChangeUnderLoad, which takes minutes: make keys")

// Every key that can be changed is, node by node and in the steps of docs/security.md, while people buy: no checkout breaks, no
// webhook is refused, and what the old keys sealed is read.
func TestKeysChangeUnderLoad(t *testing.T) {
	if !*changeKeys {
		t.Skip("SKIPPED: it takes minutes and has a command of its own, make keys")
	}
	s := startStack(t, dataDir(t), ledgerOfSeveralNodes(t), "--without", "boxoffice", "--without", "mockpay")
	oldPayload, oldWebhook, oldStripe := s.env["BOXOFFICE_PAYLOAD_KEYS"], s.env["BOXOFFICE_WEBHOOK_SECRET"], s.env["STRIPE_WEBHOOK_SECRET"]
	newPayload, newWebhook, newStripe := "next:"+base64.StdEncoding.EncodeToString(random()), "whsec_"+base64.StdEncoding.EncodeToString(random()), "whsec_anotherOfTheDouble00"

	provider := s.startMockpay(t)
	nodes := []*node{s.startNode(t, s.env["BOXOFFICE_URL"]), s.startNode(t, "")}
	inTurn := func() {
		for i, n := range nodes {
			n.end(t)
			nodes[i] = s.startNode(t, n.url)
		}
	}
	changeProvider := func(secrets string) {
		provider.end(t)
		before := s.env["BOXOFFICE_WEBHOOK_SECRET"]
		s.env["BOXOFFICE_WEBHOOK_SECRET"] = secrets
		provider = s.startMockpay(t)
		s.env["BOXOFFICE_WEBHOOK_SECRET"] = before
	}

	sale, stripes := s.sale(t, 100_000, longHold, 4), s.stripeSale(t, longHold)
	receiver := s.receiver(t, sale)
	paid, kept := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1})
	s.visit(t, kept) // its link is signed with the old secret
	s.pay(t, paid, mockpay.OutcomeSucceeded)
	ticket := s.awaitStatus(t, paid, "paid").Tickets
	atStripe := []*stripeBuyer{s.stripeBuyer(t, stripes), s.stripeBuyer(t, stripes), s.stripeBuyer(t, stripes)}
	front := openFront(t, address(nodes[0].url), address(nodes[1].url))
	people := s.comeAndBuy(t, s.overOwnConnections(front.url()), sale)
	people.more(t)

	t.Log("the provider signs with both secrets; then each node opens with both keys, and takes webhooks of both secrets")
	changeProvider(newWebhook + " " + oldWebhook)
	people.more(t)
	s.env["BOXOFFICE_PAYLOAD_KEYS"], s.env["BOXOFFICE_WEBHOOK_SECRET"] = oldPayload+","+newPayload, newWebhook+" "+oldWebhook
	s.env["STRIPE_WEBHOOK_SECRET"] = newStripe + "," + oldStripe
	inTurn()
	people.more(t)
	atStripe[0].payAndTell(t, oldStripe)
	atStripe[1].payAndTell(t, newStripe)

	t.Log("an endpoint gets another secret, and both sign")
	rotated, err := s.boxOffice().RotateWebhookSecret(t.Context(), receiver.endpoint.ID, &client.RotateSecretBody{OverlapSeconds: new(int64(3600))})
	if err != nil {
		t.Fatal(err)
	}
	receiver.awaitSigned(t, rotated.Secret, receiver.endpoint.Secret)

	t.Log("the provider signs with the new secret alone; then each node seals with the new key, and takes the new secret alone")
	changeProvider(newWebhook)
	people.more(t)
	s.env["BOXOFFICE_PAYLOAD_KEYS"], s.env["BOXOFFICE_WEBHOOK_SECRET"], s.env["STRIPE_WEBHOOK_SECRET"] = newPayload+","+oldPayload, newWebhook, newStripe
	inTurn()
	people.more(t)
	atStripe[2].payAndTell(t, newStripe)
	receiver.awaitSigned(t, rotated.Secret, receiver.endpoint.Secret) // the secret that the old key sealed

	t.Log("what was sealed with the old key is read")
	if _, err := s.mockpay().Pay(t.Context(), kept.PaymentSession, "", mockpay.OutcomeSucceeded); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, kept, "paid")
	if again := s.state(t, paid).Tickets; len(again) != 1 || again[0].Code != ticket[0].Code {
		t.Errorf("the ticket was %v, and is %v", ticket, again)
	}
	people.leave(t)
	if keys := s.keysOf(t, "checkout/"+kept.Order); !keys["local"] || !keys["next"] {
		t.Errorf("the checkout that was there before has payloads of %v, want both keys'", keys)
	}

	t.Log("nothing was refused")
	eventually(t, "every webhook is delivered", func() bool {
		n, err := s.mockpay().Undelivered(t.Context())
		return err == nil && n == 0
	})
	log, err := os.ReadFile(filepath.Join(s.dir, "log", "second-node.log")) // of both nodes
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"code":"forged"`) || strings.Contains(line, "BOXOFFICE_PAYLOAD_KEYS has") {
			t.Errorf("a node could not read what was right: %s", line)
		}
	}
	testVerify(t, s)
}

func random() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return b
}

// end asks a process to end, as an init system does, and waits.
func (n *node) end(t *testing.T) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = n.process.Wait()
	}()
	_ = n.process.Process.Signal(syscall.SIGTERM)
	if !pace.Within(ended, stopTimeout) {
		t.Fatalf("%s did not end within %s", n.process, stopTimeout)
	}
}

// startMockpay starts the provider that the stack was told to leave out.
func (s *stack) startMockpay(t *testing.T) *node {
	t.Helper()
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log", "mockpay.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	n := &node{url: s.env["MOCKPAY_URL"], process: exec.Command(filepath.Join(bin, "mockpay"))}
	n.process.Stdout, n.process.Stderr = log, log
	n.process.Env = append(os.Environ(), "MOCKPAY_DATA_DIR="+filepath.Join(s.dir, "mockpay"))
	for _, name := range []string{"MOCKPAY_URL", "BOXOFFICE_URL", "BOXOFFICE_WEBHOOK_SECRET", "SSL_CERT_FILE"} {
		n.process.Env = append(n.process.Env, name+"="+s.env[name]) // an empty SSL_CERT_FILE is none
	}
	if err := n.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	eventually(t, "MockPay is ready", func() bool {
		_, err := mockpayclient.New(n.url, oneRequestEach).Undelivered(t.Context())
		return err == nil
	})
	return n
}

// people buy one after the other, some at once, until they leave. Each repeats what was not answered, as browsers do.
type people struct {
	bought [buyersAtOnce]atomic.Int64
	home   context.CancelFunc
	gone   sync.WaitGroup

	mu  sync.Mutex
	bad []error
}

const buyersAtOnce = 4

func (s *stack) comeAndBuy(t *testing.T, at *client.Client, sale string) *people {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &people{home: cancel}
	t.Cleanup(func() {
		cancel()
		p.gone.Wait()
	})
	for i := range buyersAtOnce {
		p.gone.Go(func() {
			for ctx.Err() == nil {
				if err := s.buyOne(t.Context(), at, sale); err != nil {
					p.mu.Lock()
					p.bad = append(p.bad, err)
					p.mu.Unlock()
					return
				}
				p.bought[i].Add(1)
			}
		})
	}
	return p
}

// buyOne buys a ticket, whatever is restarted meanwhile.
func (s *stack) buyOne(ctx context.Context, at *client.Client, sale string) error {
	ctx, cancel := context.WithTimeout(ctx, waitTimeout)
	defer cancel()
	atMockpay := mockpayclient.New(s.env["MOCKPAY_URL"], oneRequestEach)
	key, body := newKey(), checkoutBody(items{"A": 1}, newBuyer())
	var o order
	err := insist(ctx, func() (err error) {
		o, err = at.CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: `"` + key + `"`}, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if err := insist(ctx, func() error { return atMockpay.Visit(ctx, o.PaymentURL) }); err != nil {
		return fmt.Errorf("order %s: visit: %w", o.Order, err)
	}
	if err := insist(ctx, func() error {
		_, err := atMockpay.Pay(ctx, o.PaymentSession, "", mockpay.OutcomeSucceeded)
		return err
	}); err != nil {
		return fmt.Errorf("order %s: pay: %w", o.Order, err)
	}
	for {
		var now client.OrderView
		err := insist(ctx, func() (err error) {
			now, err = at.GetOrder(ctx, o.Order, o.Token)
			return err
		})
		switch {
		case err != nil || now.Status != "held" && now.Status != "paid":
			return fmt.Errorf("order %s is %q: %w", o.Order, now.Status, err)
		case now.Status == "paid":
			return nil
		}
		if err := pace.Pause(ctx, waitInterval); err != nil {
			return fmt.Errorf("order %s was paid and is not sold: %w", o.Order, err)
		}
	}
}

// insist repeats a call until its answer is definite.
func insist(ctx context.Context, call func() error) error {
	for {
		err := call()
		if client.IsDefinite(err) {
			return err
		}
		if pace.Pause(ctx, waitInterval) != nil {
			return err
		}
	}
}

// more waits until each has bought twice: what was begun before is ended then, and something begun since.
func (p *people) more(t *testing.T) {
	t.Helper()
	for i := range p.bought {
		want := p.bought[i].Load() + 2
		eventually(t, "more people buy", func() bool { return p.bought[i].Load() >= want || len(p.complaints()) > 0 })
	}
	p.mustBeContent(t)
}

func (p *people) complaints() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad
}

func (p *people) mustBeContent(t *testing.T) {
	t.Helper()
	for _, err := range p.complaints() {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// leave lets those who are there finish, and counts what they bought.
func (p *people) leave(t *testing.T) (bought int64) {
	t.Helper()
	p.home()
	p.gone.Wait()
	p.mustBeContent(t)
	for i := range p.bought {
		bought += p.bought[i].Load()
	}
	t.Logf("%d bought", bought)
	return bought
}

// payAndTell pays at Stripe, and tells the box office with a signature by this secret.
func (b *stripeBuyer) payAndTell(t *testing.T, secret string) {
	t.Helper()
	if err := stripeDouble().Pay(b.session); err != nil {
		t.Fatal(err)
	}
	told := false
	for _, hook := range stripeDouble().Webhooks()[b.before:] {
		if !strings.Contains(string(hook.Body), b.session) {
			continue // another buyer's
		}
		at := time.Now().Unix()
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", at, hook.Body)
		header := hook.Header.Clone()
		header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", at, hex.EncodeToString(mac.Sum(nil))))
		if _, err := b.boxOffice().DeliverEvent(t.Context(), stripe.Name, header, hook.Body); err != nil {
			t.Fatalf("deliver %s: %v", hook.Body, err)
		}
		told = true
	}
	if !told {
		t.Fatalf("Stripe told nothing of session %s", b.session)
	}
	b.awaitStatus(t, b.order, "paid")
}

// keysOf are the ids of the keys that sealed a workflow's payloads.
func (s *stack) keysOf(t *testing.T, workflowID string) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for _, event := range s.history(t, workflowID).Events {
		visit(t, event, func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, payload := range payloads {
				keys[string(payload.GetMetadata()["encryption-key-id"])] = true
			}
			return payloads, nil
		})
	}
	return keys
}

// A receiver is somebody's program that the box office tells of sales.
type receiver struct {
	endpoint client.NewWebhookSecretView

	mu     sync.Mutex
	bodies [][]byte
	heads  []http.Header
}

func (s *stack) receiver(t *testing.T, sale string) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.heads = append(r.bodies, body), append(r.heads, request.Header)
	}))
	t.Cleanup(server.Close)
	var err error
	r.endpoint, err = s.boxOffice().CreateWebhookEndpoint(t.Context(), &client.CreateWebhookEndpointBody{URL: server.URL, Sale: sale, Types: []string{"order.paid"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// awaitSigned waits for an event from now on that each of the secrets verifies. Whoever has either is told.
func (r *receiver) awaitSigned(t *testing.T, secrets ...string) {
	t.Helper()
	r.mu.Lock()
	before := len(r.bodies)
	r.mu.Unlock()
	eventually(t, "an event comes that both secrets sign", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i := before; i < len(r.bodies); i++ {
			if verified(t, secrets, r.bodies[i], r.heads[i]) {
				return true
			}
		}
		return false
	})
}

func verified(t *testing.T, secrets []string, body []byte, head http.Header) bool {
	for _, secret := range secrets {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if verifier.Verify(body, head) != nil {
			return false
		}
	}
	return true
}
