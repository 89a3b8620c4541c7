package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

type checkoutInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Key  string `header:"Idempotency-Key" required:"true" minLength:"16" doc:"Names this checkout: the same key is the same order and gets the same answer. Bare or a quoted string; 16–255 visible ASCII characters, best a UUIDv7"`
	// QueueToken names the checkout in place of the key where the sale has a waiting room.
	QueueToken string `header:"Queue-Token" doc:"The token of an admitted place, where the sale has a waiting room. It names the checkout in place of the key, and is good for one order: one that was refused leaves it usable, at most 8 times"`
	Body       CheckoutBody

	keys            []string
	origin, cookies string // of browsers
}

// CheckoutBody is what a buyer wants.
type CheckoutBody struct {
	Items []CheckoutItem `json:"items" minItems:"1" maxItems:"12"`
	Buyer CheckoutBuyer  `json:"buyer"`

	Metadata map[string]string `json:"metadata,omitempty" doc:"Notes for systems of your own, such as a cart's number: up to 16 keys of 1–40 letters, digits, _ . -, with text of up to 500 bytes each, 2048 bytes in all. It comes back with the order and its events: put nothing personal there" example:"{\"cart\":\"4711\"}"`
}

// CheckoutItem is so many tickets of a class. Repeated classes add up.
type CheckoutItem struct {
	Class    string `json:"class" minLength:"1" maxLength:"32" example:"A"`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"100"`
}

// CheckoutBuyer says whose tickets these are.
type CheckoutBuyer struct {
	Email string `json:"email" minLength:"3" maxLength:"254" example:"a@example.com"`
}

// Resolve implements huma.Resolver: it gets at every value of the header, of
// which huma keeps the first.
func (in *checkoutInput) Resolve(ctx huma.Context) []error {
	in.keys = idempotencyKeys(ctx)
	in.origin, in.cookies = ctx.Header("Origin"), ctx.Header("Cookie")
	return nil
}

type checkoutOutput struct {
	Location string `header:"Location" doc:"The order"`
	Replayed string `header:"Idempotent-Replayed" doc:"true: the key came before, this is its answer"`
	// Held lets a browser find its order again.
	Held []http.Cookie `header:"Set-Cookie" hidden:"true"`
	Body CheckoutView
}

// CheckoutView answers a checkout whose seats are held.
type CheckoutView struct {
	Order          domain.OrderID     `json:"order"`
	Token          string             `json:"token" doc:"Bearer token of the order: whoever has it may see and cancel it"`
	Status         domain.OrderStatus `json:"status" enum:"held"`
	HoldExpiresAt  time.Time          `json:"hold_expires_at" doc:"When the checkout gives up"`
	Amount         int64              `json:"amount" doc:"Minor units"`
	Currency       string             `json:"currency"`
	PaymentURL     string             `json:"payment_url" doc:"Where to pay"`
	Metadata       map[string]string  `json:"metadata,omitempty" doc:"As it came with the checkout"`
	PaymentSession string             `json:"payment_session" doc:"The provider's name of this payment; empty where it has none before the buyer is at payment_url"`
}

var checkoutCodes = []domain.Code{
	domain.CodeKeyMissing, domain.CodeKeyReused, domain.CodeInFlight, domain.CodeInvalid, domain.CodeNotFound,
	domain.CodeNotOpen, domain.CodeSoldOut, domain.CodeSaleCanceled, domain.CodeLimitReached, domain.CodeQueueRequired,
	domain.CodeOverloaded, domain.CodeClocksDiffer, codeMediaType,
}

// checkout holds seats. Cheap refusals come first; none before the Desk binds
// the key.
func (s *Server) checkout(ctx context.Context, in *checkoutInput) (*checkoutOutput, error) {
	key, err := parseKey(in.keys)
	if err != nil {
		return nil, err
	}
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, beforeEngine{err}
	}
	if key, err = s.enterRoom(ctx, sale, key, in.QueueToken); err != nil {
		return nil, beforeEngine{err}
	}
	order, err := domain.NewOrder(sale, s.Keys, key, itemsOf(in.Body.Items), in.Body.Buyer.Email)
	if err != nil {
		return nil, err
	}
	if err := order.Note(s.Keys, in.Body.Metadata); err != nil {
		return nil, err
	}
	var answer domain.HoldAnswer
	if sale.WaitingRoom {
		answer, err = s.holdByToken(ctx, sale, key, &order)
	} else {
		answer, err = s.holdByKey(ctx, sale, &order)
	}
	if err != nil {
		return nil, err
	}
	if answer.Hold.Outcome == domain.HoldLimitReached {
		return nil, s.limitReached(in, sale, answer.Hold)
	}
	if err := s.verdict(ctx, sale, &order, answer.Hold); err != nil {
		return nil, err
	}
	out, err := s.viewCheckout(order, answer)
	if err == nil {
		out.Held = heldCookie(in.origin, sale.ID, &out.Body, time.Now())
	}
	return out, err
}

// holdByKey asks for seats: the gate, and where that has nothing against it, in turn
// the Desk.
func (s *Server) holdByKey(ctx context.Context, sale *domain.Sale, order *domain.Order) (domain.HoldAnswer, error) {
	leave, err := s.takeTurn(ctx, sale, order)
	if err != nil {
		return domain.HoldAnswer{}, err
	}
	return s.start(ctx, sale, order, leave)
}

// takeTurn refuses an order that needs no engine, or waits for its turn there.
// Whoever has it calls leave, or start, which does. Errors: those of refuseEarly, maySell
// and admit.
func (s *Server) takeTurn(ctx context.Context, sale *domain.Sale, order *domain.Order) (turn, error) {
	if err := s.refuseEarly(ctx, sale, order); err != nil {
		return nil, err
	}
	if err := s.maySell(); err != nil {
		return nil, err
	}
	leave, waited, err := s.admit(ctx, order)
	if err != nil || !waited {
		return leave, err
	}
	isTaken := false
	defer func() {
		if !isTaken { // also where what follows panics
			leave(0, errTurnNotTaken)
		}
	}()
	if err := s.refuseEarly(ctx, sale, order); err != nil { // the seats went meanwhile
		return nil, err
	}
	isTaken = true
	return leave, nil
}

func (s *Server) maySell() error {
	if s.MaySell == nil {
		return nil
	}
	return s.MaySell()
}

func mustBeOpen(sale *domain.Sale, now time.Time) error {
	if sale.HasOpened(now) {
		return nil
	}
	return &domain.Error{
		Code:       domain.CodeNotOpen,
		Detail:     "The sale opens at " + sale.OpensAt.UTC().Format(time.RFC3339) + ".",
		RetryAfter: sale.OpensAt.Sub(now),
	}
}

func itemsOf(items []CheckoutItem) []domain.Item {
	out := make([]domain.Item, 0, len(items))
	for _, i := range items {
		out = append(out, domain.Item(i))
	}
	return out
}

// refuseEarly answers most of an on-sale's requests: no workflow, one look at
// what the gate remembers. Only a key that has no other answer is refused:
// the one that holds the last ticket must find it again, and the one that was
// over the limit stays so. Where the ledger does
// not say, nothing is started: overload must not make more work.
func (s *Server) refuseEarly(ctx context.Context, sale *domain.Sale, order *domain.Order) error {
	judged, refusal := s.gate.Judge(ctx, sale, order)
	if judged == doubtful {
		known, err := s.known(ctx, order)
		switch {
		case err != nil:
			return err
		case !known:
			judged = refused
		}
	}
	if judged != refused {
		return nil // there may be seats, or the Desk has its answer
	}
	return s.refusedByGate(refusal)
}

// isGateRefusal reports whether refuseEarly said that there is nothing to be held.
func isGateRefusal(err error) bool {
	code := domain.CodeOf(err)
	return code == domain.CodeSoldOut || code == domain.CodeSaleCanceled
}

func (s *Server) refusedByGate(refusal *domain.Error) error {
	if refusal.Code == domain.CodeSoldOut {
		s.metrics.soldOut.WithLabelValues(checkoutRefusalsByGate).Inc()
	}
	return refusal
}

// known asks the ledger whether an order which the gate would refuse has an answer,
// in one of a bounded number of slots. The error is an *Error with CodeOverloaded.
func (s *Server) known(ctx context.Context, order *domain.Order) (bool, error) {
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	default:
		return false, &domain.Error{Code: domain.CodeOverloaded}
	}
	s.metrics.lookups.Inc()
	ctx, cancel := context.WithTimeout(ctx, stockTimeout)
	defer cancel()
	known, err := s.Books.Known(ctx, order)
	if err != nil {
		return false, &domain.Error{Code: domain.CodeOverloaded, Err: fmt.Errorf("look up order %s, which the gate refuses: %w", order.ID, err)}
	}
	return known, nil
}

// start asks the Desk in an order's turn, which ends with it, and notes for the gate
// and the doors how it fared.
func (s *Server) start(ctx context.Context, sale *domain.Sale, order *domain.Order, leave turn) (answer domain.HoldAnswer, err error) {
	began := time.Now()
	defer func() { leave(time.Since(began), err) }() // also where the Desk panics
	answer, err = s.Desk.Start(ctx, *order)
	s.load.held(ctx, sale, began, err)
	if err == nil {
		s.gate.Learn(sale, order, answer.Hold)
	}
	return answer, err
}

// verdict turns the ledger's no into a problem. An outcome that this version
// does not know is not a no.
func (s *Server) verdict(ctx context.Context, sale *domain.Sale, order *domain.Order, hold domain.Hold) error {
	switch hold.Outcome {
	case domain.HoldHeld:
		return nil
	case domain.HoldSoldOut:
		s.metrics.soldOut.WithLabelValues(checkoutRefusalsByDesk).Inc()
		levels, err := s.Catalog.Stock(ctx, sale)
		if err != nil {
			return &domain.Error{Code: domain.CodeSoldOut, Detail: "Not enough tickets are left.", Err: err}
		}
		return soldOut(order.Lines, levels)
	default:
		return &domain.UnknownError{Op: "hold", ID: order.ID.String()}
	}
}

func (s *Server) viewCheckout(order domain.Order, answer domain.HoldAnswer) (*checkoutOutput, error) {
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
