// Package cells is the rule that says where the workflows of a sale run.
//
// A cell is a Temporal namespace, on the cluster of all others or on one of its own. A sale is in
// one cell, and so are all workflows about it: its checkouts, late payments, refunds, and its
// cancellation. The sale's row names the cell. Rule.Next chooses it when the sale is created,
// and it never changes: a list of cells that does change moves nothing that exists.
//
// The default cell (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE) has no name in what is stored. It also
// has what belongs to no sale: the scheduled audit, and money for orders that nobody knows.
package cells

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// Default is what people call the default cell, in settings, metrics and logs. What is stored calls
// it "".
const Default = "default"

// Max limits the cells of one box office: a process has a client and a worker for each.
const Max = 16

// A Cell is where workflows run.
type Cell struct {
	Name               string // empty: the default cell
	Address, Namespace string
}

// Label is the cell's name for people.
func (c Cell) Label() string { return Label(c.Name) }

// Label is what people call the cell with this name.
func Label(name string) string {
	if name == "" {
		return Default
	}
	return name
}

// A Rule says where the next sale goes.
type Rule struct {
	cells []Cell   // the default cell first
	open  []string // the cells that take new sales, in the order of preference
}

// Cells are all cells, the default cell first.
func (r *Rule) Cells() []Cell { return slices.Clone(r.cells) }

// Several reports whether there is more than the default cell.
func (r *Rule) Several() bool { return len(r.cells) > 1 }

// Has reports whether a cell is in the list.
func (r *Rule) Has(name string) bool {
	return slices.ContainsFunc(r.cells, func(c Cell) bool { return c.Name == name })
}

// Find finds a cell by its name for people.
func (r *Rule) Find(label string) (Cell, bool) {
	i := slices.IndexFunc(r.cells, func(c Cell) bool { return c.Label() == label })
	if i < 0 {
		return Cell{}, false
	}
	return r.cells[i], true
}

// Next returns the cell of the next sale: of those that take new sales the one with the fewest sales
// that may still sell, and of several such the one that is named first.
func (r *Rule) Next(sales map[string]int) string {
	best := r.open[0]
	for _, name := range r.open {
		if sales[name] < sales[best] {
			best = name
		}
	}
	return best
}

var (
	// The check of sales.cell in orders/migrations says the same.
	namePattern      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	namespacePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$`)
)

// Parse reads the rule. The list names the cells beside the default one, separated by commas:
// name=host:port/namespace, or name=namespace at the default cell's address. Open names the cells
// that take new sales, separated by commas; empty: all of them, the default cell first.
func Parse(list, open string, fallback Cell) (*Rule, error) {
	fallback.Name = ""
	r := &Rule{cells: []Cell{fallback}}
	for _, text := range fields(list) {
		cell, err := parse(text, fallback.Address)
		if err != nil {
			return nil, fmt.Errorf("TEMPORAL_CELLS: %q: %w", text, err)
		}
		for _, other := range r.cells {
			if other.Name == cell.Name {
				return nil, fmt.Errorf("TEMPORAL_CELLS: %q is named twice", cell.Name)
			}
			if other.Address == cell.Address && other.Namespace == cell.Namespace {
				return nil, fmt.Errorf("TEMPORAL_CELLS: %s and %s are the same namespace %s at %s", other.Label(), cell.Name, cell.Namespace, cell.Address)
			}
		}
		r.cells = append(r.cells, cell)
	}
	if len(r.cells) > Max {
		return nil, fmt.Errorf("TEMPORAL_CELLS: %d cells with the default one, want at most %d", len(r.cells), Max)
	}
	return r, r.takeNewSales(open)
}

func (r *Rule) takeNewSales(open string) error {
	for _, label := range fields(open) {
		name := label
		if name == Default {
			name = ""
		}
		if !r.Has(name) || slices.Contains(r.open, name) {
			return fmt.Errorf("TEMPORAL_CELLS_FOR_NEW_SALES: %q: want names of TEMPORAL_CELLS or %q, each once", label, Default)
		}
		r.open = append(r.open, name)
	}
	if len(r.open) == 0 {
		for _, cell := range r.cells {
			r.open = append(r.open, cell.Name)
		}
	}
	return nil
}

func parse(text, address string) (Cell, error) {
	name, where, found := strings.Cut(text, "=")
	switch {
	case !found:
		return Cell{}, errors.New("want name=host:port/namespace, or name=namespace at TEMPORAL_ADDRESS")
	case !namePattern.MatchString(name) || name == Default:
		return Cell{}, fmt.Errorf("a cell's name has 1–32 lower-case letters, digits and hyphens, and is not %q", Default)
	}
	cell := Cell{Name: name, Address: address, Namespace: where}
	if before, namespace, apart := strings.Cut(where, "/"); apart {
		if host, port, err := net.SplitHostPort(before); err != nil || host == "" || port == "" {
			return Cell{}, fmt.Errorf("%q is not host:port", before)
		}
		cell.Address, cell.Namespace = before, namespace
	}
	if !namespacePattern.MatchString(cell.Namespace) {
		return Cell{}, fmt.Errorf("%q is no namespace", cell.Namespace)
	}
	return cell, nil
}

// fields splits a list at its commas. Spaces and empty entries do not count.
func fields(list string) []string {
	var all []string
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
		}
	}
	return all
}
