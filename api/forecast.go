package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
	"boxoffice/plan"
)

// Arrivals is who comes to waiting rooms. orders.Store keeps it.
type Arrivals interface {
	// Arrivals reads how many have joined a sale's waiting room, and how many had joined past
	// sales' as long before their openings. Errors: CodeNotFound, CodeOverloaded.
	Arrivals(ctx context.Context, saleID string) (domain.SaleArrivals, error)
}

type forecastInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
}

type forecastOutput struct{ Body ForecastView }

// ForecastView is how many people will come to a sale, from what past sales had.
type ForecastView struct {
	Sale                string             `json:"sale"`
	At                  time.Time          `json:"at" doc:"When this was read"`
	OpensAt             time.Time          `json:"opens_at"`
	UntilOpeningSeconds float64            `json:"until_opening_seconds" doc:"0: it has opened"`
	Tickets             int64              `json:"tickets" doc:"For sale, of all classes"`
	Joined              int64              `json:"joined" doc:"People who have joined the waiting room, until the opening"`
	Method              string             `json:"method" enum:"joins,past_sales,none" doc:"joins: by how many have joined, compared with past sales as long before their openings. past_sales: by past sales alone, because joins would have been more wrong, or nobody has joined. none: too few past sales"`
	Sales               int                `json:"sales" doc:"Past sales with waiting rooms that it is made of"`
	SalesNeeded         int                `json:"sales_needed" doc:"Fewer give no forecast"`
	Buyers              *ForecastRangeView `json:"buyers,omitempty" doc:"People who will have come in all. Missing: no forecast"`
	ErrorByJoins        float64            `json:"error_by_joins,omitempty" doc:"By what factor a forecast by joins was off in the median, for each past sale when it knew only the others"`
	ErrorByPastSales    float64            `json:"error_by_past_sales,omitempty" doc:"The same, by past sales alone"`
	BeyondPastSales     bool               `json:"beyond_past_sales,omitempty" doc:"No past sale had as many, or as few, joins at this time: trust it less"`
}

// ForecastRangeView is a figure that nobody knows exactly.
type ForecastRangeView struct {
	Low     int64 `json:"low" doc:"5 %"`
	Typical int64 `json:"typical"`
	High    int64 `json:"high" doc:"95 %"`
}

// routeForecast registers what an organiser may know of the demand before the opening.
func (s *Server) routeForecast(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "get-forecast", Method: http.MethodGet, Path: "/v1/sales/{sale}/forecast",
		Summary: "How many people will come to a sale with a waiting room",
		Description: "From joins before the opening and past sales, with how wrong it was about past sales that it did not know. " +
			"404 if the sale has no waiting room or no opening time.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.forecast)
}

func (s *Server) forecast(ctx context.Context, in *forecastInput) (*forecastOutput, error) {
	if s.Arrivals == nil {
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node does not forecast."}
	}
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	arrivals, err := s.Arrivals.Arrivals(ctx, sale.ID)
	if err != nil {
		return nil, err
	}
	return &forecastOutput{Body: viewForecast(sale, &arrivals)}, nil
}

func viewForecast(sale *domain.Sale, a *domain.SaleArrivals) ForecastView {
	f := plan.ForecastSale(a)
	view := ForecastView{
		Sale: sale.ID, At: a.Now, OpensAt: a.OpensAt, UntilOpeningSeconds: a.UntilOpening().Seconds(), Joined: a.Joined,
		Method: f.Method, Sales: f.Sales, SalesNeeded: plan.ForecastSalesMin,
		ErrorByJoins: f.ErrorByJoins, ErrorByPastSales: f.ErrorByPastSales, BeyondPastSales: f.Beyond,
	}
	for _, c := range sale.Classes {
		view.Tickets += c.Capacity
	}
	if f.Method != plan.ByNothing {
		view.Buyers = &ForecastRangeView{Low: int64(f.Buyers.Low), Typical: int64(f.Buyers.Typical), High: int64(f.Buyers.High)}
	}
	return view
}
