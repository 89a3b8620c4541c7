package payments

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"boxoffice/domain"
)

// A Set combines the providers of a box office. Its ids are qualified: each call goes to
// the provider that an id names. It is safe for concurrent use.
//
// It slows down where a provider answers with its rate limit (see brake): a call that is
// held back is a *domain.Error with CodeOverloaded and RetryAfter, and nothing was sent.
type Set struct {
	providers map[string]Provider
	names     []string
	brakes    map[string]*brake
	// Limited is called with the provider's name for each answer that was its rate limit.
	// Set it before the first call; it may be nil.
	Limited func(provider string)
}

// NewSet combines providers. The first is the one of sales that name none.
func NewSet(providers ...Provider) (*Set, error) {
	s := &Set{providers: make(map[string]Provider, len(providers)), brakes: make(map[string]*brake, len(providers))}
	for _, p := range providers {
		switch name := p.Name(); {
		case !domain.ValidProvider(name):
			return nil, fmt.Errorf("payment provider %q: a name has 1–32 lower-case letters, digits or hyphens", name)
		case s.Has(name):
			return nil, fmt.Errorf("payment provider %q is configured twice", name)
		default:
			s.providers[name], s.brakes[name] = p, new(brake)
			s.names = append(s.names, name)
		}
	}
	if len(s.names) == 0 {
		return nil, errors.New("no payment provider is configured")
	}
	return s, nil
}

// Names lists the providers' names, the default's first.
func (s *Set) Names() []string { return slices.Clone(s.names) }

// Default is the provider of new sales that name none.
func (s *Set) Default() string { return s.names[0] }

// Has reports whether a provider is configured.
func (s *Set) Has(name string) bool { return s.providers[name] != nil }

// Provider finds a provider by its name. It returns the bare provider, which uses
// unqualified ids.
func (s *Set) Provider(name string) (Provider, bool) {
	p, ok := s.providers[name]
	return p, ok
}

// notConfigured is unknown, never a no: what is due stays due until somebody configures
// the provider again.
func notConfigured(op, id, name string) error {
	return &domain.UnknownError{Op: op, ID: id, Err: fmt.Errorf("payment provider %q is not configured here (BOXOFFICE_PAYMENT_PROVIDERS)", name)}
}

// SessionOf returns the session of an order's first attempt if its provider derives it.
// It returns false if the provider must be called to open one.
func (s *Set) SessionOf(provider string, order domain.OrderID) (string, bool) {
	local, ok := s.providers[provider].(Local)
	if !ok {
		return "", false
	}
	return domain.QualifiedID(provider, local.SessionOf(order)), true
}

// Page returns where an order is paid if its provider needs no call for that, else false.
func (s *Set) Page(provider string, opening Opening) (domain.PayPage, bool, error) {
	local, ok := s.providers[provider].(Local)
	if !ok {
		return domain.PayPage{}, false, nil
	}
	page, err := local.Page(opening)
	page.Session = domain.QualifiedID(provider, page.Session)
	return page, true, err
}

// CheckAmount returns a *domain.Error with CodeInvalid for an amount that a provider cannot
// take.
func (s *Set) CheckAmount(provider string, minor int64, currency string) error {
	if pricer, ok := s.providers[provider].(Pricer); ok {
		return pricer.CheckAmount(minor, currency)
	}
	return nil
}

// Slowed lists the providers whose calls are held back now.
func (s *Set) Slowed() (names []string) {
	for _, name := range s.names {
		if s.brakes[name].holdsBack() {
			names = append(names, name)
		}
	}
	return names
}

// Wait is how long nothing is sent to a provider that answered with its rate limit; 0: a
// call may be sent.
func (s *Set) Wait(provider string) time.Duration {
	if b := s.brakes[provider]; b != nil {
		return b.wait()
	}
	return 0
}

// call makes a call to a configured provider, unless it is held back.
func call[T any](s *Set, provider string, do func() (T, error)) (answer T, err error) {
	err = s.brakes[provider].call(provider, func() (err error) {
		answer, err = do()
		if s.Limited != nil && errors.As(err, new(*RateLimitedError)) {
			s.Limited(provider)
		}
		return err
	})
	return answer, err
}

// Open opens a session at a provider.
func (s *Set) Open(ctx context.Context, provider string, opening Opening) (domain.PayPage, error) {
	p, ok := s.providers[provider]
	if !ok {
		return domain.PayPage{}, notConfigured("open a payment session for", opening.Order.String(), provider)
	}
	page, err := call(s, provider, func() (domain.PayPage, error) { return p.Open(ctx, opening) })
	if err != nil {
		return domain.PayPage{}, err
	}
	if page.Session, err = ownID(provider, page.Session); err == nil {
		err = CheckPageURL(page.URL)
	}
	if err != nil {
		return domain.PayPage{}, strange("open a payment session for", opening.Order.String(), err)
	}
	return page, nil
}

// Expire forbids paying in a session.
func (s *Set) Expire(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	name, id := domain.SplitID(session)
	p, ok := s.providers[name]
	if !ok {
		return domain.ExpireOutcome{}, notConfigured("expire session", session, name)
	}
	outcome, err := call(s, name, func() (domain.ExpireOutcome, error) { return p.Expire(ctx, id) })
	if err != nil {
		return domain.ExpireOutcome{}, err
	}
	return qualifiedOutcome("expire session", session, outcome)
}

// CaptureAuthorized takes the money that is authorised in a session. See Authorizer.
func (s *Set) CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return s.decide(ctx, "capture session", session, Authorizer.CaptureAuthorized)
}

// ReleaseAuthorized gives up what is authorised in a session. See Authorizer.
func (s *Set) ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return s.decide(ctx, "release session", session, Authorizer.ReleaseAuthorized)
}

func (s *Set) decide(
	ctx context.Context, op, session string, how func(Authorizer, context.Context, string) (domain.ExpireOutcome, error),
) (domain.ExpireOutcome, error) {
	name, id := domain.SplitID(session)
	if !s.Has(name) {
		return domain.ExpireOutcome{}, notConfigured(op, session, name)
	}
	p, ok := s.providers[name].(Authorizer)
	if !ok {
		return domain.ExpireOutcome{}, strange(op, session, fmt.Errorf("payment provider %s does not authorise", name))
	}
	outcome, err := call(s, name, func() (domain.ExpireOutcome, error) { return how(p, ctx, id) })
	if err != nil {
		return domain.ExpireOutcome{}, err
	}
	if outcome.Authorized {
		return domain.ExpireOutcome{}, strange(op, session, errors.New("it is still authorised"))
	}
	return qualifiedOutcome(op, session, outcome)
}

// Authorizes reports whether a provider can authorise first and capture later.
func (s *Set) Authorizes(name string) bool {
	p, ok := s.providers[name].(Authorizer)
	return ok && p.Authorizes()
}

// Delays reports whether a provider can offer delayed methods.
func (s *Set) Delays(name string) bool {
	p, ok := s.providers[name].(Delayer)
	return ok && p.Delays()
}

func qualifiedOutcome(op, session string, outcome domain.ExpireOutcome) (_ domain.ExpireOutcome, err error) {
	if !outcome.Paid() {
		return outcome, nil
	}
	if outcome.Captured == outcome.Authorized || outcome.Capture.Authorized != outcome.Authorized {
		return domain.ExpireOutcome{}, strange(op, session, errors.New("it is captured and authorised at once"))
	}
	if outcome.Capture, err = qualified(domain.ProviderOf(session), outcome.Capture); err != nil {
		return domain.ExpireOutcome{}, strange(op, session, err)
	}
	return outcome, nil
}

// Session reads a session. Errors: those of Provider.Session.
func (s *Set) Session(ctx context.Context, session string) (Session, error) {
	found, err := s.session(ctx, session)
	if err != nil {
		return Session{}, err
	}
	found.Session = session
	if found.Capture != nil {
		if found.Capture.Authorized != (found.Status == SessionAuthorized) {
			return Session{}, strange("ask about session", session, fmt.Errorf("it is %s, and what is authorised says %t", found.Status, found.Capture.Authorized))
		}
		capture, err := qualified(domain.ProviderOf(session), *found.Capture)
		if err != nil {
			return Session{}, strange("ask about session", session, err)
		}
		found.Capture = &capture
	}
	return found, nil
}

// Capture returns what was captured or authorised in a session. It returns false if
// nothing was yet, or if the provider does not know the session.
func (s *Set) Capture(ctx context.Context, session string) (domain.Capture, bool, error) {
	found, err := s.Session(ctx, session)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return domain.Capture{}, false, nil
	}
	if err != nil || found.Capture == nil {
		return domain.Capture{}, false, err
	}
	return *found.Capture, true, nil
}

// KnowsSession reports whether a buyer, or a checkout for one, ever opened a session.
func (s *Set) KnowsSession(ctx context.Context, session string) (bool, error) {
	found, err := s.session(ctx, session)
	if domain.CodeOf(err) == domain.CodeNotFound {
		return false, nil
	}
	return err == nil && found.Visited, err
}

func (s *Set) session(ctx context.Context, session string) (Session, error) {
	name, id := domain.SplitID(session)
	p, ok := s.providers[name]
	if !ok {
		return Session{}, notConfigured("ask about session", session, name)
	}
	return call(s, name, func() (Session, error) { return p.Session(ctx, id) })
}

// Refund gives a whole captured payment back, once: the payment is the key.
func (s *Set) Refund(ctx context.Context, refund domain.Refund) error {
	name, id := domain.SplitID(refund.Capture.Payment)
	if refund.Capture.Authorized {
		return &domain.Error{Code: domain.CodeInternal, Detail: "A payment that is only authorised is released, not refunded."}
	}
	p, ok := s.providers[name]
	if !ok {
		return notConfigured("refund", refund.Capture.Payment, name)
	}
	_, err := call(s, name, func() (struct{}, error) {
		return struct{}{}, p.Refund(ctx, Refund{
			Key: id, Payment: id, Order: refund.Capture.Order,
			AmountMinor: refund.Capture.AmountMinor, Currency: refund.Capture.Currency, Reason: refund.Reason,
		})
	})
	return err
}

// Event reads a webhook of a provider. It returns a *domain.Error with CodeNotFound if
// that provider is not configured; for other errors see Provider.Event.
func (s *Set) Event(ctx context.Context, provider string, header http.Header, body []byte) (domain.PaymentEvent, error) {
	p, ok := s.providers[provider]
	if !ok {
		return domain.PaymentEvent{}, domain.NotFound("payment provider")
	}
	event, err := p.Event(ctx, header, body)
	if err != nil || !event.Type.Known() {
		return event, err
	}
	if event.Type == domain.PaymentReversed {
		event, err = qualifiedReversal(provider, event)
	} else {
		event, err = qualifiedEvent(provider, event)
	}
	if err != nil {
		return domain.PaymentEvent{}, &domain.Error{
			Code:   domain.CodeInvalid,
			Detail: "The event names a session or a payment in a way that cannot be used.",
			Err:    err,
		}
	}
	return event, nil
}

// Captures lists what all providers captured, one provider after the other.
func (s *Set) Captures(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return all(s, func(p Provider) iter.Seq2[domain.Capture, error] { return p.Captures(ctx) }, qualified)
}

// Since returns the same set with lists that begin at a moment, at the providers that can
// do that. At others they are whole.
func (s *Set) Since(moment time.Time) *Set {
	since := *s
	since.providers = make(map[string]Provider, len(s.providers))
	for name, p := range s.providers {
		if dated, ok := p.(Dated); ok {
			p = dated.Since(moment)
		}
		since.providers[name] = p
	}
	return &since
}

// Refunds lists what all providers gave back, one provider after the other.
func (s *Set) Refunds(ctx context.Context) iter.Seq2[Refunded, error] {
	return all(s, func(p Provider) iter.Seq2[Refunded, error] { return p.Refunds(ctx) }, func(name string, r Refunded) (_ Refunded, err error) {
		if r.ID, err = ownPayment(name, r.ID); err == nil {
			r.Payment, err = ownPayment(name, r.Payment)
		}
		return r, err
	})
}

// Disputes lists the disputes at all providers, one provider after the other.
func (s *Set) Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error] {
	return all(s, func(p Provider) iter.Seq2[domain.Reversal, error] { return p.Disputes(ctx) }, ownReversal)
}

func ownReversal(provider string, r domain.Reversal) (domain.Reversal, error) {
	var err error
	if r.ID, err = ownPayment(provider, r.ID); err != nil {
		return r, err
	}
	if r.Payment, err = ownPayment(provider, r.Payment); err != nil {
		return r, err
	}
	return r, r.Check()
}

// qualifiedReversal is qualifiedEvent for an event that is about no session.
func qualifiedReversal(provider string, e domain.PaymentEvent) (_ domain.PaymentEvent, err error) {
	if e.Reversal, err = ownReversal(provider, e.Reversal); err != nil {
		return e, err
	}
	e.Payment = e.Reversal.Payment
	return e, nil
}

// Authorizations lists what is authorised and was neither captured nor released, one
// provider after the other.
func (s *Set) Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return all(s, func(p Provider) iter.Seq2[domain.Capture, error] {
		if authorizer, ok := p.(Authorizer); ok {
			return authorizer.Authorizations(ctx)
		}
		return func(func(domain.Capture, error) bool) {}
	}, qualified)
}

// Deliveries lists the acknowledged webhooks of the providers that report them.
func (s *Set) Deliveries(ctx context.Context) iter.Seq2[domain.PaymentEvent, error] {
	return all(s, func(p Provider) iter.Seq2[domain.PaymentEvent, error] {
		if courier, ok := p.(Courier); ok {
			return courier.Acknowledged(ctx)
		}
		return func(func(domain.PaymentEvent, error) bool) {}
	}, qualifiedEvent)
}

func all[T any](s *Set, list func(Provider) iter.Seq2[T, error], qualify func(name string, item T) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, name := range s.names {
			for item, err := range list(s.providers[name]) {
				if err == nil {
					if item, err = qualify(name, item); err != nil {
						err = strange("list of", name, err)
					}
				}
				if err != nil {
					var none T
					yield(none, err)
					return
				}
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

func qualified(provider string, c domain.Capture) (_ domain.Capture, err error) {
	if c.Payment, err = ownPayment(provider, c.Payment); err != nil {
		return c, err
	}
	c.Session, err = ownID(provider, c.Session)
	return c, err
}

func qualifiedEvent(provider string, e domain.PaymentEvent) (_ domain.PaymentEvent, err error) {
	if e.Payment, err = ownPayment(provider, e.Payment); err != nil {
		return e, err
	}
	e.Session, err = ownID(provider, e.Session)
	return e, err
}

// ownID qualifies an id. An id that could pass for another provider's is a bug of the
// adapter.
func ownID(provider, id string) (string, error) {
	if !domain.ValidSessionID(id) {
		return "", fmt.Errorf("payment provider %s names something %.64q", provider, id)
	}
	return domain.QualifiedID(provider, id), nil
}

func ownPayment(provider, id string) (string, error) {
	if !domain.ValidPaymentID(id) {
		return "", fmt.Errorf("payment provider %s names a payment %.64q", provider, id)
	}
	return domain.QualifiedID(provider, id), nil
}

// strange is for an answer that makes no sense: nobody knows what happened.
func strange(op, id string, err error) error { return &domain.UnknownError{Op: op, ID: id, Err: err} }
