package stripe_test

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/payments"
)

// An audit reads what can be its sale's, and not the whole account.
func TestListsBeginAtAMoment(t *testing.T) {
	double := newDouble(t)
	p := open(t, double, nil)
	now := time.Now().Truncate(time.Second)
	var sold []payments.Session
	for i, at := range []time.Time{now.Add(-20 * 24 * time.Hour), now.Add(-time.Hour), now} {
		double.Now = func() time.Time { return at }
		o := opening(byte(i + 1))
		o.ExpiresAt = at.Add(10 * time.Minute)
		page := mustOpen(t, p, o)
		if err := double.Pay(page.Session); err != nil {
			t.Fatal(err)
		}
		session, err := p.Session(t.Context(), page.Session)
		if err != nil {
			t.Fatal(err)
		}
		refund := payments.Refund{Key: "part", Payment: session.Capture.Payment, Order: session.Order, AmountMinor: 100, Currency: "EUR"}
		if err := p.Refund(t.Context(), refund); err != nil {
			t.Fatal(err)
		}
		if err := double.Dispute(page.Session, "warning_needs_response"); err != nil {
			t.Fatal(err)
		}
		o = opening(byte(i + 11))
		o.ExpiresAt, o.Authorize = at.Add(10*time.Minute), true
		if err := double.Pay(mustOpen(t, p, o).Session); err != nil {
			t.Fatal(err)
		}
		sold = append(sold, session)
	}
	payment := func(r payments.Session) string { return r.Capture.Payment }
	for name, tt := range map[string]struct {
		since time.Time
		want  int // of the latest
	}{
		"the beginning":    {time.Time{}, 3},
		"before all":       {now.Add(-21 * 24 * time.Hour), 3},
		"the very second":  {now.Add(-time.Hour), 2},
		"a second later":   {now.Add(-time.Hour + time.Second), 1},
		"after everything": {now.Add(time.Hour), 0},
	} {
		since := p.Since(tt.since)
		var want []string
		for _, session := range sold[3-tt.want:] {
			want = append([]string{payment(session)}, want...) // the latest first
		}
		got := map[string][]string{
			"captures": listed(t, since.Captures, func(c domain.Capture) string { return c.Payment }),
			"refunds":  listed(t, since.Refunds, func(r payments.Refunded) string { return r.Payment }),
			"disputes": listed(t, since.Disputes, func(d domain.Reversal) string { return d.Payment }),
		}
		for list, payments := range got {
			if !slices.Equal(payments, want) {
				t.Errorf("%s since %s: %v, want %v", list, name, payments, want)
			}
		}
		authorizations := listed(t, since.(payments.Authorizer).Authorizations, func(c domain.Capture) string { return c.Payment })
		if len(authorizations) != tt.want {
			t.Errorf("authorisations since %s: %d, want %d", name, len(authorizations), tt.want)
		}
	}
}

func listed[T any](t *testing.T, list func(context.Context) iter.Seq2[T, error], id func(T) string) (ids []string) {
	t.Helper()
	for item, err := range list(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id(item))
	}
	return ids
}
