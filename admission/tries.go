package admission

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"boxoffice/domain"
)

// A token of a waiting room is good for one order. What the ledger refused took
// nothing, so it must not cost a place that was waited for: who asks again with the
// token begins its next try, which is an order of its own.
//
// Tries are derived from the token and stored nowhere. A try begins only once the
// one before it was refused, and that is for good: its ids in the ledger are burnt.
// So at most one try of a token ever holds anything, on whatever nodes and
// however often it is asked for.

const (
	// triesMax is how many tries a token has. A node that has not heard of them asks for
	// each again, one after the other.
	triesMax = 8
	// triesRememberedMax bounds the tokens of which a node remembers at which try they
	// are, under 10 MB. What is forgotten is asked for again.
	triesRememberedMax = 1 << 16
)

// tryKey is the idempotency key of a token's try; key is that of the first. All are
// UUIDv7 of the same time, as the ledger likes its ids.
func tryKey(key string, try int) string {
	u, err := uuid.Parse(key)
	if try == 0 || err != nil {
		return key
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", key, try))
	copy(u[6:], sum[:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// holdByToken is holdByKey for an order of a token: it gives it the id of the token's try.
func (a *Admission) holdByToken(ctx context.Context, sale *domain.Sale, key string, order *domain.Order) (domain.HoldAnswer, error) {
	refusedTries, _ := a.tries.Get(key)
	for try := refusedTries; try < triesMax; try++ {
		order.ID = a.keys.OrderID(sale, tryKey(key, try))
		permit, err := a.enter(ctx, sale, order)
		if isGateRefusal(err) {
			if try, err = a.tookLater(ctx, sale, key, order, try, err); err != nil {
				return domain.HoldAnswer{}, err
			}
			permit, _, err = a.admit(ctx, order)
		}
		if err != nil {
			return domain.HoldAnswer{}, err
		}
		answer, err := a.start(ctx, sale, order, permit)
		again, err := a.wasRefused(ctx, order, answer, err)
		if err == nil && tookNothing(answer.Hold) || again {
			a.tries.Add(key, try+1)
		}
		switch {
		case again:
		case domain.CodeOf(err) == domain.CodeKeyReused:
			return domain.HoldAnswer{}, &domain.Error{
				Code:   domain.CodeKeyReused,
				Detail: "This Queue-Token has named another order. A new order takes a new place in the queue.",
				Err:    err,
			}
		default:
			return answer, err
		}
	}
	return domain.HoldAnswer{}, &domain.Error{
		Code: domain.CodeKeyReused, Detail: fmt.Sprintf("This Queue-Token was refused %d times. Join the queue again.", triesMax),
	}
}

// tookLater finds the try after one that the gate refuses which took something, and
// gives the order its id: its answer is the token's, also once nothing is left. Where none
// did, the refusal is.
func (a *Admission) tookLater(ctx context.Context, sale *domain.Sale, key string, order *domain.Order, after int, refusal error) (int, error) {
	for try := after + 1; try < triesMax; try++ {
		order.ID = a.keys.OrderID(sale, tryKey(key, try))
		took, sure := a.gate.took(sale.ID, order)
		if !took && !sure {
			var err error
			if took, err = a.known(ctx, order); err != nil {
				return 0, err
			}
		}
		if took {
			return try, nil
		}
	}
	return 0, refusal
}

// wasRefused reports whether a try had been refused before: to this wish, or to
// another one, which the Desk calls a reused key. The error is what to answer where
// it was not.
func (a *Admission) wasRefused(ctx context.Context, order *domain.Order, answer domain.HoldAnswer, err error) (bool, error) {
	switch {
	case err == nil:
		return answer.Replayed && tookNothing(answer.Hold), nil
	case domain.CodeOf(err) != domain.CodeKeyReused:
		return false, err
	}
	state, stateErr := a.State(ctx, order.ID)
	if stateErr != nil && isAway(stateErr) {
		return false, stateErr
	}
	return stateErr == nil && tookNothing(state.Hold), err
}

// tookNothing reports whether the ledger has refused, which it does for good.
func tookNothing(hold domain.Hold) bool {
	return hold.Outcome == domain.HoldSoldOut || hold.Outcome == domain.HoldLimitReached
}
