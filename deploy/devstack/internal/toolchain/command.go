package toolchain

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// goCommand runs in its own process group: Ctrl-C ends it through ctx, together with the
// compilers that it started, and not behind our back.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// Every program is built with its own module's versions: in a workspace, Temporal
	// would be built with newer ones than its release was tested with.
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
