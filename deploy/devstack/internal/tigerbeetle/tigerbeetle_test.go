package tigerbeetle

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The release is written down once more so that a prebuilt stack needs no checkout; this keeps the two the same.
func TestReleaseIsTheClientsInGoMod(t *testing.T) {
	raw, err := os.ReadFile("../../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/tigerbeetle/tigerbeetle-go v" + Release; !strings.Contains(string(raw), want+"\n") &&
		!strings.Contains(string(raw), want+" ") {
		t.Errorf("the product's go.mod does not have %q", want)
	}
}

func TestChoose(t *testing.T) {
	nothing, given := Offer{}, Offer{Addresses: "127.0.0.1:3000"}
	fits, old := Offer{Binary: "/bin/tigerbeetle", Release: Release}, Offer{Binary: "/bin/tigerbeetle", Release: "0.16.1"}
	both := Offer{Addresses: "127.0.0.1:3000", Binary: "/bin/tigerbeetle", Release: "0.16.1"}
	cases := []struct {
		name string
		want Want
		have Offer
		kind Kind
		err  string // part of it; empty: none
	}{
		{"auto, nothing there", WantAuto, nothing, Embedded, ""},
		{"auto, one on PATH", WantAuto, fits, Own, ""},
		{"auto, one of another release on PATH", WantAuto, old, "", "0.16.1"},
		{"auto, an address", WantAuto, given, Given, ""},
		{"auto, the address wins over PATH", WantAuto, both, Given, ""},
		{"embedded, whatever is there", WantEmbedded, both, Embedded, ""},
		{"tigerbeetle, nothing there", WantTigerBeetle, nothing, "", "TIGERBEETLE_ADDRESS"},
		{"tigerbeetle, one on PATH", WantTigerBeetle, fits, Own, ""},
		{"tigerbeetle, one of another release on PATH", WantTigerBeetle, old, "", "LEDGER=embedded"},
		{"tigerbeetle, an address", WantTigerBeetle, given, Given, ""},
		{"postgres, whatever is there", WantPostgres, both, Postgres, ""},
		{"an invalid word", "sqlite", fits, "", "auto, tigerbeetle, embedded or postgres"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kind, err := Choose(c.want, c.have)
			if c.err == "" && (err != nil || kind != c.kind) {
				t.Errorf("Choose = %q, %v; want %q", kind, err, c.kind)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("Choose = %q, %v; want an error with %q", kind, err, c.err)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	cases := []struct{ text, release string }{
		{"TigerBeetle version 0.17.9+1259171\n", "0.17.9"},
		{"TigerBeetle version 0.16.78\n", "0.16.78"},
		{"TigerBeetle version 0.17\n", ""},
		{"zsh: command not found\n", ""},
		{"", ""},
	}
	for _, c := range cases {
		release, err := parseVersion(c.text)
		if release != c.release || (err == nil) != (c.release != "") {
			t.Errorf("parseVersion(%q) = %q, %v; want %q", c.text, release, err, c.release)
		}
	}
}

func TestExpand(t *testing.T) {
	cases := []struct{ address, hostPort string }{
		{"127.0.0.1:3000", "127.0.0.1:3000"},
		{"3000", "127.0.0.1:3000"},
		{"192.168.0.1", "192.168.0.1:3001"},
		{"[::1]:3000", "[::1]:3000"},
		{"", ""},
		{"1:2:3", ""},
	}
	for _, c := range cases {
		hostPort, err := expand(c.address)
		if hostPort != c.hostPort || (err == nil) != (c.hostPort != "") {
			t.Errorf("expand(%q) = %q, %v; want %q", c.address, hostPort, err, c.hostPort)
		}
	}
}

func TestProbeIsContentWithOneReplica(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	if err := Probe(context.Background(), gone.Addr().String()+", "+l.Addr().String()); err != nil {
		t.Error(err)
	}
	err = Probe(context.Background(), gone.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "TIGERBEETLE_ADDRESS") {
		t.Errorf("Probe = %v; want an error that names the variable", err)
	}
}

func TestFormatHappensOnceAndWhole(t *testing.T) {
	file := FileName(t.TempDir(), "0")
	if base := filepath.Base(file); base != "0_0.tigerbeetle" {
		t.Errorf("file name %q", base)
	}
	broken := errors.New("out of space")
	runs := 0
	run := func(result error) RunFunc {
		return func(_ context.Context, _, _ string, args ...string) error {
			runs++
			os.WriteFile(args[len(args)-1], []byte("half"), 0o600)
			return result
		}
	}
	if err := Format(context.Background(), "tigerbeetle", file, "0", run(broken)); !errors.Is(err, broken) {
		t.Errorf("Format = %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 0 {
		t.Errorf("a failed format left %v", left)
	}
	for range 2 {
		if err := Format(context.Background(), "tigerbeetle", file, "0", run(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); err != nil || runs != 2 {
		t.Errorf("%v after %d runs, want the file after 2: one that failed, one that did not", err, runs)
	}
}
