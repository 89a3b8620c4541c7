// Package flight lets callers that ask for the same thing at the same time share one
// answer.
package flight

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Group is a set of questions under way. Its zero value is ready to use.
type Group struct{ flights singleflight.Group }

// Forget makes the next caller for a key ask anew, whatever is under way.
func (g *Group) Forget(key string) { g.flights.Forget(key) }

// Share runs read once for all who ask for key meanwhile. The read has its own deadline,
// so that a caller who leaves does not fail the others. If it panics, all callers get
// that as an error: singleflight itself would end the process.
func Share[T any](ctx context.Context, g *Group, key string, timeout time.Duration, read func(context.Context) (T, error)) (T, error) {
	done := g.flights.DoChan(key, func() (found any, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return read(ctx)
	})
	var zero T
	select {
	case <-ctx.Done():
		return zero, ctx.Err()
	case result := <-done:
		if result.Err != nil {
			return zero, result.Err
		}
		return result.Val.(T), nil
	}
}
