package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/domain"
)

func (b *bundle) stockOf(class int, held, sold int64) {
	b.world.SetStock(b.sale.Classes[class].Ledger, held, sold)
}

func (b *bundle) startsNow() int {
	b.world.Mu.Lock()
	defer b.world.Mu.Unlock()
	return b.world.Starts
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

func TestEveryClientGetsEveryChange(t *testing.T) {
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

// A slow reader gets the newest state, not all that it missed.
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
