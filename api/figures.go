package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// figureStepsMax is how many steps of time an answer has for a class.
const figureStepsMax = 240

// Figures is the view of sales, apart from what is sold from. orders.Store keeps it.
type Figures interface {
	// Figures reads the view of a sale: what was sold from a moment on by at most so many
	// steps of time.
	Figures(ctx context.Context, saleID string, from time.Time, stepsMax int) (domain.SaleFigures, error)
}

type figuresInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	From string `query:"from" maxLength:"40" doc:"Steps from this time on (RFC 3339). Without it: from the first sale"`
}

type figuresOutput struct{ Body FiguresView }

// FiguresView is how a sale goes, by the view: what the event log says, a moment later.
type FiguresView struct {
	Sale    string             `json:"sale"`
	Lag     FiguresLagView     `json:"lag" doc:"How far the view is behind the event log"`
	Takings []TakingsView      `json:"takings" nullable:"false" doc:"By currency"`
	Classes []ClassFiguresView `json:"classes" nullable:"false" doc:"By class, in their order"`
	Refunds []RefundsView      `json:"refunds" nullable:"false" doc:"By reason"`
	Holds   HoldFiguresView    `json:"holds" doc:"What became of holds. Those that are open are not in the log"`
	// Steps are never more than figureStepsMax for a class.
	StepMinutes int64             `json:"step_minutes" doc:"How long a step is: as short as there are at most 240"`
	Steps       []FiguresStepView `json:"steps" nullable:"false" doc:"Tickets sold, step by step; steps without a sale are left out"`
}

// FiguresLagView is how far the view is behind.
type FiguresLagView struct {
	Events  int64   `json:"events" doc:"Events that the view has not read, of all sales; at most 10,000"`
	Seconds float64 `json:"seconds" doc:"Since when the oldest of them is in the log; 0 if there is none"`
}

// TakingsView is the money of a currency.
type TakingsView struct {
	Currency       string `json:"currency"`
	Orders         int64  `json:"orders" doc:"Orders that were paid, refunded or not"`
	GrossMinor     int64  `json:"gross_minor" doc:"What they paid"`
	RefundedOrders int64  `json:"refunded_orders"`
	RefundedMinor  int64  `json:"refunded_minor" doc:"What the provider has given back of it"`
	RefundingMinor int64  `json:"refunding_minor" doc:"What is on its way back"`
	NetMinor       int64  `json:"net_minor" doc:"gross less refunded"`
}

// ClassFiguresView is a class of tickets.
type ClassFiguresView struct {
	Class      string `json:"class"`
	Sold       int64  `json:"sold" doc:"Tickets that were sold, valid or not"`
	Voided     int64  `json:"voided" doc:"Tickets of them that are void, because their order is refunded"`
	GrossMinor int64  `json:"gross_minor" doc:"What they cost"`
}

// RefundsView is a reason to give money back.
type RefundsView struct {
	Reason        domain.RefundReason `json:"reason"`
	HadTickets    bool                `json:"had_tickets" doc:"false: the payments bought nothing; they are in no takings"`
	Currency      string              `json:"currency"`
	Begun         int64               `json:"begun" doc:"Refunds that were begun; of payments that bought nothing, those that are done"`
	Refunded      int64               `json:"refunded"`
	RefundedMinor int64               `json:"refunded_minor"`
}

// FiguresStepView is what was sold of a class in a step of time.
type FiguresStepView struct {
	At         time.Time `json:"at" doc:"When the step begins"`
	Class      string    `json:"class"`
	Tickets    int64     `json:"tickets"`
	GrossMinor int64     `json:"gross_minor"`
}

// HoldFiguresView is what became of the checkouts that held tickets.
type HoldFiguresView struct {
	Paid     int64 `json:"paid" doc:"Orders that were paid, late payments among them"`
	Expired  int64 `json:"expired" doc:"Nobody paid in time. This and the next two are told only while a webhook endpoint or the configuration asks for these events: see docs/events.md"`
	Failed   int64 `json:"failed"`
	Canceled int64 `json:"canceled"`
}

// routeFigures registers what an organiser looks at while a sale runs.
func (s *Server) routeFigures(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "get-figures", Method: http.MethodGet, Path: "/v1/sales/{sale}/figures",
		Summary: "How a sale goes: tickets by minute and class, takings, refunds",
		Description: "From a view that a reader of the event log keeps. Asking costs nothing of what sells; `lag` says how far the view is behind. " +
			"Holds are not in it: GET /v1/sales/{sale} has them, from the ledger.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.figures)
}

func (s *Server) figures(ctx context.Context, in *figuresInput) (*figuresOutput, error) {
	if s.Figures == nil {
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node does not show figures."}
	}
	var from time.Time
	if in.From != "" {
		var err error
		if from, err = time.Parse(time.RFC3339, in.From); err != nil {
			return nil, domain.Invalid("from", "must be a time such as 2026-03-01T12:00:00Z")
		}
	}
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	figures, err := s.Figures.Figures(ctx, sale.ID, from, figureStepsMax)
	if err != nil {
		return nil, err
	}
	return &figuresOutput{Body: viewFigures(sale, &figures)}, nil
}

func viewFigures(sale *domain.Sale, f *domain.SaleFigures) FiguresView {
	view := FiguresView{
		Sale: sale.ID, Lag: FiguresLagView{Events: f.Behind, Seconds: f.Lag.Seconds()}, StepMinutes: f.StepMinutes,
		Takings: []TakingsView{}, Classes: []ClassFiguresView{}, Refunds: []RefundsView{}, Steps: []FiguresStepView{},
	}
	for _, c := range sale.Classes {
		view.class(c.Name)
	}
	view.takings(sale.Currency)
	for i := range f.Rows {
		view.add(&f.Rows[i])
	}
	for i := range view.Takings {
		t := &view.Takings[i]
		t.RefundingMinor = max(t.RefundingMinor, 0) // an earlier release told only of the end
		t.NetMinor = t.GrossMinor - t.RefundedMinor
	}
	slices.SortStableFunc(view.Refunds, func(a, b RefundsView) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
	return view
}

// add adds a row of the view to what is shown.
func (v *FiguresView) add(r *domain.FigureRow) {
	switch r.Figure {
	case domain.FigureSold:
		c := v.class(r.About)
		c.Sold, c.GrossMinor = c.Sold+r.Count, c.GrossMinor+r.AmountMinor
		if r.Minute != 0 { // else it is from before the time that was asked for
			v.Steps = append(v.Steps, FiguresStepView{At: domain.MinuteTime(r.Minute), Class: r.About, Tickets: r.Count, GrossMinor: r.AmountMinor})
		}
	case domain.FigurePaid:
		t := v.takings(r.Currency)
		t.Orders, t.GrossMinor = t.Orders+r.Count, t.GrossMinor+r.AmountMinor
		v.Holds.Paid += r.Count
	case domain.FigureVoided:
		v.class(r.About).Voided += r.Count
	case domain.FigureRefundBegun:
		v.takings(r.Currency).RefundingMinor += r.AmountMinor
		v.refunds(r, true).Begun += r.Count
	case domain.FigureRefunded:
		t := v.takings(r.Currency)
		t.RefundedOrders, t.RefundedMinor, t.RefundingMinor = t.RefundedOrders+r.Count, t.RefundedMinor+r.AmountMinor, t.RefundingMinor-r.AmountMinor
		back := v.refunds(r, true)
		back.Refunded, back.RefundedMinor = back.Refunded+r.Count, back.RefundedMinor+r.AmountMinor
	case domain.FigurePaymentRefunded:
		back := v.refunds(r, false)
		back.Begun, back.Refunded, back.RefundedMinor = back.Begun+r.Count, back.Refunded+r.Count, back.RefundedMinor+r.AmountMinor
	case domain.FigureUnsold:
		v.Holds.add(domain.OrderStatus(r.About), r.Count)
	}
}

func (h *HoldFiguresView) add(ended domain.OrderStatus, n int64) {
	switch ended {
	case domain.OrderExpired:
		h.Expired += n
	case domain.OrderFailed:
		h.Failed += n
	default:
		h.Canceled += n
	}
}

func (v *FiguresView) takings(currency string) *TakingsView {
	return entry(&v.Takings, TakingsView{Currency: currency}, func(t TakingsView) bool { return t.Currency == currency })
}

func (v *FiguresView) class(name string) *ClassFiguresView {
	return entry(&v.Classes, ClassFiguresView{Class: name}, func(c ClassFiguresView) bool { return c.Class == name })
}

func (v *FiguresView) refunds(r *domain.FigureRow, hadTickets bool) *RefundsView {
	none := RefundsView{Reason: domain.RefundReason(r.About), HadTickets: hadTickets, Currency: r.Currency}
	return entry(&v.Refunds, none, func(o RefundsView) bool {
		return o.Reason == none.Reason && o.HadTickets == hadTickets && o.Currency == r.Currency
	})
}

// entry finds an entry of a list, or adds an empty one.
func entry[T any](list *[]T, none T, isIt func(T) bool) *T {
	i := slices.IndexFunc(*list, isIt)
	if i < 0 {
		i = len(*list)
		*list = append(*list, none)
	}
	return &(*list)[i]
}
