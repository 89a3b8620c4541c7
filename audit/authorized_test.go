package audit

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// seatsFirst is a sale whose money is captured after the seats, with one authorised payment of an order that has a
// hold. What nobody works on is brought to its checkout.
func seatsFirst(n byte) (*Snapshot, domain.Capture) {
	s := atRest()
	s.Sale.Capture = domain.CaptureAfterSeats
	money := capture(n)
	money.Authorized = true
	s.Authorized = []domain.Capture{money}
	return s, money
}

func authorised(r *Report) (found Result, ok bool) {
	i := slices.IndexFunc(r.Results, func(result Result) bool { return result.ID == "I2" && result.Subject == authorizations })
	if i < 0 {
		return found, false
	}
	return r.Results[i], true
}

func TestAnAuthorisationIsCapturedOrReleased(t *testing.T) {
	for name, tt := range map[string]struct {
		open *domain.Workflow
		want Verdict
	}{
		"its checkout is open":             {&domain.Workflow{ID: "checkout/" + id(9).String(), Order: id(9), SaleID: "conf", Checkout: true}, InFlight},
		"a late payment works on it":       {&domain.Workflow{ID: "late/" + id(9).String() + "/x", Order: id(9), SaleID: "conf"}, InFlight},
		"nobody works on it":               {nil, Broken},
		"another order's checkout is open": {&domain.Workflow{ID: "checkout/" + id(8).String(), Order: id(8), SaleID: "conf", Checkout: true}, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			s, money := seatsFirst(9)
			if tt.open != nil {
				tt.open.StartedAt, tt.open.SaleID = s.At, s.Sale.ID
				s.Workflows = append(s.Workflows, *tt.open)
			}
			w := newWorld(s)
			w.placed = map[domain.OrderID]uint32{id(9): ledgerA}
			r := w.audit(t)
			result, ok := authorised(&r)
			if !ok || result.Verdict != tt.want {
				t.Fatalf("%t, %s; want %s:\n%s", ok, result.Verdict, tt.want, text(t, &r))
			}
			if brought := slices.Contains(r.Unheard, money); brought != (tt.want == Broken) {
				t.Errorf("brought to its checkout: %t\n%s", brought, text(t, &r))
			}
		})
	}
}

func TestWhereNoSaleAuthorisesTheProviderIsNotAsked(t *testing.T) {
	s := atRest()
	w := newWorld(s)
	asked := errors.New("the provider was asked")
	w.err["authorizations"] = asked
	r := w.audit(t)
	if _, ok := authorised(&r); ok || strings.Contains(text(t, &r), asked.Error()) {
		t.Errorf("the provider was asked for authorisations:\n%s", text(t, &r))
	}
}

// Seats are sold before their money is captured: while a provider lets it wait, that is no lost record.
func TestSeatsThatWaitForTheirCapture(t *testing.T) {
	for name, tt := range map[string]struct {
		rule domain.CaptureRule
		open bool
		want Verdict
	}{
		"captured after the seats, its checkout is open":     {domain.CaptureAfterSeats, true, InFlight},
		"captured after the seats, nobody works on it":       {domain.CaptureAfterSeats, false, Broken},
		"captured when the buyer pays, its checkout is open": {domain.CaptureAutomatic, true, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			s := atRest()
			s.Sale.Capture = tt.rule
			if tt.open {
				s.Workflows = append(s.Workflows, domain.Workflow{ID: "checkout/" + id(9).String(), Order: id(9), SaleID: s.Sale.ID, StartedAt: s.At, Checkout: true})
			}
			b := newBooks(s)
			if got := b.unrecorded(&domain.StockUse{Order: id(9), Sold: 1, SoldAt: s.At.Add(-time.Hour)}); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
