package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// A Book is the box office's view of the ledger. It is safe for concurrent use. Any
// number of them, in any number of processes, may share a ledger.
//
// All methods fail like those of a Batcher, with the operation and the order in the
// error. Each may be repeated, and must be after a *domain.UnknownError.
type Book struct {
	batcher *Batcher
	buyers  *recentBuyers
	grace   time.Duration

	takingsPageMax uint32
}

// A BookOption configures a Book.
type BookOption func(*Book)

// WithHoldGrace sets how much longer than the order's HoldTimeout a new hold lives in the
// ledger. The default is domain.HoldGraceDefault. Nodes may differ.
func WithHoldGrace(d time.Duration) BookOption {
	return func(b *Book) { b.grace = d }
}

// withTakingsPageMax lets tests read many pages.
func withTakingsPageMax(n uint32) BookOption {
	return func(b *Book) { b.takingsPageMax = n }
}

// NewBook returns a book on a batcher. The caller closes the batcher.
func NewBook(batcher *Batcher, options ...BookOption) *Book {
	b := &Book{batcher: batcher, buyers: newRecentBuyers(recentBuyersMax), grace: domain.HoldGraceDefault, takingsPageMax: takingsPageMax}
	for _, o := range options {
		o(b)
	}
	return b
}

// Hold sets the order's seats aside, all or none. Its verdict is definite. A held order
// stays held however often it is asked for, with the same timestamp and grace, which has the
// order's ProcessingExtension in it. A refused
// one is never held later, because the ledger never takes a refused id again. The ledger
// does not say when the checkout gives up: ExpiresAt is not set.
//
// If several limits refuse the order (sold out, its code, or one of the buyer's limits), the first
// leg that fails decides which one is reported. A repeated order can therefore get
// another refusal than before, if a class sold out meanwhile.
//
// A *domain.Error with CodeKeyReused means that another order was held under this id.
func (b *Book) Hold(ctx context.Context, o *domain.Order) (domain.Hold, error) {
	const op = "hold"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return domain.Hold{}, err
	}
	legs := heldLegs(o)
	timeout := seconds(o.HoldTimeout + o.ProcessingExtension + b.grace)
	v, err := b.takeWithQuota(ctx, op, o, holdChain(o.ID, legs, timeout))
	if err == nil && v.status == tb.TransferExistsWithDifferentTimeout {
		timeout, v, err = b.holdWithAnotherGrace(ctx, op, o, legs)
	}
	if err != nil {
		return domain.Hold{}, err
	}
	switch v.class {
	case classApplied:
		hold := domain.Hold{Outcome: domain.HoldHeld, HeldAt: v.appliedAt, Grace: time.Duration(timeout)*time.Second - o.HoldTimeout}
		if timeout >= seconds(o.HoldTimeout+o.ProcessingExtension+min(b.grace, domain.HoldGraceMin)) {
			hold.ProcessingExtension = o.ProcessingExtension // else a node placed it that knew nothing of it
		}
		return hold, nil
	case classRefused, classBurnt:
		return refusal(legs[v.index]), nil
	case classDiffers:
		return domain.Hold{}, &domain.Error{
			Code:   domain.CodeKeyReused,
			Detail: "This order was placed before with other contents.",
			Err:    v.fault(op, o.ID),
		}
	default:
		return domain.Hold{}, v.fault(op, o.ID)
	}
}

// holdWithAnotherGrace asks again for a hold that a node with another grace placed. It
// uses that node's timeout, so that only a difference in contents counts as one.
func (b *Book) holdWithAnotherGrace(ctx context.Context, op string, o *domain.Order, legs []leg) (uint32, verdict, error) {
	found, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transferID(o.ID, slotHold|legs[0].slot)})
	if err != nil {
		return 0, verdict{}, failed(op, o.ID, err)
	}
	if found[0] == nil {
		return 0, verdict{}, ourFault("%s %s: the ledger has another hold of this order, and does not find it", op, o.ID)
	}
	v, err := b.run(ctx, op, o.ID, holdChain(o.ID, legs, found[0].Timeout))
	return found[0].Timeout, v, err
}

// Known reports whether only this order's key can have its answer: it was held, whatever
// happened to the hold, or it was refused because of its buyer (over the quota, another checkout
// open, or a code without uses left). An order refused for lack of seats left nothing and is not
// known; neither is one whose hold is still on its way. It only reads: nothing is booked.
func (b *Book) Known(ctx context.Context, o *domain.Order) (bool, error) {
	const op = "look up"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return false, err
	}
	first := legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)[0]
	found, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transferID(o.ID, slotHold|first.slot), buyerNumber(o.Buyer)})
	if err != nil {
		return false, failed(op, o.ID, err)
	}
	held, quota := found[0] != nil, found[1] != nil
	if held || !quota { // a buyer without a quota was never refused because of it, nor of a code
		return held, nil
	}
	ofBuyer := []slot{slotHold | slotQuota}
	if o.CheckoutLedger != 0 {
		ofBuyer = append(ofBuyer, slotHold|slotCheckout)
	}
	if o.Code != nil {
		ofBuyer = append(ofBuyer, slotHold|slotCode)
	}
	return b.burnt(ctx, op, o.ID, ofBuyer...)
}

// there reports whether the order has a transfer in a slot.
func (b *Book) there(ctx context.Context, op string, order domain.OrderID, s slot) (bool, error) {
	found, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transferID(order, s)})
	if err != nil {
		return false, failed(op, order, err)
	}
	return found[0] != nil, nil
}

// burnt reports whether the id of any of the slots was refused before. Lookups do not
// show that, so it sends a transfer that has an id and nothing else: ids are checked
// before fields, and malformed fields burn no id (TigerBeetle's reference of
// create_transfers, the order of its results).
func (b *Book) burnt(ctx context.Context, op string, order domain.OrderID, slots ...slot) (bool, error) {
	probes := make([]tb.Transfer, len(slots))
	for i, s := range slots {
		probes[i].ID = transferID(order, s)
	}
	results, err := b.sendTransfers(ctx, probes)
	if err != nil {
		return false, failed(op, order, err)
	}
	return slices.ContainsFunc(results, func(r tb.CreateTransferResult) bool { return transferClass(r.Status) == classBurnt }), nil
}

// refusal derives from the leg what its refused or burnt id means.
func refusal(l leg) domain.Hold {
	switch l.slot {
	case slotQuota:
		return domain.Hold{Outcome: domain.HoldLimitReached}
	case slotCheckout:
		return domain.Hold{Outcome: domain.HoldLimitReached, CheckoutOpen: true}
	case slotCode:
		return domain.Hold{Outcome: domain.HoldLimitReached, CodeUsed: true}
	default:
		return domain.Hold{Outcome: domain.HoldSoldOut}
	}
}

// Post sells what the order holds, and its checkout no longer counts as open. The hold's
// own outcome must be known: a post that overtakes its hold burns its id, and the order
// can never be posted.
//
//	the first leg answers       which means                             outcome
//	created, exists             posted, now or before                   posted
//	exists, and went back       see Unsell and Return                   returned
//	…_already_voided            the hold was given back                 hold gone
//	…_expired                   its timeout passed                      hold gone
//	…_not_found (burns the id)  there never was a hold                  hold gone
//	id_already_failed           …_not_found was the answer before       hold gone
//	…_already_posted            posted under an id that is not ours     our fault
//
// The two that burn stay *hold gone* for good, whatever happens to the hold afterwards,
// so that money refunded because of that answer stays refunded. A hold that turns up late
// ends by its timeout.
func (b *Book) Post(ctx context.Context, o *domain.Order) (domain.PostOutcome, error) {
	const op = "post"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return "", err
	}
	v, err := b.end(ctx, op, o, func(legs []leg) []tb.Transfer { return postChain(o.ID, legs) })
	if err != nil {
		return "", err
	}
	switch v.class {
	case classApplied:
		if v.status == tb.TransferCreated {
			return domain.PostPosted, nil
		}
		if returned, err := b.there(ctx, op, o.ID, slotReturn|slotFirst); err != nil || returned {
			return domain.PostReturned, err
		}
		return domain.PostPosted, nil
	case classVoided, classExpired, classNotFound, classBurnt:
		return domain.PostGone, nil
	default:
		return "", v.fault(op, o.ID)
	}
}

// Void gives back what the order holds, its buyer's open checkout included. Don't call it
// while the hold's outcome is unknown: a void that overtakes its hold burns its id.
//
//	the first leg answers       which means                             outcome
//	created, exists             voided, now or before                   voided
//	…_already_voided            voided under the spare ids              voided
//	…_expired                   its timeout passed                      voided
//	…_already_posted            the order is paid                       already posted
//	…_not_found (burns the id)  there is no hold                        voided
//	id_already_failed           …_not_found was the answer before       see voidBurnt
func (b *Book) Void(ctx context.Context, o *domain.Order) (domain.VoidOutcome, error) {
	const op = "void"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return "", err
	}
	v, err := b.end(ctx, op, o, func(legs []leg) []tb.Transfer { return voidChain(o.ID, slotVoid, legs) })
	if err != nil {
		return "", err
	}
	if v.class == classBurnt {
		return b.voidBurnt(ctx, op, o)
	}
	return v.voided(op, o.ID)
}

func (v verdict) voided(op string, order domain.OrderID) (domain.VoidOutcome, error) {
	switch v.class {
	case classApplied, classVoided, classExpired, classNotFound:
		return domain.VoidVoided, nil
	case classPosted:
		return domain.VoidPosted, nil
	default:
		return "", v.fault(op, order)
	}
}

// voidBurnt voids an order whose void came before its hold. If the hold is in the books
// by now, it can still be voided, but only under other ids. Those cannot burn, because we
// know that the hold is there. If it is not there, there is nothing to give back.
func (b *Book) voidBurnt(ctx context.Context, op string, o *domain.Order) (domain.VoidOutcome, error) {
	held, err := b.there(ctx, op, o.ID, slotHold|slotFirst)
	if err != nil {
		return "", err
	}
	if !held {
		return domain.VoidVoided, nil
	}
	v, err := b.end(ctx, op, o, func(legs []leg) []tb.Transfer { return voidChain(o.ID, slotVoidAgain, legs) })
	if err != nil {
		return "", err
	}
	return v.voided(op, o.ID)
}

// end runs a chain that ends an order's hold. If only the open checkout is missing, a
// node of a release without that limit took the hold. Then it ends without that leg, so
// that nobody who paid loses held seats while nodes are replaced.
func (b *Book) end(ctx context.Context, op string, o *domain.Order, chain func([]leg) []tb.Transfer) (verdict, error) {
	legs := heldLegs(o)
	v, err := b.run(ctx, op, o.ID, chain(legs))
	missing := v.class == classNotFound || v.class == classBurnt // missing before
	if err != nil || !missing || legs[v.index].slot != slotCheckout {
		return v, err
	}
	return b.run(ctx, op, o.ID, chain(legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)))
}

// TakePerk takes one of the sale's perk for a paid order. False means that the sale has
// none, or had none left when the order first asked: a refused id is burnt, so the answer
// never changes.
func (b *Book) TakePerk(ctx context.Context, o *domain.Order) (bool, error) {
	const op = "perk"
	if o.Perk == nil {
		return false, nil
	}
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return false, err
	}
	v, err := b.run(ctx, op, o.ID, []tb.Transfer{{
		ID:              transferID(o.ID, slotPerk),
		DebitAccountID:  accountID(o.Perk.Ledger, roleBudget),
		CreditAccountID: accountID(o.Perk.Ledger, roleSpent),
		Amount:          tb.ToUint128(1),
		UserData128:     orderNumber(o.ID),
		Ledger:          o.Perk.Ledger,
		Code:            uint16(codePerk),
	}})
	if err != nil {
		return false, err
	}
	switch v.class {
	case classApplied:
		return true, nil
	case classRefused, classBurnt:
		return false, nil
	default:
		return false, v.fault(op, o.ID)
	}
}

// Rebook sells the order's seats although its hold is gone, at once and without a hold,
// if stock and quota still allow it. The buyer may have another checkout open by now;
// that does not matter here. A refused order is never rebooked later: the money goes
// back. Neither is one whose seats were returned, however they were sold: a second return
// would find its ids taken.
func (b *Book) Rebook(ctx context.Context, o *domain.Order) (domain.RebookOutcome, error) {
	const op = "rebook"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return "", err
	}
	before, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{transferID(o.ID, slotReturn|slotFirst), transferID(o.ID, slotRebook|slotFirst)})
	switch {
	case err != nil:
		return "", failed(op, o.ID, err)
	case before[0] != nil && before[1] != nil:
		return domain.RebookReturned, nil
	case before[0] != nil:
		return domain.RebookNoneLeft, nil
	}
	v, err := b.takeWithQuota(ctx, op, o, rebookChain(o.ID, legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)))
	if err != nil {
		return "", err
	}
	switch v.class {
	case classApplied:
		return domain.RebookBooked, nil
	case classRefused, classBurnt:
		return domain.RebookNoneLeft, nil
	default:
		return "", v.fault(op, o.ID)
	}
}

// Return gives a refunded order's seats and quota back to the sale; the buyer keeps a
// perk. The order must have been sold as its Booking says: it never returns what the
// ledger did not sell to the order, and that error is definite.
func (b *Book) Return(ctx context.Context, o *domain.SoldOrder) error {
	const op = "return"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return err
	}
	legs := legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)
	if err := b.checkSold(ctx, op, o.ID, o.Booking, legs); err != nil {
		return err
	}
	_, err := b.returnSeats(ctx, op, o.ID, legs, reasonNotSaid)
	return err
}

// Unsell takes back a sale that was booked and never recorded: its seats, quota and perk
// are free again, as if it had never been. The order must have been booked as booking
// says, else the error is definite. It is never sold again afterwards: see Post and
// Rebook. The books keep the reason with the seats. If the seats went back before, that
// reason stands, and Unsell returns it.
func (b *Book) Unsell(ctx context.Context, o *domain.Order, booking domain.Booking, why domain.UnsoldReason) (domain.UnsoldReason, error) {
	const op = "unsell"
	if err := checkOrder(o.ID, o.Lines, o.Code, o.QuotaLedger, o.Buyer); err != nil {
		return "", err
	}
	number, err := reasonOf(why)
	if err != nil {
		return "", err
	}
	legs := legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)
	if err := b.checkSold(ctx, op, o.ID, booking, legs); err != nil {
		return "", err
	}
	if number, err = b.returnSeats(ctx, op, o.ID, legs, number); err != nil {
		return "", err
	}
	stands, err := number.said(o.ID)
	if err != nil || o.Perk == nil {
		return stands, err
	}
	taken, err := b.there(ctx, op, o.ID, slotPerk)
	if err != nil || !taken {
		return stands, err
	}
	return stands, b.giveBack(ctx, op, o.ID, []tb.Transfer{perkBack(o)})
}

// returnSeats returns the legs for a reason, or says for which reason they were returned
// before. It cannot be refused: what it moves was sold.
func (b *Book) returnSeats(ctx context.Context, op string, order domain.OrderID, legs []leg, why reason) (reason, error) {
	chain := returnChain(order, legs, why)
	v, err := b.run(ctx, op, order, chain)
	switch {
	case err != nil:
		return 0, err
	case v.class == classApplied:
		return why, nil
	case v.class != classDiffers:
		return 0, v.fault(op, order)
	}
	found, err := b.batcher.LookupTransfers(ctx, []tb.Uint128{chain[0].ID})
	if err != nil {
		return 0, failed(op, order, err)
	}
	if before := found[0]; before != nil && before.Code == chain[0].Code && before.UserData64 == chain[0].UserData64 {
		return reason(before.UserData32), nil // the same contents: only the reason differs
	}
	return 0, v.fault(op, order)
}

// giveBack runs a chain that cannot be refused: what it moves was sold.
func (b *Book) giveBack(ctx context.Context, op string, order domain.OrderID, chain []tb.Transfer) error {
	v, err := b.run(ctx, op, order, chain)
	if err != nil {
		return err
	}
	if v.class != classApplied {
		return v.fault(op, order)
	}
	return nil
}

// checkSold returns a definite error if the ledger never sold the legs this way.
func (b *Book) checkSold(ctx context.Context, op string, order domain.OrderID, booking domain.Booking, legs []leg) error {
	var base slot
	switch booking {
	case domain.BookedByHold:
		base = slotPost
	case domain.BookedByRebook:
		base = slotRebook
	default:
		return ourFault("%s %s: unknown booking %q", op, order, booking)
	}
	ids := make([]tb.Uint128, len(legs))
	for i, l := range legs {
		ids[i] = transferID(order, base|l.slot)
	}
	sold, err := b.batcher.LookupTransfers(ctx, ids)
	if err != nil {
		return failed(op, order, err)
	}
	for i, t := range sold {
		if t == nil || t.Amount != tb.ToUint128(uint64(legs[i].quantity)) || t.Ledger != legs[i].ledger {
			return ourFault("%s %s: transfer %s, which sold %d in ledger %d, is not in the books",
				op, order, ids[i], legs[i].quantity, legs[i].ledger)
		}
	}
	return nil
}

// run submits one chain and judges it.
func (b *Book) run(ctx context.Context, op string, order domain.OrderID, chain []tb.Transfer) (verdict, error) {
	results, err := b.sendTransfers(ctx, chain)
	if err != nil {
		return verdict{}, failed(op, order, err)
	}
	return judge(results), nil
}

// failed adds to a batcher's error what failed, and for which order.
func failed(op string, id fmt.Stringer, err error) error {
	var unknown *domain.UnknownError
	var definite *domain.Error
	switch {
	case errors.As(err, &unknown):
		return &domain.UnknownError{Op: op, ID: id.String(), Err: unknown.Err}
	case errors.As(err, &definite):
		told := *definite
		told.Err = fmt.Errorf("%s %s: %w", op, id, definite.Err)
		return &told
	default:
		return fmt.Errorf("%s %s: %w", op, id, err)
	}
}
