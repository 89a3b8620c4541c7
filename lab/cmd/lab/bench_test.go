package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/app"
	"boxoffice/codec"
	"boxoffice/lab/bench"
	"boxoffice/lab/bench/report"
)

func TestBenchFlags(t *testing.T) {
	payloads, err := codec.Parse("local:" + strings.Repeat("QUJD", 10) + "QUI=")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Config{AdminToken: "t", Payloads: payloads}
	c.WebhookSecret = "whsec_QUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJDQUJD"
	for name, test := range map[string]struct {
		args   []string
		wants  func(bench.Options) bool
		refuse string
	}{
		"nothing said": {nil, func(o bench.Options) bool {
			return slices.Equal(o.Phases, bench.PhaseNames()) && o.Clients == nil && o.Validate() == nil
		}, ""},
		"a long row":        {[]string{"--phases", "none", "--orders", "1000"}, func(o bench.Options) bool { return o.Phases == nil && o.Orders == 1000 && o.Validate() == nil }, ""},
		"one rate alone":    {[]string{"--concurrency", "none", "--rate", "55"}, func(o bench.Options) bool { return o.OpenOnly && len(o.Rates) == 1 && o.Validate() == nil }, ""},
		"some clients":      {[]string{"--concurrency", "1,64"}, func(o bench.Options) bool { return slices.Equal(o.Clients, []int{1, 64}) }, ""},
		"one and two nodes": {[]string{"--phases", "journey", "--nodes", "1,2"}, func(o bench.Options) bool { return slices.Equal(o.Nodes, []int{1, 2}) && o.Validate() == nil }, ""},
		"no such nodes":     {[]string{"--nodes", "0"}, nil, "--nodes"},
		"no number":         {[]string{"--concurrency", "many"}, nil, "--concurrency"},
		"no rate":           {[]string{"--rate", "fast"}, nil, "--rate"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := flag.NewFlagSet("bench", flag.ContinueOnError)
			flags.SetOutput(io.Discard)
			f := benchFlags(flags)
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			o, err := f.options(c)
			if test.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), test.refuse) {
					t.Errorf("error %v, want one about %s", err, test.refuse)
				}
				return
			}
			if err != nil || !test.wants(o) {
				t.Errorf("options %+v, error %v", o, err)
			}
		})
	}
}

func TestBenchCompareWantsTwoResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := (report.Result{Format: report.Format}).Write(path); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"one": {path}, "one that is not there": {path, path + "x"}, "two without anything in common": {path, path},
	} {
		if err := compareBenches(t.Context(), args); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What is no command of the bench must not measure for ten minutes, or kill a
// stack.
func TestBenchKnowsItsCommands(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a misspelled one":             {[]string{"recover"}, "compare, recovery, variants"},
		"a word after flags":           {[]string{"--runs", "1", "journey"}, `no command "journey"`},
		"recovery without a command":   {[]string{"recovery"}, "make bench-recovery"},
		"variants without a result":    {[]string{"variants"}, "make bench-variants"},
		"compare with too few results": {[]string{"compare", "a.json"}, "two result files"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := runBench(t.Context(), test.args); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
}

// A node of the bench is asked to end. One that ended by itself is a failure.
func TestNodesOfTheBench(t *testing.T) {
	log := filepath.Join(t.TempDir(), "out", "node.log")
	launch := func(script string) *node {
		n, err := launchNode(exec.Command("sh", "-c", script), log)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := launch("exec sleep 600").stop(); err != nil {
		t.Errorf("a node that runs: %v", err)
	}
	crashed := launch("echo no port is left; exit 3")
	<-crashed.ended
	for what, err := range map[string]error{"while it starts": crashed.awaitReady(t.Context(), "http://127.0.0.1:1"), "later": crashed.stop()} {
		if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), log) {
			t.Errorf("a node that crashes %s: %v, want its status and its log", what, err)
		}
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "no port is left") {
		t.Errorf("the log has %q, error %v", text, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupt signal received"))
	late := launch("exec sleep 600")
	if err := late.awaitReady(ctx, "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("error %v, want the interrupt", err)
	}
	<-late.ended // nothing is left behind
}
