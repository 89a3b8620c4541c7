package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"boxoffice/domain"
	"boxoffice/pace"
)

// Bounds of waiting for processes. They end a run that hangs; nothing is measured by them.
const (
	startWithin = 10 * time.Minute // cold, the Temporal server is compiled
	stopWithin  = time.Minute
	backWithin  = 90 * time.Second // a process that was killed
	lookEvery   = 50 * time.Millisecond
)

// The processes of the stack, by the names that devstack gives them.
const (
	procPostgres    = "postgres"
	procTemporal    = "temporal"
	procWebUI       = "temporal-ui"
	procCodec       = "codec"
	procTigerBeetle = "tigerbeetle"
	procMockpay     = "mockpay"
	procBoxOffice   = "boxoffice"
	procKafka       = "kafka"
	procSecond      = "boxoffice-2" // the other nodes are ours: devstack runs one
	procWorker      = "boxoffice-worker"
)

// A world is the box office under test: real processes, with a proxy of ours on every link between two of them.
type world struct {
	config
	bin      string // the programs under test
	points   string // the directory that arms failpoints
	links    *links
	env      map[string]string // dev.env: the true addresses
	fronts   []string          // where buyers are sent: through proxies
	client   *caller
	rng      *rand.Rand
	log      *journal
	began    time.Time // it was made
	devstack *exec.Cmd
	ended    chan error
	nodes    []*node
	readers  *readers
	unmount  func() // of the small disk, if there is one

	// Of a drill: servers that can be put back to an earlier moment; nil: devstack's.
	ordersServer, temporalServer *databaseServer
	// cluster are TigerBeetle's replicas, where they are ours; nil: devstack runs one.
	cluster *cluster
	// someForgotten: there are orders of which nobody knows any more, and of whose failed payments the provider tells in vain.
	// Money that was taken is another matter: the audit asks for it.
	someForgotten bool

	evidence    bool   // a promise was broken: keep all state
	noSmallDisk string // why there is none; empty: the data directory is on one
}

// build compiles the programs, with the failpoints in. overlay, if there is one, replaces sources (go help build).
func build(ctx context.Context, c config, into, overlay string) error {
	return buildPrograms(ctx, c, into, overlay, map[string][]string{".": {"./cmd/boxoffice", "./cmd/mockpay"}, "lab": {"./replay"}})
}

func buildPrograms(ctx context.Context, c config, into, overlay string, of map[string][]string) error {
	args := []string{"build", "-buildvcs=false", "-o", into + string(os.PathSeparator)}
	if !c.withoutFailpoints {
		args = append(args, "-tags", "failpoints")
	}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	if c.race {
		args = append(args, "-race")
	}
	for module, programs := range of {
		cmd := exec.CommandContext(ctx, "go", append(slices.Clone(args), programs...)...)
		cmd.Dir = filepath.Join(c.repo, module)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return nil
}

// newWorld starts everything and waits until it is ready.
func newWorld(ctx context.Context, c config, bin string, log *journal) (*world, error) {
	w, err := emptyWorld(c, bin, log)
	if err != nil {
		return nil, err
	}
	w.mountSmallDisk()
	if err := w.start(ctx); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

// emptyWorld has its folders, and nothing runs.
func emptyWorld(c config, bin string, log *journal) (*world, error) {
	w := &world{
		config: c, bin: bin, links: newLinks(), log: log, began: time.Now(), rng: rand.New(rand.NewPCG(c.seed, 1)),
		points: filepath.Join(c.dir, "failpoints"), unmount: func() {},
	}
	for _, folder := range []string{"kill", "fail", "clock", "fired"} {
		if err := os.MkdirAll(filepath.Join(w.points, folder), 0o755); err != nil {
			return nil, err
		}
	}
	return w, os.MkdirAll(w.data(), 0o755)
}

// step says what happens, and when.
func (w *world) step(format string, args ...any) {
	w.log.printf("%5.0f s  %s", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}

// data is the stack's data directory.
func (w *world) data() string { return filepath.Join(w.dir, "data") }

// The schedule's interval. Money that was never reported must be found before a run ends; a bug must be seen by whatever
// should notice before the schedule has the money dealt with.
const (
	auditOften  = "5s"
	auditSeldom = "24h"
)

// smtpTimeout: what a process that is killed was to send waits until its claim ends, which is 13 min with the default.
const smtpTimeout = "1s"

// start brings the stack up, then the nodes beside it.
func (w *world) start(ctx context.Context) error {
	listen := map[string]string{
		"BOXOFFICE_URL": "http://" + freeAddress(), "MOCKPAY_URL": "http://" + freeAddress(),
		"TEMPORAL_ADDRESS": freeAddress(), "TEMPORAL_UI_URL": "http://" + freeAddress(), "BOXOFFICE_CODEC_URL": "http://" + freeAddress(),
		"BOXOFFICE_POSTGRES_PORT": portOf(freeAddress()), "BOXOFFICE_TIGERBEETLE_PORT": portOf(freeAddress()),
		"BOXOFFICE_AUDIT_INTERVAL": w.auditInterval,
		"BOXOFFICE_SMTP_TIMEOUT":   smtpTimeout,
	}
	kafka, receiver := freeAddress(), freeAddress()
	args := []string{"up", "--data", w.data(), "--bin-dir", w.bin, "--repo", w.repo, "--ledger", w.ledger, "--restart-always"}
	orders := "127.0.0.1:" + listen["BOXOFFICE_POSTGRES_PORT"]
	store := orders
	if w.ordersServer != nil {
		orders, store = w.ordersServer.address(), w.temporalServer.address()
		listen["DATABASE_URL"] = w.ordersServer.url()
		listen["BOXOFFICE_HOLD_GRACE"] = domain.HoldGraceMin.String()
		args = append(args, "--temporal-database", w.temporalServer.url())
	}
	if w.cluster != nil {
		listen["TIGERBEETLE_ADDRESS"], listen["TIGERBEETLE_CLUSTER_ID"] = w.cluster.addressList(), clusterID
	}
	for _, l := range []struct{ name, upstream string }{
		{toTemporal, listen["TEMPORAL_ADDRESS"]},
		{toOrders, orders},
		{toTigerBeetle, "127.0.0.1:" + listen["BOXOFFICE_TIGERBEETLE_PORT"]},
		{toMockpay, hostOf(listen["MOCKPAY_URL"])},
		{toWebhooks, hostOf(listen["BOXOFFICE_URL"])},
		{toStore, store},
		{toKafka, kafka},
		{toReceiver, receiver},
	} {
		if l.name == toTigerBeetle && (w.ledger != ledgerTigerBeetle || w.cluster != nil) {
			continue
		}
		proxy, err := w.links.open(l.name, l.upstream)
		if err != nil {
			return err
		}
		if l.name != toReceiver { // devstack knows nothing of it
			args = append(args, "--via", l.name+"="+proxy)
		}
	}
	var err error
	if w.readers, err = listenForEvents(w, kafka, receiver); err != nil {
		return err
	}
	if w.kafka {
		args = append(args, "--kafka")
		listen["BOXOFFICE_KAFKA_PORT"] = portOf(kafka)
	} else {
		listen["KAFKA_BROKERS"] = w.links.byName[toKafka].proxy.Listen
	}
	w.devstack = exec.Command(filepath.Join(w.repo, "bin", "devstack"), args...)
	w.devstack.Env = environ(listen, map[string]string{"BOXOFFICE_FAILPOINTS": w.points})
	if err := w.launch(ctx); err != nil {
		return err
	}
	if err := w.readEnv(); err != nil {
		return err
	}
	return w.openFronts(ctx)
}

// environ is ours without anything that points at another stack.
func environ(more ...map[string]string) []string {
	var env []string
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, "BOXOFFICE_") && !strings.HasPrefix(name, "TIGERBEETLE_") && !strings.HasPrefix(name, "MOCKPAY_") &&
			!strings.HasPrefix(name, "TEMPORAL_") && !strings.HasPrefix(name, "DATABASE_URL") && !strings.HasPrefix(name, "KAFKA") {
			env = append(env, line)
		}
	}
	for _, vars := range more {
		for name, value := range vars {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (w *world) launch(ctx context.Context) error {
	out, err := os.OpenFile(filepath.Join(w.dir, "devstack.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	w.devstack.Stdout, w.devstack.Stderr = out, out
	w.devstack.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to deal with
	if err := w.devstack.Start(); err != nil {
		return err
	}
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.devstack.Wait() }()
	deadline := time.After(startWithin)
	for w.status().State != "ready" {
		select {
		case err := <-w.ended:
			w.ended <- err
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("the stack did not start: %w\n%s", err, text)
		case <-deadline:
			return fmt.Errorf("the stack was not ready after %s; see %s", startWithin, out.Name())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
	return nil
}

// stackStatus is the part of stack.json that matters here.
type stackStatus struct {
	State     string `json:"state"`
	PID       int    `json:"pid"`
	Processes []struct {
		Name  string `json:"name"`
		PID   int    `json:"pid"`
		State string `json:"state"`
	} `json:"processes"`
}

func (w *world) status() (s stackStatus) {
	raw, err := os.ReadFile(filepath.Join(w.data(), "stack.json"))
	if err != nil || json.Unmarshal(raw, &s) != nil || s.PID != w.devstack.Process.Pid {
		return stackStatus{}
	}
	return s
}

func (w *world) readEnv() error {
	out, err := exec.Command("sh", "-c", `set -a; . "$1"; env -0`, "sh", filepath.Join(w.data(), "dev.env")).Output()
	if err != nil {
		return fmt.Errorf("read dev.env: %w", err)
	}
	w.env = map[string]string{}
	for line := range bytes.SplitSeq(out, []byte{0}) {
		name, value, _ := strings.Cut(string(line), "=")
		w.env[name] = value
	}
	return nil
}

// openFronts puts a proxy before each node that buyers may reach, and starts the nodes beside devstack's.
func (w *world) openFronts(ctx context.Context) error {
	if err := w.openFront(toBuyers, w.env["BOXOFFICE_URL"]); err != nil {
		return err
	}
	if w.ledger == ledgerTigerBeetle && w.nodesMax > 1 {
		n := w.newNode(procSecond, "all")
		if err := w.openFront(toBuyers+"-2", n.url); err != nil {
			return err
		}
		w.nodes = append(w.nodes, n)
	}
	if w.ledger == ledgerTigerBeetle && w.nodesMax > 2 {
		w.nodes = append(w.nodes, w.newNode(procWorker, "worker"))
	}
	for _, n := range w.nodes {
		n.run()
	}
	w.client = newCaller(w.fronts, w.env)
	if err := w.awaitAllBack(ctx); err != nil {
		return err
	}
	return w.readers.register(ctx)
}

func (w *world) openFront(name, target string) error {
	address, err := w.links.open(name, hostOf(target))
	w.fronts = append(w.fronts, "http://"+address)
	return err
}

// stop ends everything. The data stays.
func (w *world) stop() {
	for _, n := range w.nodes {
		n.stop()
	}
	w.stopStack()
	w.readers.close()
	for _, name := range w.links.names {
		w.links.byName[name].cut()
	}
	w.unmount()
}

func (w *world) stopStack() {
	if w.devstack == nil || w.devstack.Process == nil {
		return
	}
	_ = w.devstack.Process.Signal(syscall.SIGTERM)
	select {
	case <-w.ended:
	case <-time.After(stopWithin):
		_ = w.devstack.Process.Kill() // what it runs dies with it (PR_SET_PDEATHSIG)
		<-w.ended
	}
}

// startAgain stops the stack and starts it with more flags, on the same data and at the same addresses.
func (w *world) startAgain(ctx context.Context, flags ...string) error {
	w.stopStack()
	return w.launchAgain(ctx, flags...)
}

// launchAgain starts the stack that has ended.
func (w *world) launchAgain(ctx context.Context, flags ...string) error {
	next := exec.Command(w.devstack.Path, slices.Concat(w.devstack.Args[1:], flags)...)
	next.Env = w.devstack.Env
	w.devstack = next
	if err := w.launch(ctx); err != nil {
		return err
	}
	return w.awaitAllBack(ctx)
}

// processes that this world has, the ones that matter most first.
func (w *world) processes() []string {
	names := []string{procBoxOffice, procMockpay, procTemporal}
	if w.ordersServer == nil {
		names = append(names, procPostgres)
	}
	if w.ledger == ledgerTigerBeetle && w.cluster == nil {
		names = append(names, procTigerBeetle)
	}
	for _, n := range w.nodes {
		names = append(names, n.name)
	}
	if w.kafka {
		names = append(names, procKafka)
	}
	return append(names, procCodec, procWebUI)
}

// pid is a process's current id; 0 while it is not up.
func (w *world) pid(name string) int {
	for _, n := range w.nodes {
		if n.name == name {
			return int(n.pid.Load())
		}
	}
	for _, p := range w.status().Processes {
		if p.Name == name && p.State != "restarting" {
			return p.PID
		}
	}
	return 0
}

// kill ends a process as a crash does, and returns its id.
func (w *world) kill(name string) (int, error) {
	pid := w.pid(name)
	if pid == 0 {
		return 0, fmt.Errorf("%s is not up", name)
	}
	return pid, syscall.Kill(pid, syscall.SIGKILL)
}

// awaitBack waits until a process runs again, under another id, and is ready.
func (w *world) awaitBack(ctx context.Context, name string, before int) error {
	deadline := time.Now().Add(backWithin)
	for {
		if pid := w.pid(name); pid != 0 && pid != before && w.isReady(ctx, name) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was not back %s after it died", name, backWithin)
		}
		if err := pace.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// awaitAllBack waits until every process is ready.
func (w *world) awaitAllBack(ctx context.Context) error {
	for _, name := range w.processes() {
		if err := w.awaitBack(ctx, name, 0); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) isReady(ctx context.Context, name string) bool {
	for _, n := range w.nodes {
		if n.name == name {
			return n.role == "worker" || answersOK(ctx, n.url+"/readyz")
		}
	}
	for _, p := range w.status().Processes {
		if p.Name == name {
			return p.State == "ready" && (name != procBoxOffice || answersOK(ctx, w.env["BOXOFFICE_URL"]+"/readyz"))
		}
	}
	return false
}

var direct = &http.Client{Timeout: 3 * time.Second}

func answersOK(ctx context.Context, target string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return false
	}
	response, err := direct.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK
}

// armedAfter is when a file surely counts: the processes look every 20 ms (failpoint.go).
const armedAfter = 100 * time.Millisecond

// arm writes a file that the failpoints read, and returns when it counts; disarm removes it.
func (w *world) arm(folder, name, content string) error {
	path := filepath.Join(w.points, folder, name)
	fresh := filepath.Join(w.points, name+".new") // a file that is half written must not count
	if err := os.WriteFile(fresh, []byte(content), 0o644); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	time.Sleep(armedAfter)
	return nil
}

func (w *world) disarm(folder, name string) {
	_ = os.Remove(filepath.Join(w.points, folder, name))
}

func (w *world) disarmAll() {
	for _, folder := range []string{"kill", "fail", "clock"} {
		entries, _ := os.ReadDir(filepath.Join(w.points, folder))
		for _, entry := range entries {
			w.disarm(folder, entry.Name())
		}
	}
}

// isArmed reports whether a kill has not fired yet.
func (w *world) isArmed(name string) bool {
	_, err := os.Stat(filepath.Join(w.points, "kill", name))
	return err == nil
}

// command runs the product's own command line against the true addresses.
func (w *world) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(w.bin, "boxoffice"), args...)
	cmd.Env = environ(w.env)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// A node is a process of the box office beside the one that devstack runs.
type node struct {
	name, role, url string
	start           func() *exec.Cmd
	pid             atomic.Int64
	log             *os.File

	mu       sync.Mutex
	stopping bool
	stopped  chan struct{}
}

func (w *world) newNode(name, role string) *node {
	return w.newNodeOf(name, role, filepath.Join(w.bin, "boxoffice"))
}

// newNodeOf makes a node of a program, which may be another one at each start.
func (w *world) newNodeOf(name, role, program string) *node {
	n := &node{name: name, role: role, url: "http://" + freeAddress(), stopped: make(chan struct{})}
	via := func(link string) string { return w.links.byName[link].proxy.Listen }
	vars := map[string]string{
		"BOXOFFICE_URL": n.url, "BOXOFFICE_ADMIN_URL": n.url, "BOXOFFICE_WORKER_URL": n.url, "BOXOFFICE_FAILPOINTS": w.points,
		"BOXOFFICE_SMTP_TIMEOUT": smtpTimeout,
		"TEMPORAL_ADDRESS":       via(toTemporal), "TIGERBEETLE_ADDRESS": via(toTigerBeetle), "MOCKPAY_URL": "http://" + via(toMockpay),
		"DATABASE_URL": strings.Replace(w.env["DATABASE_URL"], "127.0.0.1:"+w.env["BOXOFFICE_POSTGRES_PORT"], via(toOrders), 1),
	}
	n.log, _ = os.Create(filepath.Join(w.data(), "log", name+".log"))
	n.start = func() *exec.Cmd {
		cmd := exec.Command(program, "serve", "--ledger=tigerbeetle", "--role="+role)
		cmd.Env = environ(w.env, vars)
		cmd.Stdout, cmd.Stderr = n.log, n.log
		cmd.SysProcAttr = childAttributes()
		return cmd
	}
	return n
}

// restartPause is what devstack grants too: as soon as an init system would.
const restartPause = 250 * time.Millisecond

// startChild starts a program that writes to a log and dies with this one. The channel is closed once it has ended, and has
// been forgotten.
func startChild(cmd *exec.Cmd, log *os.File, forget func()) (ended <-chan struct{}, err error) {
	cmd.Stdout, cmd.Stderr = log, log
	started, gone := make(chan error), make(chan struct{})
	go func() {
		defer close(gone)
		defer log.Close()
		runtime.LockOSThread() // the death signal comes when the thread that forked ends (prctl(2))
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			forget()
		}
	}()
	return gone, <-started
}

// run keeps the node up until stop.
func (n *node) run() {
	go func() {
		defer close(n.stopped)
		runtime.LockOSThread() // the death signal comes when the thread that forked ends (prctl(2))
		for !n.isStopping() {
			cmd := n.start()
			if cmd.Start() == nil {
				n.pid.Store(int64(cmd.Process.Pid))
				_ = cmd.Wait()
				n.pid.Store(0)
			}
			time.Sleep(restartPause)
		}
	}()
}

func (n *node) isStopping() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stopping
}

func (n *node) stop() {
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	if pid := int(n.pid.Load()); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	select {
	case <-n.stopped:
	case <-time.After(stopWithin):
		if pid := int(n.pid.Load()); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Ports are taken below the range from which systems take those of outgoing connections: a process that was killed must
// find its own again.
const (
	portFirst = 20_000
	portLast  = 31_999
)

// freeAddress is a loopback address that nobody listens on, and that this process was not given before.
func freeAddress() string {
	given.Lock()
	defer given.Unlock()
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(portFirst+rand.IntN(portLast-portFirst+1)))
		if given.addresses[address] {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			given.addresses[address] = true
			return address
		}
	}
}

var given = struct {
	sync.Mutex
	addresses map[string]bool
}{addresses: map[string]bool{}}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// await asks until the condition holds; the error names what did not happen.
func await(ctx context.Context, within time.Duration, what string, condition func() bool) error {
	deadline := time.Now().Add(within)
	for !condition() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %s within %s", errDidNotHappen, what, within)
		}
		if err := pace.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

var errDidNotHappen = errors.New("did not happen")
