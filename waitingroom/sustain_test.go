package waitingroom

import (
	"bytes"
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"boxoffice/domain"
)

// A simulated box office: sales with waiting people and a door each, and one engine about
// which the doors know only what Load says. It simulates seconds in milliseconds, and the
// same seed gives the same run.
type simulation struct {
	seed     uint64
	capacity func(at time.Duration) float64 // paid checkouts a second
	base     time.Duration                  // how long a hold or webhook takes on an idle engine
	nodes    func(at time.Duration) int
	sales    []*simulatedSale
	forTime  time.Duration
	tail     float64 // this share of the operations takes tailTook longer, for other reasons
	tailTook time.Duration
	tailTil  time.Duration // 0: always
	// pages are how many payment pages a second a provider gives; it refuses what is more.
	pages map[string]func(at time.Duration) float64

	random  *rand.Rand
	events  eventHeap
	order   int
	at      []*simulatedNode
	busyTil time.Duration // the engine's queue, first come, first served

	paid     times
	asked    times // the first checkouts of those let in
	webhooks []sample
	refused  int
	credit   map[string]float64 // pages that a provider gives now
	creditAt map[string]time.Duration
}

type simulatedSale struct {
	settings domain.QueueSettings
	opens    time.Duration
	people   int64                           // 0: more than the engine can do
	joins    int64                           // a second, instead: they come only once it is open
	think    time.Duration                   // at most this long from the page to the checkout
	direct   bool                            // it has no waiting room
	provider string                          // that must be asked for a page; empty: none
	bots     float64                         // this share keeps its place and never checks out
	known    func(now time.Duration) float64 // the rate of a door that knows the engine; nil: the door has to find it

	at    *arrivals // what the first node sees of the people who come
	q     domain.Queue
	rows  []domain.QueueNode
	paid  times
	rates []float64 // of the door, each 100 ms
	doors []int64   // how far it was then

	pages, unpaged times // payment pages that its provider gave, and refused
	told           []estimated
}

// estimated is the estimate that somebody got of their wait.
type estimated struct {
	at, wait time.Duration
	place    int64
}

type times []time.Duration

type sample struct{ at, took time.Duration }

type simulatedNode struct {
	pulse    pulse
	meter    Meter
	inFlight int
}

const (
	simulatedFar   = 5_000 // people
	simulatedSlots = 64    // checkouts under way on a node: the middle of the bound's range
)

type event struct {
	at    time.Duration
	order int
	do    func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].order, h[j].order)) < 0
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (s *simulation) after(now, wait time.Duration, do func()) {
	s.order++
	heap.Push(&s.events, event{now + wait, s.order, do})
}

func (s *simulation) run() {
	s.random = rand.New(rand.NewPCG(s.seed, 0))
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, sale := range s.sales {
		sale.at = new(arrivals)
		if sale.joins > 0 {
			sale.q = queueOf(sale, start, 0)
			s.after(0, ExchangeInterval, func() { s.join(ExchangeInterval, sale) })
			continue
		}
		people := cmp.Or(sale.people, int64(simulatedFar+1.5*s.capacity(0)*s.forTime.Seconds()))
		sale.q = queueOf(sale, start, people)
		// The door was paused until it opened: everybody has asked before.
		for place := range people {
			first := sale.opens + time.Duration(s.random.Float64()*(1+addedShare)*float64(retryAfter(&sale.q, place+1)))
			s.after(0, first, func() { s.poll(first, sale, place) })
		}
	}
	s.after(0, ExchangeInterval, func() { s.turn(ExchangeInterval, start) })
	for len(s.events) > 0 && s.events[0].at < s.forTime {
		heap.Pop(&s.events).(event).do()
	}
}

func queueOf(sale *simulatedSale, start time.Time, joined int64) domain.Queue {
	return domain.Queue{SaleID: "sale", Joined: joined, Settings: sale.settings.WithDefaults(), Now: start, Door: domain.QueueDoor{MovedAt: start}}
}

// join is somebody who comes late, and asks a second later.
func (s *simulation) join(now time.Duration, sale *simulatedSale) {
	place := sale.q.Joined
	sale.q.Joined++
	s.after(now, retryMin, func() { s.poll(now+retryMin, sale, place) })
	next := time.Duration(s.random.Float64() * 2 * float64(time.Second) / float64(sale.joins))
	s.after(now, next, func() { s.join(now+next, sale) })
}

// turn is what the nodes do in an interval: each looks at its load once, for all sales.
func (s *simulation) turn(now time.Duration, start time.Time) {
	for len(s.at) < s.nodes(now) {
		s.at = append(s.at, &simulatedNode{})
	}
	for i, n := range s.at[:s.nodes(now)] {
		open := 0
		for _, sale := range s.sales {
			if now >= sale.opens && isOpen(&sale.q, true) {
				open++
			}
		}
		load := Load{InFlight: n.inFlight, InFlightMax: simulatedSlots, Windows: n.meter.Windows(now), Direct: n.meter.Directs(now), Opens: n.meter.Opens(now)}
		checkouts := checkoutsOf(&load, n.pulse.take(&load, now), open)
		for _, sale := range s.sales {
			if now >= sale.opens {
				sale.turn(i, start, start.Add(now), checkouts)
				all, _ := words(sale.rows, start.Add(now))
				n.pulse.perSecond, _ = all.perSecond()
			}
		}
	}
	for _, sale := range s.sales {
		sale.rates = append(sale.rates, sale.q.Door.Rate)
		sale.doors = append(sale.doors, sale.q.Door.Admitted)
	}
	s.after(now, ExchangeInterval, func() { s.turn(now+ExchangeInterval, start) })
}

// turn is the exchange of the nth node.
func (sale *simulatedSale) turn(nth int, start, now time.Time, checkouts checkoutsState) {
	own := checkouts.own
	own.opens = opensOf(checkouts.opens[sale.provider])
	sale.q.Now = now
	if sale.known != nil {
		rate := sale.known(now.Sub(start))
		sale.q.Settings.RateFloor, sale.q.Settings.RateCeiling = rate, rate
	}
	if nth == 0 {
		own.came = sale.at.lately(now.Sub(start))
		own.let = sale.at.cohorts(now.Sub(start))
		defer func() { sale.at.moved(now.Sub(start), sale.q.Door.Admitted, sale.q.Door.Entered) }()
	}
	row := domain.QueueNode{
		Node: string(rune('a' + nth)), SeenAt: now, Congested: own.congested(), Load: own.bytes(),
		Base: sale.q.Door.Admitted &^ 7, Present: bytes.Repeat([]byte{0xff}, windowPlaces/8),
	}
	sale.q.Nodes = sale.rows
	moveDoor(&sale.q, &row, checkouts.part, checkouts.direct, true, &entering{people: 1 << 40})
	if sale.rows = slices.Clone(sale.rows); nth == len(sale.rows) {
		sale.rows = append(sale.rows, row)
	}
	sale.rows[nth] = row
}

// poll is somebody who asks when they are told to, or up to a quarter of that later.
func (s *simulation) poll(now time.Duration, sale *simulatedSale, place int64) {
	if place >= sale.q.Door.Admitted {
		wait := retryAfter(&sale.q, place-sale.q.Door.Admitted+1)
		if told := estimate(&sale.q, place-sale.q.Door.Admitted+1); told > 0 {
			sale.told = append(sale.told, estimated{now, told, place})
		}
		wait = time.Duration(math.Ceil(wait.Seconds())) * time.Second // as in the header
		wait += time.Duration(s.random.Float64() * addedShare * float64(wait))
		s.after(now, wait, func() { s.poll(now+wait, sale, place) })
		return
	}
	if s.random.Float64() < sale.bots {
		return
	}
	think := time.Duration(s.random.Float64() * float64(sale.think))
	s.after(now, think, func() {
		sale.at.arrived(now+think, place)
		s.asked = append(s.asked, now+think)
		s.checkout(now+think, sale)
	})
}

func (s *simulation) checkout(now time.Duration, sale *simulatedSale) {
	n := s.at[s.random.IntN(s.nodes(now))]
	if n.inFlight >= simulatedSlots {
		s.refused++
		n.meter.Refused(now)
		again := 2*time.Second + time.Duration(s.random.Float64()*float64(time.Second))
		s.after(now, again, func() { s.checkout(now+again, sale) })
		return
	}
	s.checkoutAt(now, sale, n)
}

func (s *simulation) checkoutAt(now time.Duration, sale *simulatedSale, n *simulatedNode) {
	n.inFlight++
	held := s.work(now)
	s.after(now, held, func() {
		n.inFlight--
		at := now + held
		n.meter.Held(at, held, true)
		if sale.direct {
			n.meter.Direct(at, "direct")
		}
		s.toPay(at, sale, n)
	})
}

// toPay asks for the provider's page until there is one, and pays.
func (s *simulation) toPay(at time.Duration, sale *simulatedSale, n *simulatedNode) {
	if limit := s.pages[sale.provider]; limit != nil {
		if s.credit == nil {
			s.credit, s.creditAt = map[string]float64{}, map[string]time.Duration{}
		}
		s.credit[sale.provider] = min(s.credit[sale.provider]+limit(at)*(at-s.creditAt[sale.provider]).Seconds(), 1+limit(at)/4)
		s.creditAt[sale.provider] = at
		isGiven := s.credit[sale.provider] >= 1
		n.meter.Open(at, sale.provider, isGiven)
		if !isGiven {
			sale.unpaged = append(sale.unpaged, at)
			again := 2*time.Second + time.Duration(s.random.Float64()*float64(3*time.Second))
			s.after(at, again, func() { s.toPay(at+again, sale, n) })
			return
		}
		s.credit[sale.provider]--
		sale.pages = append(sale.pages, at)
	}
	s.pay(at, sale, n)
}

func (s *simulation) pay(at time.Duration, sale *simulatedSale, n *simulatedNode) {
	settled := s.work(at)
	s.after(at, settled, func() {
		n.meter.Webhook(at+settled, settled)
		s.webhooks = append(s.webhooks, sample{at + settled, settled})
		s.paid = append(s.paid, at+settled)
		sale.paid = append(sale.paid, at+settled)
	})
}

// work is how long half a checkout occupies the engine.
func (s *simulation) work(now time.Duration) time.Duration {
	s.busyTil = max(s.busyTil, now)
	s.busyTil += time.Duration((0.5 + s.random.Float64()) / (2 * s.capacity(now)) * float64(time.Second))
	took := s.base + s.busyTil - now
	if (s.tailTil == 0 || now < s.tailTil) && s.random.Float64() < s.tail {
		took += s.tailTook
	}
	return took
}

func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}

// perSecond is how many there are a second between two times.
func (t times) perSecond(from, to time.Duration) float64 {
	n := 0
	for _, at := range t {
		if at >= from && at < to {
			n++
		}
	}
	return float64(n) / (to - from).Seconds()
}

// reached is when a second first had this many paid checkouts; the end if never.
func (s *simulation) reached(perSecond float64, from time.Duration) time.Duration {
	const step = 500 * time.Millisecond
	for at := from; at+4*step <= s.forTime; at += step {
		if s.paid.perSecond(at, at+4*step) >= perSecond {
			return at + 4*step - from
		}
	}
	return s.forTime
}

// webhook is a quantile of webhook times between two times.
func (s *simulation) webhook(q float64, from, to time.Duration) time.Duration {
	var took []time.Duration
	for _, w := range s.webhooks {
		if w.at >= from && w.at < to {
			took = append(took, w.took)
		}
	}
	return quantile(took, q)
}

func always(perSecond float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return perSecond }
}

func oneNode(time.Duration) int { return 1 }

func oneSale() []*simulatedSale { return []*simulatedSale{{}} }

// The door follows the engine down to a third of its rate and up again.
func TestTheDoorFollowsTheEngine(t *testing.T) {
	const slowAt, wellAt = 25 * time.Second, 50 * time.Second
	for seed := range uint64(2) {
		s := &simulation{seed: seed, nodes: oneNode, sales: oneSale(), base: 15 * time.Millisecond, forTime: 85 * time.Second, capacity: func(at time.Duration) float64 {
			if at >= slowAt && at < wellAt {
				return 32
			}
			return 95
		}}
		s.run()
		// The seconds after the change pay for what was let in before it.
		slow, after := s.webhook(0.9, slowAt+15*time.Second, wellAt), s.reached(0.8*95, wellAt)
		t.Logf("seed %d: webhooks p90 %v while it is slow, back at 80%% after %v", seed, slow, after)
		if slow > time.Second || after > 30*time.Second {
			t.Errorf("seed %d: want webhooks within 1 s, and 80%% within 30 s", seed)
		}
	}
}

// The door slows down before the engine is full, because webhooks pay for any overshoot.
func TestTheDoorIsSlowerBeforeTheEngineIsFull(t *testing.T) {
	const capacity, most = 95, 1.5
	for seed := range uint64(4) {
		s := &simulation{seed: seed, nodes: oneNode, sales: oneSale(), base: 15 * time.Millisecond, forTime: 20 * time.Second, capacity: always(capacity)}
		s.run()
		rate := slices.Max(s.sales[0].rates)
		t.Logf("seed %d: the door's rate up to %.0f, of %d; all webhooks p99 %v", seed, rate, capacity, s.webhook(0.99, 0, s.forTime).Round(time.Millisecond))
		if rate > most*capacity {
			t.Errorf("seed %d: want at most %.0f", seed, most*capacity)
		}
	}
}

func TestTheSimulatedDoorIsTheSameForTheSameSeed(t *testing.T) {
	run := func() []float64 {
		s := &simulation{seed: 7, nodes: oneNode, sales: oneSale(), base: 15 * time.Millisecond, forTime: 20 * time.Second, capacity: always(95)}
		s.run()
		return s.sales[0].rates
	}
	if !slices.Equal(run(), run()) {
		t.Error("it is not")
	}
}

// The door gets near the engine's rate in seconds and stays there, keeps webhooks quick
// meanwhile, and recovers with the engine.
func TestTheDoorFindsWhatTheEngineSustains(t *testing.T) {
	const second = time.Second
	slowInTheMiddle := func(at time.Duration) float64 {
		if at >= 25*second && at < 40*second {
			return 32
		}
		return 95
	}
	for _, c := range []struct {
		name     string
		capacity func(time.Duration) float64
		base     time.Duration
		ceiling  float64
		nodes    func(time.Duration) int
		think    time.Duration
		direct   bool // it has no waiting room
		bots     float64

		within time.Duration // 80 % of the capacity at the start
		share  float64       // of the capacity, from then on
		p90    time.Duration // of webhooks, from then on
	}{
		// At 5 a second a few people are already a second of work, and the first rate is
		// four times what the engine does: that is what a lower ceiling is for.
		{name: "5 a second", capacity: always(5), within: 25 * second, share: 0.45, p90: 2 * second},
		{name: "5 a second, ceiling 20", capacity: always(5), ceiling: 20, within: 12 * second, share: 0.85, p90: 1200 * time.Millisecond},
		{name: "20 a second", capacity: always(20), within: 10 * second, share: 0.7, p90: 500 * time.Millisecond},
		{name: "95 a second", capacity: always(95), within: 10 * second, share: 0.8, p90: 250 * time.Millisecond},
		{name: "500 a second", capacity: always(500), ceiling: 2000, within: 10 * second, share: 0.85, p90: 150 * time.Millisecond},
		{name: "far away", capacity: always(95), base: 100 * time.Millisecond, within: 10 * second, share: 0.8, p90: 600 * time.Millisecond},
		{name: "nodes join", capacity: always(95), nodes: func(at time.Duration) int { return 1 + int(at/(15*second)) }, within: 10 * second, share: 0.75, p90: 300 * time.Millisecond},
		{name: "a third, and back", capacity: slowInTheMiddle, within: 10 * second, share: 0.5, p90: 2 * second},
		// People who take 20 s to decide are let in long before their cost is known. The bound on
		// checkouts limits that.
		{name: "people who think", capacity: always(95), think: 20 * second, within: 40 * second, share: 0.7, p90: second},
		{name: "nearly half are bots", capacity: always(95), bots: 0.45, within: 20 * second, share: 0.8, p90: 300 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				s := &simulation{
					seed: seed, capacity: c.capacity, base: cmp.Or(c.base, 15*time.Millisecond), nodes: c.nodes, forTime: 60 * second,
					sales: []*simulatedSale{{think: c.think, bots: c.bots, settings: domain.QueueSettings{RateCeiling: c.ceiling}}},
				}
				if s.nodes == nil {
					s.nodes = oneNode
				}
				s.run()
				reached := s.reached(0.8*c.capacity(0), 0)
				sustained := 0.0
				for at := c.within; at < s.forTime; at += second {
					sustained += s.capacity(at)
				}
				share := s.paid.perSecond(c.within, s.forTime) * (s.forTime - c.within).Seconds() / sustained
				p50, p90, p99 := s.webhook(0.5, c.within, s.forTime), s.webhook(0.9, c.within, s.forTime), s.webhook(0.99, c.within, s.forTime)
				t.Logf("seed %d: 80%% after %.1f s, then %.0f%% of the capacity; 1,000 after %.1f s; the door's rate up to %.0f, webhooks p50 %v p90 %v p99 %v, before %v, %d refused",
					seed, reached.Seconds(), 100*share, s.when(1000).Seconds(), slices.Max(s.sales[0].rates),
					p50.Round(time.Millisecond), p90.Round(time.Millisecond), p99.Round(time.Millisecond), s.webhook(0.99, 0, c.within).Round(time.Millisecond), s.refused)
				if reached > c.within || share < c.share || p90 > c.p90 {
					t.Errorf("seed %d: want 80%% within %v, then %.0f%%, webhooks p90 %v", seed, c.within, 100*c.share, c.p90)
				}
			}
		})
	}
}

func (s *simulation) when(paid int) time.Duration {
	if paid >= len(s.paid) {
		return s.forTime
	}
	return s.paid[paid]
}

// Sales with waiting rooms share the engine: the doors all see the same load, and
// none knows of another.
func TestSalesShareTheEngine(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name     string
		capacity float64
		nodes    int
		sales    []simulatedSale
		from     time.Duration // all that wait have had time to find their shares

		share  float64   // of the capacity, of all together
		shares []float64 // of it, of each at least
		p90    time.Duration
	}{
		{
			name: "both open at once", capacity: 95, nodes: 1, sales: make([]simulatedSale, 2),
			from: 20 * second, share: 0.8, shares: []float64{0.25, 0.25}, p90: 300 * time.Millisecond,
		},
		{
			name: "one opens while the other has the engine", capacity: 95, nodes: 1, sales: []simulatedSale{{}, {opens: 30 * second}},
			from: 45 * second, share: 0.8, shares: []float64{0.25, 0.25}, p90: 300 * time.Millisecond,
		},
		{
			name: "the same on three nodes", capacity: 95, nodes: 3, sales: []simulatedSale{{}, {opens: 30 * second}},
			from: 45 * second, share: 0.8, shares: []float64{0.25, 0.25}, p90: 300 * time.Millisecond,
		},
		{
			name: "the same on a large engine", capacity: 500, nodes: 2,
			sales: []simulatedSale{{settings: domain.QueueSettings{RateCeiling: 2000}}, {opens: 30 * second, settings: domain.QueueSettings{RateCeiling: 2000}}},
			from:  45 * second, share: 0.8, shares: []float64{0.25, 0.25}, p90: 300 * time.Millisecond,
		},
		{
			name: "nobody comes to the other", capacity: 95, nodes: 1, sales: []simulatedSale{{}, {people: 1}},
			from: 20 * second, share: 0.8, shares: []float64{0.8, 0}, p90: 300 * time.Millisecond,
		},
		{
			// Whether anybody waits at the other changes with each turn, and with it what the first
			// may do. The bound on checkouts absorbs the excess.
			name: "a few a second come to the other", capacity: 95, nodes: 1, sales: []simulatedSale{{}, {joins: 5}},
			from: 20 * second, share: 0.6, shares: []float64{0.55, 0.03}, p90: 750 * time.Millisecond,
		},
		{
			name: "the other ends after half a minute", capacity: 95, nodes: 1, sales: []simulatedSale{{}, {people: 1000}},
			from: 60 * second, share: 0.8, shares: []float64{0.8, 0}, p90: 300 * time.Millisecond,
		},
		{
			name: "four of them", capacity: 95, nodes: 1, sales: make([]simulatedSale, 4),
			from: 20 * second, share: 0.8, shares: []float64{0.125, 0.125, 0.125, 0.125}, p90: 400 * time.Millisecond,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(2) {
				s := &simulation{
					seed: seed, capacity: always(c.capacity), base: 15 * time.Millisecond, forTime: 90 * second,
					nodes: func(time.Duration) int { return c.nodes },
				}
				for _, sale := range c.sales {
					s.sales = append(s.sales, &sale)
				}
				s.run()
				share, p90 := s.paid.perSecond(c.from, s.forTime)/c.capacity, s.webhook(0.9, c.from, s.forTime)
				t.Logf("seed %d: %.0f%% of the engine, webhooks p90 %v, the worst 10 s before %v, %d refused",
					seed, 100*share, p90.Round(time.Millisecond), s.worst(0.9, 0, c.from).Round(time.Millisecond), s.refused)
				if share < c.share || p90 > c.p90 {
					t.Errorf("seed %d: want %.0f%%, webhooks p90 %v", seed, 100*c.share, c.p90)
				}
				for i, sale := range s.sales {
					share := sale.paid.perSecond(c.from, s.forTime) / c.capacity
					t.Logf("seed %d: sale %d has %.0f%%, its door up to %.0f", seed, i, 100*share, slices.Max(sale.rates))
					if share < c.shares[i] {
						t.Errorf("seed %d: sale %d, want %.0f%%", seed, i, 100*c.shares[i])
					}
				}
			}
		})
	}
}

// worst is the largest quantile of any ten seconds between two times.
func (s *simulation) worst(q float64, from, to time.Duration) (took time.Duration) {
	const step = 10 * time.Second
	for at := from; at < to; at += step {
		took = max(took, s.webhook(q, at, min(at+step, to)))
	}
	return took
}
