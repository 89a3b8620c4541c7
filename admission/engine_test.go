package admission

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

// awayDesk hangs for what is in cell b, until the request's time is up.
type awayDesk struct {
	Desk
	orders map[domain.OrderID]string
}

func (d awayDesk) hang(ctx context.Context, op string) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	<-ctx.Done()
	return &domain.UnknownError{Op: op, Err: ctx.Err()}
}

func (d awayDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	if order.Cell == "b" {
		return domain.HoldAnswer{}, d.hang(ctx, "hold")
	}
	if order.Cell != "" {
		return domain.HoldAnswer{}, &domain.Error{Code: domain.CodeOverloaded, Detail: "not here"}
	}
	return d.Desk.Start(ctx, order)
}

func (d awayDesk) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	if d.orders[id] == "b" {
		return domain.CheckoutState{}, d.hang(ctx, "state")
	}
	return domain.CheckoutState{}, domain.NotFound("order")
}

func (d awayDesk) Pay(ctx context.Context, event domain.PaymentEvent) (domain.PayResult, error) {
	if d.orders[event.Order] == "b" {
		return domain.PayResult{}, d.hang(ctx, "pay")
	}
	return domain.PayResult{}, domain.NotFound("order")
}

// twoCells has sale conference in the default cell, second in cell b, which is away, and lost in a cell that is not in
// the list.
func twoCells(t *testing.T) *bundle {
	orders := map[domain.OrderID]string{{2}: "b"}
	b := setup(t, func(o *Options) {
		o.Desk = awayDesk{o.Desk, orders}
		o.Cells, o.CellOf = []string{"b"}, func(_ context.Context, id domain.OrderID) string { return orders[id] }
	})
	for id, cell := range map[string]string{"second": "b", "lost": "c"} {
		b.world.AddSale(&domain.Sale{
			ID: id, Cell: cell, Name: id, Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute,
			Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 1000}}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		})
		b.world.Opened[id] = true
	}
	return b
}

func (b *bundle) crowd(sale string, buyers int) {
	var all sync.WaitGroup
	for n := range buyers {
		w := wishOf(fmt.Sprintf("%s-%d@example.org", sale, n), 1)
		all.Go(func() {
			_, err := b.ask(Request{SaleID: sale, Key: fmt.Sprintf("%s-%s-%d", testKey, sale, n), Items: w.items, Email: w.email})
			if err == nil {
				b.t.Errorf("sale %s sells without its cell", sale)
			}
		})
	}
	all.Wait()
}

// A cell that is away takes neither the permits nor the breakers of another: sales there go on, during the rush for
// a sale in the cell that is away and after it.
func TestACellThatIsAwayStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoCells(t)
		during := make(chan error, 1)
		go func() {
			time.Sleep(time.Second) // the rush has taken what permits there are
			during <- b.refusal(testKey, wish("A", 1))
		}()
		b.crowd("second", 300)
		wantHeld(t, <-during)
		wantHeld(t, b.refusal(testKey+"-2", wish("B", 1)))
		if !b.adm.others["b"].Breakers.Checkouts.IsOpen() || !b.adm.Interrupted("second") {
			t.Error("nobody noticed that cell b is away")
		}
		if b.adm.Breakers.Checkouts.IsOpen() || b.adm.Interrupted("conference") {
			t.Error("the default cell counts as away too")
		}
		_, err := b.ask(Request{SaleID: "second", Key: testKey + "-3", Items: wish("A", 1).items, Email: "late@example.org"})
		wantRefusal(t, err, domain.CodeOverloaded)
	})
}

// The same of what comes for orders: webhooks, and questions how an order stands.
func TestWebhooksAndQuestionsOfACellThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoCells(t)
		pay := func(n byte) error {
			_, err := b.adm.Pay(t.Context(), domain.PaymentEvent{Order: domain.OrderID{n}})
			return err
		}
		ask := func(n byte) error {
			_, err := b.adm.State(t.Context(), domain.OrderID{n})
			return err
		}
		for _, of := range []func(byte) error{pay, ask} {
			var all sync.WaitGroup
			for range 2 * breakerFailuresMax {
				all.Go(func() { _ = of(2) })
			}
			all.Wait()
			if err := of(2); domain.CodeOf(err) != domain.CodeOverloaded {
				t.Errorf("of an order in the cell that is away: %v", err)
			}
			if err := of(1); domain.CodeOf(err) != domain.CodeNotFound {
				t.Errorf("of an order in the default cell: %v", err)
			}
		}
	})
}

// A sale whose cell this node lacks is refused, and counts against no cell.
func TestACellThatThisNodeLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := twoCells(t)
		b.crowd("lost", 3*checkoutFailuresMax)
		for _, breaker := range b.adm.AllBreakers() {
			if breaker.IsOpen() {
				t.Errorf("%s counts as away", breaker.Name())
			}
		}
		wantHeld(t, b.refusal(testKey, wish("A", 1)))
	})
}

// The names in metrics and /readyz: those of the default cell are what they are without others.
func TestNamesOfCells(t *testing.T) {
	var got []string
	for _, breaker := range twoCells(t).adm.AllBreakers() {
		got = append(got, breaker.Name())
	}
	want := "[checkouts webhooks orders database checkouts of cell b webhooks of cell b orders of cell b]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
