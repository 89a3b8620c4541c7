// Package plan computes what a sale of a given size needs, from what a checkout costs. It is
// arithmetic: it reads nothing and asks nobody. docs/capacity.md explains the formulas, and a
// test holds its figures equal to the ones here.
package plan

import (
	"math"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

const (
	// Utilisation is how busy a part may be at the peak for latency to stay good.
	Utilisation = 0.6
	// HottestBusy is how busy the history host may be that owns the most shards.
	HottestBusy = 0.75
	// historyShare is the history hosts' part of Temporal's CPU.
	historyShare      = 2.0 / 3
	shardRateMeasured = 24 // checkouts a second that a shard took without reaching its limit
	shardRoom         = 4  // for shards that happen to get more than others
	shardsMin         = 64 // the number can never be changed
	// TransfersMax is what one TigerBeetle replica did a second, in large batches.
	TransfersMax = 176_000
	// NodesMax is how many box office nodes a TigerBeetle cluster has sessions for.
	NodesMax = 60
	// DatabaseCoresMax is the largest single Postgres that we count on.
	DatabaseCoresMax = 64
	replicas         = 3
	retention        = 72 * time.Hour

	nodeMemoryBytes       = 100 << 20 // of a node without connections
	connectionMemoryBytes = 12 << 10
	connectionsMax        = 8192 // of a node's listener
	placeMemoryBytes      = 8    // of each place in a queue, on every node
	hostMemoryBytes       = 400 << 20
	workflowsCachedMax    = 10_000 // that a history host keeps in memory

	// How people in a queue ask for their place: package waitingroom tells them.
	pollEverySeconds    = 30 * 1.125 // far from the door
	pollSoonSeconds     = 60         // those nearer to the door than that ask more often,
	pollsSoonEach       = 6          // each this often
	drawReadsPerSecond  = 10_000     // right after the draw everybody asks,
	drawReadsWithinSecs = 10         // within this time
)

// A Sale is what somebody wants to sell, and to whom.
type Sale struct {
	Tickets    int64         `json:"tickets"`
	Buyers     Range         `json:"buyers"`            // people who come
	Hold       time.Duration `json:"-"`                 // how long a buyer may take to pay
	Wait       time.Duration `json:"-"`                 // the longest wait until all seats are held for the first time
	JoinWithin time.Duration `json:"-"`                 // the time around the opening within which most people come
	PaidShare  Range         `json:"paid_share"`        // of checkouts
	PerOrder   Range         `json:"tickets_per_order"` // tickets
	PaySeconds Range         `json:"pay_seconds"`       // that a buyer takes who pays
	// OneCheckoutPerBuyer costs more transfers.
	OneCheckoutPerBuyer bool `json:"one_checkout_per_buyer"`
}

// Sizes are what a sale does and needs. Fractions are kept: whoever buys machines rounds up,
// with Hosts.
type Sizes struct {
	Begun          float64 // checkouts that begin
	Peak           float64 // of them a second: λ
	Paid           float64 // orders
	Queue          float64 // people who wait at the opening
	NoTicket       float64 // people who are told no
	Sold95Seconds  float64 // from the opening until 95 % are sold; +Inf: never
	SoldOutSeconds float64 // seconds until all are sold and none is only held; +Inf: never
	Joins          float64 // a second, at their peak
	Reads          float64 // of places, a second, at their peak
	Open           float64 // checkouts that are under way at a time

	TemporalCores  float64
	HistoryCores   float64 // of TemporalCores
	Shards         float64
	DatabaseCores  float64
	DatabaseLog    float64 // bytes a second
	OrdersLog      float64 // bytes a second
	HistoryBytes   float64 // kept for the retention
	BoxOfficeCores float64
	Transfers      float64 // a second
	NodeMemory     float64 // bytes
	HostMemory     float64 // bytes of a history host
}

// Of computes the sizes for what is typical.
func Of(s *Sale, c *Costs, coresPerHost int) Sizes {
	buyers, paid, perOrder, pays := s.Buyers.Typical, s.PaidShare.Typical, s.PerOrder.Typical, s.PaySeconds.Typical
	orders := float64(s.Tickets) / perOrder // that fit
	wait, hold := s.Wait.Seconds(), s.Hold.Seconds()
	z := Sizes{Queue: buyers, Joins: buyers / s.JoinWithin.Seconds()}
	z.Begun = min(buyers, orders/paid)
	z.Paid = z.Begun * paid
	z.NoTicket = buyers - z.Paid
	// Seats come back after the hold timeout: if the wait is longer, they are held by more people in it.
	z.Peak = min(buyers/wait, orders/(paid*wait+(1-paid)*min(wait, hold)))
	z.Sold95Seconds = soldAfter(z.Peak, buyers, orders, paid, hold, pays, 0.95)
	z.SoldOutSeconds = soldOutAfter(z.Peak, buyers, orders, paid, hold, pays)
	z.Open = min(z.Begun, orders, z.Peak*(paid*min(pays, hold)+(1-paid)*hold))
	z.Reads = max(min(buyers, max(drawReadsPerSecond, buyers/drawReadsWithinSecs)), steadyReads(buyers, z.Peak))
	z.need(s, c, coresPerHost)
	return z
}

// steadyReads are how often a second people ask for their place while they wait.
func steadyReads(waiting, letInPerSecond float64) float64 {
	far := max(waiting-pollSoonSeconds*letInPerSecond, 0)
	near := min(waiting/pollSoonSeconds, letInPerSecond)
	return far/pollEverySeconds + pollsSoonEach*near
}

// need computes what must run for a sale whose checkouts are known.
func (z *Sizes) need(s *Sale, c *Costs, coresPerHost int) {
	const ms = 1e-3
	z.TemporalCores = z.Peak * c.Temporal.Typical * ms / Utilisation
	z.HistoryCores = z.TemporalCores * historyShare
	z.Shards = max(shardsMin, math.Exp2(math.Ceil(math.Log2(shardRoom*z.Peak/shardRateMeasured))))
	z.DatabaseCores = z.Peak * c.Database.Typical * ms / Utilisation
	z.DatabaseLog = z.Peak * c.LogBytes
	z.OrdersLog = z.Peak * c.OrdersLogBytes
	z.HistoryBytes = z.Begun * c.HistoryBytes
	z.Transfers = z.Peak * c.Transfers
	if s.OneCheckoutPerBuyer {
		z.Transfers = z.Peak * c.TransfersOneCheckout
	}
	// Joining, asking after the draw, and buying have their peaks one after the other.
	z.BoxOfficeCores = max(
		z.Joins*c.Join.Typical,
		z.Reads*c.Read.Typical,
		z.Peak*c.BoxOffice.Typical+steadyReads(z.Queue, z.Peak)*c.Read.Typical,
	) * ms / Utilisation
	z.NodeMemory = nodeMemoryBytes + connectionsMax*connectionMemoryBytes + placeMemoryBytes*z.Queue
	cached := min(z.Begun/z.HistoryHosts(coresPerHost), workflowsCachedMax)
	z.HostMemory = hostMemoryBytes + cached*c.WorkflowMemory.Typical*(1<<20)
}

// Hosts is how many hosts have so many cores.
func Hosts(cores float64, coresPerHost int) float64 {
	return max(1, math.Ceil(cores/float64(coresPerHost)-1e-9))
}

// HistoryHosts are what the load needs, without one that may fail. Shards are not spread evenly
// over them: the host that owns the most must not saturate either.
func (z *Sizes) HistoryHosts(coresPerHost int) float64 {
	hosts := Hosts(z.HistoryCores, coresPerHost)
	for range 20 {
		needed := Hosts(z.HistoryCores*Utilisation*hottestHost(hosts, z.Shards)/HottestBusy, coresPerHost)
		if needed <= hosts {
			break
		}
		hosts = needed
	}
	return hosts
}

// hottestHost is by how much the host with the most shards has more than its part, in all but
// one of twenty clusters or so. A host's part of Temporal's ring varies as the sum of its points does,
// and the shards on it by chance.
func hottestHost(hosts, shards float64) float64 {
	if hosts <= 1 {
		return 1
	}
	deviation := math.Sqrt((1.0/ringPoints + hosts/shards) * (1 - 1/hosts))
	return 1 + deviation*distuv.UnitNormal.Quantile(math.Pow(0.97, 1/hosts))
}

// FrontendHosts run Temporal's frontend and matching.
func (z *Sizes) FrontendHosts(coresPerHost int) float64 {
	return Hosts(z.TemporalCores-z.HistoryCores, coresPerHost)
}

// Nodes are the box office's.
func (z *Sizes) Nodes(coresPerHost int) float64 { return Hosts(z.BoxOfficeCores, coresPerHost) }

// Cells is how many Temporal clusters it takes, each with its database.
func (z *Sizes) Cells() float64 { return Hosts(z.DatabaseCores, DatabaseCoresMax) }

// firstPass is when all seats are held for the first time, and how many of them the people
// hold then who will not pay. letIn people begin a second. A seat that nobody pays for comes
// back after the hold timeout.
func firstPass(letIn, orders, paid, hold float64) (seconds, unpaid float64) {
	seconds = orders / letIn
	if seconds <= hold {
		return seconds, orders * (1 - paid)
	}
	return orders/(paid*letIn) - (1-paid)*hold/paid, (1 - paid) * letIn * hold
}

// soldOutAfter is when the last ticket is paid: every seat is held again and again, until
// somebody pays for it, and the last one is the one whose buyers failed most often.
func soldOutAfter(letIn, buyers, orders, paid, hold, pays float64) float64 {
	if buyers*paid < orders {
		return math.Inf(1)
	}
	first, unpaid := firstPass(letIn, orders, paid, hold)
	return first + hold*mostTries(unpaid, paid) + pays
}

// mostTries is the expected maximum of the tries that so many seats take.
func mostTries(seats, paid float64) float64 {
	tries := min(seats, 1)
	for stillOpen := 1 - paid; stillOpen > 1e-12; stillOpen *= 1 - paid {
		tries += -math.Expm1(seats * math.Log1p(-stillOpen))
	}
	return tries
}

// soldAfter is when this part of the tickets is paid.
func soldAfter(letIn, buyers, orders, paid, hold, pays, part float64) float64 {
	if buyers*paid < part*orders {
		return math.Inf(1)
	}
	first, unpaid := firstPass(letIn, orders, paid, hold)
	wanted := part * orders
	if sold := orders - unpaid; wanted <= sold {
		return first*wanted/sold + pays
	}
	// What was held in vain comes back over one hold timeout (or the first pass, if that was shorter), round by round.
	round := min(first, hold)
	at := first - round + hold
	for left := unpaid; ; left *= 1 - paid {
		if sold := orders - left + left*paid; wanted <= sold {
			return at + round*(wanted-(orders-left))/(left*paid) + pays
		}
		at += hold
	}
}
