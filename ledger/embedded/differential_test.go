package embedded_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"
	"pgregory.net/rapid"

	"boxoffice/ledger/embedded"
	"boxoffice/ledger/embedded/internal/disk/disktest"
	"boxoffice/ledger/embedded/internal/model"
)

// TestEngineEqualsModel runs random histories on the engine and on the naive
// model, under one clock that stands still, steps and goes back, with restarts of
// the engine in between. Every answer must be the same to the nanosecond.
func TestEngineEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newFakeClock()
		files := disktest.New()
		options := embedded.Options{
			Clock: clock, FileSystem: files, Logger: quiet,
			SnapshotLogBytes: rapid.SampledFrom([]int64{1 << 30, 8 << 10}).Draw(t, "snapshot at"),
		}
		engine, err := embedded.Open("ledger", options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { engine.Close() }()
		reference := model.New(clock.Now)

		g := &generator{t: t, base: power(64), ledger: 1, timeouts: []uint32{0, 0, 1, 2, 3, 1 << 31}, exclusive: true}
		c := comparison{t: t, g: g, left: reference, translate: func(v uint64) uint64 { return v }}
		c.right = engine
		c.createAccounts(g.firstAccounts())
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if err := settle(engine, reference); err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 19).Draw(t, "step") {
			case 18:
				clock.advance(g.step())
			case 19:
				engine.Close()
				if engine, err = embedded.Open("ledger", options); err != nil {
					t.Fatalf("restart: %v", err)
				}
				c.right = engine
			default:
				c.request()
			}
		}
	})
}

// settle lets both sides expire all that is due. The engine may pulse when it is
// idle, the model does it with each request only, so without this the two could be
// a pulse apart.
func settle(engine tb.Client, references ...*model.Ledger) error {
	due := func(l *model.Ledger) bool { return l.Due() }
	for slices.ContainsFunc(references, due) {
		if err := engine.Nop(); err != nil {
			return err
		}
		for _, l := range references {
			l.Pulse()
		}
	}
	return nil
}

// TestEngineEqualsServer runs random histories on the engine and on a real
// server. Their clocks differ, so timestamps are compared as names: the same
// event on both sides.
func TestEngineEqualsServer(t *testing.T) {
	server := real(t)
	engine := open(t, t.TempDir(), embedded.Options{})
	operations := 0
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
		base := [16]byte{8: byte(random.Uint32()), 9: byte(random.Uint32()), 10: byte(random.Uint32()), 11: byte(random.Uint32()), 15: 1}
		g := &generator{t: t, base: tb.BytesToUint128(base), ledger: random.Uint32() | 1, timeouts: []uint32{0, 0, 1 << 20, 1 << 31}}
		pairs := pairing{toRight: map[uint64]uint64{}, toLeft: map[uint64]uint64{}}
		c := comparison{t: t, g: g, left: engine, right: server, translate: pairs.right, pairs: &pairs}
		c.createAccounts(g.firstAccounts())
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			c.request()
			operations++
		}
	})
	t.Logf("%d requests compared with a real TigerBeetle server", operations)
}

// pairing matches the timestamps of two sides.
type pairing struct{ toRight, toLeft map[uint64]uint64 }

// right translates a timestamp of the left side, or one next to it.
func (p *pairing) right(left uint64) uint64 {
	for off := range uint64(12) {
		if at, ok := p.toRight[left-off]; ok {
			return at + off
		}
	}
	if at, ok := p.toRight[left+1]; ok {
		return at - 1
	}
	return left
}

// equal notes or checks that two timestamps are of the same event.
func (p *pairing) equal(left, right uint64) bool {
	if at, ok := p.toRight[left]; ok {
		return at == right
	}
	if at, ok := p.toLeft[right]; ok {
		return at == left
	}
	p.toRight[left], p.toLeft[right] = right, left
	return true
}

// comparison sends the same requests to two ledgers.
type comparison struct {
	t           *rapid.T
	g           *generator
	left, right tb.Client
	translate   func(uint64) uint64
	pairs       *pairing // nil where timestamps must be equal
}

// request draws one request and compares the answers.
func (c *comparison) request() {
	g := c.g
	switch rapid.IntRange(0, 17).Draw(c.t, "request") {
	default:
		c.createTransfers(g.createTransfers())
	case 9, 10:
		c.createAccounts(g.createAccounts())
	case 11:
		ids := g.lookupIDs()
		compare(c, "LookupAccounts", tb.Client.LookupAccounts, ids, ids)
	case 12:
		ids := g.lookupIDs()
		compare(c, "LookupTransfers", tb.Client.LookupTransfers, ids, ids)
	case 13:
		f := g.accountFilter()
		compare(c, "GetAccountTransfers", tb.Client.GetAccountTransfers, f, c.accountFilter(f))
	case 14:
		f := g.accountFilter()
		compare(c, "GetAccountBalances", tb.Client.GetAccountBalances, f, c.accountFilter(f))
	case 15:
		f := g.queryFilter()
		compare(c, "QueryAccounts", tb.Client.QueryAccounts, f, c.queryFilter(f))
	case 16:
		f := g.queryFilter()
		compare(c, "QueryTransfers", tb.Client.QueryTransfers, f, c.queryFilter(f))
	case 17:
		f := g.changeEventsFilter()
		translated := f
		translated.TimestampMin, translated.TimestampMax = c.bound(f.TimestampMin), c.bound(f.TimestampMax)
		compare(c, "GetChangeEvents", tb.Client.GetChangeEvents, f, translated)
	}
}

func (c *comparison) accountFilter(f tb.AccountFilter) tb.AccountFilter {
	f.TimestampMin, f.TimestampMax = c.bound(f.TimestampMin), c.bound(f.TimestampMax)
	return f
}

func (c *comparison) queryFilter(f tb.QueryFilter) tb.QueryFilter {
	f.TimestampMin, f.TimestampMax = c.bound(f.TimestampMin), c.bound(f.TimestampMax)
	return f
}

// bound translates a bound of a filter; zero is none.
func (c *comparison) bound(timestamp uint64) uint64 {
	if timestamp == 0 {
		return 0
	}
	return c.translate(timestamp)
}

func (c *comparison) createAccounts(events []tb.Account) {
	translated := append([]tb.Account{}, events...)
	for i := range translated {
		if events[i].Flags&accountFlagImported != 0 {
			translated[i].Timestamp = c.translate(events[i].Timestamp)
		}
	}
	left, leftErr := c.left.CreateAccounts(events)
	right, rightErr := c.right.CreateAccounts(translated)
	c.check("CreateAccounts", describe(events), leftErr, rightErr)
	if len(left) != len(right) {
		c.t.Fatalf("CreateAccounts %s\n%d results, %d results", describe(events), len(left), len(right))
	}
	for i := range left {
		if left[i].Status != right[i].Status || !c.equal(left[i].Timestamp, right[i].Timestamp) {
			c.t.Fatalf("CreateAccounts, event %d of %s\nleft  %+v\nright %+v", i, describe(events), left[i], right[i])
		}
		c.g.saw(left[i].Timestamp)
		if left[i].Status == tb.AccountCreated {
			c.g.lastAccount = max(c.g.lastAccount, left[i].Timestamp)
		}
	}
}

func (c *comparison) createTransfers(events []tb.Transfer) {
	translated := append([]tb.Transfer{}, events...)
	for i := range translated {
		if events[i].Flags&flagImported != 0 {
			translated[i].Timestamp = c.translate(events[i].Timestamp)
		}
	}
	left, leftErr := c.left.CreateTransfers(events)
	right, rightErr := c.right.CreateTransfers(translated)
	c.check("CreateTransfers", describe(events), leftErr, rightErr)
	if len(left) != len(right) {
		c.t.Fatalf("CreateTransfers %s\n%d results, %d results", describe(events), len(left), len(right))
	}
	for i := range left {
		if left[i].Status != right[i].Status || !c.equal(left[i].Timestamp, right[i].Timestamp) {
			c.t.Fatalf("CreateTransfers, event %d of %s\nleft  %+v\nright %+v", i, describe(events), left[i], right[i])
		}
		c.g.saw(left[i].Timestamp)
		if left[i].Status == tb.TransferCreated {
			c.g.lastTransfer = max(c.g.lastTransfer, left[i].Timestamp)
		}
	}
}

// compare sends a request that only reads.
func compare[A, R any](c *comparison, name string, ask func(tb.Client, A) ([]R, error), left, right A) {
	leftRows, leftErr := ask(c.left, left)
	rightRows, rightErr := ask(c.right, right)
	c.check(name, describe(left), leftErr, rightErr)
	if len(leftRows) != len(rightRows) {
		c.t.Fatalf("%s %s\nleft  %d rows: %s\nright %d rows: %s", name, describe(left),
			len(leftRows), describe(leftRows), len(rightRows), describe(rightRows))
	}
	for i := range leftRows {
		if !c.same(&leftRows[i], &rightRows[i]) {
			c.t.Fatalf("%s %s, row %d\nleft  %+v\nright %+v", name, describe(left), i, leftRows[i], rightRows[i])
		}
	}
}

// same compares two rows, their timestamps as names.
func (c *comparison) same(left, right any) bool {
	if c.pairs == nil {
		return reflect.DeepEqual(left, right)
	}
	leftRow, rightRow := reflect.ValueOf(left).Elem(), reflect.ValueOf(right).Elem()
	for _, name := range []string{"Timestamp", "TransferTimestamp", "DebitAccountTimestamp", "CreditAccountTimestamp"} {
		field := rightRow.FieldByName(name)
		if !field.IsValid() {
			continue
		}
		if !c.equal(leftRow.FieldByName(name).Uint(), field.Uint()) {
			return false
		}
		field.SetUint(leftRow.FieldByName(name).Uint())
	}
	return reflect.DeepEqual(left, right)
}

func (c *comparison) equal(left, right uint64) bool {
	if c.pairs == nil {
		return left == right
	}
	return c.pairs.equal(left, right)
}

func (c *comparison) check(name, request string, left, right error) {
	if fmt.Sprint(left) != fmt.Sprint(right) {
		c.t.Fatalf("%s %s\nleft  %v\nright %v", name, request, left, right)
	}
}
