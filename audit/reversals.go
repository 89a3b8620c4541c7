package audit

import (
	"fmt"
	"strings"

	"boxoffice/domain"
)

// reversals are the disputes of a snapshot and the refunds that were made elsewhere, by
// payment.
type reversals struct {
	taken      map[string]int64 // by disputes
	elsewhere  map[string]int64 // given back by somebody else
	now        map[string][]domain.Reversal
	unrecorded map[string][]domain.Reversal // as the provider has them, and the record has not
}

func newReversals(s *Snapshot) reversals {
	r := reversals{
		taken: make(map[string]int64), elsewhere: make(map[string]int64),
		now: make(map[string][]domain.Reversal), unrecorded: make(map[string][]domain.Reversal),
	}
	recorded := make(map[string]domain.ReversalState, len(s.Reversals))
	for i := range s.Reversals {
		recorded[s.Reversals[i].ID] = s.Reversals[i].State
	}
	there := make(map[string]bool)
	add := func(one domain.Reversal) {
		there[one.ID] = true
		r.now[one.Payment] = append(r.now[one.Payment], one)
		if one.State.Replaces(recorded[one.ID]) {
			r.unrecorded[one.Payment] = append(r.unrecorded[one.Payment], one)
		}
	}
	for i := range s.Disputes {
		r.taken[s.Disputes[i].Payment] += s.Disputes[i].Taken()
		add(s.Disputes[i])
	}
	for i := range s.Returned {
		if s.Returned[i].Elsewhere {
			r.elsewhere[s.Returned[i].Payment] += s.Returned[i].AmountMinor
			add(s.Returned[i].Reversal())
		}
	}
	// The provider lists no refund that failed.
	captured := make(map[string]bool, len(s.Captures))
	for i := range s.Captures {
		captured[s.Captures[i].Payment] = true
	}
	for _, one := range s.Reversals {
		if one.State == domain.RefundMade && captured[one.Payment] && !there[one.ID] {
			one.State = domain.RefundFailed
			r.unrecorded[one.Payment] = append(r.unrecorded[one.Payment], one)
		}
	}
	return r
}

// reversalToTell says what somebody should know of a payment although its books are
// right: part of it was disputed or given back elsewhere. Nothing, if a refund of ours
// made up for that.
func (b *books) reversalToTell(capture *domain.Capture) string {
	var all []string
	for _, r := range b.reversals.now[capture.Payment] {
		if r.State.Terms().Takes || !r.State.Terms().Ended {
			all = append(all, fmt.Sprintf("%s %s is %s: %s", r.Kind, r.ID, r.State, sum{r.AmountMinor, r.Currency}))
		}
	}
	order := b.tickets[capture.Payment]
	stands := order != nil && order.Status.Terms().Tickets == domain.TicketsValid
	gone := b.returned[capture.Payment].minor + b.reversals.taken[capture.Payment]
	switch news := b.reversals.unrecorded[capture.Payment]; {
	case len(news) > 0:
		return fmt.Sprintf("%s %s is %s, and not on record: the scheduled audit records it", news[0].Kind, news[0].ID, news[0].State)
	case gone > capture.AmountMinor:
		return fmt.Sprintf("gone twice: %s of %s; %s", sum{gone, capture.Currency}, sum{capture.AmountMinor, capture.Currency}, strings.Join(all, ", "))
	case stands && len(all) > 0:
		return "tickets that stand: " + strings.Join(all, ", ")
	default:
		return ""
	}
}
