package beacon_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"boxoffice/beacon"
	"boxoffice/beacon/beacontest"
)

// A round of quicknet as the network published it.
const (
	quicknetRound      = 1000
	quicknetSignature  = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
	quicknetRandomness = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"
)

func TestQuicknetIsWhatItsMembersPublish(t *testing.T) {
	c := beacon.Quicknet()
	if got := hex.EncodeToString(c.Hash[:]); got != beacon.QuicknetHash {
		t.Errorf("hash %s, want %s", got, beacon.QuicknetHash)
	}
	signature, err := hex.DecodeString(quicknetSignature)
	if err != nil || !c.Verify(quicknetRound, signature) {
		t.Error("a signature of quicknet is refused")
	}
	if got := hex.EncodeToString(beacon.Randomness(signature)); got != quicknetRandomness {
		t.Errorf("randomness %s, want %s", got, quicknetRandomness)
	}
	for i := range signature {
		forged := bytes.Clone(signature)
		forged[i] ^= 1
		if c.Verify(quicknetRound, forged) {
			t.Errorf("with byte %d changed it is not refused", i)
		}
	}
	if c.Verify(quicknetRound+1, signature) || c.Verify(0, signature) || c.Verify(-1, signature) || c.Verify(quicknetRound, nil) {
		t.Error("of another round it is not refused")
	}
	if (beacon.Chain{}).Verify(quicknetRound, signature) {
		t.Error("no chain signed it")
	}
}

func TestRoundsAndTheirTimes(t *testing.T) {
	genesis := time.Unix(1000, 0)
	for _, c := range []struct {
		seconds float64
		round   int64
	}{{-500, 1}, {0, 1}, {0.001, 2}, {3, 2}, {3.5, 3}, {30, 11}} {
		at := genesis.Add(time.Duration(c.seconds * float64(time.Second)))
		round := beacon.RoundAt(genesis, 3*time.Second, at)
		if round != c.round {
			t.Errorf("%g s: round %d, want %d", c.seconds, round, c.round)
		}
		if beacon.Time(genesis, 3*time.Second, round).Before(at) {
			t.Errorf("%g s: round %d came out before", c.seconds, round)
		}
	}
}

func TestAChainThatIsNotUnderstoodIsRefused(t *testing.T) {
	good := beacontest.New(t, time.Unix(1000, 0), 3*time.Second).Info
	for _, c := range []struct{ name, old, new string }{
		{"another scheme", "bls-unchained-g1-rfc9380", "pedersen-bls-chained"},
		{"no point", `"public_key": "`, `"public_key": "ff`},
		{"no period", `"period": 3`, `"period": 0`},
		{"an endless period", `"period": 3`, `"period": 90000`},
		{"before 1970", `"genesis_time": 1000`, `"genesis_time": -1`},
		{"no group", `"groupHash": "0`, `"groupHash": "x`},
		{"no JSON", `{`, `[`},
		{"much", `{`, strings.Repeat(" ", 9000) + `{`},
	} {
		if _, err := beacon.ParseChain([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil {
			t.Errorf("%s is taken", c.name)
		}
	}
}

// Servers are not believed: what the chain did not sign is like no answer.
func TestTheClientTakesWhatTheChainSigned(t *testing.T) {
	drand := beacontest.New(t, time.Unix(1000, 0), 3*time.Second)
	drand.Now = func() time.Time { return time.Unix(2000, 0) }
	good := httptest.NewServer(drand)
	defer good.Close()
	answer := func(body string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		t.Cleanup(s.Close)
		return s
	}
	elsewhere := httptest.NewServer(http.RedirectHandler(good.URL, http.StatusFound))
	defer elsewhere.Close()
	for _, c := range []struct {
		name    string
		servers []string
		round   int64
		ok      bool
	}{
		{"the chain's", []string{good.URL}, 7, true},
		{"with a slash", []string{good.URL + "/"}, 7, true},
		{"not out yet", []string{good.URL}, 100_000, false},
		{"behind one that lies", []string{answer(fmt.Sprintf(`{"round":7,"signature":"%x"}`, drand.Sign(8))).URL, good.URL}, 7, true},
		{"of another round", []string{answer(fmt.Sprintf(`{"round":8,"signature":"%x"}`, drand.Sign(8))).URL}, 7, false},
		{"no JSON", []string{answer("<html>").URL}, 7, false},
		{"endless", []string{answer(strings.Repeat(" ", 1<<20)).URL}, 7, false},
		{"elsewhere", []string{elsewhere.URL}, 7, false},
	} {
		client, err := beacon.NewClient(drand.Chain(), c.servers)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := client.Signature(t.Context(), c.round)
		if (err == nil) != c.ok || c.ok && !bytes.Equal(signature, drand.Sign(c.round)) {
			t.Errorf("%s: %x, %v", c.name, signature, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, _ := beacon.NewClient(drand.Chain(), []string{good.URL})
	if _, err := client.Signature(ctx, 7); err == nil {
		t.Error("an ended context is not heeded")
	}
}

func TestServersHaveURLs(t *testing.T) {
	for _, servers := range [][]string{nil, {"api.drand.sh"}, {"ftp://api.drand.sh"}, {"https://a:b@api.drand.sh"}, {"https://api.drand.sh?x"}, make([]string, beacon.ServersMax+1)} {
		if _, err := beacon.NewClient(beacon.Quicknet(), servers); err == nil {
			t.Errorf("%q are taken", servers)
		}
	}
}

func FuzzParseRound(f *testing.F) {
	chain := beacon.Quicknet()
	f.Add([]byte(fmt.Sprintf(`{"round":1000,"signature":"%s"}`, quicknetSignature)))
	f.Add([]byte(`{"round":1000,"signature":"00"}`))
	f.Add([]byte(fmt.Sprintf(`{"round":1000,"signature":"c0%094d"}`, 0))) // the point at infinity
	f.Fuzz(func(t *testing.T, data []byte) {
		signature, err := beacon.ParseRound(data, chain, quicknetRound)
		if err == nil && hex.EncodeToString(signature) != quicknetSignature {
			t.Errorf("a second signature of one round: %x", signature)
		}
	})
}

func FuzzParseChain(f *testing.F) {
	f.Add([]byte(beacontest.New(f, time.Unix(1000, 0), 3*time.Second).Info))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain, err := beacon.ParseChain(data)
		if err != nil {
			return
		}
		at := time.Unix(4_000_000_000, 0)
		round := chain.RoundAt(at)
		if !chain.Known() || round < 1 || chain.Time(round).Before(at) && round > 1 || chain.Verify(round, make([]byte, beacon.SignatureLen)) {
			t.Errorf("%+v", chain)
		}
	})
}
