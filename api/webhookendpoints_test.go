package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// told is a WebhookEndpoints with one endpoint, and remembers what it was asked.
type told struct {
	endpoint   domain.WebhookEndpoint
	deliveries []domain.WebhookDelivery
	err        error

	created domain.WebhookEndpoint
	change  domain.WebhookChange
	overlap time.Duration
	again   domain.WebhookRedelivery
	after   domain.EventID
	limit   int
	deleted string
}

const (
	toldID     = "whe_AAAAAAAAAAAAAAAAAAAAAAAAAA"
	toldSecret = "whsec_c2VjcmV0"
)

func (w *told) find(id string) (domain.WebhookEndpoint, error) {
	if id != w.endpoint.ID && w.err == nil {
		return domain.WebhookEndpoint{}, domain.NotFound("webhook endpoint")
	}
	return w.endpoint, w.err
}

func (w *told) Create(_ context.Context, e domain.WebhookEndpoint) (domain.WebhookEndpoint, string, error) {
	w.created = e
	return w.endpoint, toldSecret, w.err
}

func (w *told) List(context.Context) ([]domain.WebhookEndpoint, error) {
	return []domain.WebhookEndpoint{w.endpoint}, w.err
}

func (w *told) Endpoint(_ context.Context, id string) (domain.WebhookEndpoint, error) {
	return w.find(id)
}

func (w *told) Change(_ context.Context, id string, c domain.WebhookChange) (domain.WebhookEndpoint, error) {
	w.change = c
	return w.find(id)
}

func (w *told) Rotate(_ context.Context, id string, overlap time.Duration) (domain.WebhookEndpoint, string, error) {
	w.overlap = overlap
	e, err := w.find(id)
	return e, toldSecret, err
}

func (w *told) Delete(_ context.Context, id string) error {
	_, err := w.find(id)
	w.deleted = id
	return err
}

func (w *told) Redeliver(_ context.Context, id string, r domain.WebhookRedelivery) (int, time.Time, bool, error) {
	w.again = r
	_, err := w.find(id)
	return 3, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), true, err
}

func (w *told) Deliveries(
	_ context.Context, id string, _ domain.WebhookState, after domain.EventID, limit int,
) ([]domain.WebhookDelivery, error) {
	w.after, w.limit = after, limit
	_, err := w.find(id)
	return w.deliveries[:min(limit, len(w.deliveries))], err
}

func setupWebhooks(t *testing.T) (*bundle, *told) {
	t.Helper()
	w := &told{endpoint: domain.WebhookEndpoint{
		ID: toldID, URL: "https://hooks.example.com/?key=k", CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Secret: []byte("sealed"), Pending: 7,
	}}
	return setup(t, func(o *Options) { o.WebhookEndpoints = w }), w
}

const toldPath = "/v1/webhook-endpoints/" + toldID

func asAdmin(method, path, body string) request {
	header := bearerOf(testAdminToken)
	if body != "" {
		header["Content-Type"] = "application/json"
	}
	return request{method, path, body, header}
}

// Each of these is the organiser's alone, and each says what is wrong.
func TestWebhookRoutes(t *testing.T) {
	event := domain.NewEventID(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 7, 9)
	since := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code               domain.Code // of a problem
		says               string
		asked              func(*told) any
		want               any
	}{
		"register": {
			method: "POST", path: "/v1/webhook-endpoints", body: `{"url":"https://hooks.example.com/","types":["order.paid"],"sale":"gophercon"}`,
			status: 201, says: toldSecret, asked: func(w *told) any { return w.created },
			want: domain.WebhookEndpoint{URL: "https://hooks.example.com/", SaleID: "gophercon", Types: []domain.EventType{domain.EventOrderPaid}},
		},
		"register without a URL": {method: "POST", path: "/v1/webhook-endpoints", body: `{}`, status: 422, code: domain.CodeInvalid},
		"register a long URL": {
			method: "POST", path: "/v1/webhook-endpoints", body: `{"url":"https://` + strings.Repeat("a", 2000) + `"}`, status: 422, code: domain.CodeInvalid,
		},
		"list":           {method: "GET", path: "/v1/webhook-endpoints", status: 200, says: `"pending":7`},
		"look at one":    {method: "GET", path: toldPath, status: 200, says: `"enabled":true`},
		"look at no one": {method: "GET", path: "/v1/webhook-endpoints/whe_B", status: 404, code: domain.CodeNotFound},
		"disable": {
			method: "PATCH", path: toldPath, body: `{"enabled":false}`, status: 200,
			asked: func(w *told) any { return w.change }, want: domain.WebhookChange{Enabled: new(false)},
		},
		"want all types from now on": {
			method: "PATCH", path: toldPath, body: `{"types":[]}`, status: 200,
			asked: func(w *told) any { return w.change }, want: domain.WebhookChange{Types: &[]domain.EventType{}},
		},
		"change nothing": {
			method: "PATCH", path: toldPath, body: `{}`, status: 200, asked: func(w *told) any { return w.change }, want: domain.WebhookChange{},
		},
		"rotate": {
			method: "POST", path: toldPath + "/rotate-secret", status: 200, says: toldSecret,
			asked: func(w *told) any { return w.overlap }, want: 24 * time.Hour,
		},
		"rotate at once": {
			method: "POST", path: toldPath + "/rotate-secret", body: `{"overlap_seconds":0}`, status: 200, says: toldSecret,
			asked: func(w *told) any { return w.overlap }, want: time.Duration(0),
		},
		"rotate with a year's overlap": {
			method: "POST", path: toldPath + "/rotate-secret", body: `{"overlap_seconds":31536000}`, status: 422, code: domain.CodeInvalid,
		},
		"redeliver an event": {
			method: "POST", path: toldPath + "/redeliver", body: `{"event":"` + event.String() + `"}`, status: 202, says: `"queued":3`,
			asked: func(w *told) any { return w.again }, want: domain.WebhookRedelivery{Event: event},
		},
		"redeliver since": {
			method: "POST", path: toldPath + "/redeliver", body: `{"since":"2026-03-01T11:00:00Z"}`, status: 202, says: `"more":true,"since":"2026-03-01T12:00:00Z"`,
			asked: func(w *told) any { return w.again }, want: domain.WebhookRedelivery{Since: since},
		},
		"redeliver both": {
			method: "POST", path: toldPath + "/redeliver", body: `{"event":"` + event.String() + `","since":"2026-03-01T11:00:00Z"}`, status: 422, code: domain.CodeInvalid,
		},
		"redeliver nothing":     {method: "POST", path: toldPath + "/redeliver", body: `{}`, status: 422, code: domain.CodeInvalid},
		"redeliver no event":    {method: "POST", path: toldPath + "/redeliver", body: `{"event":"evt_1"}`, status: 422, code: domain.CodeInvalid},
		"deliveries":            {method: "GET", path: toldPath + "/deliveries?limit=1", status: 200, says: `"next":"` + event.String() + `"`},
		"the last page":         {method: "GET", path: toldPath + "/deliveries?limit=2", status: 200, says: `"deliveries":[`},
		"deliveries of a state": {method: "GET", path: toldPath + "/deliveries?state=lost", status: 422, code: domain.CodeInvalid},
		"deliveries after": {
			method: "GET", path: toldPath + "/deliveries?after=" + event.String(), status: 200, asked: func(w *told) any { return w.after }, want: event,
		},
		"deliveries after none": {method: "GET", path: toldPath + "/deliveries?after=evt_1", status: 422, code: domain.CodeInvalid},
		"delete":                {method: "DELETE", path: toldPath, status: 204, asked: func(w *told) any { return w.deleted }, want: toldID},
		"delete no one":         {method: "DELETE", path: "/v1/webhook-endpoints/whe_B", status: 404, code: domain.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b, w := setupWebhooks(t)
			w.deliveries = []domain.WebhookDelivery{{Event: event, Type: domain.EventOrderPaid, State: domain.WebhookPending}, {State: domain.WebhookDelivered}}
			r := asAdmin(tt.method, tt.path, tt.body)
			got := b.do(r)
			if tt.code != "" {
				wantProblem(t, got, tt.status, tt.code)
			} else if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.says) {
				t.Errorf("%d %s, want %d and %q", got.Code, got.Body, tt.status, tt.says)
			}
			if tt.asked != nil && !reflect.DeepEqual(tt.asked(w), tt.want) {
				t.Errorf("asked for %+v, want %+v", tt.asked(w), tt.want)
			}
			if isNew := strings.Contains(tt.says, toldSecret); strings.Contains(got.Body.String(), "whsec_") != isNew || strings.Contains(got.Body.String(), "sealed") {
				t.Errorf("%s, want the secret in it: %t", got.Body, isNew)
			}
			delete(r.header, "Authorization")
			wantProblem(t, b.do(r), http.StatusUnauthorized, domain.CodeUnauthorized)

			b, w = setupWebhooks(t)
			w.err = &domain.UnknownError{Op: "change webhook endpoint", ID: toldID, Err: context.DeadlineExceeded}
			if got := b.do(asAdmin(tt.method, tt.path, tt.body)); tt.code == "" && got.Code < http.StatusInternalServerError {
				t.Errorf("%d %s although nobody knows what became of it", got.Code, got.Body)
			}
		})
	}
}

func TestWithoutWebhookEndpoints(t *testing.T) {
	b := setup(t)
	wantProblem(t, b.do(asAdmin("GET", "/v1/webhook-endpoints", "")), http.StatusServiceUnavailable, domain.CodeOverloaded)
}
