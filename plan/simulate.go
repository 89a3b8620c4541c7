package plan

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// What the simulation assumes beside the costs, because it is not measured apart.
const (
	// A flush of a database's log to its disk, and a request to the ledger, whoever shares it.
	flushSeconds  = 1e-3
	ledgerSeconds = 2e-3
	// Of a checkout's database time: the three transitions, for which their shard waits; the
	// reads before the second task; lists and the polls of queues, for which nobody waits.
	transitionPart, readPart, listPart = 0.66, 0.10, 0.24
	// Of a checkout's box office time: until the hold is answered, and of the payment.
	holdPart = 0.55
	// ringPoints are how often a history host stands on Temporal's ring, which gives each host
	// its shards (system.ringpopReplicaPoints).
	ringPoints                = 100
	transitions, engineVisits = 3, 4
)

// Latencies that still are good: the goals of docs/performance.md at half of the rate, and of
// docs/waiting-room.md.
const (
	GoodHoldSeconds    = 0.1
	GoodWebhookSeconds = 0.25
)

// A Layout is what runs.
type Layout struct {
	Nodes, HistoryHosts, FrontendHosts int
	CoresPerHost                       int
	DatabaseCores                      int
	Shards                             int
	// OneMachine: everything shares the cores of one host, as on the local stack.
	OneMachine bool
}

// Layout is what the sizes ask for, without what may fail.
func (z *Sizes) Layout(coresPerHost int) Layout {
	return Layout{
		Nodes: int(z.Nodes(coresPerHost)), HistoryHosts: int(z.HistoryHosts(coresPerHost)), FrontendHosts: int(z.FrontendHosts(coresPerHost)),
		CoresPerHost: coresPerHost, DatabaseCores: int(max(1, math.Ceil(z.DatabaseCores-1e-9))), Shards: int(z.Shards),
	}
}

// Seen is what a simulation saw.
type Seen struct {
	HoldP50, HoldP99       float64 // seconds
	WebhookP50, WebhookP99 float64
	// KeepsUp: as many ended as came. Otherwise some part is saturated, and latencies say only how long it ran.
	KeepsUp bool
	// How busy each kind of part was; of history hosts and shards also the busiest.
	Node, Frontend, History, HottestHistory, Database, HottestShard float64
}

// IsGood: latencies are those that we promise.
func (s *Seen) IsGood() bool {
	return s.KeepsUp && s.HoldP99 <= GoodHoldSeconds && s.WebhookP99 <= GoodWebhookSeconds
}

// Busiest names the part that was busiest, and how busy.
func (s *Seen) Busiest() (part string, busy float64) {
	for _, p := range []struct {
		name string
		busy float64
	}{
		{"box office", s.Node}, {"frontend", s.Frontend}, {"history", s.HottestHistory}, {"database", s.Database}, {"shard", s.HottestShard},
	} {
		if p.busy > busy {
			part, busy = p.name, p.busy
		}
	}
	return part, busy
}

type engine struct {
	clock
	random             *rand.Rand
	costs              *Costs
	nodes, frontends   []*cores
	hosts              []*cores
	database           *cores
	shards             []*lock
	owner              []int // of each shard: its history host
	flush, ordersFlush *batcher
	ledgers            []*batcher // of each node
}

// Simulate lets so many checkouts begin at random moments, and as many payments arrive, a
// second each. CPU times are exponential around the typical cost. The same seed gives the same
// answer.
func Simulate(l Layout, c Costs, perSecond float64, checkouts int, seed uint64) Seen {
	e := newEngine(l, &c, seed)
	var holds, webhooks []float64
	length := float64(checkouts) / perSecond
	warm := length / 5
	half, came, done := length/2, 0, 0
	arrive := func(times *[]float64, visit func(shard, node int, then func())) {
		for at := e.random.ExpFloat64() / perSecond; at < length; at += e.random.ExpFloat64() / perSecond {
			shard, node := e.random.IntN(l.Shards), e.random.IntN(len(e.nodes))
			if at > half {
				came++
			}
			e.after(at, func() {
				began := e.now
				visit(shard, node, func() {
					if began > warm {
						*times = append(*times, e.now-began)
					}
					if e.now > half && e.now <= length {
						done++
					}
				})
			})
		}
	}
	arrive(&holds, e.hold)
	arrive(&webhooks, e.webhook)
	e.runTo(length)
	seen := e.busy(length)
	seen.KeepsUp = float64(done) >= 0.97*float64(came)
	seen.HoldP50, seen.HoldP99 = quantiles(holds)
	seen.WebhookP50, seen.WebhookP99 = quantiles(webhooks)
	return seen
}

func newEngine(l Layout, c *Costs, seed uint64) *engine {
	e := &engine{random: rand.New(rand.NewPCG(seed, 0)), costs: c}
	many := func(n int) (all []*cores) {
		for range n {
			all = append(all, newCores(&e.clock, l.CoresPerHost))
		}
		return all
	}
	e.nodes, e.frontends, e.hosts, e.database = many(l.Nodes), many(l.FrontendHosts), many(l.HistoryHosts), newCores(&e.clock, l.DatabaseCores)
	if l.OneMachine {
		machine := many(1)
		e.nodes, e.frontends, e.hosts, e.database = machine, machine, machine, machine[0]
	}
	e.owner = ownersOfShards(l.Shards, len(e.hosts), e.random)
	for range l.Shards {
		e.shards = append(e.shards, &lock{clock: &e.clock})
	}
	flush := func() float64 { return flushSeconds }
	e.flush, e.ordersFlush = &batcher{clock: &e.clock, seconds: flush}, &batcher{clock: &e.clock, seconds: flush}
	for range e.nodes {
		e.ledgers = append(e.ledgers, &batcher{clock: &e.clock, seconds: func() float64 { return ledgerSeconds }})
	}
	return e
}

// ownersOfShards gives each shard to a host, by a ring on which every host stands at points
// that a hash gives it. So hosts own more and less than their part.
func ownersOfShards(shards, hosts int, random *rand.Rand) []int {
	type point struct {
		at   uint64
		host int
	}
	var ring []point
	for host := range hosts {
		for range ringPoints {
			ring = append(ring, point{random.Uint64(), host})
		}
	}
	slices.SortFunc(ring, func(a, b point) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	owners := make([]int, shards)
	for shard := range owners {
		at := random.Uint64()
		i, _ := slices.BinarySearchFunc(ring, at, func(p point, at uint64) int {
			if p.at < at {
				return -1
			}
			return 1
		})
		owners[shard] = ring[i%len(ring)].host
	}
	return owners
}

// some is a random time around a mean, of milliseconds.
func (e *engine) some(ms float64) float64 { return e.random.ExpFloat64() * ms * 1e-3 }

// hold is the first half of a checkout. It is answered as soon as the ledger has the seats;
// the second transition comes behind that.
func (e *engine) hold(shard, node int, then func()) {
	b := e.costs.BoxOffice.Typical * holdPart
	e.nodes[node].work(e.some(b/2), func() {
		e.temporal(shard, func() {
			e.transition(shard, func() {
				e.nodes[node].work(e.some(b/2), func() {
					e.ledgers[node].join(func() {
						then()
						e.temporal(shard, func() { e.transition(shard, e.lists) })
					})
				})
			})
		})
	})
}

// webhook is the second half: the Update, the post, the order, and the transition that ends it.
func (e *engine) webhook(shard, node int, then func()) {
	b := e.costs.BoxOffice.Typical * (1 - holdPart)
	e.nodes[node].work(e.some(b/2), func() {
		e.temporal(shard, func() {
			e.database.work(e.some(e.costs.Database.Typical*readPart), func() {
				e.nodes[node].work(e.some(b/2), func() {
					e.ledgers[node].join(func() {
						e.ordersFlush.join(func() {
							e.temporal(shard, func() {
								e.transition(shard, func() {
									then()
									e.lists()
								})
							})
						})
					})
				})
			})
		})
	})
}

// temporal is a call of the engine: a frontend, and the history host of the shard.
func (e *engine) temporal(shard int, then func()) {
	t := e.costs.Temporal.Typical / engineVisits
	e.frontends[e.random.IntN(len(e.frontends))].work(e.some(t*(1-historyShare)), func() {
		e.hosts[e.owner[shard]].work(e.some(t*historyShare), then)
	})
}

// transition writes a state. Its shard does nothing else meanwhile.
func (e *engine) transition(shard int, then func()) {
	e.shards[shard].take(func() {
		e.database.work(e.some(e.costs.Database.Typical*transitionPart/transitions), func() {
			e.commits(e.costs.Commits, func() {
				e.shards[shard].release()
				then()
			})
		})
	})
}

func (e *engine) commits(n int, then func()) {
	if n == 0 {
		then()
		return
	}
	e.flush.join(func() { e.commits(n-1, then) })
}

func (e *engine) lists() {
	e.database.work(e.some(e.costs.Database.Typical*listPart/2), func() {})
}

func (e *engine) busy(length float64) (s Seen) {
	of := func(all []*cores) (mean, most float64) {
		for _, c := range all {
			// What was begun and is not done counts too, so a saturated part has no more than 1.
			part := min(c.worked/(float64(c.all)*length), 1)
			mean, most = mean+part/float64(len(all)), max(most, part)
		}
		return mean, most
	}
	s.Node, _ = of(e.nodes)
	s.Frontend, _ = of(e.frontends)
	s.History, s.HottestHistory = of(e.hosts)
	s.Database, _ = of([]*cores{e.database})
	for _, shard := range e.shards {
		held := shard.held
		if shard.isHeld {
			held += e.now - shard.since
		}
		s.HottestShard = max(s.HottestShard, held/length)
	}
	return s
}

func quantiles(times []float64) (p50, p99 float64) {
	if len(times) == 0 {
		return math.Inf(1), math.Inf(1)
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}

// A Check is a simulation of a layout at a multiple of the load that it is for.
type Check struct {
	What      string
	PerSecond float64
	Layout    Layout
	Seen      Seen
}

// checkoutsSimulated makes a run of less than a second.
const checkoutsSimulated = 10_000

// Checks simulates a plan: at what share of the load latency is good, from where on a part is
// saturated, and what happens where one history host has failed, or where a part is too small.
func (p *Plan) Checks(seed uint64) []Check {
	planned := p.Sizes.Layout(p.CoresPerHost)
	var checks []Check
	add := func(what string, l Layout, load float64) {
		perSecond := p.Sizes.Peak * load
		checks = append(checks, Check{what, perSecond, l, Simulate(l, p.Costs, perSecond, checkoutsSimulated, seed)})
	}
	for _, load := range []float64{0.5, 1, 1.25, 1.5, 2} {
		add(strconv.FormatFloat(load, 'f', -1, 64)+" × λ", planned, load)
	}
	smaller := planned
	smaller.DatabaseCores = max(1, planned.DatabaseCores/2)
	if smaller != planned {
		add("λ, half of the database's cores", smaller, 1)
	}
	if smaller = planned; planned.HistoryHosts > 1 {
		smaller.HistoryHosts--
		add("λ, one history host fewer", smaller, 1)
	}
	if smaller = planned; planned.Nodes > 1 {
		smaller.Nodes--
		add("λ, one box office node fewer", smaller, 1)
	}
	return checks
}
