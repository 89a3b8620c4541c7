package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// memory is a Store in place of the database. Each claim returns all that is due.
type memory struct {
	Store
	mu       sync.Mutex
	due      []domain.Mail
	outcomes map[string][]domain.MailOutcome
	orders   map[domain.OrderID]domain.SoldOrder
	canceled map[string]bool
	refunds  map[domain.OrderID]domain.RefundReason
	away     bool // of settling
}

func (m *memory) ClaimMails(_ context.Context, asked bool, most int, _ time.Duration) (claimed []domain.Mail, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.due = slices.DeleteFunc(m.due, func(mail domain.Mail) bool {
		take := (mail.Kind == domain.MailOrders) == asked && len(claimed) < most
		if take {
			claimed = append(claimed, mail)
		}
		return take
	})
	return claimed, nil
}

func (m *memory) SettleMails(_ context.Context, outcomes []domain.MailOutcome) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return errors.New("the database is down")
	}
	for _, o := range outcomes {
		m.outcomes[o.ID] = append(m.outcomes[o.ID], o)
	}
	return nil
}

func (m *memory) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	order, found := m.orders[id]
	if !found {
		return order, domain.NotFound("order")
	}
	return order, nil
}

func (m *memory) Sale(_ context.Context, id string) (*domain.Sale, error) {
	sale := &domain.Sale{ID: id}
	if m.canceled[id] {
		sale.CanceledAt = time.Unix(1, 0)
	}
	return sale, nil
}

func (m *memory) RefundsOfOrder(_ context.Context, id domain.OrderID) ([]domain.Refund, error) {
	return []domain.Refund{{Capture: m.orders[id].Capture, Reason: m.refunds[id]}}, nil
}

func (m *memory) OrdersOfAddresses(_ context.Context, addresses []string, most int) (map[string][]domain.SoldOrder, error) {
	found := map[string][]domain.SoldOrder{}
	for _, order := range m.orders {
		if slices.Contains(addresses, order.Email) && len(found[order.Email]) < most {
			found[order.Email] = append(found[order.Email], order)
		}
	}
	return found, nil
}

// scripted is a Relay with scripted answers.
type scripted struct {
	mu    sync.Mutex
	sent  []*Message
	fails func(*Message) error
}

func (r *scripted) Send(_ context.Context, m *Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails != nil {
		if err := r.fails(m); err != nil {
			return err
		}
	}
	r.sent = append(r.sent, m)
	return nil
}

func (r *scripted) Check(context.Context) error { return nil }
func (r *scripted) Close()                      {}

type post struct {
	*Sender
	store *memory
	relay *scripted
	log   *bytes.Buffer
}

func newPost(t *testing.T) *post {
	t.Helper()
	return newPostOf(t, ours(t))
}

func newPostOf(t *testing.T, templates *Templates) *post {
	t.Helper()
	p := &post{
		store: &memory{
			outcomes: map[string][]domain.MailOutcome{}, orders: map[domain.OrderID]domain.SoldOrder{}, canceled: map[string]bool{}, refunds: map[domain.OrderID]domain.RefundReason{},
		},
		relay: &scripted{}, log: &bytes.Buffer{},
	}
	var err error
	p.Sender, err = NewSender(Options{
		Store: p.store, Relay: p.relay, Templates: templates, Link: func(id domain.OrderID) string { return "https://tickets.example/orders/" + id.String() + "#key" },
		ConnectionsMax: 1, PerSecond: 1000, Timeout: time.Second, Meter: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(p.log, nil)),
	})
	noError(t, err)
	return p
}

// order adds an order and the mail of a kind about it.
func (p *post) order(n byte, status domain.OrderStatus, kind domain.MailKind) domain.Mail {
	id := domain.OrderID{n}
	p.store.orders[id] = domain.SoldOrder{
		ID: id, SaleID: "conference", SaleName: "Conference", Status: status, Email: string(rune('a'+n)) + "@example.com", Currency: "EUR", AmountMinor: 100,
		Capture: domain.Capture{Payment: "pay_1"}, Tickets: []domain.Ticket{{Number: 1, Class: "A", Code: "0123456789"}}, Lines: []domain.Line{{Class: "A", Quantity: 1, UnitPriceMinor: 100}},
	}
	mail := domain.Mail{ID: "evt_" + string(rune('0'+n)), Kind: kind, Order: id, QueuedAt: time.Now(), Attempts: 1}
	p.store.due = append(p.store.due, mail)
	return mail
}

func (p *post) last(id string) domain.MailOutcome {
	all := p.store.outcomes[id]
	if len(all) == 0 {
		return domain.MailOutcome{}
	}
	return all[len(all)-1]
}

// A mail says what is true when it is sent. If it no longer is, the mail is not sent.
func TestMailsSayWhatIsTrueNow(t *testing.T) {
	for name, tt := range map[string]struct {
		kind     domain.MailKind
		status   domain.OrderStatus
		canceled bool // the sale
		want     domain.MailState
		subject  string
	}{
		"tickets":                          {domain.MailTickets, domain.OrderPaid, false, domain.MailSent, "Your ticket: Conference"},
		"tickets that are void by now":     {domain.MailTickets, domain.OrderRefunding, false, domain.MailNeedless, ""},
		"tickets of a canceled sale":       {domain.MailTickets, domain.OrderPaid, true, domain.MailNeedless, ""},
		"a refund that begins":             {domain.MailRefundBegun, domain.OrderRefunding, false, domain.MailSent, "Your money is on its way back: Conference"},
		"a refund that begins with a sale": {domain.MailRefundBegun, domain.OrderRefunding, true, domain.MailSent, "Canceled by the organiser: Conference"},
		"a refund that is done by now":     {domain.MailRefundBegun, domain.OrderRefunded, false, domain.MailNeedless, ""},
		"a refund that is done":            {domain.MailRefunded, domain.OrderRefunded, false, domain.MailSent, "Refunded: Conference"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t)
			mail := p.order(1, tt.status, tt.kind)
			p.store.canceled["conference"] = tt.canceled
			p.store.refunds[mail.Order] = domain.RefundByOrganiser
			if tt.canceled {
				p.store.refunds[mail.Order] = domain.RefundSaleCanceled
			}
			equal(t, time.Duration(0), p.round(t.Context()))
			equal(t, tt.want, p.last(mail.ID).State)
			if tt.want == domain.MailNeedless {
				equal(t, 0, len(p.relay.sent))
				wantTrue(t, len(p.last(mail.ID).Reason) > 0)
				return
			}
			equal(t, 1, len(p.relay.sent))
			equal(t, tt.subject, p.relay.sent[0].Subject)
			equal(t, "b@example.com", p.relay.sent[0].To)
			contains(t, p.relay.sent[0].Text, "https://tickets.example/orders/")
		})
	}
}

// Where nothing was paid, no mail speaks of money, and one mail says that the tickets are
// canceled, however fast that was.
func TestMailsOfFreeOrdersSpeakOfNoMoney(t *testing.T) {
	for name, tt := range map[string]struct {
		kind     domain.MailKind
		status   domain.OrderStatus
		canceled bool   // the sale
		subject  string // empty: there is no mail
	}{
		"tickets":                 {domain.MailTickets, domain.OrderPaid, false, "Your ticket: Conference"},
		"being canceled":          {domain.MailRefundBegun, domain.OrderRefunding, false, "Your tickets are canceled: Conference"},
		"canceled by now":         {domain.MailRefundBegun, domain.OrderRefunded, false, "Your tickets are canceled: Conference"},
		"canceled with the sale":  {domain.MailRefundBegun, domain.OrderRefunded, true, "Canceled by the organiser: Conference"},
		"there is no second mail": {domain.MailRefunded, domain.OrderRefunded, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t)
			mail := p.order(1, tt.status, tt.kind)
			order := p.store.orders[mail.Order]
			order.AmountMinor, order.Lines[0].UnitPriceMinor = 0, 0
			order.Capture = domain.FreeCapture(&domain.Order{ID: order.ID, Currency: "EUR"})
			p.store.orders[mail.Order] = order
			p.store.refunds[mail.Order] = domain.RefundByOrganiser
			if tt.canceled {
				p.store.refunds[mail.Order] = domain.RefundSaleCanceled
			}
			equal(t, time.Duration(0), p.round(t.Context()))
			if tt.subject == "" {
				equal(t, domain.MailNeedless, p.last(mail.ID).State)
				equal(t, 0, len(p.relay.sent))
				return
			}
			equal(t, 1, len(p.relay.sent))
			equal(t, tt.subject, p.relay.sent[0].Subject)
			for _, text := range []string{p.relay.sent[0].Text, p.relay.sent[0].HTML} {
				for _, money := range []string{"Paid", "your money", "refund"} {
					lacks(t, text, money)
				}
			}
		})
	}
}

// One refused address holds nobody up. The operator sees it, without the address.
func TestABounceHoldsNobodyUp(t *testing.T) {
	p := newPost(t)
	p.order(1, domain.OrderPaid, domain.MailTickets)
	bounced := p.order(2, domain.OrderPaid, domain.MailTickets)
	p.order(3, domain.OrderPaid, domain.MailTickets)
	p.relay.fails = func(m *Message) error {
		if m.ID == bounced.ID {
			return &NotTakenError{Reason: "550 5.1.1 <…>: user unknown"}
		}
		return nil
	}
	equal(t, time.Duration(0), p.round(t.Context()))
	equal(t, 2, len(p.relay.sent))
	equal(t, domain.MailOutcome{ID: bounced.ID, State: domain.MailSetAside, Again: time.Minute, Failed: true, Reason: "550 5.1.1 <…>: user unknown"}, p.last(bounced.ID))
	contains(t, p.log.String(), "user unknown")
	lacks(t, p.log.String(), "@")
}

// A relay that accepts nothing, for however long, loses nothing: all mails wait, and each round tries one.
func TestAnOutageOfTheRelayDelaysMailsAndLosesNone(t *testing.T) {
	p := newPost(t)
	for n := range byte(5) {
		p.order(n, domain.OrderPaid, domain.MailTickets)
	}
	tried := 0
	p.relay.fails = func(*Message) error { tried++; return errors.New("the relay: connect: refused") }
	var pauses []time.Duration
	for range 12 {
		due := slices.Clone(p.store.due)
		pauses = append(pauses, p.round(t.Context()))
		for _, mail := range due { // it waits for its time in the database
			equal(t, domain.MailDue, p.last(mail.ID).State)
			wantTrue(t, !p.last(mail.ID).Failed, "an attempt that failed because of the relay does not count")
		}
		p.store.due = due
	}
	equal(t, 12, tried)
	equal(t, time.Second, pauses[0])
	equal(t, relayPauseMax, pauses[11])
	p.relay.fails = nil
	equal(t, time.Duration(0), p.round(t.Context()))
	equal(t, 5, len(p.relay.sent))
	lacks(t, p.log.String(), "@")
}

// A mail that the relay defers waits longer each time, for up to five days.
func TestADeferredMailIsRetriedForFiveDays(t *testing.T) {
	for name, tt := range map[string]struct {
		attempts int
		age      time.Duration
		want     domain.MailState
		again    time.Duration
	}{
		"at first":                        {1, 0, domain.MailDue, time.Minute},
		"again":                           {4, 15 * time.Minute, domain.MailDue, 8 * time.Minute},
		"for hours":                       {40, 40 * time.Hour, domain.MailDue, time.Hour},
		"five days of which nobody tried": {1, giveUpAfter + time.Minute, domain.MailDue, time.Minute},
		"after five days":                 {130, giveUpAfter + time.Minute, domain.MailSetAside, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPost(t)
			mail := p.order(1, domain.OrderPaid, domain.MailTickets)
			p.store.due[0].Attempts, p.store.due[0].QueuedAt = tt.attempts, time.Now().Add(-tt.age)
			p.relay.fails = func(*Message) error { return &NotTakenError{Later: true, Reason: "450 greylisted"} }
			equal(t, time.Duration(0), p.round(t.Context()))
			got := p.last(mail.ID)
			equal(t, tt.want, got.State)
			equal(t, tt.again, got.Again)
			wantTrue(t, got.Failed)
			contains(t, got.Reason, "450 greylisted")
		})
	}
}

// A mail that cannot be started while the claim is surely ours is put back for the next claim.
func TestABatchThatTakesTooLongIsPutBack(t *testing.T) {
	p := newPost(t)
	first := p.order(1, domain.OrderPaid, domain.MailTickets)
	second := p.order(2, domain.OrderPaid, domain.MailTickets)
	at := time.Now()
	p.now = func() time.Time { return at }
	p.relay.fails = func(*Message) error { at = at.Add(sendWithin); return nil }
	p.round(t.Context())
	equal(t, 1, len(p.relay.sent))
	equal(t, domain.MailSent, p.last(first.ID).State)
	equal(t, domain.MailOutcome{ID: second.ID, State: domain.MailDue, Again: pollInterval}, p.last(second.ID))
}

// While the database cannot store what was sent, nothing more is sent. Once it can, nothing is sent again.
func TestOutcomesAreStoredBeforeMoreIsSent(t *testing.T) {
	p := newPost(t)
	first := p.order(1, domain.OrderPaid, domain.MailTickets)
	p.store.away = true
	p.round(t.Context())
	equal(t, 1, len(p.relay.sent))
	p.order(2, domain.OrderPaid, domain.MailTickets)
	equal(t, pollInterval, p.round(t.Context()))
	equal(t, 1, len(p.relay.sent), "nothing more")
	p.store.away = false
	p.round(t.Context())
	equal(t, domain.MailSent, p.last(first.ID).State)
	equal(t, 2, len(p.relay.sent))
}

func TestOrdersThatWereAskedFor(t *testing.T) {
	p := newPost(t)
	p.order(1, domain.OrderPaid, domain.MailTickets)
	p.store.due = []domain.Mail{
		{ID: "ask_1", Kind: domain.MailOrders, Address: "b@example.com", Languages: "de"},
		{ID: "ask_2", Kind: domain.MailOrders, Address: "nobody@example.com"},
	}
	equal(t, time.Duration(0), p.round(t.Context()))
	equal(t, domain.MailSent, p.last("ask_1").State)
	equal(t, domain.MailNeedless, p.last("ask_2").State)
	equal(t, 1, len(p.relay.sent))
	m := p.relay.sent[0]
	equal(t, "Ihre Bestellung", m.Subject)
	contains(t, m.Text, "https://tickets.example/orders/01")
	contains(t, m.Text, "#key")
	equal(t, 0, len(m.Files), "tickets are behind the link")
}

// Anybody may ask for orders. However many do, tickets are sent before the search begins.
func TestTicketsDoNotWaitForASearch(t *testing.T) {
	p := newPost(t)
	for n := range askedMax {
		p.store.due = append(p.store.due, domain.Mail{ID: fmt.Sprint("ask_", n), Kind: domain.MailOrders, Address: "b@example.com"})
	}
	p.order(1, domain.OrderPaid, domain.MailTickets)
	p.round(t.Context())
	equal(t, "evt_1", p.relay.sent[0].ID)
	equal(t, askedMax+1, len(p.relay.sent))
}

// The search takes a tenth of the time at most.
func TestASearchRests(t *testing.T) {
	p := newPost(t)
	p.store.due = []domain.Mail{{ID: "ask_1", Kind: domain.MailOrders, Address: "b@example.com"}}
	p.askedAt, p.askTook = time.Now().Add(-time.Minute), 10*time.Second
	p.round(t.Context())
	equal(t, domain.MailOutcome{}, p.last("ask_1"))
	p.askTook = time.Second
	p.round(t.Context())
	equal(t, domain.MailNeedless, p.last("ask_1").State)
}

// A mail that crashes its process each time is set aside.
func TestAMailThatAlwaysCrashesIsSetAside(t *testing.T) {
	p := newPost(t)
	mail := p.order(1, domain.OrderPaid, domain.MailTickets)
	p.store.due[0].Attempts = attemptsMax + 1
	p.round(t.Context())
	equal(t, 0, len(p.relay.sent))
	equal(t, domain.MailSetAside, p.last(mail.ID).State)
}

// A mail that cannot be sent at all is set aside with the reason.
func TestMailsThatCannotBeSent(t *testing.T) {
	p := newPost(t)
	gone := p.order(1, domain.OrderPaid, domain.MailTickets)
	delete(p.store.orders, gone.Order)
	nobody := p.order(2, domain.OrderPaid, domain.MailTickets)
	order := p.store.orders[nobody.Order]
	order.Email = ""
	p.store.orders[nobody.Order] = order
	equal(t, time.Duration(0), p.round(t.Context()))
	equal(t, "its order is not in the database", p.last(gone.ID).Reason)
	equal(t, "its order has no address", p.last(nobody.ID).Reason)
	equal(t, domain.MailSetAside, p.last(nobody.ID).State)
}

// A process that stops puts back the mails that it has not started.
func TestStoppingPutsMailsBack(t *testing.T) {
	p := newPost(t)
	p.pace.SetBurst(0) // nothing may be sent: every Wait fails
	mail := p.order(1, domain.OrderPaid, domain.MailTickets)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	p.round(ctx)
	equal(t, 0, len(p.relay.sent))
	equal(t, domain.MailDue, p.last(mail.ID).State)
	p.Run(ctx) // returns
	wantTrue(t, !strings.Contains(p.log.String(), "@"))
}

// While two releases run side by side, a mail of a kind that the older one does not know waits for the newer one.
func TestAMailOfAKindThatIsNotKnownWaits(t *testing.T) {
	for _, status := range []domain.OrderStatus{domain.OrderPaid, domain.OrderRefunding} {
		p := newPost(t)
		mail := p.order(1, status, "of_a_newer_release")
		equal(t, time.Duration(0), p.round(t.Context()))
		equal(t, 0, len(p.relay.sent))
		equal(t, domain.MailOutcome{ID: mail.ID, State: domain.MailDue, Again: pollInterval}, p.last(mail.ID))
		contains(t, p.log.String(), "of_a_newer_release")
	}
}

// While buyers wait for the engine, mails go out at a tenth of the rate; then at all of it again. None waits for ever.
func TestMailsYieldToBuyers(t *testing.T) {
	templates := ours(t)
	synctest.Test(t, func(t *testing.T) {
		p := newPostOf(t, templates)
		busy := true
		p.Busy = func() bool { return busy }
		p.pace = rate.NewLimiter(10, 10)
		noError(t, p.pace.WaitN(t.Context(), 10)) // what it has for a beginning
		took := func(mails int) time.Duration {
			began := time.Now()
			for range mails {
				noError(t, p.turn(t.Context()))
			}
			return time.Since(began).Round(time.Millisecond)
		}
		equal(t, 5*time.Second, took(5))
		busy = false
		equal(t, 500*time.Millisecond, took(5))
	})
}

// interrupted is a store whose claim is under way when the process is asked to stop.
type interrupted struct {
	*memory
	stop func()
}

func (i *interrupted) ClaimMails(ctx context.Context, asked bool, most int, lease time.Duration) ([]domain.Mail, error) {
	claimed, err := i.memory.ClaimMails(ctx, asked, most, lease)
	i.stop()
	if ctx.Err() != nil {
		return nil, ctx.Err() // the database has them claimed all the same
	}
	return claimed, err
}

// Who stops while it claims mails puts them back: otherwise buyers wait for the lease to end.
func TestAClaimAtTheEndIsPutBack(t *testing.T) {
	p := newPost(t)
	ctx, stop := context.WithCancel(t.Context())
	p.Store = &interrupted{memory: p.store, stop: stop}
	p.store.due = []domain.Mail{{ID: "m1", Kind: domain.MailTickets}, {ID: "m2", Kind: domain.MailTickets}}
	p.Run(ctx)
	for _, id := range []string{"m1", "m2"} {
		if got := p.store.outcomes[id]; len(got) != 1 || got[0].State != domain.MailDue {
			t.Errorf("mail %s: %+v, want that it is due again", id, got)
		}
	}
	if len(p.relay.sent) > 0 {
		t.Errorf("%d mails were sent by a process that stops", len(p.relay.sent))
	}
}
