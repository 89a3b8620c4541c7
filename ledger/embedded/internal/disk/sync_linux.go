package disk

import (
	"os"
	"syscall"
)

// syncData flushes the data and what is needed to read it back, but not the
// modification time. The log writes into space that is already allocated, so
// this saves a commit of the file system's own journal: several times faster.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
