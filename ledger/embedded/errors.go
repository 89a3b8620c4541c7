package embedded

import (
	"errors"
	"fmt"

	"boxoffice/ledger/embedded/internal/disk"
	"boxoffice/ledger/embedded/internal/journal"
)

var (
	// ErrLocked is wrapped by Open's error when another process uses the
	// directory.
	ErrLocked = disk.ErrLocked
	// ErrCorrupt is wrapped by Open's error when the files are not what was
	// written: see CorruptionError.
	ErrCorrupt = journal.ErrCorrupt
	// ErrNewerFormat is wrapped by Open's error when a newer release wrote the
	// files.
	ErrNewerFormat = journal.ErrNewerFormat

	// ErrOutcomeUnknown is wrapped by the error of a request that was executed,
	// but whose record may or may not be on disk: the disk failed just then. After
	// a restart, repeat it with the same ids.
	ErrOutcomeUnknown = errors.New("embedded ledger: outcome unknown")
	// ErrFull is the error of a request that was not executed, because the ledger may
	// have no room for all that it may create: see "Numbers" in docs/reference.md.
	// Queries, and requests for which there is room, go on. Move to a cluster.
	ErrFull = errors.New("embedded ledger: full; move to a TigerBeetle cluster")
	// ErrStopped is wrapped by the error of a request that was not executed,
	// because the engine stopped after a failure of the disk.
	ErrStopped = errors.New("embedded ledger: stopped")
)

// CorruptionError says which file is damaged, where, and how.
type CorruptionError = journal.CorruptionError

// failure is the error of a request that met a failed disk: kind is
// ErrOutcomeUnknown or ErrStopped.
func failure(kind, cause error) error {
	return fmt.Errorf("%w after a failure of the disk (restart the process once it is repaired): %w", kind, cause)
}
