package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A column is one figure of every row.
type column[T any] struct {
	head string // with its unit
	of   func(T) string
}

// A table is the same in the text and on the page.
type table struct {
	Head []string
	Rows [][]string
}

// tabulate is nil where there is nothing to show.
func tabulate[T any](columns []column[T], of []T) *table {
	if len(of) == 0 {
		return nil
	}
	t := &table{}
	for _, c := range columns {
		t.Head = append(t.Head, c.head)
	}
	for _, each := range of {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = c.of(each)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (t *table) writeText(out *strings.Builder) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	writeRow(w, t.Head)
	for _, row := range t.Rows {
		writeRow(w, row)
	}
	_ = w.Flush() // a Builder takes everything
}

func writeRow(out io.Writer, cells []string) { fmt.Fprintln(out, strings.Join(cells, "\t")+"\t") }

// A figure is one number of a storm or a recovery. Lower is better, but where
// its name says "per second".
type figure[T any] struct {
	name string
	of   func(T) float64
}

// spreadOver gives the spread of a figure over events of the same load.
func spreadOver[T any](events []T, of func(T) float64) Spread {
	values := make([]float64, len(events))
	for i, e := range events {
		values[i] = of(e)
	}
	return SpreadOf(values)
}

// byLoad groups events; loads are in the order in which they came.
func byLoad[T interface{ Load() string }](events []T) (loads []string, groups map[string][]T) {
	groups = map[string][]T{}
	for _, e := range events {
		load := e.Load()
		if _, known := groups[load]; !known {
			loads = append(loads, load)
		}
		groups[load] = append(groups[load], e)
	}
	return loads, groups
}

// pointers are to the elements themselves.
func pointers[T any](of []T) []*T {
	to := make([]*T, len(of))
	for i := range of {
		to[i] = &of[i]
	}
	return to
}
