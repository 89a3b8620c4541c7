package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// A leg is one movement of an order: a number of tickets from a budget to a spent
// account. The legs of an order are its lines (see inSequence), its code if it has one, then
// the buyer's quota; both numbers below follow from that. A hold may have one more, see heldLegs.
type leg struct {
	slot     slot // low digit
	ledger   uint32
	budget   tb.Uint128
	spent    tb.Uint128
	quantity int64
}

func legsOf(lines []domain.Line, used *domain.ClassCodeRef, quotaLedger uint32, buyer domain.BuyerID) []leg {
	lines = inSequence(lines)
	legs := make([]leg, 0, len(lines)+3)
	var total int64
	for i, l := range lines {
		legs = append(legs, leg{
			slot:     slot(i),
			ledger:   l.Ledger,
			budget:   accountID(l.Ledger, roleBudget),
			spent:    accountID(l.Ledger, roleSpent),
			quantity: l.Quantity,
		})
		total += l.Quantity
	}
	if used != nil {
		legs = append(legs, leg{
			slot:     slotCode,
			ledger:   used.Ledger,
			budget:   codeNumber(used.ID),
			spent:    accountID(used.Ledger, roleSpent),
			quantity: 1,
		})
	}
	return append(legs, leg{
		slot:     slotQuota,
		ledger:   quotaLedger,
		budget:   buyerNumber(buyer),
		spent:    accountID(quotaLedger, roleSpent),
		quantity: total,
	})
}

// inSequence sorts lines as when the order was placed and they got their slots: by the
// bytes of their classes. However they were kept meanwhile, the ids come out the same.
func inSequence(lines []domain.Line) []domain.Line {
	byClass := func(a, b domain.Line) int { return cmp.Compare(a.Class, b.Class) }
	if slices.IsSortedFunc(lines, byClass) {
		return lines
	}
	return slices.SortedStableFunc(slices.Values(lines), byClass)
}

// heldLegs are the legs of an order's hold, and of what ends it: legsOf plus, if a buyer
// may have only one checkout open, that checkout. That leg is only ever pending: whatever
// ends the hold voids it, so its own state would not tell a paid order from one that was
// given up. So the lines go first, because their answers do tell. It goes before the
// quota: a buyer with another checkout open can do something about that.
func heldLegs(o *domain.Order) []leg {
	legs := legsOf(o.Lines, o.Code, o.QuotaLedger, o.Buyer)
	if o.CheckoutLedger == 0 {
		return legs
	}
	return slices.Insert(legs, len(legs)-1, leg{
		slot:     slotCheckout,
		ledger:   o.CheckoutLedger,
		budget:   checkoutNumber(o.Buyer),
		spent:    accountID(o.CheckoutLedger, roleSpent),
		quantity: 1,
	})
}

// checkOrder refuses what would make a malformed or endless chain. Orders come from
// domain.NewOrder, so it guards against our own mistakes.
func checkOrder(order domain.OrderID, lines []domain.Line, used *domain.ClassCodeRef, quotaLedger uint32, buyer domain.BuyerID) error {
	switch {
	case order.IsZero() || order[len(order)-1] != 0:
		return ourFault("order %s: the id must end in a zero byte and not be zero", order)
	case len(lines) == 0 || len(lines) > domain.ClassesMax:
		return ourFault("order %s has %d lines, want 1–%d", order, len(lines), domain.ClassesMax)
	case quotaLedger == 0 || buyer == domain.BuyerID{}:
		return ourFault("order %s names no quota", order)
	case used != nil && (used.Ledger == 0 || used.ID == domain.ClassCodeID{}):
		return ourFault("order %s names half a code", order)
	}
	for _, l := range lines {
		if l.Ledger == 0 || l.Quantity < 1 {
			return ourFault("order %s, class %s: ledger %d, quantity %d", order, l.Class, l.Ledger, l.Quantity)
		}
	}
	return nil
}

// contentsOf identifies what an order moves, and for whom: the budget of the last leg is
// the buyer's. It is in user_data_64 of the transfers, so that we notice an id that comes
// back with other contents even if its first line is the same.
func contentsOf(legs []leg) uint64 {
	h := sha256.New()
	for _, l := range legs {
		budget := l.budget.Bytes()
		h.Write(budget[:])
		h.Write(binary.BigEndian.AppendUint32(nil, l.ledger))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(l.quantity)))
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func holdChain(order domain.OrderID, legs []leg, timeoutSeconds uint32) []tb.Transfer {
	return link(order, slotHold, legs, func(l leg) tb.Transfer {
		t := move(l, l.budget, l.spent, legCodes{codeHold, codeHoldQuota, codeHoldCode})
		if l.slot == slotCheckout {
			t.Code = uint16(codeHoldCheckout)
		}
		t.Timeout = timeoutSeconds
		t.Flags = tb.TransferFlags{Pending: true}.ToUint16()
		t.UserData64 = contentsOf(legs)
		return t
	})
}

func rebookChain(order domain.OrderID, legs []leg) []tb.Transfer {
	return link(order, slotRebook, legs, func(l leg) tb.Transfer {
		t := move(l, l.budget, l.spent, legCodes{codeRebook, codeRebookQuota, codeRebookCode})
		t.UserData64 = contentsOf(legs)
		return t
	})
}

func returnChain(order domain.OrderID, legs []leg, why reason) []tb.Transfer {
	return link(order, slotReturn, legs, func(l leg) tb.Transfer {
		t := move(l, l.spent, l.budget, legCodes{codeReturn, codeReturnQuota, codeReturnCode})
		t.UserData64, t.UserData32 = contentsOf(legs), uint32(why)
		return t
	})
}

// perkBack undoes the transfer of TakePerk.
func perkBack(o *domain.Order) tb.Transfer {
	return tb.Transfer{
		ID:              transferID(o.ID, slotPerkBack),
		DebitAccountID:  accountID(o.Perk.Ledger, roleSpent),
		CreditAccountID: accountID(o.Perk.Ledger, roleBudget),
		Amount:          tb.ToUint128(1),
		UserData128:     orderNumber(o.ID),
		Ledger:          o.Perk.Ledger,
		Code:            uint16(codePerkBack),
	}
}

// postChain posts every leg of a hold in full (amount AMOUNT_MAX: TigerBeetle's
// reference, Transfer.amount). The checkout is no longer open, so its leg is voided in
// the same chain.
func postChain(order domain.OrderID, legs []leg) []tb.Transfer {
	return link(order, slotPost, legs, func(l leg) tb.Transfer {
		if l.slot == slotCheckout {
			return voidOf(order, l)
		}
		return tb.Transfer{
			PendingID: transferID(order, slotHold|l.slot),
			Amount:    tb.AmountMax,
			Flags:     tb.TransferFlags{PostPendingTransfer: true}.ToUint16(),
		}
	})
}

// voidChain voids every leg of a hold; base is slotVoid or slotVoidAgain.
func voidChain(order domain.OrderID, base slot, legs []leg) []tb.Transfer {
	return link(order, base, legs, func(l leg) tb.Transfer { return voidOf(order, l) })
}

func voidOf(order domain.OrderID, l leg) tb.Transfer {
	return tb.Transfer{
		PendingID: transferID(order, slotHold|l.slot),
		Flags:     tb.TransferFlags{VoidPendingTransfer: true}.ToUint16(),
	}
}

// link makes one transfer a leg and links them: all are applied or none.
func link(order domain.OrderID, base slot, legs []leg, transfer func(leg) tb.Transfer) []tb.Transfer {
	linked := tb.TransferFlags{Linked: true}.ToUint16()
	chain := make([]tb.Transfer, len(legs))
	for i, l := range legs {
		t := transfer(l)
		t.ID = transferID(order, base|l.slot)
		t.UserData128 = orderNumber(order)
		if i < len(legs)-1 {
			t.Flags |= linked
		}
		chain[i] = t
	}
	return chain
}

// legCodes are what the legs of a chain are for.
type legCodes struct{ ofLine, ofQuota, ofCode code }

func move(l leg, debit, credit tb.Uint128, codes legCodes) tb.Transfer {
	c := codes.ofLine
	if l.slot == slotQuota {
		c = codes.ofQuota
	} else if l.slot == slotCode {
		c = codes.ofCode
	}
	return tb.Transfer{
		DebitAccountID:  debit,
		CreditAccountID: credit,
		Amount:          tb.ToUint128(uint64(l.quantity)),
		Ledger:          l.ledger,
		Code:            uint16(c),
	}
}

// seconds rounds up: TigerBeetle counts timeouts in whole seconds, and a hold
// must not end early.
func seconds(d time.Duration) uint32 {
	return uint32((d + time.Second - 1) / time.Second)
}

// A verdict is what happened to a chain.
type verdict struct {
	class class
	// index is that of the deciding event; status is its status.
	index  int
	status tb.CreateTransferStatus
	// appliedAt is when the chain was applied, now or by an earlier request. Its deadline
	// counts from here: `exists` does not mean still pending.
	appliedAt time.Time
}

// judge reads the results of one chain. If the first event is `created` or `exists`, the
// whole chain is in the books: a chain that is sent again answers `exists` and then
// linked_event_failed. Otherwise exactly one event has a status of its own, and that one
// decides.
func judge(results []tb.CreateTransferResult) verdict {
	if len(results) == 0 {
		return verdict{class: classFault}
	}
	if transferClass(results[0].Status) == classApplied {
		return verdict{
			class:     classApplied,
			status:    results[0].Status,
			appliedAt: time.Unix(0, int64(results[0].Timestamp)).UTC(),
		}
	}
	for i, r := range results {
		if c := transferClass(r.Status); c != classLinked {
			return verdict{class: c, index: i, status: r.Status}
		}
	}
	return verdict{class: classFault, status: tb.TransferLinkedEventFailed}
}

// fault is the error for a verdict that must not happen.
func (v verdict) fault(op string, order domain.OrderID) error {
	return ourFault("%s %s: event %d of the chain answered %s", op, order, v.index, v.status)
}

// ourFault is a definite failure whose cause is for the logs only.
func ourFault(format string, args ...any) *domain.Error {
	return &domain.Error{
		Code:   domain.CodeInternal,
		Detail: "The ledger refused a request of ours. Nothing was booked.",
		Err:    fmt.Errorf(format, args...),
	}
}
