package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

// look gives the newest answer of the ledger, not older than GateMaxAge when it is
// asked for; nil if there is none in time.
func (g *gate) look(ctx context.Context, s *saleGate, sale *domain.Sale) *gateAnswer {
	now := g.now()
	s.askedAt.Store(now.UnixNano())
	if answer := s.answer.Load(); answer != nil {
		age := now.Sub(answer.at)
		if age >= gateRefreshAge {
			g.ask(s, sale)
		}
		if age < GateMaxAge {
			return answer
		}
	}
	ctx, cancel := context.WithTimeout(ctx, gateWaitMax)
	defer cancel()
	for oldest := now.Add(-GateMaxAge); ; {
		asking := g.ask(s, sale)
		select {
		case <-ctx.Done():
			return nil
		case <-asking.done:
		}
		// What was under way when we came may be too old for us; the next is not.
		if asking.answer == nil || asking.answer.at.After(oldest) {
			return asking.answer
		}
	}
}

// ask begins to ask the ledger, unless that is under way.
func (g *gate) ask(s *saleGate, sale *domain.Sale) *asking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking == nil {
		s.asking = &asking{done: make(chan struct{}), outdated: s.outdated}
		go g.run(s, s.asking, sale)
	}
	return s.asking
}

func (g *gate) run(s *saleGate, a *asking, sale *domain.Sale) {
	ctx, cancel := context.WithTimeout(context.Background(), stockTimeout)
	defer cancel()
	answer := g.read(ctx, s, sale)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = nil
	switch {
	case answer == nil:
	case a.outdated != s.outdated:
		answer = &gateAnswer{} // as if it were older than all who wait: they ask again
	default:
		s.answer.Store(answer)
	}
	a.answer = answer
	close(a.done)
}

// read asks for the levels and then, where the sale is short or closed, for the takings that
// came since: the sequence makes the second at least as new as the first.
func (g *gate) read(ctx context.Context, s *saleGate, sale *domain.Sale) *gateAnswer {
	levels, err := g.catalog.readStock(ctx, sale)
	if err != nil {
		return nil
	}
	answer := &gateAnswer{at: levels.at, levels: levels.value}
	if closed(sale, answer.at) != "" || answer.isShort(sale) {
		answer.followed = g.follow(ctx, s, sale)
	}
	return answer
}

// follow reads the takings that came since it was here last. It reports whether
// all are in memory now.
func (g *gate) follow(ctx context.Context, s *saleGate, sale *domain.Sale) bool {
	if !s.takings.open() {
		return false
	}
	for range gatePagesMax {
		if g.remembered.Load() >= g.takingsMax {
			g.dropIdle()
		}
		if g.remembered.Load() >= g.takingsMax {
			return false
		}
		page, err := g.books.Takings(ctx, sale, s.cursor)
		if err != nil {
			return false
		}
		for _, t := range page.Takings {
			g.remember(s, t)
		}
		s.cursor = page.Next
		if !page.More {
			return true
		}
	}
	return false
}

// A saleGate is what the gate knows of one sale.
type saleGate struct {
	answer  atomic.Pointer[gateAnswer] // the newest; nil: none, or outdated
	askedAt atomic.Int64               // when somebody last asked, ns since the epoch
	takings takings

	mu       sync.Mutex
	asking   *asking // under way; nil: nobody asks
	outdated int     // how often answers were outdated by what a hold came back with

	cursor domain.TakingsCursor // of whoever asks
}

// outdate drops an answer that still shows seats for lines which the ledger has
// refused just now, and what is under way: that may show them too. Where there is
// no such answer, the next is awaited already, and left alone.
func (s *saleGate) outdate(lines []domain.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer := s.answer.Load(); answer != nil && !answer.shortOf(lines) {
		s.answer.Store(nil)
		s.outdated++
	}
}

// An asking is one read of the ledger, shared by all who wait for it.
type asking struct {
	done     chan struct{}
	outdated int         // that of the sale when it began
	answer   *gateAnswer // once done; nil: the ledger gave none
}

// A gateAnswer is what the ledger said of a sale. It never changes.
type gateAnswer struct {
	at     time.Time // when the read began: the answer is at least that new
	levels []domain.StockLevel
	// followed says that every order which the levels count is in the takings.
	followed bool
}

// shortOf reports whether less is available than the lines want.
func (a *gateAnswer) shortOf(lines []domain.Line) bool {
	for _, line := range lines {
		if level, ok := domain.LevelOf(a.levels, line.Ledger); ok && level.Available < line.Quantity {
			return true
		}
	}
	return false
}

// isShort reports whether any order that the sale takes could be refused.
func (a *gateAnswer) isShort(sale *domain.Sale) bool {
	for i := range sale.Classes {
		if level, ok := domain.LevelOf(a.levels, sale.Classes[i].Ledger); ok && level.Available < sale.BuyerLimit {
			return true
		}
	}
	return false
}
