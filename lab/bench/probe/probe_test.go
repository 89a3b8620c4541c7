package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// A process's usage is that of its whole tree, the children that have ended
// included: a Postgres is mostly its backends.
func TestUsageIsOfTheWholeTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		if _, err := ReadProcesses(nil); err == nil {
			t.Error("processes were read without /proc")
		}
		t.Skip("SKIPPED: there is no /proc here")
	}
	// A shell whose child works for some ticks and ends, and then another lives.
	shell := exec.Command("sh", "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo worked; exec cat`)
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); _ = shell.Wait() }()
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	read := func(pids map[string]int) map[string]Usage {
		usage, err := ReadProcesses(pids)
		if err != nil {
			t.Fatal(err)
		}
		return usage.ByName
	}
	together := read(map[string]int{"test": os.Getpid()})["test"]
	apart := read(map[string]int{"shell": shell.Process.Pid, "test": os.Getpid()})
	if apart["shell"].CPUSeconds <= 0 {
		t.Errorf("the work of a child that has ended is missing: %+v", apart["shell"])
	}
	if apart["test"].CPUSeconds > together.CPUSeconds-apart["shell"].CPUSeconds/2 {
		t.Errorf("the test has %+v with its child and %+v without: the child, %+v, counts with it unless it is named", together, apart["test"], apart["shell"])
	}
	if _, err := ReadProcesses(map[string]int{"gone": 1 << 30}); err == nil {
		t.Error("a process that is not there was read")
	}
}

func TestOthersAreWhatIsNotOurs(t *testing.T) {
	before := ProcessUsage{BusySeconds: 100, ByName: map[string]Usage{"a": {CPUSeconds: 10}}}
	after := ProcessUsage{BusySeconds: 107, ByName: map[string]Usage{"a": {CPUSeconds: 14}}}
	cpu := after.Since(before)
	if cpu["a"] != 4 || cpu[Others] != 3 {
		t.Errorf("got %v, want 4 of a and 3 of others", cpu)
	}
}

func TestCountersSince(t *testing.T) {
	before := Counters{Transactions: map[string]float64{"orders": 5, "temporal": 7, "postgres": 1}, WALBytes: 100, Statements: 9}
	after := Counters{Transactions: map[string]float64{"orders": 8, "temporal": 7, "postgres": 4}, WALBytes: 160, Statements: 29}
	delta := after.Since(before)
	if len(delta.Transactions) != 1 || delta.Transactions["orders"] != 3 || delta.WALBytes != 60 || delta.Statements != 20 {
		t.Errorf("got %+v", delta)
	}
}

func TestReadStack(t *testing.T) {
	const url = "http://127.0.0.1:8080"
	for name, test := range map[string]struct {
		content string
		ok      bool
	}{
		"of this stack":    {`{"state":"ready","variables":{"BOXOFFICE_URL":"` + url + `"},"processes":[{"name":"postgres","pid":7},{"name":"codec","pid":0}]}`, true},
		"of another stack": {`{"state":"ready","variables":{"BOXOFFICE_URL":"http://127.0.0.1:1"},"processes":[{"name":"postgres","pid":7}]}`, false},
		"of a dead stack":  {`{"state":"stopped","variables":{"BOXOFFICE_URL":"` + url + `"}}`, false},
		"garbled":          {`{`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "stack.json"), []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			stack, err := ReadStack(dir, url)
			if (err == nil) != test.ok {
				t.Fatalf("error %v", err)
			}
			if pids := stack.PIDs(); test.ok && (len(pids) != 1 || pids["postgres"] != 7) {
				t.Errorf("processes %v", pids)
			}
		})
	}
	if _, err := ReadStack(t.TempDir(), url); err == nil {
		t.Error("a stack was read, but there is none")
	}
}

func TestFileSystemOf(t *testing.T) {
	mounts := []*procfs.MountInfo{{MountPoint: "/", FSType: "overlay"}, {MountPoint: "/srv", FSType: "ext4"}, {MountPoint: "/srv/data", FSType: "xfs"}, {MountPoint: "/srv", FSType: "btrfs"}}
	for dir, want := range map[string]string{"/srv/data/x": "xfs", "/srv/database": "btrfs", "/home": "overlay"} {
		if got := fileSystemOf(dir, mounts); got != want {
			t.Errorf("%s is on %q, want %q", dir, got, want)
		}
	}
}

func TestMachineIsDescribed(t *testing.T) {
	m := ReadMachine(t.TempDir())
	if m.Cores < 1 || m.OS == "" || runtime.GOOS == "linux" && (m.MemoryBytes == 0 || m.Kernel == "") {
		t.Errorf("got %+v", m)
	}
}

// A family is every process that kill -9 of everything must reach, without those that have ended.
func TestFamilyIsEveryDescendant(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: there is no /proc here")
	}
	shell := exec.Command("sh", "-c", "sleep 600 & echo started; wait")
	stdout, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shell.Process.Kill() }) // nobody waits for 600 s where the family is wrong
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	family, err := Family(shell.Process.Pid, 1<<30)
	if err != nil || len(family) != 2 || family[0] != shell.Process.Pid {
		t.Fatalf("family %v, error %v; want the shell and its child", family, err)
	}
	for _, pid := range family {
		if process, err := os.FindProcess(pid); err == nil {
			_ = process.Kill()
		}
	}
	_ = shell.Wait()
	for until := time.Now().Add(10 * time.Second); len(family) > 0; { // init reaps what the parent has left
		if family, err = Family(family...); err != nil || time.Now().After(until) {
			t.Fatalf("%v are left, error %v", family, err)
		}
	}
}
