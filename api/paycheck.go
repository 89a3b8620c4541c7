package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/domain"
	"boxoffice/flight"
	"boxoffice/payments"
)

// Limits of what buyers make a node ask payment providers.
const (
	// checkWait is how long one request waits. The question goes on without it.
	checkWait = 4 * time.Second
	// checkTimeout limits a question: the provider's answer, and its delivery to the
	// checkout as if it were a webhook.
	checkTimeout = payments.CallTimeout + requestTimeout
	// checksInFlightMax is how many questions are under way at a time.
	checksInFlightMax = 64
	// The provider is asked about an order at once, and then again after a pause that
	// doubles. So whoever holds an order for ten minutes gets 43 questions out of a node.
	checkPauseMin = time.Second
	checkPauseMax = 15 * time.Second
	// checkPauseForgotten: a buyer who comes back again so much later is new.
	checkPauseForgotten = time.Minute
	// checkPauseProcessing: a payment that may take days needs no hurry.
	checkPauseProcessing = time.Minute
	// checksRememberedMax limits the memory of pauses: about 2 MB.
	checksRememberedMax = 1 << 14
)

// PaymentProgress is how far the payment of a held order is.
type PaymentProgress string

const (
	// PaymentNone: the provider was asked just now, and has taken nothing.
	PaymentNone PaymentProgress = "none"
	// PaymentProcessing: the provider is at it, or has taken the money and the checkout
	// is about to know.
	PaymentProcessing PaymentProgress = "processing"
	// PaymentUnknown: there is no answer of the provider yet.
	PaymentUnknown PaymentProgress = "unknown"
)

// PaymentCheckView is what is known of an order's payment.
type PaymentCheckView struct {
	StatusView
	SeatsKeptUntil *time.Time `json:"seats_kept_until,omitempty" doc:"processing, if the sale has processing_seconds: until when the seats are kept for the payment"`

	Payment PaymentProgress `json:"payment,omitempty" enum:"none,processing,unknown" doc:"held: none – nothing was paid, the buyer may pay; processing – a payment is under way; unknown – the provider has not answered yet. For the last two, ask again after Retry-After and offer no payment meanwhile"`
}

type paymentCheckOutput struct {
	Status     int
	RetryAfter int `header:"Retry-After"`
	Body       PaymentCheckView
}

// checkPayment asks the provider what became of an order's payment. It is for a buyer who
// comes back from paying while the provider's webhook is late. An order that is not held
// any more costs the provider and the checkout nothing.
func (s *Server) checkPayment(ctx context.Context, in *orderInput) (*paymentCheckOutput, error) {
	order, err := s.authorizedOrder(ctx, in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	found := paymentCheck{status: order.Status}
	if order.Status == domain.OrderHeld {
		found = s.checks.check(ctx, order.Order, func(ctx context.Context) (paymentCheck, error) {
			check, err := s.askProvider(ctx, &order)
			if err == nil {
				return check, nil
			}
			if leftOut, ok := s.logged.spend(domain.CodeUnknown, time.Now()); ok {
				s.log.WarnContext(ctx, "a buyer came back from paying, and it is not known yet whether they paid",
					"order", order.Order, "error", err, "left_out", leftOut)
			}
			return check, err
		})
		s.metrics.paymentChecks.WithLabelValues(found.label()).Inc()
	}
	out := &paymentCheckOutput{Status: http.StatusOK, Body: PaymentCheckView{StatusView: StatusView{order.Order, found.status}, Payment: found.payment}}
	if found.payment == PaymentProcessing || found.payment == PaymentUnknown {
		if found.payment == PaymentProcessing && order.SeatsKeptUntil != nil {
			out.Body.SeatsKeptUntil, found.pause = order.SeatsKeptUntil, max(found.pause, checkPauseProcessing)
		}
		out.Status, out.RetryAfter = http.StatusAccepted, max(1, int((found.pause+time.Second-1)/time.Second))
	}
	return out, nil
}

// askProvider asks the provider about a held order, and tells its checkout what it hears,
// like a webhook.
func (s *Server) askProvider(ctx context.Context, order *OrderView) (paymentCheck, error) {
	held := func(payment PaymentProgress) (paymentCheck, error) {
		return paymentCheck{status: domain.OrderHeld, payment: payment}, nil
	}
	if order.PaymentSession == "" {
		return held(PaymentNone) // nobody ever went to pay
	}
	session, err := s.Providers.Session(ctx, order.PaymentSession)
	switch {
	case isNotFound(err):
		return held(PaymentNone)
	case err != nil:
		return paymentCheck{}, err
	}
	event, isNews := session.Event(order.Amount, order.Currency)
	switch {
	case !isNews && session.Status == payments.SessionOpen:
		return held(PaymentNone)
	case !isNews && session.Status == payments.SessionProcessing:
		return held(PaymentProcessing)
	case !isNews:
		return held(PaymentUnknown)
	}
	defer s.orderViews.changed(order.Order)
	result, err := s.Admission.Pay(ctx, event)
	switch {
	case err != nil:
		return paymentCheck{}, err
	case !result.Settled:
		return held(PaymentProcessing)
	case result.Status == domain.OrderHeld:
		return held(PaymentNone) // that payment was not the order's price: it goes back
	}
	return paymentCheck{status: result.Status}, nil
}

// A paymentCheck is the outcome of one question.
type paymentCheck struct {
	status  domain.OrderStatus
	payment PaymentProgress // if held
	begun   time.Time
	pause   time.Duration // until the provider may be asked again
}

func (c paymentCheck) label() string {
	if c.payment == "" {
		return "settled"
	}
	return string(c.payment)
}

// paymentChecks limit how often providers are asked for buyers. Buyers who ask about the
// same order at the same time share the answer.
type paymentChecks struct {
	now     func() time.Time
	wait    time.Duration
	permits chan struct{}
	flights flight.Group

	mu     sync.Mutex // guards a lookup and what follows from it
	pauses *lru.Cache[domain.OrderID, checkPause]
}

// A checkPause is when an order may be asked about again.
type checkPause struct {
	until  time.Time
	length time.Duration
}

func newPaymentChecks() (*paymentChecks, error) {
	pauses, err := lru.New[domain.OrderID, checkPause](checksRememberedMax)
	return &paymentChecks{now: time.Now, wait: checkWait, permits: make(chan struct{}, checksInFlightMax), pauses: pauses}, err
}

// check returns what ask finds. It says PaymentUnknown where it does not know: never that
// nothing was paid, unless the provider was asked after the caller came.
func (c *paymentChecks) check(ctx context.Context, id domain.OrderID, ask func(context.Context) (paymentCheck, error)) paymentCheck {
	came := c.now()
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	found, err := flight.Share(ctx, &c.flights, id.String(), checkTimeout, func(ctx context.Context) (paymentCheck, error) {
		return c.askInTurn(ctx, id, ask)
	})
	switch {
	case err != nil:
		return paymentCheck{status: domain.OrderHeld, payment: PaymentUnknown, pause: c.left(id)}
	case found.payment == PaymentNone && found.begun.Before(came):
		found.payment = PaymentUnknown
	}
	found.pause = c.left(id)
	return found
}

func (c *paymentChecks) askInTurn(ctx context.Context, id domain.OrderID, ask func(context.Context) (paymentCheck, error)) (paymentCheck, error) {
	unknown := paymentCheck{status: domain.OrderHeld, payment: PaymentUnknown}
	select {
	case c.permits <- struct{}{}:
		defer func() { <-c.permits }()
	default:
		return unknown, nil
	}
	begun := c.now()
	if !c.take(id, begun) {
		return unknown, nil
	}
	found, err := ask(ctx)
	found.begun = begun
	return found, err
}

// take reports whether the provider may be asked about an order now, and begins the next
// pause if so.
func (c *paymentChecks) take(id domain.OrderID, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause, known := c.pauses.Get(id)
	switch {
	case known && now.Before(pause.until):
		return false
	case !known || now.Sub(pause.until) >= checkPauseForgotten:
		pause.length = checkPauseMin
	default:
		pause.length = min(2*pause.length, checkPauseMax)
	}
	pause.until = now.Add(pause.length)
	c.pauses.Add(id, pause)
	return true
}

// left is how long until the provider may be asked about an order again.
func (c *paymentChecks) left(id domain.OrderID) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	pause, _ := c.pauses.Get(id)
	return max(0, pause.until.Sub(c.now()))
}
