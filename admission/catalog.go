package admission

import (
	"context"
	"fmt"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/flight"
)

const (
	// saleTTL is how long a sale is served from memory. So other nodes know this much later
	// that a sale was ended or opened again. They know as late that it was canceled, but
	// show until then that nothing is left, because the ledger knows at once.
	saleTTL = 5 * time.Second
	// salesTTL is how long the list of sales is served from memory. A new sale appears on
	// other nodes' front pages this much later, and so does its page if somebody asked
	// for a missing sale meanwhile.
	salesTTL = time.Second
	// StockMaxAge is how old the stock that we show may be.
	StockMaxAge = 100 * time.Millisecond
	// stockTimeout limits one read of the ledger, shared by all who wait for it.
	stockTimeout = 2 * time.Second // and of the database
	// salesCachedMax limits the memory for what outsiders can ask for.
	salesCachedMax = 1000
)

// A Catalog says what is on sale and how much is left, from memory if that is fresh
// enough. Concurrent callers share one read. It is safe for concurrent use.
type Catalog struct {
	store Sales
	books Books
	now   func() time.Time

	flights flight.Group

	mu    sync.Mutex
	sales map[string]cached[*domain.Sale]
	list  cached[[]*domain.Sale]
	ids   map[string]bool // of the list
	since time.Time       // when the newest sale was made here: an older list lacks it
	stock map[string]cached[[]domain.StockLevel]
}

type cached[T any] struct {
	value T
	at    time.Time // when the read began: the value is at least that fresh
}

// NewCatalog caches in front of the database and the ledger.
func NewCatalog(store Sales, books Books) *Catalog {
	return &Catalog{
		store: store,
		books: books,
		now:   time.Now,
		sales: make(map[string]cached[*domain.Sale]),
		stock: make(map[string]cached[[]domain.StockLevel]),
	}
}

// Sale finds a sale on offer. The error is an *Error with CodeNotFound, or the
// database's. Callers must not change the sale.
func (c *Catalog) Sale(ctx context.Context, id string) (*domain.Sale, error) {
	if !domain.ValidSaleID(id) {
		return nil, domain.NotFound("sale")
	}
	c.mu.Lock()
	entry, ok := c.sales[id]
	c.mu.Unlock()
	if ok && c.now().Sub(entry.at) < saleTTL {
		return entry.value, nil
	}
	// Anybody can ask for any number of ids that do not exist. The list knows which
	// exist, for one query a second.
	if !ok {
		if isListed, err := c.isListed(ctx, id); err != nil {
			return nil, err
		} else if !isListed {
			return nil, domain.NotFound("sale")
		}
	}
	sale, err := flight.Share(ctx, &c.flights, "sale/"+id, stockTimeout, func(ctx context.Context) (*domain.Sale, error) {
		began := c.now()
		sale, err := c.store.Sale(ctx, id)
		if err == nil {
			c.mu.Lock()
			makeRoom(c.sales)
			c.sales[id] = cached[*domain.Sale]{sale, began}
			c.mu.Unlock()
		}
		return sale, err
	})
	if err != nil && ok && domain.CodeOf(err) != domain.CodeNotFound {
		c.keepSale(id, entry.value) // the database is down: don't ask it for every request
		return entry.value, nil
	}
	return sale, err
}

// saleInMemory is Sale if that costs nothing; nil if the database must be asked.
func (c *Catalog) saleInMemory(id string) *domain.Sale {
	c.mu.Lock()
	entry, ok := c.sales[id]
	c.mu.Unlock()
	if !ok || c.now().Sub(entry.at) >= saleTTL {
		return nil
	}
	return entry.value
}

// cellOf is the cell of a sale, which never changes; the default one's if the sale is not in memory.
func (c *Catalog) cellOf(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.sales[id]; ok {
		return entry.value.Cell
	}
	return ""
}

// keepSale keeps a previously read sale for another saleTTL, unless something newer came
// meanwhile.
func (c *Catalog) keepSale(id string, old *domain.Sale) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry, ok := c.sales[id]; ok && entry.value == old {
		c.sales[id] = cached[*domain.Sale]{old, c.now()}
	}
}

// Sales lists the sales on offer.
func (c *Catalog) Sales(ctx context.Context) ([]*domain.Sale, error) {
	list, _, err := c.listed(ctx)
	return list, err
}

// isListed reports whether a sale with that id is on offer.
func (c *Catalog) isListed(ctx context.Context, id string) (bool, error) {
	_, ids, err := c.listed(ctx)
	return ids[id], err
}

// A saleList is one reading of the sales on offer.
type saleList struct {
	sales cached[[]*domain.Sale]
	ids   map[string]bool
}

func (c *Catalog) listed(ctx context.Context) ([]*domain.Sale, map[string]bool, error) {
	c.mu.Lock()
	list := saleList{c.list, c.ids}
	c.mu.Unlock()
	for c.now().Sub(list.sales.at) >= salesTTL || list.sales.at.Before(c.newest()) {
		// A read that was under way when a sale was made here lacks that sale; the next
		// one does not.
		var err error
		if list, err = flight.Share(ctx, &c.flights, "sales", stockTimeout, c.readSales); err != nil {
			return nil, nil, err
		}
		if !list.sales.at.Before(c.newest()) {
			break
		}
	}
	return list.sales.value, list.ids, nil
}

func (c *Catalog) newest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}

func (c *Catalog) readSales(ctx context.Context) (saleList, error) {
	list := saleList{sales: cached[[]*domain.Sale]{at: c.now()}}
	var err error
	if list.sales.value, err = c.store.Sales(ctx); err != nil {
		return saleList{}, err
	}
	list.ids = make(map[string]bool, len(list.sales.value))
	for _, sale := range list.sales.value {
		list.ids[sale.ID] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.ids = list.sales, list.ids
	return list, nil
}

// Stock returns the level of every class and of the perk, at most StockMaxAge old. It
// fails with an *Error with CodeOverloaded if the ledger does not answer.
func (c *Catalog) Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	oldest := c.now().Add(-StockMaxAge)
	c.mu.Lock()
	entry, ok := c.stock[sale.ID]
	c.mu.Unlock()
	for !ok || !entry.at.After(oldest) {
		// A read that was under way when we came may be too old for us; the next one is
		// not.
		var err error
		if entry, err = flight.Share(ctx, &c.flights, "stock/"+sale.ID, stockTimeout, func(ctx context.Context) (cached[[]domain.StockLevel], error) {
			return c.readStock(ctx, sale)
		}); err != nil {
			return nil, &domain.Error{Code: domain.CodeOverloaded, Detail: "The stock cannot be read right now. Try again in a moment.", Err: err}
		}
		ok = true
	}
	return entry.value, nil
}

// readStock asks the ledger, and keeps its answer for those who ask for the stock.
func (c *Catalog) readStock(ctx context.Context, sale *domain.Sale) (cached[[]domain.StockLevel], error) {
	entry := cached[[]domain.StockLevel]{at: c.now()}
	var err error
	if entry.value, err = c.books.Stock(ctx, sale); err == nil {
		c.mu.Lock()
		makeRoom(c.stock)
		c.stock[sale.ID] = entry
		c.mu.Unlock()
	}
	return entry, err
}

// Forget makes a sale that was just created or changed visible here at once.
func (c *Catalog) Forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list, c.since = cached[[]*domain.Sale]{}, c.now()
	delete(c.sales, id)
	delete(c.stock, id)
}

// makeRoom limits a cache. Any entry may go: it is only read again.
func makeRoom[T any](m map[string]cached[T]) {
	for key := range m {
		if len(m) < salesCachedMax {
			return
		}
		delete(m, key)
	}
}

// heldRetryAfter is when it makes sense to ask again while others hold tickets: holds
// last minutes, and many ask for a sold-out sale.
const heldRetryAfter = 5 * time.Second

// soldOut tells "all held, some may come back" from "sold out for good". Held counts the
// classes that are short, or all of the order's if none is short now: the ledger
// refused a moment ago.
func soldOut(lines []domain.Line, levels []domain.StockLevel) *domain.Error {
	var short []domain.StockLevel
	var asked []domain.StockLevel
	for _, line := range lines {
		level, ok := domain.LevelOf(levels, line.Ledger)
		if !ok {
			continue
		}
		asked = append(asked, level)
		if level.Available < line.Quantity {
			short = append(short, level)
		}
	}
	if len(short) == 0 {
		short = asked
	}
	refusal := &domain.Error{Code: domain.CodeSoldOut}
	var left int64
	for _, level := range short {
		refusal.Held += level.Held
		left += max(level.Available, 0)
	}
	switch {
	case refusal.Held > 0:
		refusal.RetryAfter = heldRetryAfter
		refusal.Detail = fmt.Sprintf("Not enough tickets are left, but other buyers hold %d that may come back. A new try takes a new Idempotency-Key.", refusal.Held)
	case left > 0:
		refusal.Detail = fmt.Sprintf("Only %d of these tickets are left.", left)
	default:
		refusal.Detail = "All tickets are sold."
	}
	return refusal
}
