package audit

import (
	"slices"
	"testing"

	"boxoffice/domain"
)

const ledgerCodes = 77

// coded makes of a snapshot one of a sale whose class A is hidden: each order used a code of its own, once.
func coded(s *Snapshot) *Snapshot {
	s.Sale.Classes[0].Hidden, s.Sale.CodeLedger = true, ledgerCodes
	s.Codes.Budgets = make(map[domain.ClassCodeID]int64)
	for _, use := range s.Bookings[ledgerA] {
		s.use(use, 1)
	}
	return s
}

// use adds a use of the code of an order, which was made with so many.
func (s *Snapshot) use(b domain.StockUse, uses int64) {
	id := buyer(b.Order)
	s.Codes.Uses = append(s.Codes.Uses, domain.QuotaUse{StockUse: b, Buyer: id})
	s.Codes.Held += b.Held
	s.Codes.Sold += b.Sold
	s.Codes.Budgets[domain.ClassCodeID(id)] = uses
}

func TestCodesOfHiddenClasses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change   func(*Snapshot)
		verdict  Verdict
		id       string // the invariant that is broken
		subject  string
		offender string
	}{
		"at rest": {func(*Snapshot) {}, OK, "", "", ""},
		"a code of two uses, used twice": {func(s *Snapshot) {
			s.Codes.Uses[1].Buyer = s.Codes.Uses[0].Buyer
			s.Codes.Budgets[domain.ClassCodeID(s.Codes.Uses[0].Buyer)] = 2
		}, OK, "", "", ""},
		"a code of one use, used twice": {
			func(s *Snapshot) { s.Codes.Uses[1].Buyer = s.Codes.Uses[0].Buyer },
			Broken, "I1", "codes", buyer(id(1)).String(),
		},
		"a code that was never made": {func(s *Snapshot) { clear(s.Codes.Budgets) }, Broken, "I1", "codes", buyer(id(1)).String()},
		"an order without one": {func(s *Snapshot) {
			s.Codes.Uses = s.Codes.Uses[1:]
			s.Codes.Sold--
		}, Broken, "I4", "codes", id(1).String()},
		"one that was kept after a refund": {func(s *Snapshot) { s.use(booked(3, 0, 1), 1) }, Broken, "I4", "codes", id(3).String()},
		"held after the end":               {func(s *Snapshot) { s.use(booked(9, 1, 0), 1) }, Broken, "I4", "holds", id(9).String()},
		"held, its checkout open": {func(s *Snapshot) {
			s.use(booked(9, 1, 0), 1)
			s.Workflows = []domain.Workflow{checkout(9)}
		}, InFlight, "", "", ""},
		"used by no order": {func(s *Snapshot) { s.Codes.Held++ }, Broken, "I4", "balances", "codes (ledger 77)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := coded(atRest())
			tc.change(s)
			r := newWorld(s).audit(t)
			if r.Verdict != tc.verdict {
				t.Errorf("verdict %s, want %s:\n%s", r.Verdict, tc.verdict, text(t, &r))
			}
			named := slices.ContainsFunc(r.Results, func(result Result) bool {
				return result.ID == tc.id && result.Subject == tc.subject && slices.Contains(result.BrokenIDs(), tc.offender)
			})
			if tc.verdict == Broken && !named {
				t.Errorf("%s %s does not name %s:\n%s", tc.id, tc.subject, tc.offender, text(t, &r))
			}
		})
	}
}
