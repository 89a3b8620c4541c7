// Package variant is the checkout written in slower ways, so that what each step
// of the fast one gains can be measured again at any time.
//
// It is no configuration of the product: only a boxoffice built with the tag
// "benchvariants" (make bench-variants does) can run one. Every variant sells
// correctly, by the same workflow code; only the way there is longer.
package variant

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
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
	// OneOrderACommit: each sold order is a transaction of its own in Postgres.
	OneOrderACommit bool
}

// All is every variant: the product's own way first, then each single step back,
// and last the ordinary way, which takes all of them.
var All = []Variant{
	{Name: "lean"},
	{Name: "plain-start", PlainStart: true},
	{Name: "regular-activities", RegularActivities: true},
	{Name: "signal", PayBySignal: true},
	{Name: "one-unit-a-request", OneUnitARequest: true},
	{Name: "one-order-a-commit", OneOrderACommit: true},
	{
		Name: "ordinary", PlainStart: true, RegularActivities: true, PayBySignal: true,
		OneUnitARequest: true, OneOrderACommit: true,
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

// Interceptors are the worker's.
func (v Variant) Interceptors() []interceptor.WorkerInterceptor {
	if !v.RegularActivities {
		return nil
	}
	return []interceptor.WorkerInterceptor{&regularActivities{}}
}
