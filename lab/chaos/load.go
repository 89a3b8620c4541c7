package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

// The load: an open stream of buyers. They come whether or not the box office answers, as buyers do, up to a bound.
const (
	buyersAtOnceMax = 150              // further arrivals go away
	buyersMax       = 20_000           // a run
	saleEvery       = 9 * time.Second  // a new sale opens, smaller than its demand
	salesOpen       = 2                // that buyers choose from
	patience        = 75 * time.Second // how long a buyer repeats one request: longer than any fault
	holdSeconds     = 8
	emails          = 60 // a sale: the limit a buyer is met
	steadyEmails    = 2_000
)

// A plan is what a buyer does once seats are held.
type plan string

// The plans.
const (
	planPay          plan = "pay"
	planFail         plan = "fail"
	planFailThenPay  plan = "fail, then captured" // the provider takes money after it has said no
	planDrop         plan = "cancel at the provider"
	planDeclined     plan = "declined, then pay"
	planDeclinedOut  plan = "declined, and nothing more"
	planCancel       plan = "cancel"
	planCancelPay    plan = "cancel, then captured"
	planAbandon      plan = "abandon"
	planPayLate      plan = "captured after the deadline"
	planPayAtTheEnd  plan = "pay at the very deadline"
	planPayTwice     plan = "captured twice"
	planPayAndRefund plan = "pay, then refunded by the organiser"
	// Of the class that costs nothing: no payment, so none of the above.
	planFree       plan = "free"
	planFreeCancel plan = "free, and cancel at once"
	planFreeRefund plan = "free, then taken back by the organiser"
)

// isFree: the buyer wants a ticket that costs nothing.
func (p plan) isFree() bool { return p == planFree || p == planFreeCancel || p == planFreeRefund }

// plans with their weights.
var plans = []struct {
	plan   plan
	weight int
}{
	{planPay, 40}, {planDeclined, 8}, {planDeclinedOut, 2}, {planFail, 5}, {planFailThenPay, 6}, {planDrop, 5}, {planCancel, 7}, {planCancelPay, 4},
	{planAbandon, 6}, {planPayLate, 5}, {planPayAtTheEnd, 4}, {planPayTwice, 3}, {planPayAndRefund, 7},
	{planFree, 6}, {planFreeCancel, 3}, {planFreeRefund, 3},
}

// load runs the buyers.
type load struct {
	client *caller
	record *record
	seed   uint64
	rate   float64 // arrivals a second

	// steady, for drills: so many sales are there from the start, with so many seats each, and
	// more buyers than ever come back. 0: a new sale opens again and again, and sells out.
	steadySales int
	steadySeats int64
	// plain sales are such that a release before can sell them.
	plain     bool
	people    int    // that buyers come from; 0: emails or steadyEmails
	atOnceMax int64  // buyers; 0: buyersAtOnceMax
	holds     *holds // notes how long they wait; nil: nobody asks

	underWay atomic.Int64 // checkouts between their first request and their end
	came     atomic.Int64
	wg       sync.WaitGroup

	mu     sync.Mutex
	rng    *rand.Rand
	sales  []string // all, the newest last
	wanted []plan   // what the next buyers do, before chance decides
}

func newLoad(c *caller, seed uint64, rate float64) *load {
	return &load{client: c, record: newRecord(), seed: seed, rate: rate, rng: rand.New(rand.NewPCG(seed, 2))}
}

// want makes the next buyers follow a plan, so that a failpoint on a rare path is reached.
func (l *load) want(p plan, times int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = append(l.wanted, slices.Repeat([]plan{p}, times)...)
}

// run sends buyers until arriving ends; they finish within patient.
func (l *load) run(arriving, patient context.Context) error {
	for range max(1, l.steadySales) {
		if err := l.openNextSale(arriving); err != nil {
			return err
		}
	}
	if l.steadySales == 0 {
		l.wg.Go(func() {
			for pace.Pause(arriving, saleEvery) == nil {
				_ = l.openNextSale(arriving) // the sales before go on
			}
		})
	}
	l.wg.Go(func() {
		for l.came.Load() < buyersMax && pace.Pause(arriving, l.nextArrival()) == nil {
			l.came.Add(1)
			if l.underWay.Load() >= cmp.Or(l.atOnceMax, buyersAtOnceMax) {
				l.record.count("went away")
				continue
			}
			b := l.newBuyer()
			l.underWay.Add(1)
			l.wg.Go(func() {
				defer l.underWay.Add(-1)
				b.buy(patient)
			})
		}
	})
	return nil
}

func (l *load) nextArrival() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.rng.ExpFloat64() / l.rate * float64(time.Second))
}

func (l *load) openNextSale(ctx context.Context) error {
	l.mu.Lock()
	n := len(l.sales)
	l.mu.Unlock()
	// Half of the buyers in that time would buy everything, so every sale sells out, and holds come back.
	seats := max(6, int64(l.rate*saleEvery.Seconds()/2))
	if l.steadySales > 0 {
		seats = l.steadySeats
	}
	free := max(2, seats/8)
	if l.plain {
		free = 0
	}
	terms := saleTerms{
		id: fmt.Sprintf("chaos-%d-%d", l.seed, n), a: seats / 3, b: seats - seats/3, free: free, perks: 4, holdSeconds: holdSeconds, limits: 3,
		oneCheckout: n%2 == 0, seatsFirst: n%3 == 1 && !l.plain, // the faults find both of each
	}
	err := l.client.openSale(ctx, terms)
	if err != nil {
		return fmt.Errorf("open sale %s: %w", terms.id, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sales = append(l.sales, terms.id)
	return nil
}

// callOffSale has the organiser cancel the newest sale, and opens another. The box office may be killed in the middle of
// the answer, so the asking goes on beside.
func (l *load) callOffSale(ctx context.Context) error {
	sales := l.allSales()
	sale := sales[len(sales)-1]
	l.record.callOff(sale)
	l.wg.Go(func() {
		if err := l.client.callOff(ctx, sale); err != nil {
			l.record.contradict(fmt.Sprintf("sale %s could not be canceled: %v", sale, err))
		}
	})
	return nil
}

// allSales are the sales that were opened.
func (l *load) allSales() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.sales)
}

// newBuyer throws all dice of a buyer at once, so that a seed always makes the same buyers.
func (l *load) newBuyer() *buyer {
	l.mu.Lock()
	defer l.mu.Unlock()
	people := emails
	if l.steadySales > 0 {
		people = steadyEmails
	}
	if l.people > 0 {
		people = l.people
	}
	b := &buyer{load: l, plan: l.choosePlan(), front: l.client.fronts[l.rng.IntN(len(l.client.fronts))], think: time.Duration(l.rng.IntN(1500)) * time.Millisecond}
	open := l.sales[max(0, len(l.sales)-salesOpen):]
	b.ask = ask{
		sale: open[l.rng.IntN(len(open))], key: newKey(), class: "AB"[l.rng.IntN(2):][:1], quantity: 1 + l.rng.Int64N(2),
		email: fmt.Sprintf("buyer-%d@example.com", l.rng.IntN(people)),
	}
	if l.steadySales > 0 && b.plan == planFreeRefund {
		b.plan = planFree // a drill loses records: of tickets that were taken back and had no money in them nobody else has one
	}
	if l.plain && b.plan.isFree() {
		b.plan = planPay
	}
	if b.plan.isFree() {
		b.ask.class = classFree
	}
	b.repeats = l.rng.IntN(7) == 0
	b.around = time.Duration(l.rng.IntN(400)-200) * time.Millisecond
	b.declines = l.rng.IntN(3)
	return b
}

func (l *load) choosePlan() plan {
	total := 0
	for _, p := range plans {
		total += p.weight
	}
	dice := l.rng.IntN(total)
	if len(l.wanted) > 0 {
		p := l.wanted[0]
		l.wanted = l.wanted[1:]
		return p
	}
	for _, p := range plans {
		if dice -= p.weight; dice < 0 {
			return p.plan
		}
	}
	return planPay
}

// A buyer wants tickets.
type buyer struct {
	load  *load
	ask   ask
	plan  plan
	front string
	think time.Duration
	// repeats sends the same key twice at the same time.
	repeats  bool
	around   time.Duration // how far from the deadline
	declines int           // attempts that are declined, beside the first
}

func (b *buyer) buy(ctx context.Context) {
	if b.repeats {
		go func() { _, _ = b.place(ctx) }()
	}
	p, ok := b.place(ctx)
	if !ok {
		return
	}
	if b.plan != planPayLate && b.plan != planPayAtTheEnd && pace.Pause(ctx, b.think) != nil {
		return
	}
	b.follow(ctx, p)
}

// place repeats the same key until the answer is definite.
func (b *buyer) place(ctx context.Context) (p client.CheckoutView, held bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fronts := b.load.client.fronts
	n := slices.Index(fronts, b.front)
	taken := holdTaken{asked: time.Now()}
	err := insist(ctx, func(ctx context.Context) (err error) {
		p, err = b.load.client.checkout(ctx, fronts[n%len(fronts)], b.ask)
		taken.again(err)
		n++ // a balancer would try another node
		return err
	})
	taken.answered, taken.err = time.Now(), err
	b.load.holds.add(taken)
	switch {
	case err == nil:
		b.load.record.held(b.ask, p)
		return p, true
	case client.IsDefinite(err):
		b.load.record.refused(b.ask, client.CodeOf(err))
	default:
		b.load.record.count("gave up")
	}
	return p, false
}

// follow does what the plan says.
func (b *buyer) follow(ctx context.Context, p client.CheckoutView) {
	switch b.plan {
	case planPay:
		b.pay(ctx, p)
		b.seePaid(ctx, p)
	case planPayTwice:
		b.pay(ctx, p)
		b.capture(ctx, p, 2)
	case planPayAndRefund:
		b.pay(ctx, p)
		if b.seePaid(ctx, p) {
			b.refund(ctx, p)
		}
	case planFail:
		b.drop(ctx, p, mockpay.OutcomeFailed)
	case planFailThenPay:
		b.drop(ctx, p, mockpay.OutcomeFailed)
		_ = pace.Pause(ctx, b.think)
		b.capture(ctx, p, 1)
	case planDeclined:
		for n := range 1 + b.declines {
			b.decline(ctx, p, n+1)
		}
		b.pay(ctx, p)
		b.seePaid(ctx, p)
	case planDeclinedOut:
		if b.decline(ctx, p, 1) {
			b.load.record.note(p, "declined, and nothing more", func(a *acknowledged) { a.declined = true })
		}
	case planDrop:
		b.drop(ctx, p, mockpay.OutcomeCanceled)
	case planCancel:
		b.cancel(ctx, p)
	case planCancelPay:
		b.cancel(ctx, p)
		b.capture(ctx, p, 1)
	case planPayLate:
		_ = pace.Pause(ctx, time.Until(p.HoldExpiresAt)+b.think)
		b.capture(ctx, p, 1)
	case planPayAtTheEnd:
		_ = pace.Pause(ctx, time.Until(p.HoldExpiresAt)+b.around)
		b.pay(ctx, p)
	case planFree:
		b.seePaid(ctx, p)
	case planFreeCancel:
		b.cancel(ctx, p)
		b.seePaid(ctx, p)
	case planFreeRefund:
		if b.seePaid(ctx, p) {
			b.refund(ctx, p)
		}
	case planAbandon: // the hold expires
	}
}

// insist repeats a request for as long as a buyer does.
func (b *buyer) insist(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := insist(ctx, call)
	if !client.IsDefinite(err) {
		b.load.record.count(fmt.Sprintf("gave up (%s): %v", b.plan, err))
	}
	return err
}

// pay pays, again where MockPay's mischief declined it.
func (b *buyer) pay(ctx context.Context, p client.CheckoutView) {
	status, err := mockpay.SessionOpen, error(nil)
	for n := 0; n < domain.DeclinesMax && err == nil && status == mockpay.SessionOpen; n++ {
		err = b.insist(ctx, func(ctx context.Context) (err error) {
			status, err = b.load.client.pay(ctx, p, mockpay.OutcomeSucceeded)
			return err
		})
	}
	if err == nil && status == mockpay.SessionAuthorized {
		b.load.record.count("authorised at the provider") // it is captured or released: the audit says which
	}
	if err == nil && status == mockpay.SessionCaptured {
		b.load.record.note(p, "captured", func(a *acknowledged) { a.captured = true })
	}
}

func (b *buyer) capture(ctx context.Context, p client.CheckoutView, nth int) {
	if err := b.insist(ctx, func(ctx context.Context) error { return b.load.client.capture(ctx, p, nth) }); err == nil {
		b.load.record.note(p, "captured by hand", func(a *acknowledged) { a.captured = true })
	}
}

func (b *buyer) drop(ctx context.Context, p client.CheckoutView, outcome mockpay.Outcome) {
	var status mockpay.SessionStatus
	err := b.insist(ctx, func(ctx context.Context) (err error) {
		status, err = b.load.client.pay(ctx, p, outcome)
		return err
	})
	if err == nil && string(status) == string(outcome) {
		b.load.record.note(p, string(outcome)+" at the provider", func(a *acknowledged) { a.dropped = true })
	}
}

// decline makes an attempt that the bank declines. It ends nothing, whatever fails meanwhile.
func (b *buyer) decline(ctx context.Context, p client.CheckoutView, attempt int) bool {
	err := b.insist(ctx, func(ctx context.Context) error { return b.load.client.decline(ctx, p, attempt) })
	if err == nil {
		b.load.record.count("declined at the provider")
	}
	return err == nil
}

func (b *buyer) cancel(ctx context.Context, p client.CheckoutView) {
	var now client.StatusView
	err := b.insist(ctx, func(ctx context.Context) (err error) {
		now, err = b.load.client.at(b.front).CancelOrder(ctx, p.Order, p.Token)
		return err
	})
	if err == nil && now.Status == "canceled" {
		b.load.record.note(p, "canceled", func(a *acknowledged) { a.canceled = true })
	}
}

// seePaid looks until the order is shown as paid, or has ended otherwise.
func (b *buyer) seePaid(ctx context.Context, p client.CheckoutView) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pace.Pause(ctx, retryPause) == nil {
		now, err := b.load.client.order(ctx, b.front, p)
		switch {
		case err != nil || now.Status == "held":
			continue
		case now.Status == "paid":
			b.load.record.note(p, "seen as paid", func(a *acknowledged) { a.paid, a.tickets = true, codes(now) })
			return true
		}
		return false
	}
	b.load.record.count("never saw the end of it")
	return false
}

func (b *buyer) refund(ctx context.Context, p client.CheckoutView) {
	b.load.record.note(p, "refund asked for", func(a *acknowledged) { a.asked = true })
	err := b.insist(ctx, func(ctx context.Context) error {
		_, err := b.load.client.organiser.RefundOrder(ctx, p.Order)
		return err
	})
	if err == nil {
		b.load.record.note(p, "refund accepted", func(a *acknowledged) { a.refunding = true })
	}
}
