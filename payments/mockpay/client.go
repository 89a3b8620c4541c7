package mockpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/tracing"
)

// CallTimeout limits one call, from dialling to the last byte of the answer. An earlier
// deadline of the context wins.
const CallTimeout = payments.CallTimeout

// Limits of the connections and of what is read.
const (
	dialTimeout     = 3 * time.Second
	idleConnTimeout = 60 * time.Second
	idleConnsMax    = 64
	answerMaxBytes  = 4 << 20 // a Page of ListLimitMax has about 500 kB
	problemMaxBytes = 16 << 10
)

// A Client calls the payment provider. It does not retry: every call may be repeated as
// it is, and the callers (activities, the audit) have their own policies. It is safe for
// concurrent use.
//
// There are two types of failure. A *domain.Error means that the provider itself said no
// (an RFC 9457 problem with a 4xx status): CodeNotFound, CodeUnauthorized, else
// CodeInvalid. Everything else is a *domain.UnknownError, from a refused connection to an
// answer that makes no sense, including 408 and 429.
type Client struct {
	base string
	http *http.Client
}

// operations are what we ask of MockPay, for traces.
var operations = tracing.Operations{
	"GET " + SessionsPath + "{session}":                        "mockpay read session",
	"POST " + SessionsPath + "{session}/expire":                "mockpay expire session",
	"POST " + SessionsPath + "{session}/authorization/capture": "mockpay capture payment",
	"POST " + SessionsPath + "{session}/authorization/release": "mockpay release payment",
	"POST " + RefundsPath:                                      "mockpay refund",
	"GET " + RefundsPath:                                       "mockpay list refunds",
	"GET " + CapturesPath:                                      "mockpay list captures",
	"GET " + AuthorizationsPath:                                "mockpay list authorizations",
	"GET " + DisputesPath:                                      "mockpay list disputes",
	"GET " + DeliveriesPath:                                    "mockpay list deliveries",
}

// NewClient calls the provider at baseURL (MOCKPAY_URL). A nil httpClient gets one with
// this package's limits. Redirects are never followed.
func NewClient(baseURL string, httpClient *http.Client) (*Client, error) {
	base, err := parseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	if httpClient == nil {
		httpClient = &http.Client{Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns:        idleConnsMax,
			MaxIdleConnsPerHost: idleConnsMax,
			IdleConnTimeout:     idleConnTimeout,
			ForceAttemptHTTP2:   true,
		}}
	}
	own := *httpClient
	if own.Transport == nil {
		own.Transport = http.DefaultTransport
	}
	own.Transport = tracing.Outgoing(own.Transport, operations)
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: base, http: &own}, nil
}

// Expire forbids any further payment for the order, unless one was already captured. The
// provider decides atomically, and for good.
func (c *Client) Expire(ctx context.Context, order domain.OrderID) (domain.ExpireOutcome, error) {
	return c.decide(ctx, "expire", SessionID(order), "/expire")
}

// CaptureAuthorized takes what is authorised in a session; ReleaseAuthorized gives it up.
// The provider decides atomically, and for good.
func (c *Client) CaptureAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return c.decide(ctx, "capture", session, "/authorization/capture")
}

// ReleaseAuthorized gives up what is authorised in a session.
func (c *Client) ReleaseAuthorized(ctx context.Context, session string) (domain.ExpireOutcome, error) {
	return c.decide(ctx, "release", session, "/authorization/release")
}

func (c *Client) decide(ctx context.Context, op, session, path string) (domain.ExpireOutcome, error) {
	req := call{op: op, id: session, method: http.MethodPost, path: SessionsPath + url.PathEscape(session) + path}
	var expiry Expiry
	if err := c.do(ctx, req, &expiry); err != nil {
		return domain.ExpireOutcome{}, err
	}
	switch expiry.Status {
	case SessionExpired:
		return domain.ExpireOutcome{}, nil
	case SessionProcessing:
		return domain.ExpireOutcome{}, req.unknown(payments.ErrProcessing)
	case SessionCaptured, SessionAuthorized:
		isAuthorized := expiry.Status == SessionAuthorized
		if err := checkCapture(expiry.Capture, session, isAuthorized); err != nil {
			return domain.ExpireOutcome{}, req.unknown(err)
		}
		return domain.ExpireOutcome{Captured: !isAuthorized, Authorized: isAuthorized, Capture: *expiry.Capture}, nil
	default:
		return domain.ExpireOutcome{}, req.unknown(fmt.Errorf("the provider answered status %q", expiry.Status))
	}
}

// Session reads a session. It is a report, not a promise: only Expire settles an open
// one. It returns CodeNotFound if nobody ever opened or expired it.
func (c *Client) Session(ctx context.Context, session string) (Session, error) {
	req := call{op: "session", id: session, method: http.MethodGet, path: SessionsPath + url.PathEscape(session)}
	var s Session
	if err := c.do(ctx, req, &s); err != nil {
		return Session{}, err
	}
	if s.Session != session {
		return Session{}, req.unknown(fmt.Errorf("the provider answered for session %q", s.Session))
	}
	if (s.Status == SessionCaptured) != (s.Capture != nil) {
		return Session{}, req.unknown(fmt.Errorf("the provider answered status %q with capture %t", s.Status, s.Capture != nil))
	}
	if s.Capture != nil {
		if err := checkCapture(s.Capture, session, false); err != nil {
			return Session{}, req.unknown(err)
		}
	}
	if s.Status == SessionAuthorized {
		if err := checkCapture(s.Authorized, session, true); err != nil {
			return Session{}, req.unknown(err)
		}
	}
	return s, nil
}

// pingSession does not exist: no order's id is zero.
const pingSession = "ps_00000000000000000000000000000000"

// Ping reports whether the provider answers, by asking for a session that it does not
// know: a definite no is an answer. Otherwise it returns a *domain.UnknownError.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.Session(ctx, pingSession); domain.IsUnknown(err) {
		return err
	}
	return nil
}

// Capture reads what was captured in a session. It returns false if nothing was, or if
// the provider does not know the session.
func (c *Client) Capture(ctx context.Context, session string) (domain.Capture, bool, error) {
	s, err := c.Session(ctx, session)
	var definite *domain.Error
	if errors.As(err, &definite) && definite.Code == domain.CodeNotFound {
		return domain.Capture{}, false, nil
	}
	if err != nil || s.Capture == nil {
		return domain.Capture{}, false, err
	}
	return *s.Capture, true, nil
}

// Refund gives a captured payment back, once: the payment is the key, and a repeated call
// has no second effect. What went back before counts, as does what a dispute took. It returns CodeNotFound if the provider never took that payment,
// and CodeInvalid if the refund exceeds the capture or contradicts an earlier one.
func (c *Client) Refund(ctx context.Context, refund domain.Refund) error {
	return c.refund(ctx, RefundRequest{
		Payment:     refund.Capture.Payment,
		AmountMinor: refund.Capture.AmountMinor,
		Currency:    refund.Capture.Currency,
		Reason:      refund.Reason,
	})
}

func (c *Client) refund(ctx context.Context, request RefundRequest) error {
	req := call{op: "refund", id: request.Payment, method: http.MethodPost, path: RefundsPath, body: request}
	var done Refund
	if err := c.do(ctx, req, &done); err != nil {
		return err
	}
	if done.Payment != request.Payment {
		return req.unknown(fmt.Errorf("the provider answered for payment %q", done.Payment))
	}
	return nil
}

// Captures lists every payment that the provider took, oldest first. The list ends at the
// first error.
func (c *Client) Captures(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return list[domain.Capture](ctx, c, "captures", CapturesPath, nil)
}

// Authorizations lists every payment that was neither captured nor released, oldest first.
// The list ends at the first error.
func (c *Client) Authorizations(ctx context.Context) iter.Seq2[domain.Capture, error] {
	return list[domain.Capture](ctx, c, "authorizations", AuthorizationsPath, nil)
}

// Refunds lists every refund that the provider made, oldest first. The list ends at the
// first error.
func (c *Client) Refunds(ctx context.Context) iter.Seq2[Refund, error] {
	return list[Refund](ctx, c, "refunds", RefundsPath, nil)
}

// Disputes lists every dispute as it is now, oldest first. The list ends at the first
// error.
func (c *Client) Disputes(ctx context.Context) iter.Seq2[domain.Reversal, error] {
	return list[domain.Reversal](ctx, c, "disputes", DisputesPath, nil)
}

// Deliveries lists the provider's webhooks in a state, oldest first. The list ends at the
// first error.
func (c *Client) Deliveries(ctx context.Context, state DeliveryState) iter.Seq2[Delivery, error] {
	return list[Delivery](ctx, c, "deliveries", DeliveriesPath, url.Values{"state": {string(state)}})
}

func list[T any](ctx context.Context, c *Client, op, path string, filter url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		query := url.Values{"limit": {strconv.Itoa(ListLimitMax)}}
		for name, values := range filter {
			query[name] = values
		}
		for {
			req := call{op: op, id: "after " + query.Get("after"), method: http.MethodGet, path: path + "?" + query.Encode()}
			var page Page[T]
			if err := c.do(ctx, req, &page); err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			if len(page.Items) == 0 || page.Next == query.Get("after") { // would never end
				yield(zero, req.unknown(errors.New("the provider's list does not advance")))
				return
			}
			query.Set("after", page.Next)
		}
	}
}

// call is one request to the provider.
type call struct {
	op, id       string // for errors
	method, path string
	body         any // nil: none
}

func (r call) unknown(err error) error {
	return &domain.UnknownError{Op: r.op, ID: r.id, Err: err}
}

func (c *Client) do(ctx context.Context, r call, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	req, err := c.request(ctx, r)
	if err != nil {
		return &domain.Error{Code: domain.CodeInternal, Detail: "The request to the payment provider could not be made.", Err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return r.unknown(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return r.refusal(resp)
	}
	raw, err := readAll(resp.Body, answerMaxBytes)
	if err != nil {
		return r.unknown(err)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return r.unknown(fmt.Errorf("read the provider's answer: %w", err))
	}
	return nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, "+ProblemContentType)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// refusal tells a definite no from everything else. Only a problem document is the
// provider's no. A bare 404 may come from whatever else listens at that address, and
// believing it would turn captured money into money that nobody took.
func (r call) refusal(resp *http.Response) error {
	if resp.StatusCode == http.StatusTooManyRequests {
		return r.unknown(&payments.RateLimitedError{RetryAfter: payments.RetryAfter(resp.Header), Err: errors.New("status 429")})
	}
	raw, err := readAll(resp.Body, problemMaxBytes)
	if err != nil {
		return r.unknown(fmt.Errorf("status %d: %w", resp.StatusCode, err))
	}
	var problem Problem
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType != ProblemContentType || json.Unmarshal(raw, &problem) != nil || problem.Code == "" {
		return r.unknown(fmt.Errorf("status %d without a problem document", resp.StatusCode))
	}
	cause := fmt.Errorf("the provider answered %d %s: %s", resp.StatusCode, problem.Code, problem.Detail)
	code, definite := codeOfStatus(resp.StatusCode)
	if !definite {
		return r.unknown(cause)
	}
	return &domain.Error{Code: code, Detail: fmt.Sprintf("The payment provider refused to %s %s.", r.op, r.id), Err: cause}
}

func codeOfStatus(status int) (_ domain.Code, definite bool) {
	switch {
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests:
		return "", false
	case status == http.StatusNotFound:
		return domain.CodeNotFound, true
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return domain.CodeUnauthorized, true
	case status >= 400 && status <= 499:
		return domain.CodeInvalid, true
	default:
		return "", false
	}
}

// checkCapture refuses a capture that cannot belong to the requested session: booking it
// would sell the wrong order.
func checkCapture(c *domain.Capture, session string, authorized bool) error {
	switch {
	case c == nil:
		return errors.New("the provider answered captured or authorized without the money")
	case c.Authorized != authorized:
		return fmt.Errorf("the provider answered a payment that is authorized: %t, want %t", c.Authorized, authorized)
	case c.Session != session || SessionID(c.Order) != session:
		return fmt.Errorf("the provider answered a capture of session %q, order %s", c.Session, c.Order)
	case !domain.ValidPaymentID(c.Payment) || c.AmountMinor < 0 || !domain.ValidCurrency(c.Currency):
		return fmt.Errorf("the provider answered a capture with payment %q, amount %d, currency %q", c.Payment, c.AmountMinor, c.Currency)
	}
	return nil
}

// readAll reads at most limit bytes, and fails if there are more.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("the answer exceeds %d bytes", limit)
	}
	return raw, nil
}
