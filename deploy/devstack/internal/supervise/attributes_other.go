//go:build !linux

package supervise

import "syscall"

// attributes: a process group of its own, so that Ctrl-C in the terminal reaches this program only. A process cannot be
// tied to the life of its parent here: after a kill -9 of this program the next start names what still holds a port.
func attributes(spec Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: spec.Credential}
}
