package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"boxoffice/client"
)

// The moments of these tests, in milliseconds after the first.
func moment(ms int) time.Time {
	return time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond)
}

func taken(asked, answered int, err error) holdTaken {
	return holdTaken{asked: moment(asked), answered: moment(answered), err: err}
}

func TestWhatBuyersNoticed(t *testing.T) {
	soldOut := &client.Refusal{HTTPStatus: 409, Problem: client.Problem{Code: "sold_out"}}
	slow := taken(1000, 6000, nil)
	for _, err := range []error{
		&client.Refusal{HTTPStatus: 503, Problem: client.Problem{Code: "overloaded"}},
		&client.Refusal{HTTPStatus: 503, Problem: client.Problem{Code: "unknown"}},
		errors.New("no answer in time"),
		nil, // the last, which is not one to repeat
	} {
		slow.again(err)
	}
	h := &holds{}
	for _, one := range []holdTaken{
		taken(-900, -800, nil), // before
		taken(0, 20, nil),
		taken(500, 540, nil),
		taken(600, 610, soldOut),
		slow,
		taken(1000, 9000, errors.New("no answer at all")),
		taken(12_000, 12_010, nil), // after
	} {
		h.add(one)
	}
	got := effectOf(h.within(moment(0), moment(10_000)), moment(0), moment(10_000))
	want := effect{Held: 3, P50: 40, P99: 5000, Max: 5000, Silence: 5460, Refused: 1, Overloaded: 1, Unknown: 2, GaveUp: 1}
	if got != want {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

// Who stops answering before the end has been silent since.
func TestASilenceLastsToTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		list []holdTaken
		want float64
	}{
		"nobody was answered":                   {nil, 10_000},
		"until late":                            {[]holdTaken{taken(0, 7000, nil)}, 7000},
		"since early":                           {[]holdTaken{taken(0, 100, nil)}, 9900},
		"an answer after the end is not in it":  {[]holdTaken{taken(0, 100, nil), taken(9000, 11_000, nil)}, 9900},
		"an answer before the begin is neither": {[]holdTaken{taken(-50, -10, nil), taken(0, 100, nil)}, 9900},
	} {
		if got := effectOf(tt.list, moment(0), moment(10_000)).Silence; got != tt.want {
			t.Errorf("%s: %v ms, want %v", name, got, tt.want)
		}
	}
}

func TestWithoutAQuorumNothingIsHeld(t *testing.T) {
	list := []holdTaken{
		taken(-10, 20, nil),                               // asked before
		taken(100, 200, errors.New("no answer")),          // not held
		taken(300, 1100, nil),                             // answered after
		taken(400, 500, &client.Refusal{HTTPStatus: 409}), // refused
	}
	if n := heldBetween(list, moment(0), moment(1000)); n != 0 {
		t.Errorf("%d holds, want none", n)
	}
	if n := heldBetween(append(list, taken(500, 900, nil)), moment(0), moment(1000)); n != 1 {
		t.Errorf("%d holds, want the one", n)
	}
}

func TestTheSharesOfFew(t *testing.T) {
	one := []time.Duration{time.Second}
	three := []time.Duration{1, 2, 3}
	for _, tt := range []struct {
		sorted []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, 0.5, 0}, {one, 0.5, time.Second}, {one, 0.99, time.Second}, {three, 0.5, 2}, {three, 0.99, 3}, {three, 1, 3}, {three, 0, 1},
	} {
		if got := quantile(tt.sorted, tt.share); got != tt.want {
			t.Errorf("%v of %v is %v, want %v", tt.share, tt.sorted, got, tt.want)
		}
	}
}

func TestTheTableHasEachTrial(t *testing.T) {
	got := table([]row{{
		Trial: "kill-primary", What: "the primary is killed", Result: "another leads after 1.2s",
		Effect: effect{Held: 200, P50: 14.2, P99: 1834, Max: 12_345, Silence: 2100, Overloaded: 1, Unknown: 2, GaveUp: 3}, Unanswered: 4, Unsent: 5,
	}})
	want := "| the primary is killed | 200 | 14 ms | 1.8 s | 12 s | 2.1 s | 1, 2 | 3 | 4, 5 | another leads after 1.2s |"
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 3 || lines[2] != want {
		t.Errorf("%s\nwant as its third line\n%s", got, want)
	}
	if columns := strings.Count(lines[0], "|"); columns != strings.Count(lines[1], "|") || columns != strings.Count(lines[2], "|") {
		t.Errorf("the lines have different columns:\n%s", got)
	}
}

func TestTheLedgersCountsAreAddedUp(t *testing.T) {
	metrics := []byte(`# HELP boxoffice_ledger_unanswered_total Units.
boxoffice_ledger_unanswered_total{op="create_accounts"} 3
boxoffice_ledger_unanswered_total{op="create_transfers"} 1.2e+01
boxoffice_ledger_unanswered_total_created{op="create_transfers"} 99
`)
	if got := sumOf(metrics, "boxoffice_ledger_unanswered_total"); got != 15 {
		t.Errorf("%d, want 15", got)
	}
}

// The lines are a real server's.
func TestWhoLeads(t *testing.T) {
	dir := t.TempDir()
	c := &cluster{}
	logs := []string{
		`info(replica): 0n: transition_to_normal_from_recovering_status: view=1 backup
info(replica): 0n: transition_to_view_change_status: view=1..2 status=vsr.replica.Status.normal..vsr.replica.Status.view_change
`,
		`info(replica): 1N: transition_to_normal_from_view_change_status: view=1..1 primary
`,
		`info(replica): 2n: transition_to_view_change_status: view=1..2 status=vsr.replica.Status.normal..vsr.replica.Status.view_change
`,
	}
	for i, log := range logs {
		r := &replica{index: i, log: filepath.Join(dir, string(rune('a'+i))), pid: 1}
		c.replicas = append(c.replicas, r)
		if err := os.WriteFile(r.log, []byte(log), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	say := func(i int, more string) {
		logs[i] += more
		if err := os.WriteFile(c.replicas[i].log, []byte(logs[i]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if leader := c.primary(); leader != nil {
		t.Errorf("replica %d leads in the midst of a view change", leader.index)
	}
	say(2, "info(replica): 2N: transition_to_normal_from_view_change_status: view=2..2 primary\n")
	if leader := c.primary(); leader != c.replicas[2] {
		t.Errorf("%v leads, want replica 2", leader)
	}
	say(0, "info(replica): 0n: transition_to_normal_from_view_change_status: view=2..2 backup\n")
	if leader := c.primary(); leader != c.replicas[2] {
		t.Errorf("%v leads, want replica 2", leader)
	}
	c.replicas[2].pid = 0
	if leader := c.primary(); leader != nil {
		t.Errorf("replica %d leads, and it is down", leader.index)
	}
}

// The packet is a real server's.
func TestWhoHasCaughtUp(t *testing.T) {
	g := &gauges{last: map[gaugeOf]gaugeSaid{}}
	packet := func(replica, status, stage, committed string) []byte {
		tags := "|g|#cluster:00000000000000000000000000000007,replica:" + replica + "\n"
		return []byte("tb.replica_status:" + status + tags + "tb.replica_sync_stage:" + stage + tags + "tb.replica_commit_min:" + committed + tags +
			"tb.replica_messages_in:7|g|#cluster:7,command:ping\n")
	}
	g.hear(packet("0", "0", "0", "500"), moment(0))
	g.hear(packet("2", "0", "0", "500"), moment(0))
	if got := g.committed(); got != 500 {
		t.Errorf("committed %d, want 500", got)
	}
	if g.caughtUp(2, moment(1), 500) {
		t.Error("what was said before the start counts")
	}
	for _, tt := range []struct {
		status, stage, committed string
		want                     bool
	}{
		{"0", "0", "499", false}, {"1", "0", "500", false}, {"3", "0", "500", false}, {"0", "2", "500", false}, {"0", "0", "500", true}, {"0", "0", "501", true},
	} {
		g.hear(packet("2", tt.status, tt.stage, tt.committed), moment(2))
		if got := g.caughtUp(2, moment(1), 500); got != tt.want {
			t.Errorf("status %s, stage %s, committed %s: caught up is %v, want %v", tt.status, tt.stage, tt.committed, got, tt.want)
		}
	}
}

// Damage that no replica would ever read proves nothing: it has to hit the newest entries, wherever the ring has come to.
func TestTheNewestEntriesAreDamaged(t *testing.T) {
	for _, tt := range []struct {
		newest uint64
		from   int64 // entries behind the begin
	}{{0, 0}, {128, 0}, {300, 172}, {1000, 768}, {1023, 768}, {1024, 0}, {5 * 1024, 0}, {5*1024 + 600, 472}} {
		if got, want := newestPart(tt.newest), int64(logBegin)+tt.from*logEntryBytes; got != want {
			t.Errorf("with %d operations the damage begins at %d, want %d", tt.newest, got, want)
		}
	}
}

// The lines are a real server's. An entry that was never written is not lost, and neither is one that is in the data already.
func TestWhatAReplicaLost(t *testing.T) {
	var log []byte
	for _, found := range []string{"0026 label=@C", "0027 label=@C", "0145 label=@C", "0205 label=@B"} {
		log = fmt.Appendf(log, "2026-12-01 05:09:23.755Z warning(journal): 2: recover_slot: recovered slot=%s decision=vsr operation=vsr.Operation.reserved op=26 view=0\n", found)
	}
	for _, tt := range []struct {
		after, upTo uint64
		want        int
	}{{0, 300, 3}, {26, 300, 2}, {26, 100, 1}, {145, 300, 0}, {1024, 1024 + 27, 2}, {1024 + 27, 1024 + 144, 0}} {
		if got := lostEntries(log, tt.after, tt.upTo); got != tt.want {
			t.Errorf("of operations %d to %d %d are lost, want %d", tt.after+1, tt.upTo, got, tt.want)
		}
	}
}

// Only the first is a file that has lost its head.
func TestWhyAReplicaDidNotStart(t *testing.T) {
	for log, want := range map[string]bool{
		"warning(superblock_quorums): copy: 3/4: invalid checksum\nthread 22573 panic: superblock not found\n": true,
		"error(main): listen: error.AddressInUse\n":                                                            false,
		"": false,
	} {
		if got := refusedItsFile([]byte(log)); got != want {
			t.Errorf("%q: %v, want %v", log, got, want)
		}
	}
}

// Who asked while nothing could be held is what makes "nothing was held" a proof.
func TestWhoAskedWithoutAQuorum(t *testing.T) {
	list := []holdTaken{taken(-10, 20, nil), taken(100, 5000, nil), taken(300, 400, errors.New("no answer")), taken(1100, 1200, nil)}
	if n := askedBetween(list, moment(0), moment(1000)); n != 2 {
		t.Errorf("%d asked, want the two", n)
	}
	if n := askedBetween(list[:1], moment(0), moment(1000)); n != 0 {
		t.Errorf("%d asked, want nobody", n)
	}
}

func TestOnlyThePartIsDamaged(t *testing.T) {
	const size = 3 << 20
	r := &replica{file: filepath.Join(t.TempDir(), "file")}
	if err := os.WriteFile(r.file, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	const from, length = 1<<20 + 512, 1<<20 + 4096
	if err := r.damage(from, length, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	zeros := func(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
	if len(content) != size || !zeros(content[:from]) || !zeros(content[from+length:]) {
		t.Error("more is damaged than was asked for")
	}
	for offset := from; offset < from+length; offset += 512 {
		if zeros(content[offset : offset+512]) {
			t.Fatalf("nothing is damaged at %d", offset)
		}
	}
}
