package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// A slot is the last byte of a transfer's id; the other fifteen are the order's. The high
// digit says what the transfer does. The low digit says for which line of the order
// (sorted by the bytes of their classes), for the buyer's quota, for their one open checkout, or
// for the order's code.
type slot uint8

// Nothing here may ever change: the ids are in the books.
const (
	slotHold      slot = 0x10
	slotPost      slot = 0x20
	slotVoid      slot = 0x30
	slotPerk      slot = 0x40
	slotRebook    slot = 0x50
	slotReturn    slot = 0x60
	slotVoidAgain slot = 0x70 // used if the id of the void is burnt, see Book.Void
	slotPerkBack  slot = 0x80 // returns the perk of an order that was unsold, see Book.Unsell

	// slotFirst is the low digit of the first line's transfer: every chain begins with it.
	slotFirst slot = 0x00

	// slotQuota is the low digit of the quota's transfer, slotCheckout that of the
	// buyer's open checkout.
	slotQuota    slot = 0x0F
	slotCheckout slot = 0x0E

	// slotCode is the low digit of the transfer that uses the order's code.
	slotCode slot = 0x0D
)

// Every class's line must fit below the three.
const _ = uint(int(slotCode) - domain.ClassesMax)

// transferID is the order's id, read as a big-endian number, plus the slot.
// TigerBeetle's numbers are little-endian.
func transferID(order domain.OrderID, s slot) tb.Uint128 {
	order[len(order)-1] |= byte(s)
	slices.Reverse(order[:])
	return tb.BytesToUint128(order)
}

// orderNumber is in user_data_128 of every transfer of an order.
func orderNumber(order domain.OrderID) tb.Uint128 { return transferID(order, 0) }

// orderOf is the inverse of orderNumber.
func orderOf(number tb.Uint128) domain.OrderID {
	id := domain.OrderID(number.Bytes())
	slices.Reverse(id[:])
	return id
}

// buyerNumber is both the id of the account with the buyer's quota and the id
// of the transfer that funds it.
func buyerNumber(buyer domain.BuyerID) tb.Uint128 {
	slices.Reverse(buyer[:])
	return tb.BytesToUint128(buyer)
}

// buyerOf is the inverse of buyerNumber.
func buyerOf(number tb.Uint128) domain.BuyerID {
	id := domain.BuyerID(number.Bytes())
	slices.Reverse(id[:])
	return id
}

// checkoutNumber is the same for the buyer's open checkout. No two accounts of a cluster
// share an id, so it differs from buyerNumber in the last bit: each account leads to the
// other.
func checkoutNumber(buyer domain.BuyerID) tb.Uint128 {
	buyer[len(buyer)-1] ^= 1
	return buyerNumber(buyer)
}

// buyerOfCheckout is the inverse of checkoutNumber.
func buyerOfCheckout(number tb.Uint128) domain.BuyerID {
	return buyerOf(checkoutNumber(buyerOf(number))) // flipping the bit again restores it
}

// codeNumber is both the id of the account with a code's uses and the id of the transfer that
// funds it.
func codeNumber(id domain.ClassCodeID) tb.Uint128 { return buyerNumber(domain.BuyerID(id)) }

// codeOf is the inverse of codeNumber.
func codeOf(number tb.Uint128) domain.ClassCodeID { return domain.ClassCodeID(buyerOf(number)) }

// revocationNumber is the id of the account whose being there revokes a code.
func revocationNumber(id domain.ClassCodeID) tb.Uint128 { return checkoutNumber(domain.BuyerID(id)) }

// A role says what an account is for; it is also the account's code.
type role uint16

const (
	roleOperator role = 1 // where stock comes from; its debits are what was funded
	roleBudget   role = 2 // what is left: never overdrawn
	roleSpent    role = 3 // what is sold
	roleQuota    role = 4 // a buyer's budget in the quota ledger
	roleCheckout role = 5 // a buyer's budget of one open checkout
	roleCode     role = 6 // how many orders may still use a code
	roleRevoked  role = 7 // nothing is ever in it: it says that a code is revoked
)

// accountID is readable in decimal, which is how TigerBeetle's REPL shows it: the
// ledger's number followed by the role. The budget of ledger 1007 is account 10072.
func accountID(ledger uint32, r role) tb.Uint128 {
	const roles = 10
	return tb.ToUint128(uint64(ledger)*roles + uint64(r))
}

// fundID is the id of the one transfer that funds a stock. It equals the id of the
// account that it funds (TigerBeetle's accounts and transfers have separate ids).
func fundID(ledger uint32) tb.Uint128 { return accountID(ledger, roleBudget) }

// drainID is the id of a stock's n-th drain, n from 1: that of its fund, with the round
// in the upper half. Orders' ids are far above, because they begin with a time.
func drainID(ledger, round uint32) tb.Uint128 {
	id := fundID(ledger).Bytes() // little-endian
	binary.LittleEndian.PutUint32(id[8:], round)
	return tb.BytesToUint128(id)
}

// capacityID is the id of a change of a stock's capacity: that of its fund, with 56 bits of
// the change in the upper half. Their highest bit is set, so it is no drain.
func capacityID(ledger uint32, change domain.CapacityChangeID) tb.Uint128 {
	id := fundID(ledger).Bytes() // little-endian
	copy(id[8:15], change[:])
	id[14] |= 0x80
	return tb.BytesToUint128(id)
}

// A code says in the books what a transfer was for. Posts and voids carry the code of
// their hold, as TigerBeetle requires (pending_transfer_has_different_code).
type code uint16

const (
	codeFund         code = 1
	codeFundQuota    code = 2
	codeDrain        code = 3
	codeFundCheckout code = 4
	codeRaise        code = 5
	codeLower        code = 6
	codeFundCode     code = 7
	codeHold         code = 10
	codeHoldQuota    code = 11
	codeHoldCheckout code = 12
	codeHoldCode     code = 13
	codePerk         code = 20
	codePerkBack     code = 21
	codeRebook       code = 30
	codeRebookQuota  code = 31
	codeRebookCode   code = 32
	codeReturn       code = 40
	codeReturnQuota  code = 41
	codeReturnCode   code = 42
)

// A reason in user_data_32 of a returned leg says why it was returned.
type reason uint32

const (
	reasonNotSaid      reason = 0 // a refund; anything in earlier releases
	reasonUnrecordable reason = 1
	reasonRefunding    reason = 2
	reasonUnpaid       reason = 3
	reasonUncaptured   reason = 4
)

var reasons = map[domain.UnsoldReason]reason{
	domain.UnsoldNotSaid:      reasonNotSaid,
	domain.UnsoldUnrecordable: reasonUnrecordable,
	domain.UnsoldRefunding:    reasonRefunding,
	domain.UnsoldUnpaid:       reasonUnpaid,
	domain.UnsoldUncaptured:   reasonUncaptured,
}

func reasonOf(why domain.UnsoldReason) (reason, error) {
	r, known := reasons[why]
	if !known {
		return 0, ourFault("no number for the reason %q to take seats back", why)
	}
	return r, nil
}

// said translates the books' reason for an order. A reason that this release does not
// know is an error: only a newer release can say what follows from it.
func (r reason) said(order domain.OrderID) (domain.UnsoldReason, error) {
	for why, number := range reasons {
		if number == r {
			return why, nil
		}
	}
	return "", &domain.Error{
		Code: domain.CodeInternal, Detail: "The order's seats went back for a reason that this release does not know.",
		Err: fmt.Errorf("unsell %s: reason %d in the ledger: a newer release wrote it", order, r),
	}
}
