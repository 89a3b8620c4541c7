package paymentstest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"boxoffice/domain"
)

func subjectOf(m *Memory) *Subject {
	hooks := make(chan Webhook, 1000)
	m.Deliver = func(w Webhook) { hooks <- w }
	return &Subject{
		Provider:  m,
		Processes: true,
		SetAway:   m.SetAway, SetLimited: m.SetLimited,

		RefuseCaptures: m.RefuseCaptures,
		Do:             func(_ context.Context, page domain.PayPage, deed Deed) error { return m.Do(page, deed) },
		Webhook: func(ctx context.Context) (Webhook, error) {
			select {
			case w := <-hooks:
				return w, nil
			case <-ctx.Done():
				return Webhook{}, ctx.Err()
			}
		},
		Foreign: func() (Webhook, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return *m.hook("payout.paid", ""), nil
		},
	}
}

func TestMemoryKeepsThePromises(t *testing.T) {
	Run(t, func(*testing.T) *Subject { return subjectOf(NewMemory()) })
}

func TestMemoryKeepsThePromisesWhereItAnswersLate(t *testing.T) {
	Run(t, func(*testing.T) *Subject {
		m := NewMemory()
		m.Delay = func(string) time.Duration { return rand.N(2 * time.Millisecond) }
		return subjectOf(m)
	})
}

// A suite that cannot fail proves nothing.
func TestEveryBrokenPromiseIsFound(t *testing.T) {
	for _, b := range Breaks {
		t.Run(string(b), func(t *testing.T) {
			for _, p := range Promises {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				m := NewMemory()
				m.Break = b
				err := p.Check(ctx, subjectOf(m))
				inTime := ctx.Err() == nil
				cancel()
				if err != nil && inTime {
					t.Logf("%s: %v", p.Name, err)
					return
				}
			}
			t.Error("no promise of the suite finds it")
		})
	}
}
