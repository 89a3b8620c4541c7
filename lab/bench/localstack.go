package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"boxoffice/lab/bench/probe"
	"boxoffice/pace"
)

// LocalStack is the stack of a data directory, as a Mortal.
type LocalStack struct {
	dataDir, url string
	command      []string
	log          string

	before map[string]string // the addresses at the last kill
}

// NewLocalStack finds the stack that runs on a data directory and serves url. The
// command starts it there again, at the same addresses, and is its supervisor;
// its output is appended to the file log. It is better to report what is missing now than
// after the kill.
func NewLocalStack(dataDir, url, log string, command []string) (*LocalStack, error) {
	if _, err := probe.ReadStack(dataDir, url); err != nil {
		return nil, fmt.Errorf("only a local stack can be killed and started again: %w", err)
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fmt.Errorf("the command that starts the stack again: %w", err)
	}
	return &LocalStack{dataDir: dataDir, url: url, command: command, log: log}, nil
}

const (
	goneWithin  = 10 * time.Second
	readyWithin = 5 * time.Minute
	stackLook   = 20 * time.Millisecond
)

// Kill sends SIGKILL to every process of the stack, Postgres's backends and including
// everything that descends from them. The supervisor comes last: when it ends, some of them
// would be told to stop properly, and while it runs it restarts what dies again only after
// a while that is far longer than this takes.
func (s *LocalStack) Kill(ctx context.Context) error {
	stack, err := probe.ReadStack(s.dataDir, s.url)
	if err != nil {
		return err
	}
	s.before = stack.Variables
	roots := []int{stack.PID}
	roots = slices.AppendSeq(roots, maps.Values(stack.PIDs()))
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
		if err := pace.Pause(ctx, stackLook); err != nil {
			return err
		}
	}
}

// Start runs the command and leaves it running: whatever started the first stack
// stops the last one.
func (s *LocalStack) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for until := time.Now().Add(readyWithin); ; {
		stack, err := probe.ReadStack(s.dataDir, s.url)
		switch {
		case err == nil && stack.PID == cmd.Process.Pid && !maps.Equal(stack.Variables, s.before):
			return errors.New("it came back at other addresses: somebody has taken a port of it; measure again")
		case err == nil && stack.PID == cmd.Process.Pid:
			return nil
		case time.Now().After(until):
			return fmt.Errorf("not ready after %v; its output is in %s", readyWithin, s.log)
		}
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended (%w); its output is in %s", strings.Join(s.command, " "), err, s.log)
		case <-time.After(stackLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
