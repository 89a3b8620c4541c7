package machine

import (
	"fmt"

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

// Export copies the whole ledger. expiryID gives the void that stands for an
// expiry its id.
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
	next := uint32(0) // of the expiries
	for row := range m.transfers.length {
		for next < m.expiries.length && m.expiries.at(next).timestamp < m.transfers.at(row).timestamp {
			x.Transfers = append(x.Transfers, m.expiryAsVoid(m.expiries.at(next), expiryID))
			next++
		}
		x.Transfers = append(x.Transfers, m.exported(row))
		if *m.pendingStatus.at(row) == statusPending && m.transfers.at(row).timeout != 0 {
			x.OpenIDs = append(x.OpenIDs, m.transfers.at(row).id.wire())
		}
	}
	for ; next < m.expiries.length; next++ {
		x.Transfers = append(x.Transfers, m.expiryAsVoid(m.expiries.at(next), expiryID))
	}
	for row := range m.burntIDs.length {
		x.BurntIDs = append(x.BurntIDs, m.burntIDs.at(row).wire())
	}
	return x
}

// exported is a transfer as an imported event. Its timeout is over or was
// resolved in time, and a link only meant something within its request.
func (m *Machine) exported(row uint32) tb.Transfer {
	t := m.transferWire(row)
	t.Flags = t.Flags&^transferLinked | transferImported
	t.Timeout = 0
	return t
}

// expiryAsVoid is what an expiry did, as a transfer.
func (m *Machine) expiryAsVoid(e *expiry, id func(pending tb.Uint128) tb.Uint128) tb.Transfer {
	pending := m.transfers.at(e.transfer).id.wire()
	return tb.Transfer{
		ID:        id(pending),
		PendingID: pending,
		Flags:     transferVoid | transferImported,
		Timestamp: e.timestamp,
	}
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
			return fmt.Errorf("account %s would have other balances", x.Accounts[row].ID)
		}
	}
	return nil
}
