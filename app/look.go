package app

import (
	"context"
	"sync"
	"time"

	"boxoffice/pace"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	lookInterval = 5 * time.Second
	lookTimeout  = 2 * time.Second
)

// A look keeps the database's answer to a question. It asks at its own pace, so reading
// /metrics, however often, asks nobody. If the database is away, the last answer stays,
// and its age shows that.
type look[T any] struct {
	ask func(context.Context) (T, error)
	now func() time.Time

	mu   sync.Mutex
	last T
	at   time.Time // zero: it never answered
}

func newLook[T any](ask func(context.Context) (T, error)) *look[T] {
	return &look[T]{ask: ask, now: time.Now}
}

// lookAge describes how old a look's answer is.
func lookAge(of string) *prometheus.Desc {
	return prometheus.NewDesc("boxoffice_look_age_seconds", "How old what this process last read of the database for its metrics is.",
		nil, prometheus.Labels{"of": of})
}

// start asks at once and then repeatedly until stop, which waits for the last question.
func (l *look[T]) start() (stop func()) { return pace.Every(lookInterval, l.refresh) }

func (l *look[T]) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	at := l.now() // the answer is no newer than the question
	found, err := l.ask(ctx)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.at = found, at
}

// found returns the last answer, and when it was asked for.
func (l *look[T]) found() (last T, at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.at, !l.at.IsZero()
}
