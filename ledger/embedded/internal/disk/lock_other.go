//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package disk

import (
	"errors"
	"io"
)

// lock refuses: two engines on one directory would corrupt it, and this system
// has no lock that ends with its process.
func lock(string) (io.Closer, error) {
	return nil, errors.New("the embedded ledger needs flock, which this operating system does not have")
}
