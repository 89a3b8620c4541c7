package clocks_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/clocks"
	"boxoffice/domain"
)

func newWatch(t *testing.T) *clocks.Watch {
	t.Helper()
	return clocks.New(slog.New(slog.DiscardHandler))
}

// A read says that a clock was found so far ahead of the node's, in a round trip that
// took so long, the clock being read in the middle.
type read struct{ ahead, took time.Duration }

func note(w *clocks.Watch, clock string, r read) {
	received := time.Now()
	sent := received.Add(-r.took)
	w.Note(clock, sent, sent.Add(r.took/2).Add(r.ahead), received)
}

func TestWhatClocksAreTolerated(t *testing.T) {
	const quick = 10 * time.Millisecond
	for name, c := range map[string]struct {
		reads map[string]read
		sells bool
		says  []string // of the clocks, where they do not agree
	}{
		"nothing is known":   {nil, true, nil},
		"all agree":          {map[string]read{clocks.Ledger: {0, quick}, clocks.Temporal: {time.Second, quick}, clocks.Postgres: {-time.Second, quick}}, true, nil},
		"one is 4 s ahead":   {map[string]read{clocks.Ledger: {4 * time.Second, quick}, clocks.Temporal: {}, clocks.Postgres: {}}, true, nil},
		"one is 6 s ahead":   {map[string]read{clocks.Ledger: {6 * time.Second, quick}, clocks.Temporal: {0, quick}}, true, []string{"the ledger's clock is 6s ahead of"}},
		"one is 6 s behind":  {map[string]read{clocks.Temporal: {-6 * time.Second, quick}}, true, []string{"this node's is 6s ahead of Temporal's"}},
		"one is 19 s ahead":  {map[string]read{clocks.Postgres: {19 * time.Second, quick}}, true, []string{"the database's is 19s ahead of this node's"}},
		"one is 30 s ahead":  {map[string]read{clocks.Ledger: {30 * time.Second, quick}, clocks.Temporal: {0, quick}, clocks.Postgres: {0, quick}}, false, []string{"the ledger's clock is 30s ahead of"}},
		"one is 30 s behind": {map[string]read{clocks.Ledger: {-30 * time.Second, quick}, clocks.Temporal: {0, quick}, clocks.Postgres: {0, quick}}, false, []string{"30s ahead of the ledger's clock"}},
		"two are 12 s off, either side": {map[string]read{clocks.Ledger: {12 * time.Second, quick}, clocks.Temporal: {-12 * time.Second, quick}}, false,
			[]string{"the ledger's clock is 24s ahead of Temporal's"}},
		"all are 30 s ahead": {map[string]read{clocks.Ledger: {30 * time.Second, quick}, clocks.Temporal: {30 * time.Second, quick}, clocks.Postgres: {31 * time.Second, quick}}, false,
			[]string{"ahead of this node's"}},
		"all are 30 s behind": {map[string]read{clocks.Ledger: {-30 * time.Second, quick}, clocks.Postgres: {-30 * time.Second, quick}}, false,
			[]string{"this node's is 30s ahead of"}},
		"all are 10 s ahead":               {map[string]read{clocks.Ledger: {10 * time.Second, quick}, clocks.Postgres: {10 * time.Second, quick}}, true, []string{"ahead of this node's"}},
		"the only one known is 30 s ahead": {map[string]read{clocks.Ledger: {30 * time.Second, quick}}, false, []string{"30s ahead of this node's"}},
		"a slow answer proves nothing":     {map[string]read{clocks.Ledger: {24 * time.Second, 50 * time.Second}}, true, nil},
		"but what no round trip explains":  {map[string]read{clocks.Ledger: {30 * time.Second, 8 * time.Second}}, false, []string{"26s ahead of this node's"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(t)
				for clock, r := range c.reads {
					note(w, clock, r)
				}
				err := w.MaySell()
				if sells := err == nil; sells != c.sells {
					t.Errorf("may sell: %v, want %v", err, c.sells)
				}
				var refusal *domain.Error
				if err != nil && (!errors.As(err, &refusal) || refusal.Code != domain.CodeClocksDiffer || refusal.RetryAfter <= 0) {
					t.Errorf("refused with %#v, want %s and when to come again", err, domain.CodeClocksDiffer)
				}
				agree := w.Agree(t.Context())
				if (agree == nil) != (c.says == nil) {
					t.Errorf("agree: %v, want %q", agree, c.says)
				}
				for _, says := range c.says {
					if agree == nil || !strings.Contains(agree.Error(), says) {
						t.Errorf("agree: %v, want %q", agree, says)
					}
				}
			})
		})
	}
}

// Each clock is read again and again; one that is not answered for is unknown, and no
// reason to refuse.
func TestClocksAreReadAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(t)
		var ahead atomic.Int64
		var away atomic.Bool
		ledger := func(context.Context) (time.Time, error) {
			if away.Load() {
				return time.Time{}, errors.New("away")
			}
			time.Sleep(10 * time.Millisecond)
			return time.Now().Add(time.Duration(ahead.Load())), nil
		}
		silent := func(ctx context.Context) (time.Time, error) {
			<-ctx.Done()
			return time.Time{}, ctx.Err()
		}
		stop := w.Start(map[string]clocks.Source{clocks.Ledger: ledger, clocks.Postgres: silent})
		defer stop()
		expect := func(after time.Duration, sells bool, known ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if err := w.MaySell(); (err == nil) != sells {
				t.Errorf("may sell: %v, want %v", err, sells)
			}
			skews := w.Skews()
			for _, clock := range known {
				skew, ok := skews[clock]
				if delete(skews, clock); !ok || (skew-time.Duration(ahead.Load())).Abs() > 10*time.Millisecond {
					t.Errorf("%s is %v ahead, known %v, want %v", clock, skew, ok, time.Duration(ahead.Load()))
				}
			}
			if len(skews) > 0 {
				t.Errorf("also known: %v", maps.Collect(maps.All(skews)))
			}
		}
		expect(time.Second, true, clocks.Ledger)
		ahead.Store(int64(30 * time.Second))
		expect(2*clocks.Interval, false, clocks.Ledger)
		away.Store(true)
		expect(clocks.Interval, false, clocks.Ledger)
		expect(5*clocks.Interval, true) // not known: not refused
		away.Store(false)
		expect(2*clocks.Interval, false, clocks.Ledger)
		ahead.Store(0)
		expect(2*clocks.Interval, true, clocks.Ledger)
	})
}

// Readings from before this node's own clock was set say nothing about the others.
func TestANodesClockIsSet(t *testing.T) {
	w := newWatch(t)
	note(w, clocks.Ledger, read{30 * time.Second, 0})
	if w.MaySell() == nil {
		t.Fatal("want a refusal at 30 s")
	}
	set := func() time.Time { return time.Now().Round(0).Add(25 * time.Second) }
	w.SetNow(set)
	w.Note(clocks.Temporal, set(), set(), set())
	if err := w.MaySell(); err != nil {
		t.Errorf("may sell: %v, want nothing to be known against it", err)
	}
	if skews := w.Skews(); len(skews) != 1 || skews[clocks.Temporal].Abs() > time.Second {
		t.Errorf("skews = %v, want Temporal's alone", skews)
	}
}

func TestNoWatch(t *testing.T) {
	var w *clocks.Watch
	w.Note(clocks.Ledger, time.Now(), time.Now().Add(time.Hour), time.Now())
	if err := w.MaySell(); err != nil {
		t.Error(err)
	}
}
