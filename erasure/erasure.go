// Package erasure removes what the box office keeps of a buyer: from the orders database,
// from Temporal, and from the files that the local stack writes for mails. It does so when it is
// asked to (Eraser), and when a sale's time for it has come (Keeper). An Exporter shows it before. Books, counts,
// money and tickets stay as they are. docs/privacy.md has what is left where, and for how
// long.
package erasure

import (
	"context"
	"slices"

	"boxoffice/domain"
)

// Orders is the orders database.
type Orders interface {
	// Sales lists all sales.
	Sales(ctx context.Context) ([]*domain.Sale, error)
	// OrdersOfBuyer finds the sold orders with these ids, and those of an address.
	OrdersOfBuyer(ctx context.Context, address string, ids []domain.OrderID) ([]domain.BuyersOrder, error)
	// PaymentsOfOrders are all that ever named one of the orders.
	PaymentsOfOrders(ctx context.Context, ids []domain.OrderID) (map[domain.OrderID][]string, error)
	// EraseBuyer removes what is kept of the buyer of orders and of addresses, all of it or
	// nothing. CodeNotSettled where money is on its way back.
	EraseBuyer(ctx context.Context, ids []domain.OrderID, addresses []string) error
}

// Ledger knows which orders a buyer ever placed: a buyer is a pseudonym there, which the
// address leads to.
type Ledger interface {
	OrdersOfBuyers(ctx context.Context, buyers []domain.BuyerID) ([]domain.OrderID, error)
}

// Temporal has the orders as they were placed, in the histories of their workflows.
type Temporal interface {
	// OpenWorkflow names a workflow that still works on an order; empty: none does.
	OpenWorkflow(ctx context.Context, order domain.OrderID, payments []string) (string, error)
	// Forget deletes the workflows of an order that have ended.
	Forget(ctx context.Context, order domain.OrderID, payments []string) error
}

// Mails are those that stand in files.
type Mails interface {
	Forget(addresses []string) error
}

// An Eraser erases buyers. Mails may be nil.
type Eraser struct {
	Orders   Orders
	Ledger   Ledger
	Temporal Temporal
	Mails    Mails
	Keys     *domain.Keyring
}

// Erase removes what is kept of a buyer. It may be repeated, from whatever point an earlier
// one came to: a buyer's orders are found by the pseudonym that the books keep, also when
// the address is gone. While an order is open or its money is owed, nothing is erased: the
// error is then a *domain.Error with CodeNotSettled.
func (e *Eraser) Erase(ctx context.Context, r domain.ErasureRequest) (domain.Erasure, error) {
	ids := slices.Clone(r.Orders)
	if r.Email != "" {
		placed, err := placed(ctx, e.Orders, e.Ledger, e.Keys, r.Email)
		if err != nil {
			return domain.Erasure{}, err
		}
		ids = append(ids, placed...)
	}
	sold, err := e.Orders.OrdersOfBuyer(ctx, r.Email, ids)
	if err != nil {
		return domain.Erasure{}, err
	}
	var done domain.Erasure
	addresses := addressesOf(r, sold)
	for _, order := range sold {
		done.Orders = append(done.Orders, order.ID)
	}
	sortOrders(&done.Orders)
	ids = append(ids, done.Orders...)
	sortOrders(&ids)
	for _, id := range ids {
		if !slices.Contains(done.Orders, id) {
			done.Unsold = append(done.Unsold, id)
		}
	}
	payments, err := e.Orders.PaymentsOfOrders(ctx, ids)
	if err != nil {
		return domain.Erasure{}, err
	}
	if err := e.checkSettled(ctx, ids, payments); err != nil {
		return domain.Erasure{}, err
	}
	// The files while the database still knows a buyer's other addresses; Temporal last: by
	// then nobody writes anything of the buyer any more.
	if e.Mails != nil {
		if err := e.Mails.Forget(addresses); err != nil {
			return domain.Erasure{}, err
		}
	}
	if err := e.Orders.EraseBuyer(ctx, ids, addresses); err != nil {
		return domain.Erasure{}, err
	}
	for _, id := range ids {
		if err := e.Temporal.Forget(ctx, id, payments[id]); err != nil {
			return domain.Erasure{}, err
		}
	}
	return done, nil
}

// placed finds every order of an address, by the pseudonyms that it has in the sales.
func placed(ctx context.Context, orders interface {
	Sales(ctx context.Context) ([]*domain.Sale, error)
}, ledger Ledger, keys *domain.Keyring, address string,
) ([]domain.OrderID, error) {
	sales, err := orders.Sales(ctx)
	if err != nil {
		return nil, err
	}
	buyers := make([]domain.BuyerID, 0, len(sales))
	for _, sale := range sales {
		buyers = append(buyers, keys.BuyerID(sale.ID, sale.AliasRule.Fold(address)))
	}
	return ledger.OrdersOfBuyers(ctx, buyers)
}

// addressesOf are those that are asked for, and those of the orders: in a sale that folds
// aliases a buyer may have several.
func addressesOf(r domain.ErasureRequest, sold []domain.BuyersOrder) (all []string) {
	if r.Email != "" {
		all = append(all, r.Email)
	}
	for _, order := range sold {
		if order.Email != "" && !slices.Contains(all, order.Email) {
			all = append(all, order.Email)
		}
	}
	return all
}

func (e *Eraser) checkSettled(ctx context.Context, ids []domain.OrderID, payments map[domain.OrderID][]string) error {
	var open []string
	for _, id := range ids {
		workflow, err := e.Temporal.OpenWorkflow(ctx, id, payments[id])
		if err != nil {
			return err
		}
		if workflow != "" {
			open = append(open, id.String())
		}
	}
	if len(open) > 0 {
		return domain.NotSettled("an order is still open, or its money is on its way", open)
	}
	return nil
}

func sortOrders(orders *[]domain.OrderID) {
	slices.SortFunc(*orders, func(a, b domain.OrderID) int { return slices.Compare(a[:], b[:]) })
	*orders = slices.Compact(*orders)
}
