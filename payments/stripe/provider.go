package stripe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v84"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/tracing"
)

// Name is what sales, routes and ids call Stripe.
const Name = "stripe"

// APIVersion is the version of Stripe's API that requests ask for, and that events must have but for the date.
const APIVersion = stripe.APIVersion

// Limits of the connections and of what is read.
const (
	dialTimeout     = 3 * time.Second
	idleConnTimeout = 60 * time.Second
	idleConnsMax    = 64
	answerBytesMax  = 8 << 20 // a page of 100 sessions with their payments has about 1 MB
)

// A session must live for 30 minutes at least and 24 hours at most, counted from its creation
// (https://docs.stripe.com/api/checkout/sessions/create, expires_at). A hold is shorter than that. So a session
// outlives its hold by sessionAfterHold: every retry asks for the same time, whenever it comes. We expire it at the
// hold's end; Stripe's own end is for the day on which we cannot.
const (
	sessionAfterHold = 31 * time.Minute
	sessionMax       = 24 * time.Hour
)

// Options of the adapter.
type Options struct {
	Key            string   // secret or restricted: sk_test_…, rk_live_…
	WebhookSecrets []string // whsec_…; one that comes and one that goes are both valid
	// Shop tells this box office's sessions from those of others in the same account; see shopPattern.
	Shop string
	// Methods are the ways to pay. Empty: cards, with Apple Pay and Google Pay.
	Methods []string
	// DelayedMethods are ways to pay whose money takes days. They are offered beside Methods,
	// in sales that keep the seats so long.
	DelayedMethods []string
	URL            string           // of the API; empty: Stripe's
	HTTP           *http.Client     // nil: one with this package's limits
	Now            func() time.Time // the clock for checking webhooks' timestamps; nil: time.Now
}

var (
	keyPattern  = regexp.MustCompile(`^(sk|rk)_(test|live)_[A-Za-z0-9_]{8,255}$`)
	shopPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}$`)
)

// Live reports whether a key moves real money.
func Live(key string) bool { return strings.HasPrefix(key[min(len(key), 3):], "live_") }

// immediate lists the methods whose payment is decided while the buyer waits. Others (bank debits, vouchers) take
// days, for which no hold lasts (https://docs.stripe.com/payments/payment-methods/payment-method-support).
var immediate = map[string]bool{
	"card": true, "link": true, "paypal": true, "ideal": true, "bancontact": true, "eps": true, "blik": true, "twint": true,
	"alipay": true, "wechat_pay": true, "cashapp": true, "amazon_pay": true, "revolut_pay": true, "mobilepay": true,
	"swish": true, "klarna": true, "kr_card": true, "kakao_pay": true, "naver_pay": true, "payco": true, "samsung_pay": true,
}

// delayed lists the methods whose payment is decided days later, and that a session takes without any more settings.
// A voucher says how long it can be paid with: at most so many days.
var delayed = map[string]struct{ voucherDaysMax int64 }{
	"us_bank_account": {}, "sepa_debit": {}, "bacs_debit": {}, "au_becs_debit": {}, "multibanco": {},
	"boleto": {voucherDaysMax: 60}, "konbini": {voucherDaysMax: 60}, "oxxo": {voucherDaysMax: 7},
}

func (o Options) check() error {
	switch {
	case !keyPattern.MatchString(o.Key):
		return errors.New("the key must be one of Stripe's secret or restricted keys: sk_test_…, sk_live_…, rk_test_… or rk_live_…")
	case len(o.WebhookSecrets) == 0:
		return errors.New("no webhook secret: Stripe's page of the webhook endpoint shows it, and `stripe listen` prints one (whsec_…)")
	case !shopPattern.MatchString(o.Shop):
		return errors.New("the shop's name must have 1–63 lower-case letters, digits, full stops or hyphens, such as tickets.example")
	}
	for _, secret := range o.WebhookSecrets {
		if !strings.HasPrefix(secret, "whsec_") || len(secret) < len("whsec_")+16 {
			return errors.New("a webhook secret of Stripe begins with whsec_ and has 16 more characters at least")
		}
	}
	for _, method := range o.Methods {
		if !immediate[method] {
			return fmt.Errorf("payment method %q is not one that Stripe decides at once, or is not known: no hold would last until its money comes. See STRIPE_DELAYED_METHODS", method)
		}
	}
	for _, method := range o.DelayedMethods {
		if _, known := delayed[method]; !known {
			return fmt.Errorf("payment method %q is not one of those whose money takes days: %s", method, strings.Join(slices.Sorted(maps.Keys(delayed)), ", "))
		}
	}
	return nil
}

// A Provider is Stripe as a payments.Provider.
type Provider struct {
	client  *stripe.Client
	live    bool
	shop    string
	methods []*string
	// authorizing are those of the methods that can be captured later.
	authorizing []*string
	// delaying are offered where the seats are kept while a payment is processed.
	delaying []string
	hooks    hooks
	since    time.Time // lists begin there; zero: at the beginning
}

var (
	_ payments.Pricer  = (*Provider)(nil)
	_ payments.Delayer = (*Provider)(nil)
	_ payments.Dated   = (*Provider)(nil)
)

// New makes the adapter. It calls nobody.
func New(o Options) (*Provider, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if len(o.Methods) == 0 {
		o.Methods = []string{"card"}
	}
	config := &stripe.BackendConfig{
		HTTPClient:        bounded(o.HTTP),
		MaxNetworkRetries: stripe.Int64(0), // the callers retry
		EnableTelemetry:   stripe.Bool(false),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull}, // our callers log, without what may be private
	}
	if o.URL != "" {
		config.URL = stripe.String(o.URL)
	}
	return &Provider{
		client:  stripe.NewClient(o.Key, stripe.WithBackends(stripe.NewBackendsWithConfig(config))),
		live:    Live(o.Key),
		shop:    o.Shop,
		methods: stripe.StringSlice(o.Methods),

		authorizing: stripe.StringSlice(slices.DeleteFunc(slices.Clone(o.Methods), func(method string) bool { return !capturable[method] })),
		delaying:    o.DelayedMethods,
		hooks:       newHooks(o.WebhookSecrets, o.Now),
	}, nil
}

// operations are what we ask of Stripe, for traces.
var operations = tracing.Operations{
	"POST /v1/checkout/sessions":                  "stripe open session",
	"GET /v1/checkout/sessions":                   "stripe list sessions",
	"GET /v1/checkout/sessions/{session}":         "stripe read session",
	"POST /v1/checkout/sessions/{session}/expire": "stripe expire session",
	"GET /v1/payment_intents/{payment}":           "stripe read payment",
	"POST /v1/payment_intents/{payment}/capture":  "stripe capture payment",
	"POST /v1/payment_intents/{payment}/cancel":   "stripe release payment",
	"POST /v1/refunds":                            "stripe refund",
	"GET /v1/refunds":                             "stripe list refunds",
	"GET /v1/refunds/{refund}":                    "stripe read refund",
	"GET /v1/disputes":                            "stripe list disputes",
	"GET /v1/disputes/{dispute}":                  "stripe read dispute",
}

// bounded is a client that follows no redirects and reads at most answerBytesMax of an answer. Its requests are spans.
func bounded(client *http.Client) *http.Client {
	if client == nil {
		client = &http.Client{Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns:        idleConnsMax,
			MaxIdleConnsPerHost: idleConnsMax,
			IdleConnTimeout:     idleConnTimeout,
			ForceAttemptHTTP2:   true,
		}}
	}
	own := *client
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.Transport = boundedTransport{tracing.Outgoing(own.Transport, operations)}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, answerBytesMax)
	}
	return response, err
}

// Name implements payments.Provider.
func (p *Provider) Name() string { return Name }

// The keys of what we write into Stripe's metadata.
const (
	metaShop    = "boxoffice.shop"
	metaOrder   = "boxoffice.order"
	metaSale    = "boxoffice.sale"
	metaAttempt = "boxoffice.attempt"
	metaRefund  = "boxoffice.refund" // the refund's key
	metaReason  = "boxoffice.reason"
	metaCapture = "boxoffice.capture" // of sessions whose payment is only authorised
)

// Open implements payments.Provider. Order and attempt are Stripe's idempotency key.
func (p *Provider) Open(ctx context.Context, o payments.Opening) (domain.PayPage, error) {
	call := called("open a session for order", o.Order.String())
	amount, err := toStripe(o.AmountMinor, o.Currency)
	if err != nil {
		return domain.PayPage{}, err
	}
	if o.Authorize && !p.Authorizes() {
		return domain.PayPage{}, domain.Invalid("authorize", "none of the payment methods can be captured later: STRIPE_METHODS needs one such as card")
	}
	if o.Authorize && o.Processing > 0 {
		return domain.PayPage{}, domain.Invalid("authorize", "cannot be combined with delayed methods")
	}
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	session, err := p.client.V1CheckoutSessions.Create(ctx, p.openingParams(o, amount))
	if err != nil {
		return domain.PayPage{}, call.failed(err)
	}
	if session.ID == "" || session.URL == "" {
		return domain.PayPage{}, call.unknown(fmt.Errorf("the answer has session %q and an address: %t", session.ID, session.URL != ""))
	}
	return domain.PayPage{Session: session.ID, URL: session.URL}, nil
}

func (p *Provider) openingParams(o payments.Opening, amount int64) *stripe.CheckoutSessionCreateParams {
	meta := map[string]string{
		metaShop: p.shop, metaOrder: o.Order.String(), metaSale: o.SaleID, metaAttempt: strconv.Itoa(o.Attempt),
	}
	name := o.Description
	if name == "" {
		name = o.SaleID
	}
	params := &stripe.CheckoutSessionCreateParams{
		Mode:               stripe.String(string(stripe.CheckoutSessionModePayment)),
		ClientReferenceID:  stripe.String(o.Order.String()),
		Metadata:           meta,
		SuccessURL:         stripe.String(o.ReturnURL),
		CancelURL:          stripe.String(o.ReturnURL),
		PaymentMethodTypes: p.methods,
		// The price is the organiser's: no other currency, no discount.
		AdaptivePricing: &stripe.CheckoutSessionCreateAdaptivePricingParams{Enabled: stripe.Bool(false)},
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{{
			Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionCreateLineItemPriceDataParams{
				Currency:    stripe.String(strings.ToLower(o.Currency)),
				UnitAmount:  stripe.Int64(amount),
				ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{Name: stripe.String(name)},
			},
		}},
		// The metadata of the session does not reach the payment, which is what the dashboard shows.
		PaymentIntentData: &stripe.CheckoutSessionCreatePaymentIntentDataParams{Description: stripe.String(name), Metadata: meta},
	}
	if o.Authorize {
		meta[metaCapture] = string(domain.CaptureAfterSeats)
		params.PaymentMethodTypes = p.authorizing
		params.PaymentIntentData.CaptureMethod = stripe.String(string(stripe.PaymentIntentCaptureMethodManual))
	}
	if o.Processing > 0 {
		p.offerDelayed(params, o.Processing)
	}
	if expires := o.ExpiresAt.Add(sessionAfterHold); expires.Sub(p.hooks.now()) < sessionMax-time.Hour {
		params.ExpiresAt = stripe.Int64(expires.Unix())
	} // else Stripe's own, after 24 hours
	params.SetIdempotencyKey(fmt.Sprintf("%s/%s/%d", p.shop, o.Order, o.Attempt))
	return params
}

// Delays implements payments.Delayer.
func (p *Provider) Delays() bool { return len(p.delaying) > 0 }

// offerDelayed adds the methods whose money takes days. A voucher can be paid with as long as the seats are kept, in
// whole days, and for one day at least.
func (p *Provider) offerDelayed(params *stripe.CheckoutSessionCreateParams, kept time.Duration) {
	params.PaymentMethodTypes = slices.Concat(params.PaymentMethodTypes, stripe.StringSlice(p.delaying))
	for _, method := range p.delaying {
		most := delayed[method].voucherDaysMax
		if most == 0 {
			continue
		}
		if params.PaymentMethodOptions == nil {
			params.PaymentMethodOptions = &stripe.CheckoutSessionCreatePaymentMethodOptionsParams{}
		}
		days := stripe.Int64(max(1, min(most, int64(kept/(24*time.Hour)))))
		switch method {
		case "boleto":
			params.PaymentMethodOptions.Boleto = &stripe.CheckoutSessionCreatePaymentMethodOptionsBoletoParams{ExpiresAfterDays: days}
		case "konbini":
			params.PaymentMethodOptions.Konbini = &stripe.CheckoutSessionCreatePaymentMethodOptionsKonbiniParams{ExpiresAfterDays: days}
		case "oxxo":
			params.PaymentMethodOptions.OXXO = &stripe.CheckoutSessionCreatePaymentMethodOptionsOXXOParams{ExpiresAfterDays: days}
		}
	}
}

// Expire implements payments.Provider. Stripe expires only an open session; it is atomic with paying.
func (p *Provider) Expire(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	if err := checkID(session); err != nil {
		return domain.ExpireOutcome{}, err
	}
	expire, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	expired, err := p.client.V1CheckoutSessions.Expire(expire, session, nil)
	if err == nil && expired.Status == stripe.CheckoutSessionStatusExpired {
		return domain.ExpireOutcome{}, nil
	}
	if failure := called("expire session", session).failed(err); err != nil && domain.CodeOf(failure) != domain.CodeInvalid {
		return domain.ExpireOutcome{}, failure
	}
	return p.settled(ctx, "expire session", session)
}

// errOpen: nothing became of a session yet.
var errOpen = errors.New("the session is still open")

// settled reads what became of a session that cannot be expired.
func (p *Provider) settled(ctx context.Context, op, session string) (domain.ExpireOutcome, error) {
	call := called(op, session)
	found, err := p.Session(ctx, session)
	switch {
	case err != nil:
		return domain.ExpireOutcome{}, err
	case found.Status == payments.SessionCaptured:
		return domain.ExpireOutcome{Captured: true, Capture: *found.Capture}, nil
	case found.Status == payments.SessionAuthorized:
		return domain.ExpireOutcome{Authorized: true, Capture: *found.Capture}, nil
	case found.Status == payments.SessionProcessing:
		return domain.ExpireOutcome{}, call.unknown(payments.ErrProcessing)
	case found.Status == payments.SessionOpen:
		return domain.ExpireOutcome{}, call.unknown(errOpen)
	default:
		return domain.ExpireOutcome{}, nil
	}
}

// Session implements payments.Provider. A session of another shop is one that we never opened.
func (p *Provider) Session(ctx context.Context, session string) (payments.Session, error) {
	if err := checkID(session); err != nil {
		return payments.Session{}, err
	}
	call := called("read session", session)
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	found, err := p.client.V1CheckoutSessions.Retrieve(ctx, session, &stripe.CheckoutSessionRetrieveParams{
		Expand: []*string{stripe.String("payment_intent.latest_charge")},
	})
	if err != nil {
		return payments.Session{}, call.failed(err)
	}
	order, ours, err := p.orderOf(found.Metadata)
	switch {
	case err != nil:
		return payments.Session{}, call.unknown(err)
	case !ours:
		return payments.Session{}, domain.NotFound("session")
	}
	read, err := sessionOf(found, order)
	if err != nil {
		return payments.Session{}, call.unknown(err)
	}
	return read, nil
}

// orderOf reads the metadata. It returns false for what another shop, or another program, made in the account.
func (p *Provider) orderOf(meta map[string]string) (domain.OrderID, bool, error) {
	if meta[metaShop] != p.shop {
		return domain.OrderID{}, false, nil
	}
	order, err := domain.ParseOrderID(meta[metaOrder])
	if err != nil {
		return domain.OrderID{}, false, fmt.Errorf("metadata %s: %w", metaOrder, err)
	}
	return order, true, nil
}

// Ping implements payments.Provider. It asks for something that the key must be allowed to read anyway.
func (p *Provider) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, payments.CallTimeout)
	defer cancel()
	list := &stripe.CheckoutSessionListParams{}
	list.Limit, list.Single = stripe.Int64(1), true
	for _, err := range p.client.V1CheckoutSessions.List(ctx, list) {
		if err != nil {
			return called("ping", Name).unknown(err)
		}
		break
	}
	return nil
}

// checkID keeps an id that cannot be Stripe's out of a path.
func checkID(session string) error {
	if !strings.HasPrefix(session, "cs_") || !domain.ValidSessionID(session) {
		return domain.NotFound("session")
	}
	return nil
}
