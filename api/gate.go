package api

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

// A Gate refuses, without a workflow and from memory, what the ledger says cannot
// be held. It is conservative: only an answer of the ledger not older than
// GateMaxAge says no; in every other case the checkout goes on and the ledger
// decides.
//
// Beside the levels it keeps the orders that ever held something of a sale which
// has run short, because their keys have an answer of their own. They are read
// after the levels, so that whatever took the seats which are missing is among
// them before anybody is refused for want of those seats.
type Gate struct {
	catalog    *Catalog
	books      Books
	now        func() time.Time
	takingsMax int64
	remembered atomic.Int64 // orders, over all sales

	mu    sync.RWMutex
	sales map[string]*saleGate
}

// newGate reads by the catalog, so that what it learns is shown on the pages too.
func newGate(catalog *Catalog, books Books) *Gate {
	return &Gate{catalog: catalog, books: books, now: catalog.now, takingsMax: takingsMax, sales: make(map[string]*saleGate)}
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

// Judge tells whether an order is refused, and how. It asks the ledger for nothing
// that is not shared by all who ask for the sale.
//
// An order is doubtful where the takings are not at hand (too many, not caught up
// with yet, not readable), and where its buyer has taken so much that the key may
// have been refused for the limit: that leaves no transfer to be read.
func (g *Gate) Judge(ctx context.Context, sale *domain.Sale, order *domain.Order) (gateVerdict, *domain.Error) {
	s := g.of(sale.ID)
	answer := g.look(ctx, s, sale)
	refusal := refusalBy(answer, sale, order.Lines)
	if refusal == nil {
		return letThrough, nil
	}
	known, taken, kept := s.takings.of(order.ID, order.Buyer)
	switch {
	case known:
		return letThrough, nil
	case answer == nil || !answer.followed || !kept || mayHaveBeenOverLimit(order, taken):
		return doubtful, refusal
	default:
		return refused, refusal
	}
}

// took reports whether an order is among the takings, and whether that is sure: it
// is not where they are not at hand.
func (g *Gate) took(saleID string, order *domain.Order) (took, sure bool) {
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
// for the lines: nil where it may be.
func refusalBy(answer *gateAnswer, sale *domain.Sale, lines []domain.Line) *domain.Error {
	if sale.Canceled() {
		return &domain.Error{Code: domain.CodeSaleCanceled}
	}
	if answer == nil || !answer.shortOf(lines) {
		return nil
	}
	return soldOut(lines, answer.levels)
}

// Learn takes in what a hold of this node came back with, at once: it may be newer
// than what was read.
func (g *Gate) Learn(sale *domain.Sale, order *domain.Order, hold domain.Hold) {
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
func (g *Gate) remember(s *saleGate, t domain.Taking) {
	if s.takings.add(t) {
		g.remembered.Add(1)
	}
}

// of finds the gate of a sale, or makes it.
func (g *Gate) of(saleID string) *saleGate {
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
func (g *Gate) dropIdle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropIdleLocked()
}

func (g *Gate) dropIdleLocked() {
	idle := g.now().Add(-gateIdle).UnixNano()
	for id, s := range g.sales {
		if s.askedAt.Load() < idle || len(g.sales) >= salesCachedMax {
			delete(g.sales, id)
			g.remembered.Add(-s.takings.close())
		}
	}
}

// look gives the newest answer of the ledger, not older than GateMaxAge when it is
// asked for; nil if there is none in time.
func (g *Gate) look(ctx context.Context, s *saleGate, sale *domain.Sale) *gateAnswer {
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
func (g *Gate) ask(s *saleGate, sale *domain.Sale) *asking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking == nil {
		s.asking = &asking{done: make(chan struct{}), outdated: s.outdated}
		go g.run(s, s.asking, sale)
	}
	return s.asking
}

func (g *Gate) run(s *saleGate, a *asking, sale *domain.Sale) {
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

// read asks for the levels and then, where the sale is short, for the takings that
// came since: the sequence makes the second at least as new as the first.
func (g *Gate) read(ctx context.Context, s *saleGate, sale *domain.Sale) *gateAnswer {
	levels, err := g.catalog.readStock(ctx, sale)
	if err != nil {
		return nil
	}
	answer := &gateAnswer{at: levels.at, levels: levels.value}
	if sale.Canceled() || answer.isShort(sale) {
		answer.followed = g.follow(ctx, s, sale)
	}
	return answer
}

// follow reads the takings that came since it was here last. It reports whether
// all are in memory now.
func (g *Gate) follow(ctx context.Context, s *saleGate, sale *domain.Sale) bool {
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
		if level, ok := levelOf(a.levels, line.Ledger); ok && level.Available < line.Quantity {
			return true
		}
	}
	return false
}

// left is how many seats the last answer has in the classes of the lines,
// seatsUnknown without one. It asks for nothing.
func (g *Gate) left(saleID string, lines []domain.Line) (seats int64) {
	answer := g.of(saleID).answer.Load()
	if answer == nil {
		return seatsUnknown
	}
	for _, line := range lines {
		if level, ok := levelOf(answer.levels, line.Ledger); ok {
			seats += max(level.Available, 0)
		}
	}
	return seats
}

// isShort reports whether any order that the sale takes could be refused.
func (a *gateAnswer) isShort(sale *domain.Sale) bool {
	for i := range sale.Classes {
		if level, ok := levelOf(a.levels, sale.Classes[i].Ledger); ok && level.Available < sale.BuyerLimit {
			return true
		}
	}
	return false
}

// takings are the orders that took something of a sale, and how much their buyers
// took by them. They only grow, until they are closed for good.
type takings struct {
	mu     sync.RWMutex
	closed bool
	orders map[domain.OrderID]struct{} // nil: not followed
	buyers map[domain.BuyerID]int64
}

// open begins to keep what is added; false: closed.
func (t *takings) open() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orders == nil && !t.closed {
		t.orders, t.buyers = make(map[domain.OrderID]struct{}), make(map[domain.BuyerID]int64)
	}
	return !t.closed
}

// close forgets all, and tells how many orders that were.
func (t *takings) close() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(len(t.orders))
	t.closed, t.orders, t.buyers = true, nil, nil
	return n
}

// add reports whether the order is new here. One that was sold after its hold was
// gone comes twice and counts once: it never has both.
func (t *takings) add(taking domain.Taking) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orders == nil {
		return false
	}
	if _, ok := t.orders[taking.Order]; ok {
		return false
	}
	t.orders[taking.Order] = struct{}{}
	t.buyers[taking.Buyer] += taking.Quantity
	return true
}

// of tells whether an order took something, and what its buyer took over all; kept
// is false where nothing is remembered.
func (t *takings) of(order domain.OrderID, buyer domain.BuyerID) (known bool, taken int64, kept bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, known = t.orders[order]
	return known, t.buyers[buyer], t.orders != nil
}
