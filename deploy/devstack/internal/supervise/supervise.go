// Package supervise starts the stack's processes, watches them, restarts those that die,
// and stops all of them in the reverse order of their start.
//
// It knows processes, logs and signals, and nothing about what the processes are for.
package supervise

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// ReadyFDVariable names, for a child with Announces set, the file descriptor on which it writes "ready\n".
const ReadyFDVariable = "DEVSTACK_READY_FD"

const (
	// A ready check that hangs must not outlive the next one by much.
	readyCheckTimeout = 2 * time.Second
	readyCheckEvery   = 50 * time.Millisecond
	logCheckEvery     = time.Minute
	// How long a process may take after SIGKILL: the kernel may still have to finish its
	// writes.
	killTimeout = 5 * time.Second
	// How long a process that has ended may keep us waiting for what it announced before.
	lastWordsTimeout = time.Second
)

// Spec describes a process.
type Spec struct {
	Name    string // short, unique in the group; also names its log
	Path    string
	Args    []string
	Env     []string // the whole environment
	Dir     string
	LogDir  string
	Address string // where it listens, for the status

	// Credential is the user it runs as; nil for our own.
	Credential *syscall.Credential

	// Ready is called until it returns nil. It is not used if Announces is set.
	Ready       func(context.Context) error
	Announces   bool // it writes "ready\n" to ReadyFDVariable when it is
	ReadyWithin time.Duration

	StopSignal syscall.Signal // zero: SIGTERM
	StopWithin time.Duration  // then SIGKILL
	// DeathSignal is what the process gets if this program is killed (Linux). Zero:
	// SIGKILL.
	DeathSignal syscall.Signal
}

// State of a process.
type State string

// The states, in the order of a life.
const (
	Starting   State = "starting"
	Ready      State = "ready"
	Restarting State = "restarting"
	Stopped    State = "stopped"
	Failed     State = "failed"
)

// Status is what a group knows about one process.
type Status struct {
	Name     string `json:"name"`
	PID      int    `json:"pid"` // of the latest start
	Address  string `json:"address,omitempty"`
	State    State  `json:"state"`
	Restarts int    `json:"restarts"`
	Log      string `json:"log"`
}

// Group is a set of processes that live and stop together.
type Group struct {
	report   func(format string, args ...any)
	onChange func()
	spawn    *spawner

	always   bool // see RestartAlways
	stopping chan struct{}
	watchers sync.WaitGroup
	failed   chan error

	mu       sync.Mutex
	children []*child
}

type child struct {
	spec   Spec
	log    *logFile
	budget budget

	// Under Group.mu.
	proc     *process
	state    State
	restarts int
}

// NewGroup returns an empty group. report gets what happens to a process after its start,
// one line per call; onChange is called after every change of a status.
func NewGroup(report func(format string, args ...any), onChange func()) *Group {
	return &Group{
		report:   report,
		onChange: onChange,
		spawn:    newSpawner(),
		stopping: make(chan struct{}),
		failed:   make(chan error, 1),
	}
}

// RestartAlways makes the group restart whatever dies, at once, however often and without
// regard to the others, as an init system does. Call it before the first Start.
func (g *Group) RestartAlways() { g.always = true }

// Failed delivers one error if a process has died more often than the budget allows. Then
// stop the group.
func (g *Group) Failed() <-chan error { return g.failed }

// Status returns every process in start order.
func (g *Group) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Status, len(g.children))
	for i, c := range g.children {
		list[i] = Status{Name: c.spec.Name, Address: c.spec.Address, State: c.state, Restarts: c.restarts, Log: c.log.path}
		if c.proc != nil {
			list[i].PID = c.proc.pid
		}
	}
	return list
}

// Start runs the process, waits until it is ready, and watches it from then on. A process
// that dies or is not ready in time is an error and is not restarted: at a start, the
// cause is a setting far more often than bad luck.
func (g *Group) Start(ctx context.Context, spec Spec) error {
	log, err := openLog(spec.LogDir, spec.Name)
	if err != nil {
		return err
	}
	c := &child{spec: spec, log: log}
	g.mu.Lock()
	g.children = append(g.children, c)
	g.mu.Unlock()
	if err := g.launch(ctx, c); err != nil {
		g.set(c, Failed)
		return fmt.Errorf("%s: %w\n%s", spec.Name, err, log.tail())
	}
	g.watchers.Go(func() { g.watch(c) })
	return nil
}

// launch leaves no process behind if it fails.
func (g *Group) launch(ctx context.Context, c *child) error {
	proc, err := g.spawn.start(c.spec, c.log.file)
	if err != nil {
		return err
	}
	g.mu.Lock()
	c.proc = proc
	g.mu.Unlock()
	g.set(c, Starting)
	if err := proc.awaitReady(ctx, c.spec); err != nil {
		proc.kill()
		return err
	}
	g.set(c, Ready)
	return nil
}

func (g *Group) set(c *child, s State) {
	g.mu.Lock()
	c.state = s
	g.mu.Unlock()
	g.onChange()
}

// watch restarts the process whenever it dies, until the group stops or the budget is
// spent.
func (g *Group) watch(c *child) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-g.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	tick := time.NewTicker(logCheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.stopping:
			return
		case <-tick.C:
			c.log.bound()
		case <-c.proc.done:
			if !g.revive(ctx, c, c.proc.cause()) {
				return
			}
		}
	}
}

// revive returns false once the watch is over.
func (g *Group) revive(ctx context.Context, c *child, cause string) bool {
	for {
		pause, ok := c.budget.spend(time.Now())
		if g.always {
			pause, ok = pauseMin, true
		}
		if !ok {
			g.giveUp(c, cause)
			return false
		}
		g.report("  ! %s (process %d) died: %s; starting it again in %s. Log: %s", c.spec.Name, c.proc.pid, cause, pause, c.log.path)
		g.set(c, Restarting)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if !g.always && !g.awaitEarlier(ctx, c) {
			return false
		}
		g.mu.Lock()
		c.restarts++
		g.mu.Unlock()
		err := g.launch(ctx, c)
		if err == nil {
			g.report("  ✓ %s is back (process %d)", c.spec.Name, c.proc.pid)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		cause = err.Error()
	}
}

// awaitEarlier returns once every process started before this one is ready, or has failed
// for good. Restarting before that, while a database recovers, would only use up the
// budget. It returns false if the group stops.
func (g *Group) awaitEarlier(ctx context.Context, c *child) bool {
	tick := time.NewTicker(readyCheckEvery)
	defer tick.Stop()
	for !g.earlierSettled(c) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C: // the others' own bounds end the wait
		}
	}
	return true
}

func (g *Group) earlierSettled(c *child) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, other := range g.children {
		if other == c {
			return true
		}
		if other.state == Starting || other.state == Restarting {
			return false
		}
	}
	return true
}

func (g *Group) giveUp(c *child, cause string) {
	g.set(c, Failed)
	err := fmt.Errorf("%s died %d times within %s, the last time: %s; fix what its log names (%s) and start again\n%s",
		c.spec.Name, restartsMax+1, restartsWindow, cause, c.log.path, c.log.tail())
	select {
	case g.failed <- err:
	default: // one failure stops the stack; a second one adds nothing
	}
}

// Stop ends every process, the last started first, each within its own time; once ctx
// ends, at once. It calls each after each process with what happened to it.
func (g *Group) Stop(ctx context.Context, each func(name, how string, took time.Duration)) {
	close(g.stopping)
	g.watchers.Wait()
	g.mu.Lock()
	children := g.children
	g.mu.Unlock()
	for i := len(children) - 1; i >= 0; i-- {
		c := children[i]
		if c.proc == nil || c.proc.exited() {
			g.mark(c)
			continue
		}
		started := time.Now()
		how := c.proc.stop(ctx, c.spec)
		g.set(c, Stopped)
		each(c.spec.Name, how, time.Since(started))
	}
}

// mark keeps the word failed on a process that has failed.
func (g *Group) mark(c *child) {
	g.mu.Lock()
	failed := c.state == Failed
	g.mu.Unlock()
	if !failed {
		g.set(c, Stopped)
	}
}

// Run runs a process that has a task and an end, and waits for it. Its output goes to its
// log. An error includes the log's last lines.
func (g *Group) Run(ctx context.Context, spec Spec) error {
	log, err := openLog(spec.LogDir, spec.Name)
	if err != nil {
		return err
	}
	defer log.file.Close()
	proc, err := g.spawn.start(spec, log.file)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Name, err)
	}
	timeout := time.NewTimer(spec.ReadyWithin)
	defer timeout.Stop()
	select {
	case <-proc.done:
	case <-timeout.C:
		proc.kill()
		return fmt.Errorf("%s: not done after %s\n%s", spec.Name, spec.ReadyWithin, log.tail())
	case <-ctx.Done():
		proc.kill()
		return ctx.Err()
	}
	if !proc.succeeded() {
		return fmt.Errorf("%s: %s\n%s", spec.Name, proc.cause(), log.tail())
	}
	return nil
}

// LogPath returns where the process of that name logs.
func LogPath(dir, name string) string { return dir + string(os.PathSeparator) + name + ".log" }
