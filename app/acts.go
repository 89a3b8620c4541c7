package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"boxoffice/domain"
)

const actsUsage = `usage: boxoffice acts [--sale ID] [--last N], with DATABASE_URL set

  Shows what organisers and operators did, the latest last: every change, and every look at
  buyers' data. A row without a status was not answered: it may have been done or not.

  --sale ID  only what was done to this sale and its orders
  --last N   how many rows; 100 by default, at most 10000
`

// actsListMax is how many acts the command shows.
const actsListMax = 10_000

// acts shows the record of what organisers and operators did.
func acts(ctx context.Context, args []string) error {
	flags := newFlags("acts")
	filter := domain.ActFilter{}
	flags.StringVar(&filter.SaleID, "sale", "", "")
	flags.IntVar(&filter.Limit, "last", 100, "")
	flags.Usage = func() { fmt.Fprint(flags.Output(), actsUsage) }
	if err := parse(flags, args); err != nil {
		return err
	}
	if filter.Limit < 1 || filter.Limit > actsListMax {
		return usageError{fmt.Sprintf("--last must be 1 to %d", actsListMax)}
	}
	if filter.SaleID != "" && !domain.ValidSaleID(filter.SaleID) {
		return usageError{"--sale must be the id of a sale"}
	}
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := store.Acts(ctx, filter)
	if err != nil {
		return err
	}
	return printActs(os.Stdout, found)
}

func printActs(out io.Writer, found []domain.Act) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "AT\tWHO\tDID\tTO\tFROM\tSTATUS\tREQUEST")
	for i := len(found) - 1; i >= 0; i-- {
		a := found[i]
		status := "-"
		if a.Status != 0 {
			status = strconv.Itoa(a.Status)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			a.At.Format(time.RFC3339), a.Who, a.Act, cmp.Or(a.Path, "-"), cmp.Or(a.From, "-"), status, cmp.Or(a.Request, "-"))
	}
	return table.Flush()
}

// recordCommand keeps that an operator runs a command that changes something. What cannot be
// recorded is not done.
func recordCommand(ctx context.Context, store interface {
	BeginAct(ctx context.Context, act domain.Act) (int64, error)
}, command string, args ...string) error {
	who := "operator"
	if u, err := user.Current(); err == nil {
		who += ":" + u.Username
	}
	_, err := store.BeginAct(ctx, domain.Act{Who: who, Act: command, Path: strings.Join(args, " ")})
	return err
}
