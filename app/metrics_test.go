package app

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/payments"
	"boxoffice/payments/paymentstest"
)

func scrape(t *testing.T, m *metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("w.Code is %v, want 200", w.Code)
	}
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
	m.registry.MustRegister(refundMetrics(owed))

	if got := scrape(t, m); strings.Contains(got, "boxoffice_refunds_owed") {
		t.Fatalf("%q is in %s: the database has not answered yet", "boxoffice_refunds_owed", got)
	}
	if got := scrape(t, m); !strings.Contains(got, "boxoffice_flagged_total{what=\"unrecordable\"} 0\n") {
		t.Fatalf("no %q in %s: the rest is shown all the same", "boxoffice_flagged_total{what=\"unrecordable\"} 0\n", got)
	}

	for _, zero := range []string{`boxoffice_ledger_unanswered_total{op="create_transfers"} 0`, `boxoffice_ledger_refused_total{op="lookup_accounts"} 0`} {
		if got := scrape(t, m); !strings.Contains(got, zero+"\n") {
			t.Errorf("no %q in %s: an alert would not see the first one", zero, got)
		}
	}

	found = orders.Owed{Refunds: 3, Oldest: now.Add(-time.Hour)}
	owed.refresh(t.Context())
	some := scrape(t, m)
	if !strings.Contains(some, "\nboxoffice_refunds_owed 3\n") {
		t.Fatalf("no %q in %s", "\nboxoffice_refunds_owed 3\n", some)
	}
	if !strings.Contains(some, "\nboxoffice_refunds_owed_oldest_seconds 3600\n") {
		t.Fatalf("no %q in %s", "\nboxoffice_refunds_owed_oldest_seconds 3600\n", some)
	}
	if !strings.Contains(some, "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 0\n") {
		t.Fatalf("no %q in %s", "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 0\n", some)
	}

	away, now = errors.New("the database is down"), now.Add(time.Minute)
	owed.refresh(t.Context())
	some = scrape(t, m)
	if !strings.Contains(some, "\nboxoffice_refunds_owed 3\n") {
		t.Fatalf("no %q in %s: the last answer stays", "\nboxoffice_refunds_owed 3\n", some)
	}
	if !strings.Contains(some, "\nboxoffice_refunds_owed_oldest_seconds 3660\n") {
		t.Fatalf("no %q in %s", "\nboxoffice_refunds_owed_oldest_seconds 3660\n", some)
	}
	if !strings.Contains(some, "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 60\n") {
		t.Fatalf("no %q in %s: its age shows that", "\nboxoffice_look_age_seconds{of=\"refunds_owed\"} 60\n", some)
	}

	found, away = orders.Owed{}, nil
	owed.refresh(t.Context())
	if got := scrape(t, m); !strings.Contains(got, "\nboxoffice_refunds_owed_oldest_seconds 0\n") {
		t.Fatalf("no %q in %s", "\nboxoffice_refunds_owed_oldest_seconds 0\n", got)
	}
}

func TestMailMetrics(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		counts domain.MailCounts
		want   []string
	}{
		"none": {domain.MailCounts{}, []string{`boxoffice_mails_due 0`, `boxoffice_mails_due_oldest_seconds 0`, `boxoffice_mails_set_aside 0`}},
		"some": {domain.MailCounts{Due: 2, Oldest: now.Add(-time.Hour), SetAside: 1},
			[]string{`boxoffice_mails_due 2`, `boxoffice_mails_due_oldest_seconds 3600`, `boxoffice_mails_set_aside 1`}},
		"queued by a clock ahead of ours": {domain.MailCounts{Due: 1, Oldest: now.Add(time.Minute)}, []string{`boxoffice_mails_due_oldest_seconds 0`}},
	} {
		mails := newLook(func(context.Context) (domain.MailCounts, error) { return tt.counts, nil })
		mails.now = func() time.Time { return now }
		mails.refresh(t.Context())
		wantMetrics(t, name, mailMetrics(mails), append(tt.want, `boxoffice_look_age_seconds{of="mails"} 0`)...)
	}
}

// However many clients read the metrics, the database is asked at a steady pace.
func TestScrapesDoNotAskTheDatabase(t *testing.T) {
	var asked atomic.Int64
	owed := newLook(func(context.Context) (orders.Owed, error) { asked.Add(1); return orders.Owed{}, nil })
	audits := newLook(func(context.Context) (orders.AuditState, error) { asked.Add(1); return orders.AuditState{}, nil })
	m := newMetrics()
	m.registry.MustRegister(refundMetrics(owed), auditMetrics(audits))
	owed.refresh(t.Context())
	audits.refresh(t.Context())
	for range 100 {
		scrape(t, m)
	}
	if got := asked.Load(); got != 2 {
		t.Fatalf("asked.Load() is %v, want 2", got)
	}
}

func TestALookStartsAtOnceAndStops(t *testing.T) {
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
	if ok {
		t.Fatal("want false: ok")
	}
}

func TestMetricsShowDisputes(t *testing.T) {
	respondBy := time.Date(2026, 3, 27, 12, 0, 0, 0, time.UTC)
	var found domain.Disputes
	disputes := newLook(func(context.Context) (domain.Disputes, error) { return found, nil })
	m := newMetrics()
	m.registry.MustRegister(disputeMetrics(disputes))
	for _, tt := range []struct {
		found domain.Disputes
		want  string
	}{
		{domain.Disputes{}, "\nboxoffice_disputes_open 0\n\nboxoffice_disputes_respond_by_timestamp_seconds 0\n\nboxoffice_disputes_unanswered 0\n"},
		{domain.Disputes{Open: 3, Unanswered: 2, RespondBy: respondBy},
			"\nboxoffice_disputes_open 3\n\nboxoffice_disputes_respond_by_timestamp_seconds 1.7746128e+09\n\nboxoffice_disputes_unanswered 2\n"},
	} {
		found = tt.found
		disputes.refresh(t.Context())
		got := scrape(t, m)
		for want := range strings.SplitSeq(tt.want, "\n\n") {
			if want = strings.Trim(want, "\n"); !strings.Contains(got, "\n"+want+"\n") {
				t.Errorf("no %q in %s", want, got)
			}
		}
	}
}

func TestMetricsCountRateLimits(t *testing.T) {
	provider := paymentstest.NewMemory()
	set, err := payments.NewSet(provider)
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	m.watch(set)
	for _, want := range []string{"0", "1", "1"} { // the third call is held back
		if got, want := scrape(t, m), "\nboxoffice_provider_rate_limits_total{provider=\"other\"} "+want+"\n"; !strings.Contains(got, want) {
			t.Fatalf("no %q in %s", want, got)
		}
		provider.SetLimited(time.Minute)
		_, _ = set.Session(t.Context(), paymentstest.MemoryName+"/cs_1")
	}
}
