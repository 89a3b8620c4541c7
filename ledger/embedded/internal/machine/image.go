package machine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	tb "github.com/tigerbeetle/tigerbeetle-go"
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

// Load reads an image back. It trusts nothing: it checks accounts, transfers and expiries
// against the rules, in the order in which they happened, and they must result in the
// stored balances and statuses. So a restart also proves the books, and computes the
// balances after each event, which are not stored.
//
// Errors wrap ErrImage or the reader's error. Memory use depends on what was read, not on
// the number of rows that the image claims to have.
func Load(r io.Reader) (*Machine, error) {
	in := &imageReader{r: bufio.NewReaderSize(r, 1<<16)}
	m := New()
	header := in.row(imageHeaderBytes)
	timestamp := header.uint64()
	accounts, transfers := header.uint32(), header.uint32()
	expiries, burntIDs := header.uint32(), header.uint32()

	stored := m.loadAccounts(in, accounts)
	status := m.loadTransfers(in, transfers)
	m.loadExpiries(in, expiries)
	m.loadBurntIDs(in, burntIDs)
	in.end()
	if in.err == nil {
		in.err = m.replayEffects()
	}
	if in.err == nil {
		in.err = m.verify(timestamp, stored, status)
	}
	if in.err != nil {
		return nil, in.err
	}
	m.timestamp = timestamp
	m.settleAccounts()
	m.settleTransfers()
	return m, nil
}

// loadAccounts creates the accounts as they were at first, and returns the
// balances that they must end with.
func (m *Machine) loadAccounts(in *imageReader, count uint32) (stored []balances) {
	last := uint64(0)
	for i := uint32(0); i < count && in.err == nil; i++ {
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
		}
		closed := row.byte()
		final.closed = closed == 1
		request := a.wire()
		request.Flags = a.flagsCreated
		status, _ := m.createAccount(a.timestamp, &request)
		switch {
		case in.err != nil:
		case status != tb.AccountCreated:
			in.refuse("account %d could not have been created: %v", i, status)
		case a.timestamp <= last, closed > 1:
			in.refuse("account %d is out of order or not in canonical form", i)
		}
		stored = append(stored, final)
		last = a.timestamp
	}
	return stored
}

// loadTransfers loads the transfers without their effects, and returns the statuses that
// the pending ones must end with.
func (m *Machine) loadTransfers(in *imageReader, count uint32) (status []pendingStatus) {
	for i := uint32(0); i < count && in.err == nil; i++ {
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
		_, used := m.transferRefs.find(t.id)
		resolves := t.flags&(transferPost|transferVoid) != 0
		switch {
		case in.err != nil:
		case used:
			in.refuse("transfer %d has the id of another", i)
		case t.debit >= m.accounts.length, t.credit >= m.accounts.length,
			resolves && t.pending >= i, !resolves && t.pending != noRow:
			in.refuse("transfer %d names a record that does not exist", i)
		default:
			m.insert(t)
			status = append(status, final)
		}
	}
	return status
}

func (m *Machine) loadExpiries(in *imageReader, count uint32) {
	last := expiry{}
	for i := uint32(0); i < count && in.err == nil; i++ {
		row := in.row(imageExpiryBytes)
		e := expiry{timestamp: row.uint64(), transfer: row.uint32(), transfersBefore: row.uint32()}
		switch {
		case in.err != nil:
		case e.transfersBefore > m.transfers.length, e.transfer >= e.transfersBefore:
			in.refuse("expiry %d names a transfer that does not exist", i)
		case e.timestamp <= last.timestamp, e.transfersBefore < last.transfersBefore:
			in.refuse("expiry %d is out of order", i)
		default:
			m.expiries.push(e)
		}
		last = e
	}
}

func (m *Machine) loadBurntIDs(in *imageReader, count uint32) {
	for i := uint32(0); i < count && in.err == nil; i++ {
		row := in.row(imageBurntBytes)
		id := row.uint128()
		_, used := m.transferRefs.find(id)
		switch {
		case in.err != nil:
		case used, id == zero, id == u128Max:
			in.refuse("burnt id %d cannot have failed", i)
		default:
			m.burn(id)
		}
	}
}

// replayEffects applies the loaded transfers and expiries in the order in which
// they happened.
func (m *Machine) replayEffects() error {
	expired := uint32(0)
	expireBefore := func(transfers uint32) error {
		for ; expired < m.expiries.length && m.expiries.at(expired).transfersBefore <= transfers; expired++ {
			e := m.expiries.at(expired)
			p := m.transfers.at(e.transfer)
			if *m.pendingStatus.at(e.transfer) != statusPending || p.timeout == 0 || p.expiresAt() > e.timestamp {
				return fmt.Errorf("%w: transfer %s expired, although it could not", ErrImage, p.id.wire())
			}
			e.snapshot = m.release(e.transfer)
		}
		return nil
	}
	for row := range m.transfers.length {
		if err := expireBefore(row); err != nil {
			return err
		}
		t := m.transfers.at(row)
		if err := m.creatable(row); err != nil {
			return err
		}
		if t.flags&(transferPost|transferVoid) != 0 {
			m.resolve(t.pending, resolution(t.flags))
		}
		m.apply(t)
		m.snapshot(row)
	}
	return expireBefore(m.transfers.length)
}

// creatable checks a loaded transfer as createTransfer would have.
func (m *Machine) creatable(row uint32) error {
	t, request := m.transfers.at(row), m.transferWire(row)
	status := transferStateless(&request)
	amount := zero
	switch {
	case status != tb.TransferCreated:
	case t.flags&(transferPost|transferVoid) != 0:
		status = postOrVoidFields(t.id, &request)
		if status == tb.TransferCreated {
			amount, status = m.resolves(&request, row, t.timestamp, t.pending)
		}
	default:
		status = transferFields(&request)
		if status == tb.TransferCreated {
			amount, status = m.movable(&request, row, t.timestamp, m.accounts.at(t.debit), m.accounts.at(t.credit))
		}
	}
	switch {
	case status != tb.TransferCreated:
		return fmt.Errorf("%w: transfer %s could not have been created: %v", ErrImage, t.id.wire(), status)
	case amount != t.amount:
		return fmt.Errorf("%w: transfer %s has an amount that it could not move", ErrImage, t.id.wire())
	case t.pending != noRow && !inherits(t, m.transfers.at(t.pending)):
		return fmt.Errorf("%w: transfer %s does not have the user data of the one that it resolves", ErrImage, t.id.wire())
	case m.transferRegresses(t.timestamp, row),
		t.timestamp <= m.accounts.at(t.debit).timestamp, t.timestamp <= m.accounts.at(t.credit).timestamp:
		return fmt.Errorf("%w: transfer %s is out of order", ErrImage, t.id.wire())
	}
	return nil
}

// verify compares the computed state with the stored one.
func (m *Machine) verify(timestamp uint64, stored []balances, status []pendingStatus) error {
	if timestamp > TimestampUsedMax || timestamp < m.newest() {
		return fmt.Errorf("%w: its timestamp %d does not match its events", ErrImage, timestamp)
	}
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

// newest is the greatest timestamp of any record.
func (m *Machine) newest() (timestamp uint64) {
	if n := m.accounts.length; n > 0 {
		timestamp = m.accounts.at(n - 1).timestamp
	}
	if n := m.transfers.length; n > 0 {
		timestamp = max(timestamp, m.transfers.at(n-1).timestamp)
	}
	if n := m.expiries.length; n > 0 {
		timestamp = max(timestamp, m.expiries.at(n-1).timestamp)
	}
	return timestamp
}

// imageReader reads fixed-size rows and keeps the first error.
type imageReader struct {
	r      *bufio.Reader
	buffer [256]byte
	err    error
}

// refuse records an error about the row that was read.
func (in *imageReader) refuse(format string, args ...any) {
	in.err = fmt.Errorf("%w: "+format, append([]any{ErrImage}, args...)...)
}

// end makes sure that nothing follows.
func (in *imageReader) end() {
	if in.err != nil {
		return
	}
	switch _, err := in.r.ReadByte(); err {
	case io.EOF:
	case nil:
		in.refuse("there are bytes after its end")
	default:
		in.err = fmt.Errorf("%w: %w", ErrImage, err)
	}
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
