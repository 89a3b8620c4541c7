package supervise

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The processes under test are this test binary again, in a role.
const roleVariable = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		play(role)
		return
	}
	os.Exit(m.Run())
}

func play(role string) {
	fmt.Println("playing", role)
	switch role {
	case "fails":
		fmt.Println("the reason why")
		os.Exit(7)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		announce()
		time.Sleep(time.Hour)
	case "silent":
		time.Sleep(time.Hour)
	case "fails-later":
		announce()
		os.Exit(8)
	case "serves":
		announce()
		time.Sleep(time.Hour) // SIGTERM ends it
	case "succeeds":
	}
}

func announce() {
	f := os.NewFile(3, "ready")
	f.WriteString("ready\n")
	f.Close()
}

const long = time.Minute // far above what a passing test needs

type bundle struct {
	*Group
	t     *testing.T
	dir   string
	mu    sync.Mutex
	lines []string
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	b := &bundle{t: t, dir: t.TempDir()}
	b.Group = NewGroup(func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, fmt.Sprintf(format, args...))
	}, func() {})
	return b
}

func (b *bundle) spec(name, role string) Spec {
	return Spec{
		Name: name, Path: os.Args[0], Env: append(os.Environ(), roleVariable+"="+role), LogDir: b.dir,
		Announces: true, ReadyWithin: long, StopWithin: long,
	}
}

func (b *bundle) start(name, role string) {
	b.t.Helper()
	if err := b.Start(context.Background(), b.spec(name, role)); err != nil {
		b.t.Fatal(err)
	}
}

// stop returns what was stopped, in order, as "name: how".
func (b *bundle) stop() (stopped []string) {
	b.Stop(context.Background(), func(name, how string, _ time.Duration) { stopped = append(stopped, name+": "+how) })
	return stopped
}

func (b *bundle) status(name string) Status {
	for _, s := range b.Status() {
		if s.Name == name {
			return s
		}
	}
	b.t.Fatalf("no process %s", name)
	return Status{}
}

func (b *bundle) eventually(what string, condition func() bool) {
	b.t.Helper()
	for end := time.Now().Add(long); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("never: %s; %+v", what, b.Status())
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStopsInReverseOrder(t *testing.T) {
	b := setup(t)
	for _, name := range []string{"database", "broker", "shop"} {
		b.start(name, "serves")
	}
	want := []string{"shop: stopped", "broker: stopped", "database: stopped"}
	if got := b.stop(); !slices.Equal(got, want) {
		t.Errorf("stopped %v, want %v", got, want)
	}
	for _, s := range b.Status() {
		if s.State != Stopped || alive(s.PID) {
			t.Errorf("%+v after Stop", s)
		}
	}
}

func TestAKilledProcessIsStartedAgain(t *testing.T) {
	b := setup(t)
	b.start("shop", "serves")
	defer b.stop()
	first := b.status("shop").PID
	syscall.Kill(first, syscall.SIGKILL)
	b.eventually("started again", func() bool {
		s := b.status("shop")
		return s.State == Ready && s.PID != first && s.Restarts == 1
	})
}

func TestAProcessThatCannotLiveFailsTheGroup(t *testing.T) {
	b := setup(t)
	b.start("shop", "fails-later")
	select {
	case err := <-b.Failed():
		for _, part := range []string{"shop", "exit status 8", "6 times", LogPath(b.dir, "shop")} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %q", err, part)
			}
		}
	case <-time.After(long):
		t.Fatal("never given up")
	}
	b.stop()
	if s := b.status("shop"); s.State != Failed || s.Restarts != restartsMax {
		t.Errorf("%+v, want failed after %d restarts", s, restartsMax)
	}
}

// The end of such a process and its word arrive together; which is seen first must not matter.
func TestWhatAProcessAnnouncedBeforeItDiedCounts(t *testing.T) {
	b := setup(t)
	for range 100 {
		proc, err := b.spawn.start(b.spec("shop", "fails-later"), os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		<-proc.done
		if err := proc.awaitReady(context.Background(), b.spec("shop", "fails-later")); err != nil {
			t.Fatalf("%v; it was ready before", err)
		}
	}
}

func TestAStartThatFailsShowsWhy(t *testing.T) {
	b := setup(t)
	err := b.Start(context.Background(), b.spec("shop", "fails"))
	if err == nil || !strings.Contains(err.Error(), "shop: exit status 7") || !strings.Contains(err.Error(), "the reason why") {
		t.Errorf("Start = %v; want the exit status and the log's last lines", err)
	}
	b.stop()
}

func TestAStartThatHangsIsBounded(t *testing.T) {
	b := setup(t)
	spec := b.spec("shop", "silent")
	spec.ReadyWithin = 100 * time.Millisecond
	err := b.Start(context.Background(), spec)
	if err == nil || !strings.Contains(err.Error(), "not ready after 100ms") {
		t.Errorf("Start = %v", err)
	}
	if pid := b.status("shop").PID; alive(pid) {
		t.Errorf("process %d was left behind", pid)
	}
	b.stop()
}

func TestAStopThatHangsEndsInAKill(t *testing.T) {
	b := setup(t)
	spec := b.spec("shop", "stubborn")
	spec.StopWithin = 50 * time.Millisecond
	if err := b.Start(context.Background(), spec); err != nil {
		t.Fatal(err)
	}
	want := []string{"shop: killed: it had not stopped after 50ms"}
	if got := b.stop(); !slices.Equal(got, want) {
		t.Errorf("stopped %v, want %v", got, want)
	}
}

func TestASecondWishToStopKills(t *testing.T) {
	b := setup(t)
	b.start("shop", "stubborn")
	hard, cancel := context.WithCancel(context.Background())
	cancel()
	b.Stop(hard, func(_, how string, _ time.Duration) {
		if how != "killed" {
			t.Errorf("how = %q", how)
		}
	})
}

func TestReadyByQuestion(t *testing.T) {
	b := setup(t)
	spec := b.spec("shop", "silent")
	spec.Announces = false
	asked := 0
	spec.Ready = func(context.Context) error {
		if asked++; asked < 3 {
			return fmt.Errorf("not yet")
		}
		return nil
	}
	if err := b.Start(context.Background(), spec); err != nil || asked != 3 {
		t.Errorf("Start = %v after %d questions, want 3", err, asked)
	}
	b.stop()
}

func TestRun(t *testing.T) {
	b := setup(t)
	if err := b.Run(context.Background(), b.spec("task", "succeeds")); err != nil {
		t.Error(err)
	}
	err := b.Run(context.Background(), b.spec("task", "fails"))
	if err == nil || !strings.Contains(err.Error(), "the reason why") {
		t.Errorf("Run = %v, want the log's last lines", err)
	}
	spec := b.spec("task", "silent")
	spec.ReadyWithin = 50 * time.Millisecond
	if err := b.Run(context.Background(), spec); err == nil || !strings.Contains(err.Error(), "not done after") {
		t.Errorf("Run = %v, want its bound", err)
	}
}

func TestLogOfTheRunBeforeIsKept(t *testing.T) {
	b := setup(t)
	path := LogPath(b.dir, "task")
	for _, role := range []string{"succeeds", "fails", "succeeds"} {
		b.Run(context.Background(), b.spec("task", role))
	}
	for file, want := range map[string]string{path: "playing succeeds", path + ".1": "playing fails"} {
		if raw, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(raw), want) {
			t.Errorf("%s = %q, %v; want %q", filepath.Base(file), raw, err, want)
		}
	}
	if left, _ := os.ReadDir(b.dir); len(left) != 2 {
		t.Errorf("%d log files, want 2", len(left))
	}
}

func TestBudget(t *testing.T) {
	at := func(s float64) time.Time { return time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))) }
	var b budget
	pauses := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
	for i, want := range pauses {
		if pause, ok := b.spend(at(float64(i))); !ok || pause != want {
			t.Errorf("death %d: %s, %v; want %s", i+1, pause, ok, want)
		}
	}
	if _, ok := b.spend(at(59.9)); ok {
		t.Error("a sixth death within the minute was forgiven")
	}
	if pause, ok := b.spend(at(60)); !ok || pause != 4*time.Second {
		t.Errorf("once the first death is a minute old: %s, %v; want 4s, the pause of the fifth", pause, ok)
	}
	if pause, ok := b.spend(at(600)); !ok || pause != 250*time.Millisecond {
		t.Errorf("after a long life: %s, %v; want the first pause again", pause, ok)
	}
}

func TestARestartWaitsForThoseBeforeIt(t *testing.T) {
	b := setup(t)
	var recovered atomic.Bool
	recovered.Store(true)
	database := b.spec("database", "silent")
	database.Announces = false
	database.Ready = func(context.Context) error {
		if !recovered.Load() {
			return fmt.Errorf("recovering")
		}
		return nil
	}
	if err := b.Start(context.Background(), database); err != nil {
		t.Fatal(err)
	}
	b.start("shop", "serves")
	defer b.stop()
	recovered.Store(false)
	syscall.Kill(b.status("database").PID, syscall.SIGKILL)
	b.eventually("the database is being started again", func() bool { return b.status("database").Restarts == 1 })
	shop := b.status("shop").PID
	syscall.Kill(shop, syscall.SIGKILL)
	b.eventually("the shop's death is noticed", func() bool { return b.status("shop").State == Restarting })
	if s := b.status("shop"); s.Restarts != 0 {
		t.Errorf("%+v while the database recovers", s)
	}
	recovered.Store(true)
	b.eventually("both are back", func() bool {
		return b.status("database").State == Ready && b.status("shop").State == Ready && b.status("shop").PID != shop
	})
}
