package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"boxoffice/domain"
)

// A Verdict is the state of an invariant, or of one offender.
type Verdict string

// The verdicts, from good to bad.
const (
	OK       Verdict = "ok"
	InFlight Verdict = "in_flight" // a workflow still works on it, or it was seen only once: look again later
	Waiting  Verdict = "waiting"   // overdue, but its workflow retries something that is away, or waits for a worker: it will end by itself
	Warning  Verdict = "warning"   // not wrong by the books, but somebody should know
	Unread   Verdict = "could_not_look"
	Broken   Verdict = "broken"
)

var severity = map[Verdict]int{OK: 0, InFlight: 1, Waiting: 2, Warning: 3, Unread: 4, Broken: 5}

func worse(a, b Verdict) Verdict {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// OffendersMax is how many offenders a report lists for one result, the worst first. It
// counts all of them.
const OffendersMax = 20

// A Report is the audit of one sale, the body of GET /v1/sales/{sale}/audit, or of what
// belongs to no sale, the body of GET /v1/audit.
type Report struct {
	SaleID  string    `json:"sale,omitempty" doc:"Absent in the report of what belongs to no sale"`
	At      time.Time `json:"at"`
	Looks   int       `json:"looks" doc:"How many passes were made: 2 if something looked wrong in the first"`
	Verdict Verdict   `json:"verdict" enum:"ok,in_flight,waiting,warning,could_not_look,broken" doc:"The worst verdict of the results"`
	Results []Result  `json:"results" nullable:"false"`
	// Unread lists the sources that did not answer. Results that need them have no
	// verdict.
	Unread []UnreadSource `json:"could_not_look,omitempty" doc:"Sources that did not answer; results that need them have no verdict"`
	// Unheard are captures for orders of this sale with neither tickets nor a refund,
	// seen twice: their reports were lost.
	Unheard []domain.Capture `json:"-"`
	// Reversals are disputes, and refunds made elsewhere, that are not on record as the
	// provider has them: the news of them has not come.
	Reversals []domain.Reversal `json:"-"`
	// Lost are the orders of this sale with a lost record, seen twice. In the report
	// about no sale, orders that nobody knows.
	Lost []Lost `json:"-"`
}

// An UnreadSource is a source that could not be read, although we tried for a while.
type UnreadSource struct {
	Source Source `json:"source" enum:"the ledger,the orders database,the payment provider,Temporal"`
	Why    string `json:"why"`
}

// A Result is one invariant, for one stock if it is about stocks.
type Result struct {
	ID       string `json:"id" doc:"I1 … I9, L" example:"I4"`
	Subject  string `json:"subject,omitempty" doc:"The stock or event that this result is about"`
	Says     string `json:"says"`
	Left     Side   `json:"left"`
	Relation string `json:"relation" enum:"=,≤" doc:"How left should relate to right"`
	Right    Side   `json:"right"`

	Verdict   Verdict    `json:"verdict" enum:"ok,in_flight,waiting,warning,could_not_look,broken"`
	Offenders []Offender `json:"offenders,omitempty" doc:"At most 20, the worst first"`
	Counts    Counts     `json:"counts" doc:"Counts of all offenders, listed or not"`
	Unread    []Source   `json:"unread,omitempty" doc:"Why there is no verdict; left and right then mean nothing"`
	ToDo      string     `json:"to_do,omitempty" doc:"Present if the verdict is waiting or worse"`
}

// A Side is one number and what it counts.
type Side struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// Counts are all offenders of a result by verdict, listed or not.
type Counts struct {
	Broken   int `json:"broken"`
	Warning  int `json:"warning"`
	Waiting  int `json:"waiting"`
	InFlight int `json:"in_flight"`
}

func (c *Counts) all() int { return c.Broken + c.Warning + c.Waiting + c.InFlight }

// An Offender is one order, payment, workflow or stock that does not fit.
type Offender struct {
	ID      string         `json:"id"`
	Order   domain.OrderID `json:"order,omitzero" required:"false"`
	Verdict Verdict        `json:"verdict" enum:"in_flight,waiting,warning,could_not_look,broken"`
	What    string         `json:"what"`
}

// Broken reports whether any invariant is broken.
func (r *Report) Broken() bool { return r.Verdict == Broken }

// Complete reports whether everything could be looked at.
func (r *Report) Complete() bool { return len(r.Unread) == 0 }

// InFlight reports whether anything may still settle by itself.
func (r *Report) InFlight() bool {
	return slices.ContainsFunc(r.Results, func(result Result) bool { return result.Counts.InFlight+result.Counts.Waiting > 0 })
}

// Subject is what the report is about, for people.
func (r *Report) Subject() string {
	if r.SaleID == "" {
		return "What belongs to no sale"
	}
	return "Sale " + r.SaleID
}

// WriteText prints the report for people: both sides of every invariant, and below it the
// offenders and what to do.
func (r *Report) WriteText(w io.Writer) error {
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, result := range r.Results {
		fmt.Fprintf(columns, "  %s\t%s\t%s\t%s\t%s\t%s\n", result.ID, result.Subject,
			result.Left.Name, result.sides(), result.Right.Name, result.verdictText())
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s: %s\n", r.Subject(), r.At.UTC().Format(time.RFC3339), headlines[r.Verdict])
	// The table has one line a result: below each goes what is wrong with it.
	for i, line := range strings.Split(strings.TrimRight(table.String(), "\n"), "\n") {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		if i < len(r.Results) {
			r.Results[i].writeOffenders(&b)
		}
	}
	for _, u := range r.Unread {
		fmt.Fprintf(&b, "  Could not look at %s: %s\n        What to do: bring it back, then look again; nothing is known to be wrong.\n", u.Source, u.Why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var headlines = map[Verdict]string{
	OK:       "every invariant holds",
	InFlight: "every invariant holds, some orders are in flight",
	Waiting:  "every invariant holds, some orders wait for something that is away",
	Warning:  "every invariant holds, with warnings",
	Unread:   "could not look at everything",
	Broken:   "BROKEN",
}

// BrokenIDs are the listed offenders that are broken.
func (r *Result) BrokenIDs() (ids []string) {
	for _, o := range r.Offenders {
		if o.Verdict == Broken {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

func (r *Result) sides() string {
	if r.Verdict == Unread {
		return "? " + r.Relation + " ?"
	}
	return fmt.Sprintf("%d %s %d", r.Left.Value, r.Relation, r.Right.Value)
}

func (r *Result) verdictText() string {
	switch r.Verdict {
	case Broken:
		return fmt.Sprintf("BROKEN (%d)", r.Counts.Broken)
	case Warning:
		return fmt.Sprintf("warning (%d)", r.Counts.Warning)
	case Unread:
		return "could not look"
	case Waiting:
		return fmt.Sprintf("ok, %d waiting", r.Counts.Waiting)
	case InFlight:
		return fmt.Sprintf("ok, %d in flight", r.Counts.InFlight)
	default:
		return "ok"
	}
}

func (r *Result) writeOffenders(b *strings.Builder) {
	if r.Verdict == OK {
		return
	}
	if r.Verdict == Broken {
		fmt.Fprintf(b, "        %s\n", r.Says)
	}
	for _, o := range r.Offenders {
		fmt.Fprintf(b, "        %-9s  %s  %s\n", o.Verdict, o.ID, o.What)
	}
	if more := r.Counts.all() - len(r.Offenders); more > 0 {
		fmt.Fprintf(b, "        … and %d more\n", more)
	}
	if r.ToDo != "" {
		fmt.Fprintf(b, "        What to do: %s\n", r.ToDo)
	}
}

// A check is a result with all its offenders, whether or not they get listed.
type check struct {
	Result
	toDo  string
	needs []Source
	all   []Offender
}

// from says which sources the check is made from.
func (c *check) from(sources ...Source) *check {
	c.needs = sources
	return c
}

func (c *check) add(verdict Verdict, id string, order domain.OrderID, format string, args ...any) {
	c.all = append(c.all, Offender{ID: id, Order: order, Verdict: verdict, What: fmt.Sprintf(format, args...)})
}

// finish sorts and cuts the list, worst first. If one of its sources is missing, a check
// says nothing: half of the truth looks broken.
func (c *check) finish(unread map[Source]error) Result {
	for _, source := range c.needs {
		if unread[source] != nil {
			c.Result.Unread = append(c.Result.Unread, source)
		}
	}
	if len(c.Result.Unread) > 0 {
		r := c.Result
		r.Verdict, r.Left.Value, r.Right.Value = Unread, 0, 0
		return r
	}
	slices.SortStableFunc(c.all, func(a, b Offender) int {
		return cmp.Or(cmp.Compare(severity[b.Verdict], severity[a.Verdict]), cmp.Compare(a.ID, b.ID))
	})
	r := c.Result
	r.Verdict = OK
	for _, o := range c.all {
		r.Verdict = worse(r.Verdict, o.Verdict)
		switch o.Verdict {
		case Broken:
			r.Counts.Broken++
		case Warning:
			r.Counts.Warning++
		case Waiting:
			r.Counts.Waiting++
		case InFlight:
			r.Counts.InFlight++
		case OK, Unread: // not counted
		}
	}
	r.Offenders = c.all[:min(len(c.all), OffendersMax)]
	if severity[r.Verdict] >= severity[Waiting] {
		r.ToDo = c.toDo
	}
	return r
}
