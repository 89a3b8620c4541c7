package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
)

const (
	clusterID     = "7" // 0 would hide a client that does not say which
	replicaCount  = 3
	replicaWithin = 2 * time.Minute // a replica starts, catches up, is recovered
)

// A cluster is three replicas of TigerBeetle on one machine, which protect from nothing but show what happens when one is away.
type cluster struct {
	dir      string
	gauges   *gauges
	replicas []*replica
}

// A replica is a data file, and while it is up a process.
type replica struct {
	index     int
	address   string
	file, log string

	mu    sync.Mutex
	pid   int // 0: it is down
	ended <-chan struct{}
	since time.Time // it was started, or goes on
}

// newCluster formats the files and starts the replicas.
func newCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{dir: dir}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if c.gauges, err = listenForGauges(); err != nil {
		return nil, err
	}
	for i := range replicaCount {
		r := &replica{index: i, address: freeAddress()}
		r.file, r.log = filepath.Join(dir, fmt.Sprintf("%s_%d.tigerbeetle", clusterID, i)), filepath.Join(dir, fmt.Sprintf("replica-%d.log", i))
		c.replicas = append(c.replicas, r)
		if err := c.make(ctx, r, "format"); err != nil {
			return c, err
		}
	}
	for _, r := range c.replicas {
		if err := c.start(r); err != nil {
			return c, err
		}
	}
	return c, await(ctx, replicaWithin, "a primary is elected", func() bool { return c.primary() != nil })
}

// make makes a replica's data file: "format" for a cluster that has never promised anything, "recover" for one that has.
func (c *cluster) make(ctx context.Context, r *replica, how string) error {
	args := []string{how, "--cluster=" + clusterID, fmt.Sprintf("--replica=%d", r.index), fmt.Sprintf("--replica-count=%d", replicaCount), "--development"}
	if how == "recover" {
		args = append(args, "--addresses="+c.addressList())
	}
	ctx, cancel := context.WithTimeout(ctx, replicaWithin)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "tigerbeetle", append(args, r.file)...).CombinedOutput(); err != nil {
		return fmt.Errorf("tigerbeetle %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (c *cluster) addressList() string {
	var list []string
	for _, r := range c.replicas {
		list = append(list, r.address)
	}
	return strings.Join(list, ",")
}

// start starts a replica's process.
func (c *cluster) start(r *replica) error {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command("tigerbeetle", "start", "--addresses="+c.addressList(), "--development", "--experimental", "--statsd="+c.gauges.address(), r.file)
	cmd.SysProcAttr = childAttributes()
	r.mu.Lock()
	defer r.mu.Unlock()
	ended, err := startChild(cmd, log, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pid = 0
	})
	if err != nil {
		return err
	}
	r.pid, r.ended, r.since = cmd.Process.Pid, ended, time.Now()
	return nil
}

// signal sends a signal to a replica that is up.
func (r *replica) signal(s syscall.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pid == 0 {
		return fmt.Errorf("replica %d is not up; its log is %s", r.index, r.log)
	}
	if s == sigContinue {
		r.since = time.Now()
	}
	return syscall.Kill(r.pid, s)
}

// end ends a replica and waits until its process is gone.
func (r *replica) end(s syscall.Signal) error {
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	if err := r.signal(s); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(stopWithin):
		return fmt.Errorf("replica %d did not end within %s of signal %d", r.index, stopWithin, s)
	}
}

func (r *replica) startedAt() (since time.Time, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since, r.pid != 0
}

// logSize and logSince are for what a replica says from a moment on.
func (r *replica) logSize() int64 {
	info, err := os.Stat(r.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (r *replica) logSince(size int64) []byte {
	log, err := os.ReadFile(r.log)
	if err != nil || int64(len(log)) < size {
		return nil
	}
	return log[size:]
}

// stop ends what is up, and removes the files: they are a gigabyte each.
func (c *cluster) stop() {
	if c == nil {
		return
	}
	for _, r := range c.replicas {
		_ = r.end(syscall.SIGKILL) // it may be down
		_ = os.Remove(r.file)
		_ = os.Remove(r.file + ".damaged")
	}
	c.gauges.close()
}

// transitionRE finds in a replica's log when it changed its view or its status; TigerBeetle has no other way to ask who is
// primary.
var transitionRE = regexp.MustCompile(`transition_to_(normal|view_change|recovering_head)\w*: view=(?:\d+\.\.)?(\d+)(?: (primary|backup))?`)

// A transition is the last that a replica's log tells.
type transition struct {
	view      int
	isNormal  bool
	isPrimary bool
}

func lastTransition(log []byte) (t transition, found bool) {
	all := transitionRE.FindAllSubmatch(log, -1)
	if len(all) == 0 {
		return t, false
	}
	last := all[len(all)-1]
	t.view, _ = strconv.Atoi(string(last[2]))
	t.isNormal, t.isPrimary = string(last[1]) == "normal", string(last[3]) == "primary"
	return t, true
}

// primary is the replica that leads the newest view; nil while there is none.
func (c *cluster) primary() *replica {
	var leader *replica
	newest := -1
	for _, r := range c.replicas {
		log, err := os.ReadFile(r.log)
		if err != nil {
			continue
		}
		t, found := lastTransition(log)
		if !found || t.view < newest {
			continue
		}
		if t.view > newest {
			newest, leader = t.view, nil
		}
		if t.isNormal && t.isPrimary {
			leader = r
		}
	}
	if leader == nil {
		return nil
	}
	if _, up := leader.startedAt(); !up {
		return nil
	}
	return leader
}

// awaitPrimary waits until one leads, and no other than not.
func (c *cluster) awaitPrimary(ctx context.Context, not *replica) (*replica, error) {
	var leader *replica
	err := await(ctx, replicaWithin, "a primary is elected", func() bool {
		leader = c.primary()
		return leader != nil && leader != not
	})
	return leader, err
}

// leader is the primary, once there is one.
func (c *cluster) leader(ctx context.Context) (*replica, error) { return c.awaitPrimary(ctx, nil) }

// backup is a replica that does not lead.
func (c *cluster) backup(ctx context.Context) (*replica, error) {
	leader, err := c.leader(ctx)
	if err != nil {
		return nil, err
	}
	return c.replicas[(leader.index+1)%replicaCount], nil
}

// awaitCaughtUp waits until a replica itself says that it works as it should and has committed what the others had when it came
// back. They say so every 10 s.
func (c *cluster) awaitCaughtUp(ctx context.Context, r *replica) error {
	since, _ := r.startedAt()
	goal := c.gauges.committed()
	return await(ctx, replicaWithin, fmt.Sprintf("replica %d catches up", r.index), func() bool {
		return c.gauges.caughtUp(r.index, since, goal)
	})
}

// damage overwrites a part of a replica's file, as a disk that goes bad. The replica must be down.
func (r *replica) damage(from, length int64, rng *rand.Rand) error {
	f, err := os.OpenFile(r.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const block = 1 << 20
	junk := make([]byte, block)
	for offset := from; offset < from+length; offset += block {
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		if _, err := f.WriteAt(junk[:min(block, from+length-offset)], offset); err != nil {
			return err
		}
	}
	return f.Sync()
}

// gauges are what the replicas say of themselves, in the format of StatsD.
type gauges struct {
	conn net.PacketConn

	mu   sync.Mutex
	last map[gaugeOf]gaugeSaid
}

type gaugeOf struct {
	replica int
	name    string
}

type gaugeSaid struct {
	value uint64
	at    time.Time
}

func listenForGauges() (*gauges, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gauges{conn: conn, last: map[gaugeOf]gaugeSaid{}}
	go func() {
		packet := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			g.hear(packet[:n], time.Now())
		}
	}()
	return g, nil
}

func (g *gauges) address() string { return g.conn.LocalAddr().String() }
func (g *gauges) close()          { _ = g.conn.Close() }

// gaugeRE reads tb.replica_status:0|g|#cluster:00000000000000000000000000000007,replica:2.
var gaugeRE = regexp.MustCompile(`^tb\.(replica_\w+):(\d+)\|g\|#.*\breplica:(\d+)`)

func (g *gauges) hear(packet []byte, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for line := range bytes.Lines(packet) {
		match := gaugeRE.FindSubmatch(line)
		if match == nil {
			continue
		}
		value, err := strconv.ParseUint(string(match[2]), 10, 64)
		index, indexErr := strconv.Atoi(string(match[3]))
		if errors.Join(err, indexErr) == nil {
			g.last[gaugeOf{index, string(match[1])}] = gaugeSaid{value, at}
		}
	}
}

// committed is the newest operation that any replica has told of.
func (g *gauges) committed() uint64 { return g.most("replica_commit_min") }

// checkpointed is the newest operation that is in the data itself: nobody needs it from a log any more.
func (g *gauges) checkpointed() uint64 { return g.most("replica_op_checkpoint") }

func (g *gauges) most(name string) (most uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for of, said := range g.last {
		if of.name == name {
			most = max(most, said.value)
		}
	}
	return most
}

// caughtUp reports whether a replica has said since a moment that its status is normal, that it does not copy state, and that
// it has committed as much.
func (g *gauges) caughtUp(index int, since time.Time, committed uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	said := func(name string) (uint64, bool) {
		one, found := g.last[gaugeOf{index, name}]
		return one.value, found && one.at.After(since)
	}
	status, heardStatus := said("replica_status")
	stage, heardStage := said("replica_sync_stage")
	done, heardDone := said("replica_commit_min")
	return heardStatus && heardStage && heardDone && status == 0 && stage == 0 && done >= committed
}

// sessionsAtOnce stays below the connections that a replica in development mode takes from clients.
const sessionsAtOnce = 5

// openSessions registers so many clients, and closes each at once: a session outlives its connection. Whoever was silent longest
// is evicted once there are more than a cluster keeps.
func openSessions(ctx context.Context, cluster string, addresses []string, n int) error {
	id, err := strconv.ParseUint(cluster, 10, 64)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	failures := make([]error, n)
	slots := make(chan struct{}, sessionsAtOnce)
	for i := range n {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			failures[i] = openSession(ctx, id, addresses)
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func openSession(ctx context.Context, cluster uint64, addresses []string) error {
	c, err := tb.NewClient(tb.ToUint128(cluster), slices.Clone(addresses))
	if err != nil {
		return fmt.Errorf("a session with %s: %w", strings.Join(addresses, ","), err)
	}
	defer c.Close()
	registered := make(chan error, 1)
	go func() { registered <- c.Nop() }()
	select {
	case <-registered: // with an error if a later session has evicted this one
		return nil
	case <-time.After(sessionTimeout):
		return fmt.Errorf("%w: a session opens within %s", errDidNotHappen, sessionTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}
