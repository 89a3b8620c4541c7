package erasure_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"boxoffice/domain"
	"boxoffice/erasure"
)

// sweep is a database of orders that are due, some of them not settled.
type sweep struct {
	due      []domain.OrderID
	open     map[domain.OrderID]bool
	away     bool
	mine     bool
	requests int
}

func (s *sweep) keeper() *erasure.Keeper {
	return &erasure.Keeper{Due: s.Due, Erase: s.Erase, Log: slog.New(slog.DiscardHandler), Mine: func(context.Context) (bool, error) { return s.mine, nil }}
}

func (s *sweep) Due(_ context.Context, after domain.OrderID, limit int) (page []domain.OrderID, err error) {
	for _, id := range s.due {
		if slices.Compare(id[:], after[:]) > 0 && len(page) < limit {
			page = append(page, id)
		}
	}
	return page, nil
}

func (s *sweep) Erase(_ context.Context, r domain.ErasureRequest) (domain.Erasure, error) {
	s.requests++
	if s.away {
		return domain.Erasure{}, errAway
	}
	for _, id := range r.Orders {
		if s.open[id] {
			return domain.Erasure{}, domain.NotSettled("open", []string{id.String()})
		}
	}
	s.due = slices.DeleteFunc(s.due, func(id domain.OrderID) bool { return slices.Contains(r.Orders, id) })
	return domain.Erasure{Orders: r.Orders}, nil
}

// A pass erases all that is due but what is not settled. The next one goes on.
func TestAPassErasesWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const orders = 250
		s := &sweep{mine: true, open: make(map[domain.OrderID]bool)}
		for i := range orders {
			s.due = append(s.due, domain.OrderID{byte(i >> 8), byte(i), 1})
		}
		open := []domain.OrderID{s.due[0], s.due[7], s.due[249]}
		for _, id := range open {
			s.open[id] = true
		}
		if n, err := s.keeper().Pass(t.Context()); err != nil || n != orders-len(open) || !slices.Equal(s.due, open) {
			t.Fatalf("erased %d, %v, left %v, want all but the 3 that are open", n, err, s.due)
		}
		delete(s.open, open[1])
		s.away = true
		if n, err := s.keeper().Pass(t.Context()); !errors.Is(err, errAway) || n != 0 {
			t.Fatalf("erased %d, %v, want none while the database is away", n, err)
		}
		s.away, s.mine, s.requests = false, false, 0
		if n, err := s.keeper().Pass(t.Context()); err != nil || n != 0 || s.requests != 0 {
			t.Fatalf("erased %d, %v in %d requests, want none: another process does it", n, err, s.requests)
		}
		s.mine = true
		if n, err := s.keeper().Pass(t.Context()); err != nil || n != 1 || !slices.Equal(s.due, []domain.OrderID{open[0], open[2]}) {
			t.Fatalf("erased %d, %v, left %v, want the one that was settled", n, err, s.due)
		}
	})
}
