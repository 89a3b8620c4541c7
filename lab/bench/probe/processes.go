package probe

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/procfs"
)

// errNotLinux is why there is no CPU and memory elsewhere.
var errNotLinux = errors.New("not available: only Linux has /proc")

// Usage is what a process and its descendants have used and hold.
type Usage struct {
	CPUSeconds float64
	// MemoryBytes is resident; what descendants share is counted once.
	MemoryBytes float64
}

// ProcessUsage is one reading of all relevant processes.
type ProcessUsage struct {
	ByName map[string]Usage
	// BusySeconds is what all cores of the machine have worked since it
	// started, for whoever it was.
	BusySeconds float64
}

// ReadProcesses reads the processes of the given ids, each with all of its
// descendants that are not named themselves: a Postgres is its postmaster and
// every backend, those that have ended included. The error says why there is
// nothing to read, or which process is gone.
func ReadProcesses(pids map[string]int) (ProcessUsage, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return ProcessUsage{}, errNotLinux
	}
	all, err := fs.AllProcs()
	if err != nil {
		return ProcessUsage{}, fmt.Errorf("not available: %w", err)
	}
	tree := newTree(all)
	named := slices.Collect(maps.Values(pids))
	usage := ProcessUsage{ByName: map[string]Usage{}}
	for name, pid := range pids {
		if _, ok := tree.processes[pid]; !ok {
			return ProcessUsage{}, fmt.Errorf("not available: process %d (%s) is gone", pid, name)
		}
		usage.ByName[name] = tree.usage(pid, named)
	}
	stat, err := fs.Stat()
	if err != nil {
		return ProcessUsage{}, fmt.Errorf("not available: %w", err)
	}
	total := stat.CPUTotal
	usage.BusySeconds = total.User + total.Nice + total.System + total.IRQ + total.SoftIRQ
	return usage, nil
}

// Since is what was used after an earlier reading. "others" is all that the
// machine worked for nobody of ours.
func (u ProcessUsage) Since(before ProcessUsage) (cpuSeconds map[string]float64) {
	cpuSeconds = map[string]float64{}
	ours := 0.0
	for name := range maps.Keys(u.ByName) {
		cpuSeconds[name] = u.ByName[name].CPUSeconds - before.ByName[name].CPUSeconds
		ours += cpuSeconds[name]
	}
	cpuSeconds[Others] = max(0, u.BusySeconds-before.BusySeconds-ours)
	return cpuSeconds
}

// Names among the processes.
const (
	BoxOffice = "boxoffice" // as the local stack calls it
	Generator = "generator" // the bench itself
	// Others is every process on the machine that the bench does not know: what makes
	// its figures noisy.
	Others = "others"
)

// Family are the running processes of the given ids and all of their descendants.
func Family(pids ...int) ([]int, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, errNotLinux
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("not available: %w", err)
	}
	tree := newTree(all)
	var family []int
	for queue := slices.Clone(pids); len(queue) > 0; queue = queue[1:] {
		if p, ok := tree.processes[queue[0]]; ok && !p.hasEnded() && !slices.Contains(family, queue[0]) {
			family = append(family, queue[0])
		}
		queue = append(queue, tree.children[queue[0]]...)
	}
	return family, nil
}

type process struct {
	stat   procfs.ProcStat
	status procfs.ProcStatus
}

// hasEnded is true of a zombie: its parent has not looked yet. While other
// threads than the first are left, it still has its files and ports.
func (p process) hasEnded() bool { return p.stat.State == "Z" && p.stat.NumThreads <= 1 }

type tree struct {
	processes map[int]process
	children  map[int][]int
}

func newTree(all procfs.Procs) tree {
	t := tree{map[int]process{}, map[int][]int{}}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended since
		}
		status, _ := p.NewStatus() // without it only memory is missing
		t.processes[p.PID] = process{stat, status}
		t.children[stat.PPID] = append(t.children[stat.PPID], p.PID)
	}
	return t
}

// clockTicks a second, in which /proc counts: fixed for programs by Linux.
const clockTicks = 100

// usage leaves out what descends from others that are named.
func (t tree) usage(root int, named []int) Usage {
	var u Usage
	var sharedMax float64
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		if queue[0] != root && slices.Contains(named, queue[0]) {
			continue
		}
		p := t.processes[queue[0]]
		// With what its ended children used: Postgres's backends come and go.
		ticks := int(p.stat.UTime+p.stat.STime) + p.stat.CUTime + p.stat.CSTime
		u.CPUSeconds += float64(ticks) / clockTicks
		u.MemoryBytes += float64(p.status.RssAnon)
		sharedMax = max(sharedMax, float64(p.status.RssShmem+p.status.RssFile))
		queue = append(queue, t.children[queue[0]]...)
	}
	u.MemoryBytes += sharedMax
	return u
}
