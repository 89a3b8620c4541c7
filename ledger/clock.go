package ledger

import (
	"context"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Now returns the ledger's time. TigerBeetle has no query for it, but it answers every
// event with the time at which it looked at it. This event has no id, so it is refused
// before anything else and burns nothing.
func (b *Book) Now(ctx context.Context) (time.Time, error) {
	results, err := b.sendTransfers(ctx, []tb.Transfer{{}})
	if err != nil {
		return time.Time{}, err
	}
	if r := results[0]; r.Status != tb.TransferIDMustNotBeZero || r.Timestamp == 0 {
		return time.Time{}, ourFault("ask for the time: the ledger answered %s at %d", r.Status, r.Timestamp)
	}
	return time.Unix(0, int64(results[0].Timestamp)).UTC(), nil
}
