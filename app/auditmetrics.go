package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/audit"
	"boxoffice/orders"
)

var (
	auditBroken = prometheus.NewDesc("boxoffice_audit_broken",
		"Offenders against an invariant, over all sales, as the last audits found them.", []string{"invariant"}, nil)
	auditWaiting = prometheus.NewDesc("boxoffice_audit_waiting",
		"Workflows that are overdue and retry something that is away, or wait for a worker.", nil, nil)
	auditUnread = prometheus.NewDesc("boxoffice_audit_unread",
		"1: some sale's last audit could not read the source.", []string{"source"}, nil)
	auditLastRun = prometheus.NewDesc("boxoffice_audit_last_run_timestamp_seconds",
		"When the last audit ended that could read everything; of the sale that is worst off. 0: some sale has none.", nil, nil)
	auditDuration = prometheus.NewDesc("boxoffice_audit_duration_seconds",
		"How long the last audits took, all sales together.", nil, nil)
)

// auditMetrics shows what the database keeps about audits, whichever process ran them. A
// restart forgets nothing.
func auditMetrics(l *look[orders.AuditState]) prometheus.Collector {
	return metricsOf(l, "audits", showAudits, auditBroken, auditWaiting, auditUnread, auditLastRun, auditDuration)
}

// showAudits has nothing to show before the first audit.
func showAudits(state orders.AuditState, gauge gauge) {
	if !state.Audited {
		return
	}
	broken := make(map[string]int64)
	for _, f := range state.Findings {
		broken[f.Invariant] += f.Offenders
	}
	for _, invariant := range audit.Invariants {
		gauge(auditBroken, float64(broken[invariant]), invariant)
	}
	unread := make(map[string]float64)
	for _, source := range state.Unread {
		unread[source] = 1
	}
	for _, source := range audit.AllSources {
		gauge(auditUnread, unread[string(source)], string(source))
	}
	gauge(auditWaiting, float64(state.Waiting))
	gauge(auditLastRun, unixSeconds(state.CompleteAt))
	gauge(auditDuration, state.Took.Seconds())
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
