package waitingroom

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"boxoffice/domain"
)

// A drawnCrowd is a sale of few tickets that many wait for, each taking one. Who obeys asks
// when they were told to, and up to a quarter of that later; who is hasty asks all the time.
type drawnCrowd struct {
	people, tickets int64
	hasty           func(place int64) bool
	nodes           int
	seed            uint64
}

// sold answers the places that got a ticket.
func (c *drawnCrowd) sold() (places []int64) {
	random := rand.New(rand.NewPCG(c.seed, 0))
	start := time.Unix(1000, 0)
	q := domain.Queue{
		SaleID: "sale", Joined: c.people, Drawn: c.people, Settings: domain.QueueSettings{}.WithDefaults(), Now: start, DrawnAt: start,
		Door: domain.QueueDoor{MovedAt: start},
	}
	permutation := NewPermutation([]byte{byte(c.seed)}, c.people)
	next := make([]time.Duration, min(c.people, 3000)) // 0: no more
	for place := range next {
		told := math.Ceil(retryAtDraw(0, c.people, permutation.Index(int64(place))).Seconds())
		next[place] = time.Duration(told * (1 + addedShare*random.Float64()) * float64(time.Second))
		if c.hasty(int64(place)) {
			next[place] = ExchangeInterval
		}
	}
	rooms := make([]*room, c.nodes)
	for i := range rooms {
		rooms[i] = newRoom("sale", 0)
	}
	var came []time.Duration
	counted, countedAt := c.tickets, time.Duration(0) // as the ledger said last
	for now := ExchangeInterval; int64(len(places)) < c.tickets && now < 5*time.Minute; now += ExchangeInterval {
		if now%(2*StockInterval) == 0 {
			counted, countedAt = c.tickets-int64(len(places)), now
		}
		lately := 0
		for _, at := range came {
			if now-at < 2*time.Second {
				lately++
			}
		}
		q.Now = start.Add(now)
		of := rooms[int(now/ExchangeInterval)%c.nodes]
		own := domain.QueueNode{Node: "a", SeenAt: q.Now, Base: q.Door.Admitted &^ 7, Present: bytes.Repeat([]byte{0xff}, windowPlaces/8)}
		does := doing(float64(lately) / 2)
		own.Load = does.own.bytes()
		moveDoor(&q, &own, 1, false, true, &entering{people: of.mayEnter(&q, freeSeats{available: counted, taken: c.tickets - counted, limit: 1, at: countedAt}, now)})
		for _, place := range random.Perm(len(next)) {
			place := int64(place)
			switch {
			case next[place] == 0 || next[place] > now:
			case place < q.Door.Admitted:
				next[place] = 0
				came = append(came, now)
				if int64(len(places)) < c.tickets {
					places = append(places, place)
				}
			case c.hasty(place):
				next[place] = now + ExchangeInterval
			default:
				told := math.Ceil(retryAfter(&q, place-q.Door.Admitted+1).Seconds())
				next[place] = now + time.Duration(told*(1+addedShare*random.Float64())*float64(time.Second))
			}
		}
	}
	return places
}

// TestWinnersOfTheDrawLoseNothingByObeying: whoever asks when they are told to gets the
// ticket that the draw gave, also where those behind ask ten times a second.
func TestWinnersOfTheDrawLoseNothingByObeying(t *testing.T) {
	for _, people := range []int64{3000, 100_000} {
		for _, tickets := range []int64{50, 200, 1000} {
			for name, hasty := range map[string]func(int64) bool{
				"all obey":                 func(int64) bool { return false },
				"those behind do not":      func(place int64) bool { return place >= tickets },
				"every third does not":     func(place int64) bool { return place%3 == 0 },
				"nobody obeys but the 7th": func(place int64) bool { return place != 6 },
			} {
				t.Run(fmt.Sprintf("%d people, %d tickets, %s", people, tickets, name), func(t *testing.T) {
					const runs = 3
					lost := 0
					for seed := range uint64(runs) {
						c := drawnCrowd{people: people, tickets: tickets, hasty: hasty, nodes: 1 + int(seed), seed: seed}
						sold := c.sold()
						if int64(len(sold)) != tickets {
							t.Fatalf("%d of %d tickets are sold", len(sold), tickets)
						}
						for _, place := range sold {
							if place >= tickets {
								lost++
							}
						}
					}
					if share := float64(lost) / float64(runs*tickets); share >= 0.01 {
						t.Errorf("%.1f %% of those drawn within the tickets lose them to places behind", 100*share)
					}
				})
			}
		}
	}
}

// With many seats nobody is kept waiting; with few the door goes on once those let in had
// their time, as many seats as are left by them at a time.
func TestTheDoorWaitsForThoseWhoHaveNotHeard(t *testing.T) {
	for name, c := range map[string]struct {
		available, each, took int64 // took: by each who was let in
		soon, later           int64 // let in within the first second, and once those have heard
	}{
		"many seats":                  {10_000, 1, 1, 200, 400},
		"few seats":                   {50, 1, 1, 50, 100},
		"few, of several each":        {50, 2, 2, 25, 50},
		"fewer than one may take":     {3, 4, 4, 1, 2},
		"few, of which most take one": {50, 4, 1, 12, 52}, // then a quarter more than one each is kept
	} {
		t.Run(name, func(t *testing.T) {
			store := newMemory(0)
			store.q.Settings = domain.QueueSettings{RateFloor: 100, RateCeiling: 2000}
			sale := *testSale
			sale.BuyerLimit = c.each
			n := newNode(t, store, "a", func() domain.StockLevel {
				return domain.StockLevel{Name: "A", Ledger: 1, Available: c.available, Sold: c.took * store.q.Door.Entered}
			})
			n.of.def.Store(&sale)
			n.tick() // the draw, of nobody
			store.pass(time.Minute)
			for range restExchanges + 1 {
				n.tick()
			}
			if _, err := n.join(5000); err != nil {
				t.Fatal(err)
			}
			pass := func(d time.Duration) int64 {
				for range d / TurnInterval {
					store.pass(TurnInterval)
					n.ages(TurnInterval)
					n.tick()
				}
				return store.q.Door.Admitted
			}
			bounded := c.soon < 200
			if got := pass(time.Second); bounded && got != c.soon || got < c.soon {
				t.Errorf("%d are let in at once, want %d", got, c.soon)
			}
			if got := pass(heardIn + TurnInterval); bounded && got != c.later || got < c.later {
				t.Errorf("%d are let in once the first had their time, want %d", got, c.later)
			}
		})
	}
}
