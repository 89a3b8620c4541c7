package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
)

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, target any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.body, target), "%s", a.body)
}

// code is the stable code of a problem; it fails the test for anything that is
// not one.
func (a answer) code(t *testing.T) string {
	t.Helper()
	require.Equal(t, "application/problem+json", strings.Split(a.header.Get("Content-Type"), ";")[0], "%d %s", a.status, a.body)
	var problem struct{ Code string }
	a.into(t, &problem)
	return problem.Code
}

// request sends a body as it is, or a value as JSON.
func (s *stack) request(t *testing.T, method, url string, header map[string]string, body any) answer {
	t.Helper()
	var payload []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		payload = b
	case string:
		payload = []byte(b)
	default:
		var err error
		payload, err = json.Marshal(b)
		require.NoError(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(payload))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := s.http.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, content}
}

func (s *stack) api(path string) string   { return s.env["BOXOFFICE_URL"] + path }
func (s *stack) admin() map[string]string { return bearer(s.env["BOXOFFICE_ADMIN_TOKEN"]) }
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// sale opens a sale of its own for a test. Bytes and people order its two classes
// differently.
func (s *stack) sale(t *testing.T, capacity, holdSeconds, buyerLimit int) string {
	t.Helper()
	id := "e2e-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	a := s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/sales", s.admin(), map[string]any{
		"id": id, "name": "End to end", "currency": "EUR",
		"classes":      []map[string]any{{"class": "A", "price": 6500, "capacity": capacity}, {"class": "a", "price": 3500, "capacity": capacity}},
		"perk":         map[string]any{"name": "T-shirt", "capacity": 1},
		"hold_seconds": holdSeconds, "buyer_limit": buyerLimit,
	})
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	return id
}

// order is what a buyer knows of theirs.
type order struct {
	ID        string    `json:"order"`
	Token     string    `json:"token"`
	Status    string    `json:"status"`
	ExpiresAt time.Time `json:"hold_expires_at"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	PayURL    string    `json:"payment_url"`
	Session   string    `json:"payment_session"`
}

type items map[string]int

func checkoutBody(want items, email string) map[string]any {
	var list []map[string]any
	for _, class := range []string{"A", "a"} {
		if want[class] > 0 {
			list = append(list, map[string]any{"class": class, "quantity": want[class]})
		}
	}
	return map[string]any{"items": list, "buyer": map[string]any{"email": email}}
}

var buyers atomic.Int64

// newBuyer is an address nobody used before.
func newBuyer() string { return fmt.Sprintf("buyer-%d@example.com", buyers.Add(1)) }

func newKey() string { return uuid.Must(uuid.NewV7()).String() }

func (s *stack) checkout(t *testing.T, sale, key string, want items, email string) answer {
	t.Helper()
	return s.request(t, http.MethodPost, s.api("/v1/sales/"+sale+"/checkouts"), map[string]string{"Idempotency-Key": `"` + key + `"`}, checkoutBody(want, email))
}

// hold places an order that must be held.
func (s *stack) hold(t *testing.T, sale string, want items) order {
	t.Helper()
	a := s.checkout(t, sale, newKey(), want, newBuyer())
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	var o order
	a.into(t, &o)
	require.Equal(t, "held", o.Status)
	return o
}

// visit opens the pay page as a browser does.
func (s *stack) visit(t *testing.T, o order) {
	t.Helper()
	page := s.request(t, http.MethodGet, o.PayURL, nil, nil)
	require.Equal(t, http.StatusOK, page.status, "%s", page.body)
}

// pay opens the pay page and chooses an outcome.
func (s *stack) pay(t *testing.T, o order, outcome string) {
	t.Helper()
	s.visit(t, o)
	a := s.atProvider(t, http.MethodPost, "/v1/sessions/"+o.Session+"/pay", map[string]any{"outcome": outcome})
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
}

// orderState is what GET /v1/orders/{order} says.
type orderState struct {
	Status  string `json:"status"`
	Tickets []struct {
		Class string `json:"class"`
		Code  string `json:"code"`
	} `json:"tickets"`
	Perk struct {
		Taken bool `json:"taken"`
	} `json:"perk"`
}

func (s *stack) state(t *testing.T, o order) orderState {
	t.Helper()
	a := s.request(t, http.MethodGet, s.api("/v1/orders/"+o.ID), bearer(o.Token), nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var state orderState
	a.into(t, &state)
	return state
}

func (s *stack) awaitStatus(t *testing.T, o order, want string) orderState {
	t.Helper()
	var state orderState
	eventually(t, "order "+o.ID+" becomes "+want, func() bool {
		state = s.state(t, o)
		return state.Status == want
	})
	return state
}

// event is a webhook's body for an order; change edits its data.
func event(kind string, o order, change map[string]any) map[string]any {
	data := map[string]any{"session": o.Session, "order": o.ID, "amount": o.Amount, "currency": o.Currency}
	for name, value := range change {
		data[name] = value
	}
	return map[string]any{"type": kind, "data": data}
}

// webhook signs an event as the provider does, and delivers it.
func (s *stack) webhook(t *testing.T, id string, at time.Time, body any) answer {
	t.Helper()
	payload, err := json.Marshal(body)
	require.NoError(t, err)
	signer, err := standardwebhooks.NewWebhook(s.env["BOXOFFICE_WEBHOOK_SECRET"])
	require.NoError(t, err)
	signature, err := signer.Sign(id, at, payload)
	require.NoError(t, err)
	return s.request(t, http.MethodPost, s.api("/v1/webhooks/mockpay"), map[string]string{
		"webhook-id": id, "webhook-timestamp": fmt.Sprint(at.Unix()), "webhook-signature": signature,
	}, payload)
}

// webhookStatus delivers an event that must be dealt with and tells the status
// it was answered with.
func (s *stack) webhookStatus(t *testing.T, body any) string {
	t.Helper()
	a := s.webhook(t, "evt_"+uuid.NewString(), time.Now(), body)
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, a.status, "%s", a.body)
	var settled struct{ Status string }
	a.into(t, &settled)
	return settled.Status
}

// level is how a class of a sale stands.
type level struct{ Held, Sold, Available int64 }

func (s *stack) stock(t *testing.T, sale, class string) level {
	t.Helper()
	a := s.request(t, http.MethodGet, s.api("/v1/sales/"+sale), nil, nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var view struct {
		Classes []struct {
			Class                 string
			Held, Sold, Available int64
		}
	}
	a.into(t, &view)
	for _, c := range view.Classes {
		if c.Class == class {
			return level{c.Held, c.Sold, c.Available}
		}
	}
	require.FailNow(t, "no class "+class)
	return level{}
}

// awaitStock waits until a class stands so: what is shown may be 100 ms old.
func (s *stack) awaitStock(t *testing.T, sale, class string, want level) {
	t.Helper()
	var got level
	eventually(t, fmt.Sprintf("class %s of %s stands at %+v", class, sale, want), func() bool {
		got = s.stock(t, sale, class)
		return got == want
	})
}
