package audit

import (
	"testing"
	"time"

	"boxoffice/domain"
)

// The audit of a sale asks for nothing that is much older than the sale. What belongs to no
// sale may be as old as anything.
func TestASalesAuditAsksForNothingOlderThanTheSale(t *testing.T) {
	created := noon.Add(-time.Hour)
	for name, tt := range map[string]struct {
		lone    bool
		created time.Time
		want    []time.Time
	}{
		"a sale":                     {false, created, []time.Time{created.Add(-24 * time.Hour)}},
		"a sale of which it is lost": {false, time.Time{}, nil},
		"no sale":                    {true, created, nil},
	} {
		w := newWorld(atRest())
		w.Sale.CreatedAt = tt.created
		var asked []time.Time
		from := w.sources()
		from.Since = func(moment time.Time) Provider {
			asked = append(asked, moment)
			return from.Provider
		}
		var r Report
		var err error
		if tt.lone {
			_, err = RunLone(t.Context(), from, []*domain.Sale{w.Sale}, options())
		} else {
			r, err = Run(t.Context(), from, w.Sale, options())
		}
		if err != nil || !tt.lone && r.Verdict != OK {
			t.Errorf("%s: %s, %v", name, r.Verdict, err)
		}
		if len(asked) != len(tt.want) || len(asked) == 1 && !asked[0].Equal(tt.want[0]) {
			t.Errorf("%s: the lists begin at %v, want %v", name, asked, tt.want)
		}
	}
}
