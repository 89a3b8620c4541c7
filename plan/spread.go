package plan

import (
	"math"
	"math/rand/v2"
	"slices"
)

// draws is how many sales a spread is made of.
const draws = 2001

// A Figure is a line of a plan: what is typical, and between what it lies in nine of ten
// draws. A figure that no number tells ("never") is +Inf.
type Figure struct {
	Name, Label, Unit string
	Plan, Low, High   float64
	OfMachines        bool // what to run; otherwise, how the sale goes
}

// A Plan is what a sale does and needs.
type Plan struct {
	Sale         Sale
	Costs        Costs
	CoresPerHost int
	Sizes        Sizes // typical
	Figures      []Figure
}

// Make plans a sale. The ranges of its figures are from 5 to 95 % of what comes out if every
// range of the sale and of the costs is drawn from a triangular distribution. The costs of CPU
// are drawn together: it is the machine that is slow or fast.
func Make(s Sale, c Costs, coresPerHost int) Plan {
	p := Plan{Sale: s, Costs: c, CoresPerHost: coresPerHost, Sizes: Of(&s, &c, coresPerHost)}
	drawn := make([]Sizes, draws)
	random := rand.New(rand.NewPCG(1, 2)) // the same plan for the same question
	for i := range drawn {
		sale, costs := drawSale(s, random.Float64), drawCosts(c, random.Float64)
		drawn[i] = Of(&sale, &costs, coresPerHost)
	}
	for _, line := range lines {
		figure := Figure{Name: line.name, Label: line.label, Unit: line.unit, OfMachines: line.ofMachines, Plan: line.of(&p.Sizes, coresPerHost)}
		values := make([]float64, 0, draws)
		for i := range drawn {
			values = append(values, line.of(&drawn[i], coresPerHost))
		}
		slices.Sort(values)
		figure.Low, figure.High = values[draws*5/100], values[draws*95/100]
		p.Figures = append(p.Figures, figure)
	}
	return p
}

func drawSale(s Sale, uniform func() float64) Sale {
	for _, r := range []*Range{&s.Buyers, &s.PaidShare, &s.PerOrder, &s.PaySeconds} {
		*r = Exactly(r.quantile(uniform()))
	}
	return s
}

func drawCosts(c Costs, uniform func() float64) Costs {
	speed := uniform()
	for _, r := range []*Range{&c.Temporal, &c.Database, &c.BoxOffice, &c.Read, &c.Join} {
		*r = Exactly(r.quantile(speed))
	}
	c.WorkflowMemory = Exactly(c.WorkflowMemory.quantile(uniform()))
	return c
}

// spare is one more than is needed, so that one may fail.
const spare = 1

// lines are the figures of a plan, in their order.
var lines = []struct {
	name, label, unit string
	ofMachines        bool
	of                func(*Sizes, int) float64
}{
	{"checkouts", "checkouts that begin", "", false, func(z *Sizes, _ int) float64 { return z.Begun }},
	{"checkouts_per_second", "checkouts a second at the peak (λ)", "/s", false, func(z *Sizes, _ int) float64 { return z.Peak }},
	{"orders", "orders that are paid", "", false, func(z *Sizes, _ int) float64 { return z.Paid }},
	{"refused_buyers", "people who get no ticket", "", false, func(z *Sizes, _ int) float64 { return z.NoTicket }},
	{"queue_length", "queue at the opening, people", "", false, func(z *Sizes, _ int) float64 { return z.Queue }},
	{"sold_95_percent_seconds", "95 % sold after", "s", false, func(z *Sizes, _ int) float64 { return z.Sold95Seconds }},
	{"sold_out_seconds", "sold out for good after", "s", false, func(z *Sizes, _ int) float64 { return z.SoldOutSeconds }},
	{"joins_per_second", "people who join the queue a second", "/s", false, func(z *Sizes, _ int) float64 { return z.Joins }},
	{"reads_per_second", "reads of places a second, after the draw", "/s", false, func(z *Sizes, _ int) float64 { return z.Reads }},
	{"open_checkouts", "checkouts under way at a time", "", false, func(z *Sizes, _ int) float64 { return z.Open }},

	{"nodes", "box office nodes", "", true, func(z *Sizes, cores int) float64 { return z.Nodes(cores) + spare }},
	{"node_memory_bytes", "memory of a node", "B", true, func(z *Sizes, _ int) float64 { return z.NodeMemory }},
	{"history_hosts", "Temporal history hosts", "", true, func(z *Sizes, cores int) float64 { return z.HistoryHosts(cores) + spare }},
	{"history_host_memory_bytes", "memory of a history host", "B", true, func(z *Sizes, _ int) float64 { return z.HostMemory }},
	{"frontend_hosts", "Temporal frontend and matching hosts", "", true, func(z *Sizes, cores int) float64 { return z.FrontendHosts(cores) + spare }},
	{"shards", "history shards", "", true, func(z *Sizes, _ int) float64 { return z.Shards }},
	{"cells", "Temporal clusters, each with its database", "", true, func(z *Sizes, _ int) float64 { return z.Cells() }},
	{"database_cores", "cores of Temporal's databases, in all", "", true, func(z *Sizes, _ int) float64 { return math.Ceil(z.DatabaseCores) }},
	{"database_log_bytes_per_second", "their write-ahead log", "B/s", true, func(z *Sizes, _ int) float64 { return z.DatabaseLog }},
	{"history_bytes", "history on their disks, for 3 days", "B", true, func(z *Sizes, _ int) float64 { return z.HistoryBytes }},
	{"orders_log_bytes_per_second", "log of the orders database", "B/s", true, func(z *Sizes, _ int) float64 { return z.OrdersLog }},
	{"tigerbeetle_replicas", "TigerBeetle replicas", "", true, func(*Sizes, int) float64 { return replicas }},
	{"transfers_per_second", "transfers in the ledger a second", "/s", true, func(z *Sizes, _ int) float64 { return z.Transfers }},
}
