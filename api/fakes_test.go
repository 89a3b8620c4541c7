package api

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/restore"
)

// world is everything behind the interfaces of seams.go, in memory: one stock
// that cannot be oversold, orders, refunds. Errors can be set per method.
type world struct {
	mu      sync.Mutex
	keys    *domain.Keyring
	sales   map[string]*domain.Sale
	opened  map[string]bool
	stock   map[uint32]*domain.StockLevel
	states  map[domain.OrderID]*domain.CheckoutState
	sold    map[domain.OrderID]*domain.SoldOrder
	refunds map[domain.OrderID][]domain.Refund
	cancels map[string]*domain.SaleCancellation

	startErr, stateErr, payErr, refundErr, stockErr, saleErr, knownErr, orderErr, cancelErr, takingsErr error

	limitReached                  bool          // of the buyer of every new order
	checkoutOpen                  bool          // is what the limit is about
	startBlock                    chan struct{} // Start waits until it is closed
	starts, stockReads, saleReads int
	listReads                     int // of all sales
	lookups, takingsReads         int
	takings                       []domain.Taking // oldest first
	takingsPageMax                int             // 0: no bound
}

func newWorld(keys *domain.Keyring) *world {
	return &world{
		keys: keys, sales: map[string]*domain.Sale{}, opened: map[string]bool{}, stock: map[uint32]*domain.StockLevel{},
		states: map[domain.OrderID]*domain.CheckoutState{}, sold: map[domain.OrderID]*domain.SoldOrder{},
		refunds: map[domain.OrderID][]domain.Refund{}, cancels: map[string]*domain.SaleCancellation{},
	}
}

func (w *world) addSale(sale *domain.Sale) *domain.Sale {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range sale.Classes {
		c := &sale.Classes[i]
		c.Ledger = uint32(len(w.stock) + 1)
		w.stock[c.Ledger] = &domain.StockLevel{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity}
	}
	if p := sale.Perk; p != nil {
		p.Ledger = uint32(len(w.stock) + 1)
		w.stock[p.Ledger] = &domain.StockLevel{Name: p.Name, Ledger: p.Ledger, Capacity: p.Capacity, Available: p.Capacity}
	}
	w.sales[sale.ID] = sale
	return sale
}

func (w *world) setStock(ledger uint32, held, sold int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.stock[ledger]
	l.Held, l.Sold, l.Available = held, sold, l.Capacity-held-sold
}

// ---- Orders

func (w *world) Sale(_ context.Context, id string) (*domain.Sale, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saleReads++
	if w.saleErr != nil {
		return nil, w.saleErr
	}
	sale, ok := w.sales[id]
	if !ok || !w.opened[id] {
		return nil, domain.NotFound("sale")
	}
	return sale, nil
}

func (w *world) Sales(context.Context) ([]*domain.Sale, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listReads++
	if w.saleErr != nil {
		return nil, w.saleErr
	}
	var sales []*domain.Sale
	for id, sale := range w.sales {
		if w.opened[id] {
			sales = append(sales, sale)
		}
	}
	slices.SortFunc(sales, func(a, b *domain.Sale) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return sales, nil
}

func (w *world) CreateSale(_ context.Context, sale *domain.Sale) (*domain.Sale, error) {
	w.mu.Lock()
	stored, ok := w.sales[sale.ID]
	w.mu.Unlock()
	switch {
	case ok && stored.Name == sale.Name:
		return stored, nil
	case ok:
		return nil, &domain.Error{Code: domain.CodeExists, Detail: "A sale of this id exists and differs."}
	}
	return w.addSale(sale), nil
}

func (w *world) MarkSaleOpen(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[id] = true
	return nil
}

func (w *world) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.orderErr != nil {
		return domain.SoldOrder{}, w.orderErr
	}
	if o, ok := w.sold[id]; ok {
		return *o, nil
	}
	return domain.SoldOrder{}, domain.NotFound("order")
}

func (w *world) RefundsOfOrder(_ context.Context, id domain.OrderID) ([]domain.Refund, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refunds[id], nil
}

func (w *world) FindOrders(_ context.Context, f domain.OrderFilter) ([]domain.SoldOrder, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var orders []domain.SoldOrder
	for _, o := range w.sold {
		hasTicket := func(t domain.Ticket) bool { return t.Code == f.TicketCode }
		if (f.SaleID == "" || o.SaleID == f.SaleID) && o.ID.String() > f.After.String() && (f.Email == "" || o.Email == f.Email) &&
			(f.Status == "" || o.Status == f.Status) && (f.TicketCode == "" || slices.ContainsFunc(o.Tickets, hasTicket)) {
			orders = append(orders, *o)
		}
	}
	slices.SortFunc(orders, func(a, b domain.SoldOrder) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return orders[:min(len(orders), f.Limit)], nil
}

// ---- Books

func (w *world) OpenSale(context.Context, *domain.Sale) error { return nil }

func (w *world) Stock(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stockReads++
	if w.stockErr != nil {
		return nil, w.stockErr
	}
	var levels []domain.StockLevel
	for _, c := range sale.Classes {
		levels = append(levels, *w.stock[c.Ledger])
	}
	if sale.Perk != nil {
		levels = append(levels, *w.stock[sale.Perk.Ledger])
	}
	return levels, nil
}

// Known is true of what was ever held, and of what was over the limit.
func (w *world) Known(_ context.Context, o *domain.Order) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	state, ok := w.states[o.ID]
	return ok && state.Hold.Outcome != domain.HoldSoldOut, w.knownErr
}

// Takings has the number of the next taking for a cursor.
func (w *world) Takings(_ context.Context, _ *domain.Sale, from domain.TakingsCursor) (domain.TakingsPage, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takingsReads++
	if w.takingsErr != nil {
		return domain.TakingsPage{}, w.takingsErr
	}
	end := len(w.takings)
	if w.takingsPageMax > 0 {
		end = min(end, int(from)+w.takingsPageMax)
	}
	return domain.TakingsPage{
		Takings: slices.Clone(w.takings[from:end]), Next: domain.TakingsCursor(end), More: w.takingsPageMax > 0 && end-int(from) == w.takingsPageMax,
	}, nil
}

// ---- Desk

func (w *world) Start(ctx context.Context, o domain.Order) (domain.HoldAnswer, error) {
	w.mu.Lock()
	w.starts++
	block := w.startBlock
	w.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return domain.HoldAnswer{}, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.startErr != nil {
		return domain.HoldAnswer{}, w.startErr
	}
	if state, ok := w.states[o.ID]; ok {
		if state.Fingerprint != o.Fingerprint {
			return domain.HoldAnswer{}, &domain.Error{Code: domain.CodeKeyReused}
		}
		return domain.HoldAnswer{Hold: state.Hold, Replayed: true}, nil
	}
	state := &domain.CheckoutState{
		Order: o.ID, SaleID: o.SaleID, Status: domain.OrderHeld, Lines: o.Lines,
		AmountMinor: o.AmountMinor, Currency: o.Currency, Fingerprint: o.Fingerprint, Metadata: o.Metadata,
	}
	w.states[o.ID] = state
	if w.limitReached {
		state.Status, state.Hold = domain.OrderLimitReached, domain.Hold{Outcome: domain.HoldLimitReached, CheckoutOpen: w.checkoutOpen}
		return domain.HoldAnswer{Hold: state.Hold}, nil
	}
	for _, l := range o.Lines {
		if w.stock[l.Ledger].Available < l.Quantity {
			state.Status, state.Hold.Outcome = domain.OrderSoldOut, domain.HoldSoldOut
			return domain.HoldAnswer{Hold: state.Hold}, nil
		}
	}
	for _, l := range o.Lines {
		w.stock[l.Ledger].Available -= l.Quantity
		w.stock[l.Ledger].Held += l.Quantity
	}
	w.takings = append(w.takings, domain.Taking{Order: o.ID, Buyer: o.Buyer, Quantity: o.Quantity()})
	now := time.Now().UTC().Truncate(time.Millisecond)
	state.Hold = domain.Hold{Outcome: domain.HoldHeld, HeldAt: now, ExpiresAt: now.Add(o.HoldTimeout)}
	return domain.HoldAnswer{Hold: state.Hold}, nil
}

func (w *world) State(_ context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stateErr != nil {
		return domain.CheckoutState{}, w.stateErr
	}
	if s, ok := w.states[id]; ok {
		return *s, nil
	}
	return domain.CheckoutState{}, domain.NotFound("order")
}

func (w *world) Cancel(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.states[id]
	switch {
	case !ok:
		return "", domain.NotFound("order")
	case s.Status == domain.OrderPaid:
		return "", &domain.Error{Code: domain.CodeAlreadyPaid}
	case s.Status == domain.OrderHeld:
		s.Status = domain.OrderCanceled
		for _, l := range s.Lines {
			w.stock[l.Ledger].Available += l.Quantity
			w.stock[l.Ledger].Held -= l.Quantity
		}
	}
	return s.Status, nil
}

func (w *world) Pay(_ context.Context, e domain.PaymentEvent) (domain.PayResult, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.payErr != nil {
		return domain.PayResult{}, w.payErr
	}
	s, ok := w.states[e.Order]
	if !ok {
		return domain.PayResult{}, domain.NotFound("order")
	}
	if e.Type == domain.PaymentSucceeded {
		w.pay(s)
	}
	return domain.PayResult{Status: s.Status, Settled: e.ID != "evt_slow"}, nil
}

func (w *world) pay(s *domain.CheckoutState) {
	s.Status, s.PerkTaken = domain.OrderPaid, true
	o := &domain.SoldOrder{
		ID: s.Order, SaleID: s.SaleID, SaleName: w.sales[s.SaleID].Name, Status: domain.OrderPaid, Lines: s.Lines,
		AmountMinor: s.AmountMinor, Currency: s.Currency, Email: "buyer@example.com",
		Metadata: s.Metadata, Capture: domain.Capture{Payment: "pay_1"}, PerkTaken: true, PaidAt: time.Now(),
	}
	if p := w.sales[s.SaleID].Perk; p != nil {
		o.Perk = &domain.PerkRef{Name: p.Name, Ledger: p.Ledger}
		w.stock[p.Ledger].Sold++
		w.stock[p.Ledger].Available--
	}
	for _, l := range s.Lines {
		w.stock[l.Ledger].Held -= l.Quantity
		w.stock[l.Ledger].Sold += l.Quantity
		for range l.Quantity {
			n := len(o.Tickets) + 1
			o.Tickets = append(o.Tickets, domain.Ticket{Number: n, Class: l.Class, Code: w.keys.TicketCode(s.Order, n)})
		}
	}
	w.sold[s.Order] = o
}

func (w *world) Refund(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refundErr != nil {
		return "", w.refundErr
	}
	o, ok := w.sold[id]
	if !ok {
		return "", domain.NotFound("order")
	}
	o.Status = domain.OrderRefunding
	return o.Status, nil
}

func (w *world) CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	status, err := w.Cancel(ctx, id)
	if domain.CodeOf(err) == domain.CodeAlreadyPaid {
		return w.Refund(ctx, id)
	}
	return status, err
}

func (w *world) CancelSale(_ context.Context, saleID string, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancelErr != nil {
		return w.cancelErr
	}
	if w.cancels[saleID] == nil {
		w.cancels[saleID] = &domain.SaleCancellation{SaleID: saleID, RequestedAt: at, Stage: domain.CancelReleasing}
		canceled := *w.sales[saleID] // others may be reading the old one
		canceled.CanceledAt = at
		w.sales[saleID] = &canceled
	}
	return nil
}

func (w *world) Cancellation(_ context.Context, saleID string) (domain.SaleCancellation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.cancels[saleID]; c != nil {
		return *c, nil
	}
	return domain.SaleCancellation{}, domain.NotFound("cancellation")
}

// ---- Providers, Auditor

func (w *world) Has(provider string) bool {
	return provider == domain.DefaultProvider || provider == "other"
}
func (w *world) Default() string { return domain.DefaultProvider }
func (w *world) Names() []string { return []string{domain.DefaultProvider, "other"} }

func (w *world) OpenPayment(_ context.Context, id domain.OrderID, _ domain.PayWish) (domain.PayPage, error) {
	return domain.PayPage{Session: "other/s1", URL: "https://other.example/" + id.String()}, nil
}

// Event stands for the real signature: one header that must be right.
func (w *world) Event(_ context.Context, provider string, h http.Header, body []byte) (domain.PaymentEvent, error) {
	if !w.Has(provider) {
		return domain.PaymentEvent{}, domain.NotFound("payment provider")
	}
	switch h.Get("Webhook-Signature") {
	case "good":
	case "good but garbled":
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event is not JSON."}
	default:
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeForged, Err: errors.New("no signature matches")}
	}
	id, err := domain.ParseOrderID(string(body))
	if err != nil {
		return domain.PaymentEvent{}, &domain.Error{Code: domain.CodeInvalid, Detail: "The event names no order."}
	}
	return domain.PaymentEvent{ID: h.Get("Webhook-Id"), Type: domain.PaymentSucceeded, Order: id}, nil
}

func (w *world) Audit(_ context.Context, saleID string) (audit.Report, error) {
	return audit.Report{SaleID: saleID, Verdict: audit.OK, Looks: 1, Results: []audit.Result{}}, nil
}

func (w *world) Restore(_ context.Context, saleID string, apply bool) (restore.Report, error) {
	return restore.Report{SaleID: saleID, Applied: apply, Counts: map[restore.Outcome]int{}, Items: []restore.Item{}}, nil
}
