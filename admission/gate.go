package admission

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"
)

const (
	// gateRefreshAge is how old the ledger's answer is when the gate asks for the next
	// one. Checkouts that come meanwhile use the old one, so in any rush the ledger sees
	// at most a hundred reads a second from each node.
	gateRefreshAge = 10 * time.Millisecond
	// GateMaxAge is how old an answer may be to refuse an order. It is reached only if
	// the ledger takes that long to answer; then everybody waits for it. (A TigerBeetle
	// that shares two busy cores with 15,000 refusals a second takes 30 ms, at times
	// 120.)
	GateMaxAge = 250 * time.Millisecond
	// gateWaitMax is how long a checkout waits to learn that nothing is left. After that
	// it goes on: only an answer may say no.
	gateWaitMax = 250 * time.Millisecond
	// gatePagesMax limits the takings that one read follows. If more was taken before the
	// sale ran short, the next reads catch up.
	gatePagesMax = 4
	// gateIdle is how long a sale that nobody asks for stays in memory when another one
	// needs the room.
	gateIdle = time.Minute
	// takingsMax limits the orders that a node's gate remembers, over all sales: under
	// 100 bytes each with their buyers, 100 MB. If a sale does not fit, every refusal
	// looks its key up in the ledger instead, many in one request.
	takingsMax = 1_000_000
)

// A gate refuses, from memory and without a workflow, what the ledger says cannot be
// held. It is conservative: only an answer of the ledger that is not older than
// GateMaxAge says no. In every other case the checkout goes on and the ledger decides.
//
// Beside the levels it keeps the orders that ever held something of a sale that has run
// short, because their keys have answers of their own. It reads them after the levels. So
// whatever took the missing seats is among them before anybody is refused for lack of
// those seats.
type gate struct {
	catalog    *Catalog
	books      Books
	now        func() time.Time
	takingsMax int64
	remembered atomic.Int64 // orders, over all sales

	mu    sync.RWMutex
	sales map[string]*saleGate
}

// newGate reads through the catalog, so that the pages also show what it learns.
func newGate(catalog *Catalog, books Books) *gate {
	return &gate{catalog: catalog, books: books, now: catalog.now, takingsMax: takingsMax, sales: make(map[string]*saleGate)}
}

// A verdict is the gate's answer about an order.
type gateVerdict uint8

const (
	// letThrough: nothing is known against the order, or its key has an answer that the
	// Desk knows.
	letThrough gateVerdict = iota
	// refused: no seats can be held for it, and its key has no answer.
	refused
	// doubtful: no seats can be held for it, but only the ledger knows whether its key
	// has an answer.
	doubtful
)

// judge says whether an order is refused, and how. It asks the ledger only for what all
// who ask for the sale share.
//
// An order is doubtful if the takings are not available (too many, not caught up yet, not
// readable), or if its buyer has taken so much that the key may have been refused because
// of the limit: that leaves no transfer to read.
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
	case refusal.Code == domain.CodeNotOpen || refusal.Code == domain.CodeClassNotOpen:
		return refused, refusal // even in doubt: this is not for good, and the same key asks again
	case answer == nil || !answer.followed || !kept || mayHaveBeenOverLimit(order, taken):
		return doubtful, refusal
	default:
		return refused, refusal
	}
}

// took reports whether an order is among the takings, and whether that is certain. It is
// not certain if they are not available.
func (g *gate) took(saleID string, order *domain.Order) (took, sure bool) {
	s := g.of(saleID)
	answer := s.answer.Load()
	took, _, kept := s.takings.of(order.ID, order.Buyer)
	return took, answer != nil && answer.followed && kept
}

// mayHaveBeenOverLimit reports whether the ledger could ever have refused the order
// because of its buyer. Taken is all that the buyer's orders ever took, given back or
// not, so it is never less than what they had at any one time. If a buyer may have one
// open checkout, any that they ever had may have been open.
func mayHaveBeenOverLimit(order *domain.Order, taken int64) bool {
	return taken+order.Quantity() > order.BuyerLimit || order.CheckoutLedger != 0 && taken > 0
}

// refusalBy is why the ledger's answer, or the organiser, allows no hold for the lines;
// nil if a hold may be possible. Keys with an answer pass anyway, so this is the only
// place where a sale and its classes open, close and end, and where an order has too many
// tickets of a class.
func refusalBy(answer *gateAnswer, sale *domain.Sale, lines []domain.Line, now time.Time) *domain.Error {
	if why := closed(sale, now); why != "" {
		return closedRefusal(why, sale, now)
	}
	if refusal := classRefusal(sale, lines, now); refusal != nil {
		return refusal
	}
	if answer == nil || !answer.shortOf(lines) {
		return nil
	}
	return soldOut(lines, answer.levels)
}

// closed is why a sale takes no orders now. A waiting room opens by its own clock, the
// database's: a node whose clock is off must not refuse people whom the room admits.
func closed(sale *domain.Sale, now time.Time) domain.Code {
	why := sale.WhyClosed(now)
	if why == domain.CodeNotOpen && sale.WaitingRoom {
		return ""
	}
	return why
}

// anyClosed reports whether the sale, or a class of it, is closed.
func anyClosed(sale *domain.Sale, now time.Time) bool {
	return closed(sale, now) != "" || slices.ContainsFunc(sale.Classes, func(c domain.Class) bool { return c.WhyClosed(now) != "" })
}

func closedRefusal(why domain.Code, sale *domain.Sale, now time.Time) *domain.Error {
	refusal := &domain.Error{Code: why}
	if why == domain.CodeNotOpen {
		refusal.Detail = "The sale opens at " + sale.OpensAt.UTC().Format(time.RFC3339) + "."
		refusal.RetryAfter = sale.OpensAt.Sub(now)
	}
	return refusal
}

// classRefusal is what a class of the order says against it, by this node's clock; nil: nothing.
func classRefusal(sale *domain.Sale, lines []domain.Line, now time.Time) *domain.Error {
	for _, line := range lines {
		i := slices.IndexFunc(sale.Classes, func(c domain.Class) bool { return c.Ledger == line.Ledger })
		if i < 0 {
			continue
		}
		class := &sale.Classes[i]
		switch why := class.WhyClosed(now); {
		case why == domain.CodeClassNotOpen:
			return &domain.Error{
				Code: why, Detail: fmt.Sprintf("Class %s is sold from %s on.", class.Name, class.OpensAt.UTC().Format(time.RFC3339)),
				RetryAfter: class.OpensAt.Sub(now),
			}
		case why != "":
			return &domain.Error{Code: why, Detail: fmt.Sprintf("Class %s was sold until %s.", class.Name, class.ClosesAt.UTC().Format(time.RFC3339))}
		case class.MaxPerOrder != 0 && line.Quantity > class.MaxPerOrder:
			return &domain.Error{Code: domain.CodeMaxPerOrder, Detail: fmt.Sprintf("An order may have at most %d tickets of class %s.", class.MaxPerOrder, class.Name)}
		}
	}
	return nil
}

// learn takes in the result of a hold of this node at once: it may be newer than what was
// read.
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

// remember keeps a taking of a sale that is followed. For another sale, all takings are
// read once it is followed.
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

// dropIdle forgets sales that nobody asks for. Any sale may go: it is only read again.
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

// left is how many seats the last answer has in the classes of the lines, seatsUnknown
// without one. It asks nothing.
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
