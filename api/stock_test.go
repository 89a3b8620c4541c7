package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func (b *bundle) stockOf(class int, held, sold int64) {
	b.world.setStock(b.sale.Classes[class].Ledger, held, sold)
}

func (b *bundle) startsNow() int {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	return b.world.starts
}

func TestGate(t *testing.T) {
	tests := []struct {
		name       string
		held, sold int64
		err        error
		code       domain.Code // empty: let through
		wantHeld   int64
		retryAfter string
	}{
		{name: "enough left", held: 1, sold: 2},
		{name: "just enough left", held: 1, sold: 2},
		{name: "sold out for good", sold: 5, code: domain.CodeSoldOut},
		{name: "too few left", sold: 4, code: domain.CodeSoldOut},
		{name: "others hold the rest", held: 3, sold: 2, code: domain.CodeSoldOut, wantHeld: 3, retryAfter: "5"},
		{name: "no answer of the ledger is not a no", sold: 5, err: errors.New("down")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := setup(t)
			b.stockOf(0, test.held, test.sold)
			b.world.stockErr = test.err
			w := b.checkout(testKey, wish("A", 2))
			if test.code == "" {
				if b.startsNow() != 1 {
					t.Errorf("the Desk was not asked: %d %s", w.Code, w.Body)
				}
				return
			}
			p := wantProblem(t, w, 409, test.code)
			if p.Held == nil || *p.Held != test.wantHeld || w.Header().Get("Retry-After") != test.retryAfter {
				t.Errorf("held %v, Retry-After %q: %s", p.Held, w.Header().Get("Retry-After"), w.Body)
			}
			if b.startsNow() != 0 {
				t.Error("a workflow was started for a no that was known")
			}
		})
	}
}

// The buyer who holds the last ticket repeats the request: the gate must not
// answer that.
func TestGateLetsAKnownKeyThrough(t *testing.T) {
	b := setup(t)
	if w := b.checkout(testKey, wish("A", 5)); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	waitFor(t, func() bool { return b.checkout(testKey+"-other", wish("A", 1)).Code == 409 })
	if w := b.checkout(testKey, wish("A", 5)); w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A key's answer stays what it was when the class sells out afterwards.
func TestGateLetsAKeyThroughThatWasOverTheLimit(t *testing.T) {
	b := setup(t)
	b.world.limitReached = true
	wantProblem(t, b.checkout(testKey, wish("A", 1)), 429, domain.CodeLimitReached)
	b.world.limitReached = false
	b.stockOf(0, 0, 5)
	waitFor(t, func() bool { return b.checkout(testKey+"-other", wish("A", 1)).Code == 409 })
	wantProblem(t, b.checkout(testKey, wish("A", 1)), 429, domain.CodeLimitReached)
}

// A refusal must cost no workflow engine, least of all one that is overloaded.
func TestGateDoesNotAskTheDesk(t *testing.T) {
	b := setup(t)
	b.stockOf(0, 0, 5)
	b.world.stateErr, b.world.startErr = errors.New("down"), errors.New("down")
	wantProblem(t, b.checkout(testKey, wish("A", 1)), 409, domain.CodeSoldOut)
}

func TestGateStartsNothingWhereNobodyCanTell(t *testing.T) {
	b := setup(t)
	b.stockOf(0, 0, 5)
	b.world.knownErr = &domain.UnknownError{Op: "look up", Err: errors.New("down")}
	w := b.checkout(testKey, wish("A", 1))
	wantProblem(t, w, 503, domain.CodeOverloaded)
	if w.Header().Get("Retry-After") == "" || b.startsNow() != 0 {
		t.Errorf("Retry-After %q, %d checkouts started", w.Header().Get("Retry-After"), b.startsNow())
	}
}

func TestSoldOutByTheLedgerTellsWhatIsHeld(t *testing.T) {
	b := setup(t)
	if w := b.checkout(testKey, wish("A", 4)); w.Code != 201 { // fills the gate's memory: 5 left
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	w := b.checkout(testKey+"-2", wish("A", 2))
	p := wantProblem(t, w, 409, domain.CodeSoldOut)
	if p.Held == nil {
		t.Errorf("held is missing: %s", w.Body)
	}
}

func TestGateForgetsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		lines := []domain.Line{{Class: "A", Ledger: b.sale.Classes[0].Ledger, Quantity: 1}}
		b.stockOf(0, 5, 0)
		if b.api.gate.Refusal(t.Context(), b.sale, lines) == nil {
			t.Fatal("let through")
		}
		reads := b.world.stockReads
		b.stockOf(0, 0, 0) // a hold was given back
		if b.api.gate.Refusal(t.Context(), b.sale, lines) == nil || b.world.stockReads != reads {
			t.Error("the ledger was asked again within GateMaxAge")
		}
		time.Sleep(10 * time.Millisecond)
		if refusal := b.api.gate.Refusal(t.Context(), b.sale, lines); refusal != nil {
			t.Errorf("refused by an old answer: %v", refusal)
		}
	})
}

// A read of the ledger that began before a seat came free cannot refuse it.
func TestGateDoesNotRefuseByAReadThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		lines := []domain.Line{{Class: "A", Ledger: b.sale.Classes[0].Ledger, Quantity: 1}}
		b.stockOf(0, 5, 0)
		gate := Gate{NewCatalog(b.world, slowBooks{b.world, 2 * GateMaxAge})}
		go gate.Refusal(t.Context(), b.sale, lines)
		time.Sleep(GateMaxAge + time.Millisecond)
		b.stockOf(0, 0, 0) // a hold was given back
		if refusal := gate.Refusal(t.Context(), b.sale, lines); refusal != nil {
			t.Errorf("refused by an old answer: %v", refusal)
		}
	})
}

// slowBooks take their time to tell what they read.
type slowBooks struct {
	*world
	delay time.Duration
}

func (s slowBooks) Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	levels, err := s.world.Stock(ctx, sale)
	time.Sleep(s.delay)
	return levels, err
}

func TestGateDoesNotWaitForALedgerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		catalog := NewCatalog(b.world, hangingBooks{b.world})
		began := time.Now()
		refusal := Gate{catalog}.Refusal(t.Context(), b.sale, []domain.Line{{Ledger: b.sale.Classes[0].Ledger, Quantity: 1}})
		if refusal != nil || time.Since(began) != gateWaitMax {
			t.Errorf("%v after %s", refusal, time.Since(began))
		}
		time.Sleep(stockTimeout) // the shared read ends by its own deadline
	})
}

type hangingBooks struct{ *world }

func (hangingBooks) Stock(ctx context.Context, _ *domain.Sale) ([]domain.StockLevel, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		c := NewCatalog(b.world, b.world)
		get := func() error { _, err := c.Sale(t.Context(), "conference"); return err }
		if err := errors.Join(get(), get()); err != nil || b.world.saleReads != 1 {
			t.Errorf("%v, %d reads for two questions", err, b.world.saleReads)
		}
		time.Sleep(saleTTL)
		b.world.saleErr = errors.New("down")
		if err := get(); err != nil {
			t.Errorf("a sale never changes, and yet: %v", err)
		}
		if _, err := c.Sale(t.Context(), "other"); err == nil || domain.CodeOf(err) == domain.CodeNotFound {
			t.Errorf("an unreachable database says not found: %v", err)
		}
		b.world.saleErr = nil
		if _, err := c.Sale(t.Context(), "No Such"); domain.CodeOf(err) != domain.CodeNotFound || b.world.saleReads != 3 {
			t.Errorf("%v, %d reads", err, b.world.saleReads)
		}
	})
}

// stream reads the events of one connection.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func watch(t *testing.T, server *httptest.Server) (*stream, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/sales/conference/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); response.Body.Close() })
	return &stream{t, bufio.NewScanner(response.Body), cancel}, response
}

// next is the body of the next event `stock`.
func (s *stream) next() SaleView {
	s.t.Helper()
	for s.lines.Scan() {
		if data, ok := strings.CutPrefix(s.lines.Text(), "data: "); ok {
			var v SaleView
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				s.t.Fatal(err)
			}
			return v
		}
	}
	s.t.Fatalf("the stream ended: %v", s.lines.Err())
	return SaleView{}
}

func serve(t *testing.T, b *bundle) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(b.api.Public())
	server.Start()
	t.Cleanup(func() { b.api.CloseStreams(); server.Close() })
	return server
}

func TestEventsTellEveryChangeToAll(t *testing.T) {
	b := setup(t)
	server := serve(t, b)
	first, response := watch(t, server)
	second, _ := watch(t, server)
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	for _, s := range []*stream{first, second} {
		if v := s.next(); v.Classes[0].Available != 5 {
			t.Errorf("first event %+v", v)
		}
	}
	b.stockOf(0, 2, 1)
	for _, s := range []*stream{first, second} {
		if v := s.next(); v.Classes[0].Available != 2 || v.Classes[0].Held != 2 || v.Classes[0].Sold != 1 {
			t.Errorf("second event %+v", v)
		}
	}
}

func TestEventsShareOnePollerAndStopIt(t *testing.T) {
	b := setup(t)
	server := serve(t, b)
	first, _ := watch(t, server)
	second, _ := watch(t, server)
	first.next()
	second.next()
	feeds := func() int { b.api.hub.mu.Lock(); defer b.api.hub.mu.Unlock(); return len(b.api.hub.feeds) }
	if feeds() != 1 || b.api.hub.open() != 2 {
		t.Errorf("%d pollers for %d connections", feeds(), b.api.hub.open())
	}
	first.cancel()
	second.cancel()
	waitFor(t, func() bool { return feeds() == 0 && b.api.hub.open() == 0 })
}

func TestEventConnectionsAreBounded(t *testing.T) {
	b := setup(t, func(o *Options) { o.EventConnectionsMax = 1 })
	server := serve(t, b)
	first, _ := watch(t, server)
	first.next()
	w := b.do(request{method: "GET", path: "/v1/sales/conference/events"})
	wantProblem(t, w, 503, domain.CodeOverloaded)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestEventsEndAtShutdown(t *testing.T) {
	b := setup(t)
	server := serve(t, b)
	s, _ := watch(t, server)
	s.next()
	b.api.CloseStreams()
	for s.lines.Scan() {
	}
	if err := s.lines.Err(); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
}

// A reader that is behind gets the newest state, not all that it missed.
func TestSlowReaderGetsTheNewest(t *testing.T) {
	mailbox := make(chan []byte, 1)
	h, f := setup(t).api.hub, &feed{subscribers: map[chan []byte]bool{mailbox: true}}
	for n := range int64(3) {
		h.publish(f, SaleView{ID: "conference", BuyerLimit: 100 + n})
	}
	var v SaleView
	if err := json.Unmarshal(<-mailbox, &v); err != nil || v.BuyerLimit != 102 {
		t.Errorf("%+v, %v", v, err)
	}
}
