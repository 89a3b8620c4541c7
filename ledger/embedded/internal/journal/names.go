package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	logSuffix       = ".log"
	snapshotSuffix  = ".snapshot"
	temporarySuffix = ".tmp"
	tornSuffix      = ".torn"

	// closedName is the mark of a ledger that was closed properly, openedName that of one that
	// was opened.
	closedName = "CLOSED"
	openedName = "OPENED"
)

func logName(first uint64) string     { return fmt.Sprintf("%016x%s", first, logSuffix) }
func snapshotName(last uint64) string { return fmt.Sprintf("%016x%s", last, snapshotSuffix) }

// tornName is where the remains of an unfinished write are kept: of the log that
// starts with first, at an offset, the number-th time. Names sort by age.
func tornName(first uint64, offset int64, number int) string {
	return fmt.Sprintf("%016x-%012x-%04x%s", first, offset, number, tornSuffix)
}

// files are the journal's own files in a directory, each kind by its sequence in
// ascending order.
type files struct {
	logs      []uint64
	snapshots []uint64
	temporary []string
	torn      []string // kept remains of unfinished writes, the oldest first
	closed    bool
	opened    bool
}

func sortFiles(names []string) files {
	var f files
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, temporarySuffix):
			f.temporary = append(f.temporary, name)
		case strings.HasSuffix(name, tornSuffix):
			f.torn = append(f.torn, name)
		case name == closedName:
			f.closed = true
		case name == openedName:
			f.opened = true
		}
		if sequence, ok := parseName(name, logSuffix); ok {
			f.logs = append(f.logs, sequence)
		}
		if sequence, ok := parseName(name, snapshotSuffix); ok {
			f.snapshots = append(f.snapshots, sequence)
		}
	}
	slices.Sort(f.logs)
	slices.Sort(f.snapshots)
	slices.Sort(f.torn)
	return f
}

func parseName(name, suffix string) (sequence uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != 16 {
		return 0, false
	}
	sequence, err := strconv.ParseUint(digits, 16, 64)
	return sequence, err == nil
}
