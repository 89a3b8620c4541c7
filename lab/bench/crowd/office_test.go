package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// office sells as a box office does, over connections in memory: the clock in
// these tests is synctest's.
type office struct {
	t       *testing.T
	tickets int
	// first answers the first request of a key instead; nil: nothing special.
	first func(w http.ResponseWriter) bool
	takes time.Duration // each answer

	mu       sync.Mutex
	orders   map[string]string // key to order
	asked    map[string]int    // requests by key
	askedAt  map[string][]time.Duration
	held     int
	paid     map[string]bool
	started  time.Time
	conns    chan net.Conn
	closed   chan struct{}
	server   *http.Server
	comeBack int // held tickets that come free with the next request

	// Of a waiting room.
	places     map[string]int
	checkedOut map[string]int // by token
	admitted   int            // places below it
	events     func(w http.ResponseWriter) bool
	watching   int
	doorTurns  int // this many more with each read of a place
	early      int // this many checkouts are sent back
}

func newOffice(t *testing.T, tickets int) *office {
	o := &office{
		t: t, tickets: tickets, orders: map[string]string{}, asked: map[string]int{}, askedAt: map[string][]time.Duration{},
		places: map[string]int{}, checkedOut: map[string]int{}, paid: map[string]bool{}, started: time.Now(), conns: make(chan net.Conn), closed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/sales/{sale}/checkouts", o.checkout)
	mux.HandleFunc("POST /v1/sales/{sale}/queue", o.join)
	mux.HandleFunc("GET /v1/queue/{token}", o.place)
	mux.HandleFunc("GET /v1/queue/{token}/events", o.watch)
	o.server = &http.Server{Handler: mux}
	served := make(chan struct{})
	go func() { defer close(served); _ = o.server.Serve(o) }()
	t.Cleanup(func() {
		_ = o.server.Close()
		<-served
		time.Sleep(2*o.takes + time.Minute) // its handlers are done, too
	})
	return o
}

// Accept, Close and Addr make it a listener.
func (o *office) Accept() (net.Conn, error) {
	select {
	case conn := <-o.conns:
		return conn, nil
	case <-o.closed:
		return nil, net.ErrClosed
	}
}
func (o *office) Close() error   { close(o.closed); return nil }
func (o *office) Addr() net.Addr { return &net.TCPAddr{} }

func (o *office) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case o.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func problem(w http.ResponseWriter, status int, retryAfter, body string) {
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (o *office) checkout(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Items []struct {
			Class    string
			Quantity int
		}
		Buyer struct{ Email string }
	}
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Items) != 1 || body.Items[0].Class != "A" ||
		body.Items[0].Quantity != 1 || body.Buyer.Email != key+"@bench.example" || r.PathValue("sale") != "storm" {
		o.t.Errorf("checkout of %q: %+v, %v", r.PathValue("sale"), body, err)
	}
	time.Sleep(o.takes)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[key]++
	o.askedAt[key] = append(o.askedAt[key], time.Since(o.started))
	if o.asked[key] == 1 && o.first != nil && o.first(w) {
		return
	}
	if token := r.Header.Get("Queue-Token"); token != "" {
		if place, known := o.places[token]; !known || place >= o.admitted || o.early > 0 {
			o.early--
			problem(w, http.StatusForbidden, "2", `{"code":"queue_required"}`)
			return
		}
		o.checkedOut[token]++
	} else if len(o.places) > 0 {
		o.t.Error("a checkout without a token")
	}
	order, known := o.orders[key]
	switch {
	case known:
	case o.held < o.tickets:
		o.held++
		order = fmt.Sprintf("order-%d", len(o.orders)+1)
		o.orders[key] = order
	default:
		o.soldOut(w)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(Held{Order: order, Token: "t", Status: "held", Amount: 1, Currency: "EUR"})
}

func (o *office) soldOut(w http.ResponseWriter) {
	waiting := o.held - len(o.paid)
	if o.comeBack > 0 { // somebody gives tickets back: the next request gets one
		o.comeBack--
		o.held--
	}
	if waiting > 0 {
		problem(w, http.StatusConflict, "5", fmt.Sprintf(`{"code":"sold_out","held":%d}`, waiting))
		return
	}
	problem(w, http.StatusConflict, "", `{"code":"sold_out","held":0}`)
}

func (o *office) pay(_ context.Context, h Held) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.paid[h.Order] {
		return errors.New("paid twice")
	}
	o.paid[h.Order] = true
	return nil
}

func (o *office) plan(buyers int) Plan {
	return Plan{
		URL: "http://office.test", Sale: "storm", Class: "A", Buyers: buyers, Connections: 8, Deadline: time.Hour, Timeout: time.Minute,
		Pay: o.pay, dial: o.dial,
	}
}
