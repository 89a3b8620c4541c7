package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"boxoffice/api"
	"boxoffice/beacon"
	"boxoffice/beacon/beacontest"
	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// A published draw of two joins, one of which has a token.
type publishedDraw struct {
	before, after api.QueueView
	proof         api.ListProofView
	token         string
	drand         *beacontest.Drand
}

// publishDraw makes the answers of a box office, using only what the docs say.
func publishDraw(t *testing.T) *publishedDraw {
	t.Helper()
	// Version 1, index 1, epoch 0, a time, the sale's id and a tag.
	d := &publishedDraw{drand: beacontest.New(t, time.Unix(1_700_000_000, 0), 3*time.Second), token: "AQAAAAABAaMZ0DwAcnVzaAECAwQFBgcICQoLDA0O"}
	chain := d.drand.Chain()
	seed := []byte("0123456789abcdef0123456789abcdef")
	opens := time.Unix(1_800_000_000, 0).UTC()
	leaf, other := waitingroom.LeafHash(d.token), waitingroom.LeafHash("other")
	above := sha256.Sum256(slices.Concat([]byte{1}, other, leaf))
	tree := above[:]
	round := chain.RoundAt(opens.Add(10 * time.Second))
	size, published := int64(2), opens.Add(time.Second)
	hash := hex.EncodeToString(chain.Hash[:])
	view := func() api.QueueView {
		return api.QueueView{Sale: "rush", Draw: api.DrawRecordView{
			DrawView: api.DrawView{Version: 2, Source: domain.QueueDrawBeacon, State: waitingroom.DrawClosed, Commitment: waitingroom.Commitment(seed, "rush"), Size: &size, Root: hex.EncodeToString(tree)},
			ClosedAt: &opens, PublishedAt: &published,
			Beacon: &api.BeaconView{Chain: hash, NamedRound: round, Round: round, At: chain.Time(round)},
		}}
	}
	d.before, d.after = view(), view()
	d.after.Draw.State, d.after.Draw.Seed = waitingroom.DrawDrawn, hex.EncodeToString(seed)
	d.after.Draw.Beacon.Signature = hex.EncodeToString(d.drand.Sign(round))
	d.after.Draw.Beacon.Randomness = hex.EncodeToString(beacon.Randomness(d.drand.Sign(round)))
	d.proof = api.ListProofView{Sale: "rush", Index: 1, Size: 2, Leaf: hex.EncodeToString(leaf), Path: []string{hex.EncodeToString(other)}, Root: hex.EncodeToString(tree)}
	return d
}

// args writes the files and returns the command's arguments.
func (d *publishedDraw) args(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, content any) string {
		data, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := content.(string); ok {
			data = []byte(text)
		}
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{
		"-record", write("after", d.after), "-before", write("before", d.before), "-proof", write("proof", d.proof),
		"-chain", write("chain", d.drand.Info), "-token", d.token,
	}
}

// The command finds every change, and tells it apart from what cannot be checked.
func TestDrawChecksADrawOfTheList(t *testing.T) {
	const right, wrong, blind = 0, 1, exitBlind
	zeros := hex.EncodeToString(make([]byte, 32))
	for name, c := range map[string]struct {
		change func(d *publishedDraw)
		exit   int
	}{
		"as published":                     {func(*publishedDraw) {}, right},
		"kept while the list was open":     {func(d *publishedDraw) { d.before.Draw.Root, d.before.Draw.Size = "", nil }, right},
		"another seed":                     {func(d *publishedDraw) { d.after.Draw.Seed = zeros }, wrong},
		"another commitment before":        {func(d *publishedDraw) { d.before.Draw.Commitment = zeros }, wrong},
		"another list before":              {func(d *publishedDraw) { d.before.Draw.Root = zeros }, wrong},
		"another list":                     {func(d *publishedDraw) { d.before.Draw.Root, d.after.Draw.Root = zeros, zeros }, wrong},
		"another size":                     {func(d *publishedDraw) { three := int64(3); d.before.Draw.Size, d.after.Draw.Size = &three, &three }, wrong},
		"another signature":                {func(d *publishedDraw) { d.after.Draw.Beacon.Signature = hex.EncodeToString(d.drand.Sign(1)) }, wrong},
		"another round before":             {func(d *publishedDraw) { d.before.Draw.Beacon.NamedRound-- }, wrong},
		"published when the round was out": {func(d *publishedDraw) { late := d.after.Draw.Beacon.At; d.after.Draw.PublishedAt = &late }, wrong},
		"another token":                    {func(d *publishedDraw) { d.token = "AQAAAAABAaMZ0DwAcnVzaAECAwQFBgcICQoLDA0P" }, wrong},
		"another proof":                    {func(d *publishedDraw) { d.proof.Path[0] = zeros }, wrong},
		"no proof":                         {func(d *publishedDraw) { d.proof.Path = nil }, wrong},
		"a broken proof":                   {func(d *publishedDraw) { d.proof.Path[0] = "zz" }, blind},
		"no token":                         {func(d *publishedDraw) { d.token = "nonsense" }, blind},
		"not drawn yet":                    {func(d *publishedDraw) { d.after = d.before }, blind},
		"another chain":                    {func(d *publishedDraw) { d.drand = beacontest.New(t, time.Unix(1_700_000_000, 0), 4*time.Second) }, blind},
		"no chain":                         {func(d *publishedDraw) { d.drand.Info = "{}" }, blind},
		"a future version":                 {func(d *publishedDraw) { d.after.Draw.Version = 3 }, blind},
		"without the beacon":               {func(d *publishedDraw) { d.after.Draw.Waived = true }, right},
		"with the beacon removed":          {func(d *publishedDraw) { d.after.Draw.Source = domain.QueueDrawNone }, wrong},
	} {
		t.Run(name, func(t *testing.T) {
			d := publishDraw(t)
			c.change(d)
			err := drawPlace(t.Context(), d.args(t))
			got := right
			if err != nil {
				got = exitCode(err)
			}
			if got != c.exit {
				t.Errorf("exit %d, want %d: %v", got, c.exit, err)
			}
		})
	}
	if err := drawPlace(t.Context(), []string{"-record", filepath.Join(t.TempDir(), "none")}); !errors.Is(err, waitingroom.ErrUnchecked) || exitCode(err) != blind {
		t.Errorf("a missing file: %v", err)
	}
}

// A draw of version 1 can be checked from its record as well as by flags.
func TestDrawChecksAnOldDrawFromItsRecord(t *testing.T) {
	seed, size := []byte("0123456789abcdef0123456789abcdef"), int64(10)
	d := publishDraw(t)
	d.after = api.QueueView{Sale: "rush", Draw: api.DrawRecordView{DrawView: api.DrawView{
		Version: 1, Source: domain.QueueDrawNone, State: waitingroom.DrawDrawn, Commitment: waitingroom.Commitment(seed, "rush"), Size: &size, Seed: hex.EncodeToString(seed),
	}}}
	record := d.args(t)[:2]
	if err := drawPlace(t.Context(), record); err != nil {
		t.Error(err)
	}
	if err := drawPlace(t.Context(), append(record, "-commitment", "00")); err == nil || exitCode(err) != 1 {
		t.Errorf("another commitment was kept: %v", err)
	}
	d.after.Draw.Seed = hex.EncodeToString(make([]byte, 32))
	if err := drawPlace(t.Context(), d.args(t)[:2]); err == nil || exitCode(err) != 1 {
		t.Errorf("another seed: %v", err)
	}
}

func TestABeaconOfTheEnvironment(t *testing.T) {
	drand := beacontest.New(t, time.Unix(1_700_000_000, 0), 3*time.Second)
	file := filepath.Join(t.TempDir(), "chain")
	if err := os.WriteFile(file, []byte(drand.Info), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, servers, chain string
		want                 string // the chain's hash
		ok                   bool
	}{
		{"none", "", "", "", true},
		{"quicknet", "https://api.drand.sh,https://drand.cloudflare.com", "", beacon.QuicknetHash, true},
		{"another chain", "http://127.0.0.1:1", file, hex.EncodeToString(func() []byte { h := drand.Chain().Hash; return h[:] }()), true},
		{"no URL", "api.drand.sh", "", "", false},
		{"no file", "https://api.drand.sh", file + "x", "", false},
	} {
		t.Setenv("BOXOFFICE_BEACON_URL", c.servers)
		t.Setenv("BOXOFFICE_BEACON_CHAIN", c.chain)
		client, err := readBeacon()
		got := ""
		if client != nil {
			hash := client.Chain().Hash
			got = hex.EncodeToString(hash[:])
		}
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%s: chain %q, %v", c.name, got, err)
		}
	}
}
