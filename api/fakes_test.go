package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"boxoffice/admission/admissiontest"
	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/restore"
)

// world is everything behind the interfaces of seams.go, in memory: what admission needs, and orders, refunds and
// payments. Errors can be set per method.
type world struct {
	*admissiontest.World
	sold    map[domain.OrderID]*domain.SoldOrder
	refunds map[domain.OrderID][]domain.Refund
	cancels map[string]*domain.SaleCancellation
	images  map[string][]byte

	reversals map[domain.OrderID][]domain.Reversal
	waits     map[string]time.Duration // of a provider that takes no more requests

	imageReads int

	sessions      map[string]payments.Session // at the provider
	sessionsAsked int
	paySlow       bool // events are only stored

	payErr, refundErr, orderErr, cancelErr, sessionErr error

	noted, revoked []domain.ClassCodeID // of codes
}

func newWorld(keys *domain.Keyring) *world {
	return &world{
		World: admissiontest.NewWorld(keys), sold: map[domain.OrderID]*domain.SoldOrder{},
		refunds: map[domain.OrderID][]domain.Refund{}, cancels: map[string]*domain.SaleCancellation{}, images: map[string][]byte{},
		sessions: map[string]payments.Session{},
	}
}

// ---- Orders

func (w *world) CreateSale(_ context.Context, sale *domain.Sale) (*domain.Sale, error) {
	w.Mu.Lock()
	stored, ok := w.SalesByID[sale.ID]
	w.Mu.Unlock()
	switch {
	case ok && stored.Name == sale.Name:
		return stored, nil
	case ok:
		return nil, &domain.Error{Code: domain.CodeExists, Detail: "A sale of this id exists and differs."}
	}
	return w.AddSale(sale), nil
}

// ChangeSale does what orders.Store does, by the same rules of package domain.
func (w *world) ChangeSale(_ context.Context, change domain.SaleChange) (*domain.Sale, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	sale, ok := w.SalesByID[change.Sale]
	if !ok {
		return nil, domain.NotFound("sale")
	}
	changed, after := *sale, sale.Editable()
	if err := change.Edit(&after); err != nil {
		return nil, err
	}
	if after.Equal(sale.Editable()) {
		return sale, nil
	}
	if !change.Permits(sale.Version) {
		return nil, &domain.Error{Code: domain.CodeChanged}
	}
	if err := sale.MayBecome(after, time.Now()); err != nil {
		return nil, err
	}
	changed.Edit(after)
	if err := changed.ValidateEditable(); err != nil {
		return nil, err
	}
	changed.Version++
	if change.Image != nil {
		w.images[change.Sale] = change.Image
	}
	w.SalesByID[change.Sale] = &changed
	return &changed, nil
}

func (w *world) SaleImage(_ context.Context, sale, _ string) ([]byte, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.imageReads++
	return w.images[sale], nil
}

func (w *world) MarkSaleOpen(_ context.Context, id string) error {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.Opened[id] = true
	return nil
}

func (w *world) Change(_ context.Context, saleID, class, key string, capacity int64) (domain.CapacityChange, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	sale := *w.SalesByID[saleID]
	sale.Classes = slices.Clone(sale.Classes)
	i := slices.IndexFunc(sale.Classes, func(c domain.Class) bool { return c.Name == class })
	if i < 0 {
		return domain.CapacityChange{}, domain.NotFound("class of this sale")
	}
	level := w.Levels[sale.Classes[i].Ledger]
	by := capacity - sale.Classes[i].Capacity
	if level.Available+by < 0 {
		return domain.CapacityChange{}, &domain.Error{Code: domain.CodeCapacityInUse}
	}
	change := domain.CapacityChange{ID: domain.NewCapacityChangeID(saleID, key), Class: class, Before: sale.Classes[i].Capacity, After: capacity, SettledAt: time.Now()}
	level.Available += by
	sale.Classes[i].Capacity = capacity
	w.SalesByID[saleID] = &sale
	return change, nil
}

func (w *world) EndSale(_ context.Context, id string) error { return w.turn(id, time.Now()) }

func (w *world) ReopenSale(_ context.Context, id string) error { return w.turn(id, time.Time{}) }

func (w *world) turn(id string, endedAt time.Time) error {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	sale, ok := w.SalesByID[id]
	switch {
	case !ok || !w.Opened[id]:
		return domain.NotFound("sale")
	case sale.Canceled():
		return &domain.Error{Code: domain.CodeSaleCanceled}
	}
	turned := *sale
	turned.EndedAt = endedAt
	w.SalesByID[id] = &turned
	return nil
}

func (w *world) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.orderErr != nil {
		return domain.SoldOrder{}, w.orderErr
	}
	if o, ok := w.sold[id]; ok {
		return *o, nil
	}
	return domain.SoldOrder{}, domain.NotFound("order")
}

func (w *world) ChangeHolders(_ context.Context, change domain.HoldersChange) (domain.SoldOrder, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	o, ok := w.sold[change.Order]
	if !ok {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	if err := domain.WhyHoldersFixed(w.SalesByID[o.SaleID], o, time.Now()); err != nil {
		return domain.SoldOrder{}, err
	}
	changed := *o
	changed.Tickets = slices.Clone(o.Tickets)
	for _, h := range change.Holders {
		changed.Tickets[h.Ticket-1].Holder = h.Name
	}
	w.sold[change.Order] = &changed
	return changed, nil
}

func (w *world) RefundsOfOrder(_ context.Context, id domain.OrderID) ([]domain.Refund, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	return w.refunds[id], nil
}

func (w *world) ReversalsOf(context.Context, []domain.OrderID) (map[domain.OrderID][]domain.Reversal, error) {
	return w.reversals, nil
}

func (w *world) FindOrders(_ context.Context, f domain.OrderFilter) ([]domain.SoldOrder, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
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

func (w *world) MakeCodes(_ context.Context, _ *domain.Sale, codes []domain.ClassCodeID, only uint32, uses int64) ([]bool, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.Codes == nil {
		w.Codes = make(map[domain.ClassCodeID]domain.ClassCode)
	}
	isNew := make([]bool, len(codes))
	for i, id := range codes {
		before, there := w.Codes[id]
		if there && (before.Only != only || before.Left != uses) {
			return nil, &domain.Error{Code: domain.CodeExists}
		}
		w.Codes[id], isNew[i] = domain.ClassCode{ID: id, Only: only, Left: uses}, !there
	}
	return isNew, nil
}

func (w *world) NoteClassCodes(_ context.Context, _ string, codes []domain.ClassCodeID, _ uint32, _ int64) error {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.noted = append(w.noted, codes...)
	return nil
}

func (w *world) RevokeCodes(_ context.Context, _ *domain.Sale, codes []domain.ClassCodeID) ([]bool, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	isNew := make([]bool, len(codes))
	for i, id := range codes {
		code, there := w.Codes[id]
		if isNew[i] = there && !code.Revoked; there {
			code.Revoked = true
			w.Codes[id] = code
		}
	}
	return isNew, nil
}

func (w *world) NoteRevokedCodes(_ context.Context, _ string, codes []domain.ClassCodeID) error {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.revoked = append(w.revoked, codes...)
	return nil
}

func (w *world) ClassCodeUses(context.Context, *domain.Sale) (uses domain.ClassCodeUses, err error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for _, code := range w.Codes {
		uses.Codes, uses.Uses, uses.Held = uses.Codes+1, uses.Uses+code.Left+code.Held, uses.Held+code.Held
	}
	return uses, nil
}

// ---- Desk

func (w *world) Cancel(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	w.GiveUp(id)
	w.Mu.Lock()
	defer w.Mu.Unlock()
	s, ok := w.States[id]
	switch {
	case !ok:
		return "", domain.NotFound("order")
	case s.Status == domain.OrderPaid:
		return "", &domain.Error{Code: domain.CodeAlreadyPaid}
	}
	return s.Status, nil
}

func (w *world) Pay(_ context.Context, e domain.PaymentEvent) (domain.PayResult, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.payErr != nil {
		return domain.PayResult{}, w.payErr
	}
	s, ok := w.States[e.Order]
	if !ok {
		return domain.PayResult{}, domain.NotFound("order")
	}
	switch {
	case w.paySlow:
		return domain.PayResult{Status: s.Status}, nil
	case e.Type == domain.PaymentSucceeded:
		w.pay(s)
	case e.Type == domain.PaymentFailed:
		s.Status = domain.OrderFailed
	}
	return domain.PayResult{Status: s.Status, Settled: e.ID != "evt_slow"}, nil
}

func (w *world) pay(s *domain.CheckoutState) {
	s.Status, s.PerkTaken = domain.OrderPaid, true
	o := &domain.SoldOrder{
		ID: s.Order, SaleID: s.SaleID, SaleName: w.SalesByID[s.SaleID].Name, Status: domain.OrderPaid, Lines: s.Lines,
		AmountMinor: s.AmountMinor, Currency: s.Currency, Email: "buyer@example.com",
		Metadata: s.Metadata, Capture: domain.Capture{Payment: "pay_1"}, PerkTaken: true, PaidAt: time.Now(),
	}
	if p := w.SalesByID[s.SaleID].Perk; p != nil {
		o.Perk = &domain.PerkRef{Name: p.Name, Ledger: p.Ledger}
		w.Levels[p.Ledger].Sold++
		w.Levels[p.Ledger].Available--
	}
	for _, l := range s.Lines {
		w.Levels[l.Ledger].Held -= l.Quantity
		w.Levels[l.Ledger].Sold += l.Quantity
		for range l.Quantity {
			n := len(o.Tickets) + 1
			o.Tickets = append(o.Tickets, domain.Ticket{Number: n, Class: l.Class, Code: w.Keys.TicketCode(s.Order, n)})
		}
	}
	w.sold[s.Order] = o
}

func (w *world) Refund(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
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
	w.Mu.Lock()
	defer w.Mu.Unlock()
	if w.cancelErr != nil {
		return w.cancelErr
	}
	if w.cancels[saleID] == nil {
		w.cancels[saleID] = &domain.SaleCancellation{SaleID: saleID, RequestedAt: at, Stage: domain.CancelReleasing}
		w.CallOff(saleID, at)
	}
	return nil
}

func (w *world) Cancellation(_ context.Context, saleID string) (domain.SaleCancellation, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
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

func (w *world) Delays(provider string) bool { return provider == domain.DefaultProvider }

func (w *world) Authorizes(provider string) bool { return provider == domain.DefaultProvider }

func (w *world) OpenPayment(_ context.Context, id domain.OrderID, _ domain.PayWish) (domain.PayPage, error) {
	return domain.PayPage{Session: "other/s1", URL: "https://other.example/" + id.String()}, nil
}

// CheckAmount: the provider "other" takes at most 100,000.
func (w *world) CheckAmount(provider string, minor int64, _ string) error {
	if provider == "other" && minor > 100_000 {
		return domain.Invalid("amount", "is more than it takes")
	}
	return nil
}

func (w *world) Wait(provider string) time.Duration { return w.waits[provider] }

func (w *world) Session(_ context.Context, session string) (payments.Session, error) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.sessionsAsked++
	if w.sessionErr != nil {
		return payments.Session{}, w.sessionErr
	}
	if found, ok := w.sessions[session]; ok {
		return found, nil
	}
	return payments.Session{}, domain.NotFound("session")
}

// Event checks one header in place of a real signature.
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
