package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"boxoffice/audit"
	"boxoffice/lab/bench/crowd"
	"boxoffice/lab/bench/probe"
)

// Storm is one sale that far more buyers than tickets came to.
type Storm struct {
	Sale            string  `json:"sale"`
	Tickets         int64   `json:"tickets"`
	SpreadSeconds   float64 `json:"spread_seconds"`
	PatienceSeconds float64 `json:"patience_seconds"`
	Connections     int     `json:"connections"`

	crowd.Result

	// Of a waiting room: how many were to watch, and the memory by process when
	// everybody had a place and the door was still shut.
	LiveWanted int                `json:"live_wanted,omitempty"`
	MemoryFull map[string]float64 `json:"memory_full_bytes,omitempty"`

	// What the audit of the sale says at the end.
	Sold      int64  `json:"sold"` // and held, in the ledger
	Oversold  int64  `json:"oversold"`
	Ticketed  int64  `json:"orders_with_tickets"`
	Verdict   string `json:"verdict"` // empty: there was no audit
	AuditText string `json:"audit,omitempty"`

	// CPU by process over the measured time, nil where it is not available.
	MeasuredSeconds float64            `json:"measured_seconds,omitempty"`
	CPUSeconds      map[string]float64 `json:"cpu_seconds,omitempty"`
	OthersCores     float64            `json:"others_cores"`
	Memory          map[string]float64 `json:"memory_bytes,omitempty"`
}

// TookSeconds is until everybody was answered and every ticket settled.
func (s *Storm) TookSeconds() float64 { return max(s.AnsweredSeconds, s.SettledSeconds) }

// Load says what came; storms of the same load are compared.
func (s *Storm) Load() string {
	load := fmt.Sprintf("%s buyers, %s tickets, within %s s", grouped(float64(s.Buyers)), grouped(float64(s.Tickets)), Figure(s.SpreadSeconds))
	if s.Queue != nil {
		load += fmt.Sprintf(", a waiting room, %s live", grouped(float64(s.LiveWanted)))
	}
	if s.PatienceSeconds > 0 {
		load += fmt.Sprintf(", patient for %s s", Figure(s.PatienceSeconds))
	}
	return load
}

// Wrong is what must not be, whatever the speed.
func (s *Storm) Wrong() (wrong []error) {
	expect := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf("storm on sale "+s.Sale+": "+format, args...))
		}
	}
	expect(s.OneAnswer == s.Buyers, "%d of %d buyers have exactly one final answer", s.OneAnswer, s.Buyers)
	expect(s.Unanswered == 0, "%d buyers got no final answer", s.Unanswered)
	expect(s.Failed == 0, "%d buyers got an answer that nobody should get: %v", s.Failed, s.Samples)
	expect(
		s.Paid+s.SoldOut+s.AllHeld == s.Buyers-s.Failed-s.Unanswered,
		"%d paid, %d sold out and %d all held are not all of %d buyers",
		s.Paid,
		s.SoldOut,
		s.AllHeld,
		s.Buyers,
	)
	expect(s.Paid == s.Tickets, "%d were paid of %d tickets", s.Paid, s.Tickets)
	expect(s.Queue == nil || s.Queue.Joined == s.Buyers, "not all of %d buyers got a place in the queue", s.Buyers)
	expect(s.Orders == s.Paid, "%d payments were for %d orders", s.Paid, s.Orders)
	if s.Verdict == "" {
		return append(wrong, errors.New("storm on sale "+s.Sale+": it was not audited, the notes say why"))
	}
	expect(s.Oversold == 0, "%d tickets were sold of %d", s.Sold, s.Tickets)
	expect(s.Ticketed == s.Paid, "%d were answered to be paid, %d orders have tickets", s.Paid, s.Ticketed)
	expect(s.Verdict != string(audit.Unread), "the audit could not look at everything:\n%s", s.AuditText)
	expect(s.Verdict != string(audit.Broken), "an invariant is broken:\n%s", s.AuditText)
	return wrong
}

// Sentence is the storm in one line.
func (s *Storm) Sentence() string {
	if q := s.Queue; q != nil {
		return fmt.Sprintf(
			"%s joins/s   p99 %s ms   %s reads/s   p99 %s ms   %s live   box office %s MiB   %s s from the door to the last answer   webhooks p99 %s ms   %s paid, %s oversold",
			Figure(q.JoinsPerSecond),
			Figure(q.Join.P99),
			Figure(q.ReadsPerSecond),
			Figure(q.Read.P99),
			grouped(float64(q.Live)),
			Figure(s.memoryFull()),
			Figure(s.TookSeconds()-q.DoorSeconds),
			Figure(s.Webhook.P99),
			grouped(float64(s.Paid)),
			grouped(float64(s.Oversold)),
		)
	}
	return fmt.Sprintf(
		"everyone answered after %s s, every ticket settled after %s s   %s refusals/s   p99 %s ms   webhooks p99 %s ms   %s × busy   %s paid, %s oversold",
		Figure(s.AnsweredSeconds),
		Figure(s.SettledSeconds),
		Figure(s.RefusalsPerSecond),
		Figure(s.Refusal.P99),
		Figure(s.Webhook.P99),
		Figure(float64(s.Busy)),
		grouped(float64(s.Paid)),
		grouped(float64(s.Oversold)),
	)
}

type stormCount struct {
	name string
	of   func(*Storm) int64
}

// stormFigures are the rows of a storm, in the order in which they are read.
var stormFigures = []figure[*Storm]{
	{"everyone answered, every ticket settled, s", (*Storm).TookSeconds},
	{"everyone answered, s", func(s *Storm) float64 { return s.AnsweredSeconds }},
	{"every ticket settled, s", func(s *Storm) float64 { return s.SettledSeconds }},
	{"first refusal, s", func(s *Storm) float64 { return s.FirstRefusalSeconds }},
	{"refusals per second, from the first one on", func(s *Storm) float64 { return s.RefusalsPerSecond }},
	{"refusal p50 ms", func(s *Storm) float64 { return s.Refusal.P50 }},
	{"refusal p99 ms", func(s *Storm) float64 { return s.Refusal.P99 }},
	{"refusal p99.9 ms", func(s *Storm) float64 { return s.Refusal.P999 }},
	{"refusal from when it was due, p50 ms", func(s *Storm) float64 { return s.RefusalDue.P50 }},
	{"refusal from when it was due, p99 ms", func(s *Storm) float64 { return s.RefusalDue.P99 }},
	{"busy answer p99 ms", func(s *Storm) float64 { return s.BusyAnswer.P99 }},
	{"hold p50 ms", func(s *Storm) float64 { return s.Hold.P50 }},
	{"hold p99 ms", func(s *Storm) float64 { return s.Hold.P99 }},
	{"webhook p50 ms", func(s *Storm) float64 { return s.Webhook.P50 }},
	{"webhook p99 ms", func(s *Storm) float64 { return s.Webhook.P99 }},
	{"held until paid p99 ms", func(s *Storm) float64 { return s.Settle.P99 }},
}

// stormCounts are the proofs, and the number of requests.
var stormCounts = []stormCount{
	{"paid", func(s *Storm) int64 { return s.Paid }},
	{"oversold", func(s *Storm) int64 { return s.Oversold }},
	{"with exactly one final answer", func(s *Storm) int64 { return s.OneAnswer }},
	{"told: sold out for good", func(s *Storm) int64 { return s.SoldOut }},
	{"told: all held", func(s *Storm) int64 { return s.AllHeld }},
	{"wrong answers", func(s *Storm) int64 { return s.Failed }},
	{"without an answer", func(s *Storm) int64 { return s.Unanswered }},
	{"requests", func(s *Storm) int64 { return s.Requests }},
	{"retries", func(s *Storm) int64 { return s.Retries }},
	{"busy (503, 429)", func(s *Storm) int64 { return s.Busy }},
	{"requests that got no answer", func(s *Storm) int64 { return s.Lost }},
	{"webhooks sent again", func(s *Storm) int64 { return s.WebhookRetries }},
}

// roomFigures are more rows, of a storm with a waiting room.
var roomFigures = []figure[*Storm]{
	{"joins per second", func(s *Storm) float64 { return s.Queue.JoinsPerSecond }},
	{"everybody had a place, s", func(s *Storm) float64 { return s.Queue.JoinedSeconds }},
	{"join p50 ms", func(s *Storm) float64 { return s.Queue.Join.P50 }},
	{"join p99 ms", func(s *Storm) float64 { return s.Queue.Join.P99 }},
	{"join from when it was due, p99 ms", func(s *Storm) float64 { return s.Queue.JoinDue.P99 }},
	{"position reads per second", func(s *Storm) float64 { return s.Queue.ReadsPerSecond }},
	{"position read p50 ms", func(s *Storm) float64 { return s.Queue.Read.P50 }},
	{"position read p99 ms", func(s *Storm) float64 { return s.Queue.Read.P99 }},
	{"position read from when it was due, p99 ms", func(s *Storm) float64 { return s.Queue.ReadDue.P99 }},
	{"memory of the box office when full, MiB", (*Storm).memoryFull},
	{"from the door to the last answer, s", func(s *Storm) float64 { return s.TookSeconds() - s.Queue.DoorSeconds }},
}

// memoryFull is that of the box office, in MiB; 0 where it is not available.
func (s *Storm) memoryFull() float64 { return s.MemoryFull[probe.BoxOffice] / mebibyte }

// roomCounts, likewise.
var roomCounts = []stormCount{
	{"tokens outstanding at the door's opening", func(s *Storm) int64 { return s.Queue.Joined }},
	{"live connections then", func(s *Storm) int64 { return s.Queue.Live }},
	{"events on them", func(s *Storm) int64 { return s.Queue.Events }},
	{"live connections refused", func(s *Storm) int64 { return s.Queue.LiveRefused }},
	{"live connections that broke", func(s *Storm) int64 { return s.Queue.LiveBroken }},
	{"places asked for when Retry-After was over", func(s *Storm) int64 { return s.Queue.Polls }},
	{"checkouts sent back to the queue", func(s *Storm) int64 { return s.Queue.SentBack }},
}

// figures and counts of these runs, which have the same load.
func (s *Storm) figures() []figure[*Storm] {
	if s.Queue == nil {
		return stormFigures
	}
	return slices.Concat(roomFigures, stormFigures)
}

func (s *Storm) counts() []stormCount {
	if s.Queue == nil {
		return stormCounts
	}
	return slices.Concat(stormCounts, roomCounts)
}

// A stormView is a readable table of storms of one load.
type stormView struct {
	Load     string
	Rows     []stormRow
	CPU      string
	Timeline []timelineRow // of the middle run
}

// A stormRow is one figure over all runs.
type stormRow struct{ Name, Value string }

// A timelineRow is one second of a storm.
type timelineRow struct {
	At int
	crowd.Second
}

// timelineMax bounds the rows that are shown.
const timelineMax = 60

func (r Result) stormViews() []stormView {
	loads, storms := byLoad(pointers(r.Storms))
	views := make([]stormView, 0, len(loads))
	for _, load := range loads {
		runs := storms[load]
		v := stormView{Load: fmt.Sprintf("%s; over %d connections, %d runs", load, runs[0].Connections, len(runs))}
		for _, f := range runs[0].figures() {
			v.Rows = append(v.Rows, stormRow{f.name, spreadOver(runs, f.of).WithRange()})
		}
		for _, c := range runs[0].counts() {
			v.Rows = append(v.Rows, stormRow{c.name, spreadOver(runs, func(s *Storm) float64 { return float64(c.of(s)) }).WithRange()})
		}
		sorted := slices.SortedFunc(slices.Values(runs), func(a, b *Storm) int { return cmp.Compare(a.TookSeconds(), b.TookSeconds()) })
		middle := sorted[(len(sorted)-1)/2]
		v.CPU = middle.cpuText()
		for n, second := range middle.Timeline[:min(len(middle.Timeline), timelineMax)] {
			v.Timeline = append(v.Timeline, timelineRow{n, second})
		}
		views = append(views, v)
	}
	return views
}

// cpuText is in cores, the busiest process first.
func (s *Storm) cpuText() string {
	if len(s.CPUSeconds) == 0 || s.MeasuredSeconds <= 0 {
		return "not available"
	}
	var parts []string
	for _, name := range largestFirst(s.CPUSeconds) {
		parts = append(parts, fmt.Sprintf("%s %s cores, %s MiB", name, Figure(s.CPUSeconds[name]/s.MeasuredSeconds), Figure(s.Memory[name]/mebibyte)))
	}
	return strings.Join(append(parts, fmt.Sprintf("others %s cores", Figure(s.OthersCores))), " · ")
}

func (r Result) writeStorms(out *strings.Builder) {
	for _, v := range r.stormViews() {
		fmt.Fprintf(out, "\nstorm: %s\n", v.Load)
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, row := range v.Rows {
			fmt.Fprintf(table, "%s\t%s\n", row.Name, row.Value)
		}
		_ = table.Flush() // a Builder takes everything
		fmt.Fprintln(out, "CPU of the middle run: "+v.CPU)
	}
}
