//go:build !benchvariants

package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/worker"

	"go.temporal.io/sdk/client"
)

// variant is a slower way of selling, for benchmarks (package lab/bench/variant). A
// product is built without any: there is one way, and nothing to set.
type variant struct{}

func chosenVariant(prometheus.Registerer) (variant, error)              { return variant{}, nil }
func (variant) client(c client.Client) client.Client                    { return c }
func (variant) orders(o orders.Options) orders.Options                  { return o }
func (variant) batcher(o []ledger.BatcherOption) []ledger.BatcherOption { return o }
func (variant) worker() []worker.Option                                 { return nil }
func (variant) connection() []worker.DialOption                         { return nil }
