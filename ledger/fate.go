package ledger

import (
	"context"
	"slices"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// fateSlots are the slots of an order's first line that show what happened to it: of
// every chain, all is in the books or nothing.
var fateSlots = []slot{slotHold, slotPost, slotVoid, slotVoidAgain, slotRebook, slotReturn}

// fatesAtOnce limits how many orders one request asks for.
const fatesAtOnce = 1000

// SeatFate says what happened to an order's seats. It is the evidence that nothing was
// sold, or that something was. It only reads.
func (b *Book) SeatFate(ctx context.Context, order domain.OrderID) (domain.SeatFate, error) {
	fates, err := b.SeatFates(ctx, []domain.OrderID{order})
	return fates[order], err
}

// SeatFates is SeatFate for many orders: each has an entry.
func (b *Book) SeatFates(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]domain.SeatFate, error) {
	fates := make(map[domain.OrderID]domain.SeatFate, len(orders))
	for some := range slices.Chunk(orders, fatesAtOnce) {
		ids := make([]tb.Uint128, 0, len(fateSlots)*len(some))
		for _, order := range some {
			for _, s := range fateSlots {
				ids = append(ids, transferID(order, s))
			}
		}
		found, err := b.batcher.LookupTransfers(ctx, ids)
		if err != nil {
			return nil, failed("look up what became of", ordersCount(len(some)), err)
		}
		for i, order := range some {
			fates[order] = fateOf(found[i*len(fateSlots) : (i+1)*len(fateSlots)])
		}
		if err := b.releaseExpired(ctx, some, found, fates); err != nil {
			return nil, err
		}
	}
	return fates, nil
}

// fateOf reads the transfers of fateSlots. The ledger books nothing when a hold expires,
// so an expired one still reads as held.
func fateOf(found []*tb.Transfer) domain.SeatFate {
	there := func(s slot) bool { return found[slices.Index(fateSlots, s)] != nil }
	switch {
	case there(slotReturn):
		return domain.SeatsReturned
	case there(slotPost), there(slotRebook):
		return domain.SeatsSold
	case !there(slotHold):
		return domain.SeatsNeverHeld
	case there(slotVoid), there(slotVoidAgain):
		return domain.SeatsReleased
	default:
		return domain.SeatsHeld
	}
}

// releaseExpired finds the holds that have expired, by the ledger's own time.
func (b *Book) releaseExpired(ctx context.Context, orders []domain.OrderID, found []*tb.Transfer, fates map[domain.OrderID]domain.SeatFate) error {
	var now time.Time
	for i, order := range orders {
		if fates[order] != domain.SeatsHeld {
			continue
		}
		if now.IsZero() {
			var err error
			if now, err = b.Now(ctx); err != nil {
				return failed("look up what became of", order, err)
			}
		}
		if hold := found[i*len(fateSlots)+slices.Index(fateSlots, slotHold)]; !expiryOf(*hold).After(now) {
			fates[order] = domain.SeatsReleased
		}
	}
	return nil
}

// Booked returns what the ledger knows about an order that it sold, from its transfers
// alone. It only reads.
func (b *Book) Booked(ctx context.Context, order domain.OrderID) (domain.BookedOrder, error) {
	const op = "look up"
	fate, err := b.SeatFate(ctx, order)
	if err != nil || fate != domain.SeatsSold && fate != domain.SeatsReturned {
		return domain.BookedOrder{Fate: fate}, err
	}
	booked := domain.BookedOrder{Fate: fate, Booking: domain.BookedByHold}
	for _, base := range []slot{slotPost, slotRebook} {
		chain, err := b.soldChain(ctx, order, base)
		if err != nil {
			return domain.BookedOrder{}, failed(op, order, err)
		}
		if base == slotRebook {
			booked.Booking = domain.BookedByRebook
		}
		if chain.sold(&booked) {
			break
		}
	}
	perk, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transferID(order, slotPerk), transferID(order, slotPerkBack)})
	if err != nil {
		return domain.BookedOrder{}, failed(op, order, err)
	}
	if perk[0] != nil && perk[1] == nil {
		booked.PerkLedger = perk[0].Ledger
	}
	return booked, nil
}

// A soldChain is what sold an order: its lines in their sequence, its code if it used one, then
// its buyer's quota.
type soldChain []*tb.Transfer

func (b *Book) soldChain(ctx context.Context, order domain.OrderID, base slot) (soldChain, error) {
	ids := make([]tb.Uint128, 0, domain.ClassesMax+2)
	for i := range domain.ClassesMax {
		ids = append(ids, transferID(order, base|slot(i)))
	}
	return b.batcher.LookupTransfers(ctx, append(ids, transferID(order, base|slotCode), transferID(order, base|slotQuota)))
}

// sold adds what the chain sold. It returns false if there is no such chain.
func (c soldChain) sold(to *domain.BookedOrder) bool {
	lines, used, quota := c[:len(c)-2], c[len(c)-2], c[len(c)-1]
	if lines[0] == nil || quota == nil {
		return false
	}
	for _, t := range lines {
		if t != nil {
			to.Lines = append(to.Lines, domain.BookedLine{Ledger: t.Ledger, Quantity: tickets(t.Amount)})
		}
	}
	if used != nil {
		to.Code = &domain.ClassCodeRef{ID: codeOf(used.DebitAccountID), Ledger: used.Ledger}
	}
	to.Buyer, to.QuotaLedger = buyerOf(quota.DebitAccountID), quota.Ledger
	to.SoldAt = time.Unix(0, int64(lines[0].Timestamp)).UTC()
	return true
}
