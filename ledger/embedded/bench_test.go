package embedded_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/tbtest"
)

const (
	pairsRounds   = 3
	pairsWarmUp   = 500 * time.Millisecond
	pairsMeasured = time.Second
)

// pairsCallers are the numbers of goroutines that hold and post at once.
var pairsCallers = []int{64, 512, 4096}

// BenchmarkHoldPost measures pairs of a hold and its post, by many callers at once,
// on the engine with real flushes and on a real single-node server where there is
// one. They take turns, several times, so that what else the machine does hits both
// alike. It prints a table.
func BenchmarkHoldPost(b *testing.B) {
	for range b.N {
		engine := open(b, b.TempDir(), embedded.Options{})
		createHotAccounts(b, engine)
		ways := []pairWay{{"engine", engine.CreateTransfers}}
		if server, reason := productionServer(b); server != nil {
			createHotAccounts(b, server)
			ways = append(ways, pairWay{"server", server.CreateTransfers})
		} else {
			fmt.Println("SKIPPED the real server:", reason)
		}
		var columns []string
		for _, callers := range pairsCallers {
			columns = append(columns, fmt.Sprintf("%d callers", callers))
		}
		t := newTable("hold + post pairs a second", columns...)
		for range pairsRounds {
			rates := make([][]float64, len(ways))
			for _, callers := range pairsCallers {
				for i, w := range ways {
					pairsPerSecond(b, callers, pairsWarmUp, w.create)
					rates[i] = append(rates[i], pairsPerSecond(b, callers, pairsMeasured, w.create))
				}
			}
			for i, w := range ways {
				t.add(w.name, rates[i]...)
			}
			if len(ways) == 2 {
				t.add("engine / server", quotients(rates[0], rates[1])...)
			}
		}
		t.print()
	}
}

type pairWay struct {
	name   string
	create createFunc
}

type createFunc = func([]tb.Transfer) ([]tb.CreateTransferResult, error)

func pairsPerSecond(b *testing.B, callers int, duration time.Duration, create createFunc) float64 {
	var over atomic.Bool
	defer time.AfterFunc(duration, func() { over.Store(true) }).Stop()
	started := time.Now()
	pairs := holdAndPost(b, callers, create, func() bool { return !over.Load() })
	return float64(pairs) / time.Since(started).Seconds()
}

// holdAndPost makes pairs with a number of callers, each of which waits for its hold
// before it posts it, while there is more to do.
func holdAndPost(b *testing.B, callers int, create createFunc, more func() bool) (pairs int64) {
	var group sync.WaitGroup
	var total atomic.Int64
	for range callers {
		group.Go(func() {
			made := int64(0)
			for ; more(); made++ {
				o := newOrder()
				if !created(b, create, o.hold()) || !created(b, create, o.post()) {
					break
				}
			}
			total.Add(made)
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return total.Load()
}

func created(b *testing.B, create createFunc, t tb.Transfer) bool {
	results, err := create([]tb.Transfer{t})
	if err != nil || results[0].Status != tb.TransferCreated {
		b.Error(results, err)
		return false
	}
	return true
}

// order is an id in the order of time, as an application makes it: 48 bits of
// milliseconds, 72 bits that look random, 8 bits for which of its transfers it is.
type order [16]byte

func newOrder() order {
	var o order
	binary.BigEndian.PutUint64(o[:], uint64(time.Now().UnixMilli())<<16|rand.Uint64N(1<<16))
	binary.BigEndian.PutUint64(o[8:], rand.Uint64()<<8)
	return o
}

func (o order) id(slot byte) tb.Uint128 {
	o[15] = slot
	slices.Reverse(o[:]) // the client's ids are little-endian
	return tb.BytesToUint128(o)
}

func (o order) hold() tb.Transfer {
	return tb.Transfer{
		ID: o.id(1), DebitAccountID: tb.ToUint128(1), CreditAccountID: tb.ToUint128(2), Amount: tb.ToUint128(1),
		Ledger: 1, Code: 1, Flags: flagPending, Timeout: 600, UserData128: o.id(0),
	}
}

func (o order) post() tb.Transfer {
	return tb.Transfer{ID: o.id(2), PendingID: o.id(1), Amount: tb.AmountMax, Flags: flagPost, UserData128: o.id(0)}
}

// productionServer starts a real server with its full message size and direct
// I/O, unlike the one that the tests use, or says why that is not possible.
func productionServer(t testing.TB) (client tb.Client, reason string) {
	t.Helper()
	if _, err := exec.LookPath(tbtest.Binary); err != nil {
		return nil, "no " + tbtest.Binary + " program on PATH"
	}
	file := filepath.Join(t.TempDir(), "0_0.tigerbeetle")
	if out, err := exec.Command(tbtest.Binary, "format", "--cluster=0", "--replica=0", "--replica-count=1", file).CombinedOutput(); err != nil {
		return nil, fmt.Sprintf("its data file cannot be formatted here: %v\n%s", err, out)
	}
	server := exec.Command(tbtest.Binary, "start", "--addresses=0", file)
	stdin, err := server.StdinPipe() // the server ends with it
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Sprintf("it does not start here: %v", err)
	}
	client, err = tb.NewClient(tb.ToUint128(0), []string{strings.TrimSpace(port)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client, ""
}

func hotAccounts() []tb.Account {
	return []tb.Account{{ID: tb.ToUint128(1), Ledger: 1, Code: 1}, {ID: tb.ToUint128(2), Ledger: 1, Code: 1}}
}

// createHotAccounts creates the two accounts that all transfers of the benchmarks
// are between, as those of a popular sale are.
func createHotAccounts(b *testing.B, client tb.Client) {
	results, err := client.CreateAccounts(hotAccounts())
	if err != nil || results[0].Status != tb.AccountCreated || results[1].Status != tb.AccountCreated {
		b.Fatal(results, err)
	}
}

// table collects the numbers of several rounds and prints the median of each, with
// the lowest and the highest.
type table struct {
	header []string
	names  []string
	rounds map[string][][]float64
}

func newTable(title string, columns ...string) *table {
	return &table{header: append([]string{title}, columns...), rounds: map[string][][]float64{}}
}

// add takes in the numbers of a round.
func (t *table) add(name string, row ...float64) {
	if !slices.Contains(t.names, name) {
		t.names = append(t.names, name)
	}
	t.rounds[name] = append(t.rounds[name], row)
}

func (t *table) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintf(w, "\n%s\t\n", strings.Join(t.header, "\t"))
	for _, name := range t.names {
		fmt.Fprintf(w, "%s\t", name)
		for column := range t.rounds[name][0] {
			var values []float64
			for _, round := range t.rounds[name] {
				values = append(values, round[column])
			}
			fmt.Fprintf(w, "%s (%s–%s)\t", number(median(values)), number(slices.Min(values)), number(slices.Max(values)))
		}
		fmt.Fprintln(w)
	}
}

// number is short: two decimals only where they say something.
func number(v float64) string {
	if v >= 20 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00")
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func mean(values []float64) (sum float64) {
	for _, v := range values {
		sum += v / float64(len(values))
	}
	return sum
}

func quotients(a, b []float64) (q []float64) {
	for i := range a {
		q = append(q, a[i]/b[i])
	}
	return q
}
