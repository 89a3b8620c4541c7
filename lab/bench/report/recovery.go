package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"boxoffice/audit"
	"boxoffice/domain"
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
	CaseDown = "down" // all deadlines pass while nothing runs
	CaseUp   = "up"   // they come once the stack is up again
)

// Lateness sums up waits, in seconds.
type Lateness struct {
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`
}

// LatenessOf sums waits in seconds up, each figure a wait that there was; of none
// it is zero.
func LatenessOf(waits []float64) Lateness {
	if len(waits) == 0 {
		return Lateness{}
	}
	sorted := slices.Sorted(slices.Values(waits))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1))] }
	return Lateness{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// Expired are the checkouts that ended as they must.
func (r *Recovery) Expired() int { return r.Endings[string(domain.OrderExpired)] }

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
			wrong = append(wrong, fmt.Errorf("%s: %s", r.Load(), fmt.Sprintf(format, args...)))
		}
	}
	expect(r.HeldBefore == int64(r.Open), "the ledger held %d seats before the kill", r.HeldBefore)
	expect(r.Missing == 0, "Temporal has lost %d", r.Missing)
	expect(r.Unknown == 0, "Temporal has %d that nobody was told of", r.Unknown)
	expect(r.Expired() == r.Open, "only %d expired: %v", r.Expired(), r.Endings)
	expect(r.ShownExpired == r.Shown, "%d of %d orders do not say that they expired", r.Shown-r.ShownExpired, r.Shown)
	expect(r.Available == int64(r.Open), "%d of %d seats are for sale again", r.Available, r.Open)
	expect(r.Verdict != "", "not audited, the notes say why")
	expect(r.Verdict == "" || r.Verdict == string(audit.OK), "the audit's verdict is %s:\n%s", r.Verdict, r.AuditText)
	return wrong
}

// Load says what was killed; recoveries of the same load are compared.
func (r *Recovery) Load() string {
	return fmt.Sprintf("%s open, deadlines while %s", grouped(float64(r.Open)), r.Case)
}

// Sentence is the recovery in one line.
func (r *Recovery) Sentence() string {
	return fmt.Sprintf("ready after %s s   all ended after %s s, %s/s   late p50 %s s, p99 %s s   CPU %s ms   %s of %s expired, %s of %s seats back",
		Figure(r.ReadySeconds), Figure(r.AllSeconds), Figure(r.PerSecond()), Figure(r.Late.P50), Figure(r.Late.P99), total(r.CPU, 1),
		grouped(float64(r.Expired())), grouped(float64(r.Open)), grouped(float64(r.Available)), grouped(float64(r.Capacity)))
}

// recoveryFigures are in the order in which they are read.
var recoveryFigures = []figure[*Recovery]{
	{"down s", func(r *Recovery) float64 { return r.DownSeconds }},
	{"ready s", func(r *Recovery) float64 { return r.ReadySeconds }},
	{"overdue", func(r *Recovery) float64 { return float64(r.Overdue) }},
	{"first s", func(r *Recovery) float64 { return r.FirstSeconds }},
	{"all s", func(r *Recovery) float64 { return r.AllSeconds }},
	{"ended per second", (*Recovery).PerSecond},
	{"late p50 s", func(r *Recovery) float64 { return r.Late.P50 }},
	{"late p99 s", func(r *Recovery) float64 { return r.Late.P99 }},
	{"late max s", func(r *Recovery) float64 { return r.Late.Max }},
	{"seats back s", func(r *Recovery) float64 { return r.StockSeconds }},
	{"not expired", func(r *Recovery) float64 { return float64(r.Open - r.Expired()) }},
}

// figures are those to compare.
func (r *Recovery) figures() []figure[*Recovery] {
	return append(slices.Clip(recoveryFigures), figure[*Recovery]{"CPU ms", func(r *Recovery) float64 { return sum(r.CPU) }})
}

func recoveryColumns() []column[*Recovery] {
	columns := []column[*Recovery]{
		{"deadlines while", func(r *Recovery) string { return r.Case }},
		{"open", func(r *Recovery) string { return grouped(float64(r.Open)) }},
	}
	for _, f := range recoveryFigures {
		columns = append(columns, column[*Recovery]{f.name, func(r *Recovery) string { return Figure(f.of(r)) }})
	}
	return append(columns,
		column[*Recovery]{"CPU ms", func(r *Recovery) string { return total(r.CPU, 1) }},
		column[*Recovery]{"audit", func(r *Recovery) string { return cmp.Or(r.Verdict, "none") }})
}

// A recoveryView is for people: a row, and a line of costs, for each time that
// the stack was killed.
type recoveryView struct {
	Table *table
	Costs []string
}

func (r Result) recoveryView() *recoveryView {
	recoveries := pointers(r.Recoveries)
	if len(recoveries) == 0 {
		return nil
	}
	v := &recoveryView{Table: tabulate(recoveryColumns(), recoveries)}
	for _, recovery := range recoveries {
		v.Costs = append(v.Costs, recovery.Load()+": "+recovery.costText())
	}
	return v
}

func (r *Recovery) costText() string {
	return fmt.Sprintf("CPU ms a checkout: %s; CPU s of the start: %s; memory at most, MiB: %s; others %s cores",
		listed(r.CPU, 1), listed(r.CPUStart, 1), listed(r.MemoryMax, mebibyte), Figure(r.OthersCores))
}

func (r Result) writeRecoveries(out *strings.Builder) {
	v := r.recoveryView()
	if v == nil {
		return
	}
	fmt.Fprintln(out, "\nafter kill -9 of everything:")
	v.Table.writeText(out)
	for _, line := range v.Costs {
		fmt.Fprintln(out, line)
	}
}
