package api

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/qrcode"
)

type orderInput struct {
	Order         string `path:"order" doc:"The order's id: 32 lower-case hexadecimal digits"`
	Authorization string `header:"Authorization" doc:"Bearer, and the order's token"`
}

type wayBackInput struct {
	Order         string `path:"order" doc:"The order's id: 32 lower-case hexadecimal digits"`
	Authorization string `header:"Authorization" doc:"Bearer, and the key of the way back"`
}

type orderOutput struct{ Body OrderView }

type statusOutput struct {
	Status int
	Body   StatusView
}

// StatusView is an order's status.
type StatusView struct {
	Order  domain.OrderID     `json:"order"`
	Status domain.OrderStatus `json:"status" enum:"sold_out,limit_reached,held,paid,failed,canceled,expired,refunding,refunded"`
}

// authorize reads the order's id and checks its token. Any mistake gets the same answer
// as a missing order, so nobody learns which orders exist.
func (s *Server) authorize(order, authorization string) (domain.OrderID, error) {
	id, err := domain.ParseOrderID(order)
	if err != nil || !s.Keys.ValidOrderToken(id, bearer(authorization)) {
		return domain.OrderID{}, domain.NotFound("order")
	}
	return id, nil
}

type tokenOutput struct{ Body TokenView }

// TokenView is the key to an order.
type TokenView struct {
	Order domain.OrderID `json:"order"`
	Token string         `json:"token" doc:"Send it as Authorization: Bearer in all requests about this order"`
}

// wayBack answers a buyer who comes back from paying, perhaps in another browser than the
// one that made the order.
func (s *Server) wayBack(_ context.Context, in *wayBackInput) (*tokenOutput, error) {
	id, err := domain.ParseOrderID(in.Order)
	if err != nil || !s.Keys.ValidWayBackKey(id, bearer(in.Authorization), time.Now()) {
		return nil, domain.NotFound("order")
	}
	return &tokenOutput{TokenView{id, s.Keys.OrderToken(id)}}, nil
}

func (s *Server) order(ctx context.Context, in *orderInput) (*orderOutput, error) {
	view, err := s.authorizedOrder(ctx, in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	if sale, err := s.Catalog.Sale(ctx, view.Sale); err == nil {
		view = view.withFacts(sale, time.Now())
	}
	return &orderOutput{view}, nil
}

// authorizedOrder is the order that a request has the token of.
func (s *Server) authorizedOrder(ctx context.Context, order, authorization string) (OrderView, error) {
	id, err := s.authorize(order, authorization)
	if err != nil {
		return OrderView{}, err
	}
	return s.findOrder(ctx, id)
}

// findOrder returns an order as it is, or was a moment ago.
func (s *Server) findOrder(ctx context.Context, id domain.OrderID) (OrderView, error) {
	return s.orderViews.find(ctx, id, func(ctx context.Context) (OrderView, error) { return s.readOrder(ctx, id) })
}

// readOrder asks the database for a paid order, otherwise the checkout itself. A held
// checkout needs no database: it has no row yet.
func (s *Server) readOrder(ctx context.Context, id domain.OrderID) (OrderView, error) {
	sold, err := s.soldOrder(ctx, id)
	if err == nil {
		return viewSoldOrder(&sold), nil
	}
	state, stateErr := s.Admission.State(ctx, id)
	switch {
	case !isNotFound(err) && (stateErr != nil || state.Status != domain.OrderHeld):
		return OrderView{}, err
	case isNotFound(stateErr):
		return s.forgottenOrder(ctx, id)
	case stateErr != nil:
		return OrderView{}, stateErr
	}
	if err := state.Status.Check(); err != nil {
		return OrderView{}, err
	}
	if state.Status.Sold() { // it may have been recorded between our two questions
		sold, err := s.soldOrder(ctx, id)
		switch {
		case err == nil:
			return viewSoldOrder(&sold), nil
		case !isNotFound(err):
			return OrderView{}, err
		case state.Status == domain.OrderPaid: // the database was put back to an earlier moment; never show it as paid without tickets
			return OrderView{}, &domain.Error{Code: domain.CodeOverloaded, Detail: "The order is paid. The record of its tickets is being restored."}
		}
	}
	return s.viewCheckoutState(ctx, state)
}

// soldOrder asks the database for a paid order, unless the database is down.
func (s *Server) soldOrder(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	return admission.Guard(ctx, s.Admission.Breakers.Database, func() (domain.SoldOrder, error) { return s.Orders.Order(ctx, id) })
}

// refundsOf asks the database for the refunds of an order, unless the database is down.
func (s *Server) refundsOf(ctx context.Context, id domain.OrderID) ([]domain.Refund, error) {
	return admission.Guard(ctx, s.Admission.Breakers.Database, func() ([]domain.Refund, error) { return s.Orders.RefundsOfOrder(ctx, id) })
}

// viewCheckoutState shows an order that has no row: it waits for its payment, or ended
// without tickets.
func (s *Server) viewCheckoutState(ctx context.Context, state domain.CheckoutState) (OrderView, error) {
	switch terms := state.Status.Terms(); {
	case !terms.Shown && !terms.Settled:
		return OrderView{}, &domain.Error{Code: domain.CodeInFlight, Detail: "The ledger has not answered yet."}
	case !terms.Shown:
		return OrderView{}, domain.NotFound("order") // nothing was ever ordered
	}
	v := OrderView{
		Order: state.Order, Sale: state.SaleID, SaleName: state.SaleID, Status: state.Status,
		Items: viewLines(state.Lines), Amount: state.AmountMinor, Currency: state.Currency, Metadata: state.Metadata,
		Declines: state.Declines,
	}
	if sale, err := s.Catalog.Sale(ctx, state.SaleID); err == nil {
		v.SaleName = sale.Name
	}
	if state.Status == domain.OrderHeld {
		v.HoldExpiresAt = timeOrNil(state.Hold.ExpiresAt)
		if state.Hold.ProcessingExtension > 0 {
			v.Processing, v.SeatsKeptUntil = state.Processing, timeOrNil(state.Hold.KeptUntil())
		}
		if v.Declines > 0 {
			v.AttemptsLeft = max(0, domain.DeclinesMax-v.Declines)
		}
		page, err := s.payPage(orderOfState(&state), state.Hold)
		v.PaymentURL, v.PaymentSession = page.URL, cmp.Or(state.Session, page.Session)
		return v, err
	}
	return s.withRefund(ctx, v)
}

// forgottenOrder is an order of which nothing is left but the money that goes back: Temporal has forgotten its
// checkout, and it never had tickets. What was ordered is not known any more, nor the sale, if the money came after that.
func (s *Server) forgottenOrder(ctx context.Context, id domain.OrderID) (OrderView, error) {
	refunds, err := s.refundsOf(ctx, id)
	switch {
	case err != nil:
		return OrderView{}, err
	case len(refunds) == 0:
		return OrderView{}, domain.NotFound("order")
	}
	v := OrderView{Order: id, Sale: refunds[0].SaleID, SaleName: refunds[0].SaleID, Items: []OrderItem{}, Currency: refunds[0].Capture.Currency}
	for _, refund := range refunds {
		v.Amount += refund.Capture.AmountMinor
	}
	if sale, err := s.Catalog.Sale(ctx, v.Sale); err == nil {
		v.SaleName = sale.Name
	}
	return v.withRefunds(refunds), nil
}

// withRefund tells the buyer of a checkout that ended without tickets what happened to
// money that came anyway.
func (s *Server) withRefund(ctx context.Context, v OrderView) (OrderView, error) {
	refunds, err := s.refundsOf(ctx, v.Order)
	if err != nil {
		return OrderView{}, err
	}
	return v.withRefunds(refunds), nil
}

func (v OrderView) withRefunds(refunds []domain.Refund) OrderView {
	for _, refund := range refunds {
		if refund.RefundedAt.IsZero() {
			v.Status, v.RefundedAt = domain.OrderRefunding, nil
			return v
		}
		v.Status, v.RefundedAt = domain.OrderRefunded, timeOrNil(refund.RefundedAt)
	}
	return v
}

func (s *Server) cancel(ctx context.Context, in *orderInput) (*statusOutput, error) {
	id, err := s.authorize(in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	defer s.orderViews.changed(id)
	status, err := s.Desk.Cancel(ctx, id)
	if isNotFound(err) { // its checkout may be long gone, and paid
		if _, soldErr := s.soldOrder(ctx, id); soldErr == nil {
			return nil, &domain.Error{Code: domain.CodeAlreadyPaid, Detail: "The order is paid. Ask the organiser for a refund."}
		}
	}
	if err != nil {
		return nil, err
	}
	return &statusOutput{http.StatusOK, StatusView{id, status}}, nil
}

type ticketInput struct {
	Order         string `path:"order" doc:"The order's id"`
	Authorization string `header:"Authorization" doc:"Bearer, and the order's token"`
	Number        int    `path:"n" minimum:"1" doc:"The ticket's number within the order"`
	Accept        string `header:"Accept" doc:"image/png for a PNG; otherwise SVG"`
}

type imageOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) ticketQR(ctx context.Context, in *ticketInput) (*imageOutput, error) {
	view, err := s.authorizedOrder(ctx, in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	for _, ticket := range view.Tickets {
		if ticket.Number == in.Number {
			return drawQR(ticket.Code, in.Accept)
		}
	}
	return nil, domain.NotFound("ticket")
}

func drawQR(text, accept string) (*imageOutput, error) {
	contentType, draw := "image/svg+xml", qrcode.SVG
	accept = strings.ToLower(accept) // media types are case-insensitive
	if strings.Contains(accept, "image/png") && !strings.Contains(accept, "image/svg+xml") {
		contentType, draw = "image/png", qrcode.PNG
	}
	image, err := draw(text)
	if err != nil {
		return nil, err
	}
	return &imageOutput{contentType, image}, nil
}

// WebhookBody documents the payment provider's event; the provider's adapter reads it.
type WebhookBody struct {
	Type domain.PaymentEventType `json:"type" enum:"payment.succeeded,payment.failed,payment.canceled,payment.declined,payment.reversed"`
	Data WebhookData             `json:"data"`
}

// WebhookData says which payment a WebhookBody is about.
type WebhookData struct {
	Session  string         `json:"session"`
	Order    domain.OrderID `json:"order"`
	Amount   int64          `json:"amount" doc:"Minor units"`
	Currency string         `json:"currency"`
	Payment  string         `json:"payment,omitempty" doc:"Absent: the session"`

	Reversal *WebhookReversal `json:"reversal,omitempty" doc:"payment.reversed: what happened to the payment after it was captured. amount and currency are then the reversal's"`
}

// WebhookReversal is the reversal of a WebhookBody.
type WebhookReversal struct {
	ID        string               `json:"id"`
	Kind      domain.ReversalKind  `json:"kind" enum:"dispute,refund"`
	State     domain.ReversalState `json:"state" enum:"inquiry,dropped,open,won,lost,made,failed"`
	Reason    string               `json:"reason,omitempty"`
	At        time.Time            `json:"at"`
	RespondBy *time.Time           `json:"respond_by,omitempty"`
}

type webhookInput struct {
	RawBody []byte `contentType:"application/json"`

	header http.Header
}

type providerWebhookInput struct {
	Provider string `path:"provider" doc:"The payment provider's name"`
	webhookInput
}

// mockPayWebhook has a route of its own, from before there were other providers.
func (s *Server) mockPayWebhook(ctx context.Context, in *webhookInput) (*webhookOutput, error) {
	return s.webhook(ctx, domain.DefaultProvider, in)
}

func (s *Server) providerWebhook(ctx context.Context, in *providerWebhookInput) (*webhookOutput, error) {
	return s.webhook(ctx, in.Provider, &in.webhookInput)
}

// Resolve implements huma.Resolver: the signature covers headers.
func (in *webhookInput) Resolve(ctx huma.Context) []error {
	in.header = make(http.Header)
	ctx.EachHeader(func(name, value string) { in.header.Add(name, value) })
	return nil
}

type webhookOutput struct {
	Status int
	Body   *StatusView
}

// webhook takes an event of a payment provider. Any answer other than 2xx makes the
// provider send it again.
func (s *Server) webhook(ctx context.Context, provider string, in *webhookInput) (*webhookOutput, error) {
	event, err := s.Providers.Event(ctx, provider, in.header, in.RawBody)
	if err != nil {
		return nil, err
	}
	if !event.Type.Known() { // genuine, but of no use to us: it need not come again
		s.metrics.eventsIgnored.Inc()
		return &webhookOutput{Status: http.StatusNoContent}, nil
	}
	defer s.orderViews.changed(event.Order)
	failpoint.Before("webhook", "pay")
	result, err := s.Admission.Pay(ctx, event)
	failpoint.After("webhook", "pay")
	if err != nil {
		return nil, err
	}
	status := http.StatusAccepted
	if result.Settled {
		status = http.StatusOK
	}
	return &webhookOutput{status, &StatusView{event.Order, result.Status}}, nil
}
