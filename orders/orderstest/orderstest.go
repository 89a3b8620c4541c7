// Package orderstest gives tests a real Postgres: the server in DATABASE_URL_TEST,
// otherwise a throwaway one for this test binary. That comes from the machine's own
// installation, or from the binaries that the local stack uses, which are downloaded
// once. Every test gets its own schema.
//
// The throwaway server's database sorts text like English (ICU's en-US), which Go does
// not, so code that depends on the order of text shows. EnvCollation selects another.
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

	"boxoffice/deploy/pgtest"
	"boxoffice/orders"

	"github.com/jackc/pgx/v5"
)

// EnvURL names the environment variable with the URL of a server to use, such
// as postgres://user@host/database. Its user must be allowed to create schemas.
const EnvURL = "DATABASE_URL_TEST"

// EnvCollation names the environment variable with the ICU locale of the throwaway
// server's database, or "C". Without it, the database has NaturalCollation if the server
// knows ICU, else "C". A locale that is set must exist.
const EnvCollation = "BOXOFFICE_TEST_COLLATION"

// NaturalCollation is a usual one of people's databases: case counts last, punctuation
// hardly.
const NaturalCollation = "en-US"

// callTimeout limits each call of the helper itself.
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
	// The store must outlive this function, so its own context must not end.
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

// describe names a server and how its database sorts text, for the table at the end of
// the tests.
func describe(server string) string {
	described.Do(func() {
		described.name = "a Postgres"
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			return // what follows says it better
		}
		defer conn.Close(ctx)
		var release string
		if conn.QueryRow(ctx, `SHOW server_version`).Scan(&release) != nil {
			return
		}
		release, _, _ = strings.Cut(release, " ")
		locale, err := Collation(ctx, server)
		if err != nil || locale == "" {
			locale = "C"
		}
		described.name = "Postgres " + release + ", text as " + locale
	})
	return described.name
}

var described struct {
	sync.Once
	name string
}

// URL returns the URL of a new, empty schema, dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no Postgres")
	}
	server, err := serverURL()
	if err != nil {
		t.Fatalf("no Postgres for the tests: %v\nInstall one (its bin folder on PATH) or set %s.", err, EnvURL)
	}
	t.Attr("ran-on", describe(server))
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
	server, err := pgtest.Start()
	if err != nil {
		return "", err
	}
	return collated(server)
})

// Collation returns the ICU locale of a URL's database, or "" if it has none: the server
// was made for other tests, or does not know ICU.
func Collation(ctx context.Context, databaseURL string) (locale string, err error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	// Through JSON: the columns came with release 15, and one has another name since 17.
	err = conn.QueryRow(ctx, `
		SELECT coalesce(d ->> 'daticulocale', CASE d ->> 'datlocprovider' WHEN 'i' THEN d ->> 'datlocale' END, '')
		FROM (SELECT to_jsonb(pg_database) AS d FROM pg_database WHERE datname = current_database()) AS here`).Scan(&locale)
	return locale, err
}

// collated returns a database of the server with the collation that the tests want.
func collated(server string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	locale := os.Getenv(EnvCollation)
	if locale == "C" {
		return server, nil
	}
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if locale == "" {
		var known bool
		const icu = `SELECT current_setting('server_version_num')::int >= 150000 AND EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')`
		if err := conn.QueryRow(ctx, icu).Scan(&known); err != nil || !known {
			return server, err
		}
		locale = NaturalCollation
	}
	const name = "naturally_ordered"
	_, err = conn.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE template0 LOCALE_PROVIDER icu LOCALE 'C' ICU_LOCALE '`+strings.ReplaceAll(locale, "'", "''")+`'`)
	if err != nil {
		return "", fmt.Errorf("a database with the collation %s: %w", locale, err)
	}
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}
