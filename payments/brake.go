package payments

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"boxoffice/domain"
)

// A RateLimitedError says that the provider did nothing because it was asked too often. An
// adapter's *domain.UnknownError wraps it.
type RateLimitedError struct {
	RetryAfter time.Duration // 0: it does not say
	Err        error
}

// Error implements error.
func (e *RateLimitedError) Error() string { return fmt.Sprintf("rate limit: %v", e.Err) }

// Unwrap returns the cause.
func (e *RateLimitedError) Unwrap() error { return e.Err }

// RetryAfter reads the header of that name in seconds; 0 if there is none, or it is a date.
func RetryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, int(brakePauseMax/time.Second))) * time.Second
}

// Limits of a brake.
const (
	// brakePauseMin is the first pause if the provider names none. It doubles with each
	// limit that follows, up to brakePauseMax, which also limits what a provider may ask
	// for.
	brakePauseMin = time.Second
	brakePauseMax = time.Minute
	// brakeRetryAfter is the hint to those who come while as many calls as are allowed are
	// under way. They are spread over twice that.
	brakeRetryAfter = time.Second
	// brakeOff: with so many calls allowed at once, nothing is held back.
	brakeOff = 64
)

// A brake slows the calls to a provider that answers with its rate limit. First nobody
// calls it, for as long as it says, else for a pause that doubles. Then one call at a time
// does, and two more for each that goes through (slow start). What is held back is refused
// at once, and nothing was sent: the callers retry anyway. It is safe for concurrent use;
// the zero value holds nothing back.
type brake struct {
	mu      sync.Mutex
	until   time.Time     // nobody calls before
	pause   time.Duration // the last one
	allowed int           // calls at once, after the pause; 0: as many as come
	under   int           // calls under way while there is a limit
}

// call makes a call, unless it is held back.
func (b *brake) call(provider string, do func() error) error {
	counted, wait := b.enter()
	if wait > 0 {
		return heldBack(provider, wait)
	}
	err := do()
	b.leave(counted, err)
	return err
}

func heldBack(provider string, wait time.Duration) error {
	return &domain.Error{
		Code: domain.CodeOverloaded, RetryAfter: wait,
		Detail: "The payment provider takes no more requests at the moment. Nothing was sent.",
		Err:    fmt.Errorf("payment provider %s answered with its rate limit: calls to it are held back", provider),
	}
}

// enter returns how long to wait instead.
func (b *brake) enter() (counted bool, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.allowed == 0 {
		return false, 0
	}
	spread := time.Duration(rand.Int64N(int64(brakeRetryAfter)))
	switch left := time.Until(b.until); {
	case left > 0:
		return false, left + spread
	case b.under >= b.allowed:
		return false, brakeRetryAfter + spread
	default:
		b.under++
		return true, 0
	}
}

func (b *brake) leave(counted bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if counted {
		b.under--
	}
	var limited *RateLimitedError
	switch now := time.Now(); {
	case errors.As(err, &limited):
		if now.Before(b.until) {
			return // of a call that was sent before: it says nothing new
		}
		b.pause = min(max(2*b.pause, brakePauseMin), brakePauseMax)
		b.until, b.allowed = now.Add(min(max(b.pause, limited.RetryAfter), brakePauseMax)), 1
	case counted && !domain.IsUnknown(err):
		if b.allowed += 2; b.allowed >= brakeOff {
			b.allowed, b.pause = 0, 0
		}
	}
}

// wait is how long nothing is sent; 0: something may be.
func (b *brake) wait() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, time.Until(b.until))
}

// holdsBack reports whether calls are held back now.
func (b *brake) holdsBack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.allowed > 0
}
