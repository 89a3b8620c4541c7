package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
)

// stuck is a Desk and an Auditor that block until they are released.
type stuck struct {
	*world
	arrived, release chan struct{}
}

func newStuck(w *world) *stuck {
	return &stuck{world: w, arrived: make(chan struct{}, 16), release: make(chan struct{})}
}

func (s *stuck) wait() { s.arrived <- struct{}{}; <-s.release }

func (s *stuck) State(ctx context.Context, id domain.OrderID) (domain.CheckoutState, error) {
	s.wait()
	return s.world.State(ctx, id)
}

func (s *stuck) Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	s.wait()
	return s.world.Cancel(ctx, id)
}

func (s *stuck) Pay(ctx context.Context, e domain.PaymentEvent) (domain.PayResult, error) {
	s.wait()
	return s.world.Pay(ctx, e)
}

func (s *stuck) Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error) {
	s.wait()
	return s.world.Refund(ctx, id)
}

func (s *stuck) Audit(ctx context.Context, saleID string) (audit.Report, error) {
	s.wait()
	return s.world.Audit(ctx, saleID)
}

// Every request that may wait counts towards a bound. Above it, the answer comes at once.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	b := setup(t)
	id, token := b.held(testKey)
	order := "/v1/orders/" + id.String()
	webhook := map[string]string{"Webhook-Signature": "good", "Webhook-Id": "evt_1"}
	for name, r := range map[string]request{
		"a webhook":           {"POST", "/v1/webhooks/mockpay", id.String(), webhook},
		"an order's status":   {"GET", order, "", bearerOf(token)},
		"a ticket":            {"GET", order + "/tickets/1/qr", "", bearerOf(token)},
		"a buyer's cancel":    {"POST", order + "/cancel", "", bearerOf(token)},
		"an audit":            {"GET", "/v1/sales/conference/audit", "", bearerOf(testAdminToken)},
		"an organiser's task": {"POST", order + "/refund", "", bearerOf(testAdminToken)},
	} {
		t.Run(name, func(t *testing.T) {
			var desk *stuck
			b := setup(t, func(o *Options) {
				desk = newStuck(o.Desk.(*world))
				o.Desk, o.Auditor = desk, desk
			})
			b.held(testKey)
			for _, bound := range b.api.bounds {
				bound.permits = make(chan struct{}, 1)
			}
			first := make(chan *httptest.ResponseRecorder)
			go func() { first <- b.do(r) }()
			<-desk.arrived

			refused := b.do(r)
			wantProblem(t, refused, 503, domain.CodeOverloaded)
			if refused.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			close(desk.release)
			if w := <-first; w.Code == http.StatusServiceUnavailable {
				t.Errorf("the first one: %d %s", w.Code, w.Body)
			}
			if w := b.do(r); w.Code == http.StatusServiceUnavailable {
				t.Errorf("its permit was not given back: %d %s", w.Code, w.Body)
			}
		})
	}
}

// Every route has a bound, except those that limit themselves.
func TestEveryRouteIsBounded(t *testing.T) {
	b := setup(t)
	own := map[string]string{
		checkoutsRoute: "package admission", eventsRoute: "Options.EventConnectionsMax", watchRoute: "Options.QueueConnectionsMax",
		healthRoute: "asks nobody", readyRoute: "one check for all clients", metricsRoute: "scrape",
	}
	for _, route := range b.api.public.Routes() {
		if route.Method != "HEAD" && route.Method != "OPTIONS" && b.api.boundOf(route.Path) == nil && own[route.Path] == "" {
			t.Errorf("%s %s has no bound", route.Method, route.Path)
		}
		if route.Method != "HEAD" { // like its GET
			delete(own, route.Path)
		}
	}
	if len(own) > 0 {
		t.Errorf("no longer routes: %v", own)
	}
}

// However often clients ask for /readyz, one check runs at a time.
func TestReadyChecksOnceForAllClients(t *testing.T) {
	arrived, release := make(chan struct{}, 16), make(chan struct{})
	b := setup(t, func(o *Options) {
		o.Checks = []Check{{Name: "ledger", Probe: func(context.Context) error {
			arrived <- struct{}{}
			<-release
			return nil
		}}}
	})
	const askers = 8
	answers := make(chan int, askers)
	ask := func() { answers <- b.do(request{method: "GET", path: "/readyz"}).Code }
	go ask()
	<-arrived
	for range askers - 1 {
		go ask()
	}
	waitFor(t, func() bool { return b.api.checkers.Load() == askers })
	close(release)
	for range askers {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
	if len(arrived) != 0 {
		t.Errorf("%d checks for %d clients", 1+len(arrived), askers)
	}
}

// Refusals that a stranger can cause at will do not fill the log.
func TestLoggingOfRefusalsIsBounded(t *testing.T) {
	var budget logBudget
	now := time.Unix(1000, 0)
	written := 0
	for range 1000 {
		if _, ok := budget.spend(domain.CodeForged, now); ok {
			written++
		}
	}
	if written != logLinesMax {
		t.Errorf("%d lines, want %d", written, logLinesMax)
	}
	if leftOut, ok := budget.spend(domain.CodeUnauthorized, now); !ok || leftOut != 0 {
		t.Errorf("another code: %v, %d left out", ok, leftOut)
	}
	if leftOut, ok := budget.spend(domain.CodeForged, now.Add(time.Second)); !ok || leftOut != 1000-logLinesMax {
		t.Errorf("a second later: %v, %d left out", ok, leftOut)
	}
}

func TestOurFailuresAreAlwaysLogged(t *testing.T) {
	b := setup(t, func(o *Options) {
		o.PayPage = func(domain.Order, domain.Hold) (domain.PayPage, error) {
			return domain.PayPage{}, domain.Invalid("description", "is too long")
		}
	})
	const failures = 3 * logLinesMax
	for n := range failures {
		b.world.SetStock(b.sale.Classes[1].Ledger, 0, 0)
		wantProblem(t, b.checkout(fmt.Sprintf("%s-%d", testKey, n), wish("B", 1)), 500, domain.CodeInternal)
	}
	if got := strings.Count(b.log.String(), `"code":"internal"`); got != failures {
		t.Errorf("%d of %d failures are in the log", got, failures)
	}
}
