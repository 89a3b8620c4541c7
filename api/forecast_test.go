package api

import (
	"context"
	"testing"
	"time"

	"boxoffice/domain"
)

// arrivalsOf answers what it is told to.
type arrivalsOf struct {
	domain.SaleArrivals
	sale string
	err  error
}

func (a *arrivalsOf) Arrivals(_ context.Context, saleID string) (domain.SaleArrivals, error) {
	a.sale = saleID
	return a.SaleArrivals, a.err
}

func TestForecastOfASale(t *testing.T) {
	now := time.Date(2027, 3, 1, 10, 0, 0, 0, time.UTC)
	seen := &arrivalsOf{SaleArrivals: domain.SaleArrivals{Arrivals: domain.Arrivals{OpensAt: now.Add(time.Hour), Joined: 1000, Came: 1000}, Now: now}}
	b := setup(t, func(o *Options) { o.Arrivals = seen })
	ask := request{"GET", "/v1/sales/" + b.sale.ID + "/forecast", "", bearerOf(testAdminToken)}
	var got ForecastView
	decode(t, b.do(ask), &got)
	if seen.sale != b.sale.ID || got.Method != "none" || got.Buyers != nil || got.Sales != 0 || got.SalesNeeded != 6 || got.Joined != 1000 || got.UntilOpeningSeconds != 3600 {
		t.Errorf("without past sales: %+v", got)
	}
	tickets := int64(0)
	for _, c := range b.sale.Classes {
		tickets += c.Capacity
	}
	for i := range int64(6) {
		seen.Past = append(seen.Past, domain.Arrivals{Joined: 100 << i, Came: 500 << i})
	}
	got = ForecastView{}
	decode(t, b.do(ask), &got)
	if got.Method != "joins" || got.Buyers == nil || got.Buyers.Typical < 4990 || got.Buyers.Typical > 5010 || got.Tickets != tickets || got.ErrorByJoins >= got.ErrorByPastSales || got.BeyondPastSales {
		t.Errorf("in proportion: %+v, %+v", got, got.Buyers)
	}
	seen.Joined, seen.Came = 0, 0
	got = ForecastView{}
	decode(t, b.do(ask), &got)
	if got.Method != "past_sales" || got.Buyers.Low >= got.Buyers.Typical {
		t.Errorf("before anybody has joined: %+v, %+v", got, got.Buyers)
	}
}

func TestForecastThatNobodySees(t *testing.T) {
	seen := &arrivalsOf{err: domain.NotFound("waiting room")}
	b := setup(t, func(o *Options) { o.Arrivals = seen })
	path := "/v1/sales/" + b.sale.ID + "/forecast"
	admin := bearerOf(testAdminToken)
	wantProblem(t, b.do(request{"GET", path, "", nil}), 401, domain.CodeUnauthorized)
	wantProblem(t, b.do(request{"GET", path, "", admin}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{"GET", "/v1/sales/opera/forecast", "", admin}), 404, domain.CodeNotFound)
	seen.err = &domain.Error{Code: domain.CodeOverloaded}
	wantProblem(t, b.do(request{"GET", path, "", admin}), 503, domain.CodeOverloaded)
	without := setup(t)
	wantProblem(t, without.do(request{"GET", "/v1/sales/" + without.sale.ID + "/forecast", "", admin}), 404, domain.CodeNotFound)
}
