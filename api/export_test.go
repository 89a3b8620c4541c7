package api

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

type exporter struct {
	records []domain.BuyersRecord
	failAt  int // before this record; -1: never
	err     error
	asked   []string
}

func (e *exporter) Export(_ context.Context, address string, visit func(*domain.BuyersRecord) error) ([]domain.AskedMail, error) {
	e.asked = append(e.asked, address)
	for i := range e.records {
		if i == e.failAt {
			return nil, e.err
		}
		if err := visit(&e.records[i]); err != nil {
			return nil, err
		}
	}
	if e.failAt == len(e.records) {
		return nil, e.err
	}
	return []domain.AskedMail{{State: domain.MailDue, QueuedAt: time.Unix(0, 0).UTC()}}, nil
}

func TestExportOfABuyer(t *testing.T) {
	sold := domain.SoldOrder{
		ID: domain.OrderID{1}, SaleID: "conference", SaleName: "Conference", Status: domain.OrderRefunded, Email: "ann@example.com", Buyer: domain.BuyerID{7},
		Lines: []domain.Line{{Class: "A", Quantity: 2, UnitPriceMinor: 50}}, AmountMinor: 100, Currency: "EUR", Metadata: domain.Metadata{"name": "Ann"},
		Tickets: []domain.Ticket{{Number: 1, Class: "A", Code: "CODE"}}, Capture: domain.Capture{Payment: "pay_1"}, PaidAt: time.Unix(1, 0),
	}
	e := &exporter{failAt: -1, records: []domain.BuyersRecord{
		{
			ID: sold.ID, Sold: &sold, Answers: []json.RawMessage{json.RawMessage(`[{"status":500}]`)}, SetAside: []string{"no such customer"},
			Refunds: []domain.Refund{{Capture: domain.Capture{Payment: "pay_1", AmountMinor: 100, Currency: "EUR"}, Reason: domain.RefundByOrganiser}},
			Mails:   []domain.MailRow{{ID: "m", Kind: domain.MailTickets, State: domain.MailSent}},
		},
		{ID: domain.OrderID{2}, Placed: &domain.RememberedOrder{Order: &domain.Order{SaleID: "conference", Email: "ann@example.com", Lines: sold.Lines}}},
	}}
	b := setup(t, func(o *Options) { o.Exporter = e })
	ask := func(body string, header map[string]string) request { return request{"POST", exportRoute, body, header} }
	admin := bearerOf(testAdminToken)
	w := b.do(ask(`{"email":" Ann@Example.COM "}`, admin))
	var view ExportView
	decode(t, w, &view)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !view.Whole || view.Email != "ann@example.com" || len(view.Orders) != 2 || len(view.Mails) != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	first, second := view.Orders[0], view.Orders[1]
	if first.Status != domain.OrderRefunded || first.Email != "ann@example.com" || first.Metadata["name"] != "Ann" || first.Tickets[0].Code != "CODE" || first.Refunds[0].Amount != 100 ||
		first.Mails[0].State != domain.MailSent || string(first.Endpoints[0]) != `[{"status":500}]` || first.Readers[0] != "no such customer" || first.Checkout != nil {
		t.Errorf("%+v", first)
	}
	if second.Status != "" || second.Sale != "conference" || second.Checkout.Email != "ann@example.com" || second.Checkout.Items[0].Quantity != 2 {
		t.Errorf("%+v", second)
	}
	if log := b.log.String(); strings.Contains(log, "ann@") || !strings.Contains(log, "the organiser exported what is kept of a buyer") {
		t.Errorf("%s", log)
	}
	for name, tt := range map[string]struct {
		r    request
		code domain.Code
	}{
		"not without the token":     {ask(`{"email":"ann@example.com"}`, nil), domain.CodeUnauthorized},
		"not of nobody":             {ask(`{}`, admin), domain.CodeInvalid},
		"not by what is no address": {ask(`{"email":"ann"}`, admin), domain.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			e.asked = nil
			wantProblem(t, b.do(tt.r), kinds[tt.code].status, tt.code)
			if len(e.asked) != 0 {
				t.Errorf("asked %v", e.asked)
			}
		})
	}
	// A failure before anything was read is a problem; later the document lacks its end.
	e.err, e.failAt = &domain.Error{Code: domain.CodeOverloaded, Err: errors.New("away")}, 0
	wantProblem(t, b.do(ask(`{"email":"ann@example.com"}`, admin)), 503, domain.CodeOverloaded)
	for failAt := 1; failAt <= len(e.records); failAt++ {
		e.failAt = failAt
		w := b.do(ask(`{"email":"ann@example.com"}`, admin))
		if json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "complete") {
			t.Errorf("broken off before record %d: %s", failAt, w.Body)
		}
	}
	e.records, e.failAt = nil, -1
	decode(t, b.do(ask(`{"email":"nobody@example.com"}`, admin)), &view)
	if !view.Whole || view.Orders == nil {
		t.Errorf("nobody: %+v", view)
	}
}
