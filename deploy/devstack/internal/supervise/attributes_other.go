//go:build !linux

package supervise

import "syscall"

// attributes put the process into its own process group, so that Ctrl-C in the terminal
// reaches only this program. A process cannot be tied to its parent's life here: after a
// kill -9 of this program, the next start names what still holds a port.
func attributes(spec Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: spec.Credential}
}
