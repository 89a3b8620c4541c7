package domain

import "time"

// The versions of a draw, which say how to check it. A queue keeps the version that it
// was created with.
const (
	// QueueDrawOfSeed draws by the seed and the number of joins alone, at the opening.
	QueueDrawOfSeed = 1
	// QueueDrawOfList closes the list of joins at the opening, publishes its Merkle root,
	// and mixes the root, the size and what its source says into the seed.
	QueueDrawOfList = 2
)

// A QueueDrawSource names whose number goes into a draw. Nobody knows that number until
// the list is closed.
type QueueDrawSource string

// The sources.
const (
	QueueDrawNone    QueueDrawSource = "none"    // nobody's: anyone who knows the seed can steer the draw
	QueueDrawBeacon  QueueDrawSource = "beacon"  // a round of public randomness, named in advance
	QueueDrawWitness QueueDrawSource = "witness" // a number of another party, which committed to it in advance
)

// A QueueDraw says how the places of a queue are drawn, and how far the draw has come.
type QueueDraw struct {
	Version int             // 0: as QueueDrawOfSeed
	Source  QueueDrawSource // empty: no exchange has named it yet
	// Secret is the committed seed, once a draw of the list is made: Queue.Seed is then
	// what was mixed from it. Until then the committed seed is in Queue.Seed.
	Secret   []byte
	Closed   int64     // how many joins are on the list; QueueUndrawn: it is open
	ClosedAt time.Time // zero: it is open
	Root     []byte    // of the list, RFC 6962; nil: not known yet
	RootAt   time.Time // when it was published
	Beacon   QueueBeacon

	WitnessCommitment []byte // nil: the draw has no witness
	WitnessSecret     []byte // nil: not revealed

	WaivedAt     time.Time // when the organiser chose to draw without the source; zero: not waived
	WaivedReason string
}

// A QueueBeacon is the round of a drand chain that goes into a draw.
type QueueBeacon struct {
	Chain     []byte // its hash; nil: none
	Genesis   time.Time
	Period    time.Duration
	Named     int64  // the round that was named when the queue was made
	Round     int64  // the one that is used: a later one if the list was closed late
	Signature []byte // nil: not known yet
}

// Committed is the seed that was committed to when the queue was created.
func (q *Queue) Committed() []byte {
	if q.Draw.Secret != nil {
		return q.Draw.Secret
	}
	return q.Seed
}

// IsClosed reports whether it is settled who takes part in a draw of the list.
func (d *QueueDraw) IsClosed() bool { return !d.ClosedAt.IsZero() }

// KeepsList reports whether a new join goes on the draw's list.
func (d *QueueDraw) KeepsList() bool { return d.Version >= QueueDrawOfList && !d.IsClosed() }

// QueueJoins are join indexes given out together, on the draw's list.
type QueueJoins struct {
	First, Joins int64
	JoinedAt     time.Time // to the millisecond, as in their tokens
	Epoch        int       // the epoch's number, as in their tokens
}
