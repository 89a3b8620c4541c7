// Command testtable prints, after the tests, which suites ran and on what, and which were
// skipped and why, so that nobody overlooks a skipped suite. It reads files with the
// output of `go test -json` (go doc test2json).
//
// A test names what it runs on with t.Attr("ran-on", "TigerBeetle 0.17.9"), and a reason to
// skip begins with SKIPPED.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// ranOn is the attribute of a test that names what it ran on. skipped begins the reason of one that did not run.
const (
	ranOn   = "ran-on"
	skipped = "SKIPPED"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testtable FILE…, each what go test -json wrote")
		os.Exit(2)
	}
	t := table{suites: map[string]*suite{}, reasons: map[string][]string{}}
	for _, name := range os.Args[1:] {
		if err := t.readFile(name); err != nil {
			fmt.Fprintf(os.Stderr, "testtable: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
	if err := t.write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testtable:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json, as far as it is needed here.
type event struct {
	Action, Package, Test, Output, Key, Value string
}

type suite struct {
	passed, failed, skipped int
	on                      map[string]bool
}

type table struct {
	suites  map[string]*suite   // by package
	reasons map[string][]string // tests by why they were skipped
}

func (t *table) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return t.read(f)
}

// read takes one run in. The output of a test comes before its verdict.
func (t *table) read(r io.Reader) error {
	why := map[string]string{} // by test
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 && line[0] == '{' {
			var e event
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("%w: %.80s", err, line)
			}
			t.take(e, why)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *table) take(e event, why map[string]string) {
	if e.Test == "" {
		return
	}
	s := t.suites[e.Package]
	if s == nil {
		s = &suite{on: map[string]bool{}}
		t.suites[e.Package] = s
	}
	test := e.Package + " " + e.Test
	switch e.Action {
	case "attr":
		if e.Key == ranOn {
			s.on[e.Value] = true
		}
	case "output":
		if _, reason, ok := strings.Cut(e.Output, skipped); ok {
			why[test] = strings.TrimSpace(strings.TrimLeft(reason, ": "))
			t.reasons[why[test]] = append(t.reasons[why[test]], test)
		}
	case "pass":
		s.passed++
	case "fail":
		s.failed++
	case "skip":
		s.skipped++
		if why[test] == "" {
			const none = "the input is not one (no reason given)"
			t.reasons[none] = append(t.reasons[none], test)
		}
	}
}

func (t *table) write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "suite\tpassed\tfailed\tskipped\tran on")
	for _, name := range slices.Sorted(maps.Keys(t.suites)) {
		s := t.suites[name]
		on := strings.Join(slices.Sorted(maps.Keys(s.on)), "; ")
		fmt.Fprintf(columns, "%s\t%d\t%d\t%d\t%s\n", name, s.passed, s.failed, s.skipped, on)
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	if len(t.reasons) == 0 {
		_, err := fmt.Fprintln(w, "\nnothing was skipped")
		return err
	}
	fmt.Fprintln(w, "\nskipped, and why:")
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		tests := t.reasons[reason]
		more := ""
		if len(tests) > 1 {
			more = fmt.Sprintf(" and %d more", len(tests)-1)
		}
		if _, err := fmt.Fprintf(w, "  %s: %s%s\n", reason, tests[0], more); err != nil {
			return err
		}
	}
	return nil
}
