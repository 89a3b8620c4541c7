package bench

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
)

// Rounds alternate between one node and two; two share the requests, and a node
// that is not asked for does not run.
func TestNodesShareTheRequests(t *testing.T) {
	office, b := newBoxOffice(t)
	served := map[string]int{}
	running := 0
	b.StartNode = func(context.Context) (*Node, error) {
		running++
		mux := http.NewServeMux()
		mux.HandleFunc("POST /v1/sales/{sale}/checkouts", func(w http.ResponseWriter, r *http.Request) { served["hold"]++; office.placeOrder(w, r) })
		mux.HandleFunc("POST /v1/webhooks/mockpay", func(w http.ResponseWriter, r *http.Request) { served["webhook"]++; office.takeWebhook(w, r) })
		server := httptest.NewServer(mux)
		return &Node{URL: server.URL, AdminURL: server.URL, PID: 7, Stop: func() error { running--; server.Close(); return nil }}, nil
	}
	b.pids = map[string]int{"boxoffice": 6}
	const requests = 400
	for _, nodes := range []int{1, 2, 1, 2, 0} {
		clear(served)
		if err := b.useNodes(t.Context(), nodes); err != nil {
			t.Fatal(err)
		}
		m, err := load.Run(t.Context(), load.Plan{Clients: 1, Requests: requests}, func(ctx context.Context, _ *load.Request) error {
			_, err := b.caller.placeOrder(ctx, b.sale)
			return err
		})
		if err != nil || m.Done != requests {
			t.Fatalf("%d done, %v, %v", m.Done, m.Samples, err)
		}
		least, most := 0, 0
		if nodes == 2 { // by chance: 8 standard deviations
			least, most = requests*3/10, requests*7/10
		}
		if served["hold"] < least || served["hold"] > most || running != len(b.nodes) || (b.pids["boxoffice-2"] == 7) != (nodes == 2) {
			t.Errorf("%d nodes: the second served %d of %d, %d run, processes %v", nodes, served["hold"], requests, running, b.pids)
		}
	}
}

func TestNodesShareALedger(t *testing.T) {
	for ledger, wants := range map[string]bool{ledgerEmbedded: false, "tigerbeetle": true} {
		b := &bench{Options: Options{Nodes: []int{1, 2}}, result: report.Result{Ledger: ledger}}
		if err := b.checkNodes(); (err == nil) != wants {
			t.Errorf("two nodes on %s: %v", ledger, err)
		}
	}
	b := &bench{result: report.Result{Ledger: ledgerEmbedded}}
	if err := b.checkNodes(); err != nil {
		t.Errorf("the one that runs: %v", err)
	}
}

// A node that had ended before makes its measurements worthless. The others are stopped all
// the same.
func TestANodeThatEndedByItself(t *testing.T) {
	_, b := newBoxOffice(t)
	b.pids = map[string]int{}
	running := 0
	b.StartNode = func(context.Context) (*Node, error) {
		running++
		number := running
		return &Node{URL: "http://127.0.0.1:1", PID: 100 + number, Stop: func() error {
			running--
			if number == 2 {
				return errors.New("it had ended")
			}
			return nil
		}}, nil
	}
	if err := b.useNodes(t.Context(), 3); err != nil || len(b.caller.fronts) != 3 {
		t.Fatalf("%v serve, error %v", b.caller.fronts, err)
	}
	if err := b.stopNodes(1); err == nil || !strings.Contains(err.Error(), "node 3: it had ended") {
		t.Errorf("error %v, want one about node 3", err)
	}
	if running != 0 || len(b.caller.fronts) != 1 || len(b.pids) != 0 {
		t.Errorf("%d still run, %v are asked, processes %v", running, b.caller.fronts, b.pids)
	}
}

// Every load is measured with every number of nodes, next to each other.
func TestLoadsByNodes(t *testing.T) {
	b := &bench{Options: Options{Clients: []int{1, 64}, Nodes: []int{1, 2}, Rates: []OfferedRate{{PerSecond: 20}}}}
	p := phase{name: "journey"}
	var loads []string
	closed := b.closedLoops(p)
	for _, s := range slices.Concat(closed, b.openLoops(p, closed)) {
		loads = append(loads, s.Load())
	}
	want := []string{"1 client, 1 node", "1 client, 2 nodes", "64 clients, 1 node", "64 clients, 2 nodes", "20/s offered, 1 node", "20/s offered, 2 nodes"}
	if !slices.Equal(loads, want) {
		t.Errorf("got %q, want %q", loads, want)
	}
}
