package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"boxoffice/domain"
)

// An Inspector audits every sale and what belongs to no sale, stores what it found and
// reports what is new. The schedule runs it.
type Inspector struct {
	Sources Sources
	// Sales are all that were ever on sale: money for an old one can go wrong as long as
	// it can be refunded.
	Sales  func(context.Context) ([]*domain.Sale, error)
	Keeper Keeper
	// Heard delivers a capture whose report was lost to its checkout, as the report would
	// have: it is rebooked or goes back. Repeating it changes nothing. It is the only
	// thing that an audit does about what it finds, because it can only help. What
	// belongs to no sale may be somebody else's money, and is left to people. Nil:
	// nothing is done.
	Heard func(context.Context, domain.Capture) error
	// Reversed records a dispute, or a refund that was made elsewhere, of which no news has
	// come. Nil: nothing is done.
	Reversed func(context.Context, domain.Reversal) error
	Log      *slog.Logger
	Options  Options // the Inspector sets Progress itself
}

// A Keeper remembers what is broken from one audit to the next.
type Keeper interface {
	// RecordAudit stores what an audit found. It returns what is broken and was not at
	// the last stored audit, and what is no longer broken. What the audit could not look
	// at stays as it was.
	RecordAudit(ctx context.Context, r domain.AuditRecord) (appeared, healed []domain.AuditFinding, err error)
}

// FindingsMax is how many findings an Inspector's outcome lists.
const FindingsMax = 20

// Inspect audits one sale after the other, so it needs the memory of the largest. It
// calls beat with what comes next. A report that could not be stored is an error, but the
// other sales are audited all the same.
func (i *Inspector) Inspect(ctx context.Context, beat func(doing string)) (domain.AuditOutcome, error) {
	all := domain.AuditOutcome{Unread: make(map[string]int)}
	sales, err := i.Sales(ctx)
	if err != nil {
		return all, fmt.Errorf("audit: list the sales: %w", err)
	}
	var problems []error
	for _, of := range append([]*domain.Sale{nil}, sales...) {
		report, err := i.inspect(ctx, of, sales, beat)
		if ctx.Err() != nil {
			return all, fmt.Errorf("audit after %d of %d sales: %w", all.Sales, len(sales), ctx.Err())
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		report.addTo(&all)
	}
	return all, errors.Join(problems...)
}

// inspect audits one sale, or, if that is nil, what belongs to no sale.
func (i *Inspector) inspect(ctx context.Context, sale *domain.Sale, sales []*domain.Sale, beat func(string)) (Report, error) {
	of := subject{lone: true}
	run := func(o Options) (Report, error) { return RunLone(ctx, i.Sources, sales, o) }
	if sale != nil {
		of = ofSale(sale)
		run = func(o Options) (Report, error) { return Run(ctx, i.Sources, sale, o) }
	}
	o := i.Options
	o.Progress = func(s Source) { beat(fmt.Sprintf("%s: %s", of.name(), s)) }
	begun := time.Now()
	report, err := run(o)
	if err != nil {
		return Report{}, err
	}
	appeared, healed, err := i.Keeper.RecordAudit(ctx, report.record(time.Since(begun)))
	if err != nil {
		return Report{}, fmt.Errorf("audit of %s: keep the report: %w", of.name(), err)
	}
	i.tell(ctx, appeared, healed)
	i.bring(ctx, &report, beat)
	return report, nil
}

// unheardMax is how many captures one audit delivers to their checkouts; the next one
// goes on. Each may call the provider.
const unheardMax = 100

// bring deals with money that nobody told us about. The next audit says whether it
// helped.
func (i *Inspector) bring(ctx context.Context, r *Report, beat func(string)) {
	for _, reversal := range r.Reversals[:min(unheardMax, len(r.Reversals))] {
		if i.Reversed == nil {
			break
		}
		beat("reversal " + reversal.ID + ", of which no news has come")
		err := i.Reversed(ctx, reversal)
		i.Log.WarnContext(ctx, "audit: a dispute or a refund made elsewhere is recorded, of which no news has come", "sale", r.SaleID,
			"reversal", reversal.ID, "payment", reversal.Payment, "state", reversal.State, "error", err)
	}
	if i.Heard == nil {
		return
	}
	for _, capture := range r.Unheard[:min(unheardMax, len(r.Unheard))] {
		beat("payment " + capture.Payment + ", whose report was lost")
		err := i.Heard(ctx, capture)
		i.Log.WarnContext(ctx, "audit: a payment whose report was lost is brought to its checkout", "sale", r.SaleID,
			"order", capture.Order, "payment", capture.Payment, "error", err)
	}
}

// tell logs what is new. The metric has what stays broken: a log line a minute would hide
// the next one.
func (i *Inspector) tell(ctx context.Context, appeared, healed []domain.AuditFinding) {
	for _, f := range appeared {
		i.Log.ErrorContext(ctx, "audit: an invariant is broken", "sale", f.SaleID, "invariant", f.Invariant, "subject", f.Subject,
			"offenders", f.Offenders, "some", f.Listed, "to_do", f.ToDo)
	}
	for _, f := range healed {
		i.Log.InfoContext(ctx, "audit: an invariant holds again", "sale", f.SaleID, "invariant", f.Invariant, "subject", f.Subject, "since", f.Since)
	}
}

// addTo adds a report to the totals.
func (r *Report) addTo(all *domain.AuditOutcome) {
	if r.SaleID != "" {
		all.Sales++
	}
	for _, u := range r.Unread {
		all.Unread[string(u.Source)]++
	}
	for _, result := range r.Results {
		if result.Verdict != Broken {
			continue
		}
		n := int64(result.Counts.Broken)
		all.Broken += n
		if len(all.Findings) < FindingsMax {
			all.Findings = append(all.Findings, domain.AuditLine{Sale: r.SaleID, Invariant: result.ID, Subject: result.Subject, Offenders: n})
		}
	}
}

// record is what is stored of a report.
func (r *Report) record(took time.Duration) domain.AuditRecord {
	record := domain.AuditRecord{SaleID: r.SaleID, EndedAt: time.Now(), Took: took}
	for _, u := range r.Unread {
		record.Unread = append(record.Unread, string(u.Source))
	}
	for i := range r.Results {
		result := &r.Results[i]
		key := domain.AuditKey{Invariant: result.ID, Subject: result.Subject}
		switch result.Verdict {
		case Broken:
			record.Broken = append(record.Broken, domain.AuditFinding{
				AuditKey: key, Offenders: int64(result.Counts.Broken), Listed: result.BrokenIDs(), Says: result.Says, ToDo: result.ToDo,
			})
		case Unread:
			record.Unjudged = append(record.Unjudged, key)
		case OK, InFlight, Waiting, Warning: // nobody needs to act on these
		}
		if result.ID == "L" {
			record.Waiting += int64(result.Counts.Waiting)
		}
	}
	return record
}
