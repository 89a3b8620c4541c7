package domain

import "time"

// The versions of a draw, by which it is checked. A queue keeps the one it was made with.
const (
	// QueueDrawOfSeed is by the seed and the number of joins alone, at the opening.
	QueueDrawOfSeed = 1
	// QueueDrawOfList closes the list of joins at the opening, publishes its Merkle root, and
	// mixes root, size and what its source says into the seed.
	QueueDrawOfList = 2
)

// A QueueDrawSource is whose number, unknown until the list is closed, goes into a draw.
type QueueDrawSource string

// The sources.
const (
	QueueDrawNone    QueueDrawSource = "none"    // nobody's: whoever knows the seed can steer it
	QueueDrawBeacon  QueueDrawSource = "beacon"  // a round of public randomness, named in advance
	QueueDrawWitness QueueDrawSource = "witness" // another party's, who committed to it in advance
)

// A QueueDraw is how the places of a queue are drawn, and how far that is.
type QueueDraw struct {
	Version int             // 0: as QueueDrawOfSeed
	Source  QueueDrawSource // empty: no exchange has named it yet
	// Secret is what the commitment binds, of a draw of the list that is made: Queue.Seed is
	// what was mixed of it then. Until then it is Queue.Seed.
	Secret   []byte
	Closed   int64     // how many are on the list; QueueUndrawn: it is open
	ClosedAt time.Time // zero: it is open
	Root     []byte    // of the list, RFC 6962; nil: not known yet
	RootAt   time.Time // when it was published
	Beacon   QueueBeacon

	WitnessCommitment []byte // nil: there is none
	WitnessSecret     []byte // nil: not revealed

	WaivedAt     time.Time // when the organiser chose to draw without the source; zero: did not
	WaivedReason string
}

// A QueueBeacon is the round of a drand chain that goes into a draw.
type QueueBeacon struct {
	Chain     []byte // its hash; nil: none
	Genesis   time.Time
	Period    time.Duration
	Named     int64  // the round that was named when the queue was made
	Round     int64  // the one that is used: a later one where the list was closed late
	Signature []byte // nil: not known yet
}

// Committed is the seed that was committed to when the queue was made.
func (q *Queue) Committed() []byte {
	if q.Draw.Secret != nil {
		return q.Draw.Secret
	}
	return q.Seed
}

// IsClosed reports whether it is settled who takes part in a draw of the list.
func (d *QueueDraw) IsClosed() bool { return !d.ClosedAt.IsZero() }

// KeepsList reports whether who joins now is on the list of the draw.
func (d *QueueDraw) KeepsList() bool { return d.Version >= QueueDrawOfList && !d.IsClosed() }

// QueueJoins are join indexes that were given out at once: on the list of the draw.
type QueueJoins struct {
	First, Joins int64
	JoinedAt     time.Time // to the millisecond, as their tokens say it
	Epoch        int       // the number of the epoch, as their tokens say it
}
