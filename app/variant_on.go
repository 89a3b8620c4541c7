//go:build benchvariants

package app

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	variants "boxoffice/lab/bench/variant"
	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/worker"
)

// variant is the one that the environment names.
type variant struct{ of variants.Variant }

// chosenVariant says in the metrics which one runs: a bench notes it.
func chosenVariant(meter prometheus.Registerer) (variant, error) {
	v, err := variants.Find(os.Getenv(variants.Variable))
	if err != nil {
		return variant{}, err
	}
	name := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "boxoffice_bench_variant", Help: "The slower way of selling that this build was told to take; always 1.",
	}, []string{"variant"})
	name.WithLabelValues(v.Name).Set(1)
	return variant{of: v}, meter.Register(name)
}

func (v variant) client(c client.Client) client.Client { return v.of.Client(c) }

func (v variant) orders(o orders.Options) orders.Options {
	o.RecordOneByOne = v.of.OneOrderACommit
	return o
}

func (v variant) batcher(o []ledger.BatcherOption) []ledger.BatcherOption {
	if v.of.OneUnitARequest {
		o = append(o, ledger.WithUnitsMax(1))
	}
	return o
}

func (v variant) worker() []worker.Option { return []worker.Option{v.of.Worker} }

func (v variant) connection() []worker.DialOption { return []worker.DialOption{v.of.Connection} }
