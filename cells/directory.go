package cells

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/domain"
	"boxoffice/flight"
)

const (
	// lookTimeout limits one look into the ledger or the database.
	lookTimeout = 2 * time.Second
	// readFlight names the reading of the sales.
	readFlight = "sales"
	// ordersRememberedMax limits the orders whose cell is in memory: about 150 bytes each.
	ordersRememberedMax = 50_000
)

// Sales lists the sales.
type Sales interface {
	Sales(ctx context.Context) ([]*domain.Sale, error)
}

// Orders has the record of what was sold.
type Orders interface {
	// Order fails with CodeNotFound for an order that was never sold.
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
}

// Ledger knows every order that ever held or bought something.
type Ledger interface {
	// Placed says in which stock's ledger. An order that never did is missing.
	Placed(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]uint32, error)
}

// A Directory finds the cell of a sale or of an order. What it finds never changes, so it keeps it in
// memory. It is safe for concurrent use.
type Directory struct {
	sales  Sales
	orders Orders
	ledger Ledger

	flights    flight.Group
	remembered *lru.Cache[domain.OrderID, string]

	mu       sync.RWMutex
	bySale   map[string]string
	byLedger map[uint32]string // of the classes' stocks
}

// NewDirectory has nothing in memory yet.
func NewDirectory(sales Sales, orders Orders, ledger Ledger) *Directory {
	remembered, err := lru.New[domain.OrderID, string](ordersRememberedMax)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Directory{
		sales: sales, orders: orders, ledger: ledger, remembered: remembered,
		bySale: make(map[string]string), byLedger: make(map[uint32]string),
	}
}

// OfSale finds a sale's cell. It asks the database only for a sale that it has not seen. The error is
// a *domain.Error with CodeNotFound, or a *domain.UnknownError.
func (d *Directory) OfSale(ctx context.Context, saleID string) (string, error) {
	cell, known, err := find(ctx, d, d.bySale, saleID)
	switch {
	case err != nil:
		return "", &domain.UnknownError{Op: "find the cell of sale", ID: saleID, Err: err}
	case !known:
		return "", domain.NotFound("sale")
	}
	return cell, nil
}

// OfOrder finds an order's cell: from memory, or from the ledger, or from the order's record. Not
// known: it never held anything, or the parts that know did not answer; then the error says so.
func (d *Directory) OfOrder(ctx context.Context, order domain.OrderID) (cell string, known bool, err error) {
	if cell, ok := d.remembered.Get(order); ok {
		return cell, true, nil
	}
	cell, known, fromLedger := d.byBooks(ctx, order)
	if known {
		d.Learn(order, cell)
		return cell, true, nil
	}
	cell, known, fromRecord := d.byRecord(ctx, order)
	if known {
		d.Learn(order, cell)
		return cell, true, nil
	}
	return "", false, errors.Join(fromLedger, fromRecord)
}

// Learn keeps in memory where an order's workflow was started.
func (d *Directory) Learn(order domain.OrderID, cell string) { d.remembered.Add(order, cell) }

// byBooks needs no database for a sale that was seen before.
func (d *Directory) byBooks(ctx context.Context, order domain.OrderID) (cell string, known bool, err error) {
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	placed, err := d.ledger.Placed(asking, []domain.OrderID{order})
	number, found := placed[order]
	if err != nil || !found {
		return "", false, err
	}
	cell, known, err = find(ctx, d, d.byLedger, number)
	if err == nil && !known {
		err = fmt.Errorf("order %s is in ledger %d, which is no sale's", order, number)
	}
	return cell, known, err
}

func (d *Directory) byRecord(ctx context.Context, order domain.OrderID) (cell string, known bool, err error) {
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	sold, err := d.orders.Order(asking, order)
	switch {
	case err != nil && domain.CodeOf(err) == domain.CodeNotFound:
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	cell, err = d.OfSale(ctx, sold.SaleID)
	return cell, err == nil, err
}

// read takes the sales from the database. Whoever needs them at the same time shares one reading.
func (d *Directory) read(ctx context.Context) error {
	_, err := flight.Share(ctx, &d.flights, readFlight, lookTimeout, func(ctx context.Context) (struct{}, error) {
		sales, err := d.sales.Sales(ctx)
		if err != nil {
			return struct{}{}, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, sale := range sales {
			d.bySale[sale.ID] = sale.Cell
			for _, class := range sale.Classes {
				d.byLedger[class.Ledger] = sale.Cell
			}
		}
		return struct{}{}, nil
	})
	return err
}

// find looks into memory, and into the database for what is not there. A reading that was under way
// before may lack a new sale; the next one does not.
func find[K comparable](ctx context.Context, d *Directory, cells map[K]string, key K) (cell string, known bool, err error) {
	for attempt := 0; ; attempt++ {
		d.mu.RLock()
		cell, known = cells[key]
		d.mu.RUnlock()
		if known || attempt == 2 {
			return cell, known, nil
		}
		if attempt == 1 {
			d.flights.Forget(readFlight)
		}
		if err := d.read(ctx); err != nil {
			return "", false, err
		}
	}
}
