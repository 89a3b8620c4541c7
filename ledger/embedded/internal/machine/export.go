package machine

import (
	"cmp"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// Export is a ledger as imported events.
type Export struct {
	// Accounts and Transfers can be created elsewhere, in this order: the flag
	// imported is set and the timestamps are kept.
	Accounts  []tb.Account
	Transfers []tb.Transfer
	// BurntIDs are the transfer ids that can never be used.
	BurntIDs []tb.Uint128
	// OpenIDs are pending transfers with a timeout that have not ended. Imported
	// transfers cannot have a timeout, so they are why an export is refused.
	OpenIDs []tb.Uint128

	balances []balances // of each account
}

// Export copies the whole ledger. expiryID returns the id of the void that stands for an expiry.
func (m *Machine) Export(expiryID func(pending tb.Uint128) tb.Uint128) *Export {
	x := &Export{
		Accounts:  make([]tb.Account, 0, m.accounts.length),
		Transfers: make([]tb.Transfer, 0, m.transfers.length+m.expiries.length),
		BurntIDs:  make([]tb.Uint128, 0, m.burntIDs.length),
	}
	for row := range m.accounts.length {
		a := *m.accounts.at(row)
		x.balances = append(x.balances, a.balances)
		a.balances = balances{}
		exported := a.wire()
		exported.Flags = a.flagsCreated&^accountLinked | accountImported
		x.Accounts = append(x.Accounts, exported)
	}
	voids := m.expiriesAsVoids(expiryID)
	for row := range m.transfers.length {
		for len(voids) > 0 && voids[0].Timestamp < m.transfers.at(row).timestamp {
			x.Transfers, voids = append(x.Transfers, voids[0]), voids[1:]
		}
		x.Transfers = append(x.Transfers, m.exported(row))
		if *m.pendingStatus.at(row) == statusPending && m.transfers.at(row).timeout != 0 {
			x.OpenIDs = append(x.OpenIDs, m.transfers.at(row).id.wire())
		}
	}
	x.Transfers = append(x.Transfers, voids...)
	for row := range m.burntIDs.length {
		x.BurntIDs = append(x.BurntIDs, m.burntIDs.at(row).wire())
	}
	return x
}

// exported is a transfer as an imported event. It drops the timeout, which has passed or
// was resolved in time, and the link, which only meant something within its request.
func (m *Machine) exported(row uint32) tb.Transfer {
	t := m.transferWire(row)
	t.Flags = t.Flags&^transferLinked | transferImported
	t.Timeout = 0
	return t
}

// expiriesAsVoids are what the expiries did, as transfers, in the order of their
// timestamps.
//
// An imported event must be newer than the one before it. So if a transfer with an older
// timestamp was imported after an expiry, the void gets a timestamp before that transfer's,
// because later transfers may need what the expiry gave back.
func (m *Machine) expiriesAsVoids(id func(pending tb.Uint128) tb.Uint128) []tb.Transfer {
	voids := make([]tb.Transfer, m.expiries.length)
	taken := map[uint32]uint64{} // by the row that follows: the least timestamp of a void before it
	for i := len(voids) - 1; i >= 0; i-- {
		e := m.expiries.at(uint32(i))
		pending := m.transfers.at(e.transfer).id.wire()
		voids[i] = tb.Transfer{
			ID:        id(pending),
			PendingID: pending,
			Flags:     transferVoid | transferImported,
			Timestamp: m.voidAt(e, taken),
		}
	}
	slices.SortFunc(voids, func(a, b tb.Transfer) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return voids
}

// voidAt is the timestamp of the void that stands for an expiry: the expiry's own, or a
// free one after the previous transfer. If there is none, an earlier one will do, as long
// as it is after the pending transfer: giving an amount back earlier does no harm. The last
// resort is a later one, and Verify tells whether that works.
func (m *Machine) voidAt(e *expiry, taken map[uint32]uint64) uint64 {
	for row := e.transfersBefore; row > e.transfer; row-- {
		if at, ok := m.freeBefore(row, e.timestamp, taken); ok {
			return at
		}
	}
	for row := e.transfersBefore + 1; row <= m.transfers.length && m.transfers.at(row-1).timestamp < e.timestamp; row++ {
		if at, ok := m.freeBefore(row, e.timestamp, taken); ok {
			return at
		}
	}
	return e.timestamp
}

// freeBefore returns the greatest free timestamp up to a bound between a transfer and the
// one before it.
func (m *Machine) freeBefore(row uint32, at uint64, taken map[uint32]uint64) (uint64, bool) {
	if row < m.transfers.length {
		at = min(at, m.transfers.at(row).timestamp-1)
	}
	if least, ok := taken[row]; ok {
		at = min(at, least-1)
	}
	for m.accountAt(at) { // each timestamp belongs to one event
		at--
	}
	if at <= m.transfers.at(row-1).timestamp {
		return 0, false
	}
	taken[row] = at
	return at, true
}

// Verify imports the export into an empty ledger and compares the balances.
func (x *Export) Verify() error {
	m := New()
	timestamp := uint64(TimestampMax) - uint64(len(x.Accounts)) - uint64(len(x.Transfers)) - 1
	for i := range x.Accounts {
		timestamp++
		if r := m.CreateAccounts(timestamp, x.Accounts[i:i+1]); r[0].Status != tb.AccountCreated {
			return fmt.Errorf("account %s cannot be imported: %v", x.Accounts[i].ID, r[0].Status)
		}
	}
	for i := range x.Transfers {
		timestamp++
		if r := m.CreateTransfers(timestamp, x.Transfers[i:i+1]); r[0].Status != tb.TransferCreated {
			return fmt.Errorf("transfer %s cannot be imported: %v", x.Transfers[i].ID, r[0].Status)
		}
	}
	for row, want := range x.balances {
		if a := m.accounts.at(uint32(row)); a.balances != want {
			return fmt.Errorf("account %s would have different balances", x.Accounts[row].ID)
		}
	}
	return nil
}
