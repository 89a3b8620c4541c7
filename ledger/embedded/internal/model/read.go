package model

import (
	"cmp"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

func (l *Ledger) LookupAccounts(ids []tb.Uint128) ([]tb.Account, error) {
	if err := l.begin(len(ids), batchMax); err != nil {
		return nil, err
	}
	found := []tb.Account{}
	for _, id := range ids {
		if a, ok := l.state.accounts[id]; ok {
			found = append(found, a)
		}
	}
	return found, nil
}

func (l *Ledger) LookupTransfers(ids []tb.Uint128) ([]tb.Transfer, error) {
	if err := l.begin(len(ids), batchMax); err != nil {
		return nil, err
	}
	found := []tb.Transfer{}
	for _, id := range ids {
		if t, ok := l.state.transfers[id]; ok {
			found = append(found, t)
		}
	}
	return found, nil
}

func (l *Ledger) GetAccountTransfers(f tb.AccountFilter) ([]tb.Transfer, error) {
	if err := l.begin(int(f.Limit), batchMax); err != nil {
		return nil, err
	}
	return l.accountTransfers(f), nil
}

func (l *Ledger) accountTransfers(f tb.AccountFilter) []tb.Transfer {
	flags := f.AccountFilterFlags()
	if f.AccountID == (tb.Uint128{}) || f.AccountID == intMax || f.Limit == 0 || !flags.Debits && !flags.Credits ||
		f.Flags >= 1<<3 || f.Reserved != [58]uint8{} || !rangeValid(f.TimestampMin, f.TimestampMax) {
		return []tb.Transfer{}
	}
	return pick(l.transfers(), flags.Reversed, f.Limit, func(t tb.Transfer) bool {
		return (flags.Debits && t.DebitAccountID == f.AccountID || flags.Credits && t.CreditAccountID == f.AccountID) &&
			within(t.Timestamp, f.TimestampMin, f.TimestampMax) &&
			asked(f.UserData128, t.UserData128) && asked(f.UserData64, t.UserData64) &&
			asked(f.UserData32, t.UserData32) && asked(f.Code, t.Code)
	})
}

func (l *Ledger) GetAccountBalances(f tb.AccountFilter) ([]tb.AccountBalance, error) {
	if err := l.begin(int(f.Limit), batchMax); err != nil {
		return nil, err
	}
	balances := []tb.AccountBalance{}
	if account, ok := l.state.accounts[f.AccountID]; !ok || !account.AccountFlags().History {
		return balances, nil
	}
	for _, t := range l.accountTransfers(f) {
		for _, e := range l.state.events {
			switch {
			case e.Type == tb.ChangeEventTwoPhaseExpired || e.TransferID != t.ID:
			case t.DebitAccountID == f.AccountID:
				balances = append(balances, tb.AccountBalance{
					DebitsPending: e.DebitAccountDebitsPending, DebitsPosted: e.DebitAccountDebitsPosted,
					CreditsPending: e.DebitAccountCreditsPending, CreditsPosted: e.DebitAccountCreditsPosted,
					Timestamp: e.Timestamp,
				})
			default:
				balances = append(balances, tb.AccountBalance{
					DebitsPending: e.CreditAccountDebitsPending, DebitsPosted: e.CreditAccountDebitsPosted,
					CreditsPending: e.CreditAccountCreditsPending, CreditsPosted: e.CreditAccountCreditsPosted,
					Timestamp: e.Timestamp,
				})
			}
		}
	}
	return balances, nil
}

func (l *Ledger) QueryAccounts(f tb.QueryFilter) ([]tb.Account, error) {
	if err := l.begin(int(f.Limit), batchMax); err != nil {
		return nil, err
	}
	if !queryValid(f) {
		return []tb.Account{}, nil
	}
	var all []tb.Account
	for _, id := range l.state.accountOrder {
		all = append(all, l.state.accounts[id])
	}
	return pick(all, f.QueryFilterFlags().Reversed, f.Limit, func(a tb.Account) bool {
		return within(a.Timestamp, f.TimestampMin, f.TimestampMax) &&
			asked(f.UserData128, a.UserData128) && asked(f.UserData64, a.UserData64) &&
			asked(f.UserData32, a.UserData32) && asked(f.Ledger, a.Ledger) && asked(f.Code, a.Code)
	}), nil
}

func (l *Ledger) QueryTransfers(f tb.QueryFilter) ([]tb.Transfer, error) {
	if err := l.begin(int(f.Limit), batchMax); err != nil {
		return nil, err
	}
	if !queryValid(f) {
		return []tb.Transfer{}, nil
	}
	return pick(l.transfers(), f.QueryFilterFlags().Reversed, f.Limit, func(t tb.Transfer) bool {
		return within(t.Timestamp, f.TimestampMin, f.TimestampMax) &&
			asked(f.UserData128, t.UserData128) && asked(f.UserData64, t.UserData64) &&
			asked(f.UserData32, t.UserData32) && asked(f.Ledger, t.Ledger) && asked(f.Code, t.Code)
	}), nil
}

func (l *Ledger) GetChangeEvents(f tb.ChangeEventsFilter) ([]tb.ChangeEvent, error) {
	if err := l.begin(int(f.Limit), changeEventsMax); err != nil {
		return nil, err
	}
	if f.Limit == 0 || f.Reserved != [44]uint8{} || !rangeValid(f.TimestampMin, f.TimestampMax) {
		return []tb.ChangeEvent{}, nil
	}
	// Imported transfers may be older than expiries that happened before; one of
	// the same nanosecond replaces the expiry.
	events := slices.Clone(l.state.events)
	slices.SortStableFunc(events, func(a, b tb.ChangeEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	events = slices.DeleteFunc(events, func(e tb.ChangeEvent) bool {
		return e.Type == tb.ChangeEventTwoPhaseExpired && slices.ContainsFunc(events, func(other tb.ChangeEvent) bool {
			return other.Timestamp == e.Timestamp && other.Type != tb.ChangeEventTwoPhaseExpired
		})
	})
	return pick(events, false, f.Limit, func(e tb.ChangeEvent) bool {
		return within(e.Timestamp, f.TimestampMin, f.TimestampMax)
	}), nil
}

// AllChangeEvents returns everything that happened, without expiring anything.
func (l *Ledger) AllChangeEvents() []tb.ChangeEvent { return slices.Clone(l.state.events) }

func (l *Ledger) transfers() []tb.Transfer {
	var all []tb.Transfer
	for _, id := range l.state.transferOrder {
		all = append(all, l.state.transfers[id])
	}
	return all
}

func queryValid(f tb.QueryFilter) bool {
	return f.Limit != 0 && f.Flags < 1<<1 && f.Reserved == [6]uint8{} && rangeValid(f.TimestampMin, f.TimestampMax)
}

func rangeValid(first, last uint64) bool {
	return first <= timestampMax && last <= timestampMax && (last == 0 || first <= last)
}

func within(timestamp, first, last uint64) bool {
	return timestamp >= first && (last == 0 || timestamp <= last)
}

// asked reports whether a field has the filter's value; zero matches all.
func asked[T comparable](wanted, value T) bool {
	var any T
	return wanted == any || wanted == value
}

func pick[T any](all []T, reversed bool, limit uint32, matches func(T) bool) []T {
	if reversed {
		all = slices.Clone(all)
		slices.Reverse(all)
	}
	found := []T{}
	for _, one := range all {
		if uint32(len(found)) < limit && matches(one) {
			found = append(found, one)
		}
	}
	return found
}
