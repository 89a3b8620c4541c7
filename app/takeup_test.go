package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
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

func (b *brokenOff) Unfinished(context.Context, *domain.Sale) iter.Seq2[domain.Workflow, error] {
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

// onRecord has all orders but those that are lost.
type onRecord struct{ lost domain.OrderID }

func (o onRecord) Order(_ context.Context, id domain.OrderID) (domain.SoldOrder, error) {
	if id == o.lost && !id.IsZero() {
		return domain.SoldOrder{}, domain.NotFound("order")
	}
	return domain.SoldOrder{}, nil
}

// listed is a desk with these workflows, all broken off.
type listed struct {
	brokenOff
	ids map[string]domain.OrderID
}

func (l *listed) Unfinished(context.Context, *domain.Sale) iter.Seq2[domain.Workflow, error] {
	return func(yield func(domain.Workflow, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(l.ids)) {
			if !yield(domain.Workflow{ID: id, Order: l.ids[id], Failed: true}, nil) {
				return
			}
		}
	}
}

// While the refund of an order without its record is tried again and again, the order looks as if it
// were under way, and is never restored.
func TestTheRefundOfALostOrderWaitsForItsRecord(t *testing.T) {
	lost, there := domain.OrderID{1}, domain.OrderID{2}
	desk := &listed{ids: map[string]domain.OrderID{"refund/1": lost, "refund/2": there, "late/1": lost}}
	takeUpBrokenOff(t.Context(), desk, onRecord{lost}, slog.New(slog.DiscardHandler))
	if want := []string{"late/1", "refund/2"}; !slices.Equal(desk.taken, want) {
		t.Errorf("taken up: %q, want %q", desk.taken, want)
	}
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
			takeUpBrokenOff(t.Context(), &tt.desk, onRecord{}, slog.New(slog.DiscardHandler))
			if len(tt.desk.taken) != tt.asked {
				t.Fatalf("%d in tt.desk.taken, want %d: %q", len(tt.desk.taken), tt.asked, tt.desk.taken)
			}
		})
	}
}
