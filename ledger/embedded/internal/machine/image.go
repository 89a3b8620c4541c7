package machine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Image is the state of a ledger at one moment. It is cheap to take, because
// transfers never change: only the accounts and one byte a transfer are copied.
// Encode may run in another goroutine while the ledger goes on.
type Image struct {
	timestamp uint64
	accounts  table[account]
	transfers table[transfer]
	status    table[pendingStatus]
	expiries  table[expiry]
	burntIDs  table[u128]
}

// Image captures the state between two requests.
func (m *Machine) Image() *Image {
	assert(!m.scope.open, "an image inside a chain")
	return &Image{
		timestamp: m.timestamp,
		accounts:  m.accounts.clone(),
		transfers: m.transfers.prefix(),
		status:    m.pendingStatus.clone(),
		expiries:  m.expiries.prefix(),
		burntIDs:  m.burntIDs.prefix(),
	}
}

// Sizes of the encoded rows, in bytes.
const (
	imageHeaderBytes   = 8 + 4*4
	imageAccountBytes  = 16 + 16 + 8 + 8 + 4 + 4 + 2 + 2 + 4*16 + 1
	imageTransferBytes = 3*16 + 2*8 + 5*4 + 2*2 + 1
	imageExpiryBytes   = 8 + 4 + 4
	imageBurntBytes    = 16
)

// Encode writes the image. Integers are little-endian; the layout is part of
// the snapshot format, whose version the caller writes.
func (i *Image) Encode(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	b := make([]byte, 0, 256)
	b = binary.LittleEndian.AppendUint64(b, i.timestamp)
	for _, count := range []uint32{i.accounts.length, i.transfers.length, i.expiries.length, i.burntIDs.length} {
		b = binary.LittleEndian.AppendUint32(b, count)
	}
	out.Write(b)
	for row := range i.accounts.length {
		out.Write(appendAccount(b[:0], i.accounts.at(row)))
	}
	for row := range i.transfers.length {
		out.Write(appendTransfer(b[:0], i.transfers.at(row), *i.status.at(row)))
	}
	for row := range i.expiries.length {
		e := i.expiries.at(row)
		b = binary.LittleEndian.AppendUint64(b[:0], e.timestamp)
		b = binary.LittleEndian.AppendUint32(b, e.transfer)
		out.Write(binary.LittleEndian.AppendUint32(b, e.transfersBefore))
	}
	for row := range i.burntIDs.length {
		out.Write(append128(b[:0], *i.burntIDs.at(row)))
	}
	return out.Flush() // the first error of any Write
}

func append128(b []byte, v u128) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, v.lo), v.hi)
}

func appendAccount(b []byte, a *account) []byte {
	b = append128(b, a.id)
	b = append128(b, a.userData128)
	b = binary.LittleEndian.AppendUint64(b, a.userData64)
	b = binary.LittleEndian.AppendUint64(b, a.timestamp)
	b = binary.LittleEndian.AppendUint32(b, a.userData32)
	b = binary.LittleEndian.AppendUint32(b, a.ledger)
	b = binary.LittleEndian.AppendUint16(b, a.code)
	b = binary.LittleEndian.AppendUint16(b, a.flagsCreated)
	b = append128(b, a.balances.debitsPending)
	b = append128(b, a.balances.debitsPosted)
	b = append128(b, a.balances.creditsPending)
	b = append128(b, a.balances.creditsPosted)
	closed := byte(0)
	if a.balances.closed {
		closed = 1
	}
	return append(b, closed)
}

func appendTransfer(b []byte, t *transfer, status pendingStatus) []byte {
	b = append128(b, t.id)
	b = append128(b, t.amount)
	b = append128(b, t.userData128)
	b = binary.LittleEndian.AppendUint64(b, t.userData64)
	b = binary.LittleEndian.AppendUint64(b, t.timestamp)
	b = binary.LittleEndian.AppendUint32(b, t.debit)
	b = binary.LittleEndian.AppendUint32(b, t.credit)
	b = binary.LittleEndian.AppendUint32(b, t.pending)
	b = binary.LittleEndian.AppendUint32(b, t.userData32)
	b = binary.LittleEndian.AppendUint32(b, t.timeout)
	b = binary.LittleEndian.AppendUint16(b, t.code)
	b = binary.LittleEndian.AppendUint16(b, t.flags)
	return append(b, byte(status))
}

// ErrImage is wrapped by every error about an image that contradicts itself.
var ErrImage = errors.New("inconsistent ledger image")

// Load reads an image back. The balances after each event are not stored: they
// are computed again from the transfers and expiries in order, and must come out
// at the balances of the accounts. So a restart also proves the books.
func Load(r io.Reader) (*Machine, error) {
	in := &imageReader{r: bufio.NewReaderSize(r, 1<<16)}
	m := New()
	header := in.row(imageHeaderBytes)
	timestamp := header.uint64()
	accounts, transfers := header.uint32(), header.uint32()
	expiries, burntIDs := header.uint32(), header.uint32()
	if in.err != nil {
		return nil, in.err
	}

	stored := m.loadAccounts(in, accounts)
	status := m.loadTransfers(in, transfers, accounts)
	m.loadExpiries(in, expiries, transfers)
	for range burntIDs {
		row := in.row(imageBurntBytes)
		m.burn(row.uint128())
	}
	if in.err != nil {
		return nil, in.err
	}
	if _, err := in.r.ReadByte(); err != io.EOF {
		return nil, fmt.Errorf("%w: bytes after its end", ErrImage)
	}
	m.replayEffects()
	m.timestamp = timestamp
	if err := m.verify(stored, status); err != nil {
		return nil, err
	}
	m.settleAccounts()
	m.settleTransfers()
	return m, nil
}

// loadAccounts creates the accounts as they were at first, and returns the
// balances that they must end with.
func (m *Machine) loadAccounts(in *imageReader, count uint32) (stored []balances) {
	for range count {
		row := in.row(imageAccountBytes)
		a := account{
			id:           row.uint128(),
			userData128:  row.uint128(),
			userData64:   row.uint64(),
			timestamp:    row.uint64(),
			userData32:   row.uint32(),
			ledger:       row.uint32(),
			code:         row.uint16(),
			flagsCreated: row.uint16(),
		}
		final := balances{
			debitsPending:  row.uint128(),
			debitsPosted:   row.uint128(),
			creditsPending: row.uint128(),
			creditsPosted:  row.uint128(),
			closed:         row.byte() == 1,
		}
		if in.err != nil {
			return nil
		}
		a.balances.closed = a.flagsCreated&accountClosed != 0
		m.accountRows.put(a.id, m.accounts.push(a))
		stored = append(stored, final)
	}
	return stored
}

func (m *Machine) loadTransfers(in *imageReader, count, accounts uint32) (status []pendingStatus) {
	for i := range count {
		row := in.row(imageTransferBytes)
		t := transfer{
			id:          row.uint128(),
			amount:      row.uint128(),
			userData128: row.uint128(),
			userData64:  row.uint64(),
			timestamp:   row.uint64(),
			debit:       row.uint32(),
			credit:      row.uint32(),
			pending:     row.uint32(),
			userData32:  row.uint32(),
			timeout:     row.uint32(),
			code:        row.uint16(),
			flags:       row.uint16(),
		}
		final := pendingStatus(row.byte())
		if in.err != nil {
			return nil
		}
		resolves := t.flags&(transferPost|transferVoid) != 0
		if t.debit >= accounts || t.credit >= accounts || resolves && t.pending >= i {
			in.err = fmt.Errorf("%w: transfer %d names a record that does not exist", ErrImage, i)
			return nil
		}
		m.insert(t)
		status = append(status, final)
	}
	return status
}

func (m *Machine) loadExpiries(in *imageReader, count, transfers uint32) {
	for i := range count {
		row := in.row(imageExpiryBytes)
		e := expiry{timestamp: row.uint64(), transfer: row.uint32(), transfersBefore: row.uint32()}
		if in.err != nil {
			return
		}
		if e.transfersBefore > transfers || e.transfer >= e.transfersBefore {
			in.err = fmt.Errorf("%w: expiry %d names a transfer that does not exist", ErrImage, i)
			return
		}
		m.expiries.push(e)
	}
}

// replayEffects applies the loaded transfers and expiries in the order in which
// they happened.
func (m *Machine) replayEffects() {
	expired := uint32(0)
	expireBefore := func(transfers uint32) {
		for expired < m.expiries.length && m.expiries.at(expired).transfersBefore <= transfers {
			e := m.expiries.at(expired)
			e.snapshot = m.release(e.transfer)
			expired++
		}
	}
	for row := range m.transfers.length {
		expireBefore(row)
		t := m.transfers.at(row)
		if t.flags&(transferPost|transferVoid) != 0 {
			m.resolve(t.pending, resolution(t.flags))
		}
		m.apply(t)
		m.snapshot(row)
	}
	expireBefore(m.transfers.length)
}

// verify compares the computed state with the stored one.
func (m *Machine) verify(stored []balances, status []pendingStatus) error {
	for row := range m.accounts.length {
		if a := m.accounts.at(row); a.balances != stored[row] {
			return fmt.Errorf("%w: the balances of account %s do not follow from its transfers", ErrImage, a.id.wire())
		}
	}
	for row := range m.transfers.length {
		if *m.pendingStatus.at(row) != status[row] {
			return fmt.Errorf("%w: the status of transfer %s does not follow from the others",
				ErrImage, m.transfers.at(row).id.wire())
		}
	}
	return nil
}

// imageReader reads fixed-size rows and keeps the first error.
type imageReader struct {
	r      *bufio.Reader
	buffer [256]byte
	err    error
}

type imageRow struct{ b []byte }

func (in *imageReader) row(size int) *imageRow {
	b := in.buffer[:size]
	if in.err == nil {
		if _, err := io.ReadFull(in.r, b); err != nil {
			in.err = fmt.Errorf("%w: %w", ErrImage, err)
			clear(b)
		}
	}
	return &imageRow{b}
}

func (r *imageRow) take(size int) []byte {
	b := r.b[:size]
	r.b = r.b[size:]
	return b
}

func (r *imageRow) byte() byte     { return r.take(1)[0] }
func (r *imageRow) uint16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *imageRow) uint32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *imageRow) uint64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *imageRow) uint128() u128  { return u128{lo: r.uint64(), hi: r.uint64()} }
