package embedded

import (
	"slices"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded/internal/machine"
	"boxoffice/ledger/embedded/internal/model"
)

// FuzzRecord replays arbitrary bytes as a record of the log: whatever they are,
// the replay ends, with an error or without.
func FuzzRecord(f *testing.F) {
	accounts := appendCreateAccounts(nil, 10, []tb.Account{{ID: tb.ToUint128(1), Ledger: 1, Code: 1}, {ID: tb.ToUint128(2), Ledger: 1, Code: 1}})
	hold := tb.Transfer{
		ID: tb.ToUint128(1), DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2), Amount: tb.ToUint128(5),
		Ledger: 1, Code: 1, Flags: 2, Timeout: 1,
	}
	f.Add(accounts)
	f.Add(appendPulse(appendCreateTransfers(accounts, 20, []tb.Transfer{hold}), 2_000_000_000, 1))
	f.Add([]byte{1})
	f.Fuzz(func(_ *testing.T, record []byte) {
		r := &replayer{machine: machine.New()}
		_ = r.Replay(record) // any error will do
	})
}

// FuzzRequests makes requests of arbitrary bytes, any fields and any flags over a
// few ids, and executes them on the state machine and on the model.
func FuzzRequests(f *testing.F) {
	f.Add([]byte("\x05\x03\x01\x00\x02\x02\x03\x08"))
	f.Add([]byte("\x05\x03\x01\x00\x02\x02\x03\x08\x00\x01\x01\x01\x02\x05\x00\x02\x00\x01\x06\x01"))
	f.Fuzz(func(t *testing.T, input []byte) {
		const requestsMax = 200
		in := &fuzzInput{input}
		m := machine.New()
		reference := model.New(func() time.Time { return time.Unix(0, 1) })
		for range requestsMax {
			if len(in.rest) == 0 {
				break
			}
			lockstep(t, in, m, reference)
		}
		got := m.GetChangeEvents(tb.ChangeEventsFilter{Limit: ChangeEventsMax})
		want, err := reference.GetChangeEvents(tb.ChangeEventsFilter{Limit: ChangeEventsMax})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("change events\n got %+v\nwant %+v", got, want)
		}
	})
}

// lockstep executes one request on both sides.
func lockstep(t *testing.T, in *fuzzInput, m *machine.Machine, reference *model.Ledger) {
	kind, count := in.next()%8, int(in.next()%5)+1
	timestamp := m.Timestamp() + uint64(count)
	switch kind {
	case 6, 7:
		timestamp += uint64(in.next()) * 100_000_000
		pulse(t, m, reference, timestamp, count)
	case 5:
		events := make([]tb.Account, count)
		for i := range events {
			events[i] = in.account(m.Timestamp())
		}
		got, want := m.CreateAccounts(timestamp, events), reference.ExecuteAccounts(timestamp, events)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v\n got %v\nwant %v", events, got, want)
		}
	default:
		events := make([]tb.Transfer, count)
		for i := range events {
			events[i] = in.transfer(m.Timestamp())
		}
		got, want := m.CreateTransfers(timestamp, events), reference.ExecuteTransfers(timestamp, events)
		if !slices.Equal(got, want) {
			t.Fatalf("%+v\n got %v\nwant %v", events, got, want)
		}
	}
}

// pulse expires up to limit transfers on the state machine, then the same ones on
// the model, which checks that they were due.
func pulse(t *testing.T, m *machine.Machine, reference *model.Ledger, timestamp uint64, limit int) {
	expired := m.ExpirePending(timestamp, limit)
	if expired == 0 {
		return
	}
	for _, e := range m.GetChangeEvents(tb.ChangeEventsFilter{TimestampMin: timestamp, Limit: uint32(expired)}) {
		if !reference.Expire(e.TransferID, e.Timestamp) {
			t.Fatalf("transfer %s expired at %d, where it could not", e.TransferID, e.Timestamp)
		}
	}
}

// fuzzInput turns bytes into requests. Where they run out there are zeros.
type fuzzInput struct{ rest []byte }

func (in *fuzzInput) next() byte {
	if len(in.rest) == 0 {
		return 0
	}
	b := in.rest[0]
	in.rest = in.rest[1:]
	return b
}

// number is small, or one of the extremes.
func (in *fuzzInput) number() tb.Uint128 {
	switch b := in.next(); b {
	case 255:
		return tb.AmountMax
	case 254:
		bytes := tb.AmountMax.Bytes()
		bytes[0]--
		return tb.BytesToUint128(bytes)
	case 253:
		return tb.BytesToUint128([16]byte{15: 0x80})
	default:
		return tb.ToUint128(uint64(b % 32))
	}
}

func (in *fuzzInput) flags() uint16 { return uint16(in.next()) | uint16(in.next()%4)<<8 }

// timestamp is that of an imported event.
func (in *fuzzInput) timestamp(now uint64) uint64 {
	switch b := in.next(); {
	case b < 128:
		return 0
	case b == 255:
		return machine.TimestampMax
	default:
		return now + uint64(b) - 129
	}
}

func (in *fuzzInput) account(now uint64) tb.Account {
	return tb.Account{
		ID: in.number(), Flags: in.flags(), Ledger: uint32(1 + in.next()%2), Code: uint16(1 + in.next()/200),
		UserData64: uint64(in.next() / 200), Timestamp: in.timestamp(now),
	}
}

func (in *fuzzInput) transfer(now uint64) tb.Transfer {
	return tb.Transfer{
		ID: in.number(), DebitAccountID: in.number(), CreditAccountID: in.number(), Amount: in.number(), PendingID: in.number(),
		Flags: in.flags(), Timeout: uint32(in.next() / 32), Ledger: uint32(in.next() % 3), Code: uint16(in.next() % 2),
		UserData128: tb.ToUint128(uint64(in.next() / 200)), Timestamp: in.timestamp(now),
	}
}
