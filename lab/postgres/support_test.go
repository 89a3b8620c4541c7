package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	tb "github.com/tigerbeetle/tigerbeetle-go"
	"go.uber.org/goleak"

	"boxoffice/lab/postgres"
	"boxoffice/orders/orderstest"
)

// The server of the tests ends with the binary, so its goroutines stay.
func TestMain(m *testing.M) {
	status := m.Run()
	err := goleak.Find(goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"), goleak.IgnoreAnyFunction("boxoffice/deploy/pgtest.startServer.func1"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left over:", err)
		status = 1
	}
	os.Exit(status)
}

var discard = slog.New(slog.DiscardHandler)

// A place is an empty schema that any number of nodes may open.
type place struct{ url, schema string }

func newPlace(t testing.TB) place {
	t.Helper()
	raw := orderstest.URL(t)
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return place{url: raw, schema: u.Query().Get("search_path")}
}

// open gives one node's client.
func (p place) open(t testing.TB, o postgres.Options) *postgres.Client {
	t.Helper()
	o.Schema, o.Logger = p.schema, discard
	c, err := postgres.Open(t.Context(), p.url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// connect gives a connection beside the ledger's.
func (p place) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func scan[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // between two looks at a condition
	}
}

const (
	linked  uint16 = 1 << 0
	pending uint16 = 1 << 1
	post    uint16 = 1 << 2
	void    uint16 = 1 << 3
)

// A stock is a budget that cannot be overdrawn, and what was taken from it.
type stock struct{ operator, budget, spent tb.Uint128 }

func newStock(t testing.TB, c tb.Client, capacity uint64) stock {
	t.Helper()
	s := stock{tb.ID(), tb.ID(), tb.ID()}
	limited := tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16()
	accounts, err := c.CreateAccounts([]tb.Account{
		{ID: s.operator, Ledger: 1, Code: 1},
		{ID: s.budget, Ledger: 1, Code: 2, Flags: limited},
		{ID: s.spent, Ledger: 1, Code: 3, Flags: limited},
	})
	if err != nil || accounts[2].Status != tb.AccountCreated {
		t.Fatal(accounts, err)
	}
	fund := tb.Transfer{ID: tb.ID(), DebitAccountID: s.operator, CreditAccountID: s.budget, Amount: tb.ToUint128(capacity), Ledger: 1, Code: 1}
	results, err := c.CreateTransfers([]tb.Transfer{fund})
	if err != nil || results[0].Status != tb.TransferCreated {
		t.Fatal(results, err)
	}
	return s
}

func (s stock) hold(amount uint64) tb.Transfer {
	return tb.Transfer{ID: tb.ID(), DebitAccountID: s.budget, CreditAccountID: s.spent, Amount: tb.ToUint128(amount), Ledger: 1, Code: 1, Flags: pending, Timeout: 1 << 20}
}

func finish(hold tb.Transfer, flags uint16) tb.Transfer {
	t := tb.Transfer{ID: tb.ID(), PendingID: hold.ID, Flags: flags}
	if flags&post != 0 {
		t.Amount = tb.AmountMax
	}
	return t
}

func small(n tb.Uint128) uint64 {
	low, _ := n.Uint64()
	return low
}
