package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/mockpayclient"
	"boxoffice/pace"
	"boxoffice/payments/mockpay"
)

const (
	answerMaxBytes = 1 << 20
	ticketClass    = "A"
	priceMinor     = 6500
	currency       = "EUR"
	// holdTimeout outlasts every bench: holds that are not paid yet must not
	// expire in the middle of another measurement.
	holdTimeout = 2 * time.Hour
	buyerLimit  = 4
	// askTimeout bounds every question outside of a load, whose requests have a
	// bound of their own: who has not answered by then is away.
	askTimeout = 30 * time.Second
)

// caller calls the box office and MockPay. It checks every answer: an unexpected one is a *load.Failure.
// It costs a request 1 µs and 11 allocations more than JSON written by hand would, of some 45 µs. The crowds of storms and
// refusals have their own connections (package crowd), because net/http would be too expensive there.
type caller struct {
	http      *http.Client
	fronts    []string // the box office's nodes
	organiser *client.Client
	mockPay   *mockpayclient.MockPay
	signer    *mockpay.Signer
}

func newCaller(o Options) *caller {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the stack is near; a proxy would be measured
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, load.ClientsMax
	transport.DisableCompression = true
	asks := &http.Client{Transport: transport} // each request has its own deadline
	return &caller{
		http: asks, fronts: []string{o.URL}, signer: o.Signer, mockPay: mockpayclient.New(o.MockPayURL, asks),
		organiser: &client.Client{URL: o.URL, AdminURL: o.AdminURL, AdminToken: o.AdminToken, HTTP: asks},
	}
}

// front is the node that the next request goes to, as behind a load balancer: a
// webhook may come to another node than its checkout did. Taken in turn, one
// client's holds would all come to one node and its webhooks to the other.
func (c *caller) front() *client.Client {
	return &client.Client{URL: c.fronts[rand.IntN(len(c.fronts))], HTTP: c.http}
}

// held is an order that can be paid for.
type held struct {
	order      domain.OrderID
	token      string
	amount     int64
	paymentURL string
	expires    time.Time // when the checkout gives up
}

// openSale puts a sale on offer that never sells out.
func (c *caller) openSale(ctx context.Context, id string) error {
	return c.offer(ctx, id, domain.CapacityMax, func(s *client.CreateSaleBody) {
		s.Perk = &client.CreatePerkBody{Name: "T-shirt", Capacity: domain.CapacityMax}
	})
}

// offer puts this many tickets on offer; change is nil, or edits the sale.
func (c *caller) offer(ctx context.Context, id string, tickets int64, change func(*client.CreateSaleBody)) error {
	holdSeconds, limit := int64(holdTimeout.Seconds()), int64(buyerLimit)
	sale := client.CreateSaleBody{
		ID: id, Name: "Bench", Currency: currency, HoldSeconds: &holdSeconds, BuyerLimit: &limit,
		Classes: []client.CreateClassBody{{Class: ticketClass, Price: priceMinor, Capacity: tickets}},
	}
	if change != nil {
		change(&sale)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return checked(ctx, "sale", http.StatusCreated, func(ctx context.Context) error {
		_, err := c.organiser.CreateSale(ctx, &sale)
		return err
	})
}

// pauseQueue shuts the door of a sale's waiting room, or opens it.
func (c *caller) pauseQueue(ctx context.Context, sale string, paused bool) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return checked(ctx, "queue", http.StatusOK, func(ctx context.Context) error {
		_, err := c.organiser.ConfigureQueue(ctx, sale, &client.ConfigureBody{Paused: &paused})
		return err
	})
}

// placeOrder holds one ticket for a buyer who never came before.
func (c *caller) placeOrder(ctx context.Context, sale string) (held, error) {
	return c.placeOrderOf(ctx, sale, uuid.Must(uuid.NewV7()).String())
}

// placeOrderOf does so under an Idempotency-Key, which is also the buyer's name.
func (c *caller) placeOrderOf(ctx context.Context, sale, key string) (held, error) {
	params := client.CreateCheckoutParams{IdempotencyKey: `"` + key + `"`}
	body := &client.CheckoutBody{
		Items: []client.CheckoutItem{{Class: ticketClass, Quantity: 1}}, Buyer: client.CheckoutBuyer{Email: key + "@bench.example"},
	}
	var answer client.CheckoutView
	err := checked(ctx, "checkout", http.StatusCreated, func(ctx context.Context) (err error) {
		answer, err = c.front().CreateCheckout(ctx, sale, params, body)
		return err
	})
	if err != nil {
		return held{}, err
	}
	order, err := domain.ParseOrderID(answer.Order)
	isHeld := domain.OrderStatus(answer.Status) == domain.OrderHeld
	if err != nil || order.IsZero() || answer.Token == "" || !isHeld || answer.Amount != priceMinor || answer.Currency != currency {
		return held{}, wrong("checkout", fmt.Sprintf("%+v", answer))
	}
	return held{order, answer.Token, answer.Amount, answer.PaymentURL, answer.HoldExpiresAt}, nil
}

// payByWebhook reports the payment as the provider does. Only an answer that the
// order is paid counts: 202 means that it is not settled yet.
func (c *caller) payByWebhook(ctx context.Context, h held) error {
	event := domain.PaymentEvent{
		ID: "evt_" + h.order.String(), Type: domain.PaymentSucceeded, Order: h.order, Session: mockpay.SessionID(h.order),
		AmountMinor: h.amount, Currency: currency,
	}.Normalized("")
	now := time.Now()
	body, err := mockpay.EncodeEvent(event, now)
	if err != nil {
		return err
	}
	header, err := c.signer.Headers(event.ID, now, body)
	if err != nil {
		return err
	}
	var answer client.StatusView
	err = checked(ctx, "webhook", http.StatusOK, func(ctx context.Context) (err error) {
		answer, err = c.front().DeliverEvent(ctx, domain.DefaultProvider, header, body)
		return err
	})
	if err != nil {
		return err
	}
	if answer.Order != h.order.String() || domain.OrderStatus(answer.Status) != domain.OrderPaid {
		return wrong("webhook", fmt.Sprintf("%+v", answer))
	}
	return nil
}

// mockPayPoll is how often an order is looked at that MockPay reports.
const mockPayPoll = 5 * time.Millisecond

// payAtMockPay pays on the provider's page and waits until its webhook has made
// the order paid.
func (c *caller) payAtMockPay(ctx context.Context, h held) error {
	var session mockpay.SessionStatus
	err := checked(ctx, "mockpay", http.StatusOK, func(ctx context.Context) (err error) {
		session, err = c.mockPay.Pay(ctx, mockpay.SessionID(h.order), h.paymentURL, mockpay.OutcomeSucceeded)
		return err
	})
	if err != nil {
		return err
	}
	if session != mockpay.SessionCaptured {
		return wrong("mockpay", fmt.Sprintf("session is %s", session))
	}
	for {
		status, _, err := c.readOrder(ctx, h)
		if err != nil || status == domain.OrderPaid {
			return err
		}
		if err := pace.Pause(ctx, mockPayPoll); err != nil {
			return err
		}
	}
}

// readOrder asks how an order stands.
func (c *caller) readOrder(ctx context.Context, h held) (status domain.OrderStatus, tickets int, err error) {
	var answer client.OrderView
	err = checked(ctx, "order", http.StatusOK, func(ctx context.Context) (err error) {
		answer, err = c.front().GetOrder(ctx, h.order.String(), h.token)
		return err
	})
	if err != nil {
		return "", 0, err
	}
	if answer.Order != h.order.String() {
		return "", 0, wrong("order", fmt.Sprintf("%+v", answer))
	}
	return domain.OrderStatus(answer.Status), len(answer.Tickets), nil
}

// seats are the seats of one or more sales by state, as the ledger reports them.
type seats struct{ Capacity, Held, Available int64 }

func (s seats) plus(o seats) seats {
	return seats{s.Capacity + o.Capacity, s.Held + o.Held, s.Available + o.Available}
}

// seats asks for those of a sale of the bench's only class.
func (c *caller) seats(ctx context.Context, sale string) (seats, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var answer client.SaleView
	err := checked(ctx, "sale", http.StatusOK, func(ctx context.Context) (err error) {
		answer, err = c.front().GetSale(ctx, sale)
		return err
	})
	if err != nil {
		return seats{}, err
	}
	if len(answer.Classes) != 1 {
		return seats{}, wrong("sale", fmt.Sprintf("%+v", answer))
	}
	of := answer.Classes[0]
	return seats{of.Capacity, of.Held, of.Available}, nil
}

func wrong(what, got string) error {
	return &load.Failure{Code: "wrong_answer", Detail: what + " answered " + got}
}

// checked makes any status but the expected one a *load.Failure, with the status and the problem's code.
func checked(ctx context.Context, what string, want int, call func(context.Context) error) error {
	var raw client.Answer
	err := call(client.Recording(ctx, &raw))
	switch {
	case raw.Status == 0: // nobody answered
		return err
	case raw.Status != want:
		return &load.Failure{Code: fmt.Sprintf("%d %s", raw.Status, client.CodeOf(err)), Detail: what + ": " + fmt.Sprint(err)}
	case err != nil:
		return wrong(what, err.Error())
	}
	return nil
}
