// Package figures keeps the view of sales up to date from the event log: what is sold by
// minute and class, what was taken, what goes back. Whoever looks at the view asks none of
// the tables that are sold from.
package figures

import (
	"context"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/orders"
)

// batchMax is how many events share a transaction of the view.
const batchMax = 500

// NewReader adds events to the view. An event that comes again adds nothing.
func NewReader(store interface {
	AddFigures(ctx context.Context, events []domain.Event) error
}) notify.Reader {
	return notify.Reader{
		Name: orders.FiguresReader, Types: domain.FigureEvents(), BatchMax: batchMax, Handle: store.AddFigures,
	}
}
