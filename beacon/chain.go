// Package beacon reads public randomness from a drand chain: numbers that nobody knows
// before their time, each signed by a threshold of the chain's members. It trusts no
// server: it checks what it reads against the chain, and the chain against its hash.
//
// It understands chains of the scheme bls-unchained-g1-rfc9380, such as drand's quicknet.
// See https://docs.drand.love/docs/specification.
package beacon

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cloudflare/circl/sign/bls"
)

const (
	scheme = "bls-unchained-g1-rfc9380"
	// defaultID is the beacon id that the hash of a chain leaves out.
	defaultID = "default"

	hashLen = sha256.Size
	// SignatureLen is a compressed point of G1.
	SignatureLen = 48
	publicKeyLen = 96
	// infoBytesMax limits the size of a chain's description.
	infoBytesMax = 8 << 10
	periodMax    = 24 * time.Hour
	idBytesMax   = 64
)

// A Chain is what is fixed about a drand chain: when its rounds come out, and whose they
// are. The zero value is none.
type Chain struct {
	Hash    [hashLen]byte // binds everything else
	Period  time.Duration // whole seconds
	Genesis time.Time     // when round 1 came out; whole seconds
	key     *bls.PublicKey[bls.KeyG2SigG1]
}

// info is what a drand node returns at /{chain hash}/info.
type info struct {
	PublicKey   string `json:"public_key"`
	Period      int64  `json:"period"`
	GenesisTime int64  `json:"genesis_time"`
	GroupHash   string `json:"groupHash"`
	SchemeID    string `json:"schemeID"`
	Metadata    struct {
		BeaconID string `json:"beaconID"`
	} `json:"metadata"`
}

// quicknetInfo is https://api.drand.sh/52db9ba7…/info, of the League of Entropy: a
// round every three seconds.
const quicknetInfo = `{
	"public_key": "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
	"period": 3, "genesis_time": 1692803367,
	"groupHash": "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
	"schemeID": "bls-unchained-g1-rfc9380", "metadata": {"beaconID": "quicknet"}}`

// QuicknetHash is the hash of drand's quicknet, as its members publish it.
const QuicknetHash = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"

// Quicknet is drand's chain of that name.
func Quicknet() Chain {
	c, err := ParseChain([]byte(quicknetInfo))
	if err != nil {
		panic(err) // a constant: tests parse it
	}
	return c
}

// ParseChain reads what drand returns at /info. It computes the hash instead of reading
// it.
func ParseChain(data []byte) (Chain, error) {
	if len(data) > infoBytesMax {
		return Chain{}, fmt.Errorf("beacon: the chain's info has %d bytes, more than %d", len(data), infoBytesMax)
	}
	var i info
	if err := json.Unmarshal(data, &i); err != nil {
		return Chain{}, fmt.Errorf("beacon: the chain's info is not JSON as drand answers it: %w", err)
	}
	key, keyErr := hex.DecodeString(i.PublicKey)
	group, groupErr := hex.DecodeString(i.GroupHash)
	switch {
	case i.SchemeID != scheme:
		return Chain{}, fmt.Errorf("beacon: the chain has scheme %.40q, only %s is understood", i.SchemeID, scheme)
	case keyErr != nil || len(key) != publicKeyLen:
		return Chain{}, fmt.Errorf("beacon: the chain's public_key is not %d bytes in hexadecimal digits", publicKeyLen)
	case groupErr != nil || len(group) != hashLen:
		return Chain{}, fmt.Errorf("beacon: the chain's groupHash is not %d bytes in hexadecimal digits", hashLen)
	case i.Period < 1 || i.Period > int64(periodMax/time.Second):
		return Chain{}, errors.New("beacon: the chain's period is not 1 second to a day")
	case i.GenesisTime < 0 || i.GenesisTime > math.MaxInt32*2:
		return Chain{}, errors.New("beacon: the chain's genesis_time is not a time in seconds")
	case len(i.Metadata.BeaconID) > idBytesMax:
		return Chain{}, errors.New("beacon: the chain's beaconID is too long")
	}
	c := Chain{Period: time.Duration(i.Period) * time.Second, Genesis: time.Unix(i.GenesisTime, 0).UTC(), key: new(bls.PublicKey[bls.KeyG2SigG1])}
	if err := c.key.UnmarshalBinary(key); err != nil || !c.key.Validate() {
		return Chain{}, errors.New("beacon: the chain's public_key is not a point of G2")
	}
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(i.Period)))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(i.GenesisTime)))
	h.Write(key)
	h.Write(group)
	if id := i.Metadata.BeaconID; id != "" && id != defaultID {
		h.Write([]byte(id))
	}
	h.Sum(c.Hash[:0])
	return c, nil
}

// Known reports whether c is a chain.
func (c Chain) Known() bool { return c.key != nil }

// RoundAt is the first round that comes out at the given time or later.
func (c Chain) RoundAt(t time.Time) int64 { return RoundAt(c.Genesis, c.Period, t) }

// Time is when a round comes out.
func (c Chain) Time(round int64) time.Time { return Time(c.Genesis, c.Period, round) }

// RoundAt is the first round at the given time or later, for a chain of which only this
// much is known.
func RoundAt(genesis time.Time, period time.Duration, t time.Time) int64 {
	if !t.After(genesis) {
		return 1
	}
	return int64((t.Sub(genesis)+period-1)/period) + 1
}

// Time is when a round of such a chain comes out.
func Time(genesis time.Time, period time.Duration, round int64) time.Time {
	return genesis.Add(time.Duration(round-1) * period)
}

// Verify reports whether the chain made this signature for the round. Each round has
// exactly one signature.
func (c Chain) Verify(round int64, signature []byte) bool {
	if !c.Known() || round < 1 || len(signature) != SignatureLen {
		return false
	}
	message := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(round)))
	return bls.Verify(c.key, message[:], signature)
}

// Randomness of a round is the hash of its signature.
func Randomness(signature []byte) []byte {
	sum := sha256.Sum256(signature)
	return sum[:]
}
