package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"boxoffice/audit"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/report"
)

// ErrFound is wrapped by what a bench has found to be wrong, or could not measure
// to its end; its result still has what it has measured.
var ErrFound = errors.New("the bench found something wrong")

// conclude audits the bench's orders and judges the whole result. broken is why the
// measuring ended early: what was there by then took minutes, and is kept.
func (b *bench) conclude(ctx context.Context, broken error) (report.Result, error) {
	if ctx.Err() == nil && b.hasMeasured() {
		b.verify(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return report.Result{}, fmt.Errorf("broken off (%w), nothing was stored: %s", context.Cause(ctx), b.leaves)
	case !b.hasMeasured() && broken != nil:
		return report.Result{}, broken
	case broken != nil:
		b.note("not all was measured: " + broken.Error())
	}
	b.result.TookSeconds = time.Since(b.result.StartedAt).Seconds()
	b.result.Notes = b.notes
	return b.result, b.judge(broken)
}

func (b *bench) hasMeasured() bool {
	return len(b.result.Series)+len(b.result.Storms)+len(b.result.Recoveries) > 0 || b.result.Tenths != nil
}

// verify pays for the open orders and lets the box office audit the bench's sale.
// Where it could not, the result has no audit and a note says why.
func (b *bench) verify(ctx context.Context) {
	stop := b.progress.prepare(fmt.Sprintf("paying for %d orders that are held", b.unpaid.len()))
	err := b.finish(ctx)
	stop()
	if err != nil {
		b.note("orders left unpaid: " + err.Error())
	}
	reports, text := b.audit(ctx, b.sale)
	if len(reports) == 0 {
		return
	}
	b.result.Audit = &report.Audit{
		Sale: b.sale, Paid: b.paid.Load(), Tickets: withTickets(reports[0]), Verdict: string(reports[0].Verdict), Text: text,
	}
}

// audit asks the box office's own books, and gives a report for each sale and all
// of them as text. There are none where it was not possible: it is noted why.
func (b *bench) audit(ctx context.Context, sales ...string) (reports []audit.Report, text string) {
	subject := "sale " + sales[0]
	if len(sales) > 1 {
		subject = fmt.Sprintf("sale %s and %d more", sales[0], len(sales)-1)
	}
	defer b.progress.prepare("auditing " + subject)()
	verifier := &audit.Verifier{URL: b.URL, AdminURL: b.AdminURL, Token: b.AdminToken, Sales: sales, Wait: b.AuditTimeout}
	var out strings.Builder
	reports, err := verifier.Verify(ctx, &out)
	if err != nil {
		b.note("the audit of " + subject + " was not possible: " + err.Error())
		return nil, ""
	}
	return reports, out.String()
}

// withTickets counts the orders that have some: the left side of I3.
func withTickets(r audit.Report) int64 {
	i := slices.IndexFunc(r.Results, func(result audit.Result) bool { return result.ID == "I3" })
	if i < 0 {
		return 0
	}
	return r.Results[i].Left.Value
}

// finishTimeout bounds the payment of the orders that are open at the end.
const finishTimeout = 5 * time.Minute

// finish tries every order, whatever became of the others.
func (b *bench) finish(ctx context.Context) error {
	count := b.unpaid.len()
	if count == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, finishTimeout, fmt.Errorf("not done within %v", finishTimeout))
	defer cancel()
	measured, err := load.Run(ctx, load.Plan{Clients: helpers, Requests: int64(count)}, func(ctx context.Context, _ *load.Request) error {
		h, ok := b.unpaid.take()
		if !ok {
			return load.ErrExhausted
		}
		err := b.caller.payByWebhook(ctx, h)
		if err == nil {
			b.paid.Add(1)
		}
		return err
	})
	switch failed := measured.Requests - measured.Latency.Count; {
	case err != nil:
		return context.Cause(ctx)
	case failed > 0:
		return fmt.Errorf("%d of %d: %s", failed, measured.Requests, strings.Join(failures(measured), "; "))
	}
	return nil
}

// judge finds further reasons why the figures are worthless.
func (b *bench) judge(broken error) error {
	found := []error{broken}
	for i := range b.result.Storms {
		found = append(found, b.result.Storms[i].Wrong()...)
	}
	for i := range b.result.Recoveries {
		found = append(found, b.result.Recoveries[i].Wrong()...)
	}
	if err := errors.Join(append(found, judgeAudit(b.result.Audit))...); err != nil {
		return fmt.Errorf("%w: %w", ErrFound, err)
	}
	return nil
}

func judgeAudit(a *report.Audit) error {
	switch {
	case a == nil:
		return errors.New("the sale was not audited: the notes say why")
	case a.Verdict == string(audit.Unread):
		return fmt.Errorf("the audit could not look at everything:\n%s", a.Text)
	case a.Tickets < a.Paid:
		return fmt.Errorf("%d orders were answered to be paid, and only %d have tickets", a.Paid, a.Tickets)
	case a.Verdict == string(audit.Broken):
		return fmt.Errorf("the audit says that an invariant is broken:\n%s", a.Text)
	}
	return nil
}
