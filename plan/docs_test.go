package plan

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// docs/capacity.md has the figures that this computes with, and what the formulas make of them.
func TestFiguresAreThoseOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	c, p := Documented(), Pipelined()
	n := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	ms := func(r Range) string { return fmt.Sprintf("%s ms (%s–%s)", n(r.Typical), n(r.Low), n(r.High)) }
	for _, want := range []string{
		"| `t` | " + ms(c.Temporal) + " | " + ms(p.Temporal) + " |",
		"| `d` | " + ms(c.Database) + " | " + ms(p.Database) + " |",
		"| `b` | " + ms(c.BoxOffice) + " | " + ms(p.BoxOffice) + " |",
		"| `w` | " + n(c.LogBytes/1e3) + " kB | " + n(p.LogBytes/1e3) + " kB |",
		"| `h` | " + n(c.HistoryBytes/1e3) + " kB | the same |",
		"| `x` | " + n(c.Transfers) + " (" + n(c.TransfersOneCheckout) + " with `one_checkout_per_buyer`) | the same |",
		"| `r` | " + ms(c.Read) + " | the same |",
		"| `j` | " + ms(c.Join) + " | the same |",
		"good: " + n(Utilisation) + ".",
		fmt.Sprintf("shards `≥ %d·λ/%d`, rounded up to a power of two, and at least %d", shardRoom, shardRateMeasured, shardsMin),
		fmt.Sprintf("at most %d nodes", NodesMax),
		"176,000 a second",
		fmt.Sprintf("a Postgres with %d cores", DatabaseCoresMax),
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/capacity.md lacks %q", want)
		}
	}
	if TransfersMax != 176_000 {
		t.Errorf("the page says 176,000 transfers a second, the code %d", TransfersMax)
	}
	for _, want := range threeSales(c) {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/capacity.md lacks the row\n%s", want)
		}
	}
}

// threeSales are the rows of the page's table of examples, where no queue asks for places.
func threeSales(c Costs) []string {
	var all []Sizes
	for _, anHour := range []float64{1e4, 1e6, 1e8} {
		z := Sizes{Peak: anHour / 3600, Begun: anHour}
		z.need(&Sale{}, &c, 4)
		all = append(all, z)
	}
	three := func(x float64) string {
		if x >= 100 {
			return strconv.FormatFloat(x, 'f', 0, 64)
		}
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	row := func(what string, of func(*Sizes) string) string {
		return fmt.Sprintf("| %s | %s | %s | %s |", what, of(&all[0]), of(&all[1]), of(&all[2]))
	}
	hosts := func(needed float64) string { return fmt.Sprintf("%.0f + 1", needed) }
	return []string{
		row("`λ`, a second", func(z *Sizes) string { return three(z.Peak) }),
		row("Temporal, cores", func(z *Sizes) string { return three(z.TemporalCores) }),
		row("history hosts of 4 cores", func(z *Sizes) string { return hosts(z.HistoryHosts(4)) }),
		row("frontend and matching hosts of 4 cores", func(z *Sizes) string { return hosts(z.FrontendHosts(4)) }),
		row("shards", func(z *Sizes) string { return three(z.Shards) }),
		row("cores of Temporal's database", func(z *Sizes) string { return three(z.DatabaseCores) }),
		row("its log, MB a second", func(z *Sizes) string { return three(z.DatabaseLog / 1e6) }),
		row("log of the orders database, MB a second", func(z *Sizes) string { return three(z.OrdersLog / 1e6) }),
		row("box office, cores", func(z *Sizes) string { return three(z.BoxOfficeCores) }),
		row("transfers a second", func(z *Sizes) string { return three(z.Transfers) }),
		row("history of one such hour, GB", func(z *Sizes) string { return three(z.HistoryBytes / 1e9) }),
	}
}
