package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/orders"
)

func TestMetricsShowWhatAnOperatorMustLookInto(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	scrape := func(owed orders.Owed, err error) string {
		m := newMetrics()
		m.watchRefunds(func(context.Context) (orders.Owed, error) { return owed, err }, func() time.Time { return now })
		w := httptest.NewRecorder()
		m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		require.Equal(t, 200, w.Code)
		return w.Body.String()
	}
	some := scrape(orders.Owed{Refunds: 3, Oldest: now.Add(-time.Hour)}, nil)
	require.Contains(t, some, "\nboxoffice_refunds_owed 3\n")
	require.Contains(t, some, "\nboxoffice_refunds_owed_oldest_seconds 3600\n")
	require.Contains(t, some, "\nboxoffice_flagged_total{what=\"unrecordable\"} 0\n")
	require.Contains(t, scrape(orders.Owed{}, nil), "\nboxoffice_refunds_owed_oldest_seconds 0\n")
	away := scrape(orders.Owed{}, errors.New("the database is away"))
	require.NotContains(t, away, "boxoffice_refunds_owed")
	require.Contains(t, away, "boxoffice_flagged_total", "the rest is shown all the same")
}
