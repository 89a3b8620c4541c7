package orders_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// history records orders, refunds some, one of them not to its end, and gives money back
// that bought nothing, of the sale and of an order that nobody knows.
func (b *bundle) history(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		sold := b.sold(t, keyOf(i))
		sold.PaidAt = day.Add(time.Duration(i*i) * 20 * time.Second)
		b.record(t, sold)
		if i%3 == 0 {
			reason := []domain.RefundReason{domain.RefundByOrganiser, domain.RefundSaleCanceled}[i%2]
			must(b.store.BeginOrderRefund(b.ctx, sold.Order.ID, reason, day))
		}
		if i%6 == 0 {
			if err := b.store.FinishRefund(b.ctx, sold.Capture.Payment, day); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 == 0 {
			late := sold.Capture
			late.Payment += "_late"
			saleID := b.sale.ID
			if i%8 == 0 {
				saleID = ""
			}
			must(b.store.BeginRefund(b.ctx, domain.Refund{Capture: late, SaleID: saleID, Reason: domain.RefundNoneLeft, RequestedAt: day}))
			if err := b.store.FinishRefund(b.ctx, late.Payment, day); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// unsold has checkouts end without a sale.
func (b *bundle) unsold(t *testing.T, first int, endings ...domain.OrderStatus) {
	t.Helper()
	told := b.store.NewEndings(domain.EventTypes())
	for i, ending := range endings {
		order := b.sold(t, keyOf(first+i)).Order
		if err := told.CheckoutEnded(b.ctx, &order, ending); err != nil {
			t.Fatal(err)
		}
	}
}

// figureEvents are all events of the log that are for the view.
func (b *bundle) figureEvents(t *testing.T) (events []domain.Event) {
	t.Helper()
	all := b.awaitEvents(t, domain.EventCursor{}, b.count(t, `SELECT count(*) FROM outbox`))
	return slices.DeleteFunc(all, func(e domain.Event) bool { return !slices.Contains(domain.FigureEvents(), e.Type) })
}

// wantFigures: the view is what is on record, and what a replay gives.
func (b *bundle) wantFigures(t *testing.T) orders.FiguresReplay {
	t.Helper()
	for _, saleID := range []string{b.sale.ID, ""} {
		check := must(b.store.CheckFigures(b.ctx, saleID))
		if check.Unread != 0 || check.Different != 0 || check.Rows == 0 {
			t.Fatalf("figures of %q: %+v", saleID, check)
		}
	}
	r, differences := b.replay(t, false)
	if r.Different != 0 || r.Unread != 0 || r.Rows == 0 {
		t.Fatalf("%+v, %+v", r, differences)
	}
	return r
}

func (b *bundle) replay(t *testing.T, mend bool) (r orders.FiguresReplay, differences []domain.FigureDifference) {
	t.Helper()
	r, err := b.store.ReplayFigures(b.ctx, mend, func(d domain.FigureDifference) { differences = append(differences, d) })
	if err != nil {
		t.Fatal(err)
	}
	return r, differences
}

func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if err := orderstest.Exec(b.ctx, b.url, sql, args...); err != nil {
		t.Fatal(err)
	}
}

// However often an event comes, in whatever order and from however many nodes: it counts once.
func TestAnEventCountsOnceInTheFigures(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	b := setup(t)
	b.history(t, 12)
	b.unsold(t, 500, domain.OrderExpired, domain.OrderExpired, domain.OrderFailed, domain.OrderCanceled)
	events := b.figureEvents(t)
	var nodes sync.WaitGroup
	for n := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, n))
		nodes.Go(func() {
			mine := slices.Concat(events, events)
			random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
			for len(mine) > 0 {
				size := 1 + random.IntN(min(7, len(mine)))
				if err := b.store.AddFigures(b.ctx, mine[:size]); err != nil {
					t.Error(err)
					return
				}
				mine = mine[size:]
			}
		})
	}
	nodes.Wait()
	r := b.wantFigures(t)
	if r.Events != int64(len(events)) || r.DroppedRows != 0 || r.First.IsZero() || r.Last.Before(r.First) {
		t.Errorf("%+v, want %d events", r, len(events))
	}
	f := must(b.store.Figures(b.ctx, b.sale.ID, time.Time{}, 300))
	sum := map[domain.Figure]domain.FigureSum{}
	for _, row := range f.Rows {
		s := sum[row.Figure]
		sum[row.Figure] = domain.FigureSum{Count: s.Count + row.Count, AmountMinor: s.AmountMinor + row.AmountMinor}
	}
	const price = 2*6500 + 3500
	for figure, want := range map[domain.Figure]domain.FigureSum{
		domain.FigureSold: {Count: 36, AmountMinor: 12 * price}, domain.FigurePaid: {Count: 12, AmountMinor: 12 * price},
		domain.FigureVoided: {Count: 12, AmountMinor: 4 * price}, domain.FigureRefundBegun: {Count: 4, AmountMinor: 4 * price},
		domain.FigureRefunded: {Count: 2, AmountMinor: 2 * price}, domain.FigurePaymentRefunded: {Count: 1, AmountMinor: price},
		domain.FigureUnsold: {Count: 4, AmountMinor: 4 * price},
	} {
		if sum[figure] != want {
			t.Errorf("%s: %+v, want %+v", figure, sum[figure], want)
		}
	}
}

// An event that the view has not taken in is unread, and neither side of a replay has it.
func TestFiguresThatLagAreNotWrong(t *testing.T) {
	b := setup(t)
	b.history(t, 2)
	events := b.figureEvents(t)
	if err := b.store.AddReader(b.ctx, orders.FiguresReader, false); err != nil {
		t.Fatal(err)
	}
	f := must(b.store.Figures(b.ctx, b.sale.ID, time.Time{}, 300))
	if len(f.Rows) != 0 || f.Behind < int64(len(events)) || f.Lag <= 0 {
		t.Errorf("%+v before anything is read", f)
	}
	if err := b.store.AddFigures(b.ctx, events[1:]); err != nil {
		t.Fatal(err)
	}
	check := must(b.store.CheckFigures(b.ctx, b.sale.ID))
	if check.Unread != 1 || check.Different == 0 {
		t.Errorf("%+v, want one unread", check)
	}
	if r, _ := b.replay(t, false); r.Unread != 1 || r.Different != 0 {
		t.Errorf("%+v, want one unread", r)
	}
	if r, _ := b.replay(t, true); r.Different != 0 {
		t.Errorf("%+v: a mend takes in nothing", r)
	}
	if err := b.store.AddFigures(b.ctx, events); err != nil {
		t.Fatal(err)
	}
	if r, differences := b.replay(t, false); r.Different != 0 {
		t.Errorf("%+v, %+v", r, differences)
	}
}

// A row that is wrong, one too many and one that is missing are named, and mended. What the
// reader adds meanwhile stays.
func TestAReplayNamesAndMendsWhatDiffers(t *testing.T) {
	b := setup(t)
	b.history(t, 9)
	events := b.figureEvents(t)
	if err := b.store.AddFigures(b.ctx, events[:len(events)-1]); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE sale_figures SET n = n + 1, amount_minor = amount_minor - 5 WHERE figure = 'paid' AND sale_id <> ''`,
		`DELETE FROM sale_figures WHERE figure = 'voided' AND about = 'B'`,
		`INSERT INTO sale_figures VALUES ('opera', 'paid', 0, '', 'EUR', 1, 100)`,
	} {
		b.exec(t, sql)
	}
	names := func(differences []domain.FigureDifference) string {
		var all []string
		for _, d := range differences {
			all = append(all, d.Sale+" "+d.FigureKey.String())
		}
		return strings.Join(all, ", ")
	}
	const want = "gophercon paid EUR, gophercon voided B EUR, opera paid EUR"
	r, differences := b.replay(t, false)
	if r.Different != 3 || names(differences) != want || differences[0].View.Count != differences[0].Want.Count+1 || differences[2].Want.Count != 0 {
		t.Fatalf("%+v: %s %+v, want %s", r, names(differences), differences, want)
	}
	check := must(b.store.CheckFigures(b.ctx, b.sale.ID))
	if check.Different < 2 || check.Differences[0].View == check.Differences[0].Want {
		t.Errorf("%+v", check)
	}
	if r, _ := b.replay(t, true); r.Different != 3 {
		t.Fatalf("%+v", r)
	}
	if err := b.store.AddFigures(b.ctx, events); err != nil {
		t.Fatal(err)
	}
	b.wantFigures(t)
}

// What the log drops for its age stays in the view, and a replay begins with it.
func TestFiguresOutliveTheirEvents(t *testing.T) {
	b := setup(t)
	b.history(t, 7)
	events := b.figureEvents(t)
	// All but one are read; that one is dropped all the same, for no reader holds it.
	if err := b.store.AddFigures(b.ctx, events[1:]); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE outbox SET created_at = created_at - interval '200 days'`)
	for more := true; more; {
		more = must(b.store.DropEvents(b.ctx, 24*time.Hour))
	}
	if left := b.count(t, `SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM sale_figures_events)`); left != 0 {
		t.Fatalf("%d rows are left", left)
	}
	r := b.wantFigures(t)
	if r.Events != 0 || r.DroppedRows != r.Rows || r.DroppedUntil.IsZero() {
		t.Errorf("%+v", r)
	}
	b.record(t, b.sold(t, keyOf(100)))
	if err := b.store.AddFigures(b.ctx, b.figureEvents(t)); err != nil {
		t.Fatal(err)
	}
	if r := b.wantFigures(t); r.Events != 1 || r.DroppedRows == 0 {
		t.Errorf("%+v", r)
	}
}

// A database whose log has lost its beginning, or is from before some events were told,
// begins its view with what is on record.
func TestFiguresBeginWithWhatIsOnRecord(t *testing.T) {
	b := setup(t)
	b.history(t, 13)
	for _, sql := range []string{
		`DELETE FROM outbox WHERE event = 'order.refund_begun' AND id % 2 = 0`,
		`UPDATE outbox SET payload = payload - 'lines' WHERE event = 'order.refund_begun'`,
		`DELETE FROM outbox WHERE event <> 'order.refund_begun' AND id % 3 <> 0`,
		`DROP TABLE sale_figures, sale_figures_dropped, sale_figures_events`,
		must(orders.Migrations())[25],
	} {
		b.exec(t, sql)
	}
	if err := b.store.AddFigures(b.ctx, b.figureEvents(t)); err != nil {
		t.Fatal(err)
	}
	if r := b.wantFigures(t); r.Events == 0 || r.DroppedRows == 0 {
		t.Errorf("%+v: the test shows nothing", r)
	}
}

// The steps of time are as fine as there are not too many, whatever the sale's length.
func TestFiguresComeInSteps(t *testing.T) {
	b := setup(t)
	sell := func(minute int64, tickets int) {
		b.exec(t, `INSERT INTO sale_figures VALUES ($1, 'sold', $2, 'A', 'EUR', $3, 100)`, b.sale.ID, minute, tickets)
	}
	const first = 29_000_000
	for i := range int64(10) {
		sell(first+i, 1)
	}
	points := func(from int64, stepsMax int) (step int64, counts []int64) {
		f := must(b.store.Figures(b.ctx, b.sale.ID, domain.MinuteTime(from), stepsMax))
		for _, r := range f.Rows {
			if r.Minute%f.StepMinutes != 0 {
				t.Errorf("a step at %d", r.Minute)
			}
			counts = append(counts, r.Count)
		}
		return f.StepMinutes, counts
	}
	for _, c := range []struct {
		from     int64
		stepsMax int
		step     int64
		counts   []int64
	}{
		{0, 10, 1, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{0, 9, 5, []int64{5, 5}},
		{first + 8, 9, 1, []int64{8, 1, 1}}, // what was before is one row
		{first + 100, 9, 1, []int64{10}},
	} {
		if step, counts := points(c.from, c.stepsMax); step != c.step || !slices.Equal(counts, c.counts) {
			t.Errorf("%+v: step %d, %v", c, step, counts)
		}
	}
	sell(first+5_000_000, 1) // nine years later
	if step, counts := points(0, 10); step < 500_000 || len(counts) > 10 {
		t.Errorf("step %d, %v", step, counts)
	}
}
