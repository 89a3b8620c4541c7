package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// An entry is a line of the table.
type entry struct {
	Group    string  `json:"group"`
	Fault    string  `json:"fault"`
	After    float64 `json:"after_seconds"` // since the first fault
	Took     float64 `json:"took_seconds"`
	UnderWay int64   `json:"checkouts_under_way"`
	Result   string  `json:"result,omitempty"`
	Skipped  string  `json:"skipped_because,omitempty"`
	Missed   bool    `json:"not_reached,omitempty"`
	Broken   bool    `json:"broken,omitempty"`
}

func (e entry) outcome() string {
	switch {
	case e.Skipped != "":
		return "skipped, because " + e.Skipped
	case e.Broken:
		return "BROKEN: " + e.Result
	default:
		return e.Result
	}
}

// A report is what a run leaves: chaos-report.json, and the same for people in chaos-report.md.
type report struct {
	Seed         uint64         `json:"seed"`
	Ledger       string         `json:"ledger"`
	Machine      string         `json:"machine"`
	StartedAt    time.Time      `json:"started_at"`
	Seconds      float64        `json:"seconds"`
	Faults       []entry        `json:"faults"`
	Buyers       int64          `json:"buyers"`
	Answers      map[string]int `json:"answers"`
	Sales        int            `json:"sales"`
	Acknowledged int            `json:"acknowledged_orders_checked"`
	RestAfter    float64        `json:"at_rest_after_seconds"`
	Replayed     string         `json:"replayed"`
	Events       int            `json:"events"` // in the log
	Heard        []hearingCount `json:"heard"`
	Verified     int            `json:"verify_held"` // so often
	Broken       []string       `json:"broken"`

	loads []*load // one a round
	w     *world
}

func newReport(w *world) *report {
	return &report{
		Seed: w.seed, Ledger: w.ledger, StartedAt: time.Now().UTC(), w: w, Broken: []string{}, Answers: map[string]int{},
		Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
	}
}

func (r *report) add(e entry) {
	r.Faults = append(r.Faults, e)
	if e.Broken {
		r.Broken = append(r.Broken, e.Fault+": "+e.Result)
	}
}

// conclude writes the report and says how it went; the error is the run's.
func (r *report) conclude(log *journal) error {
	r.Seconds = time.Since(r.StartedAt).Seconds()
	for _, l := range r.loads {
		r.Buyers, r.Sales = r.Buyers+l.came.Load(), r.Sales+len(l.allSales())
		l.record.mu.Lock()
		for what, n := range l.record.counts {
			r.Answers[what] += n
		}
		l.record.mu.Unlock()
	}
	slices.Sort(r.Broken)
	r.Broken = slices.Compact(r.Broken)
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	base := filepath.Join(r.w.dir, "chaos-report")
	if err := os.WriteFile(base+".json", append(raw, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(base+".md", []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	log.printf("\nreport: %s.md and .json", base)
	if len(r.Broken) > 0 {
		return fmt.Errorf("%d promises are broken:\n  %s\nlogs are in %s/log; again with: make chaos %s",
			len(r.Broken), strings.Join(r.Broken, "\n  "), r.w.data(), r.w.again())
	}
	log.printf("held: %d faults, %d buyers, %d sales, %d acknowledged orders; verify held %d times; %s", r.done(), r.Buyers, r.Sales, r.Acknowledged, r.Verified, r.heard())
	return nil
}

// heard says what readers heard.
func (r *report) heard() string {
	text := fmt.Sprintf("%d events", r.Events)
	for _, h := range r.Heard {
		text += fmt.Sprintf(", %s %d and %d copies", h.Reader, h.Events, h.Copies)
	}
	return text
}

// again is how to repeat a run.
func (c config) again() string {
	text := fmt.Sprintf("SEED=%d SECONDS=%d LEDGER=%s", c.seed, c.seconds, c.ledger)
	var flags []string
	if c.short {
		flags = append(flags, "-short")
	}
	if c.rounds > 1 {
		flags = append(flags, fmt.Sprintf("-rounds %d", c.rounds))
	}
	if c.kafka {
		flags = append(flags, "-kafka")
	}
	if c.wayBack {
		flags = append(flags, "-way-back")
	}
	if only := c.only.String(); only != "" {
		flags = append(flags, fmt.Sprintf("-only %q", only))
	}
	if len(flags) > 0 {
		text += " FLAGS='" + strings.Join(flags, " ") + "'"
	}
	return text
}

// done counts the faults that happened.
func (r *report) done() (n int) {
	for _, e := range r.Faults {
		if e.Skipped == "" && !e.Missed {
			n++
		}
	}
	return n
}

func (r *report) markdown() string {
	var b strings.Builder
	verdict := "held"
	if len(r.Broken) > 0 {
		verdict = "BROKEN"
	}
	fmt.Fprintf(
		&b,
		"# Fault run: %s\n\nSeed %d, ledger %s, %s, %.0f s; %d buyers in %d sales, %d acknowledged orders; at rest %.0f s after the last fault. %s. Readers: %s.\n\n",
		verdict,
		r.Seed,
		r.Ledger,
		r.Machine,
		r.Seconds,
		r.Buyers,
		r.Sales,
		r.Acknowledged,
		r.RestAfter,
		cmp.Or(r.Replayed, "No history was replayed"),
		r.heard(),
	)
	for _, what := range r.Broken {
		fmt.Fprintf(&b, "- **%s**\n", strings.ReplaceAll(what, "\n", " "))
	}
	b.WriteString("\n| fault | after | took | checkouts under way | result |\n|---|---|---|---|---|\n")
	for _, e := range r.Faults {
		fmt.Fprintf(&b, "| %s | %.0f s | %.1f s | %d | %s |\n", e.Fault, e.After, e.Took, e.UnderWay, strings.ReplaceAll(e.outcome(), "\n", " "))
	}
	b.WriteString("\nAnswers to buyers:\n\n")
	for _, what := range slices.Sorted(maps.Keys(r.Answers)) {
		fmt.Fprintf(&b, "- %s: %d\n", what, r.Answers[what])
	}
	return b.String()
}

// A journal prints what happens as it happens, and keeps it.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

func newJournal(c config) *journal {
	f, _ := os.Create(filepath.Join(c.dir, "chaos.log")) // the screen has it too
	return &journal{file: f}
}

func (j *journal) printf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := fmt.Sprintf(format, args...) + "\n"
	fmt.Print(text)
	_, _ = j.file.WriteString(text)
}

func (j *journal) entry(e entry) {
	j.printf("%-52s %5.0f s %9d  %s", e.Fault, e.After, e.UnderWay, e.outcome())
}
