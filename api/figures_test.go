package api

import (
	"context"
	"reflect"
	"testing"
	"time"

	"boxoffice/domain"
)

// A figuresView answers what it is told to.
type figuresView struct {
	domain.SaleFigures
	sale string
	from time.Time
	err  error
}

func (v *figuresView) Figures(_ context.Context, saleID string, from time.Time, _ int) (domain.SaleFigures, error) {
	v.sale, v.from = saleID, from
	return v.SaleFigures, v.err
}

func TestFiguresOfASale(t *testing.T) {
	view := &figuresView{}
	b := setup(t, func(o *Options) { o.Figures = view })
	row := func(figure domain.Figure, about, currency string, minute, n, minor int64) {
		view.Rows = append(view.Rows, domain.FigureRow{
			FigureKey: domain.FigureKey{Sale: b.sale.ID, Figure: figure, About: about, Currency: currency, Minute: minute},
			FigureSum: domain.FigureSum{Count: n, AmountMinor: minor},
		})
	}
	class := b.sale.Classes[0].Name
	ask := request{"GET", "/v1/sales/" + b.sale.ID + "/figures?from=2026-03-01T12:00:00%2B01:00", "", bearerOf(testAdminToken)}
	var got FiguresView
	decode(t, b.do(ask), &got)
	if len(got.Takings) != 1 || got.Takings[0] != (TakingsView{Currency: b.sale.Currency}) || len(got.Classes) != len(b.sale.Classes) || got.Steps == nil || got.Refunds == nil {
		t.Errorf("nothing sold: %+v", got)
	}
	if want := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC); view.sale != b.sale.ID || !view.from.Equal(want) {
		t.Errorf("asked of %s from %s", view.sale, view.from)
	}

	const minute = 29_000_000
	row(domain.FigureSold, class, "EUR", 0, 3, 300) // before what was asked for
	row(domain.FigureSold, class, "EUR", minute, 4, 400)
	row(domain.FigurePaid, "", "EUR", 0, 5, 700)
	row(domain.FigureVoided, class, "EUR", 0, 2, 200)
	row(domain.FigureRefundBegun, "organiser", "EUR", 0, 2, 200)
	row(domain.FigureRefunded, "organiser", "EUR", 0, 1, 50)
	row(domain.FigurePaymentRefunded, "none_left", "EUR", 0, 6, 900)
	row(domain.FigureRefunded, "organiser", "JPY", 0, 1, 9) // no event of its begin
	row(domain.FigureUnsold, "expired", "EUR", 0, 11, 1100)
	row(domain.FigureUnsold, "failed", "EUR", 0, 12, 1200)
	row(domain.FigureUnsold, "canceled", "EUR", 0, 13, 1300)
	view.StepMinutes, view.Behind, view.Lag = 5, 7, 1500*time.Millisecond
	decode(t, b.do(ask), &got)
	want := FiguresView{
		Sale: b.sale.ID, Lag: FiguresLagView{7, 1.5}, StepMinutes: 5,
		Takings: []TakingsView{
			{Currency: "EUR", Orders: 5, GrossMinor: 700, RefundedOrders: 1, RefundedMinor: 50, RefundingMinor: 150, NetMinor: 650},
			{Currency: "JPY", RefundedOrders: 1, RefundedMinor: 9, NetMinor: -9},
		},
		Classes: []ClassFiguresView{{Class: class, Sold: 7, Voided: 2, GrossMinor: 700}},
		Refunds: []RefundsView{
			{Reason: "none_left", Currency: "EUR", Begun: 6, Refunded: 6, RefundedMinor: 900},
			{Reason: "organiser", HadTickets: true, Currency: "EUR", Begun: 2, Refunded: 1, RefundedMinor: 50},
			{Reason: "organiser", HadTickets: true, Currency: "JPY", Refunded: 1, RefundedMinor: 9},
		},
		Holds: HoldFiguresView{Paid: 5, Expired: 11, Failed: 12, Canceled: 13},
		Steps: []FiguresStepView{{At: domain.MinuteTime(minute), Class: class, Tickets: 4, GrossMinor: 400}},
	}
	for _, c := range b.sale.Classes[1:] {
		want.Classes = append(want.Classes, ClassFiguresView{Class: c.Name})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFiguresThatNobodySees(t *testing.T) {
	b := setup(t, func(o *Options) { o.Figures = &figuresView{err: &domain.Error{Code: domain.CodeOverloaded}} })
	ask := func(path string, token map[string]string) request { return request{"GET", path, "", token} }
	admin := bearerOf(testAdminToken)
	path := "/v1/sales/" + b.sale.ID + "/figures"
	wantProblem(t, b.do(ask(path, nil)), 401, domain.CodeUnauthorized)
	wantProblem(t, b.do(ask("/v1/sales/opera/figures", admin)), 404, domain.CodeNotFound)
	wantProblem(t, b.do(ask(path, admin)), 503, domain.CodeOverloaded)
	if p := wantProblem(t, b.do(ask(path+"?from=yesterday", admin)), 422, domain.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Field != "from" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, setup(t).do(ask(path, admin)), 404, domain.CodeNotFound)
}
