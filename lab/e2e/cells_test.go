package e2e

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"
	temporalclient "go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"boxoffice/client"
)

// Sales in two cells: two namespaces of one Temporal, each behind a door that the test can shut. What one cell
// loses by that is nothing of the other's.
func TestCells(t *testing.T) {
	dir := dataDir(t)
	first, second := newDoor(t, dir), newDoor(t, dir)
	t.Setenv("TEMPORAL_CELLS", "second="+second.address+"/second-cell")
	s := startStack(t, dir, ledgerOfSeveralNodes(t), "--via", "boxoffice-temporal="+first.address)
	sales := s.saleInEachCell(t)

	t.Run("each sale in its own cell", func(t *testing.T) {
		for cell, sale := range sales {
			t.Run(cell, func(t *testing.T) { s.testInCell(t, sale, s.namespaces(t), namespaceOf(cell)) })
		}
	})
	for cell, door := range map[string]*door{"second": second, "": first} {
		t.Run("cell "+label(cell)+" is away", func(t *testing.T) { s.testCellAway(t, sales, cell, door) })
	}
	t.Run("an upgrade goes cell by cell", func(t *testing.T) { s.testVersionsOfCells(t) })
	t.Run("a whole sale is called off", func(t *testing.T) {
		held := s.hold(t, sales["second"], items{"A": 1})
		s.callOff(t, sales["second"])
		eventually(t, "the cancellation is finished", func() bool { return s.progress(t, sales["second"]).Stage == "finished" })
		s.awaitStatus(t, held, "canceled")
	})
	t.Run("verify", func(t *testing.T) { testVerify(t, s) })
}

func namespaceOf(cell string) string {
	if cell == "" {
		return "default"
	}
	return cell + "-cell"
}

func label(cell string) string {
	if cell == "" {
		return "default"
	}
	return cell
}

// saleInEachCell opens two sales, and finds out where they are. The rule takes turns.
func (s *stack) saleInEachCell(t *testing.T) map[string]string {
	t.Helper()
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	sales := make(map[string]string)
	for range 2 {
		sale := s.sale(t, 60, longHold, 5)
		var cell string
		if err := db.QueryRow(t.Context(), `SELECT cell FROM sales WHERE id = $1`, sale).Scan(&cell); err != nil {
			t.Fatal(err)
		}
		sales[cell] = sale
	}
	if len(sales) != 2 || sales[""] == "" || sales["second"] == "" {
		t.Fatalf("sales by cell: %v, want one in each", sales)
	}
	return sales
}

// namespaces are clients that go through no door.
func (s *stack) namespaces(t *testing.T) map[string]temporalclient.Client {
	t.Helper()
	clients := map[string]temporalclient.Client{"default": s.temporal}
	other, err := temporalclient.Dial(temporalclient.Options{
		HostPort: s.env["TEMPORAL_ADDRESS"], Namespace: namespaceOf("second"), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	clients[namespaceOf("second")] = other
	return clients
}

// through is the stack as the tests of one namespace see it.
func (s *stack) through(temporal temporalclient.Client) *stack {
	there := *s
	there.temporal = temporal
	return &there
}

// A release runs beside the one before. One cell's new checkouts go to it, and the other's stay, whichever node buyers reach;
// then the other's go too. What each has begun ends where it began, and the old release is drained once it is in both.
func (s *stack) testVersionsOfCells(t *testing.T) {
	const first, second = "1.0.0", "2.0.0"
	s.env["TEMPORAL_DEPLOYMENT_NAME"], s.env["TEMPORAL_WORKER_BUILD_ID"] = "e2e-cells", second
	defer func() {
		delete(s.env, "TEMPORAL_DEPLOYMENT_NAME")
		delete(s.env, "TEMPORAL_WORKER_BUILD_ID")
	}()
	namespaces, cells := s.namespaces(t), map[string]*cellUnderTest{}
	for name, sale := range s.saleInEachCell(t) {
		cells[name] = &cellUnderTest{stack: s.through(namespaces[namespaceOf(name)]), sale: sale}
	}
	moved, stays := cells["second"], cells[""]

	one := s.release(t, "e2e-cells", first)
	moved.awaitCurrent(t, first) // by itself: it is the first, in each
	stays.awaitCurrent(t, first)
	two := s.release(t, "e2e-cells", second)
	nodes := []*node{one, two}
	for _, c := range cells {
		c.begin(t, first, nodes...)
	}

	s.exits(t, 0, "deployment", "set-current", second, "--cell", "second", "--wait", "1m")
	moved.awaitCurrent(t, second)
	if got := stays.current(t); got != first {
		t.Fatalf("the default cell's new checkouts go to %q, want %q: nobody moved them", got, first)
	}
	moved.awaitBegun(t, second, nodes...)
	stays.begin(t, first, nodes...)
	s.exits(t, 1, "deployment", "drained", first, "--cell", "second")
	moved.buyAll(t)
	s.exits(t, 0, "deployment", "drained", first, "--cell", "second", "--wait", "1m")
	s.exits(t, 1, "deployment", "drained", first) // its nodes have to stay for the other

	s.exits(t, 0, "deployment", "set-current", second) // in all
	stays.awaitCurrent(t, second)
	stays.awaitBegun(t, second, nodes...)
	moved.begin(t, second, nodes...)
	stays.buyAll(t)
	moved.buyAll(t)
	s.exits(t, 0, "deployment", "drained", first, "--wait", "1m")
	s.exits(t, 1, "deployment", "drained", "0.9.0") // no cell ever had it
	one.stop(t)

	s.exits(t, 0, "deployment", "set-current", "--unversioned")
	for _, c := range cells {
		c.awaitCurrent(t, "")
		var tried time.Time
		eventually(t, "the node with a version hears that it is no longer the current one, and hands checkouts on", func() bool {
			if time.Since(tried) < time.Second { //nolint:forbidigo // each try takes a seat; nothing is asserted by it
				return false
			}
			tried = time.Now()
			o := c.awaitHeld(t, two, c.sale)
			got := c.pinnedTo(t, o)
			c.buy(t, o)
			return got == ""
		})
	}
	two.stop(t)
}

// A cellUnderTest has a sale, and checkouts of it by the version that each belongs to.
type cellUnderTest struct {
	*stack
	sale string
	open []begun
}

type begun struct {
	order
	build string
}

// begin has a buyer hold a seat at each node: which node it is must make no difference.
func (c *cellUnderTest) begin(t *testing.T, build string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		o := c.awaitHeld(t, n, c.sale)
		if got := c.pinnedTo(t, o); got != build {
			t.Fatalf("%s, which came in at %s, is on version %q, want %q", o.Order, n.url, got, build)
		}
		c.open = append(c.open, begun{o, build})
	}
}

// awaitBegun is begin once the nodes know where new checkouts go.
func (c *cellUnderTest) awaitBegun(t *testing.T, build string, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "the node at "+n.url+" gives new checkouts to version "+build, func() bool {
			o := c.awaitHeld(t, n, c.sale)
			got := c.pinnedTo(t, o)
			c.open = append(c.open, begun{o, got})
			return got == build
		})
	}
}

// buyAll pays for what is open: each ends on the version that began it.
func (c *cellUnderTest) buyAll(t *testing.T) {
	t.Helper()
	for _, o := range c.open {
		c.buy(t, o.order)
		c.mustBeRunBy(t, o.order, o.build)
	}
	c.open = nil
}

// testInCell sells, cancels, takes late money and gives money back: every workflow of that is in the sale's namespace, and in no other.
func (s *stack) testInCell(t *testing.T, sale string, clients map[string]temporalclient.Client, namespace string) {
	paid, canceled, late := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.cancel(t, canceled)
	s.awaitStatus(t, canceled, "canceled")
	s.misbehave(t, late, "contradict") // the provider says that it failed, and then that it was paid
	s.pay(t, late, "succeeded")
	s.awaitStatus(t, late, "paid")
	if _, err := s.boxOffice().RefundOrder(t.Context(), paid.Order); err != nil {
		t.Fatal(err)
	}
	s.awaitStatus(t, paid, "refunded")
	for _, id := range []string{"checkout/" + paid.Order, "checkout/" + canceled.Order, "refund/" + paid.Order, lateID(late)} {
		for name, temporal := range clients {
			_, err := temporal.DescribeWorkflowExecution(t.Context(), id, "")
			_, missing := err.(*serviceerror.NotFound) //nolint:errorlint // the client returns it as it is
			if name == namespace && err != nil || name != namespace && !missing {
				t.Errorf("%s in namespace %s: %v, want it in %s alone", id, name, err, namespace)
			}
		}
	}
}

// testCellAway shuts a cell's door. The other one's sale goes on, and what was held in the shut one is paid once it is back.
func (s *stack) testCellAway(t *testing.T, sales map[string]string, cell string, door *door) {
	other := map[string]string{"": "second", "second": ""}[cell]
	before := s.hold(t, sales[cell], items{"A": 1})
	door.shut()
	key, buyer := newKey(), newBuyer()
	var asking sync.WaitGroup
	asking.Go(func() { // whatever it is told: that is not known to anybody
		_, _ = s.boxOffice().CreateCheckout(t.Context(), sales[cell], client.CreateCheckoutParams{IdempotencyKey: `"` + key + `"`}, checkoutBody(items{"A": 1}, buyer))
	})
	defer asking.Wait()
	s.visit(t, before)
	if _, err := s.mockpay().Pay(t.Context(), before.PaymentSession, "", "succeeded"); err != nil {
		t.Fatal(err)
	}
	o := s.hold(t, sales[other], items{"A": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	eventually(t, "/readyz says that the node is ready, and names the cell", func() bool {
		ready := s.request(t, "GET", s.api("/readyz"), nil, nil)
		return ready.status == http.StatusOK && strings.Contains(string(ready.body), "temporal of cell "+label(cell))
	})
	door.open()
	asking.Wait()
	eventually(t, "the key has its hold", func() bool {
		a := s.checkout(t, sales[cell], key, items{"A": 1}, buyer)
		return a.status == http.StatusCreated
	})
	s.awaitStatus(t, before, "paid")
}

// A door lets connections through to the stack's Temporal while it is open.
type door struct {
	address string
	env     string // the file that names Temporal's address, once the stack has chosen it

	mu     sync.Mutex
	isShut bool
	conns  map[net.Conn]bool
}

func newDoor(t *testing.T, dir string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{address: l.Addr().String(), env: filepath.Join(dir, "dev.env"), conns: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		_ = l.Close()
		d.shut()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.pass(conn)
		}
	}()
	return d
}

func (d *door) pass(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", d.target())
	if err != nil {
		return
	}
	defer to.Close()
	if !d.enter(from, to) {
		return
	}
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

func (d *door) enter(conns ...net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range conns {
		d.conns[c] = true
	}
	return !d.isShut
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isShut = true
	for c := range d.conns {
		_ = c.Close()
	}
	clear(d.conns)
}

func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isShut = false
}

// target is empty, and cannot be reached, until the stack has written its variables.
func (d *door) target() string {
	content, _ := os.ReadFile(d.env)
	for line := range strings.Lines(string(content)) {
		if address, found := strings.CutPrefix(strings.TrimSpace(line), "TEMPORAL_ADDRESS="); found {
			return strings.Trim(address, `'"`)
		}
	}
	return ""
}
