package orders_test

import (
	"fmt"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders/orderstest"
)

// Joins before a moment are counted by halving the list: against the sum of the rows, at every
// moment, with batches of all sizes, gaps and equal times.
func TestArrivalsBeforeTheOpening(t *testing.T) {
	b := setup(t)
	exec := func(sql string) {
		t.Helper()
		if err := orderstest.Exec(b.ctx, b.url, sql); err != nil {
			t.Fatal(err)
		}
	}
	room := func(id, opens string) {
		t.Helper()
		sale := definition(id)
		sale.WaitingRoom, sale.OpensAt = true, time.Now().Add(time.Hour)
		must(b.store.CreateSale(b.ctx, sale))
		exec(fmt.Sprintf(`UPDATE sales SET opens_at = now() + interval '%s' WHERE id = '%s'`, opens, id))
		exec(fmt.Sprintf(`INSERT INTO queues (sale_id, rate_floor, rate_ceiling, draw_version) VALUES ('%s', 1, 200, 2); INSERT INTO queue_draws (sale_id) VALUES ('%[1]s')`, id))
	}
	// joins adds a batch so long before the opening, behind the one before or with a gap.
	joined := map[string]int64{}
	joins := func(id string, n, gap int64, before string) {
		t.Helper()
		first := joined[id] + gap
		joined[id] = first + n
		exec(fmt.Sprintf(`INSERT INTO queue_joins SELECT id, %d, %d, opens_at - interval '%s', 0 FROM sales WHERE id = '%s';
			UPDATE queues SET joined = %d WHERE sale_id = '%[4]s'; UPDATE queue_draws SET closed = %[5]d WHERE sale_id = '%[4]s'`, first, n, before, id, joined[id]))
	}
	room("early", "-3 days")
	for i, n := range []int64{1, 7, 2, 2, 30, 1, 1} {
		joins("early", n, 0, []string{"5 hours", "4 hours", "3 hours", "3 hours", "90 minutes", "10 minutes", "1 second"}[i])
	}
	room("gaps", "-2 days")
	joins("gaps", 5, 0, "4 hours")
	joins("gaps", 4, 3, "30 minutes")                             // three that are not listed count as soon as those before them
	exec(`UPDATE queues SET joined = 100 WHERE sale_id = 'gaps'`) // others came after the opening
	room("empty", "-4 days")
	exec(`UPDATE queue_draws SET closed = 0 WHERE sale_id = 'empty'`)
	room("canceled", "-5 days")
	joins("canceled", 9, 0, "4 hours")
	exec(`INSERT INTO sale_cancellations (sale_id, requested_at, progress) VALUES ('canceled', now(), '{}')`)
	room("yesterday", "-23 hours")
	joins("yesterday", 9, 0, "4 hours")
	room("unlisted", "-3 days") // a draw of version 1, whose joins are not listed
	exec(`UPDATE queues SET joined = 50 WHERE sale_id = 'unlisted'`)

	// The moment is later than these say by what the statements take.
	for i, test := range []struct {
		opens       string
		early, gaps int64
	}{
		{"6 hours", 0, 0}, {"5 hours", 1, 0}, {"4 hours 30 minutes", 1, 0}, {"3 hours", 12, 8}, {"2 hours", 12, 8}, {"80 minutes", 42, 8},
		{"10 minutes", 43, 12}, {"5 minutes", 43, 12}, {"-1 hour", 44, 12},
	} {
		id := fmt.Sprintf("next-%d", i)
		room(id, test.opens)
		exec(fmt.Sprintf(`UPDATE queues SET joined = 77 WHERE sale_id = '%s'; UPDATE queue_draws SET closed = 70 WHERE sale_id = '%[1]s' AND '%s' LIKE '-%%'`, id, test.opens))
		got, err := b.store.Arrivals(b.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][2]int64{"early": {test.early, 44}, "gaps": {test.gaps, 100}, "empty": {0, 0}}
		if len(got.Past) != len(want) {
			t.Errorf("%s before: %d sales: %+v", test.opens, len(got.Past), got.Past)
		}
		for _, past := range got.Past {
			if pair, known := want[past.Sale]; !known || past.Joined != pair[0] || past.Came != pair[1] {
				t.Errorf("%s before the opening %+v, want %v", test.opens, past, pair)
			}
		}
		if hasOpened := got.UntilOpening() == 0; got.Came != 77 || got.Joined != map[bool]int64{false: 77, true: 70}[hasOpened] || hasOpened != (test.opens == "-1 hour") {
			t.Errorf("the sale itself, %s before: %+v", test.opens, got.Arrivals)
		}
	}
}

// A sale that nobody looked at has no queue yet; one without a room or an opening has no arrivals.
func TestArrivalsOfSalesWithoutAQueue(t *testing.T) {
	b := setup(t)
	room := definition("room")
	room.WaitingRoom, room.OpensAt = true, time.Now().Add(time.Hour)
	must(b.store.CreateSale(b.ctx, room))
	if got := must(b.store.Arrivals(b.ctx, "room")); got.Joined != 0 || got.Came != 0 || len(got.Past) != 0 || got.UntilOpening() == 0 {
		t.Errorf("got %+v", got)
	}
	open := definition("open")
	open.WaitingRoom, open.OpensAt = true, time.Time{}
	must(b.store.CreateSale(b.ctx, open))
	for _, id := range []string{b.sale.ID, "open", "none"} {
		if got, err := b.store.Arrivals(b.ctx, id); domain.CodeOf(err) != domain.CodeNotFound {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
}
