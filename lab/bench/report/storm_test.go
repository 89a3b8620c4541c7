package report

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"boxoffice/lab/bench/crowd"
	"boxoffice/lab/bench/load"
)

func aStorm(took float64) Storm {
	return Storm{
		Sale: "bench-1-storm-1", Tickets: 10, SpreadSeconds: 5, Connections: 200, Sold: 10, Ticketed: 10, Verdict: "warning",
		MeasuredSeconds: 20, CPUSeconds: map[string]float64{"boxoffice": 24, "generator": 8}, Memory: map[string]float64{"boxoffice": 160 << 20},
		Result: crowd.Result{
			Buyers: 1000, Paid: 10, SoldOut: 490, AllHeld: 500, OneAnswer: 1000, Orders: 10, AnsweredSeconds: took, SettledSeconds: took - 2,
			Refusals: 990, RefusalsPerSecond: 13_500, Refusal: load.Latency{Count: 990, P50: 4, P99: 41, P999: 66}, Webhook: load.Latency{Count: 10, P99: 240},
			Timeline: []crowd.Second{{Held: 10, Busy: 70}, {Refused: 990, Paid: 10}},
		},
	}
}

func aRoom() Storm {
	s := aStorm(30)
	s.LiveWanted, s.MemoryFull = 100, map[string]float64{"boxoffice": 170 << 20}
	s.Queue = &crowd.QueueResult{Joined: 1000, JoinsPerSecond: 10_100, ReadsPerSecond: 10_200, Read: load.Latency{Count: 5, P99: 33}, Live: 100, DoorSeconds: 12}
	return s
}

func TestAStormThatProvesItsCounts(t *testing.T) {
	for name, s := range map[string]Storm{"without a waiting room": aStorm(17), "with one": aRoom()} {
		if wrong := s.Wrong(); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong)
		}
	}
}

func TestWhatAStormMustNotBe(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Storm)
		says   string
	}{
		"oversold":                     {func(s *Storm) { s.Sold, s.Oversold = 11, 1 }, "11 tickets were sold of 10"},
		"undersold":                    {func(s *Storm) { s.Paid-- }, "9 were paid of 10"},
		"one order paid twice":         {func(s *Storm) { s.Orders-- }, "10 payments were for 9 orders"},
		"two answers for one buyer":    {func(s *Storm) { s.OneAnswer-- }, "999 of 1000 buyers"},
		"somebody without an answer":   {func(s *Storm) { s.Unanswered++ }, "1 buyers got no final answer"},
		"an answer of the wrong kind":  {func(s *Storm) { s.Failed++ }, "that nobody should get"},
		"a paid order without tickets": {func(s *Storm) { s.Ticketed-- }, "9 orders have tickets"},
		"a broken invariant":           {func(s *Storm) { s.Verdict = "broken" }, "an invariant is broken"},
		"an audit that could not look": {func(s *Storm) { s.Verdict = "could_not_look" }, "could not look at everything"},
		"no audit":                     {func(s *Storm) { s.Verdict = "" }, "not audited"},
		"somebody without a place":     {func(s *Storm) { s.Queue = &crowd.QueueResult{Joined: 999} }, "a place in the queue"},
	} {
		t.Run(name, func(t *testing.T) {
			s := aStorm(17)
			test.change(&s)
			var text []string
			for _, err := range s.Wrong() {
				text = append(text, err.Error())
			}
			if !strings.Contains(strings.Join(text, "\n"), test.says) {
				t.Errorf("got %q, want it to say %q", text, test.says)
			}
		})
	}
}

func TestStormsAreReported(t *testing.T) {
	r := aResult()
	r.Storms = []Storm{aStorm(17), aStorm(19), aStorm(18), aRoom()}
	path := filepath.Join(t.TempDir(), "r.json")
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var text, html bytes.Buffer
	if err := read.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := read.WriteHTML(&html); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1,000 buyers, 10 tickets, within 5 s; over 200 connections, 3 runs", "18 (17–19)", "13,500", "a waiting room, 100 live", "10,200", "boxoffice 1.2 cores",
	} {
		if !strings.Contains(text.String(), want) || !strings.Contains(html.String(), want) {
			t.Errorf("%q is missing in the text or the page:\n%s", want, text.String())
		}
	}
	if strings.Count(text.String(), "joins per second") != 1 {
		t.Error("figures of a waiting room that does not exist, or none of one that does")
	}
	if !strings.Contains(html.String(), "<td>1</td><td class=\"n\">990</td>") {
		t.Error("the timeline is missing on the page")
	}
}

func TestCompareStorms(t *testing.T) {
	a, b := Result{Storms: []Storm{aStorm(20), aStorm(20)}}, Result{Storms: []Storm{aStorm(10), aStorm(10), aRoom()}}
	var out bytes.Buffer
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "0.50") || strings.Contains(out.String(), "waiting room") {
		t.Errorf("half the time is not a ratio of 0.50, or other loads are compared:\n%s", out.String())
	}
}
