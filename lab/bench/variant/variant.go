// Package variant is the checkout written in slower ways, so that anybody can measure
// again what each step of the fast one gains.
//
// The product has none of them: only the lab's program (lab/cmd/lab) can run one. Every
// variant sells correctly, with the same workflow code; it just takes longer.
package variant

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
)

// Variable is the environment variable that names the variant of a process
// built for it.
const Variable = "BOXOFFICE_BENCH_VARIANT"

// A Variant says what is done the slower way.
type Variant struct {
	Name string

	// PlainStart: the first workflow task comes by matching and a poll, not with
	// the start's own answer.
	PlainStart bool
	// RegularActivities: every step is scheduled and polled for, not run inside
	// the workflow task.
	RegularActivities bool
	// PayBySignal: the webhook signals, then waits for the workflow's result; it
	// does not use an Update.
	PayBySignal bool
	// OneUnitARequest: each hold, post and perk is a request to the ledger of its
	// own.
	OneUnitARequest bool
	// OneOrderACommit: each sold order is a separate transaction in Postgres.
	OneOrderACommit bool
	// SDKPollers: as many poll for workflow tasks, and for activities, as the SDK
	// has where nobody sets it.
	SDKPollers bool
	// NoCache: no open checkout stays in memory; each workflow task replays the
	// whole history. Nobody writes it that way: the SDK has a cache unless told
	// otherwise. It shows what the cache is for.
	NoCache bool
	// Gzip: requests to Temporal are compressed, as the SDK does where nobody sets
	// it.
	Gzip bool
	// StockPersistence: Temporal's own store writes the transitions, statement by statement. It is a way of the local stack
	// (devstack up --stock-persistence); to the service it is only a name for the results. So are they with StockServers.
	StockPersistence bool
	// StockServers: Temporal and Postgres run with the settings that they come
	// with. It is a way of the local stack (devstack up --stock-servers); to the
	// service it is only a name for the results.
	StockServers bool
	// WorkerVersions: checkouts stay on the version of the workers that began them.
	WorkerVersions bool
	// Traces: one checkout of a hundred is traced, and its spans go to a collector that keeps nothing.
	Traces bool
}

// TracesAddress is where the bench receives the spans of a traced variant.
const TracesAddress = "127.0.0.1:24318"

// All is every variant: the product's own way first, then each single step back,
// and finally the ordinary way, which takes all of them except NoCache and what an operator turns on.
var All = []Variant{
	{Name: "lean"},
	{Name: "plain-start", PlainStart: true},
	{Name: "regular-activities", RegularActivities: true},
	{Name: "signal", PayBySignal: true},
	{Name: "one-unit-a-request", OneUnitARequest: true},
	{Name: "one-order-a-commit", OneOrderACommit: true},
	{Name: "sdk-pollers", SDKPollers: true},
	{Name: "no-cache", NoCache: true},
	{Name: "gzip", Gzip: true},
	{Name: "stock-persistence", StockPersistence: true},
	{Name: "stock-servers", StockServers: true},
	{Name: "worker-versions", WorkerVersions: true},
	{Name: "traces", Traces: true},
	{
		Name: "ordinary", PlainStart: true, RegularActivities: true, PayBySignal: true,
		OneUnitARequest: true, OneOrderACommit: true,
		SDKPollers: true, Gzip: true, StockPersistence: true, StockServers: true,
	},
}

// Find gives the variant of a name; none is the product's own way.
func Find(name string) (Variant, error) {
	if name == "" {
		return All[0], nil
	}
	i := slices.IndexFunc(All, func(v Variant) bool { return v.Name == name })
	if i < 0 {
		return Variant{}, fmt.Errorf("%s=%s: there is no such variant; there are: %s", Variable, name, strings.Join(Names(), ", "))
	}
	return All[i], nil
}

// Names are those of All.
func Names() []string {
	names := make([]string, len(All))
	for i, v := range All {
		names[i] = v.Name
	}
	return names
}

// Settings are the environment variables of what an operator turns on.
func (v Variant) Settings() map[string]string {
	settings := map[string]string{}
	if v.WorkerVersions {
		settings["TEMPORAL_DEPLOYMENT_NAME"], settings["TEMPORAL_WORKER_BUILD_ID"] = "bench", "bench"
	}
	if v.Traces {
		settings["OTEL_EXPORTER_OTLP_ENDPOINT"], settings["OTEL_TRACES_SAMPLER_ARG"] = "http://"+TracesAddress, "0.01"
	}
	return settings
}

// Client is what the desk starts and pays checkouts with.
func (v Variant) Client(c client.Client) client.Client {
	if v.PlainStart {
		c = plainStarter{c}
	}
	if v.PayBySignal {
		c = signaller{c}
	}
	return c
}

// Connection changes how the service reaches Temporal.
func (v Variant) Connection(o *client.Options) {
	if v.Gzip {
		o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionGzip{}
	}
}

// Worker changes how the checkouts' worker runs. The cache is the process's:
// without it, no worker that is made later has one.
func (v Variant) Worker(o *sdkworker.Options) {
	if v.RegularActivities {
		o.Interceptors = append(o.Interceptors, &regularActivities{})
	}
	if v.SDKPollers {
		o.MaxConcurrentWorkflowTaskPollers, o.MaxConcurrentActivityTaskPollers = 0, 0
	}
	if v.NoCache {
		sdkworker.SetStickyWorkflowCacheSize(0)
	}
}
