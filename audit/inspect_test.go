package audit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// shelf keeps what audits found, and says that every finding is new.
type shelf struct {
	kept []domain.AuditRecord
	err  error
}

func (k *shelf) RecordAudit(_ context.Context, r domain.AuditRecord) (appeared, healed []domain.AuditFinding, err error) {
	if k.err != nil && r.SaleID != "" {
		return nil, nil, k.err
	}
	k.kept = append(k.kept, r)
	for _, finding := range r.Broken {
		finding.SaleID = r.SaleID
		appeared = append(appeared, finding)
	}
	return appeared, nil, nil
}

type inspection struct {
	world *world
	shelf shelf
	log   strings.Builder
	beats []string
	heard []string // payments that were brought to their checkouts

	reversed []string // reversals that were recorded
}

// inspecting is a sale at rest, whose orders were placed in its ledger.
func inspecting() *inspection {
	w := newWorld(atRest())
	w.placed = map[domain.OrderID]uint32{}
	for n := range byte(5) {
		w.placed[id(n)] = ledgerA
	}
	return &inspection{world: w}
}

func (i *inspection) run(t *testing.T) (domain.AuditOutcome, error) {
	t.Helper()
	inspector := Inspector{
		Sources: i.world.sources(), Keeper: &i.shelf, Options: options(),
		Sales: func(context.Context) ([]*domain.Sale, error) {
			return []*domain.Sale{i.world.Sale}, i.world.err["sales"]
		},
		Heard: func(_ context.Context, c domain.Capture) error {
			i.heard = append(i.heard, c.Payment)
			return i.world.err["heard"]
		},
		Reversed: func(_ context.Context, r domain.Reversal) error {
			i.reversed = append(i.reversed, r.ID)
			return nil
		},
		Log: slog.New(slog.NewTextHandler(&i.log, nil)),
	}
	return inspector.Inspect(t.Context(), func(doing string) { i.beats = append(i.beats, doing) })
}

func TestInspectAuditsEverySaleAndTheRest(t *testing.T) {
	t.Parallel()
	i := inspecting()
	got, err := i.run(t)
	if err != nil || got.Sales != 1 || got.Broken != 0 || len(i.shelf.kept) != 2 {
		t.Errorf("%+v, %v, %d reports kept", got, err, len(i.shelf.kept))
	}
	if !slices.Contains(i.beats, "sale gophercon: the ledger") || !slices.Contains(i.beats, "what belongs to no sale: Temporal") {
		t.Errorf("it beat with %q", i.beats)
	}
	if i.log.Len() > 0 {
		t.Errorf("logged although nothing is new: %s", i.log.String())
	}
}

func TestInspectTellsWhatIsBroken(t *testing.T) {
	t.Parallel()
	i := inspecting()
	i.world.Stocks[0].Sold, i.world.Stocks[0].Available = 11, -1
	got, err := i.run(t)
	if err != nil {
		t.Fatal(err)
	}
	want := domain.AuditLine{Sale: "gophercon", Invariant: "I1", Subject: "class A", Offenders: 1}
	if got.Broken == 0 || !slices.Contains(got.Findings, want) {
		t.Errorf("%+v, want %+v among its findings", got, want)
	}
	for _, says := range []string{"level=ERROR", "invariant=I1", "sale=gophercon", "class A (ledger 1)", "to_do=\"Stop the sale."} {
		if !strings.Contains(i.log.String(), says) {
			t.Errorf("%q is not in the log: %s", says, i.log.String())
		}
	}
}

// Only money for which nothing was done is brought to its checkout, and only
// where the sale knows the order: the rest may be somebody else's.
func TestInspectBringsWhatNobodyReported(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		order byte
		fails error
		want  []string
	}{
		"of an order of the sale":       {1, nil, []string{"second"}},
		"of an order that nobody knows": {99, nil, nil},
		"that cannot be brought now":    {1, errors.New("Temporal is down"), []string{"second"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := inspecting()
			i.world.err["heard"] = tc.fails
			lost := i.world.Captures[0]
			lost.Payment, lost.Order = "second", id(tc.order)
			i.world.Captures = append(i.world.Captures, lost)
			got, err := i.run(t)
			if err != nil || got.Broken == 0 || !slices.Equal(i.heard, tc.want) {
				t.Errorf("%+v, %v, brought %q, want %q", got, err, i.heard, tc.want)
			}
			if tc.fails != nil && !strings.Contains(i.log.String(), "Temporal is down") {
				t.Errorf("nothing of the failure in the log: %s", i.log.String())
			}
		})
	}
}

func TestInspectGoesOnWithoutASource(t *testing.T) {
	t.Parallel()
	i := inspecting()
	i.world.err["captures"] = errors.New("status 500")
	got, err := i.run(t)
	if err != nil || got.Broken != 0 || got.Unread[string(SourceProvider)] != 2 {
		t.Errorf("%+v, %v: want no error, and the provider unread for the sale and the rest", got, err)
	}
}

func TestInspectFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail func(*inspection)
		says string
		kept int
	}{
		"without the sales":             {func(i *inspection) { i.world.err["sales"] = errors.New("away") }, "list the sales: away", 0},
		"where it cannot keep a report": {func(i *inspection) { i.shelf.err = errors.New("disk full") }, "sale gophercon: keep the report: disk full", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := inspecting()
			tc.fail(i)
			_, err := i.run(t)
			if err == nil || !strings.Contains(err.Error(), tc.says) || len(i.shelf.kept) != tc.kept {
				t.Errorf("error %v with %d kept, want %q with %d", err, len(i.shelf.kept), tc.says, tc.kept)
			}
		})
	}
}

// What could not be judged stays as it was, and is not kept as healed.
func TestWhatIsKeptOfAReport(t *testing.T) {
	t.Parallel()
	r := Report{SaleID: "gophercon", Unread: []UnreadSource{{Source: SourceProvider}}, Results: []Result{
		{ID: "I1", Subject: "class A", Verdict: Broken, Says: "says", ToDo: "do", Counts: Counts{Broken: 2}},
		{ID: "I2", Verdict: Unread},
		{ID: "I3", Verdict: OK},
		{ID: "L", Verdict: Waiting, Counts: Counts{Waiting: 3}},
	}}
	got := r.record(time.Second)
	if got.SaleID != "gophercon" || got.Took != time.Second || got.EndedAt.IsZero() || got.Waiting != 3 || !slices.Equal(got.Unread, []string{string(SourceProvider)}) {
		t.Errorf("kept %+v", got)
	}
	if !slices.Equal(got.Unjudged, []domain.AuditKey{{Invariant: "I2"}}) {
		t.Errorf("not judged: %+v", got.Unjudged)
	}
	want := domain.AuditKey{Invariant: "I1", Subject: "class A"}
	if len(got.Broken) != 1 || got.Broken[0].AuditKey != want || got.Broken[0].Offenders != 2 || got.Broken[0].Says != "says" || got.Broken[0].ToDo != "do" {
		t.Errorf("broken: %+v", got.Broken)
	}
}
