package api

import (
	"context"
	"fmt"
	"net/http"

	"boxoffice/domain"
)

// payPage is where a held order is paid; nowhere if it costs nothing.
func (s *Server) payPage(order domain.Order, hold domain.Hold) (domain.PayPage, error) {
	if order.IsFree() {
		return domain.PayPage{}, nil
	}
	page, err := s.PayPage(order, hold)
	if err != nil {
		return page, &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("pay link of order %s: %w", order.ID, err)}
	}
	return page, nil
}

// orderOfState is as much of an order as its checkout tells.
func orderOfState(state *domain.CheckoutState) domain.Order {
	return domain.Order{
		ID: state.Order, SaleID: state.SaleID, Lines: state.Lines, AmountMinor: state.AmountMinor,
		Currency: state.Currency, Fingerprint: state.Fingerprint, Provider: state.Provider, Session: state.Session,
		Capture: state.Capture,
	}
}

type payInput struct {
	Order string `path:"order" doc:"The order's id: 32 lower-case hexadecimal digits"`
	Key   string `query:"key" doc:"The key from payment_url. It only allows to pay for this order"`
}

type payOutput struct {
	Status       int
	Location     string `header:"Location" doc:"The provider's page, or the order's own page if there is nothing left to pay"`
	CacheControl string `header:"Cache-Control"`
}

// openPayment redirects a buyer to the page of a provider that must be called to create
// one.
func (s *Server) openPayment(ctx context.Context, in *payInput) (*payOutput, error) {
	id, err := domain.ParseOrderID(in.Order)
	if err != nil || !s.Keys.ValidPayKey(id, in.Key) {
		return nil, domain.NotFound("order")
	}
	toOrder := &payOutput{Status: http.StatusSeeOther, Location: s.PublicURL + "/orders/" + id.String(), CacheControl: "no-store"}
	state, err := s.Admission.State(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case state.Status != domain.OrderHeld, state.Provider == domain.FreeProvider:
		return toOrder, nil
	}
	page := domain.PayPage{Session: state.Session, URL: state.PayURL}
	if page.URL == "" {
		page, err = s.Desk.OpenPayment(ctx, id, s.PayWish(orderOfState(&state), state.Hold))
	}
	if code := domain.CodeOf(err); err != nil && (code == domain.CodeAlreadyPaid || code == domain.CodeNotFound) {
		return toOrder, nil
	}
	if err != nil {
		return nil, err
	}
	return &payOutput{Status: http.StatusSeeOther, Location: page.URL, CacheControl: "no-store"}, nil
}
