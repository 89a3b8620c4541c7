package e2e

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"boxoffice/lab/bench/probe"
)

// What a paid checkout may cost Temporal. The outer bounds are wide, because a slow machine polls more for each checkout; on two quiet
// cores they are 7 and 3.4. Temporal's own store takes 47 turns and 7 commits for the three transitions alone.
const (
	transitionsOfPaid = 3
	eventsOfPaid      = 13
	turnsMax          = 12
	commitsMax        = 6
	// dearerMax is the share of checkouts that may take another transition: on a busy machine a task begins late, and is given out again.
	dearerMax = 0.05
)

// testCosts counts what Temporal asks of Postgres for a paid checkout.
func testCosts(t *testing.T, s *stack) {
	db, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.Background())
	var counted bool
	if err := db.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements')`).Scan(&counted); err != nil {
		t.Fatal(err)
	}
	if !counted {
		t.Skip("SKIPPED: statements are not counted, this Postgres has no pg_stat_statements")
	}

	const buyers, warmUp, measured = 16, 60, 300
	sale := s.sale(t, warmUp+measured+buyers, longHold, 1)
	var paid atomic.Int64
	var orders sync.Map
	warm, enough := make(chan struct{}), make(chan struct{})
	var crowd sync.WaitGroup
	for range buyers {
		crowd.Go(func() {
			for !closed(enough) {
				o := s.hold(t, sale, items{"A": 1})
				eventually(t, o.Order+" is paid", func() bool { return s.webhookStatus(t, event("payment.succeeded", o, nil)) == "paid" })
				orders.Store(o.Order, nil)
				switch paid.Add(1) {
				case warmUp:
					close(warm)
				case warmUp + measured:
					close(enough)
				}
			}
		})
	}
	<-warm // both readings are under load, because Postgres reports transactions up to a second late
	began, before := paid.Load(), costsOf(t, db)
	<-enough
	after := costsOf(t, db)
	each := after.since(before).of(float64(paid.Load() - began))
	crowd.Wait()
	t.Logf("a paid checkout: %.2f turns, %.2f commits; pipelines %.2f, loads of a state %.2f, of its history %.2f, of the current run %.2f, "+
		"the official store's transactions %.2f, of lists %.2f",
		each.turns(), each.commits(), each.pipelines, each.loads, each.histories, each.currents, each.transactions, each.lists)

	if !(math.Abs(each.pipelines-transitionsOfPaid) <= 0.3) {
		t.Errorf("each.pipelines is %v, want %v: each transition is one pipeline", each.pipelines, transitionsOfPaid)
	}
	if !(each.loads < 0.3) {
		t.Errorf("each.loads is %v, want less than %v: a state just created is remembered", each.loads, 0.3)
	}
	if !(each.histories < 1.3) {
		t.Errorf("each.histories is %v, want less than 1.3", each.histories)
	}
	if !(each.currents < 2.0) {
		t.Errorf("each.currents is %v, want less than 2.0", each.currents)
	}
	if !(each.transactions < 0.8) {
		t.Errorf("each.transactions is %v, want less than %v: of several turns: only tasks that found no poller", each.transactions, 0.8)
	}
	if got, bound := each.turns(), float64(turnsMax); !(got < bound) {
		t.Errorf("each.turns() is %v, want less than %v", got, bound)
	}
	if got, bound := each.commits(), float64(commitsMax); !(got < bound) {
		t.Errorf("each.commits() is %v, want less than %v", got, bound)
	}

	dearer, all := 0, 0
	for order := range orders.Range {
		w, err := probe.DescribeWorkflow(t.Context(), s.temporal, "checkout/"+order.(string))
		if err != nil {
			t.Fatal(err)
		}
		if all++; w.StateTransitions != transitionsOfPaid || w.HistoryEvents != eventsOfPaid {
			t.Logf("%v took %v transitions and %v events", order, w.StateTransitions, w.HistoryEvents)
			dearer++
		}
	}
	if float64(dearer) > dearerMax*float64(all) {
		t.Errorf("%d of %d checkouts did not take %d transitions and %d events", dearer, all, transitionsOfPaid, eventsOfPaid)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// costs are calls of statements, but for lists, which are transactions.
type costs struct {
	pipelines, loads, histories, currents, transactions, lists float64
	others                                                     float64 // each a turn
}

func (c costs) turns() float64 {
	return c.pipelines + c.loads + c.histories + c.currents + c.lists + c.others // begin and commit are among the others
}

func (c costs) commits() float64 { return c.pipelines + c.transactions + c.lists }

func (c costs) since(b costs) costs {
	return costs{
		c.pipelines - b.pipelines, c.loads - b.loads, c.histories - b.histories, c.currents - b.currents,
		c.transactions - b.transactions, c.lists - b.lists, c.others - b.others,
	}
}

func (c costs) of(n float64) costs {
	return costs{c.pipelines / n, c.loads / n, c.histories / n, c.currents / n, c.transactions / n, c.lists / n, c.others / n}
}

// inPipelines are the beginnings of the statements that a pipeline sends after its first.
var inPipelines = []string{
	"WITH updated AS", "INSERT INTO history_", "INSERT INTO executions", "INSERT INTO current_executions", "INSERT INTO transfer_tasks",
	"INSERT INTO timer_", "INSERT INTO visibility_tasks", "SELECT timer_id", "SELECT schedule_id", "SELECT initiated_id", "SELECT signal_id",
	"SELECT chasm_path", "SELECT data, data_encoding FROM buffered_events",
}

func costsOf(t *testing.T, db *pgx.Conn) (c costs) {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT query, calls::float8 FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = 'temporal'`)
	if err != nil {
		t.Fatal(err)
	}
	var query string
	var calls float64
	_, err = pgx.ForEachRow(rows, []any{&query, &calls}, func() error {
		query = strings.Join(strings.Fields(query), " ")
		begins := func(with string) bool { return strings.HasPrefix(query, with) }
		for _, beginning := range inPipelines {
			if begins(beginning) {
				return nil
			}
		}
		switch {
		case strings.Contains(query, "FROM shards WHERE shard_id = $1 AND range_id = $2 FOR SHARE) AS owned"):
			c.pipelines += calls
		case begins("SELECT next_event_id"):
			c.loads += calls
		case begins("SELECT node_id"):
			c.histories += calls
		case begins("SELECT shard_id, namespace_id, workflow_id, run_id, create_request_id"):
			c.currents += calls
		case begins("commit"):
			c.transactions += calls
			c.others += calls
		default:
			c.others += calls
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const lists = `SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = 'temporal_visibility'`
	if err := db.QueryRow(t.Context(), lists).Scan(&c.lists); err != nil {
		t.Fatal(err)
	}
	return c
}
