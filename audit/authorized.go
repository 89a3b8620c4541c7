package audit

import (
	"time"

	"boxoffice/domain"
)

// authorizations is the subject of the second half of I2.
const authorizations = "authorisations"

// everyAuthorizationEnds is I2 for money that is only authorised: somebody works on it, or
// it was captured or released. There is no such result where no sale asks for it.
func (b *books) everyAuthorizationEnds() []*check {
	if !b.Authorizes {
		return nil
	}
	c := newCheck("I2", authorizations, "Every authorised payment is captured or released.",
		"payments that are only authorised", "=", "of them with an open workflow",
		b.authorizationToDo()).from(SourceLedger, SourceOrders, SourceProvider, SourceTemporal)
	c.Left.Value = int64(len(b.Authorized))
	for i := range b.Authorized {
		money := &b.Authorized[i]
		verdict := b.suspect(money.Order)
		if verdict == InFlight {
			c.Right.Value++
		}
		c.add(verdict, money.Payment, money.Order, "authorised at %s, neither captured nor released", money.CapturedAt.UTC().Format(time.RFC3339))
	}
	return []*check{c}
}

func (b *books) authorizationToDo() string {
	if b.lone() {
		return "No order here knows this payment. Ask the provider what it was for, then release it there; it lapses by itself after some days."
	}
	return "Its report was lost, or its workflow broke off. The scheduled audit brings it to its checkout, and the next one must find it captured or released; if not, release it at the provider."
}

// unreleased are the payments behind the offenders: their reports were lost.
func unreleased(s *Snapshot, offenders []Offender) (all []domain.Capture) {
	broken := make(map[string]bool)
	for _, o := range offenders {
		broken[o.ID] = o.Verdict == Broken
	}
	for _, money := range s.Authorized {
		if broken[money.Payment] {
			all = append(all, money)
		}
	}
	return all
}
