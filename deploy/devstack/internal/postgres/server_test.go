package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/deploy/devstack/internal/postgres/postgrestest"
)

// The log shows which statement was slow or failed, and never with which values: those are buyers' addresses and
// tickets' codes.
func TestNoValueOfAStatementIsLogged(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, logFile := postgrestest.Start(ctx, t)
	conn, err := pgx.Connect(ctx, m.Administration().URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	execute(ctx, t, conn, "CREATE TABLE buyers (email text UNIQUE CHECK (octet_length(email) < 40), code text)")
	execute(ctx, t, conn, "SET log_min_duration_statement = 0") // whatever takes any time is slow
	ask := func(mark, address string) string {
		for _, values := range [][]any{{address, mark}, {address, mark} /* there already */, {address + strings.Repeat("x", 40), mark} /* too long */} {
			_, _ = conn.Exec(ctx, "INSERT /* "+mark+" */ INTO buyers VALUES ($1, $2)", values...)
		}
		execute(ctx, t, conn, "SELECT '"+mark+" ends'")
		return awaitLog(ctx, t, logFile, mark+" ends")
	}

	if log := ask("as it runs", "marked@example.com"); strings.Contains(log, "marked@") || !strings.Contains(log, "INSERT /* as it runs */") {
		t.Errorf("the log shows the address, or not the statement:\n%s", log)
	}
	// As Postgres comes.
	execute(ctx, t, conn, "SET log_error_verbosity = 'default'; SET log_parameter_max_length = -1")
	log := ask("as it comes", "shown@example.com")
	for _, shown := range []string{"parameters: $1 = 'shown@", "Failing row contains (shown@", "Key (email)=(shown@"} {
		if !strings.Contains(log, shown) {
			t.Errorf("without the stack's settings the log does not show %q: this test sees nothing\n%s", shown, log)
		}
	}
}

// Tests ask for an orders database that orders text as people do; the others stay in the order of bytes.
func TestOrdersDatabaseOfANaturalCollation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, _ := postgrestest.Start(ctx, t)
	natural, err := m.EnsureDatabases(ctx, "en-US")
	if err != nil {
		t.Fatal(err)
	}
	if !natural {
		t.Skip("SKIPPED: this Postgres knows no ICU")
	}
	if _, err := m.EnsureDatabases(ctx, ""); err != nil { // a later start changes nothing
		t.Fatal(err)
	}
	all := m.Databases()
	for url, want := range map[string]bool{all.Orders.URL(): false, all.Temporal.URL(): true} {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		var bytewise bool
		if err := conn.QueryRow(ctx, "SELECT 'VIP' < 'early'").Scan(&bytewise); err != nil || bytewise != want {
			t.Errorf("'VIP' < 'early' is %v (%v) in %s, want %v", bytewise, err, conn.Config().Database, want)
		}
		conn.Close(ctx)
	}
}

func execute(ctx context.Context, t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func awaitLog(ctx context.Context, t *testing.T, file, end string) string {
	t.Helper()
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		log, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), end) {
			return string(log)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			t.Fatalf("the log does not come to %q:\n%s", end, log)
		}
	}
}
