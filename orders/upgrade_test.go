package orders_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"os"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/waitingroom"

	"github.com/jackc/pgx/v5"
)

// schemaBefore is the schema of the previous release.
const schemaBefore = 6

// A tokenBefore is a token that the previous release gave out, and what it last said about it.
type tokenBefore struct {
	Token  string             `json:"token"`
	Status waitingroom.Status `json:"status"`
	Ahead  int64              `json:"ahead"`
	Key    string             `json:"key"` // for those it let in: the order's key
}

// An upgrade is two waiting rooms of the previous release on nodes of this one.
type upgrade struct {
	*bundle
	nodes  []*waitingroom.Rooms
	tokens map[string][]tokenBefore // by sale
}

// upgraded loads what the previous release wrote, as if it had done so a moment ago, migrates the
// schema, and starts two nodes. meanwhile is what nodes of the previous release write until then.
func upgraded(t *testing.T, meanwhile string) *upgrade {
	t.Helper()
	url := orderstest.URL(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	exec := func(sql string) {
		t.Helper()
		if err := orderstest.Exec(ctx, url, sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range must(orders.Migrations())[:schemaBefore] {
		exec(sql)
	}
	exec(string(must(os.ReadFile("testdata/waiting_room_schema_6.sql"))))
	exec(`UPDATE sales SET opens_at = now() + CASE id WHEN 'running' THEN interval '-1 minute' ELSE '1 hour' END;
		UPDATE queues SET moved_at = now(); UPDATE queue_nodes SET seen_at = now();
		CREATE TABLE schema_migrations (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
		INSERT INTO schema_migrations SELECT generate_series(1, 6)`)
	u := &upgrade{bundle: &bundle{ctx: ctx, url: url, store: orderstest.Open(t, url)}}
	if err := json.Unmarshal(must(os.ReadFile("testdata/waiting_room_schema_6.json")), &u.tokens); err != nil {
		t.Fatal(err)
	}
	if meanwhile != "" {
		exec(meanwhile)
	}
	for _, name := range []string{"a", "b"} {
		u.nodes = append(u.nodes, u.start(t, name))
	}
	return u
}

// start runs a node of this release.
func (u *upgrade) start(t *testing.T, name string) *waitingroom.Rooms {
	t.Helper()
	store := orderstest.Open(t, u.url)
	r, err := waitingroom.New(waitingroom.Options{
		Store: store, Keys: must(domain.NewKeyring(make([]byte, domain.ServerKeyLen))), Node: name,
		Load: func() waitingroom.Load { return waitingroom.Load{} },
		Stock: func(_ context.Context, s *domain.Sale) (levels []domain.StockLevel, _ error) {
			for _, c := range s.Classes {
				levels = append(levels, domain.StockLevel{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity})
			}
			return levels, nil
		},
		Sales: store.Sales, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(running) }()
	t.Cleanup(func() { stop(); <-ended })
	return r
}

func (u *upgrade) sale(t *testing.T, id string) *domain.Sale {
	t.Helper()
	for _, sale := range must(u.store.Sales(u.ctx)) {
		if sale.ID == id {
			return sale
		}
	}
	t.Fatalf("the sale %s is gone", id)
	return nil
}

// await waits until a node says the right thing about a token; a database query sets the pace.
func (u *upgrade) await(t *testing.T, node *waitingroom.Rooms, token string, right func(waitingroom.Place) bool) waitingroom.Place {
	t.Helper()
	for {
		p, err := node.Place(u.ctx, token)
		switch {
		case err == nil && right(p):
			return p
		case u.ctx.Err() != nil:
			t.Fatalf("still %+v, %v", p, err)
		case err != nil && domain.CodeOf(err) != domain.CodeOverloaded:
			t.Fatal(err)
		}
		u.count(t, `SELECT count(*) FROM queues`)
	}
}

// A nodeBefore writes a queue as a node of the previous release does.
type nodeBefore struct {
	*pgx.Conn
	saleID string
}

type queueBefore struct{ joined, drawn, admitted int64 }

// exchange is the transaction of the previous release; change is what it decides in it.
func (n nodeBefore) exchange(ctx context.Context, change func(*queueBefore)) error {
	return pgx.BeginFunc(ctx, n.Conn, func(tx pgx.Tx) error {
		var seed []byte
		var q queueBefore
		var rate, credit float64
		var movedAt time.Time
		var cutAt *time.Time
		err := tx.QueryRow(ctx, `SELECT seed, joined, drawn, admitted, rate, credit, moved_at, cut_at FROM queues WHERE sale_id = $1 FOR UPDATE`, n.saleID).
			Scan(&seed, &q.joined, &q.drawn, &q.admitted, &rate, &credit, &movedAt, &cutAt)
		if err != nil {
			return err
		}
		var now time.Time
		if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
			return err
		}
		change(&q)
		_, err = tx.Exec(ctx, `
			UPDATE queues SET joined = $2, drawn = $3, admitted = $4, rate = $5, credit = $6, moved_at = $7, cut_at = $8
			WHERE sale_id = $1`, n.saleID, q.joined, q.drawn, q.admitted, rate, credit, now, cutAt)
		if err != nil {
			return err
		}
		base := q.admitted &^ 7
		if q.drawn < 0 {
			base = -1
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO queue_nodes (sale_id, node, seen_at, base, present, congested) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (sale_id, node) DO UPDATE SET seen_at = excluded.seen_at, base = excluded.base,
				present = excluded.present, congested = excluded.congested`, n.saleID, "before", now, base, []byte{0xff, 0xff, 0xff}, false)
		return err
	})
}

func (u *upgrade) nodeBefore(t *testing.T, saleID string) nodeBefore {
	return nodeBefore{u.connect(t), saleID}
}

func (n nodeBefore) letsIn(t *testing.T, ctx context.Context, people int64) {
	t.Helper()
	if err := n.exchange(ctx, func(q *queueBefore) { q.admitted += people }); err != nil {
		t.Fatalf("a node of the previous release cannot write: %v", err)
	}
}

// Tokens and places that the previous release gave stay good on every node. People whom it let in
// before the upgrade, between the migration and this release's first node, or while both run, are
// in, with the same order. People who wait have the same people ahead, and get in.
func TestAWaitingRoomSurvivesTheUpgrade(t *testing.T) {
	t.Parallel()
	const meanwhile, beside = 2, 3
	u := upgraded(t, `UPDATE queues SET admitted = admitted + 2 WHERE sale_id = 'running'`)
	sale := u.sale(t, "running")
	asBefore := func(letIn int64, node *waitingroom.Rooms, before tokenBefore) {
		t.Helper()
		admitted := before.Status == waitingroom.StatusAdmitted || before.Ahead < letIn
		p := u.await(t, node, before.Token, func(p waitingroom.Place) bool { // once it has seen the other's turn
			return admitted && p.Status == waitingroom.StatusAdmitted || !admitted && p.Ahead == before.Ahead-letIn
		})
		if !admitted && p.Status != waitingroom.StatusPaused {
			t.Errorf("was %+v, and is %+v", before, p)
		}
		key, err := node.Enter(u.ctx, sale, before.Token)
		if (err == nil) != admitted || before.Key != "" && key != before.Key {
			t.Errorf("was %+v, and enters as %q, %v", before, key, err)
		}
	}
	for _, before := range u.tokens[sale.ID] {
		for _, node := range u.nodes {
			asBefore(meanwhile, node, before)
		}
	}
	old := u.nodeBefore(t, sale.ID)
	old.letsIn(t, u.ctx, beside)
	for _, before := range u.tokens[sale.ID] {
		for _, node := range u.nodes {
			asBefore(meanwhile+beside, node, before)
		}
	}
	if _, err := u.nodes[0].Configure(u.ctx, sale.ID, domain.QueueSettings{RateFloor: 20, RateCeiling: 40}); err != nil {
		t.Fatal(err)
	}
	orderOf := map[string]string{}
	enter := func(node *waitingroom.Rooms, token string) {
		t.Helper()
		u.await(t, node, token, func(p waitingroom.Place) bool { return p.Status == waitingroom.StatusAdmitted })
		key, err := node.Enter(u.ctx, sale, token)
		if of, taken := orderOf[key]; err != nil || taken && of != token {
			t.Errorf("%s: %q, %v; the order is that of %q", token, key, err, of)
		}
		orderOf[key] = token
	}
	for i, before := range u.tokens[sale.ID] {
		enter(u.nodes[i%2], before.Token)
		enter(u.nodes[(i+1)%2], before.Token)
	}
	old.letsIn(t, u.ctx, 0) // it still can
}

// People whom a node of the previous release lets in after nodes of this one have let in others are
// in, on a node that has seen it and on one that starts later.
func TestPeopleLetInByAnOlderNodeAreIn(t *testing.T) {
	t.Parallel()
	u := upgraded(t, "")
	sale := u.sale(t, "running")
	if _, err := u.nodes[0].Configure(u.ctx, sale.ID, domain.QueueSettings{RateFloor: 1, RateCeiling: 1}); err != nil {
		t.Fatal(err)
	}
	first := u.tokens[sale.ID][4] // the next in line
	u.await(t, u.nodes[1], first.Token, func(p waitingroom.Place) bool { return p.Status == waitingroom.StatusAdmitted })
	if _, err := u.nodes[0].Configure(u.ctx, sale.ID, domain.QueueSettings{RateFloor: 1, RateCeiling: 1, Paused: true}); err != nil {
		t.Fatal(err)
	}
	// The rate lets nobody in now, only the other node does.
	u.nodeBefore(t, sale.ID).letsIn(t, u.ctx, 4)
	u.nodes = append(u.nodes, u.start(t, "c"))
	admitted := u.count(t, `SELECT admitted FROM queues WHERE sale_id = 'running'`)
	for _, before := range u.tokens[sale.ID] {
		for i, node := range u.nodes {
			in := before.Status == waitingroom.StatusAdmitted || before.Ahead < int64(admitted)-7
			p := u.await(t, node, before.Token, func(p waitingroom.Place) bool { return (p.Status == waitingroom.StatusAdmitted) == in })
			if p.Late {
				t.Errorf("node %d: was %+v, and is late: %+v", i, before, p)
			}
		}
	}
}

// A draw that the previous release announced is made as announced, whichever release makes it.
func TestADrawAnnouncedBeforeTheUpgradeIsKept(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"this release", "the previous release"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			u := upgraded(t, "")
			sale := u.sale(t, "announced")
			const seed = "8383f3c6fee7499b925e4a370d0b5446c141ad1a0e214a5cb3ecf66b177f59cd"
			secret := must(hex.DecodeString(seed))
			if _, err := u.nodes[0].Configure(u.ctx, sale.ID, domain.QueueSettings{Paused: true}); err != nil {
				t.Fatal(err)
			}
			state := must(u.nodes[1].State(u.ctx, sale.ID))
			if d := state.Draw; d.Version != 1 || d.Commitment != waitingroom.Commitment(secret, sale.ID) || d.Seed != "" || d.Size >= 0 {
				t.Fatalf("before the draw: %+v", d)
			}
			var tokens []string
			for _, before := range u.tokens[sale.ID] {
				tokens = append(tokens, before.Token)
			}
			for _, node := range u.nodes {
				token, _, err := node.Join(u.ctx, sale)
				if err != nil {
					t.Fatal(err)
				}
				tokens = append(tokens, token)
			}
			old := u.nodeBefore(t, sale.ID)
			size := int64(len(tokens)) + 3
			err := old.exchange(u.ctx, func(q *queueBefore) {
				if q.joined += 3; by == "the previous release" {
					q.drawn = size
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := orderstest.Exec(u.ctx, u.url, `UPDATE sales SET opens_at = now() WHERE id = 'announced'`); err != nil {
				t.Fatal(err)
			}
			draw := waitingroom.NewPermutation(secret, size)
			for _, token := range tokens {
				index, _ := waitingroom.TokenIndex(token)
				for _, node := range u.nodes {
					p := u.await(t, node, token, func(p waitingroom.Place) bool { return p.Status == waitingroom.StatusPaused })
					if p.Draw.Size != size || p.Draw.Seed != seed || p.Ahead != draw.Place(index) {
						t.Errorf("join %d has %d ahead in a draw of %d, want %d of %d", index, p.Ahead, p.Draw.Size, draw.Place(index), size)
					}
				}
			}
		})
	}
}
