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
	// fits reports whether the ledger has room for what the request may create.
	fits(m *machine.Machine) bool
	// execute executes the request. The last event gets the timestamp. A query may need more
	// steps: see scan.
	execute(m *machine.Machine, timestamp uint64)
	// encode appends the request to a record of the log.
	encode(record []byte, timestamp uint64) []byte
}

type createAccounts struct {
	events  []tb.Account
	results []tb.CreateAccountResult
}

func (o *createAccounts) eventsCount() int { return len(o.events) }

func (o *createAccounts) fits(m *machine.Machine) bool { return m.RoomForAccounts(len(o.events)) }

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

func (o *createTransfers) fits(m *machine.Machine) bool { return m.RoomForTransfers(len(o.events)) }

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

func (*query[A, R]) fits(*machine.Machine) bool { return true }

func (q *query[A, R]) execute(m *machine.Machine, _ uint64) { q.results = q.ask(m, q.about) }

func (*query[A, R]) encode(record []byte, _ uint64) []byte { return record }

// scan is a query that may have to look at very many records. It does so in steps: execute
// takes the first, and other requests are served between the later ones.
type scan[A, R any] struct {
	begin   func(*machine.Machine, A) *machine.Scan[R]
	about   A
	running *machine.Scan[R]
	results []R
}

func (*scan[A, R]) eventsCount() int { return 0 }

func (*scan[A, R]) fits(*machine.Machine) bool { return true }

func (s *scan[A, R]) execute(m *machine.Machine, _ uint64) { s.running = s.begin(m, s.about) }

func (*scan[A, R]) encode(record []byte, _ uint64) []byte { return record }

// step looks at some more records and reports whether the answer is complete.
func (s *scan[A, R]) step(rowsMax int) (done bool) {
	if done = s.running.Step(rowsMax); done {
		s.results = s.running.Results()
	}
	return done
}
