package orders_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// beyondTheRule are what migrations do that TestMigrationsOnlyExpand forbids, and why it is right
// nevertheless. A new migration needs an entry only where its reason is as good.
var beyondTheRule = map[string]string{
	"0002 changes constraint refunds_reason_check of refunds":                           "wider: any reason of that form",
	"0002 reads refunds whole to check refunds_reason_check":                            "of before releases were run",
	"0002 builds index refunds_owed of refunds: writes to it wait":                      "of before releases were run",
	"0003 changes constraint outbox_event_check of outbox":                              "wider: events of audits",
	"0003 reads outbox whole to check outbox_event_check":                               "of before releases were run",
	"0006 changes constraint sale_stocks_kind_check of sale_stocks":                     "wider: one kind more",
	"0006 adds constraint only_limits_have_no_capacity to sale_stocks":                  "that of before by another name, for one kind more",
	"0007 changes index refunds_of_sale":                                                "of bytes; no statement names it",
	"0007 builds index refunds_of_sale of refunds: writes to it wait":                   "few rows beside the orders; the changelog says it",
	"0008 changes constraint outbox_pkey of outbox":                                     "no release names it in ON CONFLICT",
	"0008 changes index outbox_pkey":                                                    "no release names it in ON CONFLICT",
	"0008 builds index outbox_pkey of outbox: writes to it wait":                        "the changelog says how long",
	"0009 changes constraint orders_email_check of orders":                              "wider: no address",
	"0014 changes rows of queues":                                                       "one row a waiting room",
	"0016 adds constraint entitlements_are_for_queues to sales":                         "of sales that a release of before does not make",
	"0017 reads orders whole to check orders_metadata_check":                            "a column that is new, so NULL everywhere: some seconds for a million",
	"0018 adds constraint drawn_of_the_list to queues":                                  "it shall keep releases of before from drawing what they cannot draw",
	"0020 changes rows of queues":                                                       "one row a waiting room",
	"0020 drops column due of queues":                                                   "no release has read or written it",
	"0021 changes constraint outbox_event_check of outbox":                              "wider: any event of that form",
	"0027 rewrites webhook_endpoints":                                                   "at most a hundred rows",
	"0027 changes rows of event_cursors":                                                "eight rows a reader",
	"0027 builds index mails_orders of mails: writes to it wait":                        "mails wait, sales do not",
	"0029 builds index webhook_deliveries_due of webhook_deliveries: writes to it wait": "of what is pending alone",
	"0030 builds index outbox_endings of outbox: writes to it wait":                     "of endings alone, of which there are none yet: it reads the table once",
	"0030 adds unique index outbox_endings to outbox":                                   "of events that no release of before writes",
	"0033 adds constraint only_classes_have_windows to sale_stocks":                     "of windows, which a release of before does not write",
	"0036 reads tickets whole to check tickets_holder_changes_check":                    "columns that are new: some seconds for a million",
	"0036 reads tickets whole to check tickets_holder_check":                            "columns that are new: some seconds for a million",
	"0037 adds unique index outbox_of_payments to outbox":                               "weaker than the constraint that goes",
	"0037 builds index outbox_of_payments of outbox: writes to it wait":                 "the changelog says it",
	"0037 drops unique constraint outbox_event_payment_key of outbox":                   "no release names it in ON CONFLICT",
	"0037 drops index outbox_event_payment_key":                                         "no release names it in ON CONFLICT",
	"0038 adds constraint only_classes_are_hidden to sale_stocks":                       "of hidden classes, which a release of before does not make",
	"0038 changes constraint sale_stocks_kind_check of sale_stocks":                     "wider: one kind more",
	"0038 changes constraint only_limits_have_no_capacity of sale_stocks":               "wider: one kind more",
}

// The tables that grow with what is sold.
var largeTables = []string{
	"payments", "orders", "order_lines", "tickets", "refunds", "outbox", "mails", "webhook_deliveries", "sale_figures_events",
	"queue_joins", "queue_entries", "entitlements", "entitled_places", "spent_challenges", "class_codes",
}

// A migration runs while nodes of the release before sell, so it only adds, in a way that they need
// not know, and makes no write to a large table wait. What this compares is the catalogue before
// and after each migration, on a database with rows of each release. To take something away,
// write a contraction.
func TestMigrationsOnlyExpand(t *testing.T) {
	t.Parallel()
	b := &bundle{ctx: t.Context(), url: orderstest.URL(t)}
	conn := b.connect(t)
	found := map[string]bool{}
	was := catalogue{}
	for i, sql := range must(orders.Migrations()) {
		version := i + 1
		var changed []string
		concurrent := strings.HasPrefix(sql, orders.ConcurrentMark)
		if concurrent {
			for _, statement := range strings.Split(sql, ";\n") {
				if _, err := conn.Exec(b.ctx, strings.ReplaceAll(statement, "CONCURRENTLY", "")); err != nil {
					t.Fatalf("migration %d: %v", version, err)
				}
			}
		} else {
			tx := must(conn.Begin(b.ctx))
			if _, err := tx.Exec(b.ctx, sql); err != nil {
				t.Fatalf("migration %d: %v", version, err)
			}
			for table := range was.columns {
				var there, touched bool
				if err := tx.QueryRow(b.ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there); err != nil {
					t.Fatal(err)
				}
				if !there {
					continue
				}
				if err := tx.QueryRow(b.ctx, `SELECT EXISTS (SELECT FROM `+table+` t WHERE t.xmin = pg_current_xact_id()::xid)`).Scan(&touched); err != nil {
					t.Fatal(err)
				}
				if touched {
					changed = append(changed, table)
				}
			}
			if err := tx.Commit(b.ctx); err != nil {
				t.Fatal(err)
			}
		}
		is := readCatalogue(t, b, conn)
		for _, does := range was.forbidden(is, changed, concurrent) {
			does = fmt.Sprintf("%04d %s", version, does)
			found[does] = true
			if beyondTheRule[does] == "" {
				t.Errorf("migration %s", does)
			}
		}
		// Rows of the release with this schema, for the next migration.
		all := writtenBy(t, version, fmt.Sprintf("at-%04d", version))
		for _, rows := range all {
			if _, err := conn.Exec(b.ctx, rows); err != nil {
				t.Fatalf("rows of schema %d: %v", version, err)
			}
		}
		was = is
	}
	for does := range beyondTheRule {
		if !found[does] {
			t.Errorf("no migration does this, take it out of the list: %s", does)
		}
	}
}

// A catalogue is what there is in a schema, by name.
type catalogue struct {
	columns     map[string]map[string]column // by table
	files       map[string]int64             // of tables: another one when it is rewritten
	constraints map[string]constraint        // by table and name
	indexes     map[string]index
	functions   map[string]string
	triggers    map[string]string
}

type column struct {
	Type            string
	NotNull, Filled bool // Filled: who does not write it leaves no NULL
}

type constraint struct {
	Table, Name, Is, Kind string
	Checked               bool // it was checked on all rows
	Columns               []string
}

type index struct {
	Table, Name, Is string
	Unique          bool
}

func (c *catalogue) isNew(table string) bool { return c.columns[table] == nil }

func readCatalogue(t *testing.T, b *bundle, conn *pgx.Conn) (c catalogue) {
	t.Helper()
	c.columns, c.files, c.constraints = map[string]map[string]column{}, map[string]int64{}, map[string]constraint{}
	c.indexes, c.functions, c.triggers = map[string]index{}, map[string]string{}, map[string]string{}
	const ours = `relnamespace = current_schema()::regnamespace`
	each := func(sql string, scan func(pgx.CollectableRow) error) {
		t.Helper()
		if _, err := pgx.CollectRows(must(conn.Query(b.ctx, sql)), func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, scan(row) }); err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	each(`SELECT relname::text, pg_relation_filenode(oid)::bigint FROM pg_class WHERE relkind = 'r' AND `+ours, func(row pgx.CollectableRow) error {
		var table string
		var file int64
		err := row.Scan(&table, &file)
		c.files[table], c.columns[table] = file, map[string]column{}
		return err
	})
	each(`SELECT c.relname::text, attname::text, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> '' OR attgenerated <> ''
		FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE c.relkind = 'r' AND attnum > 0 AND NOT attisdropped AND c.`+ours, func(row pgx.CollectableRow) error {
		var table, name string
		var col column
		err := row.Scan(&table, &name, &col.Type, &col.NotNull, &col.Filled)
		c.columns[table][name] = col
		return err
	})
	each(`SELECT c.relname::text, conname::text, pg_get_constraintdef(o.oid), contype::text, convalidated,
			coalesce((SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)), '{}')
		FROM pg_constraint o JOIN pg_class c ON c.oid = conrelid WHERE c.`+ours, func(row pgx.CollectableRow) error {
		var con constraint
		err := row.Scan(&con.Table, &con.Name, &con.Is, &con.Kind, &con.Checked, &con.Columns)
		c.constraints[con.Table+"."+con.Name] = con
		return err
	})
	each(`SELECT t.relname::text, c.relname::text, pg_get_indexdef(indexrelid), indisunique
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_class t ON t.oid = indrelid WHERE c.`+ours, func(row pgx.CollectableRow) error {
		var ix index
		err := row.Scan(&ix.Table, &ix.Name, &ix.Is, &ix.Unique)
		c.indexes[ix.Name] = ix
		return err
	})
	each(`SELECT oid::regprocedure::text, md5(prosrc) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace`, func(row pgx.CollectableRow) error {
		var name, is string
		err := row.Scan(&name, &is)
		c.functions[name] = is
		return err
	})
	each(`SELECT c.relname::text, tgname::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal AND c.`+ours, func(row pgx.CollectableRow) error {
		var table, name string
		err := row.Scan(&table, &name)
		c.triggers[name] = table
		return err
	})
	return c
}

// forbidden lists what a migration did that nodes of the release before notice.
func (c *catalogue) forbidden(now catalogue, changed []string, concurrent bool) (does []string) {
	say := func(format string, args ...any) { does = append(does, fmt.Sprintf(format, args...)) }
	rewritten := map[string]bool{}
	for table, columns := range c.columns {
		if now.isNew(table) {
			say("drops table %s", table)
			continue
		}
		if now.files[table] != c.files[table] {
			rewritten[table] = true
			say("rewrites %s", table)
		}
		if slices.Contains(changed, table) && !rewritten[table] {
			say("changes rows of %s", table)
		}
		for name, was := range columns {
			is, there := now.columns[table][name]
			switch {
			case !there:
				say("drops column %s of %s", name, table)
			case is.Type != was.Type:
				say("makes %s of %s %s, which was %s", name, table, is.Type, was.Type)
			case is.NotNull && !was.NotNull:
				say("makes %s of %s NOT NULL", name, table)
			case is.NotNull && was.Filled && !is.Filled:
				say("takes the default of %s of %s, which may not be NULL", name, table)
			}
		}
		for name, is := range now.columns[table] {
			if _, there := columns[name]; !there && is.NotNull && !is.Filled {
				say("adds %s to %s, NOT NULL and without a default", name, table)
			}
		}
	}
	for key, was := range c.constraints {
		if is, there := now.constraints[key]; !there && (was.Kind == "u" || was.Kind == "p") && !now.isNew(was.Table) {
			say("drops unique constraint %s of %s", was.Name, was.Table)
		} else if there && is.Is != was.Is {
			say("changes constraint %s of %s", was.Name, was.Table)
		}
	}
	for key, is := range now.constraints {
		if c.isNew(is.Table) {
			continue
		}
		was, there := c.constraints[key]
		if there && was.Is == is.Is {
			continue
		}
		onlyNew := !slices.ContainsFunc(is.Columns, func(name string) bool { _, old := c.columns[is.Table][name]; return old })
		if !there && !onlyNew && is.Kind != "n" { // n: NOT NULL, which is said of its column
			say("adds constraint %s to %s", is.Name, is.Table)
		}
		if is.Checked && (is.Kind == "c" || is.Kind == "f") && slices.Contains(largeTables, is.Table) {
			say("reads %s whole to check %s", is.Table, is.Name)
		}
	}
	for name, was := range c.indexes {
		is, there := now.indexes[name]
		switch {
		case now.isNew(was.Table):
		case !there:
			say("drops index %s", name)
		case is.Is != was.Is:
			say("changes index %s", name)
		}
	}
	for name, is := range now.indexes {
		if was, there := c.indexes[name]; c.isNew(is.Table) || there && was.Is == is.Is {
			continue
		} else if _, ofConstraint := now.constraints[is.Table+"."+name]; is.Unique && !there && !ofConstraint {
			say("adds unique index %s to %s", name, is.Table)
		}
		if slices.Contains(largeTables, is.Table) && !concurrent {
			say("builds index %s of %s: writes to it wait", name, is.Table)
		}
	}
	for name, was := range c.functions {
		if is, there := now.functions[name]; !there {
			say("drops function %s", name)
		} else if is != was {
			say("changes function %s", name)
		}
	}
	for name, table := range now.triggers {
		if c.triggers[name] == "" && !c.isNew(table) {
			say("adds trigger %s to %s", name, table)
		}
	}
	slices.Sort(does)
	return does
}

// The rule sees each thing that it forbids.
func TestTheRuleOfMigrationsSeesWhatBreaksAnOlderRelease(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		`ALTER TABLE sold DROP COLUMN note`:                                                                         "drops column note of orders",
		`ALTER TABLE sold RENAME COLUMN note TO remark`:                                                             "drops column note of orders",
		`ALTER TABLE sold RENAME TO bought`:                                                                         "drops table orders",
		`DROP TABLE sold`:                                                                                           "drops table orders",
		`ALTER TABLE sold ALTER COLUMN n TYPE smallint`:                                                             "makes n of orders smallint, which was bigint",
		`ALTER TABLE sold ALTER COLUMN note SET NOT NULL`:                                                           "makes note of orders NOT NULL",
		`ALTER TABLE sold ALTER COLUMN filled DROP DEFAULT`:                                                         "takes the default of filled of orders, which may not be NULL",
		`DELETE FROM sold; ALTER TABLE sold ADD COLUMN more text NOT NULL`:                                          "adds more to orders, NOT NULL and without a default",
		`ALTER TABLE sold ADD COLUMN more text NOT NULL DEFAULT md5(random()::text)`:                                "rewrites orders",
		`UPDATE sold SET note = 'b'`:                                                                                "changes rows of orders",
		`ALTER TABLE sold ADD CONSTRAINT few CHECK (n < 9) NOT VALID`:                                               "adds constraint few to orders",
		`ALTER TABLE sold ADD COLUMN more text CHECK (more <> '')`:                                                  "reads orders whole to check orders_more_check",
		`ALTER TABLE sold DROP CONSTRAINT one`:                                                                      "drops unique constraint one of orders",
		`ALTER TABLE sold DROP CONSTRAINT one, ADD CONSTRAINT one UNIQUE (n, note)`:                                 "changes constraint one of orders",
		`CREATE UNIQUE INDEX notes ON sold (note)`:                                                                  "adds unique index notes to orders",
		`CREATE INDEX notes ON sold (note)`:                                                                         "builds index notes of orders: writes to it wait",
		`DROP INDEX by_note`:                                                                                        "drops index by_note",
		`DROP FUNCTION double(integer)`:                                                                             "drops function double(integer)",
		`CREATE OR REPLACE FUNCTION double(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 3 * a'`:               "changes function double(integer)",
		`CREATE TRIGGER t BEFORE UPDATE ON sold FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`: "adds trigger t to orders",
		`ALTER TABLE sold ADD COLUMN more text NOT NULL DEFAULT '', ADD COLUMN less text; CREATE TABLE other (n integer NOT NULL UNIQUE)`: "",
		`ALTER TABLE sold ADD CONSTRAINT one_of CHECK (false) NOT VALID; ALTER TABLE sold DROP CONSTRAINT one_of`:                         "",
		`ALTER TABLE sold ADD COLUMN more integer, ADD CONSTRAINT many CHECK (more > 9) NOT VALID`:                                        "",
	} {
		t.Run(sql, func(t *testing.T) {
			t.Parallel()
			b := &bundle{ctx: t.Context(), url: orderstest.URL(t)}
			conn := b.connect(t)
			exec := func(sql string) {
				t.Helper()
				if _, err := conn.Exec(b.ctx, strings.ReplaceAll(sql, "sold", "orders")); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE TABLE sold (n bigint CONSTRAINT one UNIQUE, note text, filled text NOT NULL DEFAULT '');
				CREATE INDEX by_note ON sold (note); INSERT INTO sold VALUES (1, 'a');
				CREATE FUNCTION double(a integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * a'`)
			was := readCatalogue(t, b, conn)
			exec(sql)
			var changed []string
			if strings.HasPrefix(sql, "UPDATE") {
				changed = []string{"orders"}
			}
			does := was.forbidden(readCatalogue(t, b, conn), changed, false)
			if want == "" && len(does) > 0 || want != "" && !slices.Contains(does, want) {
				t.Errorf("it sees %q, want %q", does, want)
			}
		})
	}
}
