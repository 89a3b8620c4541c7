// Package disk is the seam between the ledger and the file system: the few
// operations that durability rests on, so that tests can make each of them fail,
// tear or crash. It is not a general file system abstraction.
package disk

import (
	"errors"
	"io"
)

// ErrLocked is wrapped by the error of Lock when another process, or another
// engine of this one, holds the lock.
var ErrLocked = errors.New("locked")

// FileSystem is what the ledger needs from a file system. Names are full paths.
type FileSystem interface {
	// MakeDir creates a directory and its parents, if they do not exist, and makes
	// them durable.
	MakeDir(name string) error
	// List returns the names of the files in a directory, without the path.
	List(dir string) ([]string, error)
	// Create makes a new, empty file; it fails if the file exists.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename replaces newName by the file oldName, atomically.
	Rename(oldName, newName string) error
	// Remove deletes a file.
	Remove(name string) error
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on the directory of a file, which it creates, that
	// ends with the process or with Close, whatever becomes of the file.
	// An error that wraps ErrLocked says who holds the lock, if that is known.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length of the file in bytes.
	Size() (int64, error)
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
	// Sync returns once everything written is on stable storage.
	Sync() error
}
