package orders

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/tracing"

	"github.com/jackc/pgx/v5/pgtype"
	"go.opentelemetry.io/otel/trace"
)

// What a payment bought, as in the table payments.
const (
	boughtTickets = "tickets"
	boughtNothing = "nothing"
)

// Record stores a sold order, its tickets and its event, in one transaction with all orders
// that waited for the previous one. ticketCode returns the code of the n-th ticket, n from
// 1, and must return the same one on every attempt. Repeated with the same payment, Record
// returns what is stored. Don't change the order's lines afterwards: they may still be in
// use when the caller's context ends.
//
// Errors: *domain.Error with CodeExists if another payment has bought the order, or this
// payment is being refunded or bought another order; with CodeInvalid if the capture is not
// what the order costs; with CodeInternal if the database refuses the order itself, so that
// it can never be recorded; with CodeOverloaded if it was not sent, because too many orders
// wait or the caller's context ended before its turn.
func (s *Store) Record(ctx context.Context, sold domain.Sold, ticketCode func(n int) string) (recorded domain.SoldOrder, err error) {
	if sold.Capture.Authorized {
		return domain.SoldOrder{}, onlyAuthorized(sold.Capture)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ctx, span := startRecord(ctx)
	defer func() { tracing.End(span, err) }()
	r := &recording{sold: sold, ticketCode: ticketCode}
	if s.records == nil {
		s.recordAll(ctx, []*recording{r})
		return r.result, r.err
	}
	if span.IsRecording() {
		r.span = span
	}
	return s.records.submit(ctx, r)
}

// onlyAuthorized is our own fault: money that was not taken buys no ticket, and is no
// refund.
func onlyAuthorized(c domain.Capture) error {
	return &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("payment %s of order %s is only authorised: nothing was taken", c.Payment, c.Order)}
}

// A recording is an order that is being recorded; recordAll sets either result or err.
type recording struct {
	sold       domain.Sold
	ticketCode func(n int) string
	span       trace.Span // if it is recorded; else nil

	result domain.SoldOrder
	err    error
	done   bool

	answered chan struct{} // closed once result and err are final; nil outside a queue
}

func (r *recording) id() string                 { return r.sold.Order.ID.String() }
func (r *recording) succeed(o domain.SoldOrder) { r.result, r.done = o, true }
func (r *recording) fail(err error)             { r.err, r.done = err, true }

// recordAttemptsMax bounds the retries after conflicts with orders of the same ids. Each
// attempt but the last settles at least one of them.
const recordAttemptsMax = 3

// recordAll stores many orders in one transaction and one round trip. It reads only after a
// conflict, which means a repeat and is rare. An order that the database refuses does not
// fail the others.
func (s *Store) recordAll(ctx context.Context, all []*recording) {
	for _, r := range all {
		if err := checkSold(&r.sold); err != nil {
			r.fail(err)
		}
	}
	for range recordAttemptsMax {
		open := stillOpen(all)
		if len(open) == 0 {
			return
		}
		err := s.insertSold(ctx, open)
		switch {
		case err == nil:
			for _, r := range stillOpen(open) {
				r.succeed(soldOrder(&r.sold, r.ticketCode))
			}
		case isUniqueViolation(err):
			s.settleRepeats(ctx, open)
			if len(stillOpen(open)) == len(open) {
				s.recordHalves(ctx, open) // two of them have a key in common
			}
		case didNotHappen(err) && !isAway(err):
			s.recordHalves(ctx, open)
			failAll(open, err)
		default:
			failAll(open, err)
		}
	}
	failAll(all, errors.New("another order has one of its keys"))
}

// recordHalves splits a refused batch in two to find the order at fault. A single order
// keeps its error.
func (s *Store) recordHalves(ctx context.Context, open []*recording) {
	if len(open) == 1 {
		return
	}
	half := len(open) / 2
	s.recordAll(ctx, open[:half])
	s.recordAll(ctx, open[half:])
}

func stillOpen(all []*recording) []*recording {
	return slices.DeleteFunc(slices.Clone(all), func(r *recording) bool { return r.done })
}

func failAll(all []*recording, err error) {
	for _, r := range all {
		if !r.done {
			r.fail(writeFailed("record order", r.id(), err))
		}
	}
}

func checkSold(sold *domain.Sold) error {
	switch {
	case sold.Order.ID.IsZero():
		return domain.Invalid("order", "must have an id")
	case sold.Capture.Payment == "":
		return domain.Invalid("payment", "must have an id")
	case !sold.Capture.Pays(&sold.Order):
		return domain.Invalid("payment", "must be what the order costs")
	case sold.PaidAt.IsZero():
		return domain.Invalid("paid_at", "must be set")
	case sold.PerkTaken && sold.Order.Perk == nil:
		return domain.Invalid("perk_taken", "must be false if the sale has no perk")
	}
	return nil
}

// settleRepeats answers the orders that are already stored, or whose payment is.
func (s *Store) settleRepeats(ctx context.Context, open []*recording) {
	ids := make([]pgtype.UUID, 0, len(open))
	payments := make([]string, 0, len(open))
	for _, r := range open {
		ids = append(ids, uuidOf(r.sold.Order.ID))
		payments = append(payments, r.sold.Capture.Payment)
	}
	there, err := s.queryOrders(ctx, `WHERE o.id = ANY($1)`, ids)
	if err != nil {
		failAll(open, err)
		return
	}
	fates, err := s.fates(ctx, payments)
	if err != nil {
		failAll(open, err)
		return
	}
	for _, r := range open {
		i := slices.IndexFunc(there, func(o domain.SoldOrder) bool { return o.ID == r.sold.Order.ID })
		fate, known := fates[r.sold.Capture.Payment]
		switch {
		case i >= 0 && there[i].Capture.Payment == r.sold.Capture.Payment:
			r.succeed(there[i])
		case i >= 0:
			r.fail(&domain.Error{Code: domain.CodeExists, Detail: "Another payment bought this order already."})
		case known && fate.bought == boughtTickets:
			r.fail(&domain.Error{Code: domain.CodeExists, Detail: "This payment bought another order."})
		case known:
			r.fail(&domain.Error{Code: domain.CodeExists, Detail: "This payment is being refunded."})
		}
	}
}

// A fate says what a payment bought.
type fate struct {
	order  domain.OrderID
	bought string
}

func (s *Store) fates(ctx context.Context, payments []string) (map[string]fate, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, order_id, bought FROM payments WHERE id = ANY($1)`, payments)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	fates := make(map[string]fate, len(payments))
	for rows.Next() {
		var (
			id    string
			order pgtype.UUID
			f     fate
		)
		if err := rows.Scan(&id, &order, &f.bought); err != nil {
			return nil, err
		}
		f.order = order.Bytes
		fates[id] = f
	}
	return fates, rows.Err()
}

// insertSold is one statement and so its own transaction, without round trips for BEGIN and
// COMMIT. Foreign keys are checked at its end. An order that cannot be encoded fails alone
// and is left out.
func (s *Store) insertSold(ctx context.Context, open []*recording) error {
	// In the same order everywhere, so that two nodes with the same orders wait for each other
	// instead of deadlocking.
	open = slices.SortedFunc(slices.Values(open), func(a, b *recording) int {
		return slices.Compare(a.sold.Order.ID[:], b.sold.Order.ID[:])
	})
	var c soldColumns
	for _, r := range open {
		if err := c.add(&r.sold, r.ticketCode); err != nil {
			r.fail(&domain.Error{Code: domain.CodeInternal, Err: err})
		}
	}
	if len(c.id) == 0 {
		return nil
	}
	s.recorded(len(c.id))
	failpoint.Before("orders", "record")
	_, err := s.pool.Exec(ctx, insertSoldSQL,
		c.id, c.sale, c.payment, c.session, c.amount, c.currency, c.capturedAt, c.buyer, c.email, c.booking, c.perk, c.paidAt, c.event, c.metadata,
		c.lineOrder, c.lineClass, c.lineLedger, c.lineQuantity, c.linePrice,
		c.ticketOrder, c.ticketNumber, c.ticketClass, c.ticketCode, c.code)
	failpoint.After("orders", "record")
	return err
}

const insertSoldSQL = `
WITH sold AS (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[],
	                     $8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::timestamptz[], $13::text[], $14::text[],
	                     $24::uuid[])
	AS s (id, sale_id, payment, session, amount_minor, currency, captured_at, buyer, email, booking, perk_ledger, paid_at, event, metadata, code)
), new_payments AS (
	INSERT INTO payments (id, order_id, session, amount_minor, currency, captured_at, bought)
	SELECT payment, id, session, amount_minor, currency, captured_at, 'tickets' FROM sold
), new_orders AS (
	INSERT INTO orders (id, sale_id, status, payment, buyer, email, booking, perk_ledger, paid_at, metadata, code)
	SELECT id, sale_id, 'paid', payment, buyer, email, booking, perk_ledger, paid_at, metadata::jsonb, code FROM sold
), new_lines AS (
	INSERT INTO order_lines (order_id, class, ledger, quantity, unit_price_minor)
	SELECT * FROM unnest($15::uuid[], $16::text[], $17::bigint[], $18::integer[], $19::bigint[])
), new_tickets AS (
	INSERT INTO tickets (order_id, number, class, code)
	SELECT * FROM unnest($20::uuid[], $21::integer[], $22::text[], $23::text[])
)
INSERT INTO outbox (event, sale_id, order_id, payment, payload)
SELECT 'order.paid', sale_id, id, payment, event::jsonb FROM sold`

// soldColumns are the arrays that the statement takes.
type soldColumns struct {
	id, buyer, code                                   []pgtype.UUID
	sale, payment, session, currency, email, booking  []string
	event                                             []string
	amount                                            []int64
	capturedAt, paidAt                                []*time.Time
	perk                                              []*int64
	metadata                                          []*string
	lineOrder, ticketOrder                            []pgtype.UUID
	lineClass, ticketClass, ticketCode                []string
	lineLedger, linePrice, lineQuantity, ticketNumber []int64
}

func (c *soldColumns) add(sold *domain.Sold, ticketCode func(n int) string) error {
	o, id := &sold.Order, uuidOf(sold.Order.ID)
	metadata, err := metadataText(o.Metadata)
	if err != nil {
		return fmt.Errorf("metadata of order %s: %w", o.ID, err)
	}
	event, err := json.Marshal(paidEvent(sold))
	if err != nil {
		return fmt.Errorf("event of order %s: %w", o.ID, err)
	}
	c.id = append(c.id, id)
	c.sale = append(c.sale, o.SaleID)
	c.payment = append(c.payment, sold.Capture.Payment)
	c.session = append(c.session, sold.Capture.Session)
	c.amount = append(c.amount, sold.Capture.AmountMinor)
	c.currency = append(c.currency, sold.Capture.Currency)
	c.capturedAt = append(c.capturedAt, nullTime(sold.Capture.CapturedAt))
	c.buyer = append(c.buyer, pgtype.UUID{Bytes: o.Buyer, Valid: true})
	c.email = append(c.email, o.Email)
	c.booking = append(c.booking, string(sold.Booking))
	c.perk = append(c.perk, perkLedger(sold))
	c.paidAt = append(c.paidAt, nullTime(sold.PaidAt))
	c.event = append(c.event, string(event))
	c.metadata = append(c.metadata, metadata)
	c.code = append(c.code, codeUsed(o.Code))
	for _, l := range o.Lines {
		c.lineOrder = append(c.lineOrder, id)
		c.lineClass = append(c.lineClass, l.Class)
		c.lineLedger = append(c.lineLedger, int64(l.Ledger))
		c.lineQuantity = append(c.lineQuantity, l.Quantity)
		c.linePrice = append(c.linePrice, l.UnitPriceMinor)
	}
	for _, t := range tickets(o.Lines, ticketCode) {
		c.ticketOrder = append(c.ticketOrder, id)
		c.ticketNumber = append(c.ticketNumber, int64(t.Number))
		c.ticketClass = append(c.ticketClass, t.Class)
		c.ticketCode = append(c.ticketCode, t.Code)
	}
	return nil
}

// codeUsed is NULL if the order used none.
func codeUsed(used *domain.ClassCodeRef) pgtype.UUID {
	if used == nil {
		return pgtype.UUID{}
	}
	return pgtype.UUID{Bytes: used.ID, Valid: true}
}

// metadataText is NULL if there is none.
func metadataText(m domain.Metadata) (*string, error) {
	if len(m) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(m)
	text := string(raw)
	return &text, err
}

func perkLedger(sold *domain.Sold) *int64 {
	if !sold.PerkTaken {
		return nil
	}
	n := int64(sold.Order.Perk.Ledger)
	return &n
}

// tickets numbers the tickets of an order through all its lines.
func tickets(lines []domain.Line, code func(n int) string) []domain.Ticket {
	var all []domain.Ticket
	for _, l := range lines {
		for range l.Quantity {
			n := len(all) + 1
			all = append(all, domain.Ticket{Number: n, Class: l.Class, Code: code(n)})
		}
	}
	return all
}

func paidEvent(sold *domain.Sold) domain.OrderPaidData {
	return domain.OrderPaidData{
		Order: sold.Order.ID, Sale: sold.Order.SaleID, Payment: sold.Capture.Payment,
		AmountMinor: sold.Order.AmountMinor, Currency: sold.Order.Currency, Lines: sold.Order.Lines,
		Booking: sold.Booking, PerkTaken: sold.PerkTaken, PaidAt: stored(sold.PaidAt),
		Metadata: sold.Order.Metadata,
	}
}

// soldOrder is what Order would return.
func soldOrder(sold *domain.Sold, ticketCode func(n int) string) domain.SoldOrder {
	o := &sold.Order
	capture := sold.Capture
	capture.CapturedAt = stored(capture.CapturedAt)
	lines := slices.SortedFunc(slices.Values(o.Lines), func(a, b domain.Line) int { return cmp.Compare(a.Class, b.Class) })
	return domain.SoldOrder{
		ID: o.ID, SaleID: o.SaleID, SaleName: o.SaleName, Status: domain.OrderPaid,
		Lines: lines, AmountMinor: o.AmountMinor, Currency: o.Currency,
		Email: o.Email, Buyer: o.Buyer, QuotaLedger: o.QuotaLedger, Code: o.Code,
		Capture: capture, Booking: sold.Booking, Metadata: o.Metadata, Perk: o.Perk, PerkTaken: sold.PerkTaken,
		Tickets: tickets(o.Lines, ticketCode), PaidAt: stored(sold.PaidAt),
	}
}

// NoteRebooking says of a sold order that its seats were booked anew, in a ledger that had lost
// them: a refund returns those. It may be repeated.
func (s *Store) NoteRebooking(ctx context.Context, id domain.OrderID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `UPDATE orders SET booking = $2 WHERE id = $1`, uuidOf(id), string(domain.BookedByRebook))
	if err == nil && tag.RowsAffected() == 0 {
		err = domain.NotFound("order")
	}
	return writeFailed("note the rebooking of order", id.String(), err)
}

func uuidOf(id domain.OrderID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }
