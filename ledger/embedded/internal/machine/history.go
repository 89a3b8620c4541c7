package machine

import (
	"encoding/binary"
)

const (
	historyPageBytes = 1 << 16
	// snapshotBytesMax is the size of the largest encoded snapshot: a byte of
	// flags and eight balances of at most 128 bits, 7 bits a byte.
	snapshotBytesMax = 1 + 8*19

	snapshotDebitClosed  = 1 << 0
	snapshotCreditClosed = 1 << 1
)

// history is the balances of both accounts after every event, for
// GetAccountBalances and GetChangeEvents. Most balances are small, so a
// snapshot is eight variable-length integers: some 20 bytes, not 128.
type history struct {
	pages []*[historyPageBytes]byte
	used  int // bytes of the last page
}

type historyMark struct{ pages, used int }

func (h *history) mark() historyMark { return historyMark{len(h.pages), h.used} }

func (h *history) reset(mark historyMark) {
	h.pages = h.pages[:mark.pages]
	h.used = mark.used
}

// add stores the balances of the debit and the credit account and returns where.
func (h *history) add(debit, credit *balances) (position uint64) {
	if len(h.pages) == 0 || h.used+snapshotBytesMax > historyPageBytes {
		h.pages = append(h.pages, new([historyPageBytes]byte))
		h.used = 0
	}
	page := len(h.pages) - 1
	position = uint64(page)*historyPageBytes + uint64(h.used)

	var flags byte
	if debit.closed {
		flags |= snapshotDebitClosed
	}
	if credit.closed {
		flags |= snapshotCreditClosed
	}
	b := append(h.pages[page][h.used:h.used:historyPageBytes], flags)
	for _, side := range []*balances{debit, credit} {
		b = appendUvarint128(b, side.debitsPending)
		b = appendUvarint128(b, side.debitsPosted)
		b = appendUvarint128(b, side.creditsPending)
		b = appendUvarint128(b, side.creditsPosted)
	}
	h.used += len(b)
	return position
}

// at reads what add stored.
func (h *history) at(position uint64) (debit, credit balances) {
	b := h.pages[position/historyPageBytes][position%historyPageBytes:]
	flags := b[0]
	b = b[1:]
	for _, side := range []*balances{&debit, &credit} {
		for _, field := range []*u128{
			&side.debitsPending, &side.debitsPosted, &side.creditsPending, &side.creditsPosted,
		} {
			*field, b = uvarint128(b)
		}
	}
	debit.closed = flags&snapshotDebitClosed != 0
	credit.closed = flags&snapshotCreditClosed != 0
	return debit, credit
}

func appendUvarint128(b []byte, v u128) []byte {
	for v.hi != 0 {
		b = append(b, byte(v.lo)|0x80)
		v = u128{v.lo>>7 | v.hi<<57, v.hi >> 7}
	}
	return binary.AppendUvarint(b, v.lo)
}

func uvarint128(b []byte) (v u128, rest []byte) {
	for shift := uint(0); ; shift += 7 {
		part := uint64(b[0] & 0x7f)
		if shift < 64 {
			v.lo |= part << shift
			v.hi |= part >> (64 - shift)
		} else {
			v.hi |= part << (shift - 64)
		}
		more := b[0]&0x80 != 0
		b = b[1:]
		if !more {
			return v, b
		}
	}
}

// snapshot stores the balances after a transfer.
func (m *Machine) snapshot(row uint32) {
	t := m.transfers.at(row)
	m.snapshots.push(m.history.add(&m.accounts.at(t.debit).balances, &m.accounts.at(t.credit).balances))
}
