package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/activities"
	"boxoffice/audit"
	"boxoffice/checkouts"
	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/pace"
	"boxoffice/restore"
	"boxoffice/worker"
)

// auditor runs audits for the API and for the schedule.
type auditor struct {
	store     *orders.Store
	sources   audit.Sources
	inspector *audit.Inspector
	restorer  *restore.Restorer
	desk      *checkouts.Desks
	log       *slog.Logger
}

func newAuditor(p *parts, c *config, log *slog.Logger) (*auditor, error) {
	providers, err := c.openProviders(&http.Client{Transport: persistent{http.DefaultTransport}})
	if err != nil {
		return nil, err
	}
	sources := audit.Sources{
		Ledger:    p.book,
		Orders:    p.store,
		Provider:  providers,
		Workflows: p.desk,
		Since:     func(moment time.Time) audit.Provider { return providers.Since(moment) },
	}
	restorer := &restore.Restorer{Ledger: p.book, Orders: recorder{Store: p.store, keys: p.keys}, Checkouts: p.desk}
	return &auditor{store: p.store, desk: p.desk, log: log, sources: sources, restorer: restorer, inspector: &audit.Inspector{
		Sources: sources, Sales: p.store.Sales, Keeper: p.store, Log: log,
		Heard: func(ctx context.Context, c domain.Capture) error {
			_, err := p.desk.Pay(ctx, lostReport(c))
			return err
		},
		Reversed: func(ctx context.Context, r domain.Reversal) error {
			_, err := p.desk.Reverse(ctx, r)
			return err
		},
	}}, nil
}

// lostReport is the event that the provider never delivered. Its id is the payment's, in
// the alphabet of event ids, so that the next audit repeats the same event.
func lostReport(c domain.Capture) domain.PaymentEvent {
	sum := sha256.Sum256([]byte(c.Payment))
	return c.Event("audit:" + hex.EncodeToString(sum[:]))
}

// openAudit makes the auditor. If this process is a worker, it also runs the scheduled
// audits.
func (s *service) openAudit(p *parts, fail func(error)) (err error) {
	if p.auditor, err = newAuditor(p, &s.config, s.log); err != nil {
		return err
	}
	audits := newLook(p.store.AuditState)
	s.later(audits.start())
	p.meter.registry.MustRegister(auditMetrics(audits))
	if s.role == roleAPI {
		return nil
	}
	return s.runWorkers(p.links[:1], "audit worker", fail, func(temporal client.Client, onFatal func(error)) startStopper {
		return worker.NewAuditor(temporal, &activities.Audits{Auditor: p.auditor}, onFatal, worker.WithVersion(s.Version))
	})
}

// Audit implements api.Auditor.
func (a *auditor) Audit(ctx context.Context, saleID string) (audit.Report, error) {
	_, report, err := a.audit(ctx, saleID)
	return report, err
}

// audit audits a sale; with an empty id, what belongs to no sale.
func (a *auditor) audit(ctx context.Context, saleID string) (*domain.Sale, audit.Report, error) {
	if saleID == "" {
		sales, err := a.store.Sales(ctx)
		if err != nil {
			return nil, audit.Report{}, err
		}
		report, err := audit.RunLone(ctx, a.sources, sales, audit.Options{})
		return nil, report, err
	}
	sale, err := a.store.Sale(ctx, saleID)
	if err != nil {
		return nil, audit.Report{}, err
	}
	report, err := audit.Run(ctx, a.sources, sale, audit.Options{})
	return sale, report, err
}

// Restore implements api.Auditor: it restores what the audit finds lost.
func (a *auditor) Restore(ctx context.Context, saleID string, apply bool) (restore.Report, error) {
	sale, found, err := a.audit(ctx, saleID)
	if err != nil {
		return restore.Report{}, err
	}
	report := a.restorer.Restore(ctx, sale, &found, apply)
	for _, item := range report.Items {
		if apply || item.Outcome == restore.NotRestorable {
			a.log.WarnContext(ctx, "an order whose record was lost", "sale", saleID, "order", item.Order, "outcome", item.Outcome,
				"status", item.Status, "payment", item.Payment, "refunded", item.Refunded, "missing", item.Missing, "why", item.Why)
		}
	}
	return report, nil
}

// AuditAll implements activities.Auditor.
func (a *auditor) AuditAll(ctx context.Context, beat func(string)) (domain.AuditOutcome, error) {
	outcome, err := a.inspector.Inspect(ctx, beat)
	takeUpBrokenOff(ctx, a.desk, a.store, a.log)
	return outcome, err
}

// How many workflows one audit restarts, and how many it checks for an earlier restart.
// The next audit goes on from there.
const (
	takeUpMax     = 100
	takeUpAsksMax = 1000
)

// taker is what the audit needs from the Desk to restart what broke off.
type taker interface {
	Unfinished(ctx context.Context, sale *domain.Sale) iter.Seq2[domain.Workflow, error]
	TakeUp(ctx context.Context, u domain.Workflow) (bool, error)
}

// orderFinder knows the orders on record.
type orderFinder interface {
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
}

// takeUpBrokenOff restarts workflows that give money back and broke off. The next audit
// says whether that helped. The refund of an order whose record was lost can only break off
// again; and while it is tried time and again the order seems to be under way, so nobody
// restores it.
func takeUpBrokenOff(ctx context.Context, desk taker, records orderFinder, log *slog.Logger) {
	asked, taken := 0, 0
	for u, err := range desk.Unfinished(ctx, nil) {
		if err != nil || asked == takeUpAsksMax || taken == takeUpMax {
			return // the audit itself says what it could not read
		}
		if !u.Failed || u.Checkout {
			continue
		}
		asked++
		if strings.HasPrefix(u.ID, "refund/") {
			if _, err := records.Order(ctx, u.Order); domain.CodeOf(err) == domain.CodeNotFound {
				continue
			}
		}
		started, err := desk.TakeUp(ctx, u)
		if started || err != nil {
			taken++
			log.WarnContext(ctx, "audit: a workflow that broke off is started again", "workflow", u.ID, "sale", u.SaleID, "error", err)
		}
	}
}

// persistent repeats a question that the provider did not answer, page by page: a long
// list that starts again would hardly ever get to its end. The call's own timeout limits
// it all.
type persistent struct{ http.RoundTripper }

const (
	questionAttemptsMax = 4
	questionBackoff     = 100 * time.Millisecond // doubled each time
)

// RoundTrip implements http.RoundTripper. The audit only asks, and its questions have no
// body.
func (p persistent) RoundTrip(r *http.Request) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		response, err := p.RoundTripper.RoundTrip(r)
		if answered := err == nil && response.StatusCode < http.StatusInternalServerError; answered || attempt == questionAttemptsMax {
			return response, err
		}
		if err == nil {
			response.Body.Close()
		}
		if err := pace.Pause(r.Context(), questionBackoff<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}
