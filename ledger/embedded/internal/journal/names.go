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
)

func logName(first uint64) string     { return fmt.Sprintf("%016x%s", first, logSuffix) }
func snapshotName(last uint64) string { return fmt.Sprintf("%016x%s", last, snapshotSuffix) }

// files are the journal's own files in a directory, each kind by its sequence in
// ascending order.
type files struct {
	logs      []uint64
	snapshots []uint64
	temporary []string
}

func sortFiles(names []string) files {
	var f files
	for _, name := range names {
		if strings.HasSuffix(name, temporarySuffix) {
			f.temporary = append(f.temporary, name)
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
