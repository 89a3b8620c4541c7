package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
)

const testKey = "0198c0de-0000-7000-8000-000000000001"

// world is everything behind the interfaces of seams.go, in memory: one stock
// that cannot be oversold. Errors can be set per method.
type world struct {
	mu     sync.Mutex
	keys   *domain.Keyring
	sales  map[string]*domain.Sale
	opened map[string]bool
	stock  map[uint32]*domain.StockLevel
	states map[domain.OrderID]*domain.CheckoutState

	startErr, stateErr, stockErr, saleErr, knownErr, takingsErr error

	limitReached                  bool          // of the buyer of every new order
	startBlock                    chan struct{} // Start waits until it is closed
	starts, stockReads, saleReads int
	listReads                     int // of all sales
	lookups, takingsReads         int
	takings                       []domain.Taking // oldest first
	takingsPageMax                int             // 0: no bound
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
	return sales, nil
}

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
		AmountMinor: o.AmountMinor, Currency: o.Currency, Fingerprint: o.Fingerprint,
	}
	w.states[o.ID] = state
	if w.limitReached {
		state.Status, state.Hold = domain.OrderLimitReached, domain.Hold{Outcome: domain.HoldLimitReached}
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

// Pay knows no order.
func (w *world) Pay(context.Context, domain.PaymentEvent) (domain.PayResult, error) {
	return domain.PayResult{}, domain.NotFound("order")
}

// cancel gives an order's seats back.
func (w *world) cancel(id domain.OrderID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.states[id]
	if !ok || s.Status != domain.OrderHeld {
		return
	}
	s.Status = domain.OrderCanceled
	for _, l := range s.Lines {
		w.stock[l.Ledger].Available += l.Quantity
		w.stock[l.Ledger].Held -= l.Quantity
	}
}

// cancelSale is what the organiser does, of which catalogs hear later.
func (w *world) cancelSale(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	canceled := *w.sales[id] // others may be reading the old one
	canceled.CanceledAt = time.Now()
	w.sales[id] = &canceled
}

// rooms admit every token that they gave out.
type rooms struct {
	mu   sync.Mutex
	keys map[string]string
}

// admitted is a token of one who may check out.
func (r *rooms) admitted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.keys)
	token := fmt.Sprintf("token-%d", n)
	r.keys[token] = fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n)
	return token
}

func (r *rooms) Enter(_ context.Context, _ *domain.Sale, token string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key, ok := r.keys[token]; ok {
		return key, nil
	}
	return "", &domain.Error{Code: domain.CodeQueueRequired}
}

// bundle is one Admission over one world, with a sale of classes A and B on offer, and one, "rush", with
// a waiting room.
type bundle struct {
	t     testing.TB
	world *world
	sale  *domain.Sale
	adm   *Admission
}

func setup(t testing.TB, change ...func(*Options)) *bundle {
	t.Helper()
	keys, err := domain.NewKeyring(bytes.Repeat([]byte{7}, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		keys: keys, sales: map[string]*domain.Sale{}, opened: map[string]bool{}, stock: map[uint32]*domain.StockLevel{},
		states: map[domain.OrderID]*domain.CheckoutState{},
	}
	sale := w.addSale(&domain.Sale{
		ID: "conference", Name: "Conference", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute,
		Classes:   []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 5}, {Name: "B", PriceMinor: 3500, Capacity: 50}},
		Perk:      &domain.Perk{Name: "T-shirt", Capacity: 3},
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	w.addSale(&domain.Sale{
		ID: "rush", Name: "Rush", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, WaitingRoom: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	w.opened["conference"], w.opened["rush"] = true, true
	return newNode(t, w, sale, change...)
}

// newNode is an Admission of its own over a world. Change may put something between them.
func newNode(t testing.TB, w *world, sale *domain.Sale, change ...func(*Options)) *bundle {
	t.Helper()
	options := Options{
		Desk: w, Catalog: NewCatalog(w, w), Books: w, Keys: w.keys, InLineMax: InLineMax,
		Meter: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&options)
	}
	adm, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{t: t, world: w, sale: sale, adm: adm}
}

// roomSetup is setup with waiting rooms.
func roomSetup(t testing.TB) (*bundle, *rooms) {
	t.Helper()
	r := &rooms{keys: map[string]string{}}
	return setup(t, func(o *Options) { o.Rooms = r }), r
}

// A wanted is what a checkout asks for.
type wanted struct {
	items []domain.Item
	email string
}

func wish(class string, quantity int64) wanted {
	return wanted{[]domain.Item{{Class: class, Quantity: quantity}}, "buyer-7@example.org"}
}

func wishOf(email string, quantity int64) wanted {
	return wanted{[]domain.Item{{Class: "A", Quantity: quantity}}, email}
}

// checkout asks for tickets of the sale as the API does: the short way, and where that has no
// answer, the whole way.
func (b *bundle) checkout(key string, w wanted) (Answer, error) {
	return b.ask(Request{SaleID: b.sale.ID, Key: key, Items: w.items, Email: w.email})
}

// byToken checks out in sale rush. Each request has a key of its own, which must not matter.
func (b *bundle) byToken(token string, w wanted) (Answer, error) {
	return b.ask(Request{SaleID: "rush", Key: uuid.NewString(), QueueToken: token, Items: w.items, Email: w.email})
}

func (b *bundle) ask(r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), RequestTimeout)
	defer cancel()
	if err := b.adm.RefuseAtOnce(ctx, &r); err != nil {
		return Answer{}, err
	}
	return b.adm.Hold(ctx, r)
}

// refusal is why a checkout was refused; nil: it was not.
func (b *bundle) refusal(key string, w wanted) error {
	_, err := b.checkout(key, w)
	return err
}

// wantRefusal wants an error of a code.
func wantRefusal(t testing.TB, err error, code domain.Code) *domain.Error {
	t.Helper()
	if err == nil || domain.CodeOf(err) != code {
		t.Errorf("%v, want %s", err, code)
	}
	var definite *domain.Error
	if !errors.As(err, &definite) {
		definite = &domain.Error{}
	}
	return definite
}

func wantHeld(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func retryAfterOf(err error) time.Duration {
	var definite *domain.Error
	if errors.As(err, &definite) {
		return definite.RetryAfter
	}
	return 0
}

func (b *bundle) stockOf(class int, held, sold int64) {
	b.world.setStock(b.sale.Classes[class].Ledger, held, sold)
}

func (b *bundle) startsNow() int {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	return b.world.starts
}

func waitFor(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about")
		}
	}
}

// slowDesk needs so long to place an order, unless it is told to stop.
type slowDesk struct {
	Desk
	takes time.Duration
}

func (d slowDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	select {
	case <-ctx.Done():
		return domain.HoldAnswer{}, context.Cause(ctx)
	case <-time.After(d.takes):
		return d.Desk.Start(ctx, order)
	}
}
