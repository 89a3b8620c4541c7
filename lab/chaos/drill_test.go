package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/client"
	"boxoffice/deploy/pgtest"
)

// What the script of docs/backup.md puts back is what was committed at that moment: no more, and no less. And a server that
// was put back to the end of its archive has all of it.
func TestADatabaseIsPutBackToAMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no Postgres")
	}
	bin, err := pgtest.Installation()
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"pgbackrest", "basebackup"} {
		t.Run(tool, func(t *testing.T) {
			program := map[string]string{"pgbackrest": "pgbackrest", "basebackup": filepath.Join(bin, "pg_basebackup")}[tool]
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("SKIPPED: there is no %s here", program)
			}
			t.Attr("ran-on", "Postgres and "+tool)
			testPutBack(t, bin, tool)
		})
	}
}

func testPutBack(t *testing.T, bin, tool string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "boxoffice-backup-") // t.TempDir is closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "postgres")
	text, err := os.ReadFile("../../deploy/backup/postgres")
	if err == nil {
		err = os.WriteFile(script, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	s, err := newDatabaseServer(ctx, "tried", "boxoffice", bin, tool, dir, script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop() })
	do := func(err error) {
		t.Helper()
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "tried-server.log"))
			t.Fatalf("%v\n%s", err, log)
		}
	}
	write := func(sql string) {
		t.Helper()
		_, err := answerIn[int](ctx, s, "boxoffice", sql)
		do(err)
	}
	rows := func() []string {
		t.Helper()
		list, err := answerIn[[]string](ctx, s, "boxoffice", `SELECT coalesce(array_agg(what ORDER BY what), '{}') FROM kept`)
		do(err)
		return list
	}
	const add = `WITH new AS (INSERT INTO kept VALUES ('NAME') RETURNING 1) SELECT 1 FROM new`
	db, err := s.connect(ctx, "boxoffice")
	do(err)
	_, err = db.Exec(ctx, `CREATE TABLE kept (what text)`)
	do(err)
	do(db.Close(ctx))

	write(strings.Replace(add, "NAME", "before the backup", 1))
	do(s.backup(ctx, "backup"))
	write(strings.Replace(add, "NAME", "in the log", 1))
	moment, err := s.now(ctx)
	do(err)
	write(strings.Replace(add, "NAME", "since that moment", 1))
	do(s.archiveAll(ctx))

	do(s.lose(ctx))
	do(s.putBack(ctx, moment))
	if got, want := rows(), []string{"before the backup", "in the log"}; !slices.Equal(got, want) {
		t.Errorf("the server has %q, want %q", got, want)
	}

	write(strings.Replace(add, "NAME", "on the new timeline", 1))
	do(s.backup(ctx, "backup"))
	write(strings.Replace(add, "NAME", "since the new backup", 1))
	do(s.archiveAll(ctx))
	do(s.lose(ctx))
	do(s.putBack(ctx, ""))
	if got, want := rows(), []string{"before the backup", "in the log", "on the new timeline", "since the new backup"}; !slices.Equal(got, want) {
		t.Errorf("the server has %q, want %q", got, want)
	}
}

// Only what the loss excuses is excused.
func TestAnOrderIsJudged(t *testing.T) {
	paid := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, paid: true, captured: true, tickets: "t1"}
	canceled := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, canceled: true}
	held := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}}
	captured := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, captured: true}
	refunding := paid
	refunding.asked, refunding.refunding = true, true
	notFound := &client.Refusal{HTTPStatus: 404, Problem: client.Problem{Code: "not_found"}}
	tickets := []client.Ticket{{Code: "t1"}}
	for _, tt := range []struct {
		name           string
		mayBeForgotten bool
		told           acknowledged
		now            client.OrderView
		err            error
		broken         bool
	}{
		{"paid and there", false, paid, client.OrderView{Status: "paid", Tickets: tickets}, nil, false},
		{"paid and gone", false, paid, client.OrderView{}, notFound, true},
		{"paid and forgotten with Temporal", true, paid, client.OrderView{}, notFound, true},
		{"paid, and expired now", true, paid, client.OrderView{Status: "expired"}, nil, true},
		{"paid, with another ticket now", true, paid, client.OrderView{Status: "paid", Tickets: []client.Ticket{{Code: "t2"}}}, nil, true},
		{"captured and forgotten", true, captured, client.OrderView{}, notFound, true},
		{"captured and refunded", true, captured, client.OrderView{Status: "refunded"}, nil, false},
		{"held and forgotten with Temporal", true, held, client.OrderView{}, notFound, false},
		{"held since, and gone", false, held, client.OrderView{}, notFound, true},
		{"nobody can say", true, held, client.OrderView{}, errors.New("no answer"), true},
		{"still held", true, held, client.OrderView{Status: "held"}, nil, true},
		{"its cancel is forgotten with Temporal", true, canceled, client.OrderView{Status: "expired"}, nil, false},
		{"its refund is forgotten with Temporal", true, refunding, client.OrderView{Status: "paid", Tickets: tickets}, nil, false},
		{"its refund was accepted since, and it is paid", false, refunding, client.OrderView{Status: "paid", Tickets: tickets}, nil, true},
		{"canceled since, and expired now", false, canceled, client.OrderView{Status: "expired"}, nil, true},
	} {
		v := &judgement{}
		v.add(&tt.told, tt.mayBeForgotten, &tt.now, tt.err)
		if broken := len(v.broken) > 0; broken != tt.broken {
			t.Errorf("%s: broken is %v, want %v: %q", tt.name, broken, tt.broken, v.broken)
		}
	}
}
