package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/restore"
)

// pipes is a listener with its dialer but no network, so that a test can let minutes pass.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p <- server
	return client, nil
}

// slowAuditor takes this long, unless it is told to stop.
type slowAuditor time.Duration

func (d slowAuditor) Audit(ctx context.Context, saleID string) (audit.Report, error) {
	select {
	case <-ctx.Done():
		return audit.Report{}, ctx.Err()
	case <-time.After(time.Duration(d)):
		return audit.Report{SaleID: saleID}, nil
	}
}

func (d slowAuditor) Restore(ctx context.Context, saleID string, _ bool) (restore.Report, error) {
	report, err := d.Audit(ctx, saleID)
	return restore.Report{SaleID: report.SaleID}, err
}

func TestAnAuditMayTakeTwoMinutes(t *testing.T) {
	for name, test := range map[string]struct {
		takes  time.Duration
		status int
	}{
		"just in time": {2*time.Minute - time.Second, 200},
		"too long":     {3 * time.Minute, 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, func(o *Options) { o.Auditor = slowAuditor(test.takes) })
				listener := make(pipes)
				server := NewServer(b.api.Admin())
				go func() { _ = server.Serve(listener) }()
				defer server.Close()
				transport := &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}
				defer transport.CloseIdleConnections()

				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://boxoffice/v1/sales/conference/audit", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+testAdminToken)
				response, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if response.StatusCode != test.status {
					t.Errorf("status %d, want %d", response.StatusCode, test.status)
				}
			})
		})
	}
}

// slowDesk takes this long to place an order, unless it is told to stop.
type slowDesk struct {
	*world
	takes time.Duration
}

func (d slowDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	select {
	case <-ctx.Done():
		return domain.HoldAnswer{}, context.Cause(ctx)
	case <-time.After(d.takes):
		return d.world.Start(ctx, order)
	}
}

// Reading a body must leave no deadline on the connection: it would cancel the request, and
// every later one on that connection.
func TestASlowAnswerLeavesItsConnectionUsable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(o *Options) { o.Desk = slowDesk{o.Desk.(*world), 8 * time.Second} })
		listener := make(pipes, 1)
		server := NewServer(b.api.Public())
		go func() { _ = server.Serve(listener) }()
		defer server.Close()
		dials := 0
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return listener.dial(ctx, network, address)
		}}
		defer transport.CloseIdleConnections()
		for _, key := range []string{testKey, testKey + "-again"} {
			want := checkoutRequest(key, wish("A", 1))
			r, err := http.NewRequestWithContext(t.Context(), want.method, "http://boxoffice"+want.path, strings.NewReader(want.body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range want.header {
				r.Header.Set(name, value)
			}
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				t.Errorf("status %d, want 201", response.StatusCode)
			}
		}
		if dials != 1 {
			t.Errorf("%d connections, want one that is used twice", dials)
		}
	})
}

func TestPayLinkThatCannotBeMadeIsAnError(t *testing.T) {
	failing := false
	b := setup(t, func(o *Options) {
		link := o.PayPage
		o.PayPage = func(order domain.Order, hold domain.Hold) (domain.PayPage, error) {
			if failing {
				return domain.PayPage{}, domain.Invalid("description", "is too long")
			}
			return link(order, hold)
		}
	})
	id, token := b.held(testKey)
	failing = true
	for name, r := range map[string]request{
		"checkout": checkoutRequest(testKey, wish("A", 2)),
		"order":    {"GET", "/v1/orders/" + id.String(), "", map[string]string{"Authorization": "Bearer " + token}},
	} {
		b.log.Reset()
		wantProblem(t, b.do(r), 500, domain.CodeInternal)
		if !strings.Contains(b.log.String(), id.String()) {
			t.Errorf("%s: the log does not name the order: %s", name, b.log)
		}
	}
}

// A held order has no row yet, so showing it does not need the database.
func TestOrderWithoutTheDatabase(t *testing.T) {
	for name, test := range map[string]struct {
		ending domain.OrderStatus
		desk   error
		status int
	}{
		"held":                       {domain.OrderHeld, nil, 200},
		"paid, recorded or not":      {domain.OrderPaid, nil, 503},
		"expired, refunded or not":   {domain.OrderExpired, nil, 503},
		"no checkout: sold long ago": {domain.OrderHeld, domain.NotFound("order"), 503},
		"the Desk is down too":       {domain.OrderHeld, errors.New("down"), 503},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			id, token := b.held(testKey)
			b.world.States[id].Status = test.ending
			b.world.orderErr = &domain.Error{Code: domain.CodeOverloaded, Detail: "The database is down."}
			b.world.StateErr = test.desk
			w := b.do(request{"GET", "/v1/orders/" + id.String(), "", map[string]string{"Authorization": "Bearer " + token}})
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
		})
	}
}
