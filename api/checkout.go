package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/admission"
	"boxoffice/domain"
)

type checkoutInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Key  string `header:"Idempotency-Key" required:"true" minLength:"16" doc:"Names this checkout: the same key is the same order and gets the same answer. A bare or quoted string of 16–255 visible ASCII characters, ideally a UUIDv7"`
	// QueueToken identifies the checkout instead of the key if the sale has a waiting
	// room.
	QueueToken string `header:"Queue-Token" doc:"The token of an admitted place; needed if the sale has a waiting room. It names the checkout instead of the key and is good for one order. After a refusal you can use it again, at most 8 times"`
	Body       CheckoutBody

	keys            []string
	origin, cookies string // of browsers
}

// CheckoutBody is what a buyer wants.
type CheckoutBody struct {
	Items []CheckoutItem `json:"items" minItems:"1" maxItems:"12"`
	Buyer CheckoutBuyer  `json:"buyer"`
	Code  string         `json:"code,omitempty" maxLength:"80" doc:"The code that opens a hidden class of the order, as the organiser gave it out. The order uses it once, for as long as it holds or has its tickets"`

	Metadata map[string]string `json:"metadata,omitempty" doc:"Notes for systems of your own, such as a cart's number: up to 16 keys of 1–40 letters, digits, _ . -, with text of up to 500 bytes each, 2048 bytes in all. It is returned with the order and its events. Put no personal data there" example:"{\"cart\":\"4711\"}"`
}

// CheckoutItem is a number of tickets of a class. Repeated classes add up.
type CheckoutItem struct {
	Class    string `json:"class" minLength:"1" maxLength:"32" example:"A"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100"`
}

// CheckoutBuyer says whose tickets these are.
type CheckoutBuyer struct {
	Email string `json:"email" minLength:"3" maxLength:"254" example:"a@example.com"`
}

// Resolve implements huma.Resolver. It sees every value of the header; huma keeps only
// the first.
func (in *checkoutInput) Resolve(ctx huma.Context) []error {
	in.keys = idempotencyKeys(ctx)
	in.origin, in.cookies = ctx.Header("Origin"), ctx.Header("Cookie")
	return nil
}

type checkoutOutput struct {
	Location string `header:"Location" doc:"The order"`
	Replayed string `header:"Idempotent-Replayed" doc:"true: the key was used before, and this is its answer"`
	// Held lets a browser find its order again.
	Held []http.Cookie `header:"Set-Cookie" hidden:"true"`
	Body CheckoutView
}

// CheckoutView answers a checkout whose seats are held.
type CheckoutView struct {
	Order          domain.OrderID     `json:"order"`
	Token          string             `json:"token" doc:"Bearer token of the order. Anybody who has it can see and cancel the order"`
	Status         domain.OrderStatus `json:"status" enum:"held"`
	HoldExpiresAt  time.Time          `json:"hold_expires_at" doc:"When the checkout gives up"`
	Amount         int64              `json:"amount" doc:"Minor units"`
	Currency       string             `json:"currency"`
	PaymentURL     string             `json:"payment_url" doc:"Where to pay; empty if the amount is 0: the order is then paid by itself, at once"`
	Metadata       map[string]string  `json:"metadata,omitempty" doc:"As sent with the checkout"`
	PaymentSession string             `json:"payment_session" doc:"The provider's id of this payment session; empty if there is none until the buyer opens payment_url, or the amount is 0"`
}

var checkoutCodes = []domain.Code{
	domain.CodeKeyMissing, domain.CodeKeyReused, domain.CodeInFlight, domain.CodeInvalid, domain.CodeNotFound,
	domain.CodeNotOpen, domain.CodeSoldOut, domain.CodeSaleClosed, domain.CodeSaleCanceled,
	domain.CodeClassNotOpen, domain.CodeClassClosed, domain.CodeMaxPerOrder, domain.CodeLimitReached, domain.CodeQueueRequired,
	domain.CodeClassCodeRefused, domain.CodeClassCodeSpent,
	domain.CodeOverloaded, domain.CodeClocksDiffer, codeMediaType,
}

// checkout holds seats.
func (s *Server) checkout(ctx context.Context, in *checkoutInput) (*checkoutOutput, error) {
	key, err := parseKey(in.keys)
	if err != nil {
		return nil, err
	}
	if in.Body.Code != "" {
		if err := s.mayGuess(ctx); err != nil {
			return nil, err
		}
	}
	answer, err := s.Admission.Hold(ctx, in.Body.request(in.Sale, key, in.QueueToken))
	s.countGuess(ctx, err)
	var limit *admission.LimitReachedError
	switch {
	case errors.As(err, &limit):
		return nil, s.limitReached(in.cookies, limit)
	case err != nil:
		return nil, err
	}
	out, err := s.viewCheckout(answer)
	if err == nil {
		out.Held = heldCookie(in.origin, answer.Order.SaleID, &out.Body, time.Now())
	}
	return out, err
}

func (b *CheckoutBody) request(saleID, key, queueToken string) admission.Request {
	return admission.Request{SaleID: saleID, Key: key, QueueToken: queueToken, Items: itemsOf(b.Items), Email: b.Buyer.Email, Code: b.Code, Metadata: b.Metadata}
}

func itemsOf(items []CheckoutItem) []domain.Item {
	out := make([]domain.Item, 0, len(items))
	for _, i := range items {
		out = append(out, domain.Item(i))
	}
	return out
}

func (s *Server) viewCheckout(answer admission.Answer) (*checkoutOutput, error) {
	order := answer.Order
	page, err := s.payPage(order, answer.Hold)
	if err != nil {
		return nil, err
	}
	out := &checkoutOutput{
		Location: "/v1/orders/" + order.ID.String(),
		Body: CheckoutView{
			Order:          order.ID,
			Token:          s.Keys.OrderToken(order.ID),
			Status:         domain.OrderHeld,
			HoldExpiresAt:  answer.Hold.ExpiresAt.UTC(),
			Amount:         order.AmountMinor,
			Currency:       order.Currency,
			Metadata:       order.Metadata,
			PaymentURL:     page.URL,
			PaymentSession: page.Session,
		},
	}
	if answer.Replayed {
		out.Replayed = "true"
	}
	return out, nil
}
