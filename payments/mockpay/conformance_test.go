package mockpay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
	server "boxoffice/mockpay"
	"boxoffice/payments/mockpay"
	"boxoffice/payments/paymentstest"
)

func TestMockPayKeepsThePromises(t *testing.T) {
	paymentstest.Run(t, func(t *testing.T) *paymentstest.Subject {
		secrets, err := mockpay.ParseSecrets("whsec_" + strings.Repeat("QUJD", 11))
		if err != nil {
			t.Fatal(err)
		}
		hooks := make(paymentstest.Webhooks, 100)
		boxoffice := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			hooks <- paymentstest.Webhook{Header: r.Header, Body: body}
		}))
		t.Cleanup(boxoffice.Close)
		mock, err := server.New(server.Config{
			Addr: "127.0.0.1:0", DataDir: t.TempDir(), BoxofficeURL: boxoffice.URL, Secrets: secrets, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- mock.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
		network := &paymentstest.Network{RoundTripper: &http.Transport{}}
		provider, err := mockpay.New(mockpay.Options{URL: mock.URL(), Secrets: secrets, HTTP: &http.Client{Transport: network}})
		if err != nil {
			t.Fatal(err)
		}
		signer, err := mockpay.NewSigner(secrets)
		if err != nil {
			t.Fatal(err)
		}
		return &paymentstest.Subject{
			Provider: provider,
			SetAway:  network.SetAway, SetLimited: network.SetLimited,
			Do: func(ctx context.Context, page domain.PayPage, deed paymentstest.Deed) error {
				return atPage(ctx, mock.URL(), page, deed)
			},
			Webhook: hooks.Next,
			Foreign: func() (paymentstest.Webhook, error) {
				body := []byte(`{"type":"payout.paid","data":{}}`)
				header, err := signer.Headers("evt_1", time.Now(), body)
				return paymentstest.Webhook{Header: header, Body: body}, err
			},
		}
	})
}

// atPage is a buyer at MockPay's page. It is an error where the session is closed.
func atPage(ctx context.Context, url string, page domain.PayPage, deed paymentstest.Deed) error {
	if path, body := afterwards(deed); path != "" {
		return post(ctx, url+mockpay.SessionsPath+page.Session+path, body, nil)
	}
	outcome := map[paymentstest.Deed]mockpay.Outcome{
		paymentstest.Pay: mockpay.OutcomeSucceeded, paymentstest.Fail: mockpay.OutcomeFailed, paymentstest.Abandon: mockpay.OutcomeCanceled,
		paymentstest.Decline: mockpay.OutcomeDeclined, paymentstest.Debit: mockpay.OutcomeProcessing,
		paymentstest.Arrive: mockpay.OutcomeSucceeded, paymentstest.Bounce: mockpay.OutcomeFailed,
	}[deed]
	var session mockpay.Session
	if err := post(ctx, url+mockpay.SessionsPath+page.Session+"/pay", mockpay.PayRequest{Outcome: outcome, Link: page.URL}, &session); err != nil {
		return err
	}
	want := map[mockpay.Outcome]mockpay.SessionStatus{
		mockpay.OutcomeSucceeded: mockpay.SessionCaptured, mockpay.OutcomeFailed: mockpay.SessionFailed, mockpay.OutcomeCanceled: mockpay.SessionCanceled,
		mockpay.OutcomeDeclined: mockpay.SessionOpen, mockpay.OutcomeProcessing: mockpay.SessionProcessing,
	}[outcome]
	if session.Authorize && want == mockpay.SessionCaptured {
		want = mockpay.SessionAuthorized
	}
	if session.Status != want {
		return fmt.Errorf("the session is %s", session.Status)
	}
	return nil
}

// afterwards is what happens to a payment that was taken: no path, no such deed.
func afterwards(deed paymentstest.Deed) (path string, body any) {
	switch deed {
	case paymentstest.Dispute:
		return "/dispute", mockpay.DisputeRequest{State: domain.DisputeOpen, Reason: "fraudulent"}
	case paymentstest.Win:
		return "/dispute", mockpay.DisputeRequest{State: domain.DisputeWon}
	case paymentstest.Lose:
		return "/dispute", mockpay.DisputeRequest{State: domain.DisputeLost}
	case paymentstest.RefundElsewhere:
		return "/refund", mockpay.RefundElsewhereRequest{Key: "1", AmountMinor: paymentstest.ElsewhereMinor}
	default:
		return "", nil
	}
}

func post(ctx context.Context, url string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

// The sessions of orders from before they named theirs are derived like this in one more
// place, which goes once none of them is open.
func TestOrdersFromBeforeHaveMockPaysSession(t *testing.T) {
	order := domain.Order{ID: domain.OrderID{1, 2, 3}}
	if got, want := order.PaymentSession(), mockpay.SessionID(order.ID); got != want {
		t.Fatalf("order.PaymentSession() is %q, want %q", got, want)
	}
}
