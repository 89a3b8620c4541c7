package stripe_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
	"boxoffice/payments/stripe"
	"boxoffice/payments/stripe/stripetest"
)

func newDouble(t *testing.T) *stripetest.Server {
	t.Helper()
	double := stripetest.New()
	t.Cleanup(double.Close)
	return double
}

func open(t *testing.T, double *stripetest.Server, change func(*stripe.Options)) *stripe.Provider {
	t.Helper()
	options := stripe.Options{
		Key: stripetest.Key, WebhookSecrets: []string{stripetest.WebhookSecret}, Shop: "tickets.example", URL: double.URL, HTTP: double.Client(),
	}
	if change != nil {
		change(&options)
	}
	provider, err := stripe.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func TestStripeKeepsThePromises(t *testing.T) {
	paymentstest.Run(t, func(t *testing.T) *paymentstest.Subject {
		double := newDouble(t)
		network := &paymentstest.Network{RoundTripper: double.Client().Transport}
		provider := open(t, double, func(o *stripe.Options) {
			o.HTTP, o.DelayedMethods = &http.Client{Transport: network}, []string{"sepa_debit", "boleto"}
		})
		return double.Subject(provider, network)
	})
}

func opening(order byte) payments.Opening {
	return payments.Opening{
		Order: domain.OrderID{1, 2, 3, order}, Attempt: 1, SaleID: "gophercon", AmountMinor: 6500, Currency: "EUR",
		ExpiresAt: time.Now().Add(10 * time.Minute), ReturnURL: "https://tickets.example/orders/1#back=key", Description: "gophercon · 1 × A",
	}
}

func mustOpen(t *testing.T, p *stripe.Provider, o payments.Opening) domain.PayPage {
	t.Helper()
	page, err := p.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// mustPay pays an order, and returns its session.
func mustPay(t *testing.T, double *stripetest.Server, p *stripe.Provider) payments.Session {
	t.Helper()
	page := mustOpen(t, p, opening(1))
	if err := double.Pay(page.Session); err != nil {
		t.Fatal(err)
	}
	session, err := p.Session(t.Context(), page.Session)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*stripe.Options)
		says   string
	}{
		"a publishable key":             {func(o *stripe.Options) { o.Key = "pk_test_0123456789" }, "secret or restricted"},
		"no key":                        {func(o *stripe.Options) { o.Key = "" }, "secret or restricted"},
		"no webhook secret":             {func(o *stripe.Options) { o.WebhookSecrets = nil }, "no webhook secret"},
		"the key as the webhook secret": {func(o *stripe.Options) { o.WebhookSecrets = []string{o.Key} }, "begins with whsec_"},
		"no shop":                       {func(o *stripe.Options) { o.Shop = "" }, "shop's name"},
		"a method that takes days":      {func(o *stripe.Options) { o.Methods = []string{"card", "sepa_debit"} }, `"sepa_debit"`},
		"a delayed method that is none": {func(o *stripe.Options) { o.DelayedMethods = []string{"sepa_debit", "card"} }, `"card"`},
	} {
		t.Run(name, func(t *testing.T) {
			options := stripe.Options{Key: stripetest.Key, WebhookSecrets: []string{stripetest.WebhookSecret}, Shop: "tickets.example"}
			tt.change(&options)
			_, err := stripe.New(options)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("New: %v, want an error that says %q", err, tt.says)
			}
			if options.Key != "" && strings.Contains(err.Error(), options.Key) {
				t.Errorf("%v repeats the key", err)
			}
		})
	}
}

// Some methods cannot be captured later: they are not offered where the money is only authorised.
func TestMethodsThatCanBeCapturedLater(t *testing.T) {
	double := newDouble(t)
	for name, tt := range map[string]struct {
		methods []string
		offered string // of the request; "": refused
	}{
		"cards":             {nil, "card"},
		"some of them":      {[]string{"ideal", "paypal", "twint", "card"}, "paypal card"},
		"none of the above": {[]string{"ideal", "twint"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var form url.Values
			p := open(t, double, func(o *stripe.Options) {
				o.Methods, o.HTTP = tt.methods, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						return nil, err
					}
					form, _ = url.ParseQuery(string(body))
					r.Body = io.NopCloser(bytes.NewReader(body))
					return double.Client().Transport.RoundTrip(r)
				})}
			})
			if p.Authorizes() != (tt.offered != "") {
				t.Errorf("it authorises: %t", p.Authorizes())
			}
			o := opening(byte(len(name)))
			o.Authorize = true
			_, err := p.Open(t.Context(), o)
			if tt.offered == "" {
				if domain.CodeOf(err) != domain.CodeInvalid || form != nil {
					t.Errorf("%v, and Stripe was asked with %v", err, form)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var offered []string
			for i := range tt.methods {
				offered = append(offered, form[fmt.Sprintf("payment_method_types[%d]", i)]...)
			}
			if tt.methods == nil {
				offered = form["payment_method_types[0]"]
			}
			if got := strings.Join(offered, " "); got != tt.offered || form.Get("payment_intent_data[capture_method]") != "manual" {
				t.Errorf("offered %q, capture_method %q", got, form.Get("payment_intent_data[capture_method]"))
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// While Stripe does not answer nobody knows whether a completed session's money is held, and the event comes again.
// After it was given up, its event says nothing.
func TestTheEventOfAnAuthorisation(t *testing.T) {
	double := newDouble(t)
	var away atomic.Bool
	double.Trouble = func(*http.Request) stripetest.Trouble {
		if away.Load() {
			return stripetest.RateLimit
		}
		return stripetest.None
	}
	p := open(t, double, nil)
	o := opening(1)
	o.Authorize = true
	page := mustOpen(t, p, o)
	if err := double.Pay(page.Session); err != nil {
		t.Fatal(err)
	}
	hook := double.Webhooks()[0]
	away.Store(true)
	if event, err := p.Event(t.Context(), hook.Header, hook.Body); !domain.IsUnknown(err) {
		t.Errorf("it reads %+v, %v; want an unknown error", event, err)
	}
	away.Store(false)
	if event, err := p.Event(t.Context(), hook.Header, hook.Body); err != nil || event.Type != domain.PaymentAuthorized || !event.Capture().Authorized {
		t.Errorf("it reads %+v, %v; want it authorised", event, err)
	}
	if outcome, err := p.ReleaseAuthorized(t.Context(), page.Session); err != nil || outcome.Paid() {
		t.Fatalf("released: %+v, %v", outcome, err)
	}
	for _, hook := range double.Webhooks() { // Stripe may tell of a refund of what was held
		if event, err := p.Event(t.Context(), hook.Header, hook.Body); err != nil || event.Type.Known() {
			t.Errorf("after the release it reads %+v, %v; want it ignored", event, err)
		}
	}
	for refund, err := range p.Refunds(t.Context()) {
		t.Errorf("after the release it lists %+v, %v; nothing was taken", refund, err)
	}
}

// A second attempt, such as after the first session was expired, is another session.
func TestAnAttemptIsASession(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	first := mustOpen(t, p, opening(1))
	again := opening(1)
	again.Attempt = 2
	if second := mustOpen(t, p, again); second.Session == first.Session {
		t.Errorf("attempts 1 and 2 share session %s", first.Session)
	}
	if n := len(double.Sessions()); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
}

// told is what the adapter makes of all webhooks so far; "" for those that it ignores.
func told(t *testing.T, double *stripetest.Server, p *stripe.Provider) (kinds []domain.PaymentEventType) {
	t.Helper()
	for _, hook := range double.Webhooks() {
		event, err := p.Event(t.Context(), hook.Header, hook.Body)
		switch {
		case err != nil:
			t.Fatalf("%s: %v", hook.Body, err)
		case event.Type.Known():
			kinds = append(kinds, event.Type)
		default:
			kinds = append(kinds, "")
		}
	}
	return kinds
}

// Stripe tells of every attempt that fails. Only where the session can go on, or went on, is it a decline: a transfer
// that bounced is told by the session's own event.
func TestAFailedAttemptIsADeclineWhereTheSessionGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*stripetest.Server, string) []error
		want []domain.PaymentEventType
	}{
		"declined twice, then paid": {
			func(d *stripetest.Server, s string) []error { return []error{d.Decline(s), d.Decline(s), d.Pay(s)} },
			[]domain.PaymentEventType{domain.PaymentDeclined, domain.PaymentDeclined, domain.PaymentSucceeded},
		},
		"declined, then expired": {
			func(d *stripetest.Server, s string) []error {
				declined := d.Decline(s)
				_, err := open(t, d, nil).Expire(t.Context(), s)
				return []error{declined, err}
			},
			[]domain.PaymentEventType{domain.PaymentDeclined, ""},
		},
		"a transfer that bounced": {
			func(d *stripetest.Server, s string) []error { return []error{d.Transfer(s), d.Bounce(s)} },
			[]domain.PaymentEventType{"", "", domain.PaymentFailed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			double := newDouble(t)
			p := open(t, double, nil)
			page := mustOpen(t, p, opening(1))
			if err := errors.Join(tt.do(double, page.Session)...); err != nil {
				t.Fatal(err)
			}
			if got := told(t, double, p); !slices.Equal(got, tt.want) {
				t.Errorf("it reads %q, want %q", got, tt.want)
			}
		})
	}
}

// The session has to be looked up. While Stripe does not answer nobody knows, and the event comes again.
func TestADeclineIsUnknownWhileStripeIsAway(t *testing.T) {
	double := newDouble(t)
	var away atomic.Bool
	double.Trouble = func(*http.Request) stripetest.Trouble {
		if away.Load() {
			return stripetest.Failure
		}
		return stripetest.None
	}
	p := open(t, double, nil)
	other := open(t, double, func(o *stripe.Options) { o.Shop = "other.example" })
	page := mustOpen(t, p, opening(1))
	if err := double.Decline(page.Session); err != nil {
		t.Fatal(err)
	}
	hook := double.Webhooks()[0]
	away.Store(true)
	if event, err := p.Event(t.Context(), hook.Header, hook.Body); !domain.IsUnknown(err) {
		t.Errorf("it reads %+v, %v; want an unknown error", event, err)
	}
	if event, err := other.Event(t.Context(), hook.Header, hook.Body); err != nil || event.Type.Known() {
		t.Errorf("another shop reads %+v, %v; want it ignored without a call", event, err)
	}
	away.Store(false)
	event, err := p.Event(t.Context(), hook.Header, hook.Body)
	if err != nil || event.Type != domain.PaymentDeclined || event.Session != page.Session || event.AmountMinor != 6500 || event.Currency != "EUR" {
		t.Errorf("it reads %+v, %v", event, err)
	}
}

func TestWhatSharesTheAccountIsIgnored(t *testing.T) {
	double := newDouble(t)
	other := open(t, double, func(o *stripe.Options) { o.Shop = "other.example" })
	page := mustOpen(t, other, opening(1))
	if err := double.Pay(page.Session); err != nil {
		t.Fatal(err)
	}
	p := open(t, double, nil)
	if _, err := p.Session(t.Context(), page.Session); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("another shop's session: %v, want not_found", err)
	}
	for _, hook := range double.Webhooks() {
		if event, err := p.Event(t.Context(), hook.Header, hook.Body); err != nil || event.Type.Known() {
			t.Errorf("another shop's event reads %+v, %v", event, err)
		}
	}
	for c, err := range p.Captures(t.Context()) {
		t.Errorf("it lists %+v, %v", c, err)
	}
	var capture domain.Capture
	for c, err := range other.Captures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		capture = c
	}
	refund := payments.Refund{Key: "k", Payment: capture.Payment, Order: capture.Order, AmountMinor: 6500, Currency: "EUR"}
	if err := p.Refund(t.Context(), refund); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("refund of another shop's payment: %v, want not_found", err)
	}
}

// What a person gives back at Stripe's dashboard is money that left: the audit must see it.
func TestARefundMadeInTheDashboardIsListed(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	session := mustPay(t, double, p)
	if err := double.RefundInDashboard(session.Capture.Payment, 1500); err != nil {
		t.Fatal(err)
	}
	var listed []int64
	for r, err := range p.Refunds(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, r.AmountMinor)
	}
	if len(listed) != 1 || listed[0] != 1500 {
		t.Errorf("refunds %v, want 1500", listed)
	}
}

// Stripe keeps an idempotency key for a day. A checkout may ask again after weeks.
func TestARefundHappensOnceAfterStripeForgotItsKey(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	session := mustPay(t, double, p)
	refund := payments.Refund{Key: "part", Payment: session.Capture.Payment, Order: session.Order, AmountMinor: 1000, Currency: "EUR", Reason: domain.RefundByOrganiser}
	for range 2 {
		if err := p.Refund(t.Context(), refund); err != nil {
			t.Fatal(err)
		}
		double.ForgetKeys()
	}
	n := 0
	for _, err := range p.Refunds(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d refunds, want 1", n)
	}
}

func TestLongListsAreReadToTheirEnd(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	const many = 230 // three pages
	for i := range many {
		o := opening(byte(i))
		page := mustOpen(t, p, o)
		if err := double.Pay(page.Session); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[string]bool)
	for c, err := range p.Captures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[c.Payment] = true
	}
	if len(seen) != many {
		t.Errorf("%d captures, want %d", len(seen), many)
	}
}

// Only Stripe's rate limit slows all calls. Two who want one object at once get the same status, and hinder nobody else.
func TestALockOfStripesIsNoRateLimit(t *testing.T) {
	for name, tt := range map[string]struct {
		trouble stripetest.Trouble
		want    bool
	}{"a rate limit": {stripetest.RateLimit, true}, "a lock": {stripetest.Locked, false}} {
		t.Run(name, func(t *testing.T) {
			double := newDouble(t)
			double.Trouble = func(*http.Request) stripetest.Trouble { return tt.trouble }
			_, err := open(t, double, nil).Open(t.Context(), opening(1))
			var limited *payments.RateLimitedError
			if !domain.IsUnknown(err) || errors.As(err, &limited) != tt.want {
				t.Errorf("%v, want a rate limit: %t", err, tt.want)
			}
		})
	}
}

// Whatever is no answer of Stripe's is unknown, and asking again finds what happened.
func TestTroubleIsUnknownAndPasses(t *testing.T) {
	for name, trouble := range map[string]stripetest.Trouble{
		"a rate limit": stripetest.RateLimit, "a failure": stripetest.Failure,
		"a lost reply": stripetest.LostReply, "a proxy's page": stripetest.Garbage,
	} {
		t.Run(name, func(t *testing.T) {
			double := newDouble(t)
			var inTrouble atomic.Bool
			double.Trouble = func(*http.Request) stripetest.Trouble {
				if inTrouble.CompareAndSwap(true, false) {
					return trouble
				}
				return stripetest.None
			}
			p := open(t, double, nil)
			again := func(what string, call func() error) {
				t.Helper()
				inTrouble.Store(true)
				err := call()
				// Package net/http itself repeats what it may if a connection breaks.
				if !domain.IsUnknown(err) && (err != nil || trouble != stripetest.LostReply) {
					t.Errorf("%s: %v, want an unknown error", what, err)
				}
				if err := call(); err != nil {
					t.Errorf("%s again: %v", what, err)
				}
			}
			var page domain.PayPage
			o := opening(1)
			again("open", func() (err error) {
				page, err = p.Open(t.Context(), o)
				return err
			})
			if err := double.Pay(page.Session); err != nil {
				t.Fatal(err)
			}
			var session payments.Session
			again("session", func() (err error) {
				session, err = p.Session(t.Context(), page.Session)
				return err
			})
			again("expire", func() error {
				outcome, err := p.Expire(t.Context(), page.Session)
				if err == nil && !outcome.Captured {
					t.Error("a paid session was expired")
				}
				return err
			})
			refund := payments.Refund{Key: "k", Payment: session.Capture.Payment, Order: session.Order, AmountMinor: 6500, Currency: "EUR", Reason: domain.RefundByOrganiser}
			again("refund", func() error { return p.Refund(t.Context(), refund) })
			if n := len(double.Sessions()); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
		})
	}
}
