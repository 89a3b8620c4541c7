package app

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/orders"
)

func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func TestMetricsShowWhatAnOperatorMustLookInto(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	var found orders.Owed
	var away error
	owed := newLook(func(context.Context) (orders.Owed, error) { return found, away })
	owed.now = clock
	m := newMetrics()
	m.watchRefunds(owed, clock)

	require.NotContains(t, scrape(t, m), "boxoffice_refunds_owed", "the database has not answered yet")
	require.Contains(t, scrape(t, m), "boxoffice_flagged_total{what=\"unrecordable\"} 0\n", "the rest is shown all the same")

	found = orders.Owed{Refunds: 3, Oldest: now.Add(-time.Hour)}
	owed.refresh(t.Context())
	some := scrape(t, m)
	require.Contains(t, some, "\nboxoffice_refunds_owed 3\n")
	require.Contains(t, some, "\nboxoffice_refunds_owed_oldest_seconds 3600\n")
	require.Contains(t, some, "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 0\n")

	away, now = errors.New("the database is away"), now.Add(time.Minute)
	owed.refresh(t.Context())
	some = scrape(t, m)
	require.Contains(t, some, "\nboxoffice_refunds_owed 3\n", "the last answer stays")
	require.Contains(t, some, "\nboxoffice_refunds_owed_oldest_seconds 3660\n")
	require.Contains(t, some, "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 60\n", "and its age gives it away")

	found, away = orders.Owed{}, nil
	owed.refresh(t.Context())
	require.Contains(t, scrape(t, m), "\nboxoffice_refunds_owed_oldest_seconds 0\n")
}

// However many read the metrics, the database is asked at the looks' own pace.
func TestScrapesAskNobody(t *testing.T) {
	var asked atomic.Int64
	owed := newLook(func(context.Context) (orders.Owed, error) { asked.Add(1); return orders.Owed{}, nil })
	audits := newLook(func(context.Context) (orders.AuditState, error) { asked.Add(1); return orders.AuditState{}, nil })
	m := newMetrics()
	m.watchRefunds(owed, time.Now)
	m.registry.MustRegister(auditMetrics{audits})
	owed.refresh(t.Context())
	audits.refresh(t.Context())
	for range 100 {
		scrape(t, m)
	}
	require.EqualValues(t, 2, asked.Load())
}

func TestALookBeginsAtOnceAndStops(t *testing.T) {
	asked := make(chan struct{}, 1)
	l := newLook(func(ctx context.Context) (int, error) {
		asked <- struct{}{}
		<-ctx.Done() // a database that does not answer
		return 0, ctx.Err()
	})
	stop := l.start()
	<-asked
	stop()
	_, _, ok := l.found()
	require.False(t, ok)
}
