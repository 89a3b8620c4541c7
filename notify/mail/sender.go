package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/pace"
	"boxoffice/tracing"
)

// A Store keeps the queue. orders.Store is one.
type Store interface {
	// QueueMails queues mails. It skips those whose id is already there.
	QueueMails(ctx context.Context, mails []domain.Mail) error
	// ClaimMails leases due mails for a time, after which other nodes may claim them: either the mails that somebody asked for, or all others.
	ClaimMails(ctx context.Context, asked bool, most int, lease time.Duration) ([]domain.Mail, error)
	// SettleMails stores the outcomes of mails.
	SettleMails(ctx context.Context, outcomes []domain.MailOutcome) error

	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
	// OrdersOfAddresses finds the newest orders of each address, up to a limit.
	OrdersOfAddresses(ctx context.Context, addresses []string, most int) (map[string][]domain.SoldOrder, error)
}

// Options are the parts of a Sender.
type Options struct {
	Store     Store
	Relay     Relay
	Templates *Templates
	Link      func(domain.OrderID) string // opens an order for anyone who has the link

	ConnectionsMax int           // messages sent at a time
	Timeout        time.Duration // the relay's, see SMTPOptions
	PerSecond      float64       // messages that this process sends at most
	Busy           func() bool   // optional: buyers wait for the engine
	Meter          prometheus.Registerer
	Log            *slog.Logger
	Tracer         *tracing.Tracer // optional
}

// Times of a Sender.
const (
	pollInterval = 2 * time.Second
	// The search for the orders of addresses reads all orders, and anybody may ask for it. So it runs at most every askInterval, and
	// for at most a tenth of the time.
	askInterval = 5 * time.Second
	askRest     = 9
	// sendWithin is how long after its claim a mail may still be started. It ends before the lease does, so no two nodes send a mail
	// at the same time.
	sendWithin  = time.Minute
	leaseMargin = time.Minute
	batchMax    = 20
	// busyCost is how many turns a mail takes while buyers wait for the engine: writing one takes as much CPU as a checkout.
	busyCost      = 10
	askedMax      = 100
	ordersToldMax = 50
	relayPauseMin = time.Second
	relayPauseMax = 5 * time.Minute
	mailPauseMin  = time.Minute
	mailPauseMax  = time.Hour
	settleTimeout = 5 * time.Second
	// giveUpAfter is how long we retry a mail that the relay says it may accept later (RFC 5321, 4.5.4.1).
	giveUpAfter = 5 * 24 * time.Hour
	// attemptsMin is the least number of attempts, because we may have been down for days.
	attemptsMin = 20
	// attemptsMax stops a mail that crashes its process each time.
	attemptsMax = 500
)

// A Sender hands due mails to the relay. Any number of nodes may run one.
type Sender struct {
	Options
	pace *rate.Limiter
	now  func() time.Time

	mu        sync.Mutex
	unsettled []domain.MailOutcome // outcomes that the database was not there to store
	failures  int                  // of the relay, in a row
	askedAt   time.Time            // when the last search ended
	askTook   time.Duration        // the last search

	settled  *prometheus.CounterVec
	relayBad prometheus.Counter
}

// NewSender checks the options.
func NewSender(o Options) (*Sender, error) {
	if o.Store == nil || o.Relay == nil || o.Templates == nil || o.Link == nil || o.Meter == nil || o.Log == nil {
		return nil, errors.New("mail: options are missing Store, Relay, Templates, Link, Meter or Log")
	}
	if o.ConnectionsMax < 1 || o.PerSecond <= 0 || o.Timeout <= 0 {
		return nil, errors.New("mail: want at least one connection, a rate above 0, and the relay's timeout")
	}
	s := &Sender{
		Options: o, now: time.Now,
		pace: rate.NewLimiter(rate.Limit(o.PerSecond), max(1, int(o.PerSecond))),
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "boxoffice_mails_settled_total", Help: "Mails that a relay accepted (sent), that were no longer true (needless), or that were set aside.",
		}, []string{"kind", "state"}),
		relayBad: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_mail_relay_failures_total", Help: "Attempts that failed because of the relay: it was down, or refused everything.",
		}),
	}
	for _, kind := range kinds {
		for _, state := range []domain.MailState{domain.MailSent, domain.MailNeedless, domain.MailSetAside} {
			s.settled.WithLabelValues(string(kind), string(state)) // a series exists from the start
		}
	}
	o.Meter.MustRegister(s.settled, s.relayBad)
	return s, nil
}

// Run sends until the context ends. It finishes the messages that it is sending.
func (s *Sender) Run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = pace.Pause(ctx, s.round(ctx)) // the loop checks the context
	}
	// Even when stopping, store the outcomes, or these mails are sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_ = s.settle(ctx) // they are sent again, under the same Message-ID
	s.Relay.Close()
}

// round sends what is due, once, and returns how long there is nothing to do.
func (s *Sender) round(ctx context.Context) time.Duration {
	if err := s.settle(ctx); err != nil {
		s.Log.Warn("mail: cannot store the outcomes of mails", "error", err)
		return pollInterval
	}
	// Tickets first: they must not wait for a search that anybody may ask for.
	var pause time.Duration
	// A claim that is under way when the process is asked to stop is awaited: its mails are put back below. Given up, it may
	// have been made all the same, and then nobody sends them before it ends.
	claiming := context.WithoutCancel(ctx)
	mails, err := s.Store.ClaimMails(claiming, false, batchMax*s.ConnectionsMax, s.lease())
	if len(mails) > 0 {
		pause = s.sendAll(ctx, mails)
	}
	var asked []domain.Mail
	if err == nil && pause == 0 && ctx.Err() == nil {
		if asked, err = s.claimAsked(claiming); len(asked) > 0 {
			pause = s.sendAll(ctx, asked)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("mail: cannot read the due mails", "error", err)
	}
	if len(mails)+len(asked) == 0 {
		return pollInterval
	}
	return pause
}

func (s *Sender) claimAsked(ctx context.Context) ([]domain.Mail, error) {
	if time.Since(s.askedAt) < max(askInterval, askRest*s.askTook) {
		return nil, nil
	}
	s.askedAt = time.Now()
	return s.Store.ClaimMails(ctx, true, askedMax, s.lease())
}

// lease has time to connect, to send, and for the relay's answer to the whole message.
func (s *Sender) lease() time.Duration {
	return sendWithin + (2+endTimeouts)*s.Timeout + leaseMargin
}

// sendAll sends a batch that was just claimed. Once the relay fails, or the time is up, it puts the rest back untried.
func (s *Sender) sendAll(ctx context.Context, mails []domain.Mail) (pause time.Duration) {
	claimed := s.now()
	found, err := s.ordersOf(ctx, mails)
	if err != nil {
		s.Log.Warn("mail: cannot read the orders that were asked for", "error", err)
	}
	var relayFailed, relayWorked atomic.Bool
	var group errgroup.Group
	group.SetLimit(s.ConnectionsMax)
	for _, mail := range mails {
		group.Go(func() error {
			outcome := domain.MailOutcome{ID: mail.ID, State: domain.MailDue, Again: pollInterval}
			nothing := mail.Kind == domain.MailOrders && len(found[mail.Address]) == 0 // nothing is sent, so it needs no token of the limiter
			if (mail.Kind != domain.MailOrders || err == nil) && !relayFailed.Load() && (nothing || s.turn(ctx) == nil) && s.now().Sub(claimed) < sendWithin {
				var failed error
				if outcome, failed = s.send(ctx, mail, found[mail.Address]); failed != nil {
					s.relayBad.Inc()
					relayFailed.Store(true)
					s.Log.Warn("mail: the relay accepts no mails, so they wait", "error", failed)
				} else if outcome.State == domain.MailSent {
					relayWorked.Store(true)
				}
			}
			s.keep(ctx, mail.Kind, outcome)
			return nil
		})
	}
	_ = group.Wait() // no error is returned
	if relayWorked.Load() || !relayFailed.Load() {
		s.failures = 0
	}
	if !relayFailed.Load() {
		return 0
	}
	s.failures++
	return pace.Backoff(relayPauseMin, relayPauseMax, s.failures)
}

// turn waits until a mail may be sent.
func (s *Sender) turn(ctx context.Context) error {
	turns := 1
	if s.Busy != nil && s.Busy() {
		turns = min(busyCost, s.pace.Burst())
	}
	return s.pace.WaitN(ctx, turns)
}

// ordersOf finds the orders for all these mails in one search.
func (s *Sender) ordersOf(ctx context.Context, mails []domain.Mail) (map[string][]domain.SoldOrder, error) {
	var addresses []string
	for _, mail := range mails {
		if mail.Kind == domain.MailOrders {
			addresses = append(addresses, mail.Address)
		}
	}
	if len(addresses) == 0 {
		return nil, nil
	}
	began := time.Now()
	defer func() { s.askedAt, s.askTook = time.Now(), time.Since(began) }()
	return s.Store.OrdersOfAddresses(ctx, addresses, ordersToldMax+1)
}

// send tries one mail. An error means that the relay failed.
func (s *Sender) send(ctx context.Context, mail domain.Mail, orders []domain.SoldOrder) (domain.MailOutcome, error) {
	outcome := domain.MailOutcome{ID: mail.ID, State: domain.MailDue, Again: pollInterval}
	if mail.Attempts > attemptsMax {
		outcome.State, outcome.Failed, outcome.Reason = domain.MailSetAside, true, "it was started too often and never finished"
		return outcome, nil
	}
	message, needless, err := s.compose(ctx, mail, orders)
	if err == nil && needless == "" {
		failpoint.Before("mail", "send")
		err = s.deliver(ctx, mail, message)
		failpoint.After("mail", "send")
	}
	var notTaken *NotTakenError
	switch {
	case needless != "":
		outcome.State, outcome.Reason = domain.MailNeedless, needless
	case err == nil:
		outcome.State = domain.MailSent
	case errors.As(err, &notTaken):
		outcome.Failed, outcome.Reason = true, notTaken.Reason
		outcome.Again = pace.Backoff(mailPauseMin, mailPauseMax, mail.Attempts)
		switch {
		case !notTaken.Later:
			outcome.State = domain.MailSetAside
		case time.Since(mail.QueuedAt) > giveUpAfter && mail.Attempts > attemptsMin:
			outcome.State, outcome.Reason = domain.MailSetAside, "given up after five days: "+notTaken.Reason
		}
	case errors.As(err, new(*databaseError)):
		if ctx.Err() == nil {
			s.Log.Warn("mail: cannot tell what a mail says of its order, so it waits", "mail", mail.ID, "error", err)
		}
	default:
		// It goes behind those that were not tried, because it may be what makes the relay fail.
		outcome.Reason, outcome.Again = err.Error(), mailPauseMin
		return outcome, err
	}
	return outcome, nil
}

// deliver gives a message to the relay.
func (s *Sender) deliver(ctx context.Context, mail domain.Mail, message *Message) (err error) {
	ctx, span := s.Tracer.Start(ctx, mail.Order, "send mail", trace.SpanKindClient)
	if span.IsRecording() {
		span.SetAttributes(semconv.MessagingSystemKey.String("smtp"), semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
			semconv.MessagingMessageID(mail.ID), attribute.String("boxoffice.mail.kind", string(mail.Kind)))
	}
	defer func() { tracing.End(span, err) }()
	return s.Relay.Send(ctx, message)
}

// A databaseError is the fault of neither the mail nor the relay.
type databaseError struct{ error }

func (e *databaseError) Unwrap() error { return e.error }

// compose writes a mail about the present state of its order. needless says why there is nothing to send.
func (s *Sender) compose(ctx context.Context, mail domain.Mail, orders []domain.SoldOrder) (m *Message, needless string, err error) {
	defer func() {
		if r := recover(); r != nil { // a library panics at text that it cannot draw
			m, err = nil, &NotTakenError{Reason: withoutAddresses(fmt.Sprintf("the mail cannot be written: %v", r), "")}
		}
	}()
	languages, to := mail.Languages, mail.Address
	var tells *Tells
	if mail.Kind == domain.MailOrders {
		if len(orders) == 0 {
			return nil, "the address has no orders", nil
		}
		tells = s.tellOrders(orders)
	} else {
		var order domain.SoldOrder
		if tells, order, needless, err = s.tellOrder(ctx, mail); err != nil || needless != "" {
			return nil, needless, err
		}
		languages, to = order.Metadata.Languages(), order.Email
	}
	m, err = s.Templates.write(s.Templates.match(languages), mail.Kind, tells)
	if err != nil {
		return nil, "", &NotTakenError{Reason: "the mail cannot be written: " + withoutAddresses(err.Error(), to)}
	}
	m.ID, m.To = mail.ID, to
	return m, "", nil
}

func (s *Sender) tellOrders(orders []domain.SoldOrder) *Tells {
	tells := &Tells{More: len(orders) > ordersToldMax}
	for _, order := range orders[:min(len(orders), ordersToldMax)] {
		tells.Orders = append(tells.Orders, orderTold(&order, s.Link(order.ID)))
	}
	return tells
}

// tellOrder reads the order and decides whether the mail is still true: tickets that are void by now are not sent, and once the
// money is back there is no mail that it is on its way.
func (s *Sender) tellOrder(ctx context.Context, mail domain.Mail) (tells *Tells, order domain.SoldOrder, needless string, err error) {
	order, err = s.Store.Order(ctx, mail.Order)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return nil, order, "", &NotTakenError{Reason: "its order is not in the database"}
	case err != nil:
		return nil, order, "", &databaseError{err}
	case !order.ErasedAt.IsZero():
		return nil, order, "its buyer was erased", nil
	case order.Email == "":
		return nil, order, "", &NotTakenError{Reason: "its order has no address"}
	}
	tells = tellsOf(&order, s.Link(order.ID))
	var want domain.OrderStatus
	switch mail.Kind {
	case domain.MailTickets:
		sale, err := s.Store.Sale(ctx, order.SaleID)
		switch {
		case err != nil:
			return nil, order, "", &databaseError{err}
		case sale.Canceled():
			return nil, order, "the sale is canceled: the mail of the refund says so", nil
		case order.Status.Terms().Tickets != domain.TicketsValid:
			return nil, order, "the tickets are no longer valid", nil
		}
		tells.tellFacts(&order, sale, s.now())
		return tells, order, "", nil
	case domain.MailRefundBegun:
		want = domain.OrderRefunding
		if order.Capture.IsFree() && order.Status == domain.OrderRefunded { // it has taken no time, and there is no other mail
			want = order.Status
		}
	case domain.MailRefunded:
		if order.Capture.IsFree() {
			return nil, order, "there was no money to give back", nil
		}
		want = domain.OrderRefunded
	default: // a node of a newer release queued it, and sends it
		return nil, order, "", &databaseError{fmt.Errorf("this release knows no mail %q about an order", mail.Kind)}
	}
	if order.Status != want {
		return nil, order, "the order is " + string(order.Status) + " by now", nil
	}
	refunds, err := s.Store.RefundsOfOrder(ctx, order.ID)
	if err != nil {
		return nil, order, "", &databaseError{err}
	}
	for _, refund := range refunds {
		if refund.Capture.Payment == order.Capture.Payment {
			tells.SaleCanceled = refund.Reason == domain.RefundSaleCanceled
		}
	}
	return tells, order, "", nil
}

// keep stores the outcome of a mail at once. A crash between the relay's answer and this is the one way that a mail is sent twice.
func (s *Sender) keep(ctx context.Context, kind domain.MailKind, outcome domain.MailOutcome) {
	if outcome.State != domain.MailDue {
		s.settled.WithLabelValues(string(kind), string(outcome.State)).Inc()
	}
	if outcome.State == domain.MailSetAside {
		s.Log.Warn("mail: a mail is set aside", "mail", outcome.ID, "kind", string(kind), "reason", outcome.Reason)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	if s.Store.SettleMails(ctx, []domain.MailOutcome{outcome}) == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled = append(s.unsettled, outcome)
}

// settle stores the outcomes that could not be stored before. Until it succeeds, nothing more is sent.
func (s *Sender) settle(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unsettled) == 0 {
		return nil
	}
	if err := s.Store.SettleMails(ctx, s.unsettled); err != nil {
		return err
	}
	s.unsettled = nil
	return nil
}
