//go:build linux

package faults

import (
	"bytes"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	// EnvRounds and EnvSeed: how many faults, and what decides their order and moments. Without them, each fault once and a new seed.
	EnvRounds = "PGPIPE_FAULT_ROUNDS"
	EnvSeed   = "PGPIPE_FAULT_SEED"
	// EnvOnly is a regular expression: only faults whose names match.
	EnvOnly = "PGPIPE_FAULT_ONLY"

	// roundsPerRestart is how often Temporal is restarted, and every paid order has to end.
	roundsPerRestart = 12
	// acksBetween are answers to buyers before a fault and after it.
	acksBetween = 40
	openAtEnd   = 40
	// takenBetween is how often shards change hands between two owners, if buyers are not answered before.
	takenBetween = 100
)

// A world is Temporal on pgpipe, its Postgres, and buyers.
type world struct {
	postgres *postgres
	server   *server
	off      bool
	front    *front
	other    *front // to a server that should be gone
	load     *load
	rng      *rand.Rand
	counts   map[string]int64 // of all earlier servers
}

type fault struct {
	name   string
	unless func(*world) string
	hurt   func(*testing.T, *world)
}

var faults = []fault{
	{"SIGKILL of Temporal", nil, killTemporal},
	{"SIGKILL of Postgres, all of it", nil, killPostgres},
	{"SIGSTOP of the shards' owner, another takes them, SIGCONT", nil, stopOwner},
	{"disk full under Postgres", func(w *world) string { return w.postgres.small }, fillDisk},
	{"SIGKILL of one backend of Postgres", nil, killBackend},
	{"sessions ended by an administrator", nil, endSessions},
}

// Whatever fails under load: every start and every signal that was acknowledged is there, once, and every order that was paid ends. At the
// end the same data goes on without pgpipe, and with it again.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no servers")
	}
	only, err := regexp.Compile(os.Getenv(EnvOnly))
	if err != nil {
		t.Fatal(err)
	}
	faults := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !only.MatchString(f.name) })
	if len(faults) == 0 {
		t.Fatalf("faults is empty: %s", EnvOnly)
	}
	rounds, seed := number(t, EnvRounds, len(faults)), uint64(number(t, EnvSeed, 0))
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	t.Logf("%s=%d %s=%d", EnvSeed, seed, EnvRounds, rounds)
	t.Attr("ran-on", "Postgres")
	w := newWorld(t, seed)
	var order []int
	done := map[string]int{}
	for round := range rounds {
		if end, ok := t.Deadline(); ok && time.Until(end) < 2*answerWithin {
			t.Fatalf("no time is left for %d of %d rounds", rounds-round, rounds)
		}
		if len(order) == 0 {
			order = w.rng.Perm(len(faults))
		}
		f := faults[order[0]]
		order = order[1:]
		if f.unless != nil && f.unless(w) != "" {
			t.Logf("SKIPPED: %s: %s", f.name, f.unless(w))
			continue
		}
		done[f.name]++
		began := time.Now()
		w.round(t, f, w.rng.Uint64())
		if got := w.postgres.strange(t); len(got) != 0 {
			t.Fatalf("w.postgres.strange(t) is %q, want nothing", got)
		}
		checked := w.load.check(t, false)
		t.Logf("round %d: %s: %d orders looked at, %.1f s", round+1, f.name, checked, time.Since(began).Seconds())
		if (round+1)%roundsPerRestart == 0 {
			w.restart(t, false)
			w.checkAll(t)
		}
	}
	w.restart(t, false)
	w.checkAll(t)
	w.wayBackAndForth(t)
	w.collect()
	t.Logf("faults: %v", done)
	t.Logf("%d orders, %d acknowledged answers, requests of the store: %v", len(w.load.all()), w.load.acks.Load(), w.counts)
	for _, way := range []string{"create fast", "update fast", "load fast"} {
		if w.counts[way] <= 0 {
			t.Fatalf("w.counts[way] is %v, want more than 0: %v", w.counts[way], way)
		}
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int64{}}
	w.postgres = newPostgres(t)
	w.front, w.other = newFront(t), newFront(t)
	w.server = startServer(t, w.postgres.folder, false)
	w.front.send(w.server.address)
	w.load = newLoad(t, w.front.address())
	return w
}

// round is one fault under load.
func (w *world) round(t *testing.T, f fault, seed uint64) {
	t.Helper()
	stop := w.load.run(seed, buyersMax, w.load.client)
	w.awaitAcks(t, acksBetween)
	f.hurt(t, w)
	w.awaitAcks(t, acksBetween)
	stop(t)
}

// awaitAcks waits until buyers were answered so often, for as long as any is: how long that takes is the machine's affair.
func (w *world) awaitAcks(t *testing.T, n int64) {
	t.Helper()
	w.awaitAcksOr(t, n, func() bool { return false })
}

// awaitAcksOr is content with something else, too.
func (w *world) awaitAcksOr(t *testing.T, n int64, otherwise func() bool) {
	t.Helper()
	goal := w.load.acks.Load() + n
	for seen := int64(-1); ; {
		acks := w.load.acks.Load()
		if acks >= goal {
			return
		}
		if acks == seen {
			t.Fatalf("it stands still: no buyer was answered for %v, %d answers are missing", answerWithin, goal-acks)
		}
		seen = acks
		done := false
		within(answerWithin, func() bool {
			select {
			case err := <-w.load.wrong:
				if err != nil {
					t.Fatal(err)
				}
			default:
			}
			if w.server.ended() {
				t.Fatalf("Temporal ended by itself: %v", w.server.log)
			}
			done = otherwise()
			return done || w.load.acks.Load() > seen
		})
		if done {
			return
		}
	}
}

// collect adds what the server's store counted.
func (w *world) collect() {
	for what, n := range w.server.counted() {
		w.counts[what] += n
	}
}

// replace starts a server in the place of the one that was.
func (w *world) replace(t *testing.T) {
	t.Helper()
	w.server = startServer(t, w.postgres.folder, w.off)
	w.front.send(w.server.address)
}

func (w *world) restart(t *testing.T, off bool) {
	t.Helper()
	w.off = off
	killTemporal(t, w)
}

// checkAll: every order that was paid has to end, and no row is of nothing.
func (w *world) checkAll(t *testing.T) {
	t.Helper()
	began := time.Now()
	checked := w.load.check(t, true)
	if got := w.postgres.strange(t); len(got) != 0 {
		t.Fatalf("w.postgres.strange(t) is %q, want nothing", got)
	}
	t.Logf("all of %d orders are as acknowledged, %d still open, %.1f s", checked, len(w.load.open), time.Since(began).Seconds())
}

// wayBackAndForth runs open workflows to their end on the official store, then starts more on it and ends those on pgpipe.
func (w *world) wayBackAndForth(t *testing.T) {
	t.Helper()
	w.load.leaving.Store(true)
	for _, off := range []bool{true, false} {
		stop := w.load.run(w.rng.Uint64(), buyersMax, w.load.client)
		await(t, answerWithin, "some orders are open", func() bool {
			w.load.mu.Lock()
			defer w.load.mu.Unlock()
			return len(w.load.open) >= openAtEnd
		})
		stop(t)
		w.restart(t, off)
		w.load.mu.Lock()
		open := w.load.open
		w.load.open = nil
		w.load.mu.Unlock()
		for _, e := range open {
			w.load.pay(w.load.client, e)
		}
		w.checkAll(t)
		t.Logf("switched off: %v: %d orders from before have ended", off, len(open))
		if got := len(w.server.counted()) == 0; got != off {
			t.Fatalf("len(w.server.counted()) == 0 is %v, want %v: the counts say what is on", got, off)
		}
	}
}

func killTemporal(t *testing.T, w *world) {
	w.server.kill()
	w.collect()
	w.replace(t)
}

func killPostgres(t *testing.T, w *world) {
	w.postgres.kill()
	time.Sleep(time.Duration(w.rng.IntN(500)) * time.Millisecond)
	w.postgres.start(t)
}

func killBackend(t *testing.T, w *world) {
	const crashed = "terminated by signal 9"
	before := w.postgres.said(crashed)
	backends := w.postgres.backends()
	if len(backends) == 0 {
		t.Fatal("backends is empty")
	}
	if err := syscall.Kill(backends[w.rng.IntN(len(backends))], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, answerWithin, "Postgres notices", func() bool { return w.postgres.said(crashed) > before })
	w.postgres.start(t)
}

func endSessions(t *testing.T, w *world) {
	w.postgres.execute(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+databaseStore+"'")
}

// stopOwner: the old owner wakes up while another one has its shards, with what it was about to write, and with buyers who still come to
// it. It may write nothing under the range that it had.
func stopOwner(t *testing.T, w *world) {
	old := w.server
	old.signal(t, syscall.SIGSTOP)
	w.replace(t)
	w.awaitAcks(t, acksBetween) // the new one has shards, and writes
	w.other.send(old.address)
	stop := w.load.run(w.rng.Uint64(), 2, dial(t, w.other.address()))
	old.signal(t, syscall.SIGCONT)
	await(t, answerWithin, "the old owner learns that it has lost its shards", func() bool {
		log, err := os.ReadFile(old.log)
		return err == nil && bytes.Contains(log, []byte("ShardOwnershipLost"))
	})
	// Two who both think that they own everything take the shards from each other. Nobody promises how much they get done, so
	// buyers need not be answered as long as the shards go on changing hands. Once the old one is gone they have to be.
	taken, done := w.postgres.shardsTaken(t)
	defer done()
	from := taken()
	w.awaitAcksOr(t, acksBetween, func() bool { return taken() >= from+takenBetween })
	t.Logf("two owners took %d shards from each other", taken()-from)
	old.kill()
	for what, n := range old.counted() {
		w.counts[what] += n
	}
	w.other.send(w.server.address)
	stop(t)
}

// fillDisk leaves nothing, or so little that it is gone at once, until Postgres has met it; then for a moment more.
func fillDisk(t *testing.T, w *world) {
	const full = "No space left on device"
	before := w.postgres.said(full)
	empty := w.postgres.fill(t, uint64(w.rng.IntN(3))<<17)
	defer empty()
	await(t, answerWithin, "Postgres meets the full disk", func() bool { return w.postgres.said(full) > before })
	time.Sleep(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
	empty()
	w.postgres.start(t)
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%v: %v", variable, err)
	}
	return n
}
