//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether the points are compiled in.
const Enabled = true

// lookEvery is how soon a change in the directory counts.
const lookEvery = 20 * time.Millisecond

// armed is what the directory said at the last look.
type armed struct {
	kill  map[string]*atomic.Int64 // hits left
	fail  map[string]bool
	clock map[string]time.Duration
}

var (
	dir     = os.Getenv(Variable)
	current atomic.Pointer[armed]
)

// The first look is over before main begins, so an armed point counts from a process's
// first hit.
func init() {
	current.Store(&armed{})
	if dir == "" {
		return
	}
	look()
	go func() {
		for range time.Tick(lookEvery) { // for the life of the process
			look()
		}
	}()
}

// Before is the point before a step has its effect.
func Before(part, step string) { hit(part, step, ":before") }

// After is the point after the effect, before anybody learns of it.
func After(part, step string) { hit(part, step, ":after") }

// Fail is the error that an armed step fails with; nil otherwise.
func Fail(part, step string) error {
	if len(current.Load().fail) > 0 && current.Load().fail[part+"."+step] {
		return fmt.Errorf("injected: %w", syscall.ENOSPC)
	}
	return nil
}

// Clock is the clock of a part.
func Clock(part string) func() time.Time {
	return func() time.Time { return time.Now().Add(current.Load().clock[part]) }
}

func hit(part, step, when string) {
	points := current.Load().kill
	if len(points) == 0 {
		return
	}
	name := part + "." + step + when
	left := points[name]
	if left == nil || left.Add(-1) != 0 {
		return
	}
	// Of several processes one dies: the one that manages to move the file.
	fired := filepath.Join(dir, "fired", fmt.Sprintf("%s.%d.%d", name, os.Getpid(), time.Now().UnixNano()))
	if err := os.Rename(filepath.Join(dir, "kill", name), fired); err != nil {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing may happen between the signal and its effect
}

// look reads the directory. A point that stays armed keeps its count.
func look() {
	before := current.Load()
	now := &armed{kill: map[string]*atomic.Int64{}, fail: map[string]bool{}, clock: map[string]time.Duration{}}
	each("kill", func(name, text string) {
		if left := before.kill[name]; left != nil {
			now.kill[name] = left
			return
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			now.kill[name] = new(atomic.Int64)
			now.kill[name].Store(n)
		}
	})
	each("fail", func(name, _ string) { now.fail[name] = true })
	each("clock", func(name, text string) {
		if offset, err := time.ParseDuration(text); err == nil {
			now.clock[name] = offset
		}
	})
	current.Store(now)
}

// each visits the files of a folder. One that vanishes meanwhile is not armed.
func each(folder string, visit func(name, text string)) {
	entries, _ := os.ReadDir(filepath.Join(dir, folder))
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, folder, entry.Name()))
		if err == nil && !strings.HasPrefix(entry.Name(), ".") {
			visit(entry.Name(), strings.TrimSpace(string(text)))
		}
	}
}
