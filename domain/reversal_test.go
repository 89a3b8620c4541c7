package domain_test

import (
	"testing"

	"boxoffice/domain"
)

func TestEveryStateOfAReversalHasItsTerms(t *testing.T) {
	want := map[domain.ReversalState][2]bool{ // takes, ended
		domain.DisputeInquiry: {false, false}, domain.DisputeDropped: {false, true}, domain.DisputeOpen: {true, false},
		domain.DisputeWon: {false, true}, domain.DisputeLost: {true, true},
		domain.RefundMade: {true, true}, domain.RefundFailed: {false, true},
	}
	seen := 0
	for _, kind := range []domain.ReversalKind{domain.ReversalDispute, domain.ReversalRefund} {
		for _, state := range domain.ReversalStates(kind) {
			seen++
			terms := state.Terms()
			if got := [2]bool{terms.Takes, terms.Ended}; terms.Kind != kind || got != want[state] || state.Check() != nil {
				t.Errorf("%s of a %s: takes, ended %v, want %v", state, kind, got, want[state])
			}
			r := domain.Reversal{AmountMinor: 6500, State: state}
			if taken := r.Taken() > 0; taken != terms.Takes {
				t.Errorf("%s has taken %d", state, r.Taken())
			}
			if state.Replaces(state) || !state.Replaces("") {
				t.Errorf("%s is news where it is known, or is none where nothing is", state)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d states, want %d", seen, len(want))
	}
	if err := domain.ReversalState("escalated").Check(); !domain.IsUnknown(err) {
		t.Errorf("a state of a newer release: %v, want an unknown error", err)
	}
}

// A reversal concerns no checkout, however it comes.
func TestACheckoutHasNoUseForAReversal(t *testing.T) {
	e := domain.PaymentEvent{ID: "e1", Type: domain.PaymentSucceeded, Session: "ps_1", Payment: "ps_1", Order: domain.OrderID{1}, Currency: "EUR"}
	if !e.Usable() {
		t.Fatal("the event cannot be used whatever its type is")
	}
	if e.Type = domain.PaymentReversed; e.Usable() || !e.Type.Known() {
		t.Error("a checkout would take a reversal, or nobody would")
	}
}
