package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
)

func TestASaleMadeHereIsFoundAtOnce(t *testing.T) {
	b := setup(t)
	get := func(id string) int { return b.do(request{method: "GET", path: "/v1/sales/" + id}).Code }
	if code := get("fresh"); code != 404 {
		t.Fatal(code)
	}
	made := b.do(request{"POST", "/v1/sales", `{"id":"fresh","name":"Fresh","currency":"EUR","classes":[{"class":"A","price":1,"capacity":1}]}`, bearerOf(testAdminToken)})
	if made.Code != 201 {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	if code := get("fresh"); code != 200 {
		t.Errorf("the sale that was just made: %d", code)
	}
}

// countingDesk counts the queries of checkouts.
type countingDesk struct {
	*world
	asked atomic.Int64
}

func (d *countingDesk) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	d.asked.Add(1)
	return d.world.State(ctx, id)
}

func TestAnOrderIsLookedUpOnceASecond(t *testing.T) {
	var desk *countingDesk
	b := setup(t, func(o *Options) {
		desk = &countingDesk{world: o.Desk.(*world)}
		o.Desk = desk
	})
	now := time.Now()
	b.api.orderViews.ttl, b.api.orderViews.now = orderViewTTL, func() time.Time { return now }
	id, token := b.held(testKey)
	other, otherToken := b.held(testKey + "-2")
	get := func(id domain.OrderID, token string) OrderView {
		t.Helper()
		w := b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)})
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var view OrderView
		decode(t, w, &view)
		return view
	}
	for range 100 {
		if view := get(id, token); view.Status != domain.OrderHeld || view.Order != id {
			t.Fatalf("%+v", view)
		}
	}
	if view := get(other, otherToken); view.Order != other || desk.asked.Load() != 2 {
		t.Errorf("%d queries for two orders, or the wrong answer: %+v", desk.asked.Load(), view)
	}
	now = now.Add(orderViewTTL)
	get(id, token)
	if desk.asked.Load() != 3 {
		t.Errorf("%d queries, want another one after a second", desk.asked.Load())
	}

	now = now.Add(time.Millisecond) // a payment that comes here shows at once
	webhook := b.do(request{"POST", "/v1/webhooks/mockpay", id.String(), map[string]string{"Webhook-Signature": "good", "Webhook-Id": "evt_1"}})
	if webhook.Code != http.StatusOK {
		t.Fatalf("%d %s", webhook.Code, webhook.Body)
	}
	now = now.Add(time.Millisecond)
	if view := get(id, token); view.Status != domain.OrderPaid {
		t.Errorf("after the payment: %s", view.Status)
	}
	cancel := b.do(request{"POST", "/v1/orders/" + other.String() + "/cancel", "", bearerOf(otherToken)})
	if cancel.Code != http.StatusOK {
		t.Fatalf("%d %s", cancel.Code, cancel.Body)
	}
	now = now.Add(time.Millisecond)
	if view := get(other, otherToken); view.Status != domain.OrderCanceled {
		t.Errorf("after the cancel: %s", view.Status)
	}
}

func TestOrderViews(t *testing.T) {
	views, err := newOrderViews()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	views.now = func() time.Time { now = now.Add(time.Millisecond); return now }
	id := domain.OrderID{1}
	answer := func(status domain.OrderStatus, err error) func(context.Context) (OrderView, error) {
		return func(context.Context) (OrderView, error) { return OrderView{Status: status}, err }
	}
	away := errors.New("away")
	if _, err := views.find(t.Context(), id, answer("", away)); !errors.Is(err, away) {
		t.Error(err)
	}
	if view, err := views.find(t.Context(), id, answer(domain.OrderHeld, nil)); err != nil || view.Status != domain.OrderHeld {
		t.Errorf("a failure was cached: %+v, %v", view, err)
	}
	views.changed(id)
	view, err := views.find(t.Context(), id, func(context.Context) (OrderView, error) {
		views.changed(id) // while the query is under way
		return OrderView{Status: domain.OrderHeld}, nil
	})
	if err != nil || view.Status != domain.OrderHeld {
		t.Error(view, err)
	}
	if view, _ := views.find(t.Context(), id, answer(domain.OrderPaid, nil)); view.Status != domain.OrderPaid {
		t.Errorf("an answer from before the payment was cached: %s", view.Status)
	}
	for n := range 2 * orderViewsMax {
		_, _ = views.find(t.Context(), domain.OrderID{2, byte(n >> 8), byte(n)}, answer(domain.OrderHeld, nil))
	}
	if views.seen.Len() > orderViewsMax {
		t.Errorf("%d orders are cached", views.seen.Len())
	}
}

// Clients that only look at orders do not keep others from canceling theirs.
func TestLookingAtOrdersDoesNotStopCancels(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	for range ordersInFlightMax {
		b.api.boundOf(orderRoute).permits <- struct{}{}
	}
	path := "/v1/orders/" + id.String()
	wantProblem(t, b.do(request{method: "GET", path: path, header: bearerOf(token)}), 503, domain.CodeOverloaded)
	if w := b.do(request{method: "POST", path: path + "/cancel", header: bearerOf(token)}); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := b.do(request{method: "GET", path: "/v1/sales/conference"}); w.Code != 200 {
		t.Errorf("a sale's page: %d", w.Code)
	}
}

// A buyer whose checkout Temporal has forgotten is told where the money is, whether or not the sale is known.
func TestAForgottenOrderSaysWhereItsMoneyIs(t *testing.T) {
	at := time.Date(2026, 11, 22, 21, 15, 49, 0, time.UTC)
	refund := func(sale string, done time.Time) domain.Refund {
		return domain.Refund{Capture: domain.Capture{AmountMinor: 6500, Currency: "EUR"}, SaleID: sale, RefundedAt: done}
	}
	for _, c := range []struct {
		name    string
		refunds []domain.Refund
		want    OrderView // empty: nothing is known of it
	}{
		{"no money came", nil, OrderView{}},
		{"on its way", []domain.Refund{refund("conference", time.Time{})}, OrderView{Sale: "conference", SaleName: "Conference", Status: domain.OrderRefunding, Amount: 6500}},
		{"back", []domain.Refund{refund("conference", at)}, OrderView{Sale: "conference", SaleName: "Conference", Status: domain.OrderRefunded, Amount: 6500, RefundedAt: &at}},
		{"came when nobody knew it", []domain.Refund{refund("", at)}, OrderView{Status: domain.OrderRefunded, Amount: 6500, RefundedAt: &at}},
		{"one of two", []domain.Refund{refund("", at), refund("", time.Time{})}, OrderView{Status: domain.OrderRefunding, Amount: 13000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t)
			id := domain.OrderID{1, 2, 3}
			b.world.refunds = map[domain.OrderID][]domain.Refund{id: c.refunds}
			path, token := "/v1/orders/"+id.String(), b.world.Keys.OrderToken(id)
			wantProblem(t, b.do(request{method: "GET", path: path, header: bearerOf("x" + token[1:])}), 404, domain.CodeNotFound)
			w := b.do(request{method: "GET", path: path, header: bearerOf(token)})
			if c.want.Status == "" {
				wantProblem(t, w, 404, domain.CodeNotFound)
				return
			}
			var got OrderView
			decode(t, w, &got)
			want := c.want
			want.Order, want.Currency, want.Items = id, "EUR", []OrderItem{}
			if got.Facts, got.SaleCanceledAt = nil, nil; w.Code != 200 || !reflect.DeepEqual(got, want) {
				t.Errorf("%d %+v\nwant %+v", w.Code, got, want)
			}
		})
	}
}

// The tickets of a refunded order are still listed, as what lets nobody in.
func TestTicketsOfARefundedOrderAreVoid(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	b.world.pay(b.world.States[id])
	view := func() (view OrderView) {
		t.Helper()
		b.api.orderViews.changed(id)
		decode(t, b.do(request{method: "GET", path: "/v1/orders/" + id.String(), header: bearerOf(token)}), &view)
		return view
	}
	valid := view()
	if len(valid.Tickets) == 0 || len(valid.Void) != 0 {
		t.Fatalf("paid: %+v", valid)
	}
	for _, status := range []domain.OrderStatus{domain.OrderRefunding, domain.OrderRefunded} {
		b.world.sold[id].Status = status
		if got := view(); len(got.Tickets) != 0 || !slices.Equal(got.Void, valid.Tickets) {
			t.Errorf("%s: %+v", status, got)
		}
		qr := b.do(request{method: "GET", path: "/v1/orders/" + id.String() + "/tickets/1/qr", header: bearerOf(token)})
		wantProblem(t, qr, 404, domain.CodeNotFound)
	}
}

// The PDF is drawn of the order as it is now, so that a void ticket says so, for whoever has the order's token.
func TestTheTicketsOfAnOrderAsAPDF(t *testing.T) {
	type drawn struct {
		languages string
		status    domain.OrderStatus
		codes     int
		sale      string
	}
	var last drawn
	b := setup(t, func(o *Options) {
		o.TicketsPDF = func(languages string, order *domain.SoldOrder, sale *domain.Sale) ([]byte, error) {
			last = drawn{languages, order.Status, len(order.Tickets), sale.ID}
			return []byte("%PDF-"), nil
		}
	})
	id, token := b.held(testKey)
	get := func(token, languages string) *httptest.ResponseRecorder {
		header := bearerOf(token)
		header["Accept-Language"] = languages
		return b.do(request{"GET", "/v1/orders/" + id.String() + "/pdf", "", header})
	}
	wantProblem(t, get(token, "de"), 404, domain.CodeNotFound) // not paid yet
	b.world.pay(b.world.States[id])
	tickets := len(b.world.sold[id].Tickets)
	w := get(token, "de-AT, en;q=0.5")
	if w.Code != 200 || w.Body.String() != "%PDF-" || w.Header().Get("Content-Type") != "application/pdf" ||
		w.Header().Get("Content-Disposition") != `attachment; filename="tickets.pdf"` || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if want := (drawn{"de-AT, en;q=0.5", domain.OrderPaid, tickets, "conference"}); last != want {
		t.Errorf("drawn %+v, want %+v", last, want)
	}
	wantProblem(t, get("x"+token, "de"), 404, domain.CodeNotFound)
	if get(token, strings.Repeat("de,", 1000)); last.languages != "" {
		t.Errorf("%d bytes of languages", len(last.languages))
	}
	b.world.sold[id].Status = domain.OrderRefunding
	if w := get(token, "ko"); w.Code != 200 || last.status != domain.OrderRefunding || last.codes != tickets {
		t.Errorf("%d, drawn %+v", w.Code, last)
	}
}
