package admission

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

const (
	// gateRefreshAge is how old an answer of the ledger is when the gate asks for
	// the next one. Whoever comes meanwhile is served by the one there is: of any
	// rush the ledger sees at most a hundred reads a second and node.
	gateRefreshAge = 10 * time.Millisecond
	// GateMaxAge is how old an answer may be that refuses. It is reached only where
	// the ledger takes that long to answer; then everybody waits for it. (A TigerBeetle
	// that shares two busy cores with 15,000 refusals a second takes 30 ms, at times 120.)
	GateMaxAge = 250 * time.Millisecond
	// gateWaitMax is how long a checkout waits to hear that there is nothing left.
	// After it the checkout goes on: only an answer may say no.
	gateWaitMax = 250 * time.Millisecond
	// gatePagesMax bounds the takings that one read follows. A sale of which more
	// was taken before it ran short is caught up with by the next reads.
	gatePagesMax = 4
	// gateIdle is how long a sale that nobody asks for stays in memory when another
	// one needs the room.
	gateIdle = time.Minute
	// takingsMax bounds the orders that the gate of a node remembers, over all sales:
	// under 100 bytes each with their buyers, 100 MB. Of a sale that does not fit, every
	// refusal looks its key up in the ledger instead, many in one request.
	takingsMax = 1_000_000
)

// A gate refuses, without a workflow and from memory, what the ledger says cannot
// be held. It is conservative: only an answer of the ledger not older than
// GateMaxAge says no; in every other case the checkout goes on and the ledger
// decides.
//
// Beside the levels it keeps the orders that ever held something of a sale which
// has run short, because their keys have an answer of their own. They are read
// after the levels, so that whatever took the seats which are missing is among
// them before anybody is refused for want of those seats.
type gate struct {
	catalog    *Catalog
	books      Books
	now        func() time.Time
	takingsMax int64
	remembered atomic.Int64 // orders, over all sales

	mu    sync.RWMutex
	sales map[string]*saleGate
}

// newGate reads by the catalog, so that what it learns is shown on the pages too.
func newGate(catalog *Catalog, books Books) *gate {
	return &gate{catalog: catalog, books: books, now: catalog.now, takingsMax: takingsMax, sales: make(map[string]*saleGate)}
}

// A verdict of the gate on an order.
type gateVerdict uint8

const (
	// letThrough: nothing is known against the order, or its key has an answer that
	// the Desk knows.
	letThrough gateVerdict = iota
	// refused: neither can seats be held for it nor does its key have an answer.
	refused
	// doubtful: no seats can be held for it, but only a look into the ledger tells
	// whether its key has an answer.
	doubtful
)

// judge tells whether an order is refused, and how. It asks the ledger for nothing
// that is not shared by all who ask for the sale.
//
// An order is doubtful where the takings are not at hand (too many, not caught up
// with yet, not readable), and where its buyer has taken so much that the key may
// have been refused for the limit: that leaves no transfer to be read.
func (g *gate) judge(ctx context.Context, sale *domain.Sale, order *domain.Order) (gateVerdict, *domain.Error) {
	s := g.of(sale.ID)
	answer := g.look(ctx, s, sale)
	refusal := refusalBy(answer, sale, order.Lines, g.now())
	if refusal == nil {
		return letThrough, nil
	}
	known, taken, kept := s.takings.of(order.ID, order.Buyer)
	switch {
	case known:
		return letThrough, nil
	case refusal.Code == domain.CodeNotOpen:
		return refused, refusal // in doubt too: it is not for good, and the same key asks again
	case answer == nil || !answer.followed || !kept || mayHaveBeenOverLimit(order, taken):
		return doubtful, refusal
	default:
		return refused, refusal
	}
}

// took reports whether an order is among the takings, and whether that is sure: it
// is not where they are not at hand.
func (g *gate) took(saleID string, order *domain.Order) (took, sure bool) {
	s := g.of(saleID)
	answer := s.answer.Load()
	took, _, kept := s.takings.of(order.ID, order.Buyer)
	return took, answer != nil && answer.followed && kept
}

// mayHaveBeenOverLimit reports whether the ledger could ever have refused the order
// for its buyer's sake. Taken is all that the buyer's orders ever took, given back
// or not, so it is never less than what they had at any one time. Where a buyer may
// have one open checkout, any that they ever had may have been open.
func mayHaveBeenOverLimit(order *domain.Order, taken int64) bool {
	return taken+order.Quantity() > order.BuyerLimit || order.CheckoutLedger != 0 && taken > 0
}

// refusalBy is why an answer of the ledger, or the organiser, lets nothing be held
// for the lines: nil where it may be. A key that has an answer is let through all the
// same, so this is where a sale opens, closes and ends, and nowhere else.
func refusalBy(answer *gateAnswer, sale *domain.Sale, lines []domain.Line, now time.Time) *domain.Error {
	if why := closed(sale, now); why != "" {
		return closedRefusal(why, sale, now)
	}
	if answer == nil || !answer.shortOf(lines) {
		return nil
	}
	return soldOut(lines, answer.levels)
}

// closed is why a sale takes no orders now. A waiting room opens by its own clock, which
// is the database's: a node whose clock is off must not refuse whom the room admits.
func closed(sale *domain.Sale, now time.Time) domain.Code {
	why := sale.WhyClosed(now)
	if why == domain.CodeNotOpen && sale.WaitingRoom {
		return ""
	}
	return why
}

func closedRefusal(why domain.Code, sale *domain.Sale, now time.Time) *domain.Error {
	refusal := &domain.Error{Code: why}
	if why == domain.CodeNotOpen {
		refusal.Detail = "The sale opens at " + sale.OpensAt.UTC().Format(time.RFC3339) + "."
		refusal.RetryAfter = sale.OpensAt.Sub(now)
	}
	return refusal
}

// learn takes in what a hold of this node came back with, at once: it may be newer
// than what was read.
func (g *gate) learn(sale *domain.Sale, order *domain.Order, hold domain.Hold) {
	s := g.of(sale.ID)
	switch hold.Outcome {
	case domain.HoldHeld:
		g.remember(s, domain.Taking{Order: order.ID, Buyer: order.Buyer, Quantity: order.Quantity()})
	case domain.HoldLimitReached:
		g.remember(s, domain.Taking{Order: order.ID, Buyer: order.Buyer}) // it took nothing
	case domain.HoldSoldOut:
		s.outdate(order.Lines)
	}
}

// remember keeps a taking of a sale that is followed; of another one all are read
// once it is.
func (g *gate) remember(s *saleGate, t domain.Taking) {
	if s.takings.add(t) {
		g.remembered.Add(1)
	}
}

// of finds the gate of a sale, or makes it.
func (g *gate) of(saleID string) *saleGate {
	g.mu.RLock()
	s := g.sales[saleID]
	g.mu.RUnlock()
	if s != nil {
		return s
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s = g.sales[saleID]; s == nil {
		g.dropIdleLocked()
		s = &saleGate{}
		s.askedAt.Store(g.now().UnixNano())
		g.sales[saleID] = s
	}
	return s
}

// dropIdle forgets the sales that nobody asks for. Forgetting any is right: they
// are only read again.
func (g *gate) dropIdle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropIdleLocked()
}

func (g *gate) dropIdleLocked() {
	idle := g.now().Add(-gateIdle).UnixNano()
	for id, s := range g.sales {
		if s.askedAt.Load() < idle || len(g.sales) >= salesCachedMax {
			delete(g.sales, id)
			g.remembered.Add(-s.takings.close())
		}
	}
}

// left is how many seats the last answer has in the classes of the lines,
// seatsUnknown without one. It asks for nothing.
func (g *gate) left(saleID string, lines []domain.Line) (seats int64) {
	answer := g.of(saleID).answer.Load()
	if answer == nil {
		return seatsUnknown
	}
	for _, line := range lines {
		if level, ok := domain.LevelOf(answer.levels, line.Ledger); ok {
			seats += max(level.Available, 0)
		}
	}
	return seats
}
