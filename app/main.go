// Package app is the program: its commands, its configuration, and the wiring of its
// parts. It decides nothing itself.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"boxoffice/ledger"
	"boxoffice/notify"
	"boxoffice/orders"
	"boxoffice/worker"
)

const usage = `boxoffice sells tickets without ever overselling.

  boxoffice migrate     bring the orders database and the Temporal namespace up to date
  boxoffice serve       run the API, the storefront and the checkout worker
  boxoffice seed        create the sale "conference" that docs/start.md buys from
  boxoffice verify      compare ledger, database, Temporal and provider; exit 1 when an invariant is broken, 3 when it could not look
  boxoffice restore-orders
                        restore orders and refunds that the database lost (I7); writes nothing without --apply
  boxoffice rebook-orders
                        book again what a ledger that was put back, or is new, does not know; while no box office runs
  boxoffice draw        check the draw of a waiting room and print its places
  boxoffice presale-codes
                        make, import or revoke the presale codes of a sale
  boxoffice invitations sign invitations to a sale; needs no running box office
  boxoffice events      how far the readers of the event log are, and what they set aside
  boxoffice acts        what organisers and operators did
  boxoffice export-buyer
                        write what is kept of a buyer, as one JSON document
  boxoffice erase-buyer erase what is kept of a buyer; books, counts and tickets stay
  boxoffice replay      rebuild what is made of the event log and compare, or tell an order's or a sale's story
  boxoffice plan        what to run for a sale, and how it will go; needs no running box office
  boxoffice mails       what became of the mails to buyers, and those that no relay takes
  boxoffice deployment  which version of the code new checkouts go to, and what is open on each
  boxoffice codec       decrypt payloads for the Temporal Web UI and CLI, on loopback
  boxoffice openapi     print the OpenAPI document, for generators and linters
  boxoffice version     this build, and the releases that it works with
  boxoffice help        this text, or the help of one command: boxoffice help serve
  boxoffice move-ledger copy the embedded ledger into a new TigerBeetle cluster
%s
Every command reads its addresses and secrets from the environment; for the
local stack: set -a; . .data/dev.env. "boxoffice COMMAND --help" lists its flags,
"boxoffice serve --help" also lists the variables.
`

// A Command of a program runs until it is done or the context ends.
type Command func(ctx context.Context, args []string) error

// A Program is the box office plus what a custom build adds to it. The zero Program is
// the product.
type Program struct {
	// Ledgers are more kinds of ledger, beside TigerBeetle and the embedded one, by their
	// names for --ledger and BOXOFFICE_LEDGER.
	Ledgers map[string]Ledger
	// Commands are more commands; Usage has their lines for help.
	Commands map[string]Command
	Usage    string
	// Tuning passes options to the packages below, which document them.
	Tuning Tuning
	// Readers are more readers of the event log.
	Readers []notify.Reader
	// Collectors are more metrics.
	Collectors []prometheus.Collector
}

// Tuning is what can be set in code only. What operators may want to change is in the
// environment.
type Tuning struct {
	Temporal []worker.DialOption
	Worker   []worker.Option
	// Desk may wrap the Temporal client that checkouts are started and paid with.
	Desk    func(client.Client) client.Client
	Batcher []ledger.BatcherOption
	Orders  orders.Options
}

func (t Tuning) desk(c client.Client) client.Client {
	if t.Desk == nil {
		return c
	}
	return t.Desk(c)
}

func (p Program) commands() map[string]Command {
	all := map[string]Command{
		"serve":          p.serve,
		"migrate":        migrate,
		"seed":           seed,
		"verify":         verify,
		"restore-orders": restoreOrders,
		"rebook-orders":  p.rebookOrders,
		"move-ledger":    moveLedger,
		"codec":          serveCodec,
		"draw":           drawPlace,
		"presale-codes":  presaleCodes,
		"invitations":    invitations,
		"events":         events,
		"acts":           acts,
		"export-buyer":   exportBuyer,
		"erase-buyer":    eraseBuyer,
		"replay":         replay,
		"mails":          mails,
		"deployment":     deployment,
		"plan":           planSale,
		"openapi":        printOpenAPI,
		"version":        printVersion,
		"demo":           movedToTheLab,
		"bench":          movedToTheLab,
	}
	maps.Copy(all, p.Commands)
	return all
}

// movedToTheLab: the crowd and the bench are not part of the product.
func movedToTheLab(context.Context, []string) error {
	return errors.New("this is a command of the lab: make demo and make bench run it, or go -C lab run ./cmd/lab")
}

// Main runs the command that the arguments name. It returns the exit code.
func (p Program) Main(args []string) int {
	commands := p.commands()
	if len(args) == 0 {
		fmt.Fprintf(os.Stderr, usage, p.Usage)
		return 2
	}
	if isHelp(args[0]) {
		if len(args) == 1 || isHelp(args[1]) {
			fmt.Printf(usage, p.Usage)
			return 0
		}
		args = []string{args[1], "--help"}
	}
	if commands[args[0]] == nil {
		fmt.Fprintf(os.Stderr, "%s: unknown command %q%s; help lists them\n",
			filepath.Base(os.Args[0]), args[0], didYouMean("", args[0], slices.Collect(maps.Keys(commands))))
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := commands[args[0]](ctx, args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", filepath.Base(os.Args[0]), args[0], err)
		return exitCode(err)
	}
	return 0
}

func isHelp(word string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, word)
}

// exitCode is 1, unless the error has its own.
func exitCode(err error) int {
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}
