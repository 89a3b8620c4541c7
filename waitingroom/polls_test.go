package waitingroom

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Everybody who waits for the draw asks as often as they are told. However they came
// before, no more of them ask in a second than a node answers, and all have asked within
// the time that this takes.
func TestTheDrawCausesNoStampede(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, joined := range []int64{1, 1000, 10_000, 100_000} {
		window := time.Duration(float64(joined) / drawPollsPerSecond * float64(time.Second))
		for name, asksBefore := range map[string]func() time.Duration{
			"all by one mail":          func() time.Duration { return time.Minute },
			"at any time":              func() time.Duration { return time.Duration(random.Int64N(int64(time.Minute))) },
			"in the last half minute":  func() time.Duration { return time.Duration(random.Int64N(int64(30 * time.Second))) },
			"at once, 25 s before":     func() time.Duration { return 25 * time.Second },
			"at once, a second before": func() time.Duration { return time.Second },
		} {
			t.Run(fmt.Sprintf("%d, %s", joined, name), func(t *testing.T) {
				polls := make(map[int64]int64) // by second after the opening
				for index := range joined {
					untilOpen := asksBefore()
					for untilOpen > 0 {
						told := retryAtDraw(untilOpen, joined, index)
						if told < retryMin || told > retryMax {
							t.Fatalf("told %v, %v before the opening", told, untilOpen)
						}
						untilOpen -= time.Duration(math.Ceil(told.Seconds())) * time.Second // as Retry-After has it
					}
					if late := -untilOpen; late > window+ExchangeInterval+2*time.Second {
						t.Fatalf("index %d asks %v after the opening, want within %v", index, late, window)
					}
					polls[int64(-untilOpen/time.Second)]++
				}
				for second, n := range polls {
					if float64(n) > 1.3*drawPollsPerSecond { // they are told whole seconds
						t.Errorf("%d ask in second %d after the opening, want about %d", n, second, drawPollsPerSecond)
					}
				}
			})
		}
	}
}
