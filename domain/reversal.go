package domain

import (
	"cmp"
	"fmt"
	"time"
)

// A Reversal is money of a captured payment that goes back, or may, although the box
// office did not ask for it: the buyer's bank disputes the payment, or somebody gives it
// back at the provider.
type Reversal struct {
	ID          string        `json:"id"` // the provider's
	Kind        ReversalKind  `json:"kind"`
	Payment     string        `json:"payment"`
	AmountMinor int64         `json:"amount"`
	Currency    string        `json:"currency"`
	State       ReversalState `json:"state"`
	Reason      string        `json:"reason,omitempty"`    // the provider's word for it, such as fraudulent
	At          time.Time     `json:"at"`                  // when it was opened, or made
	RespondBy   time.Time     `json:"respond_by,omitzero"` // a dispute that waits for the organiser's answer
}

// ReversalKind says who takes the money back.
type ReversalKind string

// The kinds of reversal.
const (
	ReversalDispute ReversalKind = "dispute" // the buyer's bank (a chargeback)
	ReversalRefund  ReversalKind = "refund"  // somebody at the provider, such as in its dashboard
)

// ReversalState is how far a reversal has come.
type ReversalState string

// The states of a dispute, and of a refund.
const (
	DisputeInquiry ReversalState = "inquiry" // the bank asks, and has taken nothing
	DisputeOpen    ReversalState = "open"    // the bank has taken the money, and has not decided
	DisputeWon     ReversalState = "won"     // the organiser has the money again
	DisputeLost    ReversalState = "lost"    // the buyer keeps it
	DisputeDropped ReversalState = "dropped" // ended without a decision, and nothing was taken
	RefundMade     ReversalState = "made"
	RefundFailed   ReversalState = "failed" // the money came back to the organiser
)

// ReversalTerms say what a state means.
type ReversalTerms struct {
	Kind ReversalKind
	// Takes: the organiser does not have the money.
	Takes bool
	// Ended: nothing more is expected to happen.
	Ended bool
	// after is the state's place in a reversal's life. News may come in another order than
	// they happened: what is earlier in its life does not replace what is later.
	after int
}

var reversalStates = map[ReversalState]ReversalTerms{
	DisputeInquiry: {Kind: ReversalDispute, after: 1},
	DisputeDropped: {Kind: ReversalDispute, Ended: true, after: 2},
	DisputeOpen:    {Kind: ReversalDispute, Takes: true, after: 3},
	DisputeWon:     {Kind: ReversalDispute, Ended: true, after: 4},
	DisputeLost:    {Kind: ReversalDispute, Takes: true, Ended: true, after: 4},
	RefundMade:     {Kind: ReversalRefund, Takes: true, Ended: true, after: 1},
	RefundFailed:   {Kind: ReversalRefund, Ended: true, after: 2},
}

// ReversalStates lists every state of a kind, in the order of its life.
func ReversalStates(kind ReversalKind) (states []ReversalState) {
	for _, state := range []ReversalState{DisputeInquiry, DisputeDropped, DisputeOpen, DisputeWon, DisputeLost, RefundMade, RefundFailed} {
		if reversalStates[state].Kind == kind {
			states = append(states, state)
		}
	}
	return states
}

// Terms say what the state means. They are zero for one that this release does not know:
// see Check.
func (s ReversalState) Terms() ReversalTerms { return reversalStates[s] }

// Check is for a state that comes from outside.
func (s ReversalState) Check() error {
	if _, known := reversalStates[s]; !known {
		return unknownValue("state of a reversal", string(s))
	}
	return nil
}

// Replaces reports whether news of a reversal in state s replace what is known: it is in
// state old.
func (s ReversalState) Replaces(old ReversalState) bool {
	return s != old && cmp.Compare(s.Terms().after, old.Terms().after) >= 0
}

// ReversalReasonMaxLen limits the provider's word for a reason, in bytes.
const ReversalReasonMaxLen = 64

// Taken is what the organiser does not have because of the reversal.
func (r *Reversal) Taken() int64 {
	if !r.State.Terms().Takes {
		return 0
	}
	return r.AmountMinor
}

// Check says what is wrong with a reversal that came from an adapter.
func (r *Reversal) Check() error {
	_, id := SplitID(r.ID)
	_, payment := SplitID(r.Payment)
	switch {
	case !ValidPaymentID(id) || !ValidPaymentID(payment) || ProviderOf(r.ID) != ProviderOf(r.Payment):
		return fmt.Errorf("reversal %.64q of payment %.64q: an id cannot be used", r.ID, r.Payment)
	case r.State.Check() != nil || r.State.Terms().Kind != r.Kind:
		return fmt.Errorf("reversal %s: a %q cannot be %q", r.ID, r.Kind, r.State)
	case r.AmountMinor < 1 || !ValidCurrency(r.Currency) || r.At.IsZero() || len(r.Reason) > ReversalReasonMaxLen:
		return fmt.Errorf("reversal %s: amount %d, currency %q, time %s, a reason of %d bytes", r.ID, r.AmountMinor, r.Currency, r.At, len(r.Reason))
	default:
		return nil
	}
}

// A NotedReversal is what became of the news of a reversal.
type NotedReversal struct {
	Order  OrderID
	SaleID string      // empty: the payment was for an order that nobody knows
	Status OrderStatus // of the order, if the payment bought tickets; empty if it bought nothing
	// Changed: it was news.
	Changed bool
	// Refund is the box office's own refund of the payment, if there is one.
	Refund *Refund
}

// Reopens reports whether money has come to the organiser that a refund of ours, which is
// done, left with the bank or with the buyer. The rest of it is owed again.
func (n *NotedReversal) Reopens(r *Reversal) bool {
	return n.Refund != nil && !n.Refund.RefundedAt.IsZero() && r.State.Terms().Ended && !r.State.Terms().Takes
}

// Disputes are the disputes that are not decided, over all sales.
type Disputes struct {
	Open       int64
	Unanswered int64     // of them wait for the organiser
	RespondBy  time.Time // until when the most urgent of these; zero: none waits
}
