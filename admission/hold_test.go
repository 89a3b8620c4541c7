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
