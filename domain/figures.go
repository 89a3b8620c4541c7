package domain

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Figure names what the view of sales counts.
type Figure string

// The figures. Money is that of the payments, in the currency of each.
const (
	FigureSold            Figure = "sold"             // tickets, by class and by the minute in which they were paid
	FigurePaid            Figure = "paid"             // orders
	FigureVoided          Figure = "voided"           // tickets that stand no more, by class
	FigureRefundBegun     Figure = "refund_begun"     // orders whose money is on its way back or is back, by reason
	FigureRefunded        Figure = "refunded"         // orders whose money is back, by reason
	FigurePaymentRefunded Figure = "payment_refunded" // payments that bought nothing and are back, by reason
	// FigureUnsold is checkouts that held seats and ended without a sale, by how. Only
	// where somebody asks for these events: see EventTerms.OnRequest.
	FigureUnsold Figure = "unsold"
)

// FigureEvents are the types of event that figures are made of.
func FigureEvents() []EventType {
	return []EventType{
		EventOrderPaid, EventOrderRefundBegun, EventOrderRefunded, EventPaymentRefunded,
		EventCheckoutExpired, EventCheckoutFailed, EventCheckoutCanceled,
	}
}

// A FigureKey names a row of the view.
type FigureKey struct {
	Sale     string // empty: of no sale that is known
	Figure   Figure
	About    string // a class, the reason of a refund, or how a checkout ended; empty: none of these
	Currency string
	Minute   int64 // since 1970; 0: not by time
}

// Compare puts keys in the order in which the view is read.
func (k FigureKey) Compare(other FigureKey) int {
	return cmp.Or(
		strings.Compare(k.Sale, other.Sale), strings.Compare(string(k.Figure), string(other.Figure)), cmp.Compare(k.Minute, other.Minute),
		strings.Compare(k.About, other.About), strings.Compare(k.Currency, other.Currency),
	)
}

// String names the row for people.
func (k FigureKey) String() string {
	words := []string{string(k.Figure)}
	if k.About != "" {
		words = append(words, k.About)
	}
	words = append(words, k.Currency)
	if k.Minute != 0 {
		words = append(words, "at "+MinuteTime(k.Minute).Format("2006-01-02T15:04Z"))
	}
	return strings.Join(words, " ")
}

// MinuteTime is when a minute of the view begins.
func MinuteTime(minute int64) time.Time { return time.Unix(60*minute, 0).UTC() }

// A FigureSum is what a row of the view counts, and the money of it.
type FigureSum struct {
	Count       int64
	AmountMinor int64
}

// A FigureRow is a row of the view, or what an event adds to it.
type FigureRow struct {
	FigureKey
	FigureSum
}

// Figures are what the event adds to the view: none for a type that says nothing of
// sales. Every row of the view is the sum of what its events add, in whatever order. The
// error is that of Data.
func (e *Event) Figures() ([]FigureRow, error) {
	if !slices.Contains(FigureEvents(), e.Type) {
		return nil, nil
	}
	data, err := e.Data()
	if err != nil {
		return nil, err
	}
	one := func(figure Figure, about RefundReason, currency string, amountMinor int64) FigureRow {
		return FigureRow{FigureKey{e.SaleID, figure, string(about), currency, 0}, FigureSum{1, amountMinor}}
	}
	unsold := func(as OrderStatus, c *CheckoutEnding) []FigureRow {
		return []FigureRow{{FigureKey{e.SaleID, FigureUnsold, string(as), c.Currency, 0}, FigureSum{1, c.AmountMinor}}}
	}
	lines := func(figure Figure, currency string, minute int64, lines []Line) (rows []FigureRow) {
		for _, l := range lines {
			rows = append(rows, FigureRow{FigureKey{e.SaleID, figure, l.Class, currency, minute}, FigureSum{l.Quantity, l.Quantity * l.UnitPriceMinor}})
		}
		return rows
	}
	switch d := data.(type) {
	case *OrderPaidData:
		return append(lines(FigureSold, d.Currency, d.PaidAt.Unix()/60, d.Lines), one(FigurePaid, "", d.Currency, d.AmountMinor)), nil
	case *OrderRefundBegunData:
		return append(lines(FigureVoided, d.Currency, 0, d.Lines), one(FigureRefundBegun, d.Reason, d.Currency, d.AmountMinor)), nil
	case *OrderRefundedData:
		return []FigureRow{one(FigureRefunded, d.Reason, d.Currency, d.AmountMinor)}, nil
	case *PaymentRefundedData:
		return []FigureRow{one(FigurePaymentRefunded, d.Reason, d.Currency, d.AmountMinor)}, nil
	case *CheckoutExpiredData:
		return unsold(OrderExpired, &d.CheckoutEnding), nil
	case *CheckoutFailedData:
		return unsold(OrderFailed, &d.CheckoutEnding), nil
	case *CheckoutCanceledData:
		return unsold(OrderCanceled, &d.CheckoutEnding), nil
	default:
		return nil, unknownValue("event type", string(e.Type))
	}
}

// SumFigures adds rows of one key up, in the order of the keys.
func SumFigures(rows []FigureRow) []FigureRow {
	sums := make(map[FigureKey]FigureSum, len(rows))
	for _, r := range rows {
		sum := sums[r.FigureKey]
		sums[r.FigureKey] = FigureSum{sum.Count + r.Count, sum.AmountMinor + r.AmountMinor}
	}
	summed := make([]FigureRow, 0, len(sums))
	for _, key := range slices.SortedFunc(maps.Keys(sums), FigureKey.Compare) {
		summed = append(summed, FigureRow{key, sums[key]})
	}
	return summed
}

// SaleFigures are the rows of a sale's view. Those of FigureSold are added up by steps of
// time from some moment on; what was sold before stands at minute 0.
type SaleFigures struct {
	Rows        []FigureRow
	StepMinutes int64
	// Behind is how many events the view has not read, at most 10,000, and Lag since when
	// the oldest of them is in the log.
	Behind int64
	Lag    time.Duration
}

// A FigureDifference is a row of the view that is not what it should be.
type FigureDifference struct {
	FigureKey
	View, Want FigureSum
}

// FigureCheck compares the view of a sale with the books, in one moment.
type FigureCheck struct {
	Rows        int64              // that either side has
	Different   int64              // of them
	Differences []FigureDifference // the first of these
	// What may explain a difference; counted only where there is one.
	Unread      int64 // events of the sale that the view has not taken in
	Unannounced int64 // refunds of orders without order.refund_begun: begun by an earlier release
}
