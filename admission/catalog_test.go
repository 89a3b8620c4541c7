package admission

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func TestCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		c := NewCatalog(b.world, b.world)
		get := func() error { _, err := c.Sale(t.Context(), "conference"); return err }
		if err := errors.Join(get(), get()); err != nil || b.world.SaleReads != 1 {
			t.Errorf("%v, %d reads for two queries", err, b.world.SaleReads)
		}
		time.Sleep(saleTTL)
		b.world.SaleErr = errors.New("down")
		if err := get(); err != nil {
			t.Errorf("a sale must not change, but: %v", err)
		}
		if _, err := c.Sale(t.Context(), "other"); err == nil || domain.CodeOf(err) == domain.CodeNotFound {
			t.Errorf("an unreachable database reads as not found: %v", err)
		}
		b.world.SaleErr = nil
		if _, err := c.Sale(t.Context(), "No Such"); domain.CodeOf(err) != domain.CodeNotFound || b.world.SaleReads != 2 {
			t.Errorf("%v, %d reads", err, b.world.SaleReads)
		}
	})
}

// Strangers can ask for missing ids at any rate, each one new.
func TestMissingSalesCostOneQueryASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		c := NewCatalog(b.world, b.world)
		ask := func(round int) {
			t.Helper()
			for n := range 1000 {
				if _, err := c.Sale(t.Context(), fmt.Sprintf("no-such-%d-%d", round, n)); domain.CodeOf(err) != domain.CodeNotFound {
					t.Fatal(err)
				}
			}
			if b.world.ListReads != round || b.world.SaleReads != 0 {
				t.Errorf("%d thousand ids: %d queries for all sales, %d for one", round, b.world.ListReads, b.world.SaleReads)
			}
		}
		ask(1)
		time.Sleep(salesTTL)
		ask(2)
		if len(c.sales) != 0 {
			t.Errorf("%d invented ids are cached", len(c.sales))
		}
	})
}

// slowList answers the first query for all sales when it is released, with what there was when it was asked.
type slowList struct {
	*world
	asked   atomic.Int64
	arrived chan struct{}
	release chan struct{}
}

func (l *slowList) Sales(ctx context.Context) ([]*domain.Sale, error) {
	sales, err := l.world.Sales(ctx)
	if l.asked.Add(1) == 1 {
		close(l.arrived)
		<-l.release
	}
	return sales, err
}

func TestAReadFromBeforeASaleWasCreatedDoesNotHideIt(t *testing.T) {
	b := setup(t)
	list := &slowList{world: b.world, arrived: make(chan struct{}), release: make(chan struct{})}
	c := NewCatalog(list, b.world)
	go func() { _, _ = c.Sale(t.Context(), "somebody-elses") }()
	<-list.arrived
	b.world.Opened[b.world.AddSale(&domain.Sale{ID: "fresh", Classes: []domain.Class{{Name: "A"}}}).ID] = true
	c.Forget("fresh")
	found := make(chan error)
	go func() { _, err := c.Sale(t.Context(), "fresh"); found <- err }()
	close(list.release)
	if err := <-found; err != nil {
		t.Error(err)
	}
	if _, err := c.Sale(t.Context(), "fresh"); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestOtherNodesLearnOfACancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		here, elsewhere := NewCatalog(b.world, b.world), NewCatalog(b.world, b.world)
		for _, c := range []*Catalog{here, elsewhere} {
			if _, err := c.Sale(t.Context(), "conference"); err != nil {
				t.Fatal(err)
			}
		}
		b.world.callOff("conference")
		here.Forget("conference")
		if sale, _ := here.Sale(t.Context(), "conference"); !sale.Canceled() {
			t.Error("the node that canceled it does not know")
		}
		time.Sleep(saleTTL)
		if sale, _ := elsewhere.Sale(t.Context(), "conference"); !sale.Canceled() {
			t.Errorf("another node does not know after %v", saleTTL)
		}
	})
}

// A database that is down is asked once in a while, not for every request.
func TestASaleStaysCachedWhileTheDatabaseIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		c := NewCatalog(b.world, b.world)
		get := func() {
			if _, err := c.Sale(t.Context(), "conference"); err != nil {
				t.Error(err)
			}
		}
		get()
		b.world.SaleErr = errors.New("down")
		time.Sleep(saleTTL)
		get()
		get()
		if b.world.SaleReads != 2 {
			t.Errorf("%d reads, want one before and one after", b.world.SaleReads)
		}
	})
}
