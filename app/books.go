package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// A Ledger is a kind of ledger that serve can use.
type Ledger struct {
	// Open returns a client for it, with the official client's interface. If it fails,
	// the service waits and tries again, unless waiting will not help (Permanent).
	Open func(ctx context.Context, node LedgerNode) (tb.Client, error)
	// Next says what to do while the service waits for it.
	Next string
	// Reopens says that a session may be opened again after the ledger has ended it.
	Reopens bool
}

// LedgerNode is what a ledger may know about the process that opens it.
type LedgerNode struct {
	Config
	Role string // all, api or worker
	Log  *slog.Logger
}

// The kinds of ledger that ship with the product. auto picks one of the two.
const (
	ledgerAuto        = "auto"
	ledgerTigerBeetle = "tigerbeetle"
	ledgerEmbedded    = "embedded"
)

// ledgers are all kinds by name.
func (p Program) ledgers() map[string]Ledger {
	all := map[string]Ledger{
		ledgerTigerBeetle: {
			Open: dialTigerBeetle, Reopens: true,
			Next: "start the TigerBeetle cluster, or correct TIGERBEETLE_ADDRESS and TIGERBEETLE_CLUSTER_ID",
		},
		ledgerEmbedded: {
			Open: openEmbedded,
			Next: "stop the other process that has the embedded ledger's directory (BOXOFFICE_DATA_DIR)",
		},
	}
	maps.Copy(all, p.Ledgers)
	return all
}

func (p Program) ledgerNames() string {
	return strings.Join(slices.Sorted(maps.Keys(p.ledgers())), ", ")
}

// errPermanent marks failures that waiting does not fix.
var errPermanent = errors.New("waiting will not help")

func isPermanent(err error) bool { return errors.Is(err, errPermanent) }

// Permanent marks a failure to open something: trying again will not help.
func Permanent(err error) error { return fmt.Errorf("%w: %w", errPermanent, err) }

// openLedger waits for the ledger and puts the batcher on it.
func (s *service) openLedger(ctx context.Context, meter *metrics) (*ledger.Batcher, error) {
	name, kind, err := s.chosenLedger()
	if err != nil {
		return nil, err
	}
	open := func(ctx context.Context) (tb.Client, error) {
		return kind.Open(ctx, LedgerNode{Config: s.config, Role: s.role, Log: s.log})
	}
	c, err := await(ctx, s.log, &s.waiting, dependency{"ledger", kind.Next}, open)
	if err != nil {
		return nil, err
	}
	options := []ledger.BatcherOption{ledger.WithLogger(s.log), ledger.WithObserver(meter)}
	if kind.Reopens {
		options = append(options, ledger.WithRedial(open))
	}
	meter.runsOn(name)
	return ledger.NewBatcher(c, append(options, s.program.Tuning.Batcher...)...), nil
}

// closeLedger sends what was accepted, then closes the ledger. An embedded one sees
// nothing after that.
func (s *service) closeLedger(batcher *ledger.Batcher) {
	if err := batcher.Close(); err != nil {
		s.log.Error("close the ledger", "error", err)
	}
}

func (s *service) chosenLedger() (name string, kind Ledger, err error) {
	name = s.ledgerKind
	switch {
	case name == ledgerAuto && len(s.TigerBeetleAddresses) > 0:
		name = ledgerTigerBeetle
	case name == ledgerAuto:
		name = ledgerEmbedded
	case name == ledgerTigerBeetle && len(s.TigerBeetleAddresses) == 0:
		return name, kind, errors.New("--ledger tigerbeetle needs TIGERBEETLE_ADDRESS, the replicas' host:port,…")
	}
	kind, ok := s.program.ledgers()[name]
	if !ok {
		return name, kind, fmt.Errorf("--ledger %q: want auto, %s", s.ledgerKind, s.program.ledgerNames())
	}
	return name, kind, nil
}

func dialTigerBeetle(ctx context.Context, node LedgerNode) (tb.Client, error) {
	c, err := ledger.Dial(ctx, ledger.Config{ClusterID: node.TigerBeetleClusterID, Addresses: node.TigerBeetleAddresses})
	if err == nil {
		node.Log.Info("ledger: TigerBeetle", "addresses", node.TigerBeetleAddresses)
	}
	return c, err
}

func openEmbedded(_ context.Context, node LedgerNode) (tb.Client, error) {
	if node.Role != roleAll {
		return nil, Permanent(fmt.Errorf("the embedded ledger works in one process only; --role %s needs a TigerBeetle cluster (TIGERBEETLE_ADDRESS)", node.Role))
	}
	dir := filepath.Join(node.DataDir, "ledger")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Permanent(err)
	}
	engine, err := embedded.Open(dir, withFailpoints(embedded.Options{Logger: node.Log}))
	if err != nil {
		return nil, Permanent(err)
	}
	return engine, nil
}

// pingLedger looks up an account that does not exist: any answer will do.
func pingLedger(batcher *ledger.Batcher) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := batcher.LookupAccounts(ctx, []tb.Uint128{tb.ToUint128(1)})
		return err
	}
}
