package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// moveLedger copies the embedded ledger into a new TigerBeetle cluster, as imported
// events. Stop the service first; docs/embedded-ledger.md has the other steps. It may be
// repeated.
func moveLedger(ctx context.Context, args []string) error {
	flags := newFlags("move-ledger")
	batch := flags.Int("batch", embedded.BatchEventsMax, "events per request; a development server takes 253")
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	if len(c.TigerBeetleAddresses) == 0 {
		return errors.New("TIGERBEETLE_ADDRESS is not set: name the cluster to move to, a new one")
	}
	dir := filepath.Join(c.DataDir, "ledger")
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("no embedded ledger in %s (BOXOFFICE_DATA_DIR): %w", c.DataDir, err)
	}
	engine, err := embedded.Open(dir, embedded.Options{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return fmt.Errorf("%w (stop the service first: `make stop`)", err)
	}
	defer engine.Close()
	exported, err := engine.Export()
	if err != nil {
		return err
	}
	cluster, err := ledger.Dial(ctx, ledger.Config{ClusterID: c.TigerBeetleClusterID, Addresses: c.TigerBeetleAddresses})
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Printf("moving %d accounts and %d transfers to %v\n", len(exported.Accounts), len(exported.Transfers), c.TigerBeetleAddresses)
	if err := exported.SendTo(cluster, *batch); err != nil {
		return err
	}
	fmt.Println("moved: all events are in the cluster. Start the service with --ledger tigerbeetle.")
	return nil
}
