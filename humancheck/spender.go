package humancheck

import (
	"context"
	"time"

	"boxoffice/batching"
)

const (
	spendTimeout = 2 * time.Second
	// retryAfter is the hint to clients when we could not find out whether their
	// challenge was used.
	retryAfter = 2 * time.Second
	// spendBatchMax is how much one call takes, spendWaitingMax how much waits for the
	// next ones.
	spendBatchMax   = 2048
	spendWaitingMax = 8 * spendBatchMax
)

// A Spend records for all nodes that challenges were used, each by its nonce, and says
// for each whether this was the first time. They may be forgotten some time after until,
// when all have expired.
type Spend func(ctx context.Context, nonces [][]byte, until time.Time) (fresh []bool, err error)

type spending struct {
	nonce     [nonceLen]byte
	expiresAt time.Time
}

// newSpender shares the calls of spend, and answers whether a challenge is fresh.
func newSpender(spend Spend) *batching.Calls[spending, bool] {
	return &batching.Calls[spending, bool]{
		Timeout: spendTimeout, Max: spendBatchMax, WaitingMax: spendWaitingMax,
		Call: func(ctx context.Context, batch []spending) ([]bool, error) {
			nonces := make([][]byte, len(batch))
			var until time.Time
			for i := range batch {
				nonces[i] = batch[i].nonce[:]
				if batch[i].expiresAt.After(until) {
					until = batch[i].expiresAt
				}
			}
			return spend(ctx, nonces, until)
		},
	}
}
