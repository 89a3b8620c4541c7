package orders_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/orders/orderstest"

	"github.com/jackc/pgx/v5"
)

// The tests of this package prove something about text only if the database has an order of
// its own.
func TestDatabaseOrdersTextAsPeopleDo(t *testing.T) {
	url := orderstest.URL(t)
	locale, err := orderstest.Collation(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if locale == "" {
		t.Skipf("SKIPPED: the database has the order of bytes: no ICU, or %s or %s says so", orderstest.EnvURL, orderstest.EnvCollation)
	}
	var bytewise bool
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), `SELECT 'VIP' < 'early'`).Scan(&bytewise); err != nil || bytewise {
		t.Errorf("'VIP' < 'early' is %v (%v) in collation %s: the tests prove nothing", bytewise, err, locale)
	}
}

// natural are names that a language sorts differently from their bytes: case and
// punctuation count last.
var natural = []string{"VIP", "early", "Zone_2", "Zone-10", "zone10", "a-b", "ab", "a_b", "aB", "Early"}

// Lines come back in the sequence in which the order was placed, because it numbers their
// transfers.
func TestLinesComeBackAsTheyWerePlaced(t *testing.T) {
	b := setup(t)
	sale := definition("natural")
	sale.BuyerLimit, sale.Classes = 2*int64(len(natural)), nil
	var items []domain.Item
	for i, name := range natural {
		sale.Classes = append(sale.Classes, domain.Class{Name: name, PriceMinor: int64(i + 1), Capacity: 10})
		items = append(items, domain.Item{Class: name, Quantity: 1 + int64(i%2)})
	}
	b.sale = must(b.store.CreateSale(b.ctx, sale))
	for i := 0; i < len(items); i += domain.ClassesMax {
		key := keyOf(i)
		order, err := domain.NewOrder(b.sale, b.keys, key, items[i:min(i+domain.ClassesMax, len(items))], "a@example.com")
		if err != nil {
			t.Fatal(err)
		}
		sold := b.paid(order, key)
		recorded := b.record(t, sold)
		wantEqual(t, "recorded lines", recorded.Lines, order.Lines)
		wantEqual(t, "lines of a repeat", b.record(t, sold).Lines, order.Lines)
		read := must(b.store.Order(b.ctx, order.ID))
		wantEqual(t, "lines read", read.Lines, order.Lines)
		wantEqual(t, "tickets read", read.Tickets, recorded.Tickets)
		wantEqual(t, "lines of a refund", must(b.store.BeginOrderRefund(b.ctx, order.ID, domain.RefundByOrganiser, day)).Lines, order.Lines)
	}
	for _, o := range must(b.store.FindOrders(b.ctx, domain.OrderFilter{SaleID: sale.ID, Limit: 100})) {
		if !slices.IsSortedFunc(o.Lines, func(a, b domain.Line) int { return strings.Compare(a.Class, b.Class) }) {
			t.Errorf("lines of the listed order %s: %+v", o.ID, o.Lines)
		}
	}
}

// Refunds are read in pages of 1,000, in the order of bytes. None is missed or read twice
// at the edge of a page.
func TestRefundsStreamInTheOrderOfBytes(t *testing.T) {
	b := setup(t)
	const refunds = 2100
	if err := orderstest.Exec(b.ctx, b.url, `
		WITH p AS (
			INSERT INTO payments (id, order_id, session, amount_minor, currency, bought)
			SELECT (ARRAY['pay_', 'Pay-', 'PAY', 'é', 'p a y'])[1 + n % 5] || n, gen_random_uuid(), 's', 1, 'EUR', 'nothing'
			FROM generate_series(1, $1) n RETURNING id, order_id
		) INSERT INTO refunds (payment, order_id, bought, sale_id, reason, requested_at)
		  SELECT id, order_id, 'nothing', $2, 'canceled', now() FROM p`, refunds, b.sale.ID); err != nil {
		t.Fatal(err)
	}
	var payments []string
	for r, err := range b.store.RecordedRefunds(b.ctx, b.sale.ID) {
		if err != nil {
			t.Fatal(err)
		}
		payments = append(payments, r.Capture.Payment)
	}
	if len(payments) != refunds || !slices.IsSorted(payments) || len(slices.Compact(slices.Clone(payments))) != refunds {
		t.Errorf("%d refunds, in the order of bytes: %v, want %d different ones", len(payments), slices.IsSorted(payments), refunds)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Every statement that sorts text names the collation. This reads the package's statements,
// and the columns from the schema.
func TestStatementsOrderTextByBytes(t *testing.T) {
	url := orderstest.URL(t)
	orderstest.Open(t, url)
	s := &schema{tables: columnsOf(t, url)}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	statements := map[string]string{}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			maps.Copy(statements, statementsOf(t, file))
		}
	}
	migrations, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range migrations {
		statements[file] = commentRE.ReplaceAllString(string(must(os.ReadFile(file))), "")
	}
	for _, sql := range statements {
		s.learn(sql)
	}
	judged := 0
	for at, sql := range statements {
		// An alias means what the statement says; a part of a statement borrows from all others.
		own := &schema{tables: s.tables}
		own.learn(sql)
		for alias, tables := range s.aliases {
			if len(own.aliases[alias]) == 0 {
				own.call(alias, tables...)
			}
		}
		for _, what := range ordered(sql) {
			judged++
			if complaint := own.judge(what); complaint != "" {
				t.Errorf("%s: orders by %q, %s", at, what, complaint)
			}
		}
	}
	if judged < 20 {
		t.Errorf("%d orders and comparisons found: the statements are written in a way that this does not read", judged)
	}
}

func TestWhatTheCheckOfStatementsSees(t *testing.T) {
	s := &schema{tables: map[string]map[string]bool{"orders": {"id": false, "email": true}, "payments": {"id": true, "amount": false}}}
	s.learn(`SELECT FROM orders o JOIN payments AS p ON p.id = o.payment WHERE true`)
	for _, tt := range []struct {
		sql  string
		fine bool
	}{
		{`ORDER BY o.id DESC LIMIT 1`, true},
		{`ORDER BY p.id`, false},
		{`ORDER BY p.id COLLATE "C" DESC, o.id`, true},
		{`ORDER BY o.id, p.id LIMIT $1`, false},
		{`json_agg(o ORDER BY o.email)`, false},
		{`ORDER BY id`, false}, // text in one of the tables
		{`ORDER BY 1`, false},
		{`ORDER BY lower(p.id)`, false},
		{`ORDER BY p.amount`, true},
		{`WHERE o.id > $1`, true},
		{`WHERE p.id > $1`, false},
		{`WHERE p.id COLLATE "C" > $1`, true},
		{`WHERE (o.id, p.id) > ($1, $2)`, false},
		{`WHERE (o.id, p.amount) >= ($1, $2)`, true},
		{`WHERE o.email BETWEEN $1 AND $2`, false},
		{`SELECT min(email)`, false},
		{`SELECT max(amount)`, true},
		{`WHERE p.id::bigint > $1 AND $2::text::xid8 >= xmin()`, true},
		{`WHERE o.id::text > $1`, false},
		{`SELECT count(*) > 0, 1 <> 2 WHERE p.id <> $1`, true},
	} {
		fine := true
		for _, what := range ordered(tt.sql) {
			fine = fine && s.judge(what) == ""
		}
		if fine != tt.fine {
			t.Errorf("%s: %v, want %v (%q)", tt.sql, fine, tt.fine, ordered(tt.sql))
		}
	}
}

// A schema knows for every column whether a collation sorts it, and the aliases of the
// tables in a statement.
type schema struct {
	tables  map[string]map[string]bool // by table, then by column: whether it is text
	aliases map[string][]string
}

func columnsOf(t *testing.T, url string) map[string]map[string]bool {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `
		SELECT c.relname, a.attname, a.attcollation <> 0 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped`)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]map[string]bool{}
	var table, column string
	var text bool
	_, err = pgx.ForEachRow(rows, []any{&table, &column, &text}, func() error {
		if tables[table] == nil {
			tables[table] = map[string]bool{}
		}
		tables[table][column] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// statementsOf returns the string literals of a file by position.
func statementsOf(t *testing.T, file string) map[string]string {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	literals := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			literals[set.Position(lit.Pos()).String()] = must(strconv.Unquote(lit.Value))
		}
		return true
	})
	return literals
}

var calledRE = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|UPDATE|INTO)\s+([a-z_]+)\s+(?:AS\s+)?([a-z_]+)\b`)

func (s *schema) learn(sql string) {
	for _, match := range calledRE.FindAllStringSubmatch(sql, -1) {
		if _, ok := s.tables[match[1]]; ok {
			s.call(match[2], match[1])
		}
	}
}

func (s *schema) call(alias string, tables ...string) {
	if s.aliases == nil {
		s.aliases = map[string][]string{}
	}
	s.aliases[alias] = append(s.aliases[alias], tables...)
}

const itemPattern = `[a-z_][a-z0-9_.]*(?:\s+COLLATE\s+"C")?`

var (
	commentRE = regexp.MustCompile(`--.*`)
	orderRE   = regexp.MustCompile(`(?is)\bORDER BY\s+(.*)`)
	endRE     = regexp.MustCompile(`(?i)^\s*(LIMIT|FOR|OFFSET|ROWS|RANGE|FETCH|LOOP|UNION)\b`)
	compareRE = regexp.MustCompile(`(?i)(::)?(` + itemPattern + `)\s*(?:<=|>=|<|>|\bBETWEEN\b)`)
	rowRE     = regexp.MustCompile(`(?i)(?:^|[^a-z0-9_])\(\s*(` + itemPattern + `(?:\s*,\s*` + itemPattern + `)+)\s*\)\s*(?:<=|>=|<|>)`)
	extremeRE = regexp.MustCompile(`(?i)\b(?:min|max)\(([^)]*)\)`)
	wayRE     = regexp.MustCompile(`(?i)\s+(?:ASC|DESC|NULLS\s+FIRST|NULLS\s+LAST)\b`)
)

// ordered returns what a statement sorts by or compares by order.
func ordered(sql string) (items []string) {
	sql = strings.ReplaceAll(sql, "<>", "!=")
	for rest := sql; ; {
		match := orderRE.FindStringSubmatchIndex(rest)
		if match == nil {
			break
		}
		rest = rest[match[2]:]
		items = append(items, firstList(rest)...)
	}
	for _, match := range compareRE.FindAllStringSubmatch(sql, -1) {
		if cast := match[1] != ""; !cast || match[2] == "text" {
			items = append(items, match[2])
		}
	}
	for _, match := range rowRE.FindAllStringSubmatch(sql, -1) {
		items = append(items, strings.Split(match[1], ",")...)
	}
	for _, match := range extremeRE.FindAllStringSubmatch(sql, -1) {
		items = append(items, match[1])
	}
	for i := range items {
		items[i] = strings.TrimSpace(wayRE.ReplaceAllString(items[i], ""))
	}
	return items
}

// firstList splits the list at the start of sql at its commas.
func firstList(sql string) (items []string) {
	depth, start := 0, 0
	for i, c := range sql {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == ')', c == ';', endRE.MatchString(sql[i:]):
			return append(items, sql[start:i])
		case c == ',':
			items, start = append(items, sql[start:i]), i+1
		}
	}
	return append(items, sql[start:])
}

var columnRE = regexp.MustCompile(`^(?:([a-z_]+)\.)?([a-z_][a-z0-9_]*)$`)

// judge says what is wrong with sorting by an expression; empty if it is not text or has
// COLLATE "C".
func (s *schema) judge(what string) string {
	if strings.HasSuffix(what, `COLLATE "C"`) {
		return ""
	}
	match := columnRE.FindStringSubmatch(what)
	if match == nil {
		return `which may be text: order by a column, or say COLLATE "C"`
	}
	tables := slices.Collect(maps.Keys(s.tables))
	if alias := match[1]; alias != "" {
		tables = append(slices.Clone(s.aliases[alias]), alias)
	}
	known := false
	for _, table := range tables {
		text, ok := s.tables[table][match[2]]
		known = known || ok
		if text {
			return `which is text in table ` + table + `: say COLLATE "C", or name the table that is meant`
		}
	}
	if !known {
		return `which is no column of the schema: say COLLATE "C" if it is text`
	}
	return ""
}
