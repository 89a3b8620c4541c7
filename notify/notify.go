// Package notify brings the event log to those who listen: mail, webhooks, Kafka, views.
// A Reader is a name and a function; a Runner calls it with every event, at least once,
// those of one order or sale in their order.
//
// Any number of nodes run the same readers. Each reader's work is in domain.EventShards
// parts by subject; a part belongs to the node that leases it in the database, and a
// cursor moves only for the lease that it was read under. So a node that was paused
// keeps nothing, but what it did meanwhile is done: effects are keyed by reader and
// event (domain.Event.Key).
//
// What goes wrong is one of three things, see Refused, Later and Reader.Handle.
package notify

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"boxoffice/domain"
)

// A Reader hears of events.
type Reader struct {
	// Name is under what its cursors and effects are kept: 1–32 lower-case letters,
	// digits and hyphens. One that is renamed is new.
	Name string
	// Types are what it hears of; none: of all, also of those that come later.
	Types []domain.EventType
	// FromNow: where it was never there before it begins with what comes, not with
	// what is in the log.
	FromNow bool
	// BatchMax is the most events in one call; 0: one. After each call the cursor is
	// kept, so that a crash repeats no more than a call.
	BatchMax int
	// Timeout bounds a call; 0: TimeoutDefault.
	Timeout time.Duration
	// Handle has done something about the events when it returns nil, and has made that
	// durable. It may be called with the same ones again, and at the same time with
	// those of other subjects. Errors: Refused and Later are about an event; a
	// *domain.Error is Refused, unless it is CodeOverloaded; any other is about the
	// world: the events of this part wait, and are tried again for ever.
	// Where a batch is refused, its events are tried one by one.
	Handle func(ctx context.Context, events []domain.Event) error
}

// TimeoutDefault is how long a call of Handle may take where the reader does not say.
const TimeoutDefault = 30 * time.Second

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func (r *Reader) check() error {
	switch {
	case !namePattern.MatchString(r.Name):
		return fmt.Errorf("notify: reader %q: want 1–32 lower-case letters, digits and hyphens", r.Name)
	case r.Handle == nil:
		return fmt.Errorf("notify: reader %s handles nothing", r.Name)
	case r.BatchMax < 0 || r.Timeout < 0:
		return fmt.Errorf("notify: reader %s: want no negative bounds", r.Name)
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

// Refused says that the event itself is at fault: after some tries it is set aside until
// somebody asks for it. Events of the same subject wait behind it, others do not.
func Refused(err error) error { return ofEvent{error: err} }

// Later says that this event cannot be now, and others can, such as a mail to an address
// whose server says so: it is set aside at once and tried again by itself. Events of the
// same subject wait behind it, others do not.
func Later(err error) error { return ofEvent{error: err, later: true} }

// A Result is how a call of a reader ended.
type Result string

// The results of a call.
const (
	ResultDone    Result = "done"
	ResultRefused Result = "refused" // the event is at fault
	ResultLater   Result = "later"   // the event cannot be now
	ResultFailed  Result = "failed"  // the world is: whatever the event
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
