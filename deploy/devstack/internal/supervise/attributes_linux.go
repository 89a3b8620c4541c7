package supervise

import "syscall"

// attributes put the process into its own process group, so that Ctrl-C in the terminal
// reaches only this program, which then stops the others in order. They also end the
// process with this program, however that ends.
func attributes(spec Spec) *syscall.SysProcAttr {
	death := spec.DeathSignal
	if death == 0 {
		death = syscall.SIGKILL
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death, Credential: spec.Credential}
}
