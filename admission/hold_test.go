package admission

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func TestKeyLookupsOfTheGateAreBounded(t *testing.T) {
	b := setup(t, func(o *Options) { o.InFlightMax = 1 })
	b.world.SetStock(b.sale.Classes[0].Ledger, 0, 5)
	b.world.TakingsErr = errors.New("down") // every key is looked up
	b.adm.lookups <- struct{}{}             // one lookup is under way
	wantRefusal(t, b.refusal(testKey, wish("A", 1)), domain.CodeOverloaded)
	<-b.adm.lookups
	for n := range 2 * cap(b.adm.lookups) { // each leaves its permit
		wantRefusal(t, b.refusal(fmt.Sprintf("%s-%d", testKey, n), wish("A", 1)), domain.CodeSoldOut)
	}
}

// Windows and maxima are checked where the opening is: after keys that have an answer, from memory.
func TestWhatASaleTakesNow(t *testing.T) {
	soon, ago := 90*time.Minute, -time.Minute
	of := func(b *bundle) *domain.Class { return &b.sale.Classes[0] }
	for name, test := range map[string]struct {
		change     func(b *bundle, now time.Time)
		code       domain.Code
		retryAfter time.Duration
		lookups    int // of the new key
	}{
		"the sale has closed":        {func(b *bundle, now time.Time) { b.sale.ClosesAt = now.Add(ago) }, domain.CodeSaleClosed, 0, 0},
		"its class opens later":      {func(b *bundle, now time.Time) { of(b).OpensAt = now.Add(soon) }, domain.CodeClassNotOpen, soon, 0},
		"its class has closed":       {func(b *bundle, now time.Time) { of(b).ClosesAt = now.Add(ago) }, domain.CodeClassClosed, 0, 0},
		"too many for one order":     {func(b *bundle, _ time.Time) { of(b).MaxPerOrder = 1 }, domain.CodeMaxPerOrder, 0, 0},
		"too many, and plenty left":  {func(b *bundle, _ time.Time) { of(b).MaxPerOrder, b.sale.BuyerLimit = 1, 2 }, domain.CodeMaxPerOrder, 0, 1}, // its takings are not followed
		"just as many as may be":     {change: func(b *bundle, _ time.Time) { of(b).MaxPerOrder = 2 }},
		"another class opens later":  {change: func(b *bundle, now time.Time) { b.sale.Classes[1].OpensAt = now.Add(soon) }},
		"both windows are open":      {change: func(b *bundle, now time.Time) { b.sale.ClosesAt, of(b).ClosesAt = now.Add(soon), now.Add(soon) }},
		"closed, and its class too":  {func(b *bundle, now time.Time) { b.sale.ClosesAt, of(b).ClosesAt = now.Add(ago), now.Add(ago) }, domain.CodeSaleClosed, 0, 0},
		"closed and canceled":        {func(b *bundle, now time.Time) { b.sale.ClosesAt = now.Add(ago); b.world.callOff(b.sale.ID) }, domain.CodeSaleCanceled, 0, 0},
		"a class closes, one is out": {func(b *bundle, now time.Time) { of(b).ClosesAt = now.Add(ago); b.stockOf(1, 0, 50) }, domain.CodeClassClosed, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.elsewhere(testKey, "ann@example.com", 2)
				test.change(b, time.Now())
				ask := func(key, email string) error {
					_, err := b.checkout(key, wishOf(email, 2))
					return err
				}
				if err := ask(testKey, "ann@example.com"); err != nil && !b.sale.Canceled() {
					t.Errorf("a key that another node held: %v", err)
				}
				b.world.Starts, b.world.Lookups = 0, 0
				err := ask(testKey+"-2", "bob@example.com")
				if test.code == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if refusal := wantRefusal(t, err, test.code); refusal.RetryAfter != test.retryAfter {
					t.Errorf("to come back after %v, want %v", refusal.RetryAfter, test.retryAfter)
				}
				if b.world.Lookups != test.lookups || b.world.Starts != 0 {
					t.Errorf("%d lookups, %d checkouts", b.world.Lookups, b.world.Starts)
				}
			})
		})
	}
}

// The opening is checked in one place, after keys that have an answer: another node, whose
// clock is ahead, may already have placed a hold.
func TestASaleThatHasNotOpened(t *testing.T) {
	for name, test := range map[string]struct {
		before func(b *bundle)
		key    string
		code   domain.Code // empty: held
	}{
		"a new key":                        {key: testKey, code: domain.CodeNotOpen},
		"a key that another node held":     {before: func(b *bundle) { b.elsewhere(testKey, "ann@example.com", 1) }, key: testKey},
		"another key of its buyer":         {before: func(b *bundle) { b.elsewhere(testKey, "ann@example.com", 1) }, key: testKey + "-2", code: domain.CodeNotOpen},
		"a buyer at the limit":             {before: func(b *bundle) { b.elsewhere(testKey, "ann@example.com", 5) }, key: testKey + "-2", code: domain.CodeNotOpen},
		"while the ledger does not answer": {before: func(b *bundle) { b.world.StockErr = errors.New("down") }, key: testKey, code: domain.CodeNotOpen},
		"and is canceled":                  {before: func(b *bundle) { b.world.callOff(b.sale.ID) }, key: testKey, code: domain.CodeSaleCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := setup(t)
				b.sale.OpensAt, b.sale.BuyerLimit = time.Now().Add(90*time.Minute), 5
				if test.before != nil {
					test.before(b)
				}
				r := Request{SaleID: b.sale.ID, Key: test.key, Items: wishOf("", 1).items, Email: "ann@example.com"}
				answer, err := b.adm.Hold(t.Context(), r)
				b.world.Starts = 0
				atOnce := b.adm.RefuseAtOnce(t.Context(), &r)
				if test.code == "" {
					if err != nil || atOnce != nil || !answer.Replayed {
						t.Errorf("%+v, %v, %v", answer, err, atOnce)
					}
					return
				}
				refusal := wantRefusal(t, err, test.code)
				wantRefusal(t, atOnce, test.code)
				if test.code == domain.CodeNotOpen && refusal.RetryAfter != 90*time.Minute {
					t.Errorf("to come back after %v", refusal.RetryAfter)
				}
				if b.world.Lookups != 0 || b.world.Starts != 0 {
					t.Errorf("%d lookups, %d checkouts", b.world.Lookups, b.world.Starts)
				}
				time.Sleep(90 * time.Minute)
				b.world.StockErr = nil
				if _, err := b.adm.Hold(t.Context(), r); test.code == domain.CodeNotOpen && err != nil && domain.CodeOf(err) != domain.CodeSoldOut {
					t.Errorf("once it has opened: %v", err)
				}
			})
		})
	}
}
