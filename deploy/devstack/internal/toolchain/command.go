package toolchain

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// goCommand runs in a process group of its own: Ctrl-C ends it through ctx, together with the compilers that it has
// started, and not behind our back.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// Every program is built with the versions of its own module: in a workspace Temporal would be built with newer
	// ones than its release was tested with.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
