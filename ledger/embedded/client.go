package embedded

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/machine"
)

// Limits of one request, those of a server with its default message size of 1 MiB
// (tigerbeetle.zig: event_max, result_max). More is tigerbeetle_go.ErrTooMuchData.
const (
	// BatchEventsMax is the greatest number of events or ids in a request, and the
	// greatest limit of a filter.
	BatchEventsMax = 8189
	// ChangeEventsMax is the greatest limit of a ChangeEventsFilter.
	ChangeEventsMax = 2730
)

var _ tb.Client = (*Engine)(nil)

// CreateAccounts creates accounts and returns one result for each, in order, once
// they are on disk (docs.tigerbeetle.com, "create_accounts").
//
// Besides the client's own errors it returns one that wraps ErrOutcomeUnknown or ErrStopped
// when the disk has failed, and ErrFull when the ledger has no room. So do all other
// methods.
func (e *Engine) CreateAccounts(accounts []tb.Account) ([]tb.CreateAccountResult, error) {
	o := createAccounts{events: accounts}
	if err := e.do(&o, len(accounts), BatchEventsMax); err != nil {
		return nil, err
	}
	return o.results, nil
}

// CreateTransfers creates transfers and returns one result for each, in order,
// once they are on disk (docs.tigerbeetle.com, "create_transfers").
func (e *Engine) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	o := createTransfers{events: transfers}
	if err := e.do(&o, len(transfers), BatchEventsMax); err != nil {
		return nil, err
	}
	return o.results, nil
}

// LookupAccounts returns the accounts that exist, in the order of the ids.
func (e *Engine) LookupAccounts(accountIDs []tb.Uint128) ([]tb.Account, error) {
	return ask(e, (*machine.Machine).LookupAccounts, accountIDs, len(accountIDs), BatchEventsMax)
}

// LookupTransfers returns the transfers that exist, in the order of the ids.
func (e *Engine) LookupTransfers(transferIDs []tb.Uint128) ([]tb.Transfer, error) {
	return ask(e, (*machine.Machine).LookupTransfers, transferIDs, len(transferIDs), BatchEventsMax)
}

// GetAccountTransfers returns the transfers of an account.
func (e *Engine) GetAccountTransfers(filter tb.AccountFilter) ([]tb.Transfer, error) {
	return search(e, (*machine.Machine).ScanAccountTransfers, filter, filter.Limit)
}

// GetAccountBalances returns the balances of an account, with the history flag,
// after each of its transfers.
func (e *Engine) GetAccountBalances(filter tb.AccountFilter) ([]tb.AccountBalance, error) {
	return search(e, (*machine.Machine).ScanAccountBalances, filter, filter.Limit)
}

// QueryAccounts returns the accounts that match a filter.
func (e *Engine) QueryAccounts(filter tb.QueryFilter) ([]tb.Account, error) {
	return search(e, (*machine.Machine).ScanAccounts, filter, filter.Limit)
}

// QueryTransfers returns the transfers that match a filter.
func (e *Engine) QueryTransfers(filter tb.QueryFilter) ([]tb.Transfer, error) {
	return search(e, (*machine.Machine).ScanTransfers, filter, filter.Limit)
}

// GetChangeEvents returns what happened to transfers, expiries included, in the
// order of the timestamps. As in the client, the interface is experimental.
func (e *Engine) GetChangeEvents(filter tb.ChangeEventsFilter) ([]tb.ChangeEvent, error) {
	return ask(e, (*machine.Machine).GetChangeEvents, filter, int(filter.Limit), ChangeEventsMax)
}

// Nop waits until every request before it is done.
func (e *Engine) Nop() error {
	_, err := ask(e, func(*machine.Machine, struct{}) []struct{} { return nil }, struct{}{}, 0, 0)
	return err
}

func ask[A, R any](e *Engine, question func(*machine.Machine, A) []R, about A, count, countMax int) ([]R, error) {
	q := query[A, R]{ask: question, about: about}
	if err := e.do(&q, count, countMax); err != nil {
		return nil, err
	}
	return q.results, nil
}

func search[A, R any](e *Engine, begin func(*machine.Machine, A) *machine.Scan[R], about A, limit uint32) ([]R, error) {
	s := scan[A, R]{begin: begin, about: about}
	if err := e.do(&s, int(limit), BatchEventsMax); err != nil {
		return nil, err
	}
	return s.results, nil
}
