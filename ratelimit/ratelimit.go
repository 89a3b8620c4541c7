// Package ratelimit limits how often each of many clients may ask, with a token bucket
// for each.
package ratelimit

import (
	"fmt"
	"math"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// ClientsMax is how many clients Buckets usually remember, about 20 MB of them. Beyond
// that, it forgets those seen longest ago, which gives them a full bucket: no limit per
// address stops a client with that many addresses.
const ClientsMax = 1 << 16

// Rate is a token bucket: Burst requests at once, PerSecond in the long run. PerSecond 0:
// no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Validate says why a rate makes no sense; the error has the name.
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

// Buckets have a token bucket for each client that they remember. nil lets everybody
// through. They are safe for concurrent use.
type Buckets[K comparable] struct {
	rate Rate
	of   *lru.Cache[K, *rate.Limiter]
}

// New makes the buckets for this many clients; nil if the rate is no limit.
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

// Take takes a token from a client's bucket. wait is how long until there is one again,
// or 0 if there was one. A refusal takes no token: a client who waits that long gets
// through, however often it asked meanwhile.
func (b *Buckets[K]) Take(client K, now time.Time) (wait time.Duration) {
	wait, _ = b.Spend(client, now)
	return wait
}

// Spend is Take, and also returns how many tokens are left.
func (b *Buckets[K]) Spend(client K, now time.Time) (wait time.Duration, left int) {
	if b == nil {
		return 0, 0
	}
	bucket, ok := b.of.Get(client)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(b.rate.PerSecond), b.rate.Burst)
		// If two come first at the same time, one's bucket stays.
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

// Wait is how long until a client may take a token, 0 if there is one.
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

// until is how long it takes until there is one token.
func (b *Buckets[K]) until(tokens float64) time.Duration {
	return max(time.Duration((1-tokens)/b.rate.PerSecond*float64(time.Second)), time.Millisecond)
}
