package api

import "golang.org/x/sys/unix"

// unacked is how many of the written bytes the client's machine has not confirmed.
func (c nowaitConn) unacked() (bytes int) {
	if c.raw == nil {
		return 0
	}
	_ = c.raw.Control(func(fd uintptr) {
		if n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			bytes = n
		}
	})
	return bytes
}
