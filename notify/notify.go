// Package notify feeds the event log to readers such as mail, webhooks, Kafka and views. A
// Reader is a name and a function. A Runner calls it with every event at least once, and
// keeps the events of one order or sale in order.
//
// Any number of nodes run the same readers. Each reader's work is split by subject into
// domain.EventShards shards. A node works on the shards that it leases in the database, and
// a cursor moves only under the lease that it was read under. So a node whose lease ran out
// cannot move a cursor. It may still have done something meanwhile, which is why effects
// are keyed by reader and event (domain.Event.Key).
//
// There are three kinds of failure, see Refused, Later and Reader.Handle.
package notify

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"boxoffice/domain"
)

// A Reader handles events.
type Reader struct {
	// Name is what cursors and effects are stored under: 1–32 lower-case letters, digits and
	// hyphens. A renamed reader is a new one.
	Name string
	// Types are the event types that it wants; none: all, including types of later releases.
	Types []domain.EventType
	// FromNow: a new reader begins with the next event, not with what is already in the log.
	FromNow bool
	// BatchMax is the most events in one call; 0: one. The cursor is stored after each call,
	// so a crash repeats at most one call.
	BatchMax int
	// Timeout bounds a call; 0: TimeoutDefault.
	Timeout time.Duration
	// Handle returns nil once its effect is durable. It may be called again with the same
	// events, and at the same time with those of other subjects. The errors Refused and Later
	// are about an event. A *domain.Error counts as Refused, unless it is CodeOverloaded. Any
	// other error is about the world: the events of this shard wait, and are retried for ever.
	// If a batch is refused, its events are tried one by one.
	Handle func(ctx context.Context, events []domain.Event) error
}

// TimeoutDefault bounds a call of Handle if the reader sets no bound.
const TimeoutDefault = 30 * time.Second

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (r *Reader) check() error {
	switch {
	case !namePattern.MatchString(r.Name):
		return fmt.Errorf("notify: reader %q: want 1–32 lower-case letters, digits and hyphens", r.Name)
	case r.Handle == nil:
		return fmt.Errorf("notify: reader %s has no Handle", r.Name)
	case r.BatchMax < 0 || r.Timeout < 0:
		return fmt.Errorf("notify: reader %s: bounds must not be negative", r.Name)
	}
	for _, t := range r.Types {
		if err := t.Check(); err != nil {
			return fmt.Errorf("notify: reader %s: %w", r.Name, err)
		}
	}
	return nil
}

type ofEvent struct {
	error
	later bool
}

func (e ofEvent) Unwrap() error { return e.error }

// Refused says that the event itself is at fault: after some tries it is set aside until an
// operator asks for it. Events of the same subject wait behind it. Others do not.
func Refused(err error) error { return ofEvent{error: err} }

// Later says that this event cannot be handled now, while others can. One example is a mail
// that the recipient's server defers. The event is set aside at once and retried without
// anybody asking. Events of the same subject wait behind it. Others do not.
func Later(err error) error { return ofEvent{error: err, later: true} }

// A Result is the result of a reader's call.
type Result string

// The results of a call.
const (
	ResultDone    Result = "done"
	ResultRefused Result = "refused" // the event is at fault
	ResultLater   Result = "later"   // the event cannot be handled now
	ResultFailed  Result = "failed"  // the world is at fault, whatever the event
)

// Results lists them.
var Results = []Result{ResultDone, ResultRefused, ResultLater, ResultFailed}

func resultOf(err error) Result {
	if err == nil {
		return ResultDone
	}
	var event ofEvent
	if errors.As(err, &event) {
		if event.later {
			return ResultLater
		}
		return ResultRefused
	}
	var definite *domain.Error
	if !domain.IsUnknown(err) && errors.As(err, &definite) && definite.Code != domain.CodeOverloaded {
		return ResultRefused
	}
	return ResultFailed
}
