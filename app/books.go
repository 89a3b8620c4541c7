package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/lab/postgres"
	"boxoffice/ledger"
	"boxoffice/ledger/embedded"
)

// Kinds of ledger, all behind the official client's interface.
const (
	ledgerAuto        = "auto"
	ledgerTigerBeetle = "tigerbeetle"
	ledgerEmbedded    = "embedded"
	ledgerPostgres    = "postgres" // the baseline: only where it is asked for
)

// errPermanent marks what no waiting will heal.
var errPermanent = errors.New("waiting will not help")

func isPermanent(err error) bool { return errors.Is(err, errPermanent) }

// openLedger waits for the ledger and puts the batcher on it.
func (s *service) openLedger(ctx context.Context, meter *metrics) (*ledger.Batcher, error) {
	dial, kind, err := s.ledgerDialer()
	if err != nil {
		return nil, err
	}
	c, err := await(ctx, s.log, &s.waiting, kind, dial)
	if err != nil {
		return nil, err
	}
	name := ledgerEmbedded
	options := []ledger.BatcherOption{ledger.WithLogger(s.log), ledger.WithObserver(meter)}
	switch kind {
	case needsTigerBeetle:
		name = ledgerTigerBeetle
		options = append(options, ledger.WithRedial(dial))
	case needsPostgres:
		name = ledgerPostgres
	}
	meter.runsOn(name)
	return ledger.NewBatcher(c, s.variant.batcher(options)...), nil
}

// closeLedger sends what was accepted, then closes the ledger behind it: the
// last thing that an embedded one sees.
func (s *service) closeLedger(batcher *ledger.Batcher) {
	if err := batcher.Close(); err != nil {
		s.log.Error("close the ledger", "error", err)
	}
}

func (s *service) ledgerDialer() (dial ledger.DialFunc, what dependency, err error) {
	kind := s.ledgerKind
	if kind == ledgerAuto && len(s.TigerBeetleAddresses) > 0 {
		kind = ledgerTigerBeetle
	}
	switch kind {
	case ledgerTigerBeetle:
		if len(s.TigerBeetleAddresses) == 0 {
			return nil, dependency{}, errors.New("--ledger tigerbeetle needs TIGERBEETLE_ADDRESS, the replicas' host:port,…")
		}
		return s.dialTigerBeetle, needsTigerBeetle, nil
	case ledgerAuto, ledgerEmbedded:
		return s.openEmbedded, needsEmbedded, nil
	case ledgerPostgres:
		return s.openPostgres, needsPostgres, nil
	default:
		return nil, dependency{}, fmt.Errorf("--ledger %q: want auto, tigerbeetle, embedded or postgres", s.ledgerKind)
	}
}

func (s *service) dialTigerBeetle(ctx context.Context) (tb.Client, error) {
	c, err := ledger.Dial(ctx, ledger.Config{ClusterID: s.TigerBeetleClusterID, Addresses: s.TigerBeetleAddresses})
	if err == nil {
		s.log.Info("ledger: TigerBeetle", "addresses", s.TigerBeetleAddresses)
	}
	return c, err
}

func (s *service) openEmbedded(context.Context) (tb.Client, error) {
	if s.role != roleAll {
		return nil, fmt.Errorf("%w: the embedded ledger lives in one process; --role %s needs a TigerBeetle (TIGERBEETLE_ADDRESS)", errPermanent, s.role)
	}
	dir := filepath.Join(s.DataDir, "ledger")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", errPermanent, err)
	}
	engine, err := embedded.Open(dir, withFailpoints(embedded.Options{Logger: s.log}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPermanent, err)
	}
	return engine, nil
}

// openPostgres keeps the books beside the orders, in a schema of their own.
func (s *service) openPostgres(ctx context.Context) (tb.Client, error) {
	client, err := postgres.Open(ctx, string(s.DatabaseURL), postgres.Options{Logger: s.log})
	if err != nil {
		return nil, err
	}
	s.log.Warn("ledger: rows in Postgres, the baseline of the comparison; for production use a TigerBeetle cluster (--ledger tigerbeetle)")
	return client, nil
}

// pingLedger asks for an account that nobody has: any answer will do.
func pingLedger(batcher *ledger.Batcher) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := batcher.LookupAccounts(ctx, []tb.Uint128{tb.ToUint128(1)})
		return err
	}
}
