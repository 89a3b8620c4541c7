package ledger_test

import (
	"slices"
	"sync"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger"
)

// A fake is a scripted client. It answers every event with a timestamp that is the event's
// id, so that everybody can tell their own results. Methods that are not overridden panic.
type fake struct {
	tb.Client

	mu       sync.Mutex
	free     chan struct{} // closed while requests are answered
	closed   chan struct{}
	sizeMax  int
	errs     []error         // of the next requests
	requests [][]tb.Transfer // that came in, refused ones too
	accepted [][]tb.Transfer // that were answered
	arrived  chan struct{}   // a token for every incoming request
}

func newFake() *fake {
	f := &fake{free: make(chan struct{}), closed: make(chan struct{}), sizeMax: ledger.BatchEventsMax, arrived: make(chan struct{}, 1<<16)}
	close(f.free)
	return f
}

func newBatcher(t testing.TB, client tb.Client, options ...ledger.BatcherOption) *ledger.Batcher {
	b := ledger.NewBatcher(client, append([]ledger.BatcherOption{ledger.WithLogger(discard)}, options...)...)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// block makes requests wait from now on, unblock answers those that wait.
func (f *fake) block() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = make(chan struct{})
}

func (f *fake) unblock() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.free:
	default:
		close(f.free)
	}
}

// fail lets the next requests fail, one each.
func (f *fake) fail(errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, errs...)
}

// seen gives the requests that came in so far.
func (f *fake) seen() [][]tb.Transfer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// answer is what happens to every request.
func (f *fake) answer(events int) error {
	f.mu.Lock()
	free := f.free
	var err error
	switch {
	case events > f.sizeMax:
		f.mu.Unlock()
		f.arrived <- struct{}{}
		return tb.ErrTooMuchData
	case len(f.errs) > 0:
		err, f.errs = f.errs[0], f.errs[1:]
	}
	f.mu.Unlock()
	f.arrived <- struct{}{}
	select {
	case <-free:
		return err
	case <-f.closed:
		return tb.ErrClientClosed
	}
}

func (f *fake) CreateTransfers(transfers []tb.Transfer) ([]tb.CreateTransferResult, error) {
	transfers = slices.Clone(transfers)
	f.mu.Lock()
	f.requests = append(f.requests, transfers)
	f.mu.Unlock()
	if err := f.answer(len(transfers)); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.accepted = append(f.accepted, transfers)
	f.mu.Unlock()
	results := make([]tb.CreateTransferResult, len(transfers))
	for i, t := range transfers {
		results[i].Status = tb.TransferCreated
		results[i].Timestamp, _ = t.ID.Uint64()
	}
	return results, nil
}

func (f *fake) CreateAccounts(accounts []tb.Account) ([]tb.CreateAccountResult, error) {
	if err := f.answer(len(accounts)); err != nil {
		return nil, err
	}
	results := make([]tb.CreateAccountResult, len(accounts))
	for i, a := range accounts {
		results[i].Status = tb.AccountCreated
		results[i].Timestamp, _ = a.ID.Uint64()
	}
	return results, nil
}

// LookupAccounts finds the accounts with even ids, in reverse.
func (f *fake) LookupAccounts(ids []tb.Uint128) ([]tb.Account, error) {
	if err := f.answer(len(ids)); err != nil {
		return nil, err
	}
	var found []tb.Account
	for _, id := range ids {
		if n, _ := id.Uint64(); n%2 == 0 {
			found = append(found, tb.Account{ID: id})
		}
	}
	slices.Reverse(found)
	return found, nil
}

func (f *fake) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
}
