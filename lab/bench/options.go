package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
	"boxoffice/ledger"
	"boxoffice/payments/mockpay"
)

// Options of a bench. The addresses and secrets are those of the stack.
type Options struct {
	URL, AdminURL, AdminToken string
	MockPayURL                string
	Signer                    *mockpay.Signer
	DatabaseURL               string
	Temporal                  client.Client
	DataDir                   string // of the local stack: its stack.json names the processes

	// OpenLedger opens the configured ledger for the phase that works on it
	// alone.
	OpenLedger func(ctx context.Context) (*DirectLedger, error)

	// Nodes are how many processes of the box office serve, each load with each;
	// empty: the one that runs. StartNode starts one more on the same stack.
	Nodes     []int
	StartNode func(ctx context.Context) (*Node, error)

	Phases       []string      // of PhaseNames
	Clients      []int         // of the closed loops; empty: what each phase is for
	OpenOnly     bool          // no closed loops
	Rates        []OfferedRate // of open loops; empty: what each phase is for
	Even         bool          // arrivals of open loops at equal distances
	Seed         uint64        // of their arrivals otherwise
	Warmup       time.Duration
	Duration     time.Duration // measured, of each run
	Runs         int           // of each load
	Orders       int64         // > 0: this many paid orders in a row, reported by tenth
	ViaMockPay   bool          // MockPay reports the payments, instead of the bench
	Storm        Storm
	Commit       string
	Out          io.Writer // progress
	IsTerminal   bool      // redraw it in place
	AuditTimeout time.Duration
}

// DirectLedger is the ledger without the service in front.
type DirectLedger struct {
	Kind  string // as the report names it
	Book  *ledger.Book
	Meter func() (probe.Metrics, error) // of its batcher, under the service's names
	Close func() error
}

// Bounds of the options.
const (
	runsMax     = 100
	durationMax = time.Hour
	ordersMin   = 10 // one a tenth
	ordersMax   = 10_000_000
	nodesMax    = 8
)

var errNoSecrets = errors.New("the admin token or the webhook secret is missing: set -a; . .data/dev.env points every tool at the running stack")

// Validate says which option cannot be.
func (o Options) Validate() error {
	if len(o.Phases) == 0 && o.Orders == 0 {
		return errors.New("no phase was chosen")
	}
	for _, name := range o.Phases {
		if !slices.Contains(PhaseNames(), name) {
			return fmt.Errorf("no phase is called %q; there are: %s", name, strings.Join(PhaseNames(), ", "))
		}
	}
	for _, n := range o.Clients {
		if n < 1 || n > load.ClientsMax {
			return fmt.Errorf("%d clients: want 1–%d", n, load.ClientsMax)
		}
	}
	for _, n := range o.Nodes {
		if n < 1 || n > nodesMax {
			return fmt.Errorf("%d nodes: want 1–%d", n, nodesMax)
		}
	}
	if err := o.validateNodes(); err != nil {
		return err
	}
	if err := o.Storm.validate(); err != nil {
		return err
	}
	isShare := func(r OfferedRate) bool { return r.Share > 0 }
	switch {
	case o.OpenOnly && (len(o.Clients) > 0 || len(o.Rates) == 0 || slices.ContainsFunc(o.Rates, isShare)):
		return errors.New("without closed loops, open ones need a rate in arrivals a second: a share refers to what closed loops reached")
	case o.AdminToken == "" || o.Signer == nil:
		return errNoSecrets
	case o.Runs < 1 || o.Runs > runsMax:
		return fmt.Errorf("%d runs: want 1–%d", o.Runs, runsMax)
	case o.Duration <= 0 || o.Duration > durationMax || o.Warmup < 0 || o.Warmup > durationMax:
		return errors.New("durations must be above 0 and at most an hour")
	case o.Orders != 0 && (o.Orders < ordersMin || o.Orders > ordersMax):
		return fmt.Errorf("%d orders: want %d–%d", o.Orders, ordersMin, ordersMax)
	}
	return nil
}

// validateNodes refuses figures that would be named after several nodes and be
// of one.
func (o Options) validateNodes() error {
	if len(o.Nodes) == 0 || slices.Max(o.Nodes) == 1 {
		return nil
	}
	var able []string
	for _, p := range phases {
		if p.anyNode {
			able = append(able, p.name)
		}
	}
	for _, name := range o.Phases {
		if !slices.Contains(able, name) {
			return fmt.Errorf("phase %s asks one node only: choose the phases to measure with several among %s", name, strings.Join(able, ", "))
		}
	}
	return nil
}

// An OfferedRate is that of an open loop: arrivals a second, or a share of what
// the phase's closed loops reached in this very bench.
type OfferedRate struct {
	PerSecond float64
	Share     float64
}

// ParseRates reads what a flag has: "55,50%".
func ParseRates(text string) ([]OfferedRate, error) {
	var rates []OfferedRate
	for part := range strings.SplitSeq(text, ",") {
		number, isShare := strings.CutSuffix(strings.TrimSpace(part), "%")
		value, err := strconv.ParseFloat(number, 64)
		switch {
		case err != nil || !(value > 0) || value > load.RateMax:
			return nil, fmt.Errorf("rate %q: want arrivals a second, or a share of the closed loops' rate such as 50%%", part)
		case isShare:
			rates = append(rates, OfferedRate{Share: value / 100})
		default:
			rates = append(rates, OfferedRate{PerSecond: value})
		}
	}
	return rates, nil
}

// ParseCounts reads what a flag has, of clients, nodes or checkouts: "1,64,256".
func ParseCounts(text string) ([]int, error) {
	var counts []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q: want whole numbers from 1 up, such as 1,64", text)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
