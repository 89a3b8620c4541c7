package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Recovery is one time that every process of a stack was killed while checkouts
// were open, and what became of them. Times are in seconds.
type Recovery struct {
	// Case says where the deadlines are: CaseDown or CaseUp.
	Case  string `json:"case"`
	Open  int    `json:"open"` // checkouts at the kill
	Sales int    `json:"sales"`

	HeldSeconds float64 `json:"held_seconds"` // that making them took
	DownSeconds float64 `json:"down_seconds"` // from the kill until the start
	// ReadySeconds is from the start of the stack until buyers are served.
	ReadySeconds float64 `json:"ready_seconds"`
	// Overdue are the deadlines that were over by then.
	Overdue int `json:"overdue_when_ready"`

	// The following count from when the first checkout could have ended: its
	// deadline, or the start of the stack where that is later.
	FirstSeconds float64 `json:"first_ended_seconds"`
	AllSeconds   float64 `json:"all_ended_seconds"`
	// StockSeconds is until every seat was for sale again, by the ledger's word.
	// Its own timeouts may be sooner than the checkouts. Looked at twice a second.
	StockSeconds float64 `json:"stock_back_seconds"`
	// Late is by how much a checkout ended after its own deadline, or after the
	// start of the stack where that is later.
	Late Lateness `json:"late"`

	Endings map[string]int `json:"endings"` // by status; "expired" is what all must be
	Missing int            `json:"missing"` // checkouts that Temporal does not have
	Unknown int            `json:"unknown"` // checkouts that nobody was told of
	// Shown are the orders that were looked at as their buyers do, ShownExpired
	// those that said so.
	Shown        int   `json:"orders_shown"`
	ShownExpired int   `json:"orders_shown_expired"`
	Capacity     int64 `json:"capacity"`
	HeldBefore   int64 `json:"held_before"` // in the ledger, right before the kill
	Available    int64 `json:"available_at_the_end"`

	// Verdict is "ok", or that of a sale for which it is not; empty: there was no
	// audit. AuditText is of such sales.
	Verdict   string `json:"verdict"`
	AuditText string `json:"audit,omitempty"`

	// CPUStart is that of the processes until they were ready, CPU what a
	// checkout took from then on, in milliseconds. nil where it is not available.
	CPUStart    map[string]float64 `json:"cpu_start_seconds,omitempty"`
	CPU         map[string]float64 `json:"cpu_ms_per_checkout,omitempty"`
	MemoryMax   map[string]float64 `json:"memory_max_bytes,omitempty"`
	OthersCores float64            `json:"others_cores"`
}

// Where the deadlines of a Recovery are.
const (
	CaseDown = "down" // all of them pass while nothing runs
	CaseUp   = "up"   // they come once the stack is up again
)

// Lateness sums up waits, in seconds.
type Lateness struct {
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`
}

// LatenessOf sums waits in seconds up; of none it is zero.
func LatenessOf(waits []float64) Lateness {
	if len(waits) == 0 {
		return Lateness{}
	}
	sorted := slices.Sorted(slices.Values(waits))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1))] }
	return Lateness{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// Expired are the checkouts that ended as they must.
func (r *Recovery) Expired() int { return r.Endings["expired"] }

// PerSecond is the rate at which checkouts ended, between the first and the last.
func (r *Recovery) PerSecond() float64 {
	if r.AllSeconds <= r.FirstSeconds {
		return 0
	}
	return float64(r.Expired()) / (r.AllSeconds - r.FirstSeconds)
}

// Wrong is what must not be, whatever the speed.
func (r *Recovery) Wrong() (wrong []error) {
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf("%s open checkouts, deadlines while %s: "+format, append([]any{grouped(float64(r.Open)), r.Case}, args...)...))
		}
	}
	expect(r.HeldBefore == int64(r.Open), "the ledger held %d seats before the kill", r.HeldBefore)
	expect(r.Missing == 0, "Temporal has lost %d", r.Missing)
	expect(r.Unknown == 0, "Temporal has %d that nobody was told of", r.Unknown)
	expect(r.Expired() == r.Open, "only %d expired: %v", r.Expired(), r.Endings)
	expect(r.ShownExpired == r.Shown, "%d of %d orders do not say that they expired", r.Shown-r.ShownExpired, r.Shown)
	expect(r.Available == r.Capacity, "%d of %d seats are for sale again", r.Available, r.Capacity)
	expect(r.Verdict != "", "not audited, the notes say why")
	expect(r.Verdict == "" || r.Verdict == "ok", "the audit's verdict is %s:\n%s", r.Verdict, r.AuditText)
	return wrong
}

// Sentence is the recovery in one line.
func (r *Recovery) Sentence() string {
	return fmt.Sprintf("ready after %s s   all ended after %s s, %s/s   late p50 %s s, p99 %s s   CPU %s ms   %s of %s expired, %s of %s seats back",
		Figure(r.ReadySeconds), Figure(r.AllSeconds), Figure(r.PerSecond()), Figure(r.Late.P50), Figure(r.Late.P99), Figure(sum(r.CPU)),
		grouped(float64(r.Expired())), grouped(float64(r.Open)), grouped(float64(r.Available)), grouped(float64(r.Capacity)))
}

func sum(of map[string]float64) (total float64) {
	for _, v := range of {
		total += v
	}
	return total
}

// largestFirst lists figures by process; what rounds to nothing is left out.
func largestFirst(of map[string]float64, unit float64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	var parts []string
	for _, name := range names {
		if v := of[name] / unit; v >= 0.05 {
			parts = append(parts, name+" "+Figure(v))
		}
	}
	return strings.Join(parts, " · ")
}

// recoveryColumns are the figures of a row, in the order in which they are read.
var recoveryColumns = []struct {
	name string
	of   func(*Recovery) string
}{
	{"deadlines while", func(r *Recovery) string { return r.Case }},
	{"open", func(r *Recovery) string { return grouped(float64(r.Open)) }},
	{"down s", func(r *Recovery) string { return Figure(r.DownSeconds) }},
	{"ready s", func(r *Recovery) string { return Figure(r.ReadySeconds) }},
	{"overdue", func(r *Recovery) string { return grouped(float64(r.Overdue)) }},
	{"first s", func(r *Recovery) string { return Figure(r.FirstSeconds) }},
	{"all s", func(r *Recovery) string { return Figure(r.AllSeconds) }},
	{"a second", func(r *Recovery) string { return Figure(r.PerSecond()) }},
	{"late p50 s", func(r *Recovery) string { return Figure(r.Late.P50) }},
	{"p99 s", func(r *Recovery) string { return Figure(r.Late.P99) }},
	{"max s", func(r *Recovery) string { return Figure(r.Late.Max) }},
	{"seats back s", func(r *Recovery) string { return Figure(r.StockSeconds) }},
	{"CPU ms", func(r *Recovery) string { return Figure(sum(r.CPU)) }},
	{"lost", func(r *Recovery) string { return grouped(float64(r.Open - r.Expired())) }},
	{"audit", func(r *Recovery) string { return r.Verdict }},
}

// recoveryTable is for people: a row for each time that the stack was killed.
type recoveryTable struct {
	Head  []string
	Rows  [][]string
	Costs []string
}

func (r Result) recoveryTable() *recoveryTable {
	if len(r.Recoveries) == 0 {
		return nil
	}
	var t recoveryTable
	for _, c := range recoveryColumns {
		t.Head = append(t.Head, c.name)
	}
	for i := range r.Recoveries {
		recovery := &r.Recoveries[i]
		var row []string
		for _, c := range recoveryColumns {
			row = append(row, c.of(recovery))
		}
		t.Rows = append(t.Rows, row)
		t.Costs = append(t.Costs, fmt.Sprintf("%s, %s open: CPU ms a checkout: %s; CPU s of the start: %s; memory at most, MiB: %s; others %s cores",
			recovery.Case, grouped(float64(recovery.Open)), largestFirst(recovery.CPU, 1), largestFirst(recovery.CPUStart, 1),
			largestFirst(recovery.MemoryMax, 1<<20), Figure(recovery.OthersCores)))
	}
	return &t
}

func (r Result) writeRecoveries(out io.Writer) {
	t := r.recoveryTable()
	if t == nil {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(t.Head, "\t")+"\t")
	for _, row := range t.Rows {
		fmt.Fprintln(table, strings.Join(row, "\t")+"\t")
	}
	_ = table.Flush()
	fmt.Fprintln(out)
	for _, line := range t.Costs {
		fmt.Fprintln(out, line)
	}
}
