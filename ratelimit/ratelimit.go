// Package ratelimit bounds how often each of many clients may ask, by a token bucket for each.
package ratelimit

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// ClientsMax is how many clients Buckets usually remember, about 20 MB of them. Of more,
// those that were not seen for longest are forgotten, which gives them a full
// bucket: whoever has that many addresses is not stopped by a bound per address.
const ClientsMax = 1 << 16

// Rate is a token bucket: Burst requests at once, PerSecond in the long run.
// PerSecond 0: no bound.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Validate says why a rate cannot be meant so; name is in the error.
func (r Rate) Validate(name string) error {
	switch {
	case r.PerSecond < 0 || math.IsNaN(r.PerSecond) || math.IsInf(r.PerSecond, 0) || r.Burst < 0:
		return fmt.Errorf("the rate per %s is negative or no number", name)
	case r.PerSecond > 0 && r.Burst < 1:
		return fmt.Errorf("the rate per %s has no burst: nothing would ever be let through", name)
	default:
		return nil
	}
}

// Buckets have a token bucket for each client, as far as they remember them. nil
// lets everybody through. They are safe for concurrent use.
type Buckets[K comparable] struct {
	rate Rate
	of   *lru.Cache[K, *rate.Limiter]
}

// New makes the buckets of so many clients; nil where the rate is no bound.
func New[K comparable](r Rate, clientsMax int) (*Buckets[K], error) {
	if r.PerSecond == 0 {
		return nil, nil
	}
	of, err := lru.New[K, *rate.Limiter](clientsMax)
	if err != nil {
		return nil, err
	}
	return &Buckets[K]{rate: r, of: of}, nil
}

// Take takes a token of a client's bucket. wait is how long it takes until there
// is one again, 0 where there was one. Being refused takes none: who waits that
// long is let through, however often they asked meanwhile.
func (b *Buckets[K]) Take(client K, now time.Time) (wait time.Duration) {
	wait, _ = b.Spend(client, now)
	return wait
}

// Spend is Take, and tells how many tokens are left.
func (b *Buckets[K]) Spend(client K, now time.Time) (wait time.Duration, left int) {
	if b == nil {
		return 0, 0
	}
	bucket, ok := b.of.Get(client)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(b.rate.PerSecond), b.rate.Burst)
		// Of two who come first at once, one's bucket stays.
		if earlier, found, _ := b.of.PeekOrAdd(client, bucket); found {
			bucket = earlier
		}
	}
	isLetIn := bucket.AllowN(now, 1)
	tokens := bucket.TokensAt(now)
	if isLetIn {
		return 0, int(tokens)
	}
	return b.until(tokens), 0
}

// Wait is how long it takes until a client may take a token, 0 where there is one.
func (b *Buckets[K]) Wait(client K, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	bucket, ok := b.of.Get(client)
	if !ok {
		return 0
	}
	tokens := bucket.TokensAt(now)
	if tokens >= 1 {
		return 0
	}
	return b.until(tokens)
}

// until is how long it takes from so many tokens to one.
func (b *Buckets[K]) until(tokens float64) time.Duration {
	return max(time.Duration((1-tokens)/b.rate.PerSecond*float64(time.Second)), time.Millisecond)
}
