package payments

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

func limit(after time.Duration) error {
	return &domain.UnknownError{Op: "open", Err: &RateLimitedError{RetryAfter: after, Err: errors.New("429")}}
}

// refused makes a call that must not be sent, and returns when to come again.
func refused(t *testing.T, b *brake) time.Duration {
	t.Helper()
	err := b.call("stripe", func() error {
		t.Error("a call was sent that should be held back")
		return nil
	})
	var definite *domain.Error
	if !errors.As(err, &definite) || definite.Code != domain.CodeOverloaded || definite.RetryAfter <= 0 {
		t.Fatalf("%v, want overloaded with a time to come again", err)
	}
	return definite.RetryAfter
}

// sent makes a call that must be sent.
func sent(t *testing.T, b *brake, answer error) {
	t.Helper()
	was := false
	if err := b.call("stripe", func() error { was = true; return answer }); !was || !errors.Is(err, answer) {
		t.Fatalf("sent: %t, %v; want %v", was, err, answer)
	}
}

func TestABrakeWaitsAsLongAsItIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		asked time.Duration // by the provider
		want  time.Duration
	}{
		"it says nothing":   {0, brakePauseMin},
		"seven seconds":     {7 * time.Second, 7 * time.Second},
		"less than we wait": {time.Millisecond, brakePauseMin},
		"an hour":           {time.Hour, brakePauseMax},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b brake
				sent(t, &b, nil)
				sent(t, &b, limit(tt.asked))
				if wait := refused(t, &b); wait < tt.want || wait > tt.want+brakeRetryAfter {
					t.Errorf("come again after %s, want %s and a little", wait, tt.want)
				}
				time.Sleep(tt.want - 1)
				refused(t, &b)
				time.Sleep(time.Nanosecond)
				sent(t, &b, nil)
			})
		})
	}
}

func TestABrakesPausesDoubleUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		want := brakePauseMin
		for range 10 {
			sent(t, &b, limit(0))
			began := time.Now()
			for {
				held := true
				_ = b.call("stripe", func() error { held = false; return errors.ErrUnsupported })
				if !held {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if took := time.Since(began); took != want {
				t.Errorf("a pause of %s, want %s", took, want)
			}
			want = min(2*want, brakePauseMax)
		}
	})
}

// After the pause one call is sent, and two more for each that goes through. Answers that say nothing, such as an outage,
// change nothing.
func TestABrakeStartsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		sent(t, &b, limit(0))
		time.Sleep(brakePauseMin)
		for want := 1; want < brakeOff; want += 2 {
			release := make(chan struct{})
			var all sync.WaitGroup
			for range want {
				all.Go(func() {
					if err := b.call("stripe", func() error { <-release; return &domain.UnknownError{} }); !domain.IsUnknown(err) {
						t.Errorf("%d at once: %v", want, err)
					}
				})
			}
			synctest.Wait()
			refused(t, &b)
			close(release)
			all.Wait()
			if !b.holdsBack() {
				t.Errorf("%d calls whose outcome is not known ended it", want)
			}
			sent(t, &b, domain.NotFound("session")) // a definite no is an answer too
		}
		if b.holdsBack() {
			t.Error("it never ends")
		}
		for range 2 * brakeOff {
			sent(t, &b, nil)
		}
		sent(t, &b, limit(0))
		if wait := refused(t, &b); wait > brakePauseMin+brakeRetryAfter {
			t.Errorf("what was long ago makes the next pause %s", wait)
		}
	})
}

// Many calls may be under way when the first is told of the limit: they are one limit, not many.
func TestLateAnswersOfALimitAreNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_ = b.call("stripe", func() error { time.Sleep(time.Millisecond); return limit(0) })
			})
		}
		all.Wait()
		if wait := refused(t, &b); wait > brakePauseMin+brakeRetryAfter {
			t.Errorf("a hundred answers make a pause of %s", wait)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0, "86400": brakePauseMax, "99999999999999999999": 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
