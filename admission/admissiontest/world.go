// Package admissiontest gives tests what is behind admission: sales, their stock and
// their checkouts, in memory.
package admissiontest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"boxoffice/domain"
)

// A World is one stock that cannot be oversold, with the checkouts that hold some of it.
// It is an admission.Desk, a catalog's store and the books, but has no payments. Read and
// set its fields under Mu. If an error is set, the method returns it.
type World struct {
	Mu        sync.Mutex
	Keys      *domain.Keyring
	SalesByID map[string]*domain.Sale
	Opened    map[string]bool // by sale: it is on offer
	Levels    map[uint32]*domain.StockLevel
	States    map[domain.OrderID]*domain.CheckoutState

	StartErr, StateErr, StockErr, SaleErr, KnownErr, TakingsErr error

	LimitReached                  bool          // of the buyer of every new order
	CheckoutOpen                  bool          // the limit is about open checkouts
	StartBlock                    chan struct{} // Start waits until it is closed
	Starts, StockReads, SaleReads int
	ListReads                     int // of all sales
	Lookups, TakingsReads         int
	Taken                         []domain.Taking // oldest first
	TakingsPageMax                int             // 0: no limit

	Codes    map[domain.ClassCodeID]domain.ClassCode // for hidden classes
	CodeErr  error
	CodeUsed bool // the limit of LimitReached is that of the order's code
}

// NewWorld has no sales yet.
func NewWorld(keys *domain.Keyring) *World {
	return &World{
		Keys: keys, SalesByID: map[string]*domain.Sale{}, Opened: map[string]bool{}, Levels: map[uint32]*domain.StockLevel{},
		States: map[domain.OrderID]*domain.CheckoutState{},
	}
}

// AddSale numbers the sale's stocks and keeps it. It is on offer once Opened says so.
func (w *World) AddSale(sale *domain.Sale) *domain.Sale {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for i := range sale.Classes {
		c := &sale.Classes[i]
		c.Ledger = uint32(len(w.Levels) + 1)
		w.Levels[c.Ledger] = &domain.StockLevel{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity}
	}
	if p := sale.Perk; p != nil {
		p.Ledger = uint32(len(w.Levels) + 1)
		w.Levels[p.Ledger] = &domain.StockLevel{Name: p.Name, Ledger: p.Ledger, Capacity: p.Capacity, Available: p.Capacity}
	}
	sale.Version = 1
	w.SalesByID[sale.ID] = sale
	return sale
}

// SetStock says how the stock of a ledger stands.
func (w *World) SetStock(ledger uint32, held, sold int64) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	l := w.Levels[ledger]
	l.Held, l.Sold, l.Available = held, sold, l.Capacity-held-sold
}

// Sale finds a sale that is on offer.
func (w *World) Sale(_ context.Context, id string) (*domain.Sale, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.SaleReads++
	if w.SaleErr != nil {
		return nil, w.SaleErr
	}
	sale, ok := w.SalesByID[id]
	if !ok || !w.Opened[id] {
		return nil, domain.NotFound("sale")
	}
	return sale, nil
}

// Sales lists the sales on offer, newest first.
func (w *World) Sales(context.Context) ([]*domain.Sale, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.ListReads++
	if w.SaleErr != nil {
		return nil, w.SaleErr
	}
	var sales []*domain.Sale
	for id, sale := range w.SalesByID {
		if w.Opened[id] {
			sales = append(sales, sale)
		}
	}
	slices.SortFunc(sales, func(a, b *domain.Sale) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return sales, nil
}

// Stock reads the levels of a sale's classes, and of its perk last.
func (w *World) Stock(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.StockReads++
	if w.StockErr != nil {
		return nil, w.StockErr
	}
	var levels []domain.StockLevel
	for _, c := range sale.Classes {
		levels = append(levels, *w.Levels[c.Ledger])
	}
	if sale.Perk != nil {
		levels = append(levels, *w.Levels[sale.Perk.Ledger])
	}
	return levels, nil
}

// Known is true for what was ever held, and for what was over the limit.
func (w *World) Known(_ context.Context, o *domain.Order) (bool, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.Lookups++
	state, ok := w.States[o.ID]
	return ok && state.Hold.Outcome != domain.HoldSoldOut, w.KnownErr
}

// ClassCode finds a code.
func (w *World) ClassCode(_ context.Context, _ *domain.Sale, id domain.ClassCodeID) (domain.ClassCode, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	code, ok := w.Codes[id]
	if !ok && w.CodeErr == nil {
		return code, &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	return code, w.CodeErr
}

// Takings uses the number of the next taking as its cursor.
func (w *World) Takings(_ context.Context, _ *domain.Sale, from domain.TakingsCursor) (domain.TakingsPage, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.TakingsReads++
	if w.TakingsErr != nil {
		return domain.TakingsPage{}, w.TakingsErr
	}
	end := len(w.Taken)
	if w.TakingsPageMax > 0 {
		end = min(end, int(from)+w.TakingsPageMax)
	}
	return domain.TakingsPage{
		Takings: slices.Clone(w.Taken[from:end]), Next: domain.TakingsCursor(end), More: w.TakingsPageMax > 0 && end-int(from) == w.TakingsPageMax,
	}, nil
}

// Start holds what is available, once for each order.
func (w *World) Start(ctx context.Context, o domain.Order) (domain.HoldAnswer, error) {
	w.Mu.Lock()
	w.Starts++
	block := w.StartBlock
	w.Mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return domain.HoldAnswer{}, ctx.Err()
		}
	}
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.StartErr != nil {
		return domain.HoldAnswer{}, w.StartErr
	}
	if state, ok := w.States[o.ID]; ok {
		if state.Fingerprint != o.Fingerprint {
			return domain.HoldAnswer{}, &domain.Error{Code: domain.CodeKeyReused}
		}
		return domain.HoldAnswer{Hold: state.Hold, Replayed: true}, nil
	}
	state := &domain.CheckoutState{
		Order: o.ID, SaleID: o.SaleID, Status: domain.OrderHeld, Lines: o.Lines,
		AmountMinor: o.AmountMinor, Currency: o.Currency, Provider: o.Provider, Fingerprint: o.Fingerprint, Metadata: o.Metadata,
	}
	w.States[o.ID] = state
	if w.LimitReached {
		state.Status, state.Hold = domain.OrderLimitReached, domain.Hold{Outcome: domain.HoldLimitReached, CheckoutOpen: w.CheckoutOpen, CodeUsed: w.CodeUsed}
		return domain.HoldAnswer{Hold: state.Hold}, nil
	}
	for _, l := range o.Lines {
		if w.Levels[l.Ledger].Available < l.Quantity {
			state.Status, state.Hold.Outcome = domain.OrderSoldOut, domain.HoldSoldOut
			return domain.HoldAnswer{Hold: state.Hold}, nil
		}
	}
	for _, l := range o.Lines {
		w.Levels[l.Ledger].Available -= l.Quantity
		w.Levels[l.Ledger].Held += l.Quantity
	}
	w.Taken = append(w.Taken, domain.Taking{Order: o.ID, Buyer: o.Buyer, Quantity: o.Quantity()})
	now := time.Now().UTC().Truncate(time.Millisecond)
	state.Hold = domain.Hold{Outcome: domain.HoldHeld, HeldAt: now, ExpiresAt: now.Add(o.HoldTimeout)}
	return domain.HoldAnswer{Hold: state.Hold}, nil
}

// State is the state of a started order.
func (w *World) State(_ context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.StateErr != nil {
		return domain.CheckoutState{}, w.StateErr
	}
	if s, ok := w.States[id]; ok {
		return *s, nil
	}
	return domain.CheckoutState{}, domain.NotFound("order")
}

// GiveUp gives an order's seats back.
func (w *World) GiveUp(id domain.OrderID) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	s, ok := w.States[id]
	if !ok || s.Status != domain.OrderHeld {
		return
	}
	s.Status = domain.OrderCanceled
	for _, l := range s.Lines {
		w.Levels[l.Ledger].Available += l.Quantity
		w.Levels[l.Ledger].Held -= l.Quantity
	}
}

// CallOff cancels the sale as an organiser does; catalogs learn of it later. The caller
// has Mu.
func (w *World) CallOff(id string, at time.Time) {
	canceled := *w.SalesByID[id] // others may be reading the old one
	canceled.CanceledAt = at
	w.SalesByID[id] = &canceled
}
