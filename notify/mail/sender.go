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
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"boxoffice/domain"
	"boxoffice/pace"
)

// A Store keeps what is due. orders.Store is one.
type Store interface {
	// QueueMails makes mails due; those whose id is there already are not touched.
	QueueMails(ctx context.Context, mails []domain.Mail) error
	// ClaimMails takes mails that are due for a time, after which others may take them: those
	// that were asked for, or all others.
	ClaimMails(ctx context.Context, asked bool, most int, lease time.Duration) ([]domain.Mail, error)
	// SettleMails writes down what became of mails.
	SettleMails(ctx context.Context, outcomes []domain.MailOutcome) error
	// ForgetAskedMails drops asked mails that are settled and older than that.
	ForgetAskedMails(ctx context.Context, olderThan time.Duration) error

	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
	// OrdersOfAddresses finds the newest orders of addresses, at most so many of each.
	OrdersOfAddresses(ctx context.Context, addresses []string, most int) (map[string][]domain.SoldOrder, error)
}

// Options are what a Sender is made of.
type Options struct {
	Store     Store
	Relay     Relay
	Templates *Templates
	Link      func(domain.OrderID) string // opens an order, for whoever has it

	ConnectionsMax int           // messages on their way at a time
	Timeout        time.Duration // the relay's, of connecting and of one message
	PerSecond      float64       // messages that this process hands over at most
	Meter          prometheus.Registerer
	Log            *slog.Logger
}

// Times of a Sender.
const (
	pollInterval = 2 * time.Second
	// All orders are searched for addresses every askInterval at most, and for a tenth of the
	// time at most: anybody may ask.
	askInterval = 5 * time.Second
	askRest     = 9
	// sendWithin is how long after its claim a mail may still be begun. What is begun takes the
	// relay's timeout twice at most, to connect and to send, so it has ended before the lease
	// does: no other node sends a mail that is on its way.
	sendWithin     = time.Minute
	leaseMargin    = time.Minute
	batchMax       = 20
	askedMax       = 100
	ordersToldMax  = 50
	relayPauseMin  = time.Second
	relayPauseMax  = 5 * time.Minute
	mailPauseMin   = time.Minute
	mailPauseMax   = time.Hour
	settleTimeout  = 5 * time.Second
	forgetInterval = 10 * time.Minute
	// giveUpAfter is for how long a mail is tried that the relay takes later, it says (RFC 5321, 4.5.4.1).
	giveUpAfter = 5 * 24 * time.Hour
	// attemptsMin is how often it is tried at least: for days nobody may have tried.
	attemptsMin = 20
	// attemptsMax ends a mail that ends its process each time.
	attemptsMax = 500
)

// A Sender hands the mails that are due to the relay. Any number of nodes may run one.
type Sender struct {
	Options
	pace *rate.Limiter
	now  func() time.Time

	mu        sync.Mutex
	unsettled []domain.MailOutcome // the database was away when they were known
	failures  int                  // of the relay, in a row
	askedAt   time.Time            // when the last search ended
	askTook   time.Duration        // the last search
	forgotAt  time.Time

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
			Name: "boxoffice_mails_settled_total", Help: "Mails that a relay took (sent), that had nothing to tell any more (needless), or that were set aside.",
		}, []string{"kind", "state"}),
		relayBad: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "boxoffice_mail_relay_failures_total", Help: "Attempts that failed because of the relay: it was away, or refused everything.",
		}),
	}
	for _, kind := range kinds {
		for _, state := range []domain.MailState{domain.MailSent, domain.MailNeedless, domain.MailSetAside} {
			s.settled.WithLabelValues(string(kind), string(state)) // 0 until it happens
		}
	}
	o.Meter.MustRegister(s.settled, s.relayBad)
	return s, nil
}

// Run sends until the context ends. A message that is on its way then is finished.
func (s *Sender) Run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = pace.Pause(ctx, s.round(ctx)) // the loop sees that it is over
	}
	// For who is stopping: what is known must not be sent again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	_ = s.settle(ctx) // else it is sent again, under the same Message-ID
	s.Relay.Close()
}

// round sends what is due, once, and tells how long there is nothing to do.
func (s *Sender) round(ctx context.Context) time.Duration {
	if err := s.settle(ctx); err != nil {
		s.Log.Warn("what became of mails cannot be written down", "error", err)
		return pollInterval
	}
	s.forget(ctx)
	// Tickets first: they wait neither for a search nor behind what anybody may ask for.
	var pause time.Duration
	mails, err := s.Store.ClaimMails(ctx, false, batchMax*s.ConnectionsMax, s.lease())
	if len(mails) > 0 {
		pause = s.sendAll(ctx, mails)
	}
	var asked []domain.Mail
	if err == nil && pause == 0 {
		if asked, err = s.claimAsked(ctx); len(asked) > 0 {
			pause = s.sendAll(ctx, asked)
		}
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("mails that are due cannot be read", "error", err)
	}
	if len(mails)+len(asked) == 0 {
		return pollInterval
	}
	return pause
}

func (s *Sender) forget(ctx context.Context) {
	if time.Since(s.forgotAt) < forgetInterval {
		return
	}
	s.forgotAt = time.Now()
	if err := s.Store.ForgetAskedMails(ctx, domain.AskWindow); err != nil && ctx.Err() == nil {
		s.Log.Warn("asked mails cannot be forgotten yet", "error", err)
	}
}

func (s *Sender) claimAsked(ctx context.Context) ([]domain.Mail, error) {
	if time.Since(s.askedAt) < max(askInterval, askRest*s.askTook) {
		return nil, nil
	}
	s.askedAt = time.Now()
	return s.Store.ClaimMails(ctx, true, askedMax, s.lease())
}

func (s *Sender) lease() time.Duration { return sendWithin + 2*s.Timeout + leaseMargin }

// sendAll sends a batch that was just claimed. Once the relay fails, or the time is up, the rest
// is put back untried.
func (s *Sender) sendAll(ctx context.Context, mails []domain.Mail) (pause time.Duration) {
	claimed := s.now()
	found, err := s.ordersOf(ctx, mails)
	if err != nil {
		s.Log.Warn("orders that were asked for cannot be read", "error", err)
	}
	var relayFailed, relayWorked atomic.Bool
	var group errgroup.Group
	group.SetLimit(s.ConnectionsMax)
	for _, mail := range mails {
		group.Go(func() error {
			outcome := domain.MailOutcome{ID: mail.ID, State: domain.MailDue, Again: pollInterval}
			nothing := mail.Kind == domain.MailOrders && len(found[mail.Address]) == 0 // nothing is sent, so it takes no turn
			if (mail.Kind != domain.MailOrders || err == nil) && !relayFailed.Load() && (nothing || s.pace.Wait(ctx) == nil) && s.now().Sub(claimed) < sendWithin {
				var failed error
				if outcome, failed = s.send(ctx, mail, found[mail.Address]); failed != nil {
					s.relayBad.Inc()
					relayFailed.Store(true)
					s.Log.Warn("the relay takes no mails; they wait", "error", failed)
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
	return backoff(relayPauseMin, relayPauseMax, s.failures)
}

func backoff(least, most time.Duration, failures int) time.Duration {
	pause := least
	for i := 1; i < failures && pause < most; i++ {
		pause *= 2
	}
	return min(pause, most)
}

// ordersOf finds the orders of all who asked, in one search.
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

// send tries one mail. The error is the relay's.
func (s *Sender) send(ctx context.Context, mail domain.Mail, orders []domain.SoldOrder) (domain.MailOutcome, error) {
	outcome := domain.MailOutcome{ID: mail.ID, State: domain.MailDue, Again: pollInterval}
	if mail.Attempts > attemptsMax {
		outcome.State, outcome.Failed, outcome.Reason = domain.MailSetAside, true, "it was begun too often and never ended"
		return outcome, nil
	}
	message, needless, err := s.compose(ctx, mail, orders)
	if err == nil && needless == "" {
		err = s.Relay.Send(ctx, message)
	}
	var notTaken *NotTakenError
	switch {
	case needless != "":
		outcome.State, outcome.Reason = domain.MailNeedless, needless
	case err == nil:
		outcome.State = domain.MailSent
	case errors.As(err, &notTaken):
		outcome.Failed, outcome.Reason = true, notTaken.Reason
		outcome.Again = backoff(mailPauseMin, mailPauseMax, mail.Attempts)
		switch {
		case !notTaken.Later:
			outcome.State = domain.MailSetAside
		case time.Since(mail.QueuedAt) > giveUpAfter && mail.Attempts > attemptsMin:
			outcome.State, outcome.Reason = domain.MailSetAside, "given up after five days: "+notTaken.Reason
		}
	case errors.As(err, new(*databaseError)):
		if ctx.Err() == nil {
			s.Log.Warn("the order of a mail cannot be read; it waits", "mail", mail.ID, "error", err)
		}
	default:
		// It steps behind those that were not tried: it may be what the relay fails at.
		outcome.Reason, outcome.Again = err.Error(), mailPauseMin
		return outcome, err
	}
	return outcome, nil
}

// databaseError: it is neither the mail nor the relay.
type databaseError struct{ error }

func (e *databaseError) Unwrap() error { return e.error }

// compose writes a mail of how its order stands now. needless is why there is nothing to tell.
func (s *Sender) compose(ctx context.Context, mail domain.Mail, orders []domain.SoldOrder) (m *Message, needless string, err error) {
	defer func() {
		if r := recover(); r != nil { // of a library, at a text that it cannot draw
			m, err = nil, &NotTakenError{Reason: withoutAddresses(fmt.Sprintf("the mail cannot be written: %v", r), "")}
		}
	}()
	languages, to := mail.Languages, mail.Address
	var tells *Tells
	if mail.Kind == domain.MailOrders {
		if len(orders) == 0 {
			return nil, "there are no orders of that address", nil
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

// tellOrder reads what a mail has to tell of its order, and whether that is still so: tickets
// that are void by now are not sent, and one mail tells that money went back, not two.
func (s *Sender) tellOrder(ctx context.Context, mail domain.Mail) (tells *Tells, order domain.SoldOrder, needless string, err error) {
	order, err = s.Store.Order(ctx, mail.Order)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound:
		return nil, order, "", &NotTakenError{Reason: "its order is not in the database"}
	case err != nil:
		return nil, order, "", &databaseError{err}
	case order.Email == "":
		return nil, order, "", &NotTakenError{Reason: "its order has no address"}
	}
	tells = tellsOf(&order, s.Link(order.ID))
	if mail.Kind == domain.MailTickets {
		sale, err := s.Store.Sale(ctx, order.SaleID)
		switch {
		case err != nil:
			return nil, order, "", &databaseError{err}
		case sale.Canceled():
			return nil, order, "the sale is canceled: the mail of the refund says so", nil
		case order.Status.Terms().Tickets != domain.TicketsValid:
			return nil, order, "the tickets are not valid any more", nil
		}
		return tells, order, "", nil
	}
	want := domain.OrderRefunding
	if mail.Kind == domain.MailRefunded {
		want = domain.OrderRefunded
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

// keep writes down what became of a mail, at once: what happens between the relay's answer and
// this is why a mail may be sent twice.
func (s *Sender) keep(ctx context.Context, kind domain.MailKind, outcome domain.MailOutcome) {
	if outcome.State != domain.MailDue {
		s.settled.WithLabelValues(string(kind), string(outcome.State)).Inc()
	}
	if outcome.State == domain.MailSetAside {
		s.Log.Warn("a mail is set aside", "mail", outcome.ID, "kind", string(kind), "reason", outcome.Reason)
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

// settle writes down what could not be before. Until it is, nothing more is sent.
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
