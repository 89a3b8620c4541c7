package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"boxoffice/deploy/devstack/internal/datadir"
	"boxoffice/deploy/devstack/internal/postgres"
)

const (
	stopTimeout = 3 * time.Minute // above the sum of what each process is granted
	pollEvery   = 100 * time.Millisecond
)

// Down stops the stack that runs on the data directory and waits until it has stopped. It
// returns false if none runs.
func Down(dataDir string) (stopped bool, err error) {
	pid, running := datadir.Holder(dataDir)
	if !running {
		return false, nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return false, fmt.Errorf("stop process %d: %w", pid, err)
	}
	for end := time.Now().Add(stopTimeout); time.Now().Before(end); time.Sleep(pollEvery) {
		if _, running := datadir.Holder(dataDir); !running {
			return true, nil
		}
	}
	return false, fmt.Errorf("process %d has not stopped after %s; see the last lines in its terminal", pid, stopTimeout)
}

// Clean removes the data directory and what belongs to it elsewhere. It calls agreed with
// the list of what will be removed.
func Clean(dataDir string, agreed func(paths []string) bool) (removed []string, err error) {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	dir, err := datadir.Open(abs) // refuses a directory that is not ours or is in use
	if err != nil {
		return nil, explainRunning(abs, err)
	}
	defer dir.Close()
	paths := []string{abs}
	if outside := postgres.OutsideHome(abs); exists(outside) {
		paths = append(paths, outside)
	}
	if !agreed(paths) {
		return nil, nil
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	return removed, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
