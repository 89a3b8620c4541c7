package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"time"

	"boxoffice/bench/probe"
)

// LocalStack is the stack of a data directory, as a Mortal.
type LocalStack struct {
	DataDir, URL string
	Command      []string // that starts it on that directory, at the same addresses
	Log          string   // a file that the command's output is appended to

	before map[string]string // the addresses at the last kill
}

const (
	goneWithin  = 10 * time.Second
	readyWithin = 5 * time.Minute
	stackLook   = 20 * time.Millisecond
)

// Kill sends SIGKILL to every process of the stack and, last, to the supervisor:
// it would start again what it sees die. Postgres's backends and whatever else
// descends from them are part of it.
func (s *LocalStack) Kill(ctx context.Context) error {
	stack, err := probe.ReadStack(s.DataDir, s.URL)
	if err != nil {
		return err
	}
	s.before = stack.Variables
	roots := []int{stack.PID}
	for _, pid := range stack.PIDs() {
		roots = append(roots, pid)
	}
	family, err := probe.Family(roots...)
	if err != nil {
		return err
	}
	for _, pid := range family {
		if pid != stack.PID {
			err = errors.Join(err, kill(pid))
		}
	}
	err = errors.Join(err, kill(stack.PID))
	if err != nil {
		return err
	}
	return awaitGone(ctx, family)
}

// kill is kill -9; a process that has ended meanwhile is as good.
func kill(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

func awaitGone(ctx context.Context, pids []int) error {
	for until := time.Now().Add(goneWithin); ; {
		left, err := probe.Family(pids...)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("processes %v were still there %v after they were killed", left, goneWithin)
		}
		if err := pause(ctx, stackLook); err != nil {
			return err
		}
	}
}

// Start runs the command and leaves it running: whoever started the first stack
// stops the last one.
func (s *LocalStack) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for until := time.Now().Add(readyWithin); ; {
		stack, err := probe.ReadStack(s.DataDir, s.URL)
		switch {
		case err == nil && stack.PID == cmd.Process.Pid && !maps.Equal(stack.Variables, s.before):
			return fmt.Errorf("it came back at other addresses: somebody has taken a port of it; measure again")
		case err == nil && stack.PID == cmd.Process.Pid:
			return nil
		case time.Now().After(until):
			return fmt.Errorf("not ready after %v; its output is in %s", readyWithin, s.Log)
		}
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended (%v); its output is in %s", strings.Join(s.Command, " "), err, s.Log)
		case <-time.After(stackLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
