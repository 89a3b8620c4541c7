package embedded_test

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
)

// A hold and its sale, on a ledger that lives in a directory.
func Example() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer engine.Close()

	operator, budget, spent := tb.ID(), tb.ID(), tb.ID()
	limited := tb.AccountFlags{DebitsMustNotExceedCredits: true}.ToUint16()
	if _, err := engine.CreateAccounts([]tb.Account{
		{ID: operator, Ledger: 1, Code: 1},
		{ID: budget, Ledger: 1, Code: 1, Flags: limited},
		{ID: spent, Ledger: 1, Code: 1},
	}); err != nil {
		panic(err)
	}

	pending := tb.TransferFlags{Pending: true}.ToUint16()
	post := tb.TransferFlags{PostPendingTransfer: true}.ToUint16()
	hold, late := tb.ID(), tb.ID()
	results, err := engine.CreateTransfers([]tb.Transfer{
		{ID: tb.ID(), DebitAccountID: operator, CreditAccountID: budget, Amount: tb.ToUint128(1), Ledger: 1, Code: 1},
		{ID: hold, DebitAccountID: budget, CreditAccountID: spent, Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: pending, Timeout: 600},
		{ID: late, DebitAccountID: budget, CreditAccountID: spent, Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: pending, Timeout: 600},
		{ID: tb.ID(), PendingID: hold, Amount: tb.AmountMax, Flags: post},
	})
	if err != nil {
		panic(err)
	}
	for _, r := range results {
		fmt.Println(r.Status)
	}
	// Output:
	// TransferCreated
	// TransferCreated
	// TransferExceedsCredits
	// TransferCreated
}

// A test moves the clock, and a hold expires.
func ExampleOptions_clock() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	clock := &movedClock{}
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet, Clock: clock})
	if err != nil {
		panic(err)
	}
	defer engine.Close()

	from, to := tb.ToUint128(1), tb.ToUint128(2)
	if _, err := engine.CreateAccounts([]tb.Account{{ID: from, Ledger: 1, Code: 1}, {ID: to, Ledger: 1, Code: 1}}); err != nil {
		panic(err)
	}
	hold := tb.ID()
	pending := tb.TransferFlags{Pending: true}.ToUint16()
	post := tb.TransferFlags{PostPendingTransfer: true}.ToUint16()
	if _, err := engine.CreateTransfers([]tb.Transfer{
		{ID: hold, DebitAccountID: from, CreditAccountID: to, Amount: tb.ToUint128(1), Ledger: 1, Code: 1, Flags: pending, Timeout: 60},
	}); err != nil {
		panic(err)
	}
	clock.ahead.Store(int64(61 * time.Second))
	results, err := engine.CreateTransfers([]tb.Transfer{{ID: tb.ID(), PendingID: hold, Amount: tb.AmountMax, Flags: post}})
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].Status)
	// Output:
	// TransferPendingTransferExpired
}

type movedClock struct{ ahead atomic.Int64 }

func (c *movedClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// A disk that fills up stops the engine: what was answered stays, and nothing more is.
func ExampleOptions_fileSystem() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	disk := &noRoomDisk{FileSystem: embedded.OS()}
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet, FileSystem: disk})
	if err != nil {
		panic(err)
	}
	defer engine.Close()

	disk.full.Store(true)
	_, err = engine.CreateAccounts([]tb.Account{{ID: tb.ID(), Ledger: 1, Code: 1}})
	fmt.Println("of the request that met it, unknown:", errors.Is(err, embedded.ErrOutcomeUnknown))
	_, err = engine.CreateAccounts([]tb.Account{{ID: tb.ID(), Ledger: 1, Code: 1}})
	fmt.Println("of the next, not executed:", errors.Is(err, embedded.ErrStopped))
	// Output:
	// of the request that met it, unknown: true
	// of the next, not executed: true
}

type noRoomDisk struct {
	embedded.FileSystem
	full atomic.Bool
}

func (d *noRoomDisk) Create(name string) (embedded.File, error) {
	f, err := d.FileSystem.Create(name)
	return noRoomFile{f, d}, err
}

func (d *noRoomDisk) Open(name string) (embedded.File, error) {
	f, err := d.FileSystem.Open(name)
	return noRoomFile{f, d}, err
}

type noRoomFile struct {
	embedded.File
	disk *noRoomDisk
}

func (f noRoomFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.full.Load() {
		return 0, errors.New("no space left on device")
	}
	return f.File.WriteAt(p, at)
}

// Everything moves to a cluster, or to any ledger behind the client's interface.
func ExampleEngine_Export() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	from, to := openExample(dir+"/from"), openExample(dir+"/to")
	defer from.Close()
	defer to.Close()
	if _, err := from.CreateAccounts([]tb.Account{{ID: tb.ToUint128(7), Ledger: 1, Code: 1}}); err != nil {
		panic(err)
	}
	exported, err := from.Export()
	if err != nil {
		panic(err)
	}
	if err := exported.SendTo(to, embedded.BatchEventsMax); err != nil {
		panic(err)
	}
	found, err := to.LookupAccounts([]tb.Uint128{tb.ToUint128(7)})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(exported.Accounts), "account sent,", len(found), "found")
	// Output:
	// 1 account sent, 1 found
}

func openExample(dir string) *embedded.Engine {
	engine, err := embedded.Open(dir, embedded.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	return engine
}
