package probe

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// Machine is where a bench ran. What cannot be read is empty.
type Machine struct {
	CPU         string  `json:"cpu,omitempty"`
	Cores       int     `json:"cores"` // that this process may use
	MemoryBytes uint64  `json:"memory_bytes,omitempty"`
	OS          string  `json:"os"`
	Kernel      string  `json:"kernel,omitempty"`
	DataFS      string  `json:"data_fs,omitempty"` // the file system of the data directory
	Load1       float64 `json:"load1_before"`      // the load average of a minute, before the first run
}

// ReadMachine describes this machine, and the file system under a directory.
func ReadMachine(dataDir string) Machine {
	m := Machine{Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS + "/" + runtime.GOARCH}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return m
	}
	if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	if memory, err := fs.Meminfo(); err == nil && memory.MemTotalBytes != nil {
		m.MemoryBytes = *memory.MemTotalBytes
	}
	if load, err := fs.LoadAvg(); err == nil {
		m.Load1 = load.Load1
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	if mounts, err := procfs.GetMounts(); err == nil {
		m.DataFS = fileSystemOf(dataDir, mounts)
	}
	return m
}

// fileSystemOf finds the mount with the longest path above the directory; of two
// at one place the later one is on top.
func fileSystemOf(dir string, mounts []*procfs.MountInfo) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	kind, longest := "", -1
	for _, m := range mounts {
		below := m.MountPoint == "/" || dir == m.MountPoint || strings.HasPrefix(dir, m.MountPoint+"/")
		if below && len(m.MountPoint) >= longest {
			kind, longest = m.FSType, len(m.MountPoint)
		}
	}
	return kind
}
