package webhooks

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
)

var thisMachine = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// clear is a Sealer that does not encrypt.
type clear struct{}

func (clear) Seal(_ string, secret []byte) ([]byte, error) { return secret, nil }
func (clear) Open(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

const secretA, secretB = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="

// memory is a Store whose clock the test sets.
type memory struct {
	now func() time.Time

	mu       sync.Mutex
	endpoint domain.WebhookEndpoint
	rows     []*memoryRow
	results  []orders.WebhookResult
}

type memoryRow struct {
	orders.DueWebhook
	state domain.WebhookState
	due   time.Time
}

func newMemory(url string, now func() time.Time, events int) *memory {
	m := &memory{now: now, endpoint: domain.WebhookEndpoint{ID: "whe_TEST", URL: url, Secret: []byte(secretA)}}
	for n := range events {
		m.add(domain.OrderID{0: byte(n + 1)}, int64(n+1))
	}
	return m
}

func (m *memory) add(order domain.OrderID, row int64) {
	m.rows = append(m.rows, &memoryRow{
		DueWebhook: orders.DueWebhook{Event: domain.Event{
			ID: domain.NewEventID(m.now(), 7, row), Type: domain.EventOrderPaid, Schema: 1, SaleID: "gophercon", Order: order,
			OccurredAt: m.now().UTC(), Payload: []byte(fmt.Sprintf(`{"n":%d}`, row)),
		}},
		state: domain.WebhookPending, due: m.now(),
	})
}

func (m *memory) WebhookEndpoint(context.Context, string) (domain.WebhookEndpoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endpoint, nil
}

func (m *memory) heads() (heads []*memoryRow) {
	seen := make(map[string]bool)
	for _, row := range m.rows {
		if subject := row.Event.Subject(); row.state == domain.WebhookPending && !seen[subject] {
			seen[subject] = true
			heads = append(heads, row)
		}
	}
	return heads
}

func (m *memory) DueWebhooks(_ context.Context, _ string, limit int) (due []orders.DueWebhook, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.heads() {
		if !row.due.After(m.now()) && len(due) < limit {
			due = append(due, row.DueWebhook)
		}
	}
	return due, nil
}

func (m *memory) RecordWebhook(_ context.Context, r *orders.WebhookResult) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, *r)
	current := r.URL == m.endpoint.URL && bytes.Equal(r.Secret, m.endpoint.Secret)
	for _, row := range m.rows {
		if row.Event.ID == r.Event && (current || r.State == domain.WebhookDelivered) {
			row.state, row.due = r.State, m.now().Add(r.RetryIn)
			row.Attempts++
		}
	}
	if !current {
		return false, nil
	}
	e := &m.endpoint
	e.Failures, e.PausedUntil = r.Failures, time.Time{}
	switch {
	case r.Failures == 0:
		e.FailingSince = time.Time{}
	case e.FailingSince.IsZero():
		e.FailingSince = m.now()
	}
	if r.PauseFor > 0 {
		e.PausedUntil = m.now().Add(r.PauseFor)
	}
	if r.Disable != "" {
		e.DisabledAt, e.DisabledWhy = m.now(), r.Disable
	}
	return true, nil
}

func (m *memory) WebhookWait(context.Context, string) (time.Duration, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := m.heads()
	if len(heads) == 0 || !m.endpoint.DisabledAt.IsZero() {
		return 0, false, nil
	}
	first := slices.MinFunc(heads, func(a, b *memoryRow) int { return a.due.Compare(b.due) }).due
	if m.endpoint.PausedUntil.After(first) {
		first = m.endpoint.PausedUntil
	}
	return max(first.Sub(m.now()), 0), true, nil
}

func (*memory) GiveUpLostWebhooks(context.Context, string) error { return nil }

func (m *memory) kept() []orders.WebhookResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results)
}

func (m *memory) states() (states []domain.WebhookState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, row := range m.rows {
		states = append(states, row.state)
	}
	return states
}

// idle is busy for nobody.
func idle() bool { return false }

func newTestDeliverer(t *testing.T, store Store, now func() time.Time) *Deliverer {
	d := NewDeliverer(store, clear{}, thisMachine, func(Outcome, time.Duration) {}, idle, slog.New(slog.NewTextHandler(t.Output(), nil)))
	d.now = now
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
