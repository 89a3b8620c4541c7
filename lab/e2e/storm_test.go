package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"boxoffice/lab/bench/crowd"

	"boxoffice/client"
	"boxoffice/lab/mockpayclient"
	"boxoffice/payments/mockpay"
)

const (
	stormBuyers  = 3000
	stormTickets = 150
	stormSpread  = 5 * time.Second
	// stormDeadline only ends a test that is broken.
	stormDeadline = 3 * time.Minute
)

// A rush on two nodes and one database, in the middle of which one of them dies
// as in a power cut, with its checkouts under way, its buyers' connections and
// what it had counted of the queue; a moment later it is there again. Everybody
// has one answer, every ticket is sold, once, and paid for at the provider.
func TestStorm(t *testing.T) {
	s := startStack(t, dataDir(t), ledgerOfSeveralNodes(t))
	t.Run("two releases beside each other", func(t *testing.T) { testVersions(t, s) })
	second := s.startNode(t, "")
	front := openFront(t, address(s.env["BOXOFFICE_URL"]), address(second.url))

	t.Run("a node dies", func(t *testing.T) {
		sale := s.sale(t, stormTickets, longHold, 4)
		s.storm(t, front, sale, 1, nil, func() {
			second.kill()
			second = s.startNode(t, second.url)
		})
	})
	t.Run("a node dies while people wait in the room", func(t *testing.T) {
		sale := s.rush(t, stormTickets, 0)
		s.configure(t, sale, client.ConfigureBody{Paused: new(true), RateFloor: new(50.0), RateCeiling: new(200.0)})
		queue := &crowd.Queue{Live: 100, Full: s.openDoor(sale)}
		s.storm(t, front, sale, 2, queue, func() {
			victim := s.pid("boxoffice")
			if victim == 0 {
				t.Fatal("victim is zero")
			}
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the stack starts the service again", func() bool {
				pid := s.pid("boxoffice")
				return pid != 0 && pid != victim
			})
			s.awaitNode(t, s.env["BOXOFFICE_URL"])
		})
	})
	t.Run("10,000 slow clients", func(t *testing.T) { testSlowClients(t, s) })
	t.Run("verify", func(t *testing.T) { testVerify(t, s) })
}

// storm sends a crowd, strikes when a third of the tickets are taken, and looks at
// what everybody was told.
func (s *stack) storm(t *testing.T, front *front, sale string, seed uint64, queue *crowd.Queue, strike func()) {
	t.Helper()
	t.Logf("%d buyers, %d tickets, seed %d", stormBuyers, stormTickets, seed)
	progress, plan := &crowd.Progress{}, crowd.Plan{
		URL: front.url(), Sale: sale, Class: "A", Buyers: stormBuyers, Spread: stormSpread, Seed: seed, Connections: 300,
		Deadline: stormDeadline, Pay: s.payer(front), Queue: queue,
	}
	plan.Progress = progress
	type outcome struct {
		crowd.Result
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		result, err := crowd.Run(t.Context(), plan)
		ended <- outcome{result, err}
	}()
	eventually(t, "a third of the tickets are held", func() bool { return progress.Held.Load() >= stormTickets/3 })
	strike()
	if got := progress.Answered.Load(); got >= int64(stormBuyers) {
		t.Fatalf("progress.Answered.Load() is %v, want less than %v: all was over before the node was back", got, int64(stormBuyers))
	}
	got := <-ended
	if err := got.err; err != nil {
		t.Fatal(err)
	}
	t.Logf("answered in %.1f s, settled in %.1f s; %d requests, %d busy, %d in flight, %d without an answer; queue %+v",
		got.AnsweredSeconds, got.SettledSeconds, got.Requests, got.Busy, got.InFlight, got.Lost, got.Queue)

	if len(got.Errors) != 0 {
		t.Fatalf("got.Errors is %v, want nothing: %v", got.Errors, got.Samples)
	}
	if got.Lost <= 0 {
		t.Fatalf("got.Lost is %v, want more than 0: nobody's connection broke: the node did not die in the rush", got.Lost)
	}
	if got.OneAnswer != stormBuyers {
		t.Fatalf("got.OneAnswer is %v, want stormBuyers: buyers with exactly one final answer", got.OneAnswer)
	}
	if got.Paid != stormTickets {
		t.Fatalf("got.Paid is %v, want stormTickets", got.Paid)
	}
	if got.Orders != stormTickets {
		t.Fatalf("got.Orders is %v, want stormTickets: different orders that were paid", got.Orders)
	}
	if (got.SoldOut + got.AllHeld) != (stormBuyers - stormTickets) {
		t.Fatalf("got.SoldOut+got.AllHeld is %v, want stormBuyers-stormTickets", (got.SoldOut + got.AllHeld))
	}
	s.awaitStock(t, sale, "A", level{Sold: stormTickets})
}

// openDoor lets the queue move, once everybody has a place in it.
func (s *stack) openDoor(sale string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.overOwnConnections(s.env["BOXOFFICE_URL"]).ConfigureQueue(ctx, sale, &client.ConfigureBody{Paused: new(false)})
		return err
	}
}

// payer pays as people do, on the provider's page, and asks until the order is
// paid: the provider's webhook makes it so, however often it has to be repeated.
func (s *stack) payer(front *front) func(context.Context, crowd.Held) error {
	return func(ctx context.Context, held crowd.Held) error {
		node, provider := s.overOwnConnections(front.url()), mockpayclient.New(s.env["MOCKPAY_URL"], oneRequestEach)
		o, err := node.GetOrder(ctx, held.Order, held.Token)
		var refused *client.Refusal
		switch isRefused := errors.As(err, &refused); {
		case err != nil && (!isRefused || refused.HTTPStatus == http.StatusServiceUnavailable):
			return &crowd.PayLater{Err: err}
		case err != nil:
			return fmt.Errorf("order: %w", err)
		case o.Status == "paid" && len(o.Tickets) == 1:
			return nil
		case o.Status != "held":
			return fmt.Errorf("order: %+v", o)
		}
		if err := provider.Visit(ctx, o.PaymentURL); err != nil {
			return err
		}
		if _, err := provider.Pay(ctx, o.PaymentSession, "", mockpay.OutcomeSucceeded); err != nil {
			return fmt.Errorf("pay: %w", err)
		}
		return &crowd.PayLater{Err: fmt.Errorf("order %s waits for its webhook", held.Order)}
	}
}

// oneRequestEach makes a connection for every request: a node may die meanwhile.
var oneRequestEach = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// overOwnConnections is a client of one node that makes a connection for each request.
func (s *stack) overOwnConnections(url string) *client.Client {
	c := s.at(url)
	c.HTTP = oneRequestEach
	return c
}

// A front is the simplest load balancer there is: a connection goes to the next
// node that takes it, and ends with it.
type front struct {
	listener net.Listener
	nodes    []string
	next     atomic.Uint32
	relays   sync.WaitGroup
}

func openFront(t *testing.T, nodes ...string) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: l, nodes: nodes}
	ctx, cancel := context.WithCancel(context.Background())
	f.relays.Go(func() {
		for {
			buyer, err := l.Accept()
			if err != nil {
				return
			}
			f.relays.Go(func() { f.relay(ctx, buyer) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		f.relays.Wait()
	})
	return f
}

func (f *front) url() string { return "http://" + f.listener.Addr().String() }

func (f *front) relay(ctx context.Context, buyer net.Conn) {
	defer buyer.Close()
	first := f.next.Add(1)
	for i := range f.nodes {
		node, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", f.nodes[(int(first)+i)%len(f.nodes)])
		if err != nil {
			continue
		}
		defer node.Close()
		ended := make(chan struct{}, 2)
		for _, way := range [][2]net.Conn{{buyer, node}, {node, buyer}} {
			f.relays.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				ended <- struct{}{}
			})
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
		return
	}
}
