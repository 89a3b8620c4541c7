package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/machine"
)

// A record of the log is one group of requests, each:
//
//	 0  1  kind
//	 1  3  zero
//	 4  4  number of events
//	 8  8  timestamp: of the last event, for a pulse of the first
//	16  n  events, 128 bytes each, in TigerBeetle's own layout; a pulse has none
//
// The log holds requests, not effects: executing them again gives the same
// results (package machine).
type entryKind uint8

const (
	entryCreateAccounts  entryKind = 1
	entryCreateTransfers entryKind = 2
	entryPulse           entryKind = 3
)

const (
	entryHeaderBytes = 16
	eventBytes       = 128
)

func appendEntryHeader(record []byte, kind entryKind, count int, timestamp uint64) []byte {
	record = append(record, byte(kind), 0, 0, 0)
	record = binary.LittleEndian.AppendUint32(record, uint32(count))
	return binary.LittleEndian.AppendUint64(record, timestamp)
}

func appendPulse(record []byte, timestamp uint64, expired int) []byte {
	return appendEntryHeader(record, entryPulse, expired, timestamp)
}

func appendCreateAccounts(record []byte, timestamp uint64, events []tb.Account) []byte {
	record = appendEntryHeader(record, entryCreateAccounts, len(events), timestamp)
	for i := range events {
		a := &events[i]
		record = append128(record, a.ID, a.DebitsPending, a.DebitsPosted, a.CreditsPending, a.CreditsPosted, a.UserData128)
		record = binary.LittleEndian.AppendUint64(record, a.UserData64)
		record = binary.LittleEndian.AppendUint32(record, a.UserData32)
		record = binary.LittleEndian.AppendUint32(record, a.Reserved)
		record = binary.LittleEndian.AppendUint32(record, a.Ledger)
		record = binary.LittleEndian.AppendUint16(record, a.Code)
		record = binary.LittleEndian.AppendUint16(record, a.Flags)
		record = binary.LittleEndian.AppendUint64(record, a.Timestamp)
	}
	return record
}

func appendCreateTransfers(record []byte, timestamp uint64, events []tb.Transfer) []byte {
	record = appendEntryHeader(record, entryCreateTransfers, len(events), timestamp)
	for i := range events {
		t := &events[i]
		record = append128(record, t.ID, t.DebitAccountID, t.CreditAccountID, t.Amount, t.PendingID, t.UserData128)
		record = binary.LittleEndian.AppendUint64(record, t.UserData64)
		record = binary.LittleEndian.AppendUint32(record, t.UserData32)
		record = binary.LittleEndian.AppendUint32(record, t.Timeout)
		record = binary.LittleEndian.AppendUint32(record, t.Ledger)
		record = binary.LittleEndian.AppendUint16(record, t.Code)
		record = binary.LittleEndian.AppendUint16(record, t.Flags)
		record = binary.LittleEndian.AppendUint64(record, t.Timestamp)
	}
	return record
}

func append128(b []byte, values ...tb.Uint128) []byte {
	for _, v := range values {
		bytes := v.Bytes()
		b = append(b, bytes[:]...)
	}
	return b
}

func decodeAccount(b []byte) tb.Account {
	return tb.Account{
		ID:             decode128(b),
		DebitsPending:  decode128(b[16:]),
		DebitsPosted:   decode128(b[32:]),
		CreditsPending: decode128(b[48:]),
		CreditsPosted:  decode128(b[64:]),
		UserData128:    decode128(b[80:]),
		UserData64:     binary.LittleEndian.Uint64(b[96:]),
		UserData32:     binary.LittleEndian.Uint32(b[104:]),
		Reserved:       binary.LittleEndian.Uint32(b[108:]),
		Ledger:         binary.LittleEndian.Uint32(b[112:]),
		Code:           binary.LittleEndian.Uint16(b[116:]),
		Flags:          binary.LittleEndian.Uint16(b[118:]),
		Timestamp:      binary.LittleEndian.Uint64(b[120:]),
	}
}

func decodeTransfer(b []byte) tb.Transfer {
	return tb.Transfer{
		ID:              decode128(b),
		DebitAccountID:  decode128(b[16:]),
		CreditAccountID: decode128(b[32:]),
		Amount:          decode128(b[48:]),
		PendingID:       decode128(b[64:]),
		UserData128:     decode128(b[80:]),
		UserData64:      binary.LittleEndian.Uint64(b[96:]),
		UserData32:      binary.LittleEndian.Uint32(b[104:]),
		Timeout:         binary.LittleEndian.Uint32(b[108:]),
		Ledger:          binary.LittleEndian.Uint32(b[112:]),
		Code:            binary.LittleEndian.Uint16(b[116:]),
		Flags:           binary.LittleEndian.Uint16(b[118:]),
		Timestamp:       binary.LittleEndian.Uint64(b[120:]),
	}
}

func decode128(b []byte) tb.Uint128 { return tb.BytesToUint128([16]byte(b[:16])) }

var errRecord = errors.New("a record of the ledger's log does not make sense")

// entry is one decoded request of a record.
type entry struct {
	kind      entryKind
	timestamp uint64
	count     int
	events    []byte
}

// nextEntry takes the first request off a record.
func nextEntry(record []byte) (e entry, rest []byte, err error) {
	if len(record) < entryHeaderBytes {
		return e, nil, fmt.Errorf("%w: it ends inside a request", errRecord)
	}
	e = entry{
		kind:      entryKind(record[0]),
		count:     int(binary.LittleEndian.Uint32(record[4:])),
		timestamp: binary.LittleEndian.Uint64(record[8:]),
	}
	rest = record[entryHeaderBytes:]
	length := 0
	switch {
	case record[1]|record[2]|record[3] != 0, e.kind < entryCreateAccounts, e.kind > entryPulse:
		return e, nil, fmt.Errorf("%w: unknown kind of request %d", errRecord, e.kind)
	case e.count == 0, e.count > BatchEventsMax:
		return e, nil, fmt.Errorf("%w: a request of %d events", errRecord, e.count)
	case e.kind != entryPulse:
		length = e.count * eventBytes
	}
	if len(rest) < length {
		return e, nil, fmt.Errorf("%w: it ends inside a request", errRecord)
	}
	e.events = rest[:length]
	return e, rest[length:], nil
}

// replayer feeds the journal into the ledger at start-up.
type replayer struct{ machine *machine.Machine }

func (r *replayer) Load(from io.Reader) (err error) {
	r.machine, err = machine.Load(from)
	return err
}

// Replay executes a record of the log again.
func (r *replayer) Replay(record []byte) error {
	for len(record) > 0 {
		e, rest, err := nextEntry(record)
		if err != nil {
			return err
		}
		if err := r.execute(e); err != nil {
			return err
		}
		record = rest
	}
	return nil
}

func (r *replayer) execute(e entry) error {
	if err := r.timestampsGrow(e); err != nil {
		return err
	}
	switch e.kind {
	case entryCreateAccounts:
		r.machine.CreateAccounts(e.timestamp, decodeEvents(e, decodeAccount))
	case entryCreateTransfers:
		r.machine.CreateTransfers(e.timestamp, decodeEvents(e, decodeTransfer))
	case entryPulse:
		if !r.machine.ReplayExpiries(e.timestamp, e.count) {
			return fmt.Errorf("%w: it expires transfers that were not due", errRecord)
		}
	}
	return nil
}

// timestampsGrow checks what the state machine takes for granted.
func (r *replayer) timestampsGrow(e entry) error {
	first, last := e.timestamp, e.timestamp
	if e.kind == entryPulse {
		last += uint64(e.count) - 1
	} else {
		first -= uint64(e.count) - 1
	}
	if first <= r.machine.Timestamp() || last < first || last > machine.TimestampUsedMax {
		return fmt.Errorf("%w: its timestamps do not grow", errRecord)
	}
	return nil
}

func decodeEvents[E any](e entry, decode func([]byte) E) []E {
	events := make([]E, e.count)
	for i := range events {
		events[i] = decode(e.events[i*eventBytes:])
	}
	return events
}
