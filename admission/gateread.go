package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

// look returns the newest answer of the ledger, not older than GateMaxAge at the time of
// the call; nil if none comes in time.
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

// ask starts a read of the ledger, unless one is under way.
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
		answer = &gateAnswer{} // older than all who wait, so that they ask again
	default:
		s.answer.Store(answer)
	}
	a.answer = answer
	close(a.done)
}

// read asks for the levels and then, if the sale is short or closed, for the takings that
// came since. That order makes the takings at least as new as the levels.
func (g *gate) read(ctx context.Context, s *saleGate, sale *domain.Sale) *gateAnswer {
	levels, err := g.catalog.readStock(ctx, sale)
	if err != nil {
		return nil
	}
	answer := &gateAnswer{at: levels.at, levels: levels.value}
	if anyClosed(sale, answer.at) || answer.isShort(sale) {
		answer.followed = g.follow(ctx, s, sale)
	}
	return answer
}

// follow reads the takings that came since its last call. It reports whether all are in
// memory now.
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
	outdated int     // how often the result of a hold outdated an answer

	cursor domain.TakingsCursor // of whoever asks
}

// outdate drops an answer that still shows seats for lines that the ledger has just
// refused, and the read under way, which may show them too. If there is no such answer,
// somebody already waits for the next, which is left alone.
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
	answer   *gateAnswer // set when done; nil: the ledger gave none
}

// A gateAnswer is what the ledger said about a sale. It never changes.
type gateAnswer struct {
	at     time.Time // when the read began: the answer is at least that new
	levels []domain.StockLevel
	// followed says that every order counted in the levels is in the takings.
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
