package embedded

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/machine"
)

// Export is a whole ledger, ready to be created in a TigerBeetle cluster as
// imported events (docs.tigerbeetle.com, "Transfer", flags.imported).
//
// It differs from the original: the flag imported is set and linked is not, timeouts are
// zero, and each expiry is a void, because a cluster does not record expiries. All amounts,
// balances, timestamps and other fields are the same. A void has the timestamp of the
// expiry, or an older one if an older transfer was imported later.
type Export struct {
	Accounts  []tb.Account
	Transfers []tb.Transfer
	// BurntIDs are the transfer ids that failed for a transient reason. A cluster cannot
	// import them, so SendTo makes them fail there too.
	BurntIDs []tb.Uint128
}

// OpenHoldsError says that an export is not possible yet: an imported transfer
// cannot have a timeout. Post or void these transfers, or wait until they expire.
type OpenHoldsError struct {
	TransferIDs []tb.Uint128 // at least one
}

func (e *OpenHoldsError) Error() string {
	return fmt.Sprintf("embedded ledger: export: %d pending transfers with a timeout are open, the first is %s; "+
		"post or void them, or wait until they expire", len(e.TransferIDs), e.TransferIDs[0])
}

// Export copies the ledger. It returns an *OpenHoldsError while pending transfers
// with a timeout are open, and any error of a request. Before it returns, it
// imports the copy into an empty ledger in memory and compares the balances.
//
// Requests wait while the copy is made, and it takes 128 bytes for an account or a
// transfer: stop writing first.
func (e *Engine) Export() (*Export, error) {
	answer, err := ask(e, func(m *machine.Machine, _ struct{}) []*machine.Export {
		return []*machine.Export{m.Export(expiryID)}
	}, struct{}{}, 0, 0)
	if err != nil {
		return nil, err
	}
	x := answer[0]
	if len(x.OpenIDs) > 0 {
		return nil, &OpenHoldsError{TransferIDs: x.OpenIDs}
	}
	if err := x.Verify(); err != nil {
		return nil, fmt.Errorf("embedded ledger: export: %w", err)
	}
	return &Export{Accounts: x.Accounts, Transfers: x.Transfers, BurntIDs: x.BurntIDs}, nil
}

// expiryID derives the id of the void that stands for an expiry, so that exporting
// twice gives the same.
func expiryID(pending tb.Uint128) tb.Uint128 {
	id := pending.Bytes()
	sum := sha256.Sum256(append([]byte("boxoffice embedded ledger: expiry of "), id[:]...))
	return tb.BytesToUint128([16]byte(sum[:16]))
}

var errImport = errors.New("embedded ledger: import")

// SendTo creates the export in another ledger, in requests of at most batchEventsMax
// events. That ledger should be empty: the reference accepts no event that is older than
// its newest. After an error, or to make sure, call it again: it leaves existing events
// alone.
func (x *Export) SendTo(client tb.Client, batchEventsMax int) error {
	if batchEventsMax < 1 {
		return fmt.Errorf("%w: batchEventsMax %d must be positive", errImport, batchEventsMax)
	}
	for batch := range slices.Chunk(x.Accounts, batchEventsMax) {
		if err := sendAccounts(client, batch); err != nil {
			return err
		}
	}
	for batch := range slices.Chunk(x.Transfers, batchEventsMax) {
		if err := send(client, batch, tb.TransferCreated, tb.TransferExists); err != nil {
			return err
		}
	}
	return x.burn(client, batchEventsMax)
}

// sendAccounts creates accounts, or finds that they exist.
func sendAccounts(client tb.Client, accounts []tb.Account) error {
	results, err := client.CreateAccounts(accounts)
	if err != nil {
		return fmt.Errorf("%w: %w", errImport, err)
	}
	for i, r := range results {
		closed := accounts[i]
		closed.Flags |= tb.AccountFlags{Closed: true}.ToUint16()
		switch {
		case r.Status == tb.AccountCreated, r.Status == tb.AccountExists:
		case r.Status == tb.AccountExistsWithDifferentFlags && closed != accounts[i]:
			// The second time, a transfer of the first may have closed it.
			if err := sendAccounts(client, []tb.Account{closed}); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: account %s: %v", errImport, accounts[i].ID, r.Status)
		}
	}
	return nil
}

// burn sends a transfer between accounts that do not exist for every burnt id.
func (x *Export) burn(client tb.Client, batchEventsMax int) error {
	nobody, noOne := tb.ID(), tb.ID()
	for ids := range slices.Chunk(x.BurntIDs, batchEventsMax) {
		transfers := make([]tb.Transfer, len(ids))
		for i, id := range ids {
			transfers[i] = tb.Transfer{ID: id, DebitAccountID: nobody, CreditAccountID: noOne, Ledger: 1, Code: 1}
		}
		if err := send(client, transfers, tb.TransferDebitAccountNotFound, tb.TransferIDAlreadyFailed); err != nil {
			return err
		}
	}
	return nil
}

// send creates transfers, each of which must answer one of two statuses.
func send(client tb.Client, transfers []tb.Transfer, first, again tb.CreateTransferStatus) error {
	results, err := client.CreateTransfers(transfers)
	if err != nil {
		return fmt.Errorf("%w: %w", errImport, err)
	}
	for i, r := range results {
		if r.Status != first && r.Status != again {
			return fmt.Errorf("%w: transfer %s: %v, want %v", errImport, transfers[i].ID, r.Status, first)
		}
	}
	return nil
}
