package cells

import (
	"reflect"
	"strings"
	"testing"
)

var fallback = Cell{Address: "127.0.0.1:7233", Namespace: "default"}

func TestParse(t *testing.T) {
	tests := []struct {
		list, open string
		want       []Cell
		wantOpen   []string
	}{
		{"", "", []Cell{fallback}, []string{""}},
		{"b=other", "", []Cell{fallback, {"b", "127.0.0.1:7233", "other"}}, []string{"", "b"}},
		{" b=temporal-b:7233/sales , c3=[::1]:7233/default,", "c3,default",
			[]Cell{fallback, {"b", "temporal-b:7233", "sales"}, {"c3", "[::1]:7233", "default"}}, []string{"c3", ""}},
		{"b=other", "b", []Cell{fallback, {"b", "127.0.0.1:7233", "other"}}, []string{"b"}},
	}
	for _, test := range tests {
		t.Run(test.list+" "+test.open, func(t *testing.T) {
			r, err := Parse(test.list, test.open, fallback)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r.Cells(), test.want) || !reflect.DeepEqual(r.open, test.wantOpen) {
				t.Errorf("%v, new sales in %q, want %v and %q", r.Cells(), r.open, test.want, test.wantOpen)
			}
			last := test.want[len(test.want)-1]
			if got, ok := r.Find(last.Label()); !ok || got != last {
				t.Errorf("%s is %v, %v, want %v", last.Label(), got, ok, last)
			}
			if _, ok := r.Find("none"); ok {
				t.Error("a cell that is none is found")
			}
			if r.Several() != (len(test.want) > 1) {
				t.Errorf("several: %v", r.Several())
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	many := make([]string, Max)
	for i := range many {
		many[i] = "c" + string(rune('a'+i)) + "=n" + string(rune('a'+i))
	}
	tests := []struct{ list, open, want string }{
		{"b", "", "want name=host:port/namespace"},
		{"=x", "", "a cell's name has"},
		{"default=x", "", "a cell's name has"},
		{"B=x", "", "a cell's name has"},
		{"-b=x", "", "a cell's name has"},
		{"b=", "", "is no namespace"},
		{"b=host/x", "", `"host" is not host:port`},
		{"b=host:7233/", "", "is no namespace"},
		{"b=host:7233/x/y", "", "is no namespace"},
		{"b=x,b=y", "", `"b" is named twice`},
		{"b=x,c=x", "", "b and c are the same namespace"},
		{"b=default", "", "default and b are the same namespace"},
		{"b=127.0.0.1:7233/default", "", "are the same namespace"},
		{strings.Join(many, ","), "", "want at most 16"},
		{"b=x", "c", "want names of TEMPORAL_CELLS"},
		{"b=x", "b,b", "each once"},
		{"", "b", "want names of TEMPORAL_CELLS"},
	}
	for _, test := range tests {
		t.Run(test.list+" "+test.open, func(t *testing.T) {
			_, err := Parse(test.list, test.open, fallback)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestWhereTheNextSaleGoes(t *testing.T) {
	tests := []struct {
		name, open string
		sales      map[string]int
		want       string
	}{
		{"the first one", "", nil, ""},
		{"the one with the fewest", "", map[string]int{"": 2, "b": 1, "c": 2}, "b"},
		{"one that has none", "", map[string]int{"": 1, "b": 1}, "c"},
		{"the first of equals", "c,b", map[string]int{"": 0, "b": 3, "c": 3}, "c"},
		{"none that is closed to new sales", "b,c", map[string]int{"": 0, "b": 7, "c": 8}, "b"},
		{"one alone, however many it has", "b", map[string]int{"b": 9}, "b"},
		{"sales in a cell that was taken from the list", "", map[string]int{"gone": 0, "": 1, "b": 1, "c": 1}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := Parse("b=x,c=y", test.open, fallback)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Next(test.sales); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
