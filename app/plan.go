package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"boxoffice/domain"
	"boxoffice/plan"
)

const planUsage = `usage: boxoffice plan [--capacity TICKETS] [--buyers PEOPLE] [--hold 10m] [--wait 10m] …

It says what to run for a sale, and how the sale will go. It needs no running box office.
What nobody knows exactly can be a range: 2, 1..3, or 1..1.5..3 with what is typical in the middle.`

// planBytesMax is larger than a result of make bench.
const planBytesMax = 16 << 20

// Limits of what a plan is asked for.
const (
	planBuyersMax = 1e9
	planWaitMax   = 30 * 24 * time.Hour
	planCoresMax  = 256
)

type planFlags struct {
	sale      plan.Sale
	cores     int
	costsFile string
	pipelined bool
	json      bool
	simulate  bool
	saleID    string
	given     map[string]bool // the flags that the command line has
	forecast  *plan.Forecast  // of the sale with that id; nil: none was used
}

func readPlanFlags(args []string) (*planFlags, error) {
	f := planFlags{sale: plan.Sale{
		Buyers: plan.Exactly(100_000), PaidShare: plan.Range{Low: 0.7, Typical: 0.85, High: 0.95},
		PerOrder: plan.Range{Low: 1, Typical: 1.5, High: 2.5}, PaySeconds: plan.Range{Low: 20, Typical: 60, High: 180},
	}}
	s := &f.sale
	flags := newFlags("plan")
	flags.Int64Var(&s.Tickets, "capacity", 1000, "tickets for sale, of all classes")
	flags.Var(&s.Buyers, "buyers", "people who come; a range where you do not know")
	flags.DurationVar(&s.Hold, "hold", 10*time.Minute, "how long a buyer may take to pay: hold_seconds of the sale")
	flags.DurationVar(&s.Wait, "wait", 10*time.Minute, "the longest that somebody waits who can get a ticket: all seats are held for the first time by then")
	flags.DurationVar(&s.JoinWithin, "join-within", 5*time.Minute, "the time around the opening within which people come")
	flags.Var(&s.PaidShare, "paid", "the part of checkouts that is paid, above 0 and at most 1")
	flags.Var(&s.PerOrder, "tickets-per-order", "tickets of an order, on average")
	flags.Var((*durations)(&s.PaySeconds), "pay-time", "how long a buyer takes to pay")
	flags.BoolVar(&s.OneCheckoutPerBuyer, "one-checkout-per-buyer", false, "the sale has one_checkout_per_buyer, which costs more transfers")
	flags.IntVar(&f.cores, "cores", 4, "cores of a node or host")
	flags.StringVar(&f.costsFile, "costs", "", "a result of make bench with what a checkout costs on your machine; \"-\" is standard input")
	flags.BoolVar(&f.pipelined, "pgpipe", false, "Temporal runs with the store deploy/pgpipe")
	flags.BoolVar(&f.json, "json", false, "print JSON, for programs")
	flags.BoolVar(&f.simulate, "simulate", false, "also simulate what is typical: at which load latency is good, and what saturates")
	flags.StringVar(&f.saleID, "sale", "", "a sale of the box office (DATABASE_URL): its capacity and hold, and a forecast of its buyers from past sales; other flags win")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "%s\n\n", planUsage)
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	f.given = make(map[string]bool)
	flags.Visit(func(given *flag.Flag) { f.given[given.Name] = true })
	return &f, f.validate(flags)
}

// askStore takes from the orders database what the command line does not say of the sale.
func (f *planFlags) askStore(ctx context.Context) error {
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	sale, err := store.Sale(ctx, f.saleID)
	if err != nil {
		return err
	}
	var arrivals domain.SaleArrivals
	if !f.given["buyers"] {
		if arrivals, err = store.Arrivals(ctx, sale.ID); err != nil {
			return fmt.Errorf("%w; say how many will come with --buyers", err)
		}
	}
	return f.takeSale(sale, &arrivals)
}

// takeSale takes what the flags do not say from a sale and its arrivals.
func (f *planFlags) takeSale(sale *domain.Sale, arrivals *domain.SaleArrivals) error {
	if !f.given["capacity"] {
		f.sale.Tickets = 0
		for _, c := range sale.Classes {
			f.sale.Tickets += c.Capacity
		}
	}
	if !f.given["hold"] {
		f.sale.Hold = sale.HoldTimeout
	}
	if !f.given["one-checkout-per-buyer"] {
		f.sale.OneCheckoutPerBuyer = sale.OneCheckoutPerBuyer
	}
	if most := float64(sale.BuyerLimit); !f.given["tickets-per-order"] {
		r := &f.sale.PerOrder
		r.Low, r.Typical, r.High = min(r.Low, most), min(r.Typical, most), min(r.High, most)
	}
	if f.given["buyers"] {
		return nil
	}
	forecast := plan.ForecastSale(arrivals)
	if forecast.Method == plan.ByNothing {
		return fmt.Errorf("no forecast for sale %s: it takes %d past sales with waiting rooms, and there are %d; say how many will come with --buyers",
			sale.ID, plan.ForecastSalesMin, forecast.Sales)
	}
	b := forecast.Buyers
	f.sale.Buyers, f.forecast = plan.Range{Low: max(b.Low, 1), Typical: max(b.Typical, 1), High: max(b.High, 1)}, &forecast
	return nil
}

// about says what the number of buyers is made of, where it is a forecast.
func (p *planFlags) about() string {
	f := p.forecast
	if f == nil {
		return ""
	}
	how, off := "by how many had joined as long before the opening", f.ErrorByJoins
	if f.Method == plan.ByPastSales {
		how, off = "by how many came, not by joins", f.ErrorByPastSales
	}
	text := fmt.Sprintf("Buyers are forecast from %d past sales, %s. About each of them a forecast from the others was off by a factor of %.1f in the middle.", f.Sales, how, off)
	if f.Beyond {
		text += " No past sale had as many or as few joins at this time, so trust it less."
	}
	return text + "\n\n"
}

func (f *planFlags) validate(flags *flag.FlagSet) error {
	s := &f.sale
	for _, rule := range []struct {
		holds      bool
		flag, must string
	}{
		{s.Tickets >= 1 && s.Tickets <= domain.CapacityMax, "capacity", fmt.Sprintf("1–%d tickets", domain.CapacityMax)},
		{s.Buyers.Low >= 1 && s.Buyers.High <= planBuyersMax, "buyers", fmt.Sprintf("1–%.0f people", planBuyersMax)},
		{s.Hold >= domain.HoldTimeoutMin && s.Hold <= domain.HoldTimeoutMax, "hold", fmt.Sprintf("%s–%s", domain.HoldTimeoutMin, domain.HoldTimeoutMax)},
		{s.Wait >= time.Second && s.Wait <= planWaitMax, "wait", fmt.Sprintf("1s–%s", planWaitMax)},
		{s.JoinWithin >= time.Second && s.JoinWithin <= planWaitMax, "join-within", fmt.Sprintf("1s–%s", planWaitMax)},
		{s.PaidShare.Low >= 0.01 && s.PaidShare.High <= 1, "paid", "0.01–1"},
		{s.PerOrder.Low >= 1 && s.PerOrder.High <= domain.BuyerLimitMax, "tickets-per-order", fmt.Sprintf("1–%d", domain.BuyerLimitMax)},
		{s.PaySeconds.Low >= 0 && s.PaySeconds.High <= domain.HoldTimeoutMax.Seconds(), "pay-time", fmt.Sprintf("0s–%s", domain.HoldTimeoutMax)},
		{f.cores >= 1 && f.cores <= planCoresMax, "cores", fmt.Sprintf("1–%d", planCoresMax)},
	} {
		if !rule.holds {
			return usageError{fmt.Sprintf("--%s %s: must be %s", rule.flag, flags.Lookup(rule.flag).Value, rule.must)}
		}
	}
	return nil
}

// costs are the documented ones, or with what a file has measured.
func (f *planFlags) costs() (plan.Costs, error) {
	costs := plan.Documented()
	if f.pipelined {
		costs = plan.Pipelined()
	}
	if f.costsFile == "" {
		return costs, nil
	}
	data, err := readBounded(f.costsFile, planBytesMax)
	if err != nil {
		return costs, err
	}
	measured, err := plan.Measured(data, costs)
	if err != nil {
		return costs, fmt.Errorf("--costs %s: %w", f.costsFile, err)
	}
	return measured, nil
}

// planSale prints what a sale needs.
func planSale(ctx context.Context, args []string) error {
	f, err := readPlanFlags(args)
	if err != nil {
		return err
	}
	if f.saleID != "" {
		if err := f.askStore(ctx); err != nil {
			return err
		}
	}
	costs, err := f.costs()
	if err != nil {
		return err
	}
	p := plan.Make(f.sale, costs, f.cores)
	var checks []plan.Check
	if f.simulate {
		checks = p.Checks(planSeed)
	}
	if f.json {
		return printPlanJSON(os.Stdout, &p, checks, f.about())
	}
	if err := printPlan(os.Stdout, &p, f.about()); err != nil {
		return err
	}
	return printChecks(os.Stdout, checks)
}

// planSeed is that of simulations: the same question has the same answer.
const planSeed = 2

// printChecks prints what simulations saw.
func printChecks(w io.Writer, checks []plan.Check) error {
	if len(checks) == 0 {
		return nil
	}
	fmt.Fprint(w, "\nSIMULATED, without the nodes and hosts that may fail\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%-*s\ta second\thold p50, p99\twebhook p50, p99\tbusiest part\t\t\n", loadWidth, "load")
	for _, c := range checks {
		s := &c.Seen
		part, busy := s.Busiest()
		verdict, hold, webhook := "good", milliseconds(s.HoldP50, s.HoldP99), milliseconds(s.WebhookP50, s.WebhookP99)
		switch {
		case !s.KeepsUp:
			verdict, hold, webhook = "SATURATED", "", ""
		case !s.IsGood():
			verdict = "slow"
		}
		fmt.Fprintf(table, "%-*s\t%s\t%s\t%s\t%s %.0f %%\t%s\t\n", loadWidth, c.What, planText(c.PerSecond, ""), hold, webhook, part, 100*busy, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nGood: holds p99 within %.0f ms, webhooks within %.0f. What the simulation assumes, and what it lacks: docs/capacity.md.\n",
		1e3*plan.GoodHoldSeconds, 1e3*plan.GoodWebhookSeconds)
	return err
}

func milliseconds(p50, p99 float64) string { return fmt.Sprintf("%.0f, %.0f ms", 1e3*p50, 1e3*p99) }

// planJSON is what --json prints.
type planJSON struct {
	Sale struct {
		plan.Sale
		HoldSeconds       float64 `json:"hold_seconds"`
		WaitSeconds       float64 `json:"wait_seconds"`
		JoinWithinSeconds float64 `json:"join_within_seconds"`
	} `json:"sale"`
	Costs        plan.Costs   `json:"costs"`
	CoresPerHost int          `json:"cores_per_host"`
	Figures      []figureJSON `json:"figures"`
	NextSteps    []string     `json:"next_steps"`
	Forecast     string       `json:"forecast,omitempty"`
	Simulated    []checkJSON  `json:"simulated,omitempty"`
}

// checkJSON is what a simulation saw. Latencies of a saturated part say only how long it ran.
type checkJSON struct {
	What              string  `json:"what"`
	CheckoutsASecond  float64 `json:"checkouts_per_second"`
	KeepsUp           bool    `json:"keeps_up"`
	IsGood            bool    `json:"is_good"`
	HoldP50Seconds    float64 `json:"hold_p50_seconds"`
	HoldP99Seconds    float64 `json:"hold_p99_seconds"`
	WebhookP50Seconds float64 `json:"webhook_p50_seconds"`
	WebhookP99Seconds float64 `json:"webhook_p99_seconds"`
	BusiestPart       string  `json:"busiest_part"`
	BusiestShare      float64 `json:"busiest_share"`
}

// figureJSON is a figure; null is never.
type figureJSON struct {
	Name  string   `json:"name"`
	Unit  string   `json:"unit,omitempty"`
	Value *float64 `json:"value"`
	Low   *float64 `json:"low_5_percent"`
	High  *float64 `json:"high_95_percent"`
}

func printPlanJSON(w io.Writer, p *plan.Plan, checks []plan.Check, about string) error {
	out := planJSON{Forecast: strings.TrimSpace(about), Costs: p.Costs, CoresPerHost: p.CoresPerHost, NextSteps: nextSteps(p)}
	out.Sale.Sale = p.Sale
	out.Sale.HoldSeconds, out.Sale.WaitSeconds, out.Sale.JoinWithinSeconds = p.Sale.Hold.Seconds(), p.Sale.Wait.Seconds(), p.Sale.JoinWithin.Seconds()
	number := func(x float64) *float64 {
		if math.IsInf(x, 0) {
			return nil
		}
		return &x
	}
	for _, f := range p.Figures {
		out.Figures = append(out.Figures, figureJSON{f.Name, f.Unit, number(f.Plan), number(f.Low), number(f.High)})
	}
	for _, c := range checks {
		s := &c.Seen
		part, busy := s.Busiest()
		out.Simulated = append(out.Simulated, checkJSON{
			c.What, c.PerSecond, s.KeepsUp, s.IsGood(), s.HoldP50, s.HoldP99, s.WebhookP50, s.WebhookP99, part, busy,
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(out)
}

// Labels stand on the left, and numbers on the right.
const labelWidth, loadWidth = 42, 32

func printPlan(w io.Writer, p *plan.Plan, about string) error {
	s, c := &p.Sale, &p.Costs
	fmt.Fprintf(w, "%s tickets for %s people. A buyer has %s to pay; all seats are held for the first time after %s.\n\n",
		planText(float64(s.Tickets), ""), rangeText(s.Buyers), durationText(s.Hold.Seconds()), durationText(s.Wait.Seconds()))
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	group := func(heading string, ofMachines bool) {
		fmt.Fprintf(table, "%-*s\ttypical\t5–95 %%\t\n", labelWidth, heading)
		for _, f := range p.Figures {
			if f.OfMachines == ofMachines {
				fmt.Fprintf(table, "%-*s\t%s\t%s\t\n", labelWidth, f.Label, planText(f.Plan, f.Unit), spreadText(&f))
			}
		}
		fmt.Fprintln(table, "\t\t\t")
	}
	group("THE SALE", false)
	group(fmt.Sprintf("WHAT TO RUN, with %d cores each", p.CoresPerHost), true)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, `The range is what nine of ten draws have, if these vary (flags and files change them):
  a checkout's CPU      Temporal %s, its database %s, box office %s ms
                        %s
  paid, of checkouts    %s
  tickets an order      %s
  time to pay           %s s
  people who come       %s

%sAssumed: everybody has joined the waiting room at the opening, within %s; seats come back only after the hold timeout;
parts are %.0f %% busy at the peak; of nodes and hosts one may fail; costs grow in proportion on many machines, which
was not measured. docs/capacity.md has the formulas and what a simulation showed of them.

Next:
`, c.Temporal, c.Database, c.BoxOffice, c.Source, s.PaidShare, s.PerOrder, s.PaySeconds, rangeText(s.Buyers),
		about, durationText(s.JoinWithin.Seconds()), 100*plan.Utilisation)
	for i, step := range nextSteps(p) {
		fmt.Fprintf(w, "%3d. %s\n", i+1, step)
	}
	return nil
}

// nextSteps are what the figures ask for, the most pressing first.
func nextSteps(p *plan.Plan) []string {
	var steps []string
	z, s := &p.Sizes, &p.Sale
	if cells := z.Cells(); cells > 1 {
		steps = append(steps, fmt.Sprintf("One Postgres of %d cores is not enough for Temporal: split the load over %.0f clusters, or allow a longer --wait (docs/capacity.md, which part saturates first).", plan.DatabaseCoresMax, cells))
	}
	if nodes := z.Nodes(p.CoresPerHost) + 1; nodes > plan.NodesMax {
		steps = append(steps, fmt.Sprintf("A TigerBeetle cluster serves %d nodes: take nodes with more --cores.", plan.NodesMax))
	}
	if z.Transfers > plan.Utilisation*plan.TransfersMax {
		steps = append(steps, fmt.Sprintf("TigerBeetle is asked for more than %.0f %% of the %d transfers a second that were measured: measure yours (make bench-ledger).", 100*plan.Utilisation, plan.TransfersMax))
	}
	switch {
	case z.Peak > domain.QueueRateMax:
		steps = append(steps, fmt.Sprintf("A waiting room lets in at most %d people a second: allow a longer --wait, or make several sales of it.", domain.QueueRateMax))
	case z.Peak > domain.QueueRateCeilingDefault:
		steps = append(steps, fmt.Sprintf("Raise the sale's rate_ceiling to %.0f (PATCH /v1/sales/{sale}/queue): by default the door lets in %d people a second at most.",
			min(math.Ceil(z.Peak*1.2), domain.QueueRateMax), domain.QueueRateCeilingDefault))
	}
	switch {
	case math.IsInf(z.SoldOutSeconds, 1):
		steps = append(steps, "Typically not all tickets are sold: nobody is refused, and a waiting room is only for the rush.")
	case z.SoldOutSeconds > 3*s.Wait.Seconds() && z.SoldOutSeconds > 2*s.Hold.Seconds():
		steps = append(steps, "The last tickets are held in vain again and again: a shorter --hold sells them sooner.")
	}
	return append(steps,
		"Measure what a checkout costs on your machines: make bench FLAGS=\"--phases journey\", then --costs bench-results/….json",
		"Fix the number of shards before you start Temporal: it never changes. Size for the high end of the range.",
		"Rehearse with as many buyers (make bench, phase room), and prepare the day: docs/on-sale.md.")
}

func spreadText(f *plan.Figure) string {
	low, high := planText(f.Low, f.Unit), planText(f.High, f.Unit)
	if low == high {
		return low
	}
	return low + " – " + high
}

func rangeText(r plan.Range) string {
	if r.Low == r.High {
		return planText(r.Typical, "")
	}
	return fmt.Sprintf("%s (%s–%s)", planText(r.Typical, ""), planText(r.Low, ""), planText(r.High, ""))
}

// planText is a figure as people write it, with three digits that count.
func planText(x float64, unit string) string {
	switch unit {
	case "s":
		return durationText(x)
	case "B", "B/s":
		return bytesText(x) + strings.TrimPrefix(unit, "B")
	}
	switch {
	case x < 10 && x != math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 1e4:
		magnitude := math.Pow(10, math.Floor(math.Log10(x))-2)
		x = math.Round(x/magnitude) * magnitude
	}
	return grouped(int64(math.Round(x)))
}

func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func bytesText(x float64) string {
	for _, size := range []struct {
		bytes float64
		name  string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if x >= size.bytes {
			decimals := 0
			if x < 10*size.bytes {
				decimals = 1
			}
			return strconv.FormatFloat(x/size.bytes, 'f', decimals, 64) + " " + size.name
		}
	}
	return strconv.FormatFloat(x, 'f', 0, 64) + " B"
}

func durationText(seconds float64) string {
	switch {
	case math.IsInf(seconds, 1):
		return "never"
	case seconds < 120:
		return strconv.FormatFloat(seconds, 'f', 0, 64) + " s"
	case seconds < 2*3600:
		return strconv.FormatFloat(seconds/60, 'f', 0, 64) + " min"
	case seconds < 48*3600:
		return strconv.FormatFloat(seconds/3600, 'f', 1, 64) + " h"
	default:
		return strconv.FormatFloat(seconds/86400, 'f', 1, 64) + " days"
	}
}

// durations is a range in seconds that is written with units, as in 20s..1m..3m.
type durations plan.Range

func (d durations) String() string {
	at := func(seconds float64) string { return time.Duration(seconds * float64(time.Second)).String() }
	if d.Low == d.High {
		return at(d.Low)
	}
	return at(d.Low) + ".." + at(d.Typical) + ".." + at(d.High)
}

func (d *durations) Set(text string) error {
	parts := strings.Split(text, "..")
	for i, part := range parts {
		length, err := time.ParseDuration(part)
		if err != nil {
			return errors.New("want durations, as in 1m or 20s..1m..3m")
		}
		parts[i] = strconv.FormatFloat(length.Seconds(), 'f', -1, 64)
	}
	return (*plan.Range)(d).Set(strings.Join(parts, ".."))
}
