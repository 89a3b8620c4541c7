package main

import (
	"flag"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"boxoffice/bench"
	"boxoffice/bench/report"
	"boxoffice/codec"
)

func TestBenchFlags(t *testing.T) {
	payloads, err := codec.Parse("local:" + strings.Repeat("QUJD", 10) + "QUI=")
	if err != nil {
		t.Fatal(err)
	}
	c := config{AdminToken: "t", WebhookSecret: secret("whsec_" + strings.Repeat("QUJD", 11)), Payloads: payloads}
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
		"one and two nodes": {[]string{"--nodes", "1,2"}, func(o bench.Options) bool { return slices.Equal(o.Nodes, []int{1, 2}) && o.Validate() == nil }, ""},
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
		if err := compareBenches(args); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
