package journal

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is wrapped by every CorruptionError.
	ErrCorrupt = errors.New("the ledger's files are corrupt")
	// ErrNewerFormat says that a newer release wrote the files.
	ErrNewerFormat = errors.New("the ledger's files are of a newer format")
)

// CorruptionError says which bytes are not what was confirmed as written.
type CorruptionError struct {
	File   string
	Offset int64 // in bytes from the start of the file
	Reason string
}

func (e *CorruptionError) Error() string {
	return fmt.Sprintf("%v: %s at offset %d: %s", ErrCorrupt, e.File, e.Offset, e.Reason)
}

func (e *CorruptionError) Unwrap() error { return ErrCorrupt }

func corrupt(file string, offset int64, format string, args ...any) error {
	return &CorruptionError{File: file, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
