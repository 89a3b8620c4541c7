// Package cache is the folder for what devstack downloads.
package cache

import (
	"os"
	"path/filepath"
	"syscall"
)

// Dir is where downloads are kept, for all data directories of this user. For root it is
// a place that the users of servers can reach.
func Dir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/boxoffice", nil
	}
	base, err := os.UserCacheDir()
	return filepath.Join(base, "boxoffice"), err
}

// Lock waits, so that two stacks that start at once download once.
func Lock(dir string) (unlock func(), err error) { return LockFile(filepath.Join(dir, "lock")) }

// LockFile waits until nobody else has this file locked.
func LockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
