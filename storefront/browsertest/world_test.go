package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/admission"
	"boxoffice/api"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/storefront"
	"boxoffice/waitingroom"
)

// shop is a box office in memory behind a real HTTP/1.1 listener: the real pages and API,
// over a stock, orders and places that the test sets.
type shop struct {
	t       *testing.T
	URL     string
	keys    *domain.Keyring
	handler http.Handler

	mu        sync.Mutex
	sales     []*domain.Sale
	stock     map[uint32]*domain.StockLevel
	orders    map[domain.OrderID]*domain.CheckoutState
	sold      map[domain.OrderID]*domain.SoldOrder
	refunds   map[domain.OrderID][]domain.Refund // of orders that never had tickets
	places    map[string]waitingroom.Place
	codes     map[string]string     // presale codes that are good → the key that used it, empty: none
	classCode string                // for hidden classes; empty: none
	made      domain.ClassCodeUses  // codes that the organiser made
	poster    []byte                // the image of every sale that has one; nil: a small grey one
	losing    int                   // how many answers to joins with a code will be lost
	holds     int                   // orders that were held
	draw      waitingroom.RoomState // what the room's draw is
	settled   []waitingroom.Settlement
	asked     []string

	meter *prometheus.Registry

	figures domain.SaleFigures // of the sale, as the view has them

	arrivals *domain.SaleArrivals // at the sale's waiting room; nil: it has none

	provider provider
}

// A provider is what the shop hears when it asks about a payment session; no webhook
// ever comes.
type provider struct {
	away   bool // it does not answer
	status map[domain.OrderID]payments.SessionStatus
	asked  int
}

// atProvider changes what the provider says.
func (s *shop) atProvider(change func(*provider)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.provider)
}

// providerAsked is how often the provider was asked.
func (s *shop) providerAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.provider.asked
}

// Ledgers of the classes of the sale "concert".
const (
	ledgerOfVIP = 1 + iota
	ledgerOfLong
)

// longName has no place for a line break.
const longName = "EARLY_BIRD_TWO_DAY_STUDENT_TICKE"

func open(t *testing.T, change ...func(*domain.Sale)) *shop {
	t.Helper()
	keys, err := domain.NewKeyring(bytes.Repeat([]byte{7}, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	sale := &domain.Sale{
		ID: "concert", Name: "Concert", Currency: "EUR", BuyerLimit: 6, HoldTimeout: 10 * time.Minute, Version: 1,
		Classes: []domain.Class{
			{Name: "VIP", PriceMinor: 6500, Capacity: 20, Ledger: ledgerOfVIP},
			{Name: longName, PriceMinor: 123_456_00, Capacity: 100, Ledger: ledgerOfLong},
		},
	}
	for _, f := range change {
		f(sale)
	}
	s := &shop{
		t: t, keys: keys, sales: []*domain.Sale{sale}, stock: make(map[uint32]*domain.StockLevel),
		orders: make(map[domain.OrderID]*domain.CheckoutState), sold: make(map[domain.OrderID]*domain.SoldOrder),
		places: make(map[string]waitingroom.Place), codes: make(map[string]string), meter: prometheus.NewRegistry(),
		provider: provider{status: make(map[domain.OrderID]payments.SessionStatus)},
	}
	for _, c := range sale.Classes {
		s.stock[c.Ledger] = &domain.StockLevel{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity}
	}
	s.handler = s.assemble()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // streams do not end by themselves
		server.Close()
	})
	s.URL = server.URL
	return s
}

func (s *shop) assemble() http.Handler {
	database, books := database{shop: s}, books{shop: s}
	catalog := admission.NewCatalog(database, books)
	log := slog.New(slog.DiscardHandler)
	admit, err := admission.New(admission.Options{
		Desk: desk{shop: s}, Catalog: catalog, Books: books, Keys: s.keys, Rooms: rooms{shop: s}, Meter: s.meter, Log: log,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var server *api.Server
	pages, err := storefront.New(storefront.Options{
		Catalog: catalog, Interrupted: admit.Interrupted, Log: log, Mails: true,
		API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.Public().ServeHTTP(w, r) }),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	server, err = api.New(api.Options{
		Admission: admit, Desk: desk{shop: s}, Orders: database, Books: books, Catalog: catalog, Keys: s.keys, Providers: &providers{shop: s}, Auditor: &auditor{},
		Capacities: capacities{shop: s},
		PayPage: func(o domain.Order, _ domain.Hold) (domain.PayPage, error) {
			return domain.PayPage{Session: o.PaymentSession(), URL: "/pay/" + o.ID.String()}, nil
		},
		PayWish: func(domain.Order, domain.Hold) domain.PayWish { return domain.PayWish{} },
		Rooms:   rooms{shop: s}, Entitlements: entitlements{rooms: rooms{shop: s}}, AdminToken: "an-admin-token-of-tests", Metrics: http.NotFoundHandler(), Meter: s.meter,
		Figures: s, Arrivals: s, Log: log, Pages: pages,
		TicketsPDF: func(_ string, o *domain.SoldOrder, _ *domain.Sale) ([]byte, error) {
			return fmt.Appendf(nil, "%%PDF- of %d tickets, %s", len(o.Tickets), o.Status), nil
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return server.Public()
}

// ServeHTTP records the request and answers it.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/pay/") {
		_, _ = io.WriteString(w, "<!doctype html><title>Pay</title><h1>Pay</h1>")
		return
	}
	s.handler.ServeHTTP(w, r)
}

// openStreams is how many event streams the API counts, for sales and for places.
func (s *shop) openStreams() int {
	s.t.Helper()
	families, err := s.meter.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	streams, found := 0.0, 0
	for _, family := range families {
		if name := family.GetName(); name == "boxoffice_event_streams" || name == "boxoffice_place_streams" {
			streams, found = streams+family.GetMetric()[0].GetGauge().GetValue(), found+1
		}
	}
	if found != 2 {
		s.t.Fatalf("%d metrics of streams, want 2", found)
	}
	return int(streams)
}

// times is how often a request came.
func (s *shop) times(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.asked {
		if a == what {
			n++
		}
	}
	return n
}

func (s *shop) heldOrders() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds
}

func (s *shop) setStock(ledger uint32, held, sold int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.stock[ledger]
	l.Held, l.Sold, l.Available = held, sold, l.Capacity-held-sold
}

// hold makes an order as a buyer in another browser does, and returns its id and token.
func (s *shop) hold(class string, quantity int64) (id domain.OrderID, token string) {
	s.t.Helper()
	s.mu.Lock()
	key := fmt.Sprintf("0198c0de-0000-7000-8000-%012d", len(s.orders))
	sale := s.sales[0]
	s.mu.Unlock()
	order, err := domain.NewOrder(sale, s.keys, key, []domain.Item{{Class: class, Quantity: quantity}}, "buyer@example.com")
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := (desk{shop: s}).Start(context.Background(), order); err != nil {
		s.t.Fatal(err)
	}
	return order.ID, s.keys.OrderToken(order.ID)
}

// pay pays for an order.
func (s *shop) pay(id domain.OrderID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.orders[id]
	state.Status = domain.OrderPaid
	sold := &domain.SoldOrder{
		ID: id, SaleID: state.SaleID, SaleName: s.sales[0].Name, Status: domain.OrderPaid, Lines: state.Lines,
		AmountMinor: state.AmountMinor, Currency: state.Currency, PaidAt: time.Now(),
	}
	for _, l := range state.Lines {
		for range l.Quantity {
			n := len(sold.Tickets) + 1
			sold.Tickets = append(sold.Tickets, domain.Ticket{Number: n, Class: l.Class, Code: s.keys.TicketCode(id, n)})
		}
	}
	s.sold[id] = sold
}

// takeBack refunds a paid order.
func (s *shop) takeBack(id domain.OrderID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sold[id].Status = domain.OrderRefunded
}

// cancelSale cancels the sale, before anybody has read it.
func (s *shop) cancelSale() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sales[0].CanceledAt = time.Now()
}

// end ends a checkout without a sale.
func (s *shop) end(id domain.OrderID, as domain.OrderStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[id].Status = as
	s.move(s.orders[id].Lines, -1)
}

// decline declines an attempt to pay for an order.
func (s *shop) decline(id domain.OrderID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[id].Declines++
}

// onlyOrder is the only order that was made.
func (s *shop) onlyOrder() (domain.OrderID, domain.OrderStatus) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orders) != 1 {
		s.t.Fatalf("%d orders, want 1", len(s.orders))
	}
	for id, state := range s.orders {
		return id, state.Status
	}
	return domain.OrderID{}, ""
}

// ---- what is behind the API. The embedded interfaces are nil: no page asks for the rest.

type (
	database struct {
		api.Orders
		shop *shop
	}
	books struct {
		api.Books
		shop *shop
	}
	desk struct {
		api.Desk
		shop *shop
	}
	rooms struct {
		api.Rooms
		shop *shop
	}
	providers struct {
		api.Providers
		shop *shop
	}
	auditor struct{ api.Auditor }
)

func (d database) Sale(_ context.Context, id string) (*domain.Sale, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	for _, sale := range d.shop.sales {
		if sale.ID == id {
			return sale, nil
		}
	}
	return nil, domain.NotFound("sale")
}

func (d database) Sales(context.Context) ([]*domain.Sale, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	return d.shop.sales, nil
}

func (d database) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	if sold, ok := d.shop.sold[id]; ok {
		return *sold, nil
	}
	return domain.SoldOrder{}, domain.NotFound("order")
}

func (d database) ChangeHolders(_ context.Context, change domain.HoldersChange) (domain.SoldOrder, error) {
	s := d.shop
	s.mu.Lock()
	defer s.mu.Unlock()
	order, ok := s.sold[change.Order]
	if !ok {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	if err := domain.WhyHoldersFixed(s.sales[0], order, time.Now()); err != nil {
		return domain.SoldOrder{}, err
	}
	changed := *order
	changed.Tickets = slices.Clone(order.Tickets)
	for _, h := range change.Holders {
		changed.Tickets[h.Ticket-1].Holder = h.Name
	}
	s.sold[change.Order] = &changed
	return changed, nil
}

func (d database) RefundsOfOrder(_ context.Context, id domain.OrderID) ([]domain.Refund, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	return d.shop.refunds[id], nil
}

func (d database) ReversalsOf(context.Context, []domain.OrderID) (map[domain.OrderID][]domain.Reversal, error) {
	return nil, nil
}

func (d database) FindOrders(context.Context, domain.OrderFilter) ([]domain.SoldOrder, error) {
	return nil, nil
}

func (d database) Cancellation(context.Context, string) (domain.SaleCancellation, error) {
	return domain.SaleCancellation{}, domain.NotFound("cancellation")
}

func (b books) Stock(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	var levels []domain.StockLevel
	for _, c := range sale.Classes {
		levels = append(levels, *b.shop.stock[c.Ledger])
	}
	return levels, nil
}

func (b books) Known(_ context.Context, o *domain.Order) (bool, error) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	_, ok := b.shop.orders[o.ID]
	return ok, nil
}

// ClassCode finds the one code of the shop.
func (b books) ClassCode(_ context.Context, sale *domain.Sale, id domain.ClassCodeID) (domain.ClassCode, error) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	normal, _ := domain.NormalSecretCode(b.shop.classCode)
	if b.shop.classCode == "" || id != b.shop.keys.ClassCodeID(sale.ID, normal) {
		return domain.ClassCode{}, &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	code := domain.ClassCode{ID: id, Left: 1}
	for _, state := range b.shop.orders {
		for _, l := range state.Lines {
			if class, ok := sale.Class(l.Class); ok && class.Hidden && state.Status == domain.OrderHeld {
				code.Left, code.Held = 0, 1
			}
		}
	}
	return code, nil
}

func (d database) NoteClassCodes(context.Context, string, []domain.ClassCodeID, uint32, int64) error {
	return nil
}

func (b books) Takings(context.Context, *domain.Sale, domain.TakingsCursor) (domain.TakingsPage, error) {
	return domain.TakingsPage{}, nil
}

// Pay is told what the provider said when it was asked.
func (d desk) Pay(_ context.Context, e domain.PaymentEvent) (domain.PayResult, error) {
	if e.Type != domain.PaymentSucceeded {
		return domain.PayResult{}, &domain.Error{Code: domain.CodeOverloaded}
	}
	d.shop.pay(e.Order)
	return domain.PayResult{Status: domain.OrderPaid, Settled: true}, nil
}

// CheckAmount takes every amount.
func (p *providers) CheckAmount(string, int64, string) error { return nil }

func (p *providers) Session(_ context.Context, session string) (payments.Session, error) {
	p.shop.mu.Lock()
	defer p.shop.mu.Unlock()
	p.shop.provider.asked++
	if p.shop.provider.away {
		return payments.Session{}, &domain.UnknownError{Op: "ask about session", ID: session}
	}
	for id, status := range p.shop.provider.status {
		order := domain.Order{ID: id}
		if order.PaymentSession() != session {
			continue
		}
		found := payments.Session{Session: session, Order: id, Status: status, Visited: true}
		if state := p.shop.orders[id]; status == payments.SessionCaptured {
			found.Capture = &domain.Capture{Payment: session, Session: session, Order: id, AmountMinor: state.AmountMinor, Currency: state.Currency}
		}
		return found, nil
	}
	return payments.Session{}, domain.NotFound("session")
}

func (d desk) Start(_ context.Context, o domain.Order) (domain.HoldAnswer, error) {
	s := d.shop
	s.mu.Lock()
	defer s.mu.Unlock()
	if state, ok := s.orders[o.ID]; ok {
		if state.Fingerprint != o.Fingerprint {
			return domain.HoldAnswer{}, &domain.Error{Code: domain.CodeKeyReused}
		}
		return domain.HoldAnswer{Hold: state.Hold, Replayed: true}, nil
	}
	mine := o.Quantity()
	for _, other := range s.orders { // all orders of a test have the same buyer
		if other.Status == domain.OrderHeld {
			for _, l := range other.Lines {
				mine += l.Quantity
			}
		}
	}
	if mine > o.BuyerLimit {
		return domain.HoldAnswer{Hold: domain.Hold{Outcome: domain.HoldLimitReached}}, nil
	}
	for _, l := range o.Lines {
		if s.stock[l.Ledger].Available < l.Quantity {
			return domain.HoldAnswer{Hold: domain.Hold{Outcome: domain.HoldSoldOut}}, nil
		}
	}
	s.move(o.Lines, 1)
	now := time.Now().UTC().Truncate(time.Millisecond)
	state := &domain.CheckoutState{
		Order: o.ID, SaleID: o.SaleID, Status: domain.OrderHeld, Lines: o.Lines, AmountMinor: o.AmountMinor, Currency: o.Currency,
		Fingerprint: o.Fingerprint, Provider: o.Provider, Metadata: o.Metadata, Hold: domain.Hold{Outcome: domain.HoldHeld, HeldAt: now, ExpiresAt: now.Add(o.HoldTimeout)},
	}
	s.orders[o.ID] = state
	s.holds++
	return domain.HoldAnswer{Hold: state.Hold}, nil
}

// move holds seats, or gives them back.
func (s *shop) move(lines []domain.Line, sign int64) {
	for _, l := range lines {
		s.stock[l.Ledger].Available -= sign * l.Quantity
		s.stock[l.Ledger].Held += sign * l.Quantity
	}
}

func (d desk) State(_ context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	if state, ok := d.shop.orders[id]; ok {
		return *state, nil
	}
	return domain.CheckoutState{}, domain.NotFound("order")
}

func (d desk) Cancel(_ context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	d.shop.mu.Lock()
	defer d.shop.mu.Unlock()
	state, ok := d.shop.orders[id]
	switch {
	case !ok:
		return "", domain.NotFound("order")
	case state.Status == domain.OrderPaid:
		return "", &domain.Error{Code: domain.CodeAlreadyPaid}
	case state.Status == domain.OrderHeld:
		state.Status = domain.OrderCanceled
		d.shop.move(state.Lines, -1)
	}
	return state.Status, nil
}

func (r rooms) Join(_ context.Context, sale *domain.Sale) (string, waitingroom.Place, error) {
	r.shop.mu.Lock()
	defer r.shop.mu.Unlock()
	token := fmt.Sprintf("place-of-a-test-%08d", len(r.shop.places))
	place := waitingroom.Place{
		Sale: sale.ID, Status: waitingroom.StatusWaiting, Position: 312, Ahead: 311, Waiting: 5120, Wait: 3 * time.Minute, RatePerSecond: 2,
		RetryAfter: time.Second, OpensAt: sale.OpensAt, Draw: waitingroom.Draw{Commitment: strings.Repeat("c0ffee", 10), Size: -1},
	}
	r.shop.places[token] = place
	return token, place, nil
}

// setPlace changes where a token stands.
func (s *shop) setPlace(token string, change func(*waitingroom.Place)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := s.places[token]
	change(&place)
	s.places[token] = place
}

type capacities struct{ shop *shop }

func (c capacities) Change(_ context.Context, saleID, class, _ string, capacity int64) (domain.CapacityChange, error) {
	s := c.shop
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, level := range s.stock {
		if level.Name != class {
			continue
		}
		change := domain.CapacityChange{SaleID: saleID, Class: class, Ledger: level.Ledger, Before: level.Capacity, After: capacity, Outcome: domain.CapacityChanged}
		if level.Available+change.By() < 0 {
			return change, &domain.Error{Code: domain.CodeCapacityInUse, Detail: "More is held and sold."}
		}
		level.Capacity, level.Available = capacity, level.Available+change.By()
		return change, nil
	}
	return domain.CapacityChange{}, domain.NotFound("class")
}

type entitlements struct {
	api.Entitlements
	rooms rooms
}

func (e entitlements) Join(ctx context.Context, sale *domain.Sale, shown domain.ShownEntitlement, key string) (string, waitingroom.Place, error) {
	s := e.rooms.shop
	s.mu.Lock()
	usedBy, isGood := s.codes[shown.Value]
	if isGood && usedBy == "" {
		s.codes[shown.Value] = key
	}
	isLost := s.losing > 0
	if isLost {
		s.losing--
	}
	s.mu.Unlock()
	switch {
	case !isGood || shown.Kind != domain.PresaleCode:
		return "", waitingroom.Place{}, &domain.Error{Code: domain.CodeBadEntitlement}
	case usedBy != "" && usedBy != key:
		return "", waitingroom.Place{}, &domain.Error{Code: domain.CodeEntitlementSpent}
	case isLost:
		return "", waitingroom.Place{}, &domain.UnknownError{Op: "take a place"}
	default:
		return e.rooms.Join(ctx, sale)
	}
}

func (r rooms) Place(_ context.Context, token string) (waitingroom.Place, error) {
	r.shop.mu.Lock()
	defer r.shop.mu.Unlock()
	if place, ok := r.shop.places[token]; ok {
		return place, nil
	}
	return waitingroom.Place{}, domain.NotFound("place")
}

func (r rooms) Enter(_ context.Context, _ *domain.Sale, token string) (string, error) {
	r.shop.mu.Lock()
	defer r.shop.mu.Unlock()
	if place, ok := r.shop.places[token]; ok && place.Status == waitingroom.StatusAdmitted {
		return "the-key-of-" + token, nil
	}
	return "", &domain.Error{Code: domain.CodeQueueRequired}
}

func (r rooms) State(_ context.Context, saleID string) (waitingroom.RoomState, error) {
	r.shop.mu.Lock()
	defer r.shop.mu.Unlock()
	state := r.shop.draw
	state.Sale, state.Waiting, state.Settings = saleID, 5120, domain.QueueSettings{}.WithDefaults()
	if state.Status == "" {
		state.Status, state.Draw.Size = waitingroom.StatusWaiting, -1
	}
	return state, nil
}

// Settle accepts what is right, as the room would, once the test allows it.
func (r rooms) Settle(ctx context.Context, saleID string, given waitingroom.Settlement) (waitingroom.RoomState, error) {
	s := r.shop
	s.mu.Lock()
	s.settled = append(s.settled, given)
	if given.Waive == "too early" {
		s.mu.Unlock()
		return waitingroom.RoomState{}, domain.Invalid("waive", "is possible from 2027-01-02T03:14:15Z on: until then the draw waits")
	}
	s.draw.Draw.State = waitingroom.DrawDrawn
	s.mu.Unlock()
	return r.State(ctx, saleID)
}

func (r rooms) Configure(context.Context, string, domain.QueueSettings) (waitingroom.RoomState, error) {
	return r.State(context.Background(), "concert")
}

// languageOf is the language that an order was made in.
func (s *shop) languageOf(id domain.OrderID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orders[id].Metadata.Languages()
}
