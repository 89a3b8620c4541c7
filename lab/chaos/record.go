package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"boxoffice/client"
)

// A record is what the buyers were told: the other side of I6, "whatever was acknowledged survives". It believes
// answers only, never what a buyer meant to do.
type record struct {
	mu     sync.Mutex
	orders map[string]*acknowledged // by order
	keys   map[string]string        // Idempotency-Key → order
	broken []string                 // what contradicts itself already
	counts map[string]int           // answers, for the report
	// calledOff are the sales whose cancellation was asked for.
	calledOff map[string]bool
	// final are the statuses of the orders that check asked for.
	final map[string]string
}

// acknowledged is everything that was said about one order.
type acknowledged struct {
	client.CheckoutView
	at        time.Time // of the first answer
	sale      string
	free      bool   // there was nothing to pay
	tickets   string // codes, if the buyer saw the order paid
	paid      bool   // seen as paid
	captured  bool   // MockPay said that it took the money
	canceled  bool   // the cancel was answered "canceled"
	asked     bool   // the organiser has asked for a refund, whatever was answered
	refunding bool   // and it was accepted
	calledOff bool   // the organiser has canceled the whole sale
	declined  bool   // the only thing that happened at MockPay is a declined attempt
	dropped   bool   // MockPay said that the session failed or was canceled
}

func newRecord() *record {
	return &record{
		orders: map[string]*acknowledged{}, keys: map[string]string{}, counts: map[string]int{}, calledOff: map[string]bool{}, final: map[string]string{},
	}
}

func (r *record) count(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

// held notes a 201. The same key must always be the same order.
func (r *record) held(a ask, p client.CheckoutView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts["held"]++
	if before, known := r.keys[a.key]; known && before != p.Order {
		r.broken = append(r.broken, fmt.Sprintf("key %s was answered with order %s and with order %s", a.key, before, p.Order))
	}
	r.keys[a.key] = p.Order
	if r.orders[p.Order] == nil {
		r.orders[p.Order] = &acknowledged{CheckoutView: p, sale: a.sale, at: time.Now(), free: p.Amount == 0}
	}
}

// refused notes a definite no of the ledger or the gate. A key that was held before cannot be refused.
func (r *record) refused(a ask, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[code]++
	if order, held := r.keys[a.key]; held && (code == "sold_out" || code == "limit_reached") {
		r.broken = append(r.broken, fmt.Sprintf("key %s holds order %s and was then refused: %s", a.key, order, code))
	}
}

func (r *record) callOff(sale string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts["sale canceled"]++
	r.calledOff[sale] = true
}

func (r *record) contradict(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, what)
}

// salesCalledOff must come to nothing: no seat held, sold or left.
func (r *record) salesCalledOff() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.calledOff))
}

// note changes what is known about an order.
func (r *record) note(p client.CheckoutView, what string, change func(*acknowledged)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
	change(r.orders[p.Order])
}

// all that was acknowledged, in the order of the orders' ids.
func (r *record) all() []acknowledged {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]acknowledged, 0, len(r.orders))
	for _, a := range r.orders {
		copied := *a
		copied.calledOff = r.calledOff[a.sale]
		list = append(list, copied)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Order < list[j].Order })
	return list
}

// givenUp is what buyers did not get, although they repeated it.
func (r *record) givenUp() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, n := range r.counts {
		if strings.HasPrefix(what, "gave up") || what == "never saw the end of it" {
			list = append(list, fmt.Sprintf("%d × %s", n, what))
		}
	}
	return list
}

func (r *record) contradictions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.broken...)
}

// violation says how the state of an order at rest contradicts what was acknowledged; empty if it does not.
func (a *acknowledged) violation(now client.OrderView) string {
	sold, gone := now.Status == "paid", now.Status == "refunded"
	switch {
	case now.Status == "held" || now.Status == "refunding" || now.Status == "pending":
		return fmt.Sprintf("is %s, although nothing is open", now.Status)
	case a.paid && !sold && !(gone && (a.asked || a.calledOff)):
		return fmt.Sprintf("was shown as paid and is %s", now.Status)
	case a.paid && sold && codes(now) != a.tickets:
		return "was shown as paid with other tickets"
	case a.calledOff && sold:
		return "is paid, and its sale was canceled"
	case a.refunding && !gone:
		return fmt.Sprintf("its refund was accepted and it is %s", now.Status)
	case a.captured && !sold && !gone:
		return fmt.Sprintf("was captured at the provider and is %s", now.Status)
	case a.canceled && now.Status != "canceled" && !gone:
		return fmt.Sprintf("its cancel was acknowledged and it is %s", now.Status)
	case a.free && gone && !a.asked && !a.calledOff:
		return "costs nothing, and was taken back by nobody"
	case a.free && now.Status == "failed":
		return "is failed, and there was nothing to pay"
	case a.declined && now.Status == "failed":
		return "was declined once, which ends nothing, and is failed"
	case sold && len(now.Tickets) == 0:
		return "is paid and has no tickets"
	}
	return ""
}

// check reads every order that was ever acknowledged. Call it when nothing is open.
func (r *record) check(ctx context.Context, c *caller) (orders int, violations []string) {
	violations = r.contradictions()
	list := r.all()
	results := make([]string, len(list))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = r.checkOne(ctx, c, &list[i])
		})
	}
	wg.Wait()
	for i, what := range results {
		if what != "" {
			violations = append(violations, fmt.Sprintf("order %s of sale %s %s", list[i].Order, list[i].sale, what))
		}
	}
	return len(list), violations
}

func (r *record) checkOne(ctx context.Context, c *caller, a *acknowledged) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var now client.OrderView
	err := insist(ctx, func(ctx context.Context) (err error) {
		now, err = c.order(ctx, c.fronts[0], a.CheckoutView)
		return err
	})
	if err != nil {
		return fmt.Sprintf("was acknowledged and cannot be read: %v", err)
	}
	r.mu.Lock()
	r.final[a.Order] = now.Status
	r.mu.Unlock()
	return a.violation(now)
}
