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

// A drawnCrowd is a sale of few tickets that many people wait for. The obedient ask when they
// were told to, or up to a quarter of that later. The hasty ask all the time.
type drawnCrowd struct {
	people, tickets int64
	limit           int64                   // of a buyer; 0: 1
	wish            func(place int64) int64 // how many tickets a person wants; 0: they never come; nil: one each
	hasty           func(place int64) bool
	nodes           int
	seed            uint64
}

// sold returns the places that got what they wanted, and when all was sold.
func (c *drawnCrowd) sold() (places []int64, after time.Duration) {
	limit, left, wish := max(c.limit, 1), c.tickets, c.wish
	if wish == nil {
		wish = func(int64) int64 { return 1 }
	}
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
	counted, countedAt := c.tickets, time.Duration(0) // as the ledger last said
	now := ExchangeInterval
	for ; left > 0 && now < 5*time.Minute; now += ExchangeInterval {
		if now%(2*StockInterval) == 0 {
			counted, countedAt = left, now
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
		moveDoor(&q, &own, 1, false, true, &entering{people: of.mayEnter(&q, freeSeats{available: counted, taken: c.tickets - counted, limit: limit, at: countedAt}, now)})
		for _, place := range random.Perm(len(next)) {
			place := int64(place)
			switch {
			case next[place] == 0 || next[place] > now:
			case place < q.Door.Admitted:
				next[place] = 0
				wants := min(wish(place), left)
				if wish(place) == 0 {
					continue
				}
				came = append(came, now)
				rooms[random.IntN(c.nodes)].arrivals.arrived(now, place)
				if left -= wants; wants > 0 {
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
	return places, now
}

// lost is how many tickets went to places behind those that should have had them.
func (c *drawnCrowd) lost(sold []int64) (tickets int64) {
	got := make(map[int64]bool, len(sold))
	for _, place := range sold {
		got[place] = true
	}
	for place, left := int64(0), c.tickets; left > 0; place++ {
		wants := min(c.wish(place), left)
		if left -= wants; !got[place] {
			tickets += wants
		}
	}
	return tickets
}

// Somebody who asks when they are told to gets the ticket that the draw gave them, even if those
// behind ask ten times a second.
func TestWinnersOfTheDrawLoseNothingByObeying(t *testing.T) {
	for _, people := range []int64{3000, 100_000} {
		for _, tickets := range []int64{50, 200, 1000} {
			for name, hasty := range map[string]func(int64) bool{
				"all obey":             func(int64) bool { return false },
				"those behind do not":  func(place int64) bool { return place >= tickets },
				"every third does not": func(place int64) bool { return place%3 == 0 },
				"only the 7th obeys":   func(place int64) bool { return place != 6 },
			} {
				t.Run(fmt.Sprintf("%d people, %d tickets, %s", people, tickets, name), func(t *testing.T) {
					const runs = 3
					lost := 0
					for seed := range uint64(runs) {
						c := drawnCrowd{people: people, tickets: tickets, hasty: hasty, nodes: 1 + int(seed), seed: seed}
						sold, _ := c.sold()
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

// The last seats go to those who are first, even if some take several and others never come. The
// seats are not sold one by one: the door no longer waits for people who have come, and if
// everybody takes one, it lets in as many people as there are seats.
func TestTheLastSeatsGoToThoseWhoAreFirst(t *testing.T) {
	mixed := func(of ...int64) func(int64) int64 {
		return func(place int64) int64 { return of[int(phase(place)*float64(len(of)))] }
	}
	for name, c := range map[string]struct {
		wish   func(place int64) int64
		within time.Duration // when all is sold, if one node sees everybody who comes
	}{
		"all take one":                       {mixed(1), 25 * time.Second},
		"all take all that they may":         {mixed(4), 18 * time.Second},
		"some take more":                     {mixed(1, 1, 1, 1, 1, 1, 1, 1, 2, 4), 28 * time.Second},
		"one to four":                        {mixed(1, 2, 3, 4), 23 * time.Second},
		"a third never come":                 {mixed(1, 1, 0), 38 * time.Second},
		"half never come, the others take 2": {mixed(2, 0), 36 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			const tickets, runs = 1000, 6
			lost := int64(0)
			for seed := range uint64(runs) {
				crowd := drawnCrowd{
					people: 100_000, tickets: tickets, limit: 4, wish: c.wish, nodes: 1 + int(seed)%3, seed: seed,
					hasty: func(place int64) bool { return place%3 == 0 },
				}
				sold, after := crowd.sold()
				lost += crowd.lost(sold)
				t.Logf("seed %d, %d nodes: sold after %v", seed, crowd.nodes, after)
				if crowd.nodes == 1 && after > c.within {
					t.Errorf("seed %d: sold after %v, want %v", seed, after, c.within)
				}
			}
			if share := float64(lost) / float64(runs*tickets); share >= 0.01 {
				t.Errorf("%.1f %% of the tickets go to places behind", 100*share)
			}
		})
	}
}

func TestHowManyPeopleSeatsAreEnoughFor(t *testing.T) {
	for name, c := range map[string]struct {
		seats freeSeats
		came  float64
		want  int64
	}{
		"nobody has come":                  {freeSeats{available: 100, limit: 4}, 0, 25},
		"nobody has come, a large limit":   {freeSeats{available: 100, limit: 50}, 0, 25},
		"the first took one":               {freeSeats{available: 100, taken: 1, limit: 4}, 1, 33},
		"all took one":                     {freeSeats{available: 100, taken: 900, limit: 4}, 900, 98},
		"one may take one":                 {freeSeats{available: 100, taken: 3, limit: 1}, 3, 100},
		"all took all that they may":       {freeSeats{available: 100, taken: 400, limit: 4}, 100, 25},
		"two on average":                   {freeSeats{available: 100, taken: 2000, limit: 4}, 1000, 41},
		"half came and took two each":      {freeSeats{available: 100, taken: 1000, limit: 4, absent: 0.5}, 1000, 75},
		"never more people than seats":     {freeSeats{available: 100, taken: 100, limit: 4, absent: 0.7}, 1000, 100},
		"more than all took what they may": {freeSeats{available: 100, taken: 9000, limit: 4}, 100, 25},
		"none is free":                     {freeSeats{taken: 10, limit: 4}, 10, 0},
		"no limit is known":                {freeSeats{available: 7}, 0, 7},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.seats.peopleFor(c.came); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// The door stops waiting for people who came once the answer about the seats includes what they took.
func TestPeopleWhoCameKnowThatTheyWereLetIn(t *testing.T) {
	const letIn = 10 * time.Second
	for name, c := range map[string]struct {
		cameAt  time.Duration
		places  []int64 // that came
		counted time.Duration
		want    int64
	}{
		"nobody came":                         {letIn + time.Second, nil, letIn + time.Second, 10},
		"three came, and are counted":         {letIn + 500*time.Millisecond, []int64{100, 105, 109}, letIn + time.Second, 7},
		"three came after the count":          {letIn + time.Second, []int64{100, 105, 109}, letIn + time.Second, 10},
		"three came, too late to be counted":  {letIn + 800*time.Millisecond, []int64{100, 105, 109}, letIn + time.Second, 10},
		"somebody who was let in long before": {letIn + 500*time.Millisecond, []int64{3, 99}, letIn + time.Second, 10},
	} {
		t.Run(name, func(t *testing.T) {
			q := domain.Queue{Settings: domain.QueueSettings{}.WithDefaults(), Now: time.Unix(1000, 0), Door: domain.QueueDoor{Admitted: 100, Entered: 100}}
			of := newRoom("sale", 0)
			of.unheard(&q, freeSeats{}, time.Second)
			of.unheard(&q, freeSeats{at: letIn}, letIn)
			q.Door.Admitted, q.Door.Entered = 110, 110
			for _, place := range c.places {
				of.arrivals.arrived(c.cameAt, place)
			}
			if got := of.unheard(&q, freeSeats{at: c.counted}, letIn+time.Second); got != c.want {
				t.Errorf("%d may not know yet, want %d", got, c.want)
			}
		})
	}
	t.Run("more than are remembered", func(t *testing.T) {
		var a arrivals
		for place := range int64(3 * recentMax) {
			a.arrived(time.Duration(place), place)
		}
		if n := a.known(0, time.Hour); n > recentMax || n < recentMax/2 || len(a.recent) > recentMax {
			t.Errorf("%d are known, %d kept", n, len(a.recent))
		}
		if newest := a.known(3*recentMax-1, time.Hour); newest != 1 {
			t.Errorf("the newest: %d", newest)
		}
	})
}

// With many seats nobody is kept waiting. With few, the door goes on once those it let in have
// had their time, by as many people as seats are left.
func TestTheDoorWaitsForThoseWhoDoNotKnowYet(t *testing.T) {
	for name, c := range map[string]struct {
		available, each, took int64 // took: how many each one who was let in takes
		soon, later           int64 // let in within the first second, and after those know
	}{
		"many seats":                    {10_000, 1, 1, 200, 400},
		"few seats":                     {50, 1, 1, 50, 100},
		"few, of several each":          {50, 2, 2, 25, 50},
		"fewer than one may take":       {3, 4, 4, 1, 2},
		"few, and most people take one": {50, 4, 1, 12, 45}, // then some are kept for those who take more
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
