package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"testing"

	"boxoffice/domain"
)

// brokenOff is a desk with n workflows that broke off, every second of which was started
// again before.
type brokenOff struct {
	workflows int
	before    bool  // they were all started again before
	err       error // at the end of the list
	taken     []string
}

func (b *brokenOff) Unfinished(context.Context) iter.Seq2[domain.Workflow, error] {
	return func(yield func(domain.Workflow, error) bool) {
		for n := range b.workflows {
			if !yield(domain.Workflow{ID: fmt.Sprint("late/", n), Failed: true}, nil) {
				return
			}
		}
		if b.err != nil {
			yield(domain.Workflow{}, b.err)
		}
	}
}

func (b *brokenOff) TakeUp(_ context.Context, u domain.Workflow) (bool, error) {
	b.taken = append(b.taken, u.ID)
	return len(b.taken)%2 == 0 && !b.before, nil
}

func TestTheAuditTakesUpWhatBrokeOff(t *testing.T) {
	tests := []struct {
		name  string
		desk  brokenOff
		asked int
	}{
		{"nothing", brokenOff{}, 0},
		{"some", brokenOff{workflows: 3}, 3},
		{"so many at most", brokenOff{workflows: 10 * takeUpMax}, 2 * takeUpMax},
		{"asked about at most", brokenOff{workflows: 10 * takeUpAsksMax, before: true}, takeUpAsksMax},
		{"and no further than the list", brokenOff{workflows: 3, err: errors.New("away")}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			takeUpBrokenOff(t.Context(), &tt.desk, slog.New(slog.DiscardHandler))
			if len(tt.desk.taken) != tt.asked {
				t.Fatalf("%d in tt.desk.taken, want %d: %q", len(tt.desk.taken), tt.asked, tt.desk.taken)
			}
		})
	}
}
