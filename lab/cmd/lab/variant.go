package main

import (
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"boxoffice/app"
	"boxoffice/lab/bench/variant"
	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/worker"
)

// tuned is the box office as a variant has it.
func tuned(v variant.Variant) app.Tuning {
	t := app.Tuning{
		Temporal: []worker.DialOption{v.Connection},
		Worker:   []worker.Option{v.Worker},
		Desk:     func(c client.Client) client.Client { return v.Client(c) },
	}
	if v.OneUnitARequest {
		t.Batcher = []ledger.BatcherOption{ledger.WithRequestUnitsMax(1)}
	}
	if v.OneOrderACommit {
		t.Orders = orders.Options{RecordOrdersMax: 1, RecordTransactionsMax: orders.ConnectionsMaxDefault}
	}
	return t
}

// set turns on what a variant has an operator turn on.
func set(v variant.Variant) error {
	for name, value := range v.Settings() {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// said puts the variant that runs into the metrics: a bench notes it.
func said(v variant.Variant) prometheus.Collector {
	name := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "boxoffice_bench_variant", Help: "The slower way of selling that this build was told to take; always 1.",
	}, []string{"variant"})
	name.WithLabelValues(v.Name).Set(1)
	return name
}
