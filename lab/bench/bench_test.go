package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
	"boxoffice/payments/mockpay"
)

const secret = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="

// boxOffice answers like one, or as wrong as a test wants.
type boxOffice struct {
	t        *testing.T
	verifier *mockpay.Verifier

	mu       sync.Mutex
	next     byte
	paid     map[domain.OrderID]bool
	sale     string // instead of a proper answer, "<status> <body>"
	checkout string
	webhook  string
	order    string

	expired  bool   // are all orders
	ordered  func() // nil: nobody wants to know
	failSale string // a sale whose id ends so cannot be opened
}

func newBoxOffice(t *testing.T) (*boxOffice, *bench) {
	t.Helper()
	secrets, err := mockpay.ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := mockpay.NewVerifier(secrets, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := mockpay.NewSigner(secrets)
	if err != nil {
		t.Fatal(err)
	}
	office := &boxOffice{t: t, verifier: verifier, paid: map[domain.OrderID]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/sales/{sale}/checkouts", office.placeOrder)
	mux.HandleFunc("POST /v1/webhooks/mockpay", office.takeWebhook)
	mux.HandleFunc("GET /v1/orders/{order}", office.showOrder)
	mux.HandleFunc("POST /v1/sales", office.openSale)
	mux.HandleFunc("GET /metrics", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	o := Options{URL: server.URL, AdminURL: server.URL, AdminToken: "t", Signer: signer, Temporal: noTemporal{}, Out: io.Discard}
	return office, &bench{Options: o, caller: newCaller(o), sale: "bench-1", progress: progress{out: io.Discard}}
}

// noTemporal is a connection to a server that is down.
type noTemporal struct{ client.Client }

func (noTemporal) WorkflowService() workflowservice.WorkflowServiceClient { return noFrontend{} }

func (noTemporal) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, errors.New("Temporal is down")
}

type noFrontend struct {
	workflowservice.WorkflowServiceClient
}

func (noFrontend) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest, ...grpc.CallOption) (*workflowservice.GetSystemInfoResponse, error) {
	return nil, errors.New("Temporal is down")
}

// instead answers what the test wants, if anything.
func (o *boxOffice) instead(w http.ResponseWriter, answer string) bool {
	if answer == "" {
		return false
	}
	var status int
	_, body, _ := strings.Cut(answer, " ")
	if _, err := fmt.Sscan(answer, &status); err != nil {
		o.t.Error(err)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
	return true
}

func (o *boxOffice) openSale(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sale struct{ ID string }
	if err := json.NewDecoder(r.Body).Decode(&sale); err != nil {
		o.t.Error(err)
	}
	switch {
	case o.instead(w, o.sale):
	case o.failSale != "" && strings.HasSuffix(sale.ID, o.failSale):
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusCreated)
	}
}

func (o *boxOffice) placeOrder(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.instead(w, o.checkout) {
		return
	}
	if o.ordered != nil {
		o.ordered()
	}
	if len(r.Header.Get("Idempotency-Key")) < 16 {
		o.t.Errorf("Idempotency-Key %q", r.Header.Get("Idempotency-Key"))
	}
	o.next++
	order := domain.OrderID{1, o.next}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"order": order, "token": "t", "status": "held", "amount": priceMinor, "currency": currency})
}

func (o *boxOffice) takeWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Error(err)
	}
	event, err := o.verifier.Verify(r.Header, body)
	if err != nil || event.Type != domain.PaymentSucceeded || event.AmountMinor != priceMinor {
		o.t.Errorf("webhook %+v: %v", event, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.instead(w, o.webhook) {
		return
	}
	o.paid[event.Order] = true
	_ = json.NewEncoder(w).Encode(map[string]any{"order": event.Order, "status": "paid"})
}

func (o *boxOffice) showOrder(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.instead(w, o.order) {
		return
	}
	answer := map[string]any{"order": r.PathValue("order"), "status": "paid", "tickets": []map[string]string{{"code": "x"}}}
	if o.expired {
		answer = map[string]any{"order": r.PathValue("order"), "status": "expired"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func open(t *testing.T, b *bench, name string) work {
	t.Helper()
	i := slices.IndexFunc(phases, func(p phase) bool { return p.name == name })
	w, err := phases[i].open(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func measure(t *testing.T, w work, requests int64) load.Measured {
	t.Helper()
	m, err := load.Run(t.Context(), load.Plan{Clients: 1, Requests: requests}, w.step)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestJourneyPaysForWhatItHolds(t *testing.T) {
	office, b := newBoxOffice(t)
	m := measure(t, open(t, b, "journey"), 5)
	if m.Done != 5 || len(office.paid) != 5 || b.paid.Load() != 5 || len(b.recent.list()) != 5 || b.unpaid.len() != 0 {
		t.Errorf("%d done, %d paid, errors %v", m.Done, len(office.paid), m.Samples)
	}
	if m.Laps[lapHold].Count != 5 || m.Laps[lapPay].Count != 5 {
		t.Errorf("parts %v", m.Laps)
	}
}

// An answer that is not the expected one is an error, however quick it was.
func TestWrongAnswersAreErrors(t *testing.T) {
	for name, test := range map[string]struct {
		phase string
		wrong func(*boxOffice)
		code  string
	}{
		"a refused checkout": {"journey", func(o *boxOffice) { o.checkout = `409 {"code":"sold_out"}` }, "409 sold_out"},
		"a checkout that is not held": {"checkout", func(o *boxOffice) {
			o.checkout = `201 {"order":"01000000000000000000000000000000","token":"t","status":"paid"}`
		}, "wrong_answer"},
		"a checkout without an order":   {"checkout", func(o *boxOffice) { o.checkout = `201 {}` }, "wrong_answer"},
		"a checkout that is no JSON":    {"checkout", func(o *boxOffice) { o.checkout = `201 <html>` }, "wrong_answer"},
		"a success of another kind":     {"checkout", func(o *boxOffice) { o.checkout = `200 {}` }, "200 "},
		"a webhook that is not settled": {"journey", func(o *boxOffice) { o.webhook = `202 {}` }, "202 "},
		"a webhook of another order":    {"journey", func(o *boxOffice) { o.webhook = `200 {"order":"02000000000000000000000000000000","status":"paid"}` }, "wrong_answer"},
		"a webhook that ends unpaid":    {"journey", func(o *boxOffice) { o.webhook = `200 {"status":"expired"}` }, "wrong_answer"},
	} {
		t.Run(name, func(t *testing.T) {
			office, b := newBoxOffice(t)
			test.wrong(office)
			m := measure(t, open(t, b, test.phase), 2)
			if m.Errors[test.code] != 2 || m.Done != 0 || m.Latency.Count != 0 {
				t.Errorf("errors %v (%v), %d done; want 2 × %q", m.Errors, m.Samples, m.Done, test.code)
			}
		})
	}
}

func TestReadsWantTickets(t *testing.T) {
	office, b := newBoxOffice(t)
	office.order = `200 {"order":"01010000000000000000000000000000","status":"held"}`
	b.recent.add(held{order: domain.OrderID{1, 1}})
	orders := b.recent.list()
	w := work{step: readStep(b, orders)}
	if m := measure(t, w, 2); m.Errors["wrong_answer"] != 2 {
		t.Errorf("errors %v: a paid order must have tickets", m.Errors)
	}
	office.order = ""
	if m := measure(t, w, 2); m.Done != 2 {
		t.Errorf("errors %v", m.Samples)
	}
}

func TestWebhooksTakeWhatWasHeldInAdvance(t *testing.T) {
	office, b := newBoxOffice(t)
	w := open(t, b, "webhook")
	if err := b.holdInAdvance(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if m := measure(t, w, 10); m.Done != 3 || len(office.paid) != 3 || len(m.Errors) > 0 {
		t.Errorf("%d done of 3, errors %v", m.Done, m.Errors)
	}
}

// What could not be paid is kept, and paid for at the end.
func TestUnpaidOrdersArePaidAtTheEnd(t *testing.T) {
	office, b := newBoxOffice(t)
	office.webhook = `503 {"code":"unknown"}`
	measure(t, open(t, b, "journey"), 2)
	if b.unpaid.len() != 2 || b.paid.Load() != 0 {
		t.Fatalf("%d are kept, %d count as paid", b.unpaid.len(), b.paid.Load())
	}
	office.webhook = ""
	if err := b.finish(t.Context()); err != nil || len(office.paid) != 2 || b.paid.Load() != 2 {
		t.Errorf("%d were paid in the end, error %v", len(office.paid), err)
	}
}

func TestOpenLoopsOfShares(t *testing.T) {
	b := &bench{Options: Options{Rates: []OfferedRate{{PerSecond: 20}, {Share: 0.5}}}}
	closed := []report.Series{{Clients: 1, Runs: []report.Run{{Rate: 40}}}, {Clients: 64, Runs: []report.Run{{Rate: 100}, {Rate: 120}, {Rate: 130}}}}
	open := b.openLoops(phase{name: "journey", unit: "paid checkout"}, closed)
	if len(open) != 2 || open[0].RatePerSecond != 20 || open[1].RatePerSecond != 60 || open[1].Share != 0.5 {
		t.Errorf("got %+v, want 20/s and half of the best median", open)
	}
}

func TestJudge(t *testing.T) {
	good := func() report.Result {
		return report.Result{
			Series: []report.Series{{Phase: "journey", Clients: 1, Runs: []report.Run{{Measured: load.Measured{Done: 5}}}}},
			Audit:  &report.Audit{Paid: 5, Tickets: 5, Verdict: "warning"},
		}
	}
	for name, test := range map[string]struct {
		change func(*report.Result)
		says   string
	}{
		"all is well":               {func(*report.Result) {}, ""},
		"tickets are missing":       {func(r *report.Result) { r.Audit.Tickets = 4 }, "only 4 have tickets"},
		"an invariant is broken":    {func(r *report.Result) { r.Audit.Verdict = "broken" }, "an invariant is broken"},
		"an audit that saw nothing": {func(r *report.Result) { r.Audit.Verdict, r.Audit.Tickets = "could_not_look", 0 }, "could not look"},
		"the sale was not audited":  {func(r *report.Result) { r.Audit = nil }, "not audited"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{result: good()}
			test.change(&b.result)
			err := b.judge(nil)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrFound) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestParseRates(t *testing.T) {
	got, err := ParseRates("55, 50%,0.5")
	if err != nil || !slices.Equal(got, []OfferedRate{{PerSecond: 55}, {Share: 0.5}, {PerSecond: 0.5}}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, wrong := range []string{"", "x", "0", "-1", "NaN", "1e99", "%"} {
		if rates, err := ParseRates(wrong); err == nil {
			t.Errorf("%q was read as %v", wrong, rates)
		}
	}
}

func TestParseCounts(t *testing.T) {
	if got, err := ParseCounts("1, 64,256"); err != nil || !slices.Equal(got, []int{1, 64, 256}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, wrong := range []string{"", "0", "-3", "x", "1.5"} {
		if counts, err := ParseCounts(wrong); err == nil {
			t.Errorf("%q was read as %v", wrong, counts)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	secrets, _ := mockpay.ParseSecrets(secret)
	signer, _ := mockpay.NewSigner(secrets)
	good := Options{AdminToken: "t", Signer: signer, Phases: []string{"journey"}, Runs: 1, Duration: time.Second}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"nothing to measure":    func(o *Options) { o.Phases = nil },
		"an unknown phase":      func(o *Options) { o.Phases = []string{"storms"} },
		"no admin token":        func(o *Options) { o.AdminToken = "" },
		"no webhook secret":     func(o *Options) { o.Signer = nil },
		"no runs":               func(o *Options) { o.Runs = 0 },
		"no time":               func(o *Options) { o.Duration = 0 },
		"too few for tenths":    func(o *Options) { o.Orders = 9 },
		"neither loop":          func(o *Options) { o.OpenOnly = true },
		"a share of no rate":    func(o *Options) { o.OpenOnly, o.Rates = true, []OfferedRate{{Share: 0.5}} },
		"too many nodes":        func(o *Options) { o.Nodes = []int{nodesMax + 1} },
		"nodes nobody asks":     func(o *Options) { o.Nodes, o.Phases = []int{1, 2}, []string{"journey", "refusals"} },
		"too many clients":      func(o *Options) { o.Clients = []int{load.ClientsMax + 1} },
		"a warm-up in the past": func(o *Options) { o.Warmup = -time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if o.Validate() == nil {
				t.Error("the options were accepted")
			}
			if _, err := Run(context.Background(), o); err == nil {
				t.Error("the bench ran")
			}
		})
	}
}

// runOptions are those of a short run against a box office of the test.
func runOptions(b *bench) Options {
	o := b.Options
	o.Phases, o.Clients, o.Runs, o.Duration = []string{"journey"}, []int{1}, 1, 20*time.Millisecond
	return o
}

// Ctrl-C, or a deadline, ends a bench with its cause and what it leaves behind,
// and not with a result.
func TestAnInterruptedBench(t *testing.T) {
	office, b := newBoxOffice(t)
	ctx, interrupt := context.WithCancelCause(t.Context())
	o := runOptions(b)
	o.Duration = time.Hour
	office.ordered = func() { interrupt(errors.New("interrupt signal received")) }
	_, err := Run(ctx, o)
	if err == nil || errors.Is(err, ErrFound) {
		t.Fatalf("error %v, want one that is no finding", err)
	}
	for _, want := range []string{"interrupt signal received", "sale bench-", "comes free within"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
}

// A phase that cannot be measured does not lose what was measured before, and is
// no success.
func TestAPhaseThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		phases []string
		kept   int
	}{
		"after another one": {[]string{"journey", "refusals"}, 1},
		"by itself":         {[]string{"refusals"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			office, b := newBoxOffice(t)
			office.failSale = "-refusals"
			o := runOptions(b)
			o.Phases, o.Rates = test.phases, []OfferedRate{{PerSecond: 100}}
			result, err := Run(t.Context(), o)
			if err == nil || errors.Is(err, ErrFound) != (test.kept > 0) || !strings.Contains(err.Error(), "phase refusals") {
				t.Errorf("error %v, want one about the phase", err)
			}
			phases := map[string]bool{}
			for _, s := range result.Series {
				phases[s.Phase] = len(s.Runs) > 0
			}
			if len(phases) != test.kept || test.kept == 1 && !phases["journey"] {
				t.Errorf("%v are in the result", phases)
			}
			if told := strings.Contains(strings.Join(result.Notes, "\n"), "not all was measured"); told != (test.kept > 0) {
				t.Errorf("notes %q", result.Notes)
			}
		})
	}
}

// A run in which nothing succeeds is the last one, and no figure.
func TestARunWithoutASuccess(t *testing.T) {
	for name, orders := range map[string]int64{"a phase": 0, "the long row": 10} {
		t.Run(name, func(t *testing.T) {
			office, b := newBoxOffice(t)
			office.checkout = `503 {"code":"overloaded"}`
			o := runOptions(b)
			o.Clients = []int{1, 2, 3}
			if o.Orders = orders; orders > 0 {
				o.Phases = nil
			}
			result, err := Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "no request succeeded") || !strings.Contains(err.Error(), "503 overloaded") {
				t.Errorf("error %v, want the answers that there were", err)
			}
			if len(result.Series) > 0 || result.Tenths != nil {
				t.Errorf("figures of nothing: %+v", result)
			}
		})
	}
}

// The first request says what to do about a stack that is down, or a different one.
func TestABenchWithoutItsStack(t *testing.T) {
	office, b := newBoxOffice(t)
	office.sale = `401 {"code":"unauthorized"}`
	if _, err := Run(t.Context(), runOptions(b)); err == nil || !strings.Contains(err.Error(), "dev.env") {
		t.Errorf("error %v, want one that names the environment", err)
	}
	o := runOptions(b)
	o.AdminURL = "http://127.0.0.1:1"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("error %v, want one that says how to start a stack", err)
	}
}

// What a phase needs is all there, or the first error says why not, at once.
func TestManyEndsAtTheFirstError(t *testing.T) {
	_, b := newBoxOffice(t)
	var done atomic.Int64
	full := errors.New("no seat is left")
	err := b.many(t.Context(), 100_000, func(ctx context.Context) error {
		if done.Add(1) == 10 {
			return full
		}
		if done.Load() > 10 { // the others wait for something that never comes
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	if !errors.Is(err, full) || done.Load() > 10+2*helpers {
		t.Errorf("error %v after %d", err, done.Load())
	}
}
