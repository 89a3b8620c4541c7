// Package app is the program: its commands, its configuration, and how the parts
// are put together. It only wires: what happens is in the packages that it names.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `boxoffice sells tickets without ever overselling.

  boxoffice migrate     bring the orders database and the Temporal namespace up to date
  boxoffice serve       run the API, the storefront and the checkout worker
  boxoffice seed        open the conference sale that the README buys from
  boxoffice verify      compare ledger, database, Temporal and provider; exit 1 when an invariant is broken, 3 when it could not look
  boxoffice restore-orders
                        put back orders and refunds that the database lost (I7); writes nothing without --apply
  boxoffice demo        send more buyers than there are seats, then verify
  boxoffice bench       measure rates, latencies and what a checkout costs; "bench compare" two results
  boxoffice draw        check the draw of a waiting room and print its places
  boxoffice presale-codes
                        make, bring or revoke the presale codes of a sale
  boxoffice invitations sign invitations to a sale; needs no running box office
  boxoffice codec       decrypt payloads for the Temporal Web UI and CLI, on loopback
  boxoffice openapi     print the OpenAPI document, for generators and linters
  boxoffice move-ledger copy the embedded ledger into a new TigerBeetle cluster

Every command reads its addresses and secrets from the environment; for the
local stack: set -a; . .data/dev.env. "boxoffice COMMAND -h" lists its flags.
`

// A command runs until it is done or the context ends.
type command func(ctx context.Context, args []string) error

var commands = map[string]command{
	"serve":          serve,
	"migrate":        migrate,
	"seed":           seed,
	"verify":         verify,
	"demo":           runDemo,
	"restore-orders": restoreOrders,
	"move-ledger":    moveLedger,
	"codec":          serveCodec,
	"draw":           drawPlace,
	"presale-codes":  presaleCodes,
	"invitations":    invitations,
	"bench":          runBench,
	"openapi":        printOpenAPI,
}

// Main runs the command that the arguments begin with. It returns the exit code.
func Main(args []string) int {
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := commands[args[0]](ctx, args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "boxoffice %s: %v\n", args[0], err)
		return exitCode(err)
	}
	return 0
}

// exitCode is 1 unless the error knows better.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}
