package report

import (
	"bytes"
	"strings"
	"testing"
)

func aRecovery() Recovery {
	return Recovery{
		Case: CaseDown, Open: 1000, Sales: 2, DownSeconds: 20, ReadySeconds: 4, Overdue: 1000, FirstSeconds: 4, AllSeconds: 14, StockSeconds: 12,
		Late: LatenessOf([]float64{4, 5, 14}), Endings: map[string]int{"expired": 1000}, Shown: 200, ShownExpired: 200,
		Capacity: 1000, HeldBefore: 1000, Available: 1000, Verdict: "ok",
		CPUStart: map[string]float64{"temporal": 2}, CPU: map[string]float64{"temporal": 11, "postgres": 6}, MemoryMax: map[string]float64{"temporal": 300 << 20},
	}
}

func TestARecoveryInWhichNothingIsLost(t *testing.T) {
	r := aRecovery()
	if wrong := r.Wrong(); len(wrong) > 0 {
		t.Error(wrong)
	}
	if r.PerSecond() != 100 {
		t.Errorf("%v a second, want 1,000 in 10 s", r.PerSecond())
	}
}

func TestWhatARecoveryMustNotBe(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Recovery)
		says   string
	}{
		"a workflow is lost":           {func(r *Recovery) { r.Missing = 1 }, "Temporal has lost 1"},
		"a timer is lost":              {func(r *Recovery) { r.Endings = map[string]int{"expired": 999, "Running": 1} }, "only 999 expired"},
		"a checkout that nobody knows": {func(r *Recovery) { r.Unknown = 1 }, "nobody was told of"},
		"a seat did not come back":     {func(r *Recovery) { r.Available = 999 }, "999 of 1000 seats"},
		"a seat was never held":        {func(r *Recovery) { r.HeldBefore = 999 }, "held 999 seats"},
		"an order says otherwise":      {func(r *Recovery) { r.ShownExpired = 199 }, "1 of 200 orders"},
		"a broken invariant":           {func(r *Recovery) { r.Verdict, r.AuditText = "broken", "I4" }, "I4"},
		"an audit that could not look": {func(r *Recovery) { r.Verdict = "could_not_look" }, "could_not_look"},
		"a sale of more seats":         {func(r *Recovery) { r.Capacity, r.Available = 1001, 1001 }, "1001 of 1000 seats"},
		"a sale that was never read":   {func(r *Recovery) { r.Capacity, r.Available = 0, 0 }, "0 of 1000 seats"},
		"no audit":                     {func(r *Recovery) { r.Verdict = "" }, "not audited"},
	} {
		t.Run(name, func(t *testing.T) {
			r := aRecovery()
			test.change(&r)
			wrong := r.Wrong()
			if len(wrong) != 1 || !strings.Contains(wrong[0].Error(), test.says) {
				t.Errorf("%v, want one that says %q", wrong, test.says)
			}
		})
	}
}

func TestRecoveriesAreShown(t *testing.T) {
	r := Result{Recoveries: []Recovery{aRecovery()}}
	var text, html bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"deadlines while", "1,000", "temporal 11 · postgres 6"} {
		if !strings.Contains(text.String(), want) || !strings.Contains(html.String(), want) {
			t.Errorf("%q is not in the text or not on the page:\n%s", want, text.String())
		}
	}
}

// What could not be measured is no zero.
func TestARecoveryWithoutCPU(t *testing.T) {
	r := aRecovery()
	r.CPU = nil
	var text bytes.Buffer
	if err := (Result{Recoveries: []Recovery{r}}).WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if row := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(row, "0 – ok") {
		t.Errorf("want a dash before the audit's verdict:\n%s", text.String())
	}
}

func TestCompareRecoveries(t *testing.T) {
	slower, other := aRecovery(), aRecovery()
	slower.ReadySeconds, slower.CPU = 8, map[string]float64{"temporal": 34}
	other.Case = CaseUp
	var out bytes.Buffer
	if err := Compare(&out, Result{Recoveries: []Recovery{aRecovery()}}, Result{Recoveries: []Recovery{slower, other}}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"recovery 1,000 open, deadlines while down ready s 4 8 2.00", "CPU ms 17 34 2.00"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if Compare(&out, Result{Recoveries: []Recovery{aRecovery()}}, Result{Recoveries: []Recovery{other}}) == nil {
		t.Error("deadlines while down and while up were compared")
	}
}
