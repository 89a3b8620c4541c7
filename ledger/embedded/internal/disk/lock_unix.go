//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock takes advisory locks (flock) on the directory of a file and on the file, and
// notes the process in the file, for the message that the next one gets. The kernel
// drops the locks with the process, so a crash leaves nothing to clean up.
//
// The lock on the directory keeps a second engine out even if somebody removes the file.
// The lock on the file is for older releases, which lock only that. Some network file
// systems cannot lock a directory; there the file has to do.
func lock(name string) (io.Closer, error) {
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if err := tryLock(dir); err != nil && !cannotLockDirectories(err) {
		dir.Close()
		return nil, lockError(name, err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		dir.Close()
		return nil, err
	}
	held := locks{f, dir}
	if err := tryLock(f); err != nil {
		held.Close()
		return nil, lockError(name, err)
	}
	if err := f.Truncate(0); err != nil {
		held.Close()
		return nil, err
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		held.Close()
		return nil, err
	}
	return held, nil
}

func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err
		}
	}
}

func cannotLockDirectories(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
}

// lockError says who holds the lock, as far as the file tells.
func lockError(name string, err error) error {
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	if pid := holder(name); pid != "" {
		return fmt.Errorf("%w by process %s (%s)", ErrLocked, pid, name)
	}
	return fmt.Errorf("%w (%s)", ErrLocked, filepath.Dir(name))
}

func holder(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	pid, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
	return strings.TrimSpace(string(pid))
}

// locks are open files whose locks end with them.
type locks []*os.File

func (l locks) Close() (err error) {
	for _, f := range l {
		err = errors.Join(err, f.Close())
	}
	return err
}
