package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"boxoffice/ledger"
	"boxoffice/orders"
	"boxoffice/restore"
)

// rebookOrders books again in the ledger what it lost. It works while no box office runs.
func (p Program) rebookOrders(ctx context.Context, args []string) error {
	flags := newFlags("rebook-orders")
	apply := flags.Bool("apply", false, "book what is missing; without it, only say what is")
	flags.Usage = func() {
		fmt.Fprintln(
			flags.Output(),
			"usage: boxoffice rebook-orders [-apply], while no box office runs\n"+
				"exit: 0 the ledger has, or can be given, all that is on record; 1 it cannot be given something",
		)
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	if c.DatabaseURL == "" {
		return errors.New("DATABASE_URL is not set: set -a; . .data/dev.env")
	}
	if err := c.refuseBeside(ctx); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := orders.Open(ctx, string(c.DatabaseURL), orders.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	if err := store.CheckSchema(ctx); err != nil {
		return err
	}
	s := &service{config: c, program: p, role: roleAll, ledgerKind: c.Ledger, log: log}
	_, kind, err := s.chosenLedger()
	if err != nil {
		return err
	}
	client, err := kind.Open(ctx, LedgerNode{Config: c, Role: roleAll, Log: log})
	if err != nil {
		return err
	}
	batcher := ledger.NewBatcher(client, ledger.WithLogger(log))
	defer s.closeLedger(batcher)
	r := &restore.Rebooker{
		Ledger: ledger.NewBook(batcher, ledger.WithHoldGrace(c.HoldGrace)), Records: store,
		Tell: func(format string, args ...any) { fmt.Printf(format+"\n", args...) },
	}
	lacking := 0
	if err := r.All(ctx, *apply, func(done *restore.Rebooked) {
		lacking += len(done.Lacking)
		writeRebooked(os.Stdout, done)
	}); err != nil {
		return err
	}
	if lacking > 0 {
		return fmt.Errorf("%w: %d orders, see above", restore.ErrLacking, lacking)
	}
	return nil
}

// besideTimeout bounds the question whether a box office runs.
const besideTimeout = 3 * time.Second

// refuseBeside returns an error if a box office answers: it would sell seats that are sold,
// because the ledger does not know that.
func (c *config) refuseBeside(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, besideTimeout)
	defer cancel()
	for _, url := range []string{c.URL, c.AdminURL} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		var network *net.OpError
		if errors.As(err, &network) && network.Op == "dial" {
			continue // nobody is there
		}
		if err != nil {
			return fmt.Errorf("whether a box office runs at %s is not clear: %w", url, err)
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return fmt.Errorf("a box office runs at %s: stop every node first, it would sell seats that are sold", url)
		}
	}
	return nil
}

func writeRebooked(w io.Writer, r *restore.Rebooked) {
	if !r.Missing() {
		fmt.Fprintf(w, "Sale %s: the ledger has all %d orders on record\n", r.SaleID, r.Recorded)
		return
	}
	verb := "booked"
	if !r.Applied {
		verb = "to book"
	}
	fmt.Fprintf(w, "Sale %s: %d orders on record; %s: %d again, %d from their holds, %d perks; %d refunded since, their seats are free\n",
		r.SaleID, r.Recorded, verb, r.Booked, r.Posted, r.Perks, r.Returned)
	slices.SortFunc(r.Lacking, func(a, b restore.Item) int { return slices.Compare(a.Order[:], b.Order[:]) })
	for i := range r.Lacking {
		fmt.Fprintf(w, "  cannot be booked  order %s  %s\n", r.Lacking[i].Order, r.Lacking[i].Why)
	}
}
