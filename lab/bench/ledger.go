package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"boxoffice/domain"
	"boxoffice/lab/bench/load"
	"boxoffice/lab/bench/probe"
)

// Ledger numbers of the bench are far above those that sales get, which count
// up from 1: no sale's audit ever sees them.
const (
	benchLedgersFrom = 0xF000_0000
	benchLedgersMask = 0x0FFF_FFFC // leaves room for the numbers of one sale
)

// openLedger: what a paid checkout asks of the ledger, hold and post, through
// the same batcher as the service's, without anything in front.
func openLedger(ctx context.Context, b *bench) (work, error) {
	direct, err := b.OpenLedger(ctx)
	if err != nil {
		return work{}, err
	}
	sale := ledgerSale()
	if err := direct.Book.OpenSale(ctx, sale); err != nil {
		return work{}, fmt.Errorf("the ledger phase's own sale: %w", err)
	}
	keys, err := domain.NewKeyring(randomBytes(domain.ServerKeyLen))
	if err != nil {
		return work{}, err
	}
	b.note("the ledger phase works on " + direct.Kind)
	return work{
		step:  func(ctx context.Context, _ *load.Request) error { return holdAndPost(ctx, direct, keys, sale) },
		meter: func(context.Context) (probe.Metrics, error) { return direct.Meter() },
		close: direct.Close,
	}, nil
}

func ledgerSale() *domain.Sale {
	number := benchLedgersFrom | binary.BigEndian.Uint32(randomBytes(4))&benchLedgersMask
	return &domain.Sale{
		ID: fmt.Sprintf("bench-ledger-%x", number), Name: "Bench", Currency: currency,
		Classes:     []domain.Class{{Name: ticketClass, PriceMinor: priceMinor, Capacity: domain.CapacityMax, Ledger: number}},
		QuotaLedger: number + 1, BuyerLimit: buyerLimit, HoldTimeout: holdTimeout,
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

func holdAndPost(ctx context.Context, direct *DirectLedger, keys *domain.Keyring, sale *domain.Sale) error {
	key := uuid.Must(uuid.NewV7()).String()
	order, err := domain.NewOrder(sale, keys, key, []domain.Item{{Class: ticketClass, Quantity: 1}}, key+"@bench.example")
	if err != nil {
		return err
	}
	hold, err := direct.Book.Hold(ctx, &order)
	if err != nil {
		return ledgerFailure(err)
	}
	if hold.Outcome != domain.HoldHeld {
		return wrong("hold", string(hold.Outcome))
	}
	outcome, err := direct.Book.Post(ctx, &order)
	if err != nil {
		return ledgerFailure(err)
	}
	if outcome != domain.PostPosted {
		return wrong("post", string(outcome))
	}
	return nil
}

func ledgerFailure(err error) error {
	return &load.Failure{Code: string(domain.CodeOf(err)), Detail: err.Error()}
}
