package admission

import (
	"context"

	"boxoffice/domain"
)

// An engine is what the checkouts of a cell are given to: a Temporal namespace with its workers, and
// the ledger behind it. Each has a limit and breakers of its own, so that one that is slow or away costs
// the sales of the others nothing.
type engine struct {
	cell  string // empty: the default cell
	bound *adaptiveBound
	// Breakers of the parts that requests wait for, for callers that use one of them
	// without Admission.
	Breakers Breakers
}

// partOf is the name of a part in metrics and /readyz.
func partOf(part, cell string) string {
	if cell == "" {
		return part
	}
	return part + " of cell " + cell
}

func newEngine(cell string, o *Options) *engine {
	named := func(part string, failuresMax uint32) *Breaker {
		return newBreaker(partOf(part, cell), failuresMax, o.Log)
	}
	return &engine{cell: cell, bound: newAdaptiveBound(o.InFlightMin, o.InFlightMax, o.InLineMax), Breakers: Breakers{
		Checkouts: named("checkouts", checkoutFailuresMax), Webhooks: named("webhooks", breakerFailuresMax),
		Orders: named("orders", breakerFailuresMax),
	}}
}

// newEngines returns that of the default cell, and those of the others. All read the one database.
func newEngines(o *Options) (fallback *engine, others map[string]*engine) {
	database := newBreaker("database", breakerFailuresMax, o.Log)
	fallback, others = newEngine("", o), make(map[string]*engine)
	fallback.Breakers.Database = database
	for _, cell := range o.Cells {
		others[cell] = newEngine(cell, o)
		others[cell].Breakers.Database = database
	}
	return fallback, others
}

// in returns the engine of a cell. What is in a cell that this node does not have is refused by the
// Desk, which is no failure of any engine: it has a place of its own.
func (a *Admission) in(cell string) *engine {
	if cell == "" {
		return a.engine
	}
	if e, ok := a.others[cell]; ok {
		return e
	}
	return a.elsewhere
}

// engineOf finds the engine of an order.
func (a *Admission) engineOf(ctx context.Context, order domain.OrderID) *engine {
	if len(a.others) == 0 {
		return a.engine
	}
	return a.in(a.cellOf(ctx, order))
}

// engines are those of all cells of this node, the default cell's first.
func (a *Admission) engines() []*engine {
	all := []*engine{a.engine}
	for _, cell := range a.cells {
		all = append(all, a.others[cell])
	}
	return all
}

// AllBreakers lists those of all cells.
func (a *Admission) AllBreakers() []*Breaker {
	all := a.Breakers.All()
	for _, e := range a.engines()[1:] {
		all = append(all, e.Breakers.Checkouts, e.Breakers.Webhooks, e.Breakers.Orders)
	}
	return all
}

// Interrupted reports whether new checkouts of a sale are refused at once right now, because
// something that they need does not answer: pages may tell their readers.
func (a *Admission) Interrupted(saleID string) bool {
	e := a.engine
	if len(a.others) > 0 {
		e = a.in(a.catalog.cellOf(saleID))
	}
	return e.Breakers.Checkouts.IsOpen()
}

// state adds up the limits of all engines and how much of them is used.
func (a *Admission) state() (limit, inFlight int) {
	for _, e := range a.engines() {
		l, n, _ := e.bound.state()
		limit, inFlight = limit+l, inFlight+n
	}
	return limit, inFlight
}
