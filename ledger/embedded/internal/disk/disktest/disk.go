// Package disktest is a disk in memory that fails, tears and crashes on demand. Like a page
// cache, it distinguishes written from flushed data, so that a test sees what a power cut
// would leave.
package disktest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"boxoffice/ledger/embedded/internal/disk"
)

const sectorBytes = 512

var (
	// ErrInjected is the error of an operation that the test makes fail.
	ErrInjected = errors.New("injected fault")
	// ErrCrashed is the error of everything after a crash.
	ErrCrashed = errors.New("the machine crashed")
	// ErrFull is the error of writes when the disk has no room.
	ErrFull = errors.New("no space left on device")

	errExists = errors.New("file exists")
	errNone   = errors.New("file does not exist")
)

// Operation is a kind of operation that can fail.
type Operation string

// The operations that change the disk.
const (
	Create   Operation = "create"
	Write    Operation = "write"
	Sync     Operation = "sync"
	Truncate Operation = "truncate"
	Rename   Operation = "rename"
	Remove   Operation = "remove"
	SyncDir  Operation = "syncdir"
)

// Fault is what happens at a failpoint.
type Fault int

const (
	None Fault = iota
	// Fail returns an error; the operation has no effect, but a failed Sync may
	// lose any part of what was written before.
	Fail
	// Partial writes a part, then returns an error.
	Partial
	// CrashBefore ends the machine before the operation, CrashAfter after it.
	CrashBefore
	CrashAfter
)

// Disk implements disk.FileSystem. The zero value is not usable; see New.
type Disk struct {
	mutex   sync.Mutex
	entries map[string]*inode // what programs see
	durable map[string]*inode // what a crash leaves
	pending []func(map[string]*inode)
	locks   map[string]bool
	crashed bool

	// At, if set, is called before every operation that changes the disk. It is
	// called with the disk's lock held.
	at func(step int, operation Operation, name string) Fault
	// steps counts the operations that change the disk.
	steps int
}

type inode struct {
	written []byte
	flushed []byte
	// dirty are the pages that the next Sync flushes. A Sync that fails forgets
	// them, as Linux does: no later Sync writes them, unless they are written anew.
	dirty map[int]bool
}

const pageBytes = 4096

func (n *inode) touch(offset, length int) {
	if n.dirty == nil {
		n.dirty = map[int]bool{}
	}
	for page := offset / pageBytes; page*pageBytes < offset+length; page++ {
		n.dirty[page] = true
	}
}

func (n *inode) flush() {
	if len(n.written) < len(n.flushed) {
		n.flushed = n.flushed[:len(n.written):len(n.written)]
	}
	n.flushed = append(n.flushed, make([]byte, len(n.written)-len(n.flushed))...)
	for page := range n.dirty {
		if start := page * pageBytes; start < len(n.written) {
			copy(n.flushed[start:], n.written[start:min(start+pageBytes, len(n.written))])
		}
	}
	n.dirty = nil
}

// New returns an empty disk.
func New() *Disk {
	return &Disk{entries: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

// FailAt installs a function that decides what happens at each step.
func (d *Disk) FailAt(at func(step int, operation Operation, name string) Fault) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.at = at
	d.steps = 0
}

// Steps is the number of operations since FailAt.
func (d *Disk) Steps() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.steps
}

// Crash cuts the power: from now on every operation fails.
func (d *Disk) Crash() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.crashed = true
}

// Reboot returns the disk as a machine finds it after a power cut: all that was
// flushed, and any part, by sectors, of what was not.
func (d *Disk) Reboot(random *rand.Rand) *Disk {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	survived := maps.Clone(d.durable)
	for _, change := range d.pending[:random.IntN(len(d.pending)+1)] {
		change(survived)
	}
	after := New()
	for _, name := range slices.Sorted(maps.Keys(survived)) {
		content := survived[name].afterCrash(random)
		node := &inode{written: content, flushed: slices.Clone(content)}
		after.entries[name] = node
		after.durable[name] = node
	}
	return after
}

func (n *inode) afterCrash(random *rand.Rand) []byte {
	sizes := []int{len(n.flushed), len(n.written)}
	content := make([]byte, sizes[random.IntN(2)])
	copy(content, n.flushed)
	for at := 0; at < len(content); at += sectorBytes {
		if at < len(n.written) && random.IntN(2) == 0 {
			copy(content[at:min(at+sectorBytes, len(content))], n.written[at:min(at+sectorBytes, len(n.written))])
		}
	}
	return content
}

// Clone is a copy of the disk as programs see it, all of it flushed.
func (d *Disk) Clone() *Disk {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	after := New()
	for name, node := range d.entries {
		copied := &inode{written: slices.Clone(node.written), flushed: slices.Clone(node.written)}
		after.entries[name] = copied
		after.durable[name] = copied
	}
	return after
}

// Names are the files, in order.
func (d *Disk) Names() []string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return slices.Sorted(maps.Keys(d.entries))
}

// Content is a copy of a file.
func (d *Disk) Content(name string) []byte {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return slices.Clone(d.entries[name].written)
}

// SetContent replaces a file, as flushed.
func (d *Disk) SetContent(name string, content []byte) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	node := &inode{written: slices.Clone(content), flushed: slices.Clone(content)}
	d.entries[name] = node
	d.durable[name] = node
}

// Lend makes content a file without copying it, for tests that open very many variants of
// one file and do not write to it.
func (d *Disk) Lend(name string, content []byte) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	node := &inode{written: content, flushed: slices.Clip(content)}
	d.entries[name] = node
	d.durable[name] = node
}

// step decides about one operation. The caller holds the mutex.
func (d *Disk) step(operation Operation, name string) (Fault, error) {
	if d.crashed {
		return None, ErrCrashed
	}
	step := d.steps
	d.steps++
	if d.at == nil {
		return None, nil
	}
	fault := d.at(step, operation, filepath.Base(name))
	switch fault {
	case Fail:
		return fault, fmt.Errorf("%s %s: %w", operation, name, ErrInjected)
	case CrashBefore:
		d.crashed = true
		return fault, ErrCrashed
	case None, Partial, CrashAfter: // not before the operation
	}
	return fault, nil
}

// finish turns a completed operation into the fault that follows it.
func (d *Disk) finish(fault Fault) error {
	if fault == CrashAfter {
		d.crashed = true
		return ErrCrashed
	}
	return nil
}

func (d *Disk) MakeDir(string) error { return nil }

func (d *Disk) List(dir string) ([]string, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	var names []string
	for name := range d.entries {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	return names, nil
}

func (d *Disk) Create(name string) (disk.File, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	fault, err := d.step(Create, name)
	if err != nil {
		return nil, err
	}
	if d.entries[name] != nil {
		return nil, errExists
	}
	node := &inode{}
	d.change(func(entries map[string]*inode) { entries[name] = node })
	return &file{disk: d, name: name, node: node}, d.finish(fault)
}

func (d *Disk) Open(name string) (disk.File, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	node := d.entries[name]
	if node == nil {
		return nil, errNone
	}
	return &file{disk: d, name: name, node: node}, nil
}

func (d *Disk) Rename(oldName, newName string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	fault, err := d.step(Rename, newName)
	if err != nil {
		return err
	}
	if d.entries[oldName] == nil {
		return errNone
	}
	d.change(func(entries map[string]*inode) {
		if node := entries[oldName]; node != nil {
			entries[newName] = node
			delete(entries, oldName)
		}
	})
	return d.finish(fault)
}

func (d *Disk) Remove(name string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	fault, err := d.step(Remove, name)
	if err != nil {
		return err
	}
	if d.entries[name] == nil {
		return errNone
	}
	d.change(func(entries map[string]*inode) { delete(entries, name) })
	return d.finish(fault)
}

// change applies a change of the directory now, and to what survives a crash
// later.
func (d *Disk) change(apply func(map[string]*inode)) {
	apply(d.entries)
	d.pending = append(d.pending, apply)
}

func (d *Disk) SyncDir(dir string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	fault, err := d.step(SyncDir, dir)
	if err != nil {
		return err
	}
	for _, change := range d.pending {
		change(d.durable)
	}
	d.pending = nil
	return d.finish(fault)
}

func (d *Disk) Lock(name string) (io.Closer, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	dir := filepath.Dir(name)
	if d.locks[dir] {
		return nil, disk.ErrLocked
	}
	d.locks[dir] = true
	return unlock{d, dir}, nil
}

type unlock struct {
	disk *Disk
	dir  string
}

func (u unlock) Close() error {
	u.disk.mutex.Lock()
	defer u.disk.mutex.Unlock()
	delete(u.disk.locks, u.dir)
	return nil
}

type file struct {
	disk *Disk
	name string
	node *inode
}

func (f *file) ReadAt(b []byte, offset int64) (int, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	if f.disk.crashed {
		return 0, ErrCrashed
	}
	if offset >= int64(len(f.node.written)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.written[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	fault, err := f.disk.step(Write, f.name)
	if err != nil {
		return 0, err
	}
	if fault == Partial {
		b = b[:len(b)/2]
	}
	if end := int(offset) + len(b); end > len(f.node.written) {
		f.node.written = append(f.node.written, make([]byte, end-len(f.node.written))...)
	}
	copy(f.node.written[offset:], b)
	f.node.touch(int(offset), len(b))
	if fault == Partial {
		return len(b), ErrFull
	}
	return len(b), f.disk.finish(fault)
}

func (f *file) Truncate(size int64) error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	fault, err := f.disk.step(Truncate, f.name)
	if err != nil {
		return err
	}
	if int(size) < len(f.node.written) {
		f.node.written = f.node.written[:size]
	} else {
		f.node.written = append(f.node.written, make([]byte, int(size)-len(f.node.written))...)
	}
	return f.disk.finish(fault)
}

func (f *file) Sync() error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	fault, err := f.disk.step(Sync, f.name)
	if err != nil {
		f.node.dirty = nil
		return err
	}
	f.node.flush()
	return f.disk.finish(fault)
}

func (f *file) Size() (int64, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	return int64(len(f.node.written)), nil
}

func (*file) Close() error { return nil }

// Restart returns the disk as the next process on the same running machine finds it: with
// everything that was written, flushed or not.
func (d *Disk) Restart() *Disk {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return &Disk{entries: d.entries, durable: d.durable, pending: d.pending, locks: map[string]bool{}}
}
