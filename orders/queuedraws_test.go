package orders_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// turn is a node's exchange in which change decides.
func (r room) turn(t *testing.T, joins int64, change func(q *domain.Queue)) *domain.Queue {
	t.Helper()
	_, q, err := r.store.ExchangeQueue(r.ctx, r.sale.ID, joins, func(q *domain.Queue, _ int64) domain.QueueNode {
		change(q)
		return domain.QueueNode{Node: "a", SeenAt: q.Now, Base: domain.QueueUndrawn}
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func same(*domain.Queue) {}

// The next turn reads what a turn decided about a draw.
func TestADrawIsKept(t *testing.T) {
	r := setupRoom(t)
	bytes32 := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	q := r.turn(t, 0, same)
	if q.Draw.Version != domain.QueueDrawOfList || q.Draw.Source != "" || q.Draw.Closed != domain.QueueUndrawn || !q.Draw.KeepsList() {
		t.Fatalf("a new queue has draw %+v", q.Draw)
	}
	secret := q.Seed
	var want domain.QueueDraw
	for step, change := range []func(q *domain.Queue){
		func(q *domain.Queue) { q.Draw.Source, q.Draw.WitnessCommitment = domain.QueueDrawWitness, bytes32(1) },
		func(q *domain.Queue) {
			q.Draw.Source = domain.QueueDrawBeacon
			q.Draw.Beacon = domain.QueueBeacon{Chain: bytes32(2), Genesis: day, Period: 3 * time.Second, Named: 7, Round: 8}
		},
		func(q *domain.Queue) { q.Draw.Closed, q.Draw.ClosedAt = q.Joined, day },
		func(q *domain.Queue) { q.Draw.Root, q.Draw.RootAt = bytes32(3), day },
		func(q *domain.Queue) { q.Draw.WitnessSecret, q.Draw.Beacon.Signature = bytes32(4), make([]byte, 48) },
		func(q *domain.Queue) { q.Draw.WaivedAt, q.Draw.WaivedReason = day, "why" },
		func(q *domain.Queue) {
			q.Draw.Secret, q.Seed, q.Drawn, q.DrawnAt = q.Seed, bytes32(5), q.Draw.Closed, day
		},
	} {
		r.turn(t, 2, func(q *domain.Queue) {
			change(q)
			want = q.Draw
		})
		if got := r.turn(t, 0, same).Draw; !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d: read %+v, want %+v", step, got, want)
		}
	}
	if q = r.turn(t, 0, same); !bytes.Equal(q.Seed, bytes32(5)) || !bytes.Equal(q.Committed(), secret) {
		t.Errorf("seed %x, committed %x, want %x", q.Seed, q.Committed(), secret)
	}
	refused := errors.New("no")
	err := r.store.ChangeDraw(r.ctx, r.sale.ID, func(q *domain.Queue) error {
		q.Draw.WaivedReason = "changed"
		return refused
	})
	if !errors.Is(err, refused) || r.turn(t, 0, same).Draw.WaivedReason != "why" {
		t.Errorf("a change that is refused: %v", err)
	}
	err = r.store.ChangeDraw(r.ctx, r.sale.ID, func(q *domain.Queue) error { q.Draw.WaivedReason = "changed"; return nil })
	if err != nil || r.turn(t, 0, same).Draw.WaivedReason != "changed" {
		t.Errorf("a change: %v", err)
	}
	if err := r.store.ChangeDraw(r.ctx, "nothing", func(*domain.Queue) error { return nil }); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("no queue: %v", err)
	}
}

// However many people join, the list costs an exchange one statement, sent with the others.
func TestTheListCostsAnExchangeOneStatement(t *testing.T) {
	for joins, want := range map[int64]int{0: 0, 1: 1, 20_000: 1} {
		if got := orders.StatementsOfJoins(joins); got != want {
			t.Errorf("%d joins: %d statements, want %d", joins, got, want)
		}
	}
}

// The list has everybody who joined before it was closed, with what their tokens say.
func TestTheListHasTheJoinsBeforeItWasClosed(t *testing.T) {
	r := setupRoom(t)
	var want []domain.QueueJoins
	for _, joins := range []int64{3, 0, 1, 40} {
		q := r.turn(t, joins, same)
		if joins > 0 {
			want = append(want, domain.QueueJoins{First: q.Joined - joins, Joins: joins, JoinedAt: q.Now.Truncate(time.Millisecond), Epoch: q.EpochNumber()})
		}
	}
	r.turn(t, 5, func(q *domain.Queue) { q.Draw.Closed, q.Draw.ClosedAt = q.Joined-5, q.Now })
	r.turn(t, 5, same)
	for _, c := range []struct {
		from int64
		most int
		want []domain.QueueJoins
	}{{0, 10, want}, {2, 10, want}, {3, 10, want[1:]}, {20, 10, want[2:]}, {1000, 10, want[2:]}, {0, 2, want[:2]}} {
		got, err := r.store.QueueJoins(r.ctx, r.sale.ID, c.from, c.most)
		if err != nil || !slices.EqualFunc(got, c.want, func(a, b domain.QueueJoins) bool {
			return a.JoinedAt.Equal(b.JoinedAt) && a.First == b.First && a.Joins == b.Joins && a.Epoch == b.Epoch
		}) {
			t.Errorf("from %d, at most %d: %v, want %v, %v", c.from, c.most, got, c.want, err)
		}
	}
	if got, err := r.store.QueueJoins(r.ctx, "nothing", 0, 10); err != nil || len(got) != 0 {
		t.Errorf("of no queue: %v, %v", got, err)
	}
}

// draws draws like a node of the previous release.
const draws = `UPDATE queues SET drawn = joined WHERE sale_id = $1`

// A node of the previous release does not draw if the list decides. Once the queue is drawn,
// it computes the same places from what it reads.
func TestNodesOfThePreviousReleaseDoNotDrawFromTheList(t *testing.T) {
	r := setupRoom(t)
	r.turn(t, 10, func(q *domain.Queue) { q.Draw.Closed, q.Draw.ClosedAt = 10, q.Now })
	if err := orderstest.Exec(r.ctx, r.url, draws, r.sale.ID); err == nil || !strings.Contains(err.Error(), "drawn_of_the_list") {
		t.Errorf("the previous release draws: %v", err)
	}
	mixed := bytes.Repeat([]byte{9}, 32)
	r.turn(t, 0, func(q *domain.Queue) {
		q.Draw.Secret, q.Seed, q.Drawn = q.Seed, mixed, q.Draw.Closed
	})
	if n := r.count(t, `SELECT count(*) FROM queues WHERE seed = decode(repeat('09', 32), 'hex') AND drawn = 10`); n != 1 {
		t.Error("the previous release lacks what the places are derived from")
	}
}

// A queue from the previous release is drawn as promised.
func TestAQueueOfThePreviousReleaseIsDrawnByItsSeed(t *testing.T) {
	old := setupRoom(t)
	err := orderstest.Exec(old.ctx, old.url, `INSERT INTO queues (sale_id, rate_floor, rate_ceiling) VALUES ($1, 1, 200)`, old.sale.ID)
	if err != nil {
		t.Fatal(err)
	}
	q := old.turn(t, 10, same)
	if q.Draw.Version != domain.QueueDrawOfSeed || q.Draw.KeepsList() || old.count(t, `SELECT count(*) FROM queue_joins`) != 0 {
		t.Errorf("a queue of the previous release has draw %+v", q.Draw)
	}
	if err := orderstest.Exec(old.ctx, old.url, draws, old.sale.ID); err != nil {
		t.Errorf("the previous release cannot draw its own queue: %v", err)
	}
	if q = old.turn(t, 0, same); !bytes.Equal(q.Committed(), q.Seed) || q.Drawn != 10 {
		t.Errorf("%+v", q)
	}
}
