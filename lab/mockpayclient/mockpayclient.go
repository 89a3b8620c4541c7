// Package mockpayclient asks MockPay as buyers do, in their browser, and as tests do, who make it misbehave. What the box
// office asks a provider is payments/mockpay.
package mockpayclient

import (
	"context"
	"net/http"
	"net/url"

	"boxoffice/client"
	server "boxoffice/mockpay"
	"boxoffice/payments/mockpay"
)

// A MockPay is one that runs. Its errors are those of package client: a *client.Refusal where it answered.
type MockPay struct {
	at client.Client // MockPay refuses as the box office does
}

// New gives the MockPay at an address.
func New(address string, with *http.Client) *MockPay {
	return &MockPay{at: client.Client{URL: address, HTTP: with}}
}

func (m *MockPay) ask(ctx context.Context, method, path string, body, into any) error {
	target, err := url.Parse(path)
	if err != nil {
		return err
	}
	return m.at.Do(ctx, client.Request{Method: method, Path: target.EscapedPath(), Query: target.Query(), Body: body}, into)
}

func sessionPath(session, what string) string {
	return mockpay.SessionsPath + url.PathEscape(session) + "/" + what
}

// Visit opens a pay page, as a browser does; the first visit opens the session.
func (m *MockPay) Visit(ctx context.Context, payURL string) error {
	link, err := url.Parse(payURL)
	if err != nil {
		return err
	}
	var page []byte
	return m.ask(ctx, http.MethodGet, link.RequestURI(), nil, &page)
}

// Pay gives a session an outcome and returns its present one. Its page need not have been opened: the link does that.
func (m *MockPay) Pay(ctx context.Context, session, link string, outcome mockpay.Outcome) (mockpay.SessionStatus, error) {
	var now mockpay.Session
	err := m.ask(ctx, http.MethodPost, sessionPath(session, "pay"), mockpay.PayRequest{Outcome: outcome, Link: link}, &now)
	return now.Status, err
}

// Session reads a session.
func (m *MockPay) Session(ctx context.Context, session string) (read mockpay.Session, err error) {
	err = m.ask(ctx, http.MethodGet, mockpay.SessionsPath+url.PathEscape(session), nil, &read)
	return read, err
}

// Decline makes the nth attempt in a session, which is declined, once.
func (m *MockPay) Decline(ctx context.Context, session string, nth int) error {
	return m.ask(ctx, http.MethodPost, sessionPath(session, "pay"), mockpay.PayRequest{Outcome: mockpay.OutcomeDeclined, Attempt: nth}, nil)
}

// Capture takes money, whatever the session's state.
func (m *MockPay) Capture(ctx context.Context, session string, request server.CaptureRequest) error {
	return m.ask(ctx, http.MethodPost, sessionPath(session, "capture"), request, nil)
}

// Dispute is what the buyer's bank does to the payment of a session.
func (m *MockPay) Dispute(ctx context.Context, session string, request mockpay.DisputeRequest) error {
	return m.ask(ctx, http.MethodPost, sessionPath(session, "dispute"), request, nil)
}

// RefundElsewhere is what a person gives back at MockPay, without the box office.
func (m *MockPay) RefundElsewhere(ctx context.Context, session string, request mockpay.RefundElsewhereRequest) error {
	return m.ask(ctx, http.MethodPost, sessionPath(session, "refund"), request, nil)
}

// Misbehave sets how it misbehaves in all sessions, or in one that is named; nil ends it.
func (m *MockPay) Misbehave(ctx context.Context, session string, mischief *server.Mischief) error {
	path := server.MischiefPath
	if session != "" {
		path = sessionPath(session, "mischief")
	}
	if mischief == nil {
		return m.ask(ctx, http.MethodDelete, path, nil, nil)
	}
	return m.ask(ctx, http.MethodPost, path, mischief, nil)
}

// Mischief is what MockPay has done so far, in all sessions.
func (m *MockPay) Mischief(ctx context.Context) (report server.MischiefReport, err error) {
	err = m.ask(ctx, http.MethodGet, server.MischiefPath, nil, &report)
	return report, err
}

// Undelivered is how many webhooks it still has to deliver.
func (m *MockPay) Undelivered(ctx context.Context) (int, error) {
	var health struct {
		Undelivered int `json:"undelivered"`
	}
	err := m.ask(ctx, http.MethodGet, "/healthz", nil, &health)
	return health.Undelivered, err
}

// Refunds are the first that it has done.
func (m *MockPay) Refunds(ctx context.Context) (page mockpay.Page[mockpay.Refund], err error) {
	err = m.ask(ctx, http.MethodGet, mockpay.RefundsPath+"?limit=1000", nil, &page)
	return page, err
}

// Acknowledged are the first webhooks that were answered 2xx.
func (m *MockPay) Acknowledged(ctx context.Context) (page mockpay.Page[mockpay.Delivery], err error) {
	err = m.ask(ctx, http.MethodGet, mockpay.DeliveriesPath+"?state=acknowledged&limit=1000", nil, &page)
	return page, err
}
