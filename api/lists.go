package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"boxoffice/domain"
)

// Lists come in pages, in a stable order. What is added while somebody reads a list goes
// before the first page (sales) or after the last (orders).

// SalesPageMax is the most sales of a page: the ledger is asked about each.
const SalesPageMax = 100

type salesInput struct {
	State string `query:"state" enum:"open,upcoming,closed,canceled" doc:"Only sales that are on sale now, that open later, that have closed, or that were canceled"`
	After string `query:"after" maxLength:"100" doc:"next of the previous page"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"100"`
}

type salesOutput struct{ Body SalesView }

// SalesView is a page of the sales on offer, newest first.
type SalesView struct {
	Sales []SaleView `json:"sales"`
	Next  string     `json:"next,omitempty" doc:"Pass it as after; absent on the last page"`
}

func (s *Server) sales(ctx context.Context, in *salesInput) (*salesOutput, error) {
	after, err := parseSaleCursor(in.After)
	if err != nil {
		return nil, err
	}
	sales, err := s.Catalog.Sales(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	out := &salesOutput{SalesView{Sales: make([]SaleView, 0, min(len(sales), in.Limit))}}
	var last saleCursor
	for _, sale := range sales {
		cursor := cursorOf(sale)
		if in.After != "" && after.compare(cursor) >= 0 || in.State != "" && in.State != saleState(sale, now) {
			continue
		}
		if len(out.Body.Sales) == in.Limit {
			out.Body.Next = last.String()
			break
		}
		levels, err := s.Catalog.Stock(ctx, sale)
		if err != nil {
			return nil, err
		}
		view := viewSale(sale.Public(), levels, now)
		view.Facts = viewFacts(sale.Facts.Brief())
		out.Body.Sales = append(out.Body.Sales, view)
		last = cursor
	}
	return out, nil
}

// saleState is what sales are filtered by.
func saleState(sale *domain.Sale, now time.Time) string {
	switch sale.WhyClosed(now) {
	case "":
		return "open"
	case domain.CodeNotOpen:
		return "upcoming"
	case domain.CodeSaleClosed:
		return "closed"
	default:
		return "canceled"
	}
}

// A saleCursor is a place in the list of sales: after one of them, whether or not this
// node knows that one yet.
type saleCursor struct {
	createdMicros int64
	id            string
}

func cursorOf(sale *domain.Sale) saleCursor { return saleCursor{sale.CreatedAt.UnixMicro(), sale.ID} }

// compare sorts the list: newest first.
func (c saleCursor) compare(other saleCursor) int {
	return cmp.Or(cmp.Compare(other.createdMicros, c.createdMicros), cmp.Compare(c.id, other.id))
}

// String returns the cursor as clients send it back.
func (c saleCursor) String() string { return fmt.Sprintf("%d.%s", c.createdMicros, c.id) }

func parseSaleCursor(text string) (c saleCursor, err error) {
	if text == "" {
		return c, nil
	}
	created, id, _ := strings.Cut(text, ".")
	c.id = id
	c.createdMicros, err = strconv.ParseInt(created, 10, 64)
	if err != nil || !domain.ValidSaleID(id) || c.String() != text {
		return saleCursor{}, domain.Invalid("after", "must be the next of the previous page")
	}
	return c, nil
}

// OrdersQuery is how the organiser finds orders.
type OrdersQuery struct {
	Email  string `query:"email" maxLength:"254" doc:"The buyer's address, in any spelling of the same mailbox"`
	Code   string `query:"code" maxLength:"64" doc:"The content of the QR code of one of its tickets"`
	Status string `query:"status" enum:"paid,refunding,refunded"`
	After  string `query:"after" doc:"next of the previous page"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
}

func (q *OrdersQuery) filter() (f domain.OrderFilter, err error) {
	f.Status, f.Limit = domain.OrderStatus(q.Status), q.Limit
	if q.Email != "" {
		if f.Email, err = domain.NormalizeEmail(q.Email); err != nil {
			return f, domain.Invalid("email", "must be an e-mail address")
		}
	}
	if q.Code != "" {
		if f.TicketCode, err = domain.ParseTicketCode(q.Code); err != nil {
			return f, err
		}
	}
	if q.After != "" {
		if f.After, err = domain.ParseOrderID(q.After); err != nil {
			return f, domain.Invalid("after", "must be the next of the previous page")
		}
	}
	return f, nil
}

type ordersOfSaleInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	OrdersQuery
}

type ordersOutput struct{ Body OrdersView }

// OrdersView is a page of paid orders, sorted by id.
type OrdersView struct {
	Orders []AdminOrderView `json:"orders"`
	Next   string           `json:"next,omitempty" doc:"Pass it as after; absent on the last page"`
}

func (s *Server) ordersOfSale(ctx context.Context, in *ordersOfSaleInput) (*ordersOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	return s.findOrders(ctx, &in.OrdersQuery, sale.ID)
}

type ordersInput struct{ OrdersQuery }

func (s *Server) ordersOfAllSales(ctx context.Context, in *ordersInput) (*ordersOutput, error) {
	return s.findOrders(ctx, &in.OrdersQuery, "")
}

func (s *Server) findOrders(ctx context.Context, q *OrdersQuery, saleID string) (*ordersOutput, error) {
	filter, err := q.filter()
	if err != nil {
		return nil, err
	}
	filter.SaleID = saleID
	orders, err := s.Orders.FindOrders(ctx, filter)
	if err != nil {
		return nil, err
	}
	ids := make([]domain.OrderID, 0, len(orders))
	for _, o := range orders {
		ids = append(ids, o.ID)
	}
	reversals, err := s.Orders.ReversalsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := &ordersOutput{OrdersView{Orders: make([]AdminOrderView, 0, len(orders))}}
	for o := range slices.Values(orders) {
		out.Body.Orders = append(out.Body.Orders, AdminOrderView{
			OrderView: viewSoldOrder(&o), Email: o.Email, ErasedAt: timeOrNil(o.ErasedAt), Payment: o.Capture.Payment, RefundingAt: timeOrNil(o.RefundingAt),
			Reversals: viewReversals(reversals[o.ID]),
		})
	}
	if len(orders) == filter.Limit {
		out.Body.Next = orders[len(orders)-1].ID.String()
	}
	return out, nil
}
