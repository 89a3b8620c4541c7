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
		page, err = s.openAtProvider(ctx, &state)
		s.Admission.Opened(ctx, state.Provider, err)
	}
	if code := domain.CodeOf(err); err != nil && (code == domain.CodeAlreadyPaid || code == domain.CodeNotFound) {
		return toOrder, nil
	}
	if err != nil {
		return nil, err
	}
	return &payOutput{Status: http.StatusSeeOther, Location: page.URL, CacheControl: "no-store"}, nil
}

// openAtProvider asks for the provider's page, unless the provider takes no more requests:
// the buyer comes again, the seats stay held, and no checkout waits for it.
func (s *Server) openAtProvider(ctx context.Context, state *domain.CheckoutState) (domain.PayPage, error) {
	if wait := s.Providers.Wait(state.Provider); wait > 0 {
		return domain.PayPage{}, &domain.Error{
			Code: domain.CodeOverloaded, RetryAfter: wait,
			Detail: "The payment provider takes no more requests at the moment. Your tickets stay held: press pay again in a moment.",
			Err:    fmt.Errorf("payment provider %s answered with its rate limit", state.Provider),
		}
	}
	return s.Desk.OpenPayment(ctx, state.Order, s.PayWish(orderOfState(state), state.Hold))
}
