package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// spawner starts processes, all of them from one thread that never ends. Linux sends the death signal when the *thread*
// that forked is gone (prctl(2), PR_SET_PDEATHSIG), and Go ends threads as it likes.
type spawner struct {
	jobs chan func()
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range s.jobs { // never closed, see above
			job()
		}
	}()
	return s
}

// process is one run of a program.
type process struct {
	cmd       *exec.Cmd
	pid       int
	announced chan struct{} // closed when it says that it is ready
	done      chan struct{} // closed when it has ended and what it announced before has been read
}

func (s *spawner) start(spec Spec, out *os.File) (*process, error) {
	p := &process{announced: make(chan struct{}), done: make(chan struct{})}
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Env, p.cmd.Dir = spec.Env, spec.Dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = attributes(spec)
	var announce *os.File
	if spec.Announces {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer w.Close()
		announce = r
		p.cmd.ExtraFiles = []*os.File{w} // the first is descriptor 3
		p.cmd.Env = append(p.cmd.Env[:len(p.cmd.Env):len(p.cmd.Env)], ReadyFDVariable+"=3")
	}
	started := make(chan error)
	s.jobs <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		if announce != nil {
			announce.Close()
		}
		return nil, err
	}
	p.pid = p.cmd.Process.Pid
	heard := make(chan struct{})
	if announce == nil {
		close(heard)
	} else {
		go p.listen(announce, heard)
	}
	go func() {
		p.cmd.Wait() // its error is in ProcessState
		if announce != nil {
			// A child of the process may still hold the pipe's other end.
			announce.SetReadDeadline(time.Now().Add(lastWordsTimeout))
		}
		<-heard
		close(p.done)
	}()
	return p, nil
}

func (p *process) listen(announce *os.File, heard chan<- struct{}) {
	defer close(heard)
	defer announce.Close()
	if line, err := bufio.NewReader(announce).ReadString('\n'); err == nil && line == "ready\n" {
		close(p.announced)
	}
}

func (p *process) awaitReady(ctx context.Context, spec Spec) error {
	timeout := time.NewTimer(spec.ReadyWithin)
	defer timeout.Stop()
	check := time.NewTicker(readyCheckEvery)
	defer check.Stop()
	announced := p.announced
	if !spec.Announces {
		announced = nil
	}
	lastErr := errors.New("it has not reported that it is ready")
	for {
		select {
		case <-p.done:
			if p.wasReady() {
				return nil // it died after its start: its watcher says so
			}
			return errors.New(p.cause())
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("not ready after %s: %w", spec.ReadyWithin, lastErr)
		case <-announced:
			return nil
		case <-check.C:
		}
		if spec.Announces {
			continue
		}
		once, cancel := context.WithTimeout(ctx, readyCheckTimeout)
		err := spec.Ready(once)
		cancel()
		// A process that died while another one answers on its address is not ready.
		if err == nil && !p.exited() {
			return nil
		}
		if err != nil {
			lastErr = err
		}
	}
}

// wasReady says whether the process announced that it was ready. It is final once done is closed.
func (p *process) wasReady() bool {
	select {
	case <-p.announced:
		return true
	default:
		return false
	}
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// cause and succeeded are for a process that has ended.
func (p *process) cause() string { return p.cmd.ProcessState.String() }

func (p *process) succeeded() bool { return p.cmd.ProcessState.Success() }

// stop asks, waits, then kills. It returns in words what it took.
func (p *process) stop(ctx context.Context, spec Spec) string {
	sig := spec.StopSignal
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	p.cmd.Process.Signal(sig) // an error means that it has ended
	grace := time.NewTimer(spec.StopWithin)
	defer grace.Stop()
	select {
	case <-p.done:
		return "stopped"
	case <-grace.C:
		p.kill()
		return fmt.Sprintf("killed: it had not stopped after %s", spec.StopWithin)
	case <-ctx.Done():
		p.kill()
		return "killed"
	}
}

// kill ends the process and what it started in its process group.
func (p *process) kill() {
	if p.exited() {
		return
	}
	syscall.Kill(-p.pid, syscall.SIGKILL)
	select {
	case <-p.done:
	case <-time.After(killTimeout):
	}
}
