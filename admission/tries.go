package admission

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"boxoffice/domain"
)

// A token of a waiting room is good for one order. What the ledger refused took nothing,
// so it must not cost the place that the buyer waited for. Asking again with the token
// starts its next try, which is an order of its own.
//
// Tries derive from the token and are stored nowhere. A try starts only once the one
// before it was refused, and that is for good: its ids in the ledger are burnt. So at
// most one try of a token ever holds anything, on whatever nodes and however often it is
// asked for.

const (
	// triesMax is how many tries a token has. A node that does not know about them tries
	// each again, one after the other.
	triesMax = 8
	// triesRememberedMax limits the tokens whose current try a node remembers, under 10
	// MB. What it forgets, it asks for again.
	triesRememberedMax = 1 << 16
)

// tryKey is the idempotency key of a token's try; key is that of the first. All are
// UUIDv7 with the same time, which suits the ledger's ids.
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

// holdByToken is hold for an order with a token: it gives the order the id of the token's try.
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

// tookLater looks for a later try, after one that the gate refuses, that took something,
// and gives the order its id: its answer is the token's, even once nothing is left. If no
// try did, the refusal is the answer.
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

// wasRefused reports whether a try was already refused, either for this request or for
// another one, which the Desk calls a reused key. If it was not, the error is the answer.
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

// tookNothing reports whether the ledger has refused, which is for good.
func tookNothing(hold domain.Hold) bool {
	return hold.Outcome == domain.HoldSoldOut || hold.Outcome == domain.HoldLimitReached
}
