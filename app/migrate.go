package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"boxoffice/orders"
	"boxoffice/worker"
)

// migrate brings the database and the Temporal namespace up to date. It may run again,
// and on several nodes at once.
func migrate(ctx context.Context, args []string) error {
	flags := newFlags("migrate")
	timeout := flags.Duration("timeout", 2*time.Minute, "how long to wait for the servers, and for an index that is built while sales go on")
	contract := flags.Bool("contract", false, "take away what no release needs any more, once all nodes are of this release; nothing else")
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	if c.DatabaseURL == "" {
		return fmt.Errorf("DATABASE_URL is not set: set -a; . .data/dev.env")
	}
	if err := c.forTemporal(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if *contract {
		return contractOrders(ctx, c)
	}
	if err := migrateOrders(ctx, c, log); err != nil {
		return err
	}
	return setUpTemporal(ctx, c, log)
}

func migrateOrders(ctx context.Context, c config, log *slog.Logger) error {
	store, err := orders.Open(ctx, string(c.DatabaseURL), orders.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = await(ctx, log, &waiting{}, needsOrders, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, store.Migrate(ctx)
	})
	if err == nil {
		err = recordCommand(ctx, store, "migrate", "to schema version "+strconv.Itoa(orders.SchemaVersion()))
	}
	if err == nil {
		fmt.Println("orders database: up to date")
	}
	return err
}

// contractOrders does not wait: whoever runs it looks at what it says.
func contractOrders(ctx context.Context, c config) error {
	store, err := orders.Open(ctx, string(c.DatabaseURL), orders.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	applied, err := store.Contract(ctx)
	for _, name := range applied {
		fmt.Println("orders database: applied", name)
		if err := recordCommand(ctx, store, "migrate", "contracted by "+name); err != nil {
			return err
		}
	}
	if err == nil && len(applied) == 0 {
		fmt.Println("orders database: nothing to take away")
	}
	return err
}

// setUpTemporal sets up the namespace of each cell. The audit's schedule is in the default cell.
func setUpTemporal(ctx context.Context, c config, log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, cell := range c.Cells.Cells() {
		g.Go(func() error {
			err := setUpCell(ctx, c.in(cell), cell.Name == "", log)
			if err != nil && c.Cells.Several() {
				err = fmt.Errorf("cell %s: %w", cell.Label(), err)
			}
			return err
		})
	}
	return g.Wait()
}

func setUpCell(ctx context.Context, c config, schedules bool, log *slog.Logger) error {
	temporal, err := await(ctx, log, &waiting{}, needsTemporal, func(ctx context.Context) (client.Client, error) {
		return c.dialTemporal(ctx, log)
	})
	if err != nil {
		return err
	}
	defer temporal.Close()
	_, err = await(ctx, log, &waiting{}, needsAttributes, func(ctx context.Context) (struct{}, error) {
		if err := worker.Setup(ctx, temporal, c.TemporalNamespace); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, worker.CheckSetup(ctx, temporal, c.TemporalNamespace)
	})
	if err == nil && !schedules {
		fmt.Printf("temporal namespace %q at %s: search attributes are there\n", c.TemporalNamespace, c.TemporalAddress)
		return nil
	}
	if err == nil {
		// Here and not when serve starts: once a release, not on every node, and not
		// against an operator who has just changed it.
		_, err = await(ctx, log, &waiting{}, needsSchedule, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, worker.ScheduleAudit(ctx, temporal, c.AuditInterval)
		})
	}
	if err == nil {
		fmt.Printf("temporal namespace %q: search attributes are there, audit every %s\n", c.TemporalNamespace, c.AuditInterval)
	}
	return err
}
