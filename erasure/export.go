package erasure

import (
	"context"
	"slices"

	"boxoffice/domain"
)

// KeptOrders is what the orders database keeps.
type KeptOrders interface {
	Sales(ctx context.Context) ([]*domain.Sale, error)
	OrdersOfBuyer(ctx context.Context, address string, ids []domain.OrderID) ([]domain.BuyersOrder, error)
	PaymentsOfOrders(ctx context.Context, ids []domain.OrderID) (map[domain.OrderID][]string, error)
	// Kept returns a record of each order, sorted by id.
	Kept(ctx context.Context, ids []domain.OrderID) ([]domain.BuyersRecord, error)
	// AskedMails are those that somebody asked for by one of the addresses.
	AskedMails(ctx context.Context, addresses []string) ([]domain.AskedMail, error)
}

// Memory has the orders as they were placed, until Temporal's retention ends.
type Memory interface {
	Remember(ctx context.Context, order domain.OrderID, payments []string) (domain.RememberedOrder, error)
}

// recordsAtOnce is how many records are in memory at a time.
const recordsAtOnce = 50

// An Exporter reads everything that is kept of a buyer: what an Eraser would erase, and what is
// beside it.
type Exporter struct {
	Orders   KeptOrders
	Ledger   Ledger
	Temporal Memory
	Keys     *domain.Keyring
}

// Export calls visit with each record of a buyer, sorted by order, a few in memory at a time. The
// address must be in its normal form. It returns the mails that were asked for by an address of
// the buyer. If it fails, or visit does, not everything was visited.
func (e *Exporter) Export(ctx context.Context, address string, visit func(*domain.BuyersRecord) error) ([]domain.AskedMail, error) {
	ids, err := placed(ctx, e.Orders, e.Ledger, e.Keys, address)
	if err != nil {
		return nil, err
	}
	sold, err := e.Orders.OrdersOfBuyer(ctx, address, ids)
	if err != nil {
		return nil, err
	}
	for _, order := range sold {
		ids = append(ids, order.ID)
	}
	sortOrders(&ids)
	for some := range slices.Chunk(ids, recordsAtOnce) {
		if err := e.visit(ctx, some, visit); err != nil {
			return nil, err
		}
	}
	return e.Orders.AskedMails(ctx, addressesOf(domain.ErasureRequest{Email: address}, sold))
}

func (e *Exporter) visit(ctx context.Context, ids []domain.OrderID, visit func(*domain.BuyersRecord) error) error {
	records, err := e.Orders.Kept(ctx, ids)
	if err != nil {
		return err
	}
	payments, err := e.Orders.PaymentsOfOrders(ctx, ids)
	if err != nil {
		return err
	}
	for i := range records {
		record := &records[i]
		remembered, err := e.Temporal.Remember(ctx, record.ID, payments[record.ID])
		if err != nil {
			return err
		}
		if remembered.Open || remembered.Order != nil {
			record.Placed = &remembered
		}
		if err := visit(record); err != nil {
			return err
		}
	}
	return nil
}
