package main

import (
	"bytes"
	"strings"
	"testing"
)

const run = `{"Action":"start","Package":"p/ledger"}
{"Action":"attr","Package":"p/ledger","Test":"TestHold","Key":"ran-on","Value":"TigerBeetle 1.2.3"}
{"Action":"attr","Package":"p/ledger","Test":"TestHold","Key":"seed","Value":"7"}
{"Action":"pass","Package":"p/ledger","Test":"TestHold"}
{"Action":"fail","Package":"p/ledger","Test":"TestPost"}
{"Action":"output","Package":"p/pages","Test":"TestPage","Output":"    page_test.go:3: SKIPPED: no Chromium here\n"}
{"Action":"skip","Package":"p/pages","Test":"TestPage"}
{"Action":"output","Package":"p/pages","Test":"TestOther","Output":"    page_test.go:9: SKIPPED: no Chromium here\n"}
{"Action":"skip","Package":"p/pages","Test":"TestOther"}
{"Action":"skip","Package":"p/pages","Test":"FuzzPage/seed#1"}
{"Action":"pass","Package":"p/pages"}
`

func TestTheTableSaysWhatRanOnWhatAndWhatDidNot(t *testing.T) {
	table := table{suites: map[string]*suite{}, reasons: map[string][]string{}}
	if err := table.read(strings.NewReader(run)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := table.write(&out); err != nil {
		t.Fatal(err)
	}
	want := `suite     passed  failed  skipped  ran on
p/ledger  1       1       0        TigerBeetle 1.2.3
p/pages   0       0       3        

skipped, and why:
  no Chromium here: p/pages TestPage and 1 more
  the input is not one (no reason given): p/pages FuzzPage/seed#1
`
	if got := out.String(); got != want {
		t.Fatalf("%s\nwant\n%s", got, want)
	}
}

func TestARunOfWhichNothingWasSkippedSaysSo(t *testing.T) {
	table := table{suites: map[string]*suite{}, reasons: map[string][]string{}}
	if err := table.read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"T"}`)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := table.write(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "nothing was skipped") {
		t.Fatalf("%s\nhas no %q", out.String(), "nothing was skipped")
	}
}

func TestWhatIsNotJSONIsNotTaken(t *testing.T) {
	table := table{suites: map[string]*suite{}, reasons: map[string][]string{}}
	if err := table.read(strings.NewReader("FAIL\tp [build failed]\n")); err != nil {
		t.Fatal(err)
	}
	if err := table.read(strings.NewReader("{broken\n")); err == nil {
		t.Fatal("a line that is broken is taken")
	}
}
