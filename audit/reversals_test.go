package audit

import (
	"slices"
	"strings"
	"testing"

	"boxoffice/domain"
)

// disputed is a dispute of an order's payment, as the provider has it.
func disputed(n byte, state domain.ReversalState, amount int64) domain.Reversal {
	return domain.Reversal{
		ID: "dp_" + payment(n), Kind: domain.ReversalDispute, Payment: payment(n), AmountMinor: amount, Currency: "EUR", State: state, At: noon,
	}
}

// elsewhere is a refund of an order's payment that the box office did not make.
func elsewhere(n byte, amount int64) Returned {
	return Returned{ID: "re_" + payment(n), Payment: payment(n), AmountMinor: amount, Currency: "EUR", At: noon, Elsewhere: true}
}

func (s *Snapshot) dispute(recorded domain.ReversalState, d domain.Reversal) {
	s.Disputes = append(s.Disputes, d)
	if recorded != "" {
		d.State = recorded
		s.Reversals = append(s.Reversals, d)
	}
}

func (s *Snapshot) refundElsewhere(isRecorded bool, r Returned) {
	s.Returned = append(s.Returned, r)
	if isRecorded {
		s.Reversals = append(s.Reversals, r.Reversal())
	}
}

// Captured is kept, refunded or disputed. Orders 1 and 2 have tickets, 3 is a refunded order, 4 bought nothing and went
// back; 6500 each.
func TestReversalsInTheBooks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Snapshot)
		want   Verdict
		says   string                 // of payment's offender in I2
		news   []domain.ReversalState // what is to be recorded
	}{
		"disputed, and the tickets stand": {
			func(s *Snapshot) { s.dispute(domain.DisputeOpen, disputed(1, domain.DisputeOpen, 6500)) },
			Warning, "tickets that stand: dispute dp_pay_1 is open", nil,
		},
		"lost, and the tickets stand": {
			func(s *Snapshot) { s.dispute(domain.DisputeLost, disputed(1, domain.DisputeLost, 6500)) },
			Warning, "tickets that stand: dispute dp_pay_1 is lost", nil,
		},
		"won": {
			func(s *Snapshot) { s.dispute(domain.DisputeWon, disputed(1, domain.DisputeWon, 6500)) }, OK, "", nil,
		},
		"an inquiry that was dropped": {
			func(s *Snapshot) { s.dispute(domain.DisputeDropped, disputed(1, domain.DisputeDropped, 6500)) }, OK, "", nil,
		},
		"disputed, and no news came": {
			func(s *Snapshot) { s.dispute("", disputed(1, domain.DisputeOpen, 6500)) },
			Warning, "not on record", []domain.ReversalState{domain.DisputeOpen},
		},
		"decided, and no news came of that": {
			func(s *Snapshot) { s.dispute(domain.DisputeOpen, disputed(1, domain.DisputeWon, 6500)) },
			Warning, "not on record", []domain.ReversalState{domain.DisputeWon},
		},
		"a part refunded elsewhere": {
			func(s *Snapshot) { s.refundElsewhere(true, elsewhere(1, 1500)) },
			Warning, "tickets that stand: refund re_pay_1 is made", nil,
		},
		"refunded elsewhere, and no news came": {
			func(s *Snapshot) { s.refundElsewhere(false, elsewhere(1, 1500)) },
			Warning, "not on record", []domain.ReversalState{domain.RefundMade},
		},
		"a refund made elsewhere that the provider has no more": {
			func(s *Snapshot) { s.Reversals = append(s.Reversals, new(elsewhere(1, 1500)).Reversal()) },
			Warning, "not on record", []domain.ReversalState{domain.RefundFailed},
		},
		"refunded by us and elsewhere, and the tickets stand": {
			func(s *Snapshot) {
				s.refundElsewhere(true, elsewhere(1, 1500))
				s.Returned = append(s.Returned, Returned{Payment: payment(1), AmountMinor: 5000, Currency: "EUR"})
			},
			Broken, "tickets that stand, and the provider gave the money back", nil,
		},
		"a refunded order whose money a dispute took": {
			func(s *Snapshot) {
				s.Returned = s.Returned[1:]
				s.dispute(domain.DisputeLost, disputed(3, domain.DisputeLost, 6500))
			},
			OK, "", nil,
		},
		"a refunded order: a part elsewhere, a part disputed, the rest by us": {
			func(s *Snapshot) {
				s.Returned[0].AmountMinor = 2000
				s.refundElsewhere(true, elsewhere(3, 1500))
				s.dispute(domain.DisputeOpen, disputed(3, domain.DisputeOpen, 3000))
			},
			OK, "", nil,
		},
		"a refunded order whose dispute was won, and the rest is not given back": {
			func(s *Snapshot) {
				s.Returned = s.Returned[1:]
				s.dispute(domain.DisputeWon, disputed(3, domain.DisputeWon, 6500))
			},
			Broken, "has not given it back", nil,
		},
		"the same of a part": {
			func(s *Snapshot) {
				s.Returned[0].AmountMinor = 3500
				s.dispute(domain.DisputeWon, disputed(3, domain.DisputeWon, 3000))
			},
			Broken, "3500 EUR (minor units) of 6500 EUR (minor units) were given back", nil,
		},
		"refunded, and then disputed": {
			func(s *Snapshot) { s.dispute(domain.DisputeLost, disputed(3, domain.DisputeLost, 6500)) },
			Warning, "gone twice: 13000 EUR (minor units) of 6500", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := atRest()
			tt.change(s)
			r := Evaluate(s, EndWithinDefault)
			i := slices.IndexFunc(r.Results, func(r Result) bool { return r.ID == "I2" })
			found := r.Results[i]
			if found.Verdict != tt.want || tt.says != "" && (len(found.Offenders) != 1 || !strings.Contains(found.Offenders[0].What, tt.says)) {
				t.Errorf("verdict %s, want %s that says %q:\n%s", found.Verdict, tt.want, tt.says, text(t, &r))
			}
			if balanced := found.Left.Value == found.Right.Value; balanced == (tt.want == Broken) {
				t.Errorf("%d of %d captures end once", found.Right.Value, found.Left.Value)
			}
			var news []domain.ReversalState
			for _, reversal := range r.Reversals {
				news = append(news, reversal.State)
			}
			if !slices.Equal(news, tt.news) {
				t.Errorf("to be recorded: %q, want %q", news, tt.news)
			}
		})
	}
}

// The scheduled audit records what no webhook told, in its first look.
func TestAnInspectorRecordsReversals(t *testing.T) {
	t.Parallel()
	i := inspecting()
	i.world.dispute("", disputed(1, domain.DisputeOpen, 6500))
	i.world.dispute(domain.DisputeOpen, disputed(2, domain.DisputeOpen, 6500))
	i.world.dispute("", disputed(9, domain.DisputeOpen, 6500)) // of a payment that is not the sale's
	if _, err := i.run(t); err != nil {
		t.Fatal(err)
	}
	if want := []string{"dp_pay_1"}; !slices.Equal(i.reversed, want) {
		t.Errorf("recorded %q, want %q", i.reversed, want)
	}
}
