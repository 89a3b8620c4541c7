// Package console prints what `devstack up` is doing: one line per component, and on a
// terminal a running note while something takes time. The text is for people; programs
// read stack.json.
package console

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const noteEvery = time.Second

// Console writes progress to one stream.
type Console struct {
	mu   sync.Mutex
	out  io.Writer
	live bool // a terminal: the running note overwrites itself
}

// New writes to out; it shows running notes only on a terminal.
func New(out *os.File) *Console {
	info, err := out.Stat()
	return &Console{out: out, live: err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"}
}

// Print writes a line.
func (c *Console) Print(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format+"\n", args...)
}

// Step runs one component's work. The note says what is being done; the string that work
// returns says what came of it.
func (c *Console) Step(name, note string, work func() (string, error)) error {
	started := time.Now()
	finished := make(chan struct{})
	var notes sync.WaitGroup
	notes.Go(func() { c.runNote(name, note, started, finished) })
	done, err := work()
	close(finished)
	notes.Wait()
	mark := "✓"
	if err != nil {
		mark, done = "✗", "failed"
	}
	c.Print("  %s %-14s %-52s %6.1f s", mark, name, done, time.Since(started).Seconds())
	return err
}

// runNote shows the time that passes on a terminal; elsewhere it says once what takes long, so that a log does not
// look dead.
func (c *Console) runNote(name, note string, started time.Time, finished <-chan struct{}) {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	defer c.clear()
	for n := 0; ; n++ {
		select {
		case <-finished:
			return
		case <-tick.C:
		}
		if !c.live && n == 0 {
			c.Print("  … %-14s %s", name, note)
		} else if c.live {
			c.mu.Lock()
			fmt.Fprintf(c.out, "\r  … %-14s %-52s %6.0f s", name, note, time.Since(started).Seconds())
			c.mu.Unlock()
		}
	}
}

func (c *Console) clear() {
	if !c.live {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprint(c.out, "\r"+strings.Repeat(" ", 80)+"\r")
}
