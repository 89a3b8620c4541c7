// Command lab is the box office with what the lab adds to it: a crowd (demo), the
// bench, the baseline ledger in Postgres (serve --ledger postgres) and the slower
// variants (BOXOFFICE_BENCH_VARIANT). The product has none of these.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/app"
	"boxoffice/lab/bench/variant"
	"boxoffice/lab/postgres"
)

const usage = `
  of the lab alone:
  lab demo              send more buyers than there are seats, then verify
  lab abuse             send bots to the running stack and say what its limits leave them, then verify
  lab bench             measure rates, latencies and what a checkout costs; "bench compare" two results
`

// ledgerPostgres is the baseline, used only on request.
const ledgerPostgres = "postgres"

func main() {
	chosen, err := variant.Find(os.Getenv(variant.Variable))
	if err == nil {
		err = set(chosen)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	os.Exit(program(chosen).Main(os.Args[1:]))
}

func program(v variant.Variant) app.Program {
	return app.Program{
		Ledgers: map[string]app.Ledger{ledgerPostgres: {
			Open: openPostgres,
			Next: `start Postgres, or correct DATABASE_URL; its user must be allowed to create the schema "ledger"`,
		}},
		Commands:   map[string]app.Command{"demo": runDemo, "abuse": runAbuse, "bench": collecting(v, runBench)},
		Usage:      usage,
		Tuning:     tuned(v),
		Collectors: []prometheus.Collector{said(v)},
	}
}

// openPostgres keeps the books beside the orders, in a separate schema.
func openPostgres(ctx context.Context, node app.LedgerNode) (tb.Client, error) {
	client, err := postgres.Open(ctx, string(node.DatabaseURL), postgres.Options{Logger: node.Log})
	if err != nil {
		return nil, err
	}
	node.Log.Warn("ledger: rows in Postgres, the baseline of the comparison; for production use a TigerBeetle cluster (--ledger tigerbeetle)")
	return client, nil
}
