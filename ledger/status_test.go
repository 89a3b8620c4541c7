package ledger

import (
	"math"
	"strings"
	"testing"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

// The bindings name every status that they know: what they do not name prints
// as CreateTransferStatus(…). So all numbers up to well past the last one, and
// the one at the very top, enumerate the constants of the client in use.
const statusesMax = 4096

func TestEveryTransferStatusIsMapped(t *testing.T) {
	named := 0
	for _, n := range candidates() {
		s := tb.CreateTransferStatus(n)
		if strings.HasPrefix(s.String(), "CreateTransferStatus(") {
			if c := transferClass(s); c != classUnmapped {
				t.Errorf("%d is no status of this client, but is mapped to class %d", n, c)
			}
			continue
		}
		named++
		if transferClass(s) == classUnmapped {
			t.Errorf("%s is not mapped: say in transferClass what it means", s)
		}
	}
	if named < 68 { // as many as v0.17.9 has; a release may only add
		t.Errorf("only %d statuses were enumerated, want at least 68", named)
	}
}

func TestEveryAccountStatusIsMapped(t *testing.T) {
	named := 0
	for _, n := range candidates() {
		s := tb.CreateAccountStatus(n)
		if strings.HasPrefix(s.String(), "CreateAccountStatus(") {
			if c := accountClass(s); c != classUnmapped {
				t.Errorf("%d is no status of this client, but is mapped to class %d", n, c)
			}
			continue
		}
		named++
		if accountClass(s) == classUnmapped {
			t.Errorf("%s is not mapped: say in accountClass what it means", s)
		}
	}
	if named < 27 {
		t.Errorf("only %d statuses were enumerated, want at least 27", named)
	}
}

func candidates() []uint32 {
	numbers := []uint32{math.MaxUint32}
	for n := range uint32(statusesMax) {
		numbers = append(numbers, n)
	}
	return numbers
}

func TestJudge(t *testing.T) {
	const (
		created  = tb.TransferCreated
		exists   = tb.TransferExists
		linked   = tb.TransferLinkedEventFailed
		exceeds  = tb.TransferExceedsCredits
		burnt    = tb.TransferIDAlreadyFailed
		expired  = tb.TransferPendingTransferExpired
		notFound = tb.TransferDebitAccountNotFound
	)
	tests := []struct {
		name  string
		in    []tb.CreateTransferStatus
		class class
		index int
	}{
		{"applied", []tb.CreateTransferStatus{created, created, created}, classApplied, 0},
		{"applied, sent again", []tb.CreateTransferStatus{exists, linked, linked}, classApplied, 0},
		{"first leg refused", []tb.CreateTransferStatus{exceeds, linked, linked}, classRefused, 0},
		{"last leg refused", []tb.CreateTransferStatus{linked, linked, exceeds}, classRefused, 2},
		{"refused before", []tb.CreateTransferStatus{linked, burnt, linked}, classBurnt, 1},
		{"hold expired", []tb.CreateTransferStatus{expired, linked}, classExpired, 0},
		{"no such account", []tb.CreateTransferStatus{linked, notFound}, classFault, 1},
		{"a status of a later release", []tb.CreateTransferStatus{linked, 4000}, classUnmapped, 1},
		{"nobody failed", []tb.CreateTransferStatus{linked, linked}, classFault, 0},
		{"no result", nil, classFault, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			results := make([]tb.CreateTransferResult, len(test.in))
			for i, s := range test.in {
				results[i] = tb.CreateTransferResult{Status: s, Timestamp: 1_700_000_000_000_000_000 + uint64(i)}
			}
			v := judge(results)
			if v.class != test.class || v.index != test.index {
				t.Errorf("judge = class %d by event %d, want class %d by event %d", v.class, v.index, test.class, test.index)
			}
			if v.class == classApplied && v.appliedAt.UnixNano() != 1_700_000_000_000_000_000 {
				t.Errorf("applied at %v, want the first event's timestamp", v.appliedAt)
			}
		})
	}
}
