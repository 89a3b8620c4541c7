package orders_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// A dump may read the outbox for a long time. A migration of that table must not make nodes of
// the previous release, which record paid orders there, wait for the dump.
func TestAMigrationBehindADumpHoldsUpNoPaidOrder(t *testing.T) {
	t.Parallel()
	url := orderstest.URL(t)
	const until = 20 // 0021 alters the outbox
	for _, sql := range append(must(orders.Migrations())[:until:until],
		`CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
		fmt.Sprintf(`INSERT INTO schema_migrations VALUES (%d)`, until)) {
		if err := orderstest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	dump, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dump.Exec(ctx, `LOCK TABLE outbox IN ACCESS SHARE MODE`); err != nil { // as pg_dump does
		t.Fatal(err)
	}

	store, err := orders.Open(ctx, url, orders.Options{ConnectionsMax: 4, StatementTimeout: time.Minute, CallTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	migrated := make(chan error, 1)
	go func() { migrated <- store.Migrate(ctx) }()
	waiting := func() (n int) {
		const sql = `SELECT count(*) FROM pg_locks WHERE relation = 'outbox'::regclass AND NOT granted`
		if err := dump.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for waiting() == 0 {
		select {
		case err := <-migrated:
			t.Fatalf("it did not wait for the dump: %v", err)
		default:
		}
	}

	// A write by a node of the previous release, while the migration waits.
	const asBefore = `INSERT INTO outbox (event, sale_id, order_id, payment, payload)
		SELECT 'order.paid', 'none', gen_random_uuid(), 'pay_1', '{}' WHERE false`
	if err := orderstest.Exec(ctx, url, asBefore); err != nil {
		t.Fatalf("a paid order waited for the dump: %v", err)
	}
	if err := dump.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Fatalf("after the dump: %v", err)
	}
}
