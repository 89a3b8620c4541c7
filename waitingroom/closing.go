package waitingroom

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"boxoffice/beacon"
	"boxoffice/domain"
)

// A draw of the list: the joins are closed at the opening, then the root of their list is
// published. After that comes a number that nobody had before: a round of the beacon, or
// what a witness had committed to. Only then are there places.
const (
	// beaconLead is the time from the closing of the joins to the round: time to publish
	// the root, and for people to see it.
	beaconLead = 10 * time.Second
	// beaconLeadLeast is how long the root must be public before the named round. If it
	// was public for less, a later round is used.
	beaconLeadLeast = 5 * time.Second
	// beaconHeard is the least time from the round to the draw. The round is known by
	// then, so people can be told when to ask.
	beaconHeard = 2 * time.Second
	// drawLate is when a draw that waits for its source counts as delayed.
	drawLate = 15 * time.Second
	// WaiveAfter is how long a draw waits for its source before the organiser may choose
	// to draw without it. It goes on waiting until they do.
	WaiveAfter = 10 * time.Minute

	beaconTimeout              = 8 * time.Second
	beaconRetry, beaconRetryIn = time.Second, 8 * time.Second
	waivedReasonBytesMax       = 200
)

// A Beacon is public randomness. beacon.Client is one.
type Beacon interface {
	Chain() beacon.Chain
	// Signature returns a round's signature, verified.
	Signature(ctx context.Context, round int64) ([]byte, error)
}

// Mix is the seed of a draw of the list: SHA-256(secret ‖ root ‖ size as 8 bytes ‖ what
// the source says). A beacon supplies its randomness, a witness its secret, 32 bytes
// both; without a source it is empty.
func Mix(secret, root []byte, size int64, source []byte) []byte {
	h := sha256.New()
	h.Write(secret)
	h.Write(root)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	h.Write(source)
	return h.Sum(nil)
}

// needsSource reports whether the draw waits for its source. If nobody or only one
// joined, there is nothing to draw.
func needsSource(d *domain.QueueDraw) bool {
	return d.Closed > 1 && d.WaivedAt.IsZero() && (d.Source == domain.QueueDrawBeacon || d.Source == domain.QueueDrawWitness)
}

// sourceSays is what the source adds to the seed.
func sourceSays(d *domain.QueueDraw) (says []byte, ok bool) {
	switch {
	case !needsSource(d):
		return nil, true
	case d.Source == domain.QueueDrawWitness:
		return d.WitnessSecret, d.WitnessSecret != nil
	case d.Beacon.Signature == nil:
		return nil, false
	default:
		return beacon.Randomness(d.Beacon.Signature), true
	}
}

// advanceDraw does as much of the draw as this exchange can. It reports whether the
// places were drawn in it.
func (r *Rooms) advanceDraw(of *room, q *domain.Queue, first int64) bool {
	d := &q.Draw
	if d.Version < domain.QueueDrawOfList {
		return draw(q, first)
	}
	if q.Drawn != domain.QueueUndrawn {
		return false
	}
	if d.Source == "" {
		nameSource(q, r.o.Beacon)
	}
	if !d.IsClosed() {
		if q.Now.Before(q.OpensAt) {
			return false
		}
		d.Closed, d.ClosedAt = first, q.Now
	}
	if d.Root == nil {
		if d.Root = of.list.root(q); d.Root == nil {
			return false
		}
		d.RootAt = q.Now
		d.Beacon.Round = roundOf(&d.Beacon, q.Now)
	}
	if d.Beacon.Signature == nil {
		d.Beacon.Signature = of.told.signature(&d.Beacon)
	}
	says, ok := sourceSays(d)
	if !ok || q.Now.Before(drawDue(q)) {
		return false
	}
	d.Secret, q.Seed = q.Seed, Mix(q.Seed, d.Root, d.Closed, says)
	q.Drawn, q.DrawnAt, q.Door.MovedAt = d.Closed, q.Now, q.Now
	return true
}

// nameSource says, before anybody has joined, what the draw will wait for.
func nameSource(q *domain.Queue, b Beacon) {
	d := &q.Draw
	switch {
	case d.WitnessCommitment != nil:
		d.Source = domain.QueueDrawWitness
	case b != nil:
		d.Source = domain.QueueDrawBeacon
		c := b.Chain()
		named := c.RoundAt(q.OpensAt.Add(beaconLead))
		d.Beacon = domain.QueueBeacon{Chain: c.Hash[:], Genesis: c.Genesis, Period: c.Period, Named: named, Round: named}
	default:
		d.Source = domain.QueueDrawNone
	}
}

// roundOf is the named round, unless the root is published so late that the round could
// already be known. Then it is the first round that nobody can know yet.
func roundOf(b *domain.QueueBeacon, rootAt time.Time) int64 {
	if b.Chain == nil || !beacon.Time(b.Genesis, b.Period, b.Named).Before(rootAt.Add(beaconLeadLeast)) {
		return b.Named
	}
	return beacon.RoundAt(b.Genesis, b.Period, rootAt.Add(beaconLead))
}

// roundTime is when the draw's round comes out; zero: it waits for none.
func roundTime(d *domain.QueueDraw) time.Time {
	if d.Source != domain.QueueDrawBeacon {
		return time.Time{}
	}
	return beacon.Time(d.Beacon.Genesis, d.Beacon.Period, d.Beacon.Round)
}

// drawDue is when the draw is expected.
func drawDue(q *domain.Queue) time.Time {
	if at := roundTime(&q.Draw); !at.IsZero() && (!q.Draw.IsClosed() || needsSource(&q.Draw)) {
		return at.Add(beaconHeard)
	}
	return later(q.OpensAt, q.Draw.ClosedAt)
}

// told is the beacon's last answer to this node.
type told struct {
	asking atomic.Bool
	nextAt atomic.Int64 // on the node's monotonic clock
	failed atomic.Int64 // failures in a row
	answer atomic.Pointer[toldRound]
}

type toldRound struct {
	chain     []byte
	round     int64
	signature []byte
}

func (t *told) signature(b *domain.QueueBeacon) []byte {
	a := t.answer.Load()
	if b.Chain == nil || a == nil || a.round != b.Round || !bytes.Equal(a.chain, b.Chain) {
		return nil
	}
	return a.signature
}

// awaitsBeacon reports whether the draw's round has come out and this node has not got it
// yet.
func (r *Rooms) awaitsBeacon(of *room, s *snapshot, mono time.Duration) bool {
	d := &s.Draw
	return r.o.Beacon != nil && s.Drawn == domain.QueueUndrawn && d.Source == domain.QueueDrawBeacon && d.Root != nil && needsSource(d) &&
		!s.now(mono).Before(roundTime(d)) && of.told.signature(&d.Beacon) == nil && mono >= time.Duration(of.told.nextAt.Load())
}

// askBeacon asks for the draw's round. If there is no answer, the draw waits: see
// WaiveAfter.
func (r *Rooms) askBeacon(ctx context.Context, of *room) {
	s := of.last.Load()
	b := &s.Draw.Beacon
	var signature []byte
	var err error
	if chain := r.o.Beacon.Chain(); bytes.Equal(chain.Hash[:], b.Chain) {
		ctx, cancel := context.WithTimeout(ctx, beaconTimeout)
		defer cancel()
		signature, err = r.o.Beacon.Signature(ctx, b.Round)
	} else {
		err = fmt.Errorf("the draw waits for chain %x, this node asks chain %x", b.Chain, chain.Hash)
	}
	if err != nil {
		times := of.told.failed.Add(1)
		of.told.nextAt.Store(int64(r.mono() + min(beaconRetry<<min(times-1, 8), beaconRetryIn)))
		level := slog.LevelDebug // a round comes out a moment after its time
		if times > 3 {
			level = slog.LevelWarn
		}
		r.o.Log.Log(ctx, level, "waiting room: the beacon does not answer: the draw waits", "sale", of.sale, "round", b.Round, "err", err)
		return
	}
	of.told.failed.Store(0)
	of.told.answer.Store(&toldRound{chain: b.Chain, round: b.Round, signature: signature})
}

// BindWitness records what a witness has committed to, before anybody has joined: the hex
// SHA-256(secret ‖ sale id) of 32 secret bytes. Errors: *domain.Error with CodeInvalid,
// CodeNotFound; after any other it is not known whether it was stored.
func (r *Rooms) BindWitness(ctx context.Context, saleID, commitment string) error {
	hash, err := ParseWitness(commitment)
	if err != nil {
		return err
	}
	return r.o.Store.ChangeDraw(ctx, saleID, func(q *domain.Queue) error {
		d := &q.Draw
		switch {
		case bytes.Equal(d.WitnessCommitment, hash):
			return nil
		case d.Version < domain.QueueDrawOfList || q.Joined > 0 || d.Source != "" || d.WitnessCommitment != nil:
			return domain.Invalid("queue.witness_commitment", "cannot change once the sale's queue exists")
		}
		d.WitnessCommitment = hash
		return nil
	})
}

// ParseWitness reads a witness's commitment.
func ParseWitness(commitment string) ([]byte, error) {
	hash, err := hex.DecodeString(commitment)
	if err != nil || len(hash) != sha256.Size {
		return nil, domain.Invalid("queue.witness_commitment", "must be a SHA-256 in 64 hexadecimal digits")
	}
	return hash, nil
}

// A Settlement is what an organiser supplies to a draw that waits: one of these.
type Settlement struct {
	WitnessSecret   string // hex
	BeaconSignature string // hex; if no node can reach the beacon
	Waive           string // why the draw is made without the source
}

// Settle gives a draw what it waits for. What is given becomes public with the draw.
//
// Errors: *domain.Error with CodeInvalid if it is wrong or too early; CodeNotFound; after
// any other it is not known whether it was stored.
func (r *Rooms) Settle(ctx context.Context, saleID string, given Settlement) (RoomState, error) {
	err := r.o.Store.ChangeDraw(ctx, saleID, func(q *domain.Queue) error { return r.settle(q, given) })
	if err != nil {
		return RoomState{}, err
	}
	since := r.mono()
	of, _, err := r.open(ctx, saleID)
	if err != nil {
		return RoomState{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	return r.stateOf(of, of.newer(ctx, since)), nil
}

func (r *Rooms) settle(q *domain.Queue, given Settlement) error {
	d := &q.Draw
	switch {
	case q.Drawn != domain.QueueUndrawn:
		return domain.Invalid("draw", "is done: nothing can change it")
	case d.Root == nil || !needsSource(d):
		return domain.Invalid("draw", "waits for nothing: the list of joins is not closed, or nothing but the list goes into it")
	}
	switch {
	case given.WitnessSecret != "":
		return reveal(q, given.WitnessSecret)
	case given.BeaconSignature != "":
		return r.bringBeacon(q, given.BeaconSignature)
	default:
		return waive(q, given.Waive)
	}
}

func reveal(q *domain.Queue, given string) error {
	d := &q.Draw
	secret, err := hex.DecodeString(given)
	switch {
	case d.Source != domain.QueueDrawWitness:
		return domain.Invalid("witness_secret", "is not what this draw waits for")
	case err != nil || len(secret) != sha256.Size || Commitment(secret, q.SaleID) != hex.EncodeToString(d.WitnessCommitment):
		return domain.Invalid("witness_secret", "is not what the witness committed to")
	}
	d.WitnessSecret = secret
	return nil
}

// bringBeacon takes a round from anybody who could reach the beacon: the chain signed it.
func (r *Rooms) bringBeacon(q *domain.Queue, given string) error {
	d := &q.Draw
	signature, err := hex.DecodeString(given)
	if d.Source != domain.QueueDrawBeacon {
		return domain.Invalid("beacon_signature", "is not what this draw waits for")
	}
	chain := r.chain(d.Beacon.Chain)
	if !chain.Known() {
		return domain.Invalid("beacon_signature", "cannot be checked: this node does not know the draw's chain")
	}
	if err != nil || !chain.Verify(d.Beacon.Round, signature) {
		return domain.Invalid("beacon_signature", fmt.Sprintf("is not that of round %d", d.Beacon.Round))
	}
	d.Beacon.Signature = signature
	return nil
}

// chain returns the chain with a hash, if this node knows it.
func (r *Rooms) chain(hash []byte) beacon.Chain {
	if r.o.Beacon != nil {
		if c := r.o.Beacon.Chain(); bytes.Equal(c.Hash[:], hash) {
			return c
		}
	}
	if c := beacon.Quicknet(); bytes.Equal(c.Hash[:], hash) {
		return c
	}
	return beacon.Chain{}
}

// waive draws without the source, and everybody can see that.
func waive(q *domain.Queue, reason string) error {
	d := &q.Draw
	if err := domain.CheckTitle("waive", reason, waivedReasonBytesMax); err != nil { // everybody reads it
		return err
	}
	if may := later(roundTime(d), d.RootAt).Add(WaiveAfter); q.Now.Before(may) {
		e := domain.Invalid("waive", "is possible from "+may.UTC().Format(time.RFC3339)+" on: until then the draw waits")
		return e
	}
	d.WaivedAt, d.WaivedReason = q.Now, reason
	return nil
}
