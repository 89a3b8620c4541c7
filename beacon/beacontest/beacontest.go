// Package beacontest is a drand chain with one member, for tests.
package beacontest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/bls"

	"boxoffice/beacon"
)

// A Drand signs the rounds of its own chain, and answers as a drand server does.
type Drand struct {
	Info string // as /info returns it
	Away atomic.Bool
	// Now says what has come out: it answers nothing later.
	Now   func() time.Time
	chain beacon.Chain
	key   *bls.PrivateKey[bls.KeyG2SigG1]
}

// New makes a chain whose rounds come out every period since genesis; both are whole seconds.
func New(t testing.TB, genesis time.Time, period time.Duration) *Drand {
	t.Helper()
	key, err := bls.KeyGen[bls.KeyG2SigG1](make([]byte, 32), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	d := &Drand{key: key, Now: time.Now, Info: fmt.Sprintf(`{"public_key": "%x", "period": %d, "genesis_time": %d,
		"groupHash": "%064x", "schemeID": "bls-unchained-g1-rfc9380", "metadata": {"beaconID": "test"}}`, public, period/time.Second, genesis.Unix(), 1)}
	if d.chain, err = beacon.ParseChain([]byte(d.Info)); err != nil {
		t.Fatal(err)
	}
	return d
}

// Chain is the chain.
func (d *Drand) Chain() beacon.Chain { return d.chain }

// Sign signs a round, whether or not it has come out.
func (d *Drand) Sign(round int64) []byte {
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(round)))
	return bls.Sign(d.key, message[:])
}

// Signature answers as beacon.Client does.
func (d *Drand) Signature(_ context.Context, round int64) ([]byte, error) {
	if d.Away.Load() || d.chain.Time(round).After(d.Now()) {
		return nil, errors.New("beacontest: the round has not come out, or the beacon is down")
	}
	return d.Sign(round), nil
}

// ServeHTTP answers /{hash}/info and /{hash}/public/{round}.
func (d *Drand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := "/" + hex.EncodeToString(d.chain.Hash[:])
	if r.URL.Path == base+"/info" {
		fmt.Fprint(w, d.Info)
		return
	}
	var round int64
	if n, err := fmt.Sscanf(r.URL.Path, base+"/public/%d", &round); n != 1 || err != nil || r.URL.Path != base+"/public/"+strconv.FormatInt(round, 10) {
		http.NotFound(w, r)
		return
	}
	signature, err := d.Signature(r.Context(), round)
	if err != nil {
		http.Error(w, `{"error":"too early"}`, http.StatusTooEarly)
		return
	}
	fmt.Fprintf(w, `{"round":%d,"randomness":"%x","signature":"%x"}`, round, beacon.Randomness(signature), signature)
}
