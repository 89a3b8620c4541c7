package api

import (
	"context"
	"net/http"
	"time"

	"boxoffice/domain"
)

// How an organiser cancels one order, or a whole sale, and how they end a sale early.

// endSale stops new orders of a sale. Everything under way goes on to its end.
func (s *Server) endSale(ctx context.Context, in *saleInput) (*saleOutput, error) {
	return s.turnSale(ctx, in, s.Orders.EndSale)
}

// reopenSale takes that back.
func (s *Server) reopenSale(ctx context.Context, in *saleInput) (*saleOutput, error) {
	return s.turnSale(ctx, in, s.Orders.ReopenSale)
}

func (s *Server) turnSale(ctx context.Context, in *saleInput, turn func(context.Context, string) error) (*saleOutput, error) {
	if !domain.ValidSaleID(in.Sale) {
		return nil, domain.NotFound("sale")
	}
	if err := turn(ctx, in.Sale); err != nil {
		return nil, err
	}
	s.Catalog.Forget(in.Sale)
	return s.sale(ctx, in)
}

type saleOrderInput struct {
	Sale  string `path:"sale" doc:"The sale's id"`
	Order string `path:"order" doc:"The order's id"`
}

// cancelOrder cancels an order in whatever state it is. The sale in the path must be the
// order's: canceling the wrong evening cannot be undone.
func (s *Server) cancelOrder(ctx context.Context, in *saleOrderInput) (*statusOutput, error) {
	id, err := domain.ParseOrderID(in.Order)
	if err != nil {
		return nil, domain.NotFound("order")
	}
	view, err := s.findOrder(ctx, id)
	if err != nil {
		return nil, err
	}
	if view.Sale != in.Sale {
		return nil, domain.NotFound("order of this sale")
	}
	defer s.orderViews.changed(id)
	orderStatus, err := s.Desk.CancelOrder(ctx, id)
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if orderStatus == domain.OrderRefunding {
		status = http.StatusAccepted
	}
	return &statusOutput{status, StatusView{id, orderStatus}}, nil
}

type cancellationOutput struct {
	Location string `header:"Location" doc:"Where to read the progress"`
	Body     CancellationView
}

// CancellationView says how far the cancellation of a sale has come.
type CancellationView struct {
	Sale       string             `json:"sale"`
	StartedAt  time.Time          `json:"started_at"`
	UpdatedAt  *time.Time         `json:"updated_at,omitempty" doc:"When the counts were taken"`
	FinishedAt *time.Time         `json:"finished_at,omitempty" doc:"When nothing was held, sold or owed any longer"`
	Stage      domain.CancelStage `json:"stage" enum:"closing,releasing,refunding,finished" doc:"releasing: checkouts are still open; refunds have begun nevertheless"`

	Checkouts    CancelCheckoutsView `json:"checkouts"`
	Orders       CancelOrdersView    `json:"orders"`
	LatePayments int64               `json:"late_payments" doc:"Payments that arrived after their checkout ended and are not refunded yet"`
	Tickets      CancelTicketsView   `json:"tickets" doc:"What is not back in the ledger yet"`

	Waiting []CancelWaitView `json:"waiting" doc:"Some of those whose last attempt failed; those that wait longest come first"`
}

// CancelCheckoutsView counts checkouts without a payment.
type CancelCheckoutsView struct {
	Open     int64 `json:"open" doc:"To be canceled"`
	Canceled int64 `json:"canceled" doc:"Since the cancellation was asked for"`
}

// CancelOrdersView counts paid orders.
type CancelOrdersView struct {
	ToRefund  int64 `json:"to_refund" doc:"Orders whose refund has not begun"`
	Refunding int64 `json:"refunding" doc:"Orders whose money the provider has not given back yet"`
	Refunded  int64 `json:"refunded"`
}

// CancelTicketsView counts tickets by the ledger.
type CancelTicketsView struct {
	Held int64 `json:"held"`
	Sold int64 `json:"sold"`
}

// CancelWaitView is an order that a cancellation waits for.
type CancelWaitView struct {
	Order    domain.OrderID `json:"order"`
	Workflow string         `json:"workflow" doc:"Its id in Temporal"`
	Since    time.Time      `json:"since"`
	Reason   string         `json:"reason" doc:"The last failure. It is retried without end"`
	Attempts int32          `json:"attempts,omitempty"`
}

// cancelSale answers once no node can sell any more.
func (s *Server) cancelSale(ctx context.Context, in *saleInput) (*cancellationOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	if err := s.Desk.CancelSale(ctx, sale.ID, time.Now()); err != nil {
		return nil, err
	}
	s.Catalog.Forget(sale.ID)
	return s.cancellationOf(ctx, sale.ID)
}

func (s *Server) cancellation(ctx context.Context, in *saleInput) (*cancellationOutput, error) {
	if !domain.ValidSaleID(in.Sale) {
		return nil, domain.NotFound("sale")
	}
	return s.cancellationOf(ctx, in.Sale)
}

func (s *Server) cancellationOf(ctx context.Context, saleID string) (*cancellationOutput, error) {
	c, err := s.Orders.Cancellation(ctx, saleID)
	if err != nil {
		return nil, err
	}
	return &cancellationOutput{"/v1/sales/" + saleID + "/cancel", viewCancellation(&c)}, nil
}

func viewCancellation(c *domain.SaleCancellation) CancellationView {
	v := CancellationView{
		Sale: c.SaleID, StartedAt: c.RequestedAt.UTC(), UpdatedAt: timeOrNil(c.UpdatedAt), FinishedAt: timeOrNil(c.FinishedAt), Stage: c.Stage,
		Checkouts:    CancelCheckoutsView{Open: c.OpenCheckouts, Canceled: c.CanceledCheckouts},
		Orders:       CancelOrdersView{ToRefund: c.OrdersToRefund, Refunding: c.OrdersRefunding, Refunded: c.OrdersRefunded},
		LatePayments: c.LatePayments,
		Tickets:      CancelTicketsView{Held: c.HeldTickets, Sold: c.SoldTickets},
		Waiting:      make([]CancelWaitView, 0, len(c.Waiting)),
	}
	for _, w := range c.Waiting {
		v.Waiting = append(v.Waiting, CancelWaitView(w))
	}
	return v
}
