package supervise

import "syscall"

// attributes: a process group of its own, so that Ctrl-C in the terminal reaches this program only, which then stops
// the others in order; and an end with this program, however it ends.
func attributes(spec Spec) *syscall.SysProcAttr {
	death := spec.DeathSignal
	if death == 0 {
		death = syscall.SIGKILL
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: spec.Credential}
}
