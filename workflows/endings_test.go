package workflows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"boxoffice/domain"
)

// An ending is proved by a workflow test, a replay history and an end-to-end
// test, and stands in the state chart. The table of docs/checkout.md is where
// the four are brought together; ending and history are named alike.
var endingRow = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| [^|]+ \\| ([^|]+) \\|$")

func TestEveryEndingIsProved(t *testing.T) {
	page := read(t, "../docs/checkout.md")
	rows := endingRow.FindAllStringSubmatch(page, -1)
	if len(rows) == 0 {
		t.Fatal("rows is empty")
	}
	workflowTests := read(t, "*_test.go")
	endToEnd := read(t, "../lab/e2e/*_test.go")
	listed := map[string]bool{}
	for _, row := range rows {
		ending, test := row[1], strings.TrimSpace(row[2])
		listed[ending] = true
		t.Run(ending, func(t *testing.T) {
			if !strings.Contains(page, `state "`+ending+`" as `) {
				t.Fatalf("no %q in %s: in the state chart", `state "`+ending+`" as `, page)
			}
			if !(strings.Contains(workflowTests, `"`+test+`"`) || strings.Contains(workflowTests, "func "+test+"(")) {
				t.Fatalf("want true: no workflow test %q", test)
			}
			if _, err := os.Stat(filepath.Join("testdata/histories", ending+".json")); err != nil {
				t.Fatalf("%v: run `make histories`", err)
			}
			if !strings.Contains(endToEnd, `{"`+ending+`", `) {
				t.Fatalf("no %q in %s: in the list of endings of e2e", `{"`+ending+`", `, endToEnd)
			}
		})
	}
	for _, ending := range regexp.MustCompile(`\t\{"([a-z-]+)", (?:ends|func\(t)`).FindAllStringSubmatch(endToEnd, -1) {
		if !listed[ending[1]] {
			t.Fatalf("want true: listed[ending[1]]: e2e's ending %q has no row in docs/checkout.md", ending[1])
		}
	}
	for _, state := range regexp.MustCompile(`state "([a-z-]+)" as e_`).FindAllStringSubmatch(page, -1) {
		if !listed[state[1]] {
			t.Fatalf("want true: listed[state[1]]: the chart's ending %q has no row in docs/checkout.md", state[1])
		}
	}
}

// The chart and the table of docs/checkout.md say what domain's table says.
func TestTheStateChartIsTheTable(t *testing.T) {
	page := read(t, "../docs/checkout.md")
	chart := regexp.MustCompile("(?s)```mermaid\nstateDiagram-v2\n    \\[\\*\\] --> pending.*?```").FindString(page)
	if chart == "" {
		t.Fatal("chart is empty: docs/checkout.md: the state chart")
	}
	said := map[string]bool{}
	for _, arrow := range regexp.MustCompile(`(?m)^ {4}(\S+) --> (\S+): (.+)$`).FindAllStringSubmatch(chart, -1) {
		for _, state := range arrow[1:3] {
			if !(state == "[*]" || domain.OrderStatus(state).Known()) {
				t.Fatalf(`want true: state == "[*]" || domain.OrderStatus(state).Known(): docs/checkout.md: the chart's %q is no status`, state)
			}
			said[state] = true
		}
		if strings.HasPrefix(arrow[3], "late money") {
			said[arrow[1]+" late "+arrow[2]] = true
		}
	}
	for _, status := range domain.OrderStatuses {
		t.Run(string(status), func(t *testing.T) {
			name, terms := string(status), status.Terms()
			if !said[name] {
				t.Fatalf("want true: said[name]: docs/checkout.md: the chart has no %s", name)
			}
			if got := strings.Contains(chart, "    state "+name+" {\n"); got != terms.Settled {
				t.Fatalf("got %v, want %v: docs/checkout.md: the chart has the endings by which one gets to %s", got, terms.Settled, name)
			}
			if terms.Settled && terms.Shown && terms.Tickets == domain.TicketsNone {
				if said[name+" late paid"] != (terms.LateMoney == domain.LateRebooks) {
					t.Fatalf(`said[name+" late paid"] is %v, want %v: docs/checkout.md: whether the chart rebooks late money of %s`, said[name+" late paid"], terms.LateMoney == domain.LateRebooks, name)
				}
				if !said[name+" late refunding"] {
					t.Fatalf(`want true: said[name+" late refunding"]: docs/checkout.md: the chart gives late money of %s back`, name)
				}
			}
			if want := statusRow(status, terms); !strings.Contains(page, want) {
				t.Fatalf("no %q in %s: docs/checkout.md: the table of statuses", want, page)
			}
		})
	}
}

func statusRow(status domain.OrderStatus, terms domain.StatusTerms) string {
	late := map[domain.LateMoney]string{
		domain.LateAwaited: "is not late", domain.LateRebooks: "buys again, else goes back", domain.LateRefunded: fmt.Sprintf("goes back (`%s`)", terms.LateReason),
	}[terms.LateMoney]
	awaits, shown, event := "yes ", "yes", ""
	if terms.Settled {
		awaits = ""
	}
	if !terms.Shown {
		shown = fmt.Sprintf("%d `%s`", map[domain.Code]int{domain.CodeInFlight: 409, domain.CodeSoldOut: 409, domain.CodeLimitReached: 429}[terms.Problem], terms.Problem)
	}
	if terms.Event != "" {
		event = fmt.Sprintf("`%s` ", terms.Event)
	}
	seats := strings.ReplaceAll(string(terms.Seats), "_", " ")
	return fmt.Sprintf("| `%s` | %s| %s | %s | %s | %s | %s|\n", status, awaits, late, seats, terms.Tickets, shown, event)
}

func read(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("files is empty: %v", pattern)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}
