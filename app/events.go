package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
)

const eventsUsage = `usage: boxoffice events COMMAND, with DATABASE_URL set

  status              how far each reader of the event log is
  set-aside [READER]  the events that a reader set aside, and why
  retry READER [EVENT]
                      let a reader retry an event, or all that wait for this
  skip READER EVENT   give up an event: the reader never handles it, and those of its order
                      or sale that wait behind it go on
  remove READER       forget a reader that is no longer configured; events are not kept for
                      it any longer, and if it comes back, it starts anew
`

// setAsideListMax is how many events a list shows.
const setAsideListMax = 1000

// events shows the readers of the event log and what they set aside, and acts on it. It
// asks the database, because readers also run in processes without an API.
func events(ctx context.Context, args []string) error {
	flags := newFlags("events")
	flags.Usage = func() { fmt.Fprint(flags.Output(), eventsUsage) }
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	switch flags.Arg(0) {
	case "retry", "skip", "remove":
		if err := recordCommand(ctx, store, "events", flags.Args()...); err != nil {
			return err
		}
	}
	return eventsCommand(ctx, store, flags.Args())
}

// openStore opens the orders database for a command that asks it itself.
func openStore(ctx context.Context) (*orders.Store, error) {
	c, err := readConfig()
	if err != nil {
		return nil, err
	}
	if c.DatabaseURL == "" {
		return nil, errors.New("DATABASE_URL is not set: set -a; . .data/dev.env")
	}
	return orders.Open(ctx, string(c.DatabaseURL), orders.Options{})
}

func eventsCommand(ctx context.Context, store *orders.Store, args []string) error {
	command, reader, id := argument(args, 0), argument(args, 1), argument(args, 2)
	var event domain.EventID
	if id != "" {
		var err error
		if event, err = domain.ParseEventID(id); err != nil {
			return usageError{err.Error()}
		}
	}
	switch {
	case command == "status" && len(args) == 1:
		return printReaders(ctx, store)
	case command == "set-aside" && len(args) <= 2:
		return printSetAside(ctx, store, reader)
	case command == "retry" && (len(args) == 2 || len(args) == 3):
		n, err := store.RetrySetAside(ctx, reader, event)
		if err == nil && n == 0 && id != "" {
			err = fmt.Errorf("%s has not set %s aside", reader, id)
		}
		if err == nil {
			fmt.Printf("%d events will be retried within seconds\n", n)
		}
		return err
	case command == "skip" && len(args) == 3:
		return store.SkipSetAside(ctx, reader, event)
	case command == "remove" && len(args) == 2:
		return store.RemoveReader(ctx, reader)
	default:
		return usageError{"boxoffice events --help says what it takes"}
	}
}

func argument(args []string, n int) string {
	if n < len(args) {
		return args[n]
	}
	return ""
}

func printReaders(ctx context.Context, store *orders.Store) error {
	states, err := store.ReaderStates(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "READER\tBEHIND\tFOR\tFAILING\tNOBODY RUNS\tSET ASIDE\tSTUCK\tWHY")
	for _, s := range states {
		fmt.Fprintf(table, "%s\t%d\t%s\t%d of %d\t%d of %d\t%d\t%d\t%s\n", s.Reader, s.LagEvents, s.Lag.Round(time.Second),
			s.Failing, domain.EventShards, s.Unheld, domain.EventShards, s.SetAside, s.Stuck, strconv.QuoteToGraphic(s.Error))
	}
	return table.Flush()
}

func printSetAside(ctx context.Context, store *orders.Store, reader string) error {
	rows, err := store.SetAside(ctx, reader, nil, setAsideListMax)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "READER\tEVENT\tTYPE\tOF\tTRIES\tSINCE\tAGAIN\tWHY")
	for _, r := range rows {
		again, why := "on request", strconv.QuoteToGraphic(r.Error)
		if !r.RetryAt.IsZero() {
			again = r.RetryAt.Format(time.RFC3339)
		}
		if r.Tries == 0 {
			again, why = "after the one before", ""
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", r.Reader, r.Event, r.Type, r.Subject, r.Tries, r.Since.Format(time.RFC3339), again, why)
	}
	return table.Flush()
}
