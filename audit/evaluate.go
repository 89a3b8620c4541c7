package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"boxoffice/domain"
)

// A Snapshot is what the four sources said about one sale, or, with an empty sale, about
// what belongs to no sale.
type Snapshot struct {
	Sale *domain.Sale
	At   time.Time

	// Unread lists the sources that could not be read, and why.
	Unread map[Source]error

	Workflows []domain.Workflow // of all sales
	// UnaskedWorkflows are overdue workflows beyond the number that an audit asks about.
	UnaskedWorkflows map[string]bool

	Orders  []domain.RecordedOrder
	Refunds []domain.Refund
	// Reversals are the recorded ones.
	Reversals []domain.Reversal
	Events    []domain.EventCount
	Readers   []domain.ReaderCount
	Figures   domain.FigureCheck

	Stocks []domain.StockLevel
	// Booked and Recorded are the capacities of the classes, by ledger: as the ledger's
	// transfers add up, and as the database has them.
	Booked   map[uint32]domain.BookedCapacity
	Recorded map[uint32]domain.RecordedCapacity
	Bookings map[uint32][]domain.StockUse // by ledger: each class and the perk
	Quota    domain.Quota
	// Checkouts are the buyers' open ones, where the sale limits them.
	Checkouts domain.Quota
	// Codes are the uses of codes, where a class of the sale is hidden.
	Codes domain.ClassCodeQuota
	Moved map[uint32]bool // ledgers whose balance changed while their transfers were read

	// The provider's records, only those of this sale.
	Captures        []domain.Capture
	Authorizes      bool             // money may be authorised before it is captured
	Authorized      []domain.Capture // neither captured nor released
	Returned        []Returned
	Disputes        []domain.Reversal
	Acknowledged    []domain.PaymentEvent
	UnknownSessions map[string]bool // orders without a capture whose session the provider never saw
	UnaskedSessions map[string]bool // orders without a capture whose session we did not ask about (sessionsMax)

	// Fates are the ledger's answers for orders with a capture that is not recorded.
	Fates map[domain.OrderID]domain.SeatFate
}

// lone reports whether the snapshot is about what belongs to no sale.
func (s *Snapshot) lone() bool { return s.Sale.ID == "" }

// EndWithinDefault is how long after its deadline a workflow may still be open: as long
// as the ledger's hold outlives the checkout by default.
const EndWithinDefault = 2 * time.Minute

// recordWithin is how long seats may be sold in the ledger before the database has their
// tickets, even while the workflow is open. One that hangs between the two keeps paid
// buyers waiting, whatever its deadline. The ledger's clock says when they were sold, and
// may differ from ours.
const recordWithin = 30*time.Second + domain.ClockSkewMax

// Evaluate checks every invariant on a snapshot. It sees only one moment: what it calls
// broken counts once it is seen twice (see Run).
func Evaluate(s *Snapshot, endWithin time.Duration) Report {
	return report(s, evaluate(s, endWithin), 1)
}

func report(s *Snapshot, checks []*check, looks int) Report {
	r := Report{SaleID: s.Sale.ID, At: s.At.UTC(), Looks: looks, Verdict: OK}
	for _, source := range AllSources {
		if err := s.Unread[source]; err != nil {
			r.Unread = append(r.Unread, UnreadSource{source, err.Error()})
		}
	}
	for _, c := range checks {
		result := c.finish(s.Unread)
		r.Verdict = worse(r.Verdict, result.Verdict)
		r.Results = append(r.Results, result)
		if c.ID == "I2" && result.Verdict == Broken && !s.lone() {
			if c.Subject == authorizations {
				r.Unheard = append(r.Unheard, unreleased(s, c.all)...)
			} else {
				r.Unheard = append(r.Unheard, unheard(s, c.all)...)
			}
		}
		if c.ID == "I7" && result.Verdict == Broken {
			r.Lost = lost(s, c.all)
		}
	}
	if len(s.Unread) == 0 {
		for _, unrecorded := range newReversals(s).unrecorded {
			r.Reversals = append(r.Reversals, unrecorded...)
		}
		slices.SortFunc(r.Reversals, func(a, b domain.Reversal) int { return strings.Compare(a.ID, b.ID) })
	}
	return r
}

// unheard returns the captures behind the offenders of I2 for which nothing at all was
// done, not even in the ledger: if the ledger sold something for a capture, somebody knew
// about it. The exception is a checkout that broke off: it did so between the sale and
// its record, and the payment finishes it. Then come captures whose refund is recorded as
// due, and whose workflow is gone, as after a loss of Temporal's database. Last come those
// whose refund is recorded as done but was not given: they may have to be settled at the
// provider, and must not keep the others waiting.
func unheard(s *Snapshot, offenders []Offender) []domain.Capture {
	var untouched, due, notGiven []domain.Capture
	b := newBooks(s)
	broken := make(map[string]bool)
	for _, o := range offenders {
		broken[o.ID] = o.Verdict == Broken
	}
	for _, capture := range s.Captures {
		_, isReturned := b.returned[capture.Payment]
		_, known := b.Fates[capture.Order]
		lost := !known || b.recordLost(capture.Order) && !b.brokeOff[capture.Order]
		refund, order := b.refunds[capture.Payment], b.tickets[capture.Payment]
		switch {
		case !broken[capture.Payment] || isReturned:
		case refund != nil && refund.RefundedAt.IsZero() && (order == nil || order.Status == domain.OrderRefunding):
			due = append(due, capture)
		case order != nil:
		case refund == nil && !lost:
			untouched = append(untouched, capture)
		case refund != nil && !refund.RefundedAt.IsZero():
			notGiven = append(notGiven, capture)
		}
	}
	return slices.Concat(untouched, due, notGiven)
}

func evaluate(s *Snapshot, endWithin time.Duration) []*check {
	b := newBooks(s)
	if s.lone() {
		return slices.Concat(
			[]*check{b.everyCaptureEndsOnce()}, b.everyAuthorizationEnds(),
			[]*check{b.oneCaptureAnOrder(), b.acknowledgedSurvives()},
			b.eventsAreComplete(),
			[]*check{b.recordsAreThere()}, b.readersMissNothing(),
			[]*check{b.figuresMatchRecords(), b.workflowsEnd(endWithin)},
		)
	}
	return slices.Concat(
		b.capacities(),
		b.quotasHold(),
		[]*check{b.everyCaptureEndsOnce()}, b.everyAuthorizationEnds(),
		[]*check{b.everyTicketIsPaid()},
		b.ledgerMatchesTickets(),
		[]*check{b.holdsHaveCheckouts(), b.balancesMatchTransfers(), b.oneCaptureAnOrder(), b.acknowledgedSurvives()},
		b.eventsAreComplete(),
		[]*check{b.recordsAreThere()}, b.readersMissNothing(),
		[]*check{b.figuresMatchRecords(), b.workflowsEnd(endWithin)},
	)
}

// books are a snapshot's entries, indexed by key.
type books struct {
	*Snapshot
	open map[domain.OrderID]bool // orders with an open workflow
	// inCheckout are those with an open workflow that is neither a late payment nor a
	// refund.
	inCheckout map[domain.OrderID]bool
	brokeOff   map[domain.OrderID]bool      // orders whose checkout closed without a result
	booked     map[uint32][]domain.StockUse // the snapshot's, and those of the quotas
	orders     map[domain.OrderID]*domain.RecordedOrder
	tickets    map[string]*domain.RecordedOrder // by payment
	refunds    map[string]*domain.Refund
	captures   map[string]*domain.Capture
	returned   map[string]sum // what was given back, by payment
	reasons    map[string]domain.RefundReason
	reversals  reversals
}

func newBooks(s *Snapshot) *books {
	b := &books{
		Snapshot:   s,
		open:       make(map[domain.OrderID]bool, len(s.Workflows)),
		inCheckout: make(map[domain.OrderID]bool, len(s.Workflows)),
		brokeOff:   make(map[domain.OrderID]bool),
		booked:     make(map[uint32][]domain.StockUse, len(s.Bookings)+1),
		orders:     make(map[domain.OrderID]*domain.RecordedOrder, len(s.Orders)),
		tickets:    make(map[string]*domain.RecordedOrder, len(s.Orders)),
		refunds:    make(map[string]*domain.Refund, len(s.Refunds)),
		captures:   make(map[string]*domain.Capture, len(s.Captures)),
		returned:   make(map[string]sum, len(s.Returned)),
		reasons:    make(map[string]domain.RefundReason, len(s.Returned)),
	}
	for _, w := range s.Workflows {
		if !w.Failed {
			b.open[w.Order] = true
			if !strings.HasPrefix(w.ID, "late/") && !strings.HasPrefix(w.ID, "refund/") {
				b.inCheckout[w.Order] = true
			}
		} else if strings.HasPrefix(w.ID, "checkout/") {
			b.brokeOff[w.Order] = true
		}
	}
	maps.Copy(b.booked, s.Bookings)
	for _, quota := range b.quotas() {
		for _, use := range quota.Uses {
			b.booked[quota.ledger] = append(b.booked[quota.ledger], use.StockUse)
		}
	}
	for i := range s.Orders {
		b.orders[s.Orders[i].ID] = &s.Orders[i]
		b.tickets[s.Orders[i].Payment] = &s.Orders[i]
	}
	for i := range s.Refunds {
		b.refunds[s.Refunds[i].Capture.Payment] = &s.Refunds[i]
	}
	for i := range s.Captures {
		b.captures[s.Captures[i].Payment] = &s.Captures[i]
	}
	for _, r := range s.Returned {
		b.returned[r.Payment] = sum{b.returned[r.Payment].minor + r.AmountMinor, r.Currency}
		if !r.Elsewhere {
			b.reasons[r.Payment] = r.Reason
		}
	}
	b.reversals = newReversals(s)
	return b
}

// suspect is the verdict on something wrong with an order.
func (b *books) suspect(order domain.OrderID) Verdict {
	if b.open[order] {
		return InFlight
	}
	return Broken
}

// unrecorded is the verdict on seats that are sold and have no tickets.
func (b *books) unrecorded(booking *domain.StockUse) Verdict {
	if b.At.Sub(booking.SoldAt) > recordWithin && !b.mayAwaitCapture(booking.Order) {
		return Broken
	}
	return b.suspect(booking.Order)
}

// mayAwaitCapture: the order's seats are sold before its money is captured, and a provider
// that is away lets it wait. L says for how long.
func (b *books) mayAwaitCapture(order domain.OrderID) bool {
	return authorizes(b.Sale) && b.open[order]
}

func newCheck(id, subject, says, left, relation, right, toDo string) *check {
	return &check{
		Result: Result{ID: id, Subject: subject, Says: says, Left: Side{Name: left}, Relation: relation, Right: Side{Name: right}},
		toDo:   toDo,
	}
}

// capacities is I1, a result a stock.
func (b *books) capacities() []*check {
	var checks []*check
	for _, stock := range b.stocks() {
		c := newCheck("I1", stock.subject, "No stock has more held and sold than its capacity.",
			"pending + posted", "≤", "capacity, less what was withdrawn",
			"Stop the sale. Compare the stock's accounts with its transfers: the budget account must carry debits_must_not_exceed_credits.").from(SourceLedger)
		booked, agrees := b.capacityOf(&stock)
		c.Right.Value = stock.capacity
		checks = append(checks, c)
		i := slices.IndexFunc(b.Stocks, func(l domain.StockLevel) bool { return l.Ledger == stock.ledger })
		if i < 0 {
			c.add(Broken, stock.id(), domain.OrderID{}, "the ledger does not have it")
			continue
		}
		level := b.Stocks[i]
		c.Left.Value = level.Held + level.Sold
		// What an organiser takes back from the budget of a canceled sale can never be
		// sold again. What was lowered is no longer part of the capacity.
		withdrawn := level.Capacity - level.Held - level.Sold - level.Available
		c.Right.Value -= max(withdrawn-booked.Lowered, 0)
		switch {
		case level.Held+level.Sold > c.Right.Value || level.Available < 0:
			c.add(Broken, stock.id(), domain.OrderID{}, "%d held + %d sold of %d: oversold", level.Held, level.Sold, c.Right.Value)
		case withdrawn < 0:
			c.add(Broken, stock.id(), domain.OrderID{}, "%d held + %d sold + %d available exceed the %d that it was funded with",
				level.Held, level.Sold, level.Available, level.Capacity)
		}
		if level.Capacity-booked.Lowered != stock.capacity || !agrees {
			c.add(Broken, stock.id(), domain.OrderID{}, "funded with %d, the sale says %d: if the orders database was put back, `boxoffice restore-orders` mends it",
				level.Capacity-booked.Lowered, b.recordedCapacity(&stock))
		}
	}
	return checks
}

// capacityOf says what a class may have sold: by the ledger, if the record agrees with it or is
// about to. It replaces the stock's capacity, which is as old as the sale that the audit was
// given. A perk's never changes.
func (b *books) capacityOf(s *stock) (booked domain.BookedCapacity, agrees bool) {
	booked, isBooked := b.Booked[s.ledger]
	recorded, isRecorded := b.Recorded[s.ledger]
	switch {
	case !isBooked:
		return domain.BookedCapacity{}, true
	case !isRecorded || recorded.Agrees(booked):
		s.capacity = booked.Now()
		return booked, true
	default:
		s.capacity = recorded.Capacity
		return booked, false
	}
}

func (b *books) recordedCapacity(s *stock) int64 {
	if recorded, ok := b.Recorded[s.ledger]; ok {
		return recorded.Capacity
	}
	return s.capacity
}

// quotasHold is I1 for the buyers, a result a quota.
func (b *books) quotasHold() []*check {
	var checks []*check
	for _, quota := range b.quotas() {
		c := newCheck("I1", quota.subject, quota.says,
			quota.left, "≤", quota.right,
			"Stop the sale. Look at "+quota.account+": it must be funded once and carry debits_must_not_exceed_credits.").from(SourceLedger)
		checks = append(checks, c)
		c.Right.Value = quota.capacity
		has := make(map[domain.BuyerID]int64)
		for _, use := range quota.Uses {
			has[use.Buyer] += use.Held + use.Sold
		}
		for buyer, n := range has {
			limit := quota.limitOf(buyer)
			if n > limit {
				c.add(Broken, buyer.String(), domain.OrderID{}, "%d held and sold of at most %d", n, limit)
			}
			// Limits that differ are compared by what goes beyond them.
			c.Left.Value = max(c.Left.Value, n-limit+quota.capacity)
		}
	}
	return checks
}

// limitOf is the most that a buyer may have, or how often a code may be used.
func (q *quotaStock) limitOf(id domain.BuyerID) int64 {
	if q.budgets == nil {
		return q.capacity
	}
	return q.budgets[domain.ClassCodeID(id)] // one that was never made: 0
}

// A stock is a class or the perk of the sale, or its buyers' quota.
type stock struct {
	subject  string
	ledger   uint32
	capacity int64
	sold     func(o *domain.RecordedOrder) int64 // how much of it a paid order has
	kept     bool                                // a refunded order may keep it: the T-shirt is gone
}

func (s *stock) id() string { return fmt.Sprintf("%s (ledger %d)", s.subject, s.ledger) }

func (b *books) stocks() []stock {
	var all []stock
	for _, class := range b.Sale.Classes {
		all = append(all, stock{subject: "class " + class.Name, ledger: class.Ledger, capacity: class.Capacity,
			sold: func(o *domain.RecordedOrder) int64 { return o.Tickets[class.Name] }})
	}
	if perk := b.Sale.Perk; perk != nil {
		all = append(all, stock{subject: "perk " + perk.Name, ledger: perk.Ledger, capacity: perk.Capacity, kept: true,
			sold: func(o *domain.RecordedOrder) int64 {
				if o.PerkTaken {
					return 1
				}
				return 0
			}})
	}
	return all
}

// A quotaStock is booked like a stock, with a budget of its capacity for each buyer.
type quotaStock struct {
	stock
	domain.Quota
	says        string                       // as I1
	left, right string                       // the two sides of it
	account     string                       // which one is the buyer's
	budgets     map[domain.ClassCodeID]int64 // of codes; nil: everybody has the capacity
}

func (b *books) quotas() []quotaStock {
	quotas := []quotaStock{{
		stock: stock{subject: "quota", ledger: b.Sale.QuotaLedger, capacity: b.Sale.BuyerLimit, sold: func(o *domain.RecordedOrder) (n int64) {
			for _, tickets := range o.Tickets {
				n += tickets
			}
			return n
		}},
		Quota:   b.Quota,
		says:    "No buyer has more held and sold than the sale allows.",
		left:    "the most that a buyer has",
		right:   "the sale's limit",
		account: "the buyer's account in the quota ledger (the offender's id)",
	}}
	if b.Sale.OneCheckoutPerBuyer {
		quotas = append(quotas, quotaStock{
			// A checkout is either open or not: nothing of it is ever posted.
			stock:   stock{subject: "open checkouts", ledger: b.Sale.CheckoutLedger, capacity: 1, sold: func(*domain.RecordedOrder) int64 { return 0 }},
			Quota:   b.Checkouts,
			says:    "No buyer has more than one checkout open.",
			left:    "the most that a buyer has",
			right:   "the sale's limit",
			account: "the buyer's account in the ledger of open checkouts (the offender's id with its last bit flipped)",
		})
	}
	if b.Sale.HasHidden() {
		quotas = append(quotas, quotaStock{
			stock:   stock{subject: "codes", ledger: b.Sale.CodeLedger, sold: b.codesUsed},
			Quota:   b.Codes.Quota,
			says:    "No code is used more often than it may be.",
			left:    "the most uses of a code beyond its own number",
			right:   "none",
			account: "the code's account in the ledger of codes (the offender's id)",
			budgets: b.Codes.Budgets,
		})
	}
	return quotas
}

// codesUsed is how many codes an order uses: one if it has a ticket of a hidden class.
func (b *books) codesUsed(o *domain.RecordedOrder) int64 {
	for i := range b.Sale.Classes {
		if class := &b.Sale.Classes[i]; class.Hidden && o.Tickets[class.Name] > 0 {
			return 1
		}
	}
	return 0
}

// everyCaptureEndsOnce is I2.
func (b *books) everyCaptureEndsOnce() *check {
	c := newCheck("I2", "", "Every captured payment has exactly one ticket order or one refund, and what was captured is kept, refunded or disputed.",
		"captured payments", "=", "of them with one ticket order or one refund",
		b.captureToDo()).from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	c.Left.Value = int64(len(b.Captures))
	for i := range b.Captures {
		capture := &b.Captures[i]
		what := b.endingProblem(capture)
		switch {
		case what == "":
			c.Right.Value++
			if what := b.reversalToTell(capture); what != "" {
				c.add(Warning, capture.Payment, capture.Order, "%s", what)
			}
		case b.refundWaits(capture):
			refund := b.refunds[capture.Payment]
			c.add(Waiting, capture.Payment, capture.Order, "the refund (%s) was requested %s ago and is not done: L says what it waits for",
				refund.Reason, age(b.At.Sub(refund.RequestedAt)))
		default:
			c.add(b.suspect(capture.Order), capture.Payment, capture.Order, "%s", what)
		}
	}
	return c
}

func (b *books) captureToDo() string {
	if b.lone() {
		return "No order here knows this payment. Ask the provider what it was for, then refund it there. One that I7 names too is of an order of ours, whose sale is not in this database: do not refund it."
	}
	return "A payment with neither: its report was lost. The scheduled audit brings it to its checkout, and the next one must find it settled; if not, refund it. A lost record (I7): do not refund it, `boxoffice restore-orders`. One with both: collect the refund or cancel the tickets. Waiting: the provider or the database does not let the refund through."
}

// refundWaits: the refund is on record, a workflow works on it, and it takes long.
func (b *books) refundWaits(capture *domain.Capture) bool {
	refund, order := b.refunds[capture.Payment], b.tickets[capture.Payment]
	return refund != nil && refund.RefundedAt.IsZero() && b.open[capture.Order] &&
		(order == nil || order.Status == domain.OrderRefunding) && b.At.Sub(refund.RequestedAt) > EndWithinDefault
}

func age(d time.Duration) time.Duration { return d.Round(time.Second) }

// endingProblem says what is wrong with how a capture ended; empty if nothing is.
func (b *books) endingProblem(capture *domain.Capture) string {
	order, refund := b.tickets[capture.Payment], b.refunds[capture.Payment]
	returned, isReturned := b.returned[capture.Payment]
	taken, elsewhere := b.reversals.taken[capture.Payment], b.reversals.elsewhere[capture.Payment]
	stands := order != nil && order.Status.Terms().Tickets == domain.TicketsValid
	switch {
	case stands && returned.minor > elsewhere:
		return "tickets that stand, and the provider gave the money back"
	case stands && refund != nil:
		return "tickets that stand, and a refund on record"
	case stands:
		return differs(order.AmountMinor, order.Currency, capture)
	case refund == nil && isReturned:
		return "the provider gave the money back, and there is no record of it"
	case refund == nil && order != nil:
		return fmt.Sprintf("the order is %s, and there is no refund on record", order.Status)
	case refund == nil && b.recordLost(capture.Order):
		return "sold in the ledger, and its record is lost: see I7"
	case refund == nil:
		return "neither tickets nor a refund"
	case refund.RefundedAt.IsZero():
		return "the refund was requested and is not done"
	case !isReturned && taken == 0:
		return "recorded as refunded, the provider has not given it back"
	case isReturned && returned.currency != capture.Currency, returned.minor+taken < capture.AmountMinor:
		return fmt.Sprintf("%s of %s were given back", sum{returned.minor + taken, cmp.Or(returned.currency, capture.Currency)}, sum{capture.AmountMinor, capture.Currency})
	case returned.minor > capture.AmountMinor:
		return fmt.Sprintf("%s of %s were given back", returned, sum{capture.AmountMinor, capture.Currency})
	case order != nil && order.Status.Terms().Waiting:
		return fmt.Sprintf("refunded, and the order is still %s", order.Status)
	}
	return differs(refund.Capture.AmountMinor, refund.Capture.Currency, capture)
}

// A sum is an amount of money in minor units.
type sum struct {
	minor    int64
	currency string
}

func (s sum) String() string { return fmt.Sprintf("%d %s (minor units)", s.minor, s.currency) }

// differs says how the record of a capture differs from the provider's; empty if it does
// not.
func differs(recordedMinor int64, currency string, capture *domain.Capture) string {
	recorded, captured := sum{recordedMinor, currency}, sum{capture.AmountMinor, capture.Currency}
	if recorded == captured {
		return ""
	}
	return fmt.Sprintf("%s recorded, %s captured", recorded, captured)
}

// everyTicketIsPaid is I3.
func (b *books) everyTicketIsPaid() *check {
	c := newCheck(
		"I3",
		"",
		"No ticket without a captured payment of its price.",
		"orders with tickets",
		"=",
		"of them captured at the provider, or free",
		"Unconfirmed (a warning): a signed webhook for a session that the provider never saw, as test tools send; if no tool of yours did, change the webhook secret. Broken: void the tickets of the order.",
	).from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	c.Left.Value = int64(len(b.Orders))
	for i := range b.Orders {
		order := &b.Orders[i]
		what := b.priceProblem(order)
		switch {
		case what != "":
			c.add(b.suspect(order.ID), order.ID.String(), order.ID, "%s", what)
		case b.captures[order.Payment] != nil, isFree(order):
			c.Right.Value++
		case b.UnknownSessions[order.Session]:
			c.add(Warning, order.ID.String(), order.ID, "unconfirmed: the provider does not know session %s", order.Session)
		case b.UnaskedSessions[order.Session]:
			c.add(Warning, order.ID.String(), order.ID, "not captured; there were too many to ask the provider whether it knows session %s", order.Session)
		default:
			c.add(b.suspect(order.ID), order.ID.String(), order.ID, "tickets, and payment %s was never captured", order.Payment)
		}
	}
	return c
}

// isFree: it was sold without a payment, and costs nothing. Its price was compared before.
func isFree(order *domain.RecordedOrder) bool {
	free := domain.FreeCapture(&domain.Order{ID: order.ID})
	return order.LinesMinor == 0 && order.Payment == free.Payment
}

// priceProblem says if the price of an order, what was recorded as paid and what the
// provider captured disagree; empty if they agree.
func (b *books) priceProblem(order *domain.RecordedOrder) string {
	price, paid := sum{order.LinesMinor, b.Sale.Currency}, sum{order.AmountMinor, order.Currency}
	if price != paid {
		return fmt.Sprintf("its lines cost %s, %s recorded as paid", price, paid)
	}
	capture := b.captures[order.Payment]
	switch {
	case capture == nil:
		return ""
	case capture.Order != order.ID:
		return fmt.Sprintf("payment %s was captured for order %s", order.Payment, capture.Order)
	default:
		return differs(order.AmountMinor, order.Currency, capture)
	}
}

// ledgerMatchesTickets is the first half of I4, one result per stock: the ledger has sold
// what the database has recorded, order by order.
func (b *books) ledgerMatchesTickets() []*check {
	var checks []*check
	stocks := b.stocks()
	for _, quota := range b.quotas() {
		stocks = append(stocks, quota.stock)
	}
	for _, stock := range stocks {
		c := newCheck(
			"I4",
			stock.subject,
			"At rest, what the ledger sold is what was recorded.",
			"posted in the ledger",
			"=",
			"recorded in orders",
			"Sold and not recorded: send the payment's webhook again, the checkout records it; where I7 says that its record is lost, `boxoffice restore-orders`. Recorded and not sold: the seats of that order were given away, see the ledger's transfers with user_data_128 = the order.",
		).from(SourceLedger, SourceOrders, SourceTemporal)
		checks = append(checks, c)
		posted := make(map[domain.OrderID]int64)
		for _, booking := range b.booked[stock.ledger] {
			if booking.Sold == 0 {
				continue
			}
			id := booking.Order
			posted[id] = booking.Sold
			c.Left.Value += booking.Sold
			if b.orders[id] == nil {
				c.add(b.unrecorded(&booking), id.String(), id, "%d sold in the ledger at %s, no tickets recorded",
					booking.Sold, booking.SoldAt.UTC().Format(time.RFC3339))
			}
		}
		for i := range b.Orders {
			order := &b.Orders[i]
			c.Right.Value += b.compareOrder(c, &stock, order, posted[order.ID])
		}
	}
	return checks
}

// compareOrder returns how much of a stock an order has, by the database.
func (b *books) compareOrder(c *check, stock *stock, order *domain.RecordedOrder, posted int64) int64 {
	terms, sold := order.Status.Terms(), stock.sold(order)
	recorded := sold
	switch {
	case stock.kept && terms.Tickets == domain.TicketsVoid && (posted == 0 || posted == sold):
		return posted
	case terms.Seats == domain.SeatsReturned:
		recorded = 0
	}
	if posted != recorded {
		c.add(b.suspect(order.ID), order.ID.String(), order.ID, "%d sold in the ledger, %d recorded; the order is %s", posted, recorded, order.Status)
	}
	return recorded
}

// holdsHaveCheckouts is the other half of I4.
func (b *books) holdsHaveCheckouts() *check {
	c := newCheck(
		"I4",
		"holds",
		"No hold outlives its checkout.",
		"orders with a hold",
		"=",
		"of them with an open workflow",
		"The ledger frees the hold by itself some time after the checkout's deadline (BOXOFFICE_HOLD_GRACE, 2 min by default). If holds stay, the checkouts ended without a void: look at the workflow's history.",
	).from(SourceLedger, SourceTemporal)
	held := make(map[domain.OrderID]int64)
	for _, bookings := range b.booked {
		for _, booking := range bookings {
			if booking.Held != 0 {
				held[booking.Order] = max(held[booking.Order], booking.Held)
			}
		}
	}
	c.Left.Value = int64(len(held))
	for id, n := range held {
		if b.open[id] {
			c.Right.Value++
			continue
		}
		c.add(Broken, id.String(), id, "%d still held, and no workflow is open", n)
	}
	return c
}

// balancesMatchTransfers compares the ledger's balances with its transfers. It finds what
// belongs to no order, and an audit that read only a part.
func (b *books) balancesMatchTransfers() *check {
	c := newCheck("I4", "balances", "The ledger's balances are the sum of its orders' transfers.",
		"held + sold by balance", "=", "held + sold by transfers",
		"Transfers without an order id, or an incomplete reading: list the stock's transfers.").from(SourceLedger)
	type balance struct {
		domain.StockLevel
		moved bool // while the transfers were read
	}
	var balances []balance
	for _, level := range b.Stocks {
		balances = append(balances, balance{level, b.Moved[level.Ledger]})
	}
	for _, quota := range b.quotas() {
		balances = append(balances, balance{domain.StockLevel{Name: quota.subject, Ledger: quota.ledger, Held: quota.Held, Sold: quota.Sold}, quota.Moved})
	}
	for _, level := range balances {
		var pending, posted int64
		for _, booking := range b.booked[level.Ledger] {
			pending += booking.Held
			posted += booking.Sold
		}
		c.Left.Value += level.Held + level.Sold
		c.Right.Value += pending + posted
		if pending != level.Held || posted != level.Sold {
			verdict := Broken
			if level.moved {
				verdict = InFlight // the two are from different moments
			}
			c.add(verdict, fmt.Sprintf("%s (ledger %d)", level.Name, level.Ledger), domain.OrderID{},
				"balances: %d held, %d sold; transfers: %d held, %d sold", level.Held, level.Sold, pending, posted)
		}
	}
	return c
}

// oneCaptureAnOrder is I5.
func (b *books) oneCaptureAnOrder() *check {
	c := newCheck(
		"I5",
		"",
		"At most one capture an order.",
		"captured payments",
		"=",
		"orders with a captured payment",
		"Refund all but the one that bought the tickets, and ask the provider how one session was captured twice.",
	).from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	byOrder := make(map[domain.OrderID][]string, len(b.Captures))
	for _, capture := range b.Captures {
		byOrder[capture.Order] = append(byOrder[capture.Order], capture.Payment)
	}
	c.Left.Value, c.Right.Value = int64(len(b.Captures)), int64(len(byOrder))
	for id, payments := range byOrder {
		if len(payments) == 1 {
			continue
		}
		standing := slices.DeleteFunc(slices.Clone(payments), func(p string) bool { _, returned := b.returned[p]; return returned })
		if len(standing) > 1 {
			c.add(b.suspect(id), id.String(), id, "captured %d times and not given back: %v", len(standing), standing)
			continue
		}
		c.add(Warning, id.String(), id, "captured %d times, all but %d given back: %v", len(payments), len(standing), payments)
	}
	return c
}

// acknowledgedSurvives is I6 for money. Other things that we acknowledge show elsewhere:
// a failed payment frees the hold (I4), an order has its event.
func (b *books) acknowledgedSurvives() *check {
	c := newCheck(
		"I6",
		"webhooks",
		"Whatever was acknowledged survives.",
		"acknowledged payments",
		"=",
		"of them with tickets or a refund",
		"Send the event again: the provider has it. Then find out what lost it: nothing may answer 2xx before the workflow has the event.",
	).from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	seen := make(map[string]bool, len(b.Acknowledged))
	for _, event := range b.Acknowledged {
		if event.Type != domain.PaymentSucceeded || seen[event.Payment] {
			continue
		}
		seen[event.Payment] = true
		c.Left.Value++
		if b.tickets[event.Payment] != nil || b.refunds[event.Payment] != nil {
			c.Right.Value++
			continue
		}
		c.add(b.suspect(event.Order), event.Payment, event.Order, "event %s was acknowledged and had no effect", event.ID)
	}
	return c
}

// eventsAreComplete is I6 for the outbox, a result a kind of event.
func (b *books) eventsAreComplete() []*check {
	var checks []*check
	for _, count := range b.Events {
		c := newCheck("I6", string(count.Event), "Whatever was recorded has its event.",
			"events", "=", "rows that they tell of",
			"Event and row are written in one transaction: somebody changed one of them by hand, or a backup was put back.").from(SourceOrders)
		c.Left.Value, c.Right.Value = count.Events, count.Rows
		for _, payment := range count.Lone {
			c.add(Broken, payment, domain.OrderID{}, "the event or what it tells of is missing")
		}
		if count.Events != count.Rows && len(count.Lone) == 0 {
			c.add(Broken, string(count.Event), domain.OrderID{}, "%d events for %d rows", count.Events, count.Rows)
		}
		checks = append(checks, c)
	}
	return checks
}

// readersMissNothing is I8, a result for each reader whose effects are rows of the orders
// database. Cursors and effects are read in one snapshot, and a cursor moves after the
// effect, so nothing is in flight here.
func (b *books) readersMissNothing() []*check {
	var checks []*check
	for _, count := range b.Readers {
		subject, left, right := "positions", "cursors, and events set aside", "of them where the log is"
		switch count.Reader {
		case domain.ReaderMail:
			subject, left, right = count.Reader, "events read that call for a mail", "of them with exactly one"
		case domain.ReaderWebhooks:
			subject, left, right = count.Reader, "events read, for each endpoint that wants them", "of them queued for it, once"
		}
		c := newCheck("I8", subject, "No reader has skipped an event, or made two things of it.", left, "=", right,
			"Somebody changed cursors, mails or deliveries by hand, or a backup was put back. Redeliver the webhooks that are missing; insert the mail that is missing into mails, with the event's id.").
			from(SourceOrders)
		c.Left.Value, c.Right.Value = count.Owed, count.Done
		for _, fault := range count.Faults {
			c.add(Broken, fault.ID, fault.Order, "%s", fault.What)
		}
		if count.Owed != count.Done && len(count.Faults) == 0 {
			c.add(Broken, subject, domain.OrderID{}, "%d of %d", count.Done, count.Owed)
		}
		checks = append(checks, c)
	}
	return checks
}

// figuresMatchRecords is I9: what organisers are shown. That the records are what the
// ledger sold is I4.
func (b *books) figuresMatchRecords() *check {
	c := newCheck("I9", "figures", "The view of sales is what is on record.",
		"rows of the view", "=", "of them as orders and refunds say",
		"`boxoffice replay` compares the view with the event log: where they differ, somebody changed it, and --mend corrects it; where they are equal, the log lacks an event (I6).").
		from(SourceOrders)
	c.Left.Value, c.Right.Value = b.Figures.Rows, b.Figures.Rows-b.Figures.Different
	for _, d := range b.Figures.Differences {
		verdict, why := Broken, ""
		begun := d.Figure == domain.FigureRefundBegun || d.Figure == domain.FigureVoided
		switch {
		case b.Figures.Unread > 0:
			verdict, why = InFlight, fmt.Sprintf("; %d events are still to be read", b.Figures.Unread)
		case begun && b.Figures.Unannounced > 0 && d.View.Count < d.Want.Count:
			verdict, why = Warning, "; a node of an earlier release began a refund and wrote no event of it"
		}
		c.add(verdict, d.FigureKey.String(), domain.OrderID{}, "the view has %d and %s, on record are %d and %s%s",
			d.View.Count, domain.FormatMoney(d.View.AmountMinor, d.Currency), d.Want.Count, domain.FormatMoney(d.Want.AmountMinor, d.Currency), why)
	}
	return c
}

// workflowsEnd is L, and lists what is in flight.
func (b *books) workflowsEnd(endWithin time.Duration) *check {
	c := newCheck(
		"L",
		"",
		"Every workflow ends once faults end.",
		"open workflows",
		"=",
		"of them within their time",
		"Start a worker where none runs. Else open the workflow in the Web UI: its pending activity says what it waits for. A failed one can be reset to before its failure.",
	).from(SourceTemporal)
	for _, w := range b.Workflows {
		if w.SaleID != b.Sale.ID {
			continue
		}
		if w.Failed {
			c.add(Warning, w.ID, w.Order, "closed without completing")
			continue
		}
		c.Left.Value++
		late := b.At.Sub(b.due(&w))
		switch {
		case late <= endWithin:
			c.Right.Value++
			c.add(InFlight, w.ID, w.Order, "open since %s", w.StartedAt.UTC().Format(time.RFC3339))
		case w.WaitsFor != "":
			c.add(Waiting, w.ID, w.Order, "due %s ago, waits for %s", age(late), w.WaitsFor)
		case b.UnaskedWorkflows[w.ID]:
			c.add(Warning, w.ID, w.Order, "due %s ago, and so are more than Temporal was asked about", age(late))
		default:
			c.add(Broken, w.ID, w.Order, "should have ended %s ago", age(late))
		}
	}
	return c
}

// due is when a workflow of the sale should end by itself. A checkout waits for its
// payment, and for one that is being processed as long as the sale allows; the others wait
// for nobody.
func (s *Snapshot) due(w *domain.Workflow) time.Time {
	if w.Checkout {
		return w.StartedAt.Add(s.Sale.HoldTimeout + s.Sale.ProcessingExtension)
	}
	return w.StartedAt
}
