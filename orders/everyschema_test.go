package orders_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// writtenBy are the statements with which releases up to a schema write, for a sale:
// testdata/schemas/0017.sql has what the release with schema 17 began to write.
func writtenBy(t *testing.T, version int, sale string) (statements []string) {
	t.Helper()
	base32Name := base32.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%-16.16s", sale)))[:26]
	fill := strings.NewReplacer("{sale}", sale, "{version}", fmt.Sprint(version), "{base32}", base32Name)
	for v := 1; v <= version; v++ {
		sql, err := os.ReadFile(filepath.Join("testdata", "schemas", fmt.Sprintf("%04d.sql", v)))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		statements = append(statements, fill.Replace(string(sql)))
	}
	return statements
}

// An oldDatabase is one that a release with an earlier schema has written to.
type oldDatabase struct {
	*bundle
	conn    *pgx.Conn
	version int
}

func newOldDatabase(t *testing.T, version int, sale string) *oldDatabase {
	t.Helper()
	url := orderstest.URL(t)
	b := &bundle{ctx: t.Context(), url: url}
	o := &oldDatabase{b, b.connect(t), version}
	all := must(orders.Migrations())
	o.exec(t, strings.Join(all[:version], ";\n")+fmt.Sprintf(`;
		CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
		INSERT INTO schema_migrations SELECT generate_series(1, %d)`, version))
	o.write(t, sale)
	return o
}

func (o *oldDatabase) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := o.conn.Exec(o.ctx, sql); err != nil {
		t.Fatalf("schema %d: %v\n%s", o.version, err, sql)
	}
}

func (o *oldDatabase) write(t *testing.T, sale string) {
	t.Helper()
	for _, sql := range writtenBy(t, o.version, sale) {
		o.exec(t, sql)
	}
}

// rows are all rows of all tables, by table.
func (o *oldDatabase) rows(t *testing.T) map[string][]map[string]any {
	t.Helper()
	tables := must(pgx.CollectRows(must(o.conn.Query(o.ctx, `
		SELECT table_name::text FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_name <> 'schema_migrations' ORDER BY 1`)), pgx.RowTo[string]))
	all := make(map[string][]map[string]any)
	for _, table := range tables {
		for _, row := range must(pgx.CollectRows(must(o.conn.Query(o.ctx, `SELECT to_jsonb(t)::text FROM `+table+` t`)), pgx.RowTo[string])) {
			var columns map[string]any
			if err := json.Unmarshal([]byte(row), &columns); err != nil {
				t.Fatal(err)
			}
			all[table] = append(all[table], columns)
		}
	}
	return all
}

// changedByMigrations are the columns of rows that a migration may change or take away.
var changedByMigrations = map[string][]string{
	"queues": {"due", "entered_before", "entries_to"}, // 14, 20
}

// Whatever schema a database has, it comes to the newest one with every row that is in it: none
// is lost or changed, and this release reads it right. Each schema that there was is tried, with
// rows as the release of that schema wrote them. And that release goes on writing afterwards: its
// nodes run until the last of them is replaced.
func TestEveryEarlierSchemaMigratesWithItsRows(t *testing.T) {
	t.Parallel()
	for version := 1; version <= orders.SchemaVersion(); version++ {
		t.Run(fmt.Sprintf("%04d", version), func(t *testing.T) {
			t.Parallel()
			sale := fmt.Sprintf("at-%04d", version)
			o := newOldDatabase(t, version, sale)
			if 21 <= version && version < 26 { // since 21 old events are dropped; since 26 the view keeps what they say
				o.exec(t, `DELETE FROM outbox WHERE payment LIKE 'pay_%_restored'`)
			}
			before := o.rows(t)
			o.store = patientStore(t, o.url)
			after := o.rows(t)
			for table, rows := range before {
				for _, row := range rows {
					for _, column := range changedByMigrations[table] {
						delete(row, column)
					}
					if !slices.ContainsFunc(after[table], func(now map[string]any) bool { return contains(now, row) }) {
						t.Errorf("a row of %s is lost or changed: %v\n there are: %v", table, row, after[table])
					}
				}
				if table != "sale_figures" && len(after[table]) != len(rows) {
					t.Errorf("%s had %d rows and has %d", table, len(rows), len(after[table]))
				}
			}
			o.wantRead(t, sale)

			later := sale + "-later"
			o.write(t, later)
			o.wantRead(t, later)
		})
	}
}

// patient is a URL whose sessions the server does not end, however long a busy machine stands still.
func patient(url string) string {
	return url + map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + "idle_in_transaction_session_timeout=0&statement_timeout=0"
}

// patientStore opens and migrates. What a busy machine broke off is done again, as an operator would.
func patientStore(t *testing.T, url string) *orders.Store {
	t.Helper()
	const callTimeout = 5 * time.Minute
	store, err := orders.Open(context.Background(), patient(url), orders.Options{ConnectionsMax: 2, ConnectTimeout: callTimeout, CallTimeout: callTimeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for range 4 {
		if err = store.Migrate(t.Context()); err == nil {
			return store
		}
		t.Log(err)
	}
	t.Fatal(err)
	return nil
}

func contains(row, part map[string]any) bool {
	for column, value := range part {
		if fmt.Sprint(row[column]) != fmt.Sprint(value) {
			return false
		}
	}
	return true
}

// wantRead compares what this release reads with everyRead.
func (o *oldDatabase) wantRead(t *testing.T, sale string) {
	t.Helper()
	var want []string
	for line := range strings.Lines(everyRead) {
		var since int
		if _, err := fmt.Sscan(line, &since); err != nil {
			continue
		}
		if since <= o.version {
			_, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			want = append(want, strings.TrimSpace(text))
		}
	}
	got := o.read(t, sale)
	slices.Sort(got)
	slices.Sort(want)
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("it reads what nobody wrote: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("it does not read: %s", line)
		}
	}
	if !t.Failed() && len(got) != len(want) {
		t.Errorf("it reads %d things, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// everyRead is what this release reads of testdata/schemas, after the schema since which there is
// such a thing. {sale} is left out of it.
const everyRead = `
	1 sale: Gophercon EUR, 6 a buyer, held 5m0s, waiting room true, opens 2026-03-01T12:00:00Z, mockpay, captures automatic, version 1
	1 class A of sale: 6500, 100
	1 class B of sale: 3500, 200
	1 perk of sale: T-shirt, 10
	1 order paid: paid, 16500 EUR by pay_paid, hold, paid@example.com, 2 A 1 B, perk true, tickets -paid-1 -paid-2 -paid-3
	1 order refunding: refunding, 16500 EUR by pay_refunding, hold, refunding@example.com, 2 A 1 B, perk true, tickets -refunding-1 -refunding-2 -refunding-3
	1 order refunded: refunded, 16500 EUR by pay_refunded, hold, 2 A 1 B, perk true, tickets -refunded-1 -refunded-2 -refunded-3
	1 refund of pay_refunding: organiser, back false
	1 refund of pay_refunded: organiser, back true
	1 refund of pay_none_left: none_left, back true
	1 refund of pay_owed: second_capture, back false
	1 refund of pay_unknown: unknown_order, back false
	1 event order.paid pay_paid
	1 event order.paid pay_refunding
	1 event order.paid pay_refunded
	1 event order.refunded pay_refunded
	1 event payment.refunded pay_none_left
	1 figures of sale are right
	3 audit found I3 A 2
	3 event audit.broken
	4 sale was canceled 2026-03-02T09:00:00Z, 3 open
	5 queue of sale: 18 joined, 12 drawn, rate 1.5
	5 node before
	6 sale-limited: one checkout a buyer
	6 class A of sale-limited: 6500, 100
	6 figures of sale-limited are right
	9 order restored: paid, 0 EUR by pay_restored, rebook, 1 A, perk false, tickets -restored-1
	10 queue of sale: epochs 3 from 0, 4 from 9
	11 queue of sale: 5 entered
	12 challenge is spent
	13 queue of sale: goal 2
	13 node loaded 01
	14 queue of sale: place 7 let in
	15 sale-folding: alias rule 1
	15 class A of sale-folding: 6500, 100
	16 sale-presale: presale codes
	16 class A of sale-presale: 6500, 100
	16 batch fans: 3 made, 1 taken
	17 order paid: metadata seat 12F
	18 queue of sale-presale: drawn 2 of list 2
	19 sale-stripe: stripe
	19 class A of sale-stripe: 6500, 100
	21 event order.refund_begun pay_refunding
	21 event order.refund_begun pay_refunded
	21 event sale.opened
	22 reader: 1 set aside
	23 mail sent: tickets sent
	23 mail due: refund_begun due
	23 mail asked: orders due
	25 endpoint: order.paid, 2 pending
	30 event checkout.expired
	31 sale-stripe: version 2, Hall 1
	31 class A of sale-stripe: Front rows
	32 sale: image
	33 sale-stripe: closes 2026-04-01T12:00:00Z, ended 2026-03-20T12:00:00Z
	33 class A of sale-stripe: at most 2
	34 class A of sale-stripe: opened with 100, 120 now
	35 act PATCH by ann
	36 order paid: holder Ann
	37 dispute of 16500: open
	37 event payment.disputed pay_paid
	37 event payment.disputed pay_paid
	38 sale-hidden: hidden A
	38 class A of sale-hidden: 6500, 100
	38 code for 2 uses
	39 sale-hidden: kept 30 days
	40 sale-hidden: captures after_seats
	41 sale-hidden: kept 1h0m0s longer while a payment is processed
	42 sale-elsewhere: cell north
	42 class A of sale-elsewhere: 6500, 100
	43 code for 3 uses, revoked
`

func (o *oldDatabase) read(t *testing.T, sale string) (lines []string) {
	t.Helper()
	say := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		// Longer first: the one of the sale that was written later begins like this one.
		lines = append(lines, strings.ReplaceAll(strings.ReplaceAll(line, "_"+sale, ""), sale, ""))
	}
	when := func(at time.Time) string { return at.Format(time.RFC3339) }
	for _, s := range must(o.store.Sales(o.ctx)) {
		rest, ours := strings.CutPrefix(s.ID, sale)
		if !ours || strings.HasPrefix(rest, "-later") {
			continue
		}
		name := "sale" + rest
		o.readSale(name, s, say)
		if rest == "" || rest == "-limited" {
			o.readFigures(t, name, s.ID, say)
		}
		for _, order := range must(o.store.FindOrders(o.ctx, domain.OrderFilter{SaleID: s.ID, Limit: domain.OrdersPageMax})) {
			o.readOrder(sale, &order, say)
		}
		for _, batch := range must(o.store.EntitlementBatches(o.ctx, s.ID)) {
			say("batch %s: %d made, %d taken", batch.Batch, batch.Made, batch.Taken)
		}
		for _, code := range must(o.store.ClassCodes(o.ctx, s.ID)) {
			say("code for %d uses%s", code.Left, map[bool]string{true: ", revoked"}[code.Revoked])
		}
		for r, err := range o.store.RecordedReversals(o.ctx, s.ID) {
			say("%s of %d: %s", r.Kind, must(r, err).AmountMinor, r.State)
		}
	}
	for _, id := range []string{sale, ""} {
		for r, err := range o.store.RecordedRefunds(o.ctx, id) {
			if must(r, err).SaleID == "" && !strings.HasSuffix(r.Capture.Payment, sale+"_unknown") {
				continue
			}
			say("refund of %s: %s, back %t", r.Capture.Payment, r.Reason, !r.RefundedAt.IsZero())
		}
	}
	for _, e := range o.events(t, sale) {
		if strings.HasSuffix(e.Payment, "_restored") {
			continue // it may have been dropped
		}
		say("%s", strings.TrimSpace("event "+string(e.Type)+" "+e.Payment))
	}
	for _, f := range must(o.store.AuditState(o.ctx)).Findings {
		if f.SaleID == sale {
			say("audit found %s %s %d", f.Invariant, f.Subject, f.Offenders)
		}
	}
	if c, err := o.store.Cancellation(o.ctx, sale); domain.CodeOf(err) != domain.CodeNotFound {
		say("sale was canceled %s, %d open", when(must(c, err).RequestedAt), c.OpenCheckouts)
	}
	if o.version >= 5 { // reading a queue makes it
		o.readQueue(t, sale, say)
	}
	if o.version >= 12 && !must(o.store.SpendChallenges(o.ctx, [][]byte{must(o.bytes(`decode(md5($1), 'hex')`, sale))}, time.Now().Add(time.Hour)))[0] {
		say("challenge is spent")
	}
	for _, r := range must(o.store.ReaderStates(o.ctx)) {
		if r.Reader == fmt.Sprintf("at-%d", o.version) {
			say("reader: %d set aside", o.count(t, `SELECT count(*) FROM events_set_aside a JOIN outbox e USING (transaction_id, id) WHERE e.sale_id = $1`, sale))
		}
	}
	for _, m := range must(pgx.CollectRows(must(o.conn.Query(o.ctx, `SELECT kind || ' ' || state, substr(id, length($1) + 2) FROM mails WHERE id LIKE $1 || '/%'`, sale)), pgx.RowToStructByPos[struct{ Is, ID string }])) {
		say("mail %s: %s", m.ID, m.Is)
	}
	for _, w := range must(o.store.WebhookEndpoints(o.ctx)) {
		if w.SaleID == sale {
			say("endpoint: %s, %d pending", w.Types[0], must(o.store.WebhookEndpointState(o.ctx, w.ID)).Pending)
		}
	}
	for _, a := range must(o.store.Acts(o.ctx, domain.ActFilter{SaleID: sale, Limit: 10})) {
		say("act %s by %s", a.Act, a.Who)
	}
	return lines
}

func (o *oldDatabase) bytes(expression string, args ...any) (b []byte, err error) {
	return b, o.conn.QueryRow(o.ctx, `SELECT `+expression, args...).Scan(&b)
}

func (o *oldDatabase) readSale(name string, s *domain.Sale, say func(string, ...any)) {
	when := func(at time.Time) string { return at.Format(time.RFC3339) }
	if name == "sale" {
		say("sale: %s %s, %d a buyer, held %s, waiting room %t, opens %s, %s, captures %s, version %d",
			s.Name, s.Currency, s.BuyerLimit, s.HoldTimeout, s.WaitingRoom, when(s.OpensAt), s.Provider, s.Capture, s.Version)
	}
	if s.Perk != nil {
		say("perk of %s: %s, %d", name, s.Perk.Name, s.Perk.Capacity)
	}
	for _, c := range s.Classes {
		say("class %s of %s: %d, %d", c.Name, name, c.PriceMinor, max(c.OpenedWith, c.Capacity-c.Capacity%100))
		if c.Label != "" {
			say("class %s of %s: %s", c.Name, name, c.Label)
		}
		if c.MaxPerOrder != 0 && !c.OpensAt.IsZero() && !c.ClosesAt.IsZero() {
			say("class %s of %s: at most %d", c.Name, name, c.MaxPerOrder)
		}
		if c.OpenedWith != 0 {
			say("class %s of %s: opened with %d, %d now", c.Name, name, c.OpenedWith, c.Capacity)
		}
		if c.Hidden {
			say("%s: hidden %s", name, c.Name)
		}
	}
	for text, is := range map[string]bool{
		"one checkout a buyer": s.OneCheckoutPerBuyer,
		"presale codes":        s.Entitlement.PresaleCodes,
		"image":                s.Image.Hash != "",
		"stripe":               s.Provider == "stripe",
		fmt.Sprintf("alias rule %d", s.AliasRule):                                         s.AliasRule != 0,
		fmt.Sprintf("version %d, %s", s.Version, s.Facts.Venue.Name):                      s.Facts.Venue.Name != "",
		fmt.Sprintf("closes %s, ended %s", when(s.ClosesAt), when(s.EndedAt)):             !s.EndedAt.IsZero(),
		fmt.Sprintf("kept %d days", s.BuyersKeptDays):                                     s.BuyersKeptDays != 0,
		fmt.Sprintf("captures %s", s.Capture):                                             s.Capture != domain.CaptureAutomatic,
		fmt.Sprintf("cell %s", s.Cell):                                                    s.Cell != "",
		fmt.Sprintf("kept %s longer while a payment is processed", s.ProcessingExtension): s.ProcessingExtension != 0,
	} {
		if is {
			say("%s: %s", name, text)
		}
	}
}

func (o *oldDatabase) readOrder(sale string, order *domain.SoldOrder, say func(string, ...any)) {
	name := strings.TrimPrefix(order.Capture.Payment, "pay_"+sale+"_")
	email := order.Email
	if email != "" && name != "refunded" { // erased since 28
		email += ", "
	} else {
		email = ""
	}
	var lines, tickets []string
	for _, l := range order.Lines {
		lines = append(lines, fmt.Sprintf("%d %s", l.Quantity, l.Class))
	}
	for _, ticket := range order.Tickets {
		tickets = append(tickets, ticket.Code)
		if ticket.Holder != "" {
			say("order %s: holder %s", name, ticket.Holder)
		}
	}
	say("order %s: %s, %d %s by %s, %s, %s%s, perk %t, tickets %s", name, order.Status, order.AmountMinor, order.Currency,
		order.Capture.Payment, order.Booking, email, strings.Join(lines, " "), order.PerkTaken, strings.Join(tickets, " "))
	for key, value := range order.Metadata {
		say("order %s: metadata %s %s", name, key, value)
	}
}

// events are read by their places: what other databases of the server do holds the log's end back.
func (o *oldDatabase) events(t *testing.T, sale string) []domain.Event {
	t.Helper()
	places := must(pgx.CollectRows(must(o.conn.Query(o.ctx, `
		SELECT transaction_id::text::bigint, id FROM outbox WHERE sale_id IN ($1, $1 || '-limited')`, sale)), pgx.RowToStructByPos[struct{ Transaction, ID int64 }]))
	var at []domain.EventCursor
	for _, place := range places {
		at = append(at, domain.EventCursor{Transaction: uint64(place.Transaction), ID: place.ID})
	}
	return must(o.store.EventsAt(o.ctx, at))
}

// readFigures reads the log to its end, as the reader of the figures does.
func (o *oldDatabase) readFigures(t *testing.T, name, sale string, say func(string, ...any)) {
	t.Helper()
	if err := o.store.AddFigures(o.ctx, o.events(t, sale)); err != nil {
		t.Fatal(err)
	}
	// A refund that began before it was an event is in the view if it began before the migration.
	if c := must(o.store.CheckFigures(o.ctx, sale)); c.Different == 0 || c.Unannounced > 0 && c.Unread == 0 {
		say("figures of %s are right", name)
	} else {
		t.Errorf("figures: %+v", c)
	}
}

func (o *oldDatabase) readQueue(t *testing.T, sale string, say func(string, ...any)) {
	t.Helper()
	ctx := o.ctx
	look := func(saleID string) (read domain.Queue) {
		// The turn fails, so nothing is written.
		stop := fmt.Errorf("only looks")
		err := o.store.ChangeDraw(ctx, saleID, func(q *domain.Queue) error { read = *q; return stop })
		if err == nil {
			t.Fatal("the draw was changed")
		}
		return read
	}
	q := look(sale)
	say("queue of sale: %d joined, %d drawn, rate %g", q.Joined, q.Drawn, q.Door.Rate)
	for _, n := range q.Nodes {
		if strings.TrimSpace(n.Node) == "loaded" {
			say("node loaded %x", n.Load)
		} else {
			say("node %s", n.Node)
		}
	}
	if len(q.Epochs) == 2 {
		say("queue of sale: epochs %d from %d, %d from %d", q.Epochs[0].Epoch, q.Epochs[0].From, q.Epochs[1].Epoch, q.Epochs[1].From)
	}
	if q.Door.Entered != 0 {
		say("queue of sale: %d entered", q.Door.Entered)
	}
	if q.Door.Goal != 0 {
		say("queue of sale: goal %g", q.Door.Goal)
	}
	for _, stamps := range must(o.store.QueueEntries(ctx, sale, []int64{0})) {
		if stamps[14] == 4711>>8 && stamps[15] == 4711&255 && q.Door.Admitted == 8 && q.EnteredBefore == 7 {
			say("queue of sale: place 7 let in")
		}
	}
	if o.version >= 18 {
		q := look(sale + "-presale")
		say("queue of sale-presale: drawn %d of list %d", q.Drawn, q.Draw.Closed)
	}
}
