package embedded

import (
	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/machine"
)

// operation is one request. The goroutine that asked waits until it is done, so
// events and results need no copies.
type operation interface {
	// eventsCount is the number of timestamps that the request takes; a request
	// that takes none changes nothing and is not written to the log.
	eventsCount() int
	// execute answers the request. The last event gets the timestamp.
	execute(m *machine.Machine, timestamp uint64)
	// encode appends the request to a record of the log.
	encode(record []byte, timestamp uint64) []byte
}

type createAccounts struct {
	events  []tb.Account
	results []tb.CreateAccountResult
}

func (o *createAccounts) eventsCount() int { return len(o.events) }

func (o *createAccounts) execute(m *machine.Machine, timestamp uint64) {
	o.results = m.CreateAccounts(timestamp, o.events)
}

func (o *createAccounts) encode(record []byte, timestamp uint64) []byte {
	return appendCreateAccounts(record, timestamp, o.events)
}

type createTransfers struct {
	events  []tb.Transfer
	results []tb.CreateTransferResult
}

func (o *createTransfers) eventsCount() int { return len(o.events) }

func (o *createTransfers) execute(m *machine.Machine, timestamp uint64) {
	o.results = m.CreateTransfers(timestamp, o.events)
}

func (o *createTransfers) encode(record []byte, timestamp uint64) []byte {
	return appendCreateTransfers(record, timestamp, o.events)
}

// query is a request that only reads.
type query[A, R any] struct {
	ask     func(*machine.Machine, A) []R
	about   A
	results []R
}

func (*query[A, R]) eventsCount() int { return 0 }

func (q *query[A, R]) execute(m *machine.Machine, _ uint64) { q.results = q.ask(m, q.about) }

func (*query[A, R]) encode(record []byte, _ uint64) []byte { return record }
