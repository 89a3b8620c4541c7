package waitingroom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/domain"

	"github.com/prometheus/client_golang/prometheus"
)

// A Status is what a token's holder may do.
type Status string

// The statuses.
const (
	StatusDraw     Status = "draw"     // the sale has not opened: places are drawn when it does
	StatusWaiting  Status = "waiting"  // not yet
	StatusAdmitted Status = "admitted" // may check out
	StatusPaused   Status = "paused"   // the organiser holds the door
	StatusSoldOut  Status = "sold_out" // nothing is held that may come back: only a refund brings seats, and then the place counts again
	StatusClosed   Status = "closed"   // the sale has closed, or its organiser ended it: if it opens again, the place counts again
	StatusCanceled Status = "canceled" // the organiser canceled the sale
)

// A Place says where a token is in the queue.
type Place struct {
	Sale          string
	Status        Status
	Index         int64         // the join index: earlier joins have lower ones
	Position      int64         // 1 is next; 0 before the draw and once admitted
	Ahead         int64         // places before this one, including abandoned ones; 0 before the draw and once admitted
	Waiting       int64         // places that wait, in total
	Wait          time.Duration // an estimate, on the safe side; 0: unknown or none
	RatePerSecond float64
	JoinedAt      time.Time
	OpensAt       time.Time
	Late          bool          // its turn has passed: it is let in again, alternating with those at the door
	AdmittedUntil time.Time     // until when a checkout may begin; zero: not admitted, or as long as the token is valid
	RetryAfter    time.Duration // ask again then; somebody silent for PresenceTimeout counts as gone
	Draw          Draw
}

// A DrawState says how far a draw has come.
type DrawState string

// The states of a draw.
const (
	DrawOpen    DrawState = "open"    // a new join takes part
	DrawClosed  DrawState = "closed"  // it is known who takes part; the places will be drawn soon
	DrawDelayed DrawState = "delayed" // what the draw waits for has not come in time
	DrawDrawn   DrawState = "drawn"
)

// A Draw is what everybody is always told about a draw. Its record has the rest.
type Draw struct {
	Version    int
	State      DrawState
	Source     domain.QueueDrawSource // of a draw of version 1, none
	Commitment string                 // hex SHA-256(committed seed ‖ sale id), published before
	Size       int64                  // how many take part; -1 until that is known
	Root       string                 // hex, of the list; empty before
	DueAt      time.Time              // when the draw is expected
	Waived     bool                   // the organiser chose to draw without the source
	Seed       string                 // the committed one, hex; empty before the draw
}

// A DrawRecord has what is needed to check a draw of the list, in addition to its Draw.
type DrawRecord struct {
	ClosedAt, RootAt, DrawnAt time.Time
	Beacon                    domain.QueueBeacon
	BeaconAt                  time.Time // when its round comes out
	WitnessCommitment         []byte
	WitnessSecret             []byte
	WaivedAt                  time.Time
	WaivedReason              string
}

// A RoomState is what is public about a waiting room, and its settings.
type RoomState struct {
	Sale          string
	Status        Status // StatusDraw, StatusWaiting, StatusPaused, StatusSoldOut, StatusClosed or StatusCanceled
	Waiting       int64
	Admitted      int64
	Joined        int64
	RatePerSecond float64
	Paused        bool
	Draw          Draw
	Record        DrawRecord
	Settings      domain.QueueSettings
}

// A Store is the database that the nodes share. orders.Store is one.
type Store interface {
	// ExchangeQueue adds joins to a sale's queue, lets turn decide, and writes its
	// decision, all in one transaction. It returns the first index of the joins and the
	// state after. CodeNotFound: the sale has no waiting room. After any other error it
	// is not known whether it took effect.
	ExchangeQueue(ctx context.Context, saleID string, joins int64, turn domain.QueueTurn) (first int64, q *domain.Queue, err error)
	// QueueEntries reads who was let in, see domain.QueueStamp: two bytes a place for
	// each chunk of places, nothing if nobody in it was.
	QueueEntries(ctx context.Context, saleID string, chunks []int64) (map[int64][]byte, error)
	// QueueJoins reads a queue's list from a join index on, see domain.QueueJoins. The
	// first row may begin before the index.
	QueueJoins(ctx context.Context, saleID string, from int64, rowsMax int) ([]domain.QueueJoins, error)
	// ChangeDraw lets change decide what happens to Queue.Draw, and writes that. It
	// returns an error of change. CodeNotFound as above.
	ChangeDraw(ctx context.Context, saleID string, change func(q *domain.Queue) error) error
	// ConfigureQueue sets what the organiser may set. CodeNotFound as above.
	ConfigureQueue(ctx context.Context, saleID string, s domain.QueueSettings) error
}

// Options of New. Meter and Beacon may be nil; all others are required.
type Options struct {
	Store Store
	Keys  *domain.Keyring
	Node  string      // distinguishes this process from every other, including earlier ones
	Load  func() Load // only Run calls it
	// Stock is the ledger's answer about the sale. It is called at most every
	// StockInterval.
	Stock func(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	Sales func(ctx context.Context) ([]*domain.Sale, error)
	// Beacon goes into the draws of queues that are created from now on without a
	// witness.
	Beacon Beacon
	Meter  prometheus.Registerer
	Log    *slog.Logger
}

const (
	// ExchangeInterval is how often a node exchanges with the others about a sale that
	// somebody queues for.
	ExchangeInterval = 100 * time.Millisecond
	// StockInterval is how often the ledger is asked whether a sale has seats.
	StockInterval = 500 * time.Millisecond

	exchangeTimeout = 2 * time.Second
	exchangeRetry   = 500 * time.Millisecond
	stockTimeout    = 2 * time.Second
	joinTimeout     = 3 * time.Second
	// freshFor is how old a state may be for an answer without asking again. freshTimeout
	// is how long asking may take.
	freshFor     = time.Second
	freshTimeout = time.Second
	// soldOutFor is how old the ledger's answer may be to stop people from joining.
	soldOutFor = 4 * StockInterval
	// activeFor is how long a room is exchanged after the last question.
	activeFor = PresenceTimeout
	// forgetAfter is how long after the last question a room is removed.
	forgetAfter = 10 * time.Minute

	// retryMin and retryMax limit when to ask again.
	retryMin, retryMax = time.Second, 30 * time.Second
	// estimateShare of the goal is a safe estimate of what the door keeps to.
	// estimateLeast is how long it may stand after a cut.
	estimateShare = 0.7
	estimateLeast = 2 * time.Second
	// retryPortion is the part of the shortest possible wait before asking again; clients
	// add to what they are told.
	retryPortion = 0.5
	// drawPollsPerSecond is how many people learn of the draw in a second: what one small
	// node answers. If there are more than it answers in drawSpreadMax, more ask per
	// second.
	drawPollsPerSecond = 10_000
	drawSpreadMax      = 10 * time.Second
	// placesPerTicketMax places may wait at a time for each ticket, at least waitingLeast
	// and at most waitingMost in total.
	placesPerTicketMax = 200
	waitingLeast       = 1_000_000
	waitingMost        = JoinsMax / 2
	// roomsMax limits the sales that people queue for on one node at a time.
	roomsMax = 1000
)

// Rooms are the waiting rooms of this node. It is safe for concurrent use.
type Rooms struct {
	o     Options
	began time.Time // its monotonic reading is the node's clock
	count atomic.Int64
	rooms sync.Map // sale id → *room

	proofs    chan struct{} // proofsMax that are computed
	pulse     pulse         // of Run
	perSecond atomic.Uint64 // what the engine does, by the last exchange: the bits of a float64
}

// New makes the waiting rooms. Nothing moves until Run. The error names the missing
// option, or the metric whose name is taken.
func New(o Options) (*Rooms, error) {
	if o.Store == nil || o.Keys == nil || o.Node == "" || o.Load == nil || o.Stock == nil || o.Sales == nil || o.Log == nil {
		return nil, errors.New("waitingroom: an option is missing: all but Meter and Beacon are required")
	}
	r := &Rooms{o: o, began: time.Now(), proofs: make(chan struct{}, proofsMax)}
	if o.Meter != nil {
		if err := o.Meter.Register(collector{r}); err != nil {
			return nil, fmt.Errorf("waitingroom: register metrics: %w", err)
		}
	}
	return r, nil
}

func (r *Rooms) mono() time.Duration { return time.Since(r.began) }

// Run exchanges with the other nodes until ctx ends, then waits at most two seconds for
// what is under way. It returns nil.
func (r *Rooms) Run(ctx context.Context) error {
	tick := time.NewTicker(ExchangeInterval)
	defer tick.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		load := r.o.Load()
		r.pulse.perSecond = math.Float64frombits(r.perSecond.Load())
		checkouts := checkoutsOf(&load, r.pulse.take(&load, r.mono()), r.openDoors())
		r.rooms.Range(func(_, value any) bool {
			r.serve(ctx, value.(*room), checkouts, &running)
			return true
		})
	}
}

// checkoutsState is what a node knows about the checkouts, for the doors of all its
// sales.
type checkoutsState struct {
	own    word
	part   float64 // each door's share of the engine
	direct bool    // sales without a door have much of it
	// opens are the payment pages of each provider.
	opens map[string][len(LoadWindows)]OpenWindow
}

func opensOf(windows [len(LoadWindows)]OpenWindow) (o [len(LoadWindows)]opens) {
	for i, w := range windows {
		o[i] = opens{w.Opened, w.Refused}
	}
	return o
}

func checkoutsOf(l *Load, own word, doors int) checkoutsState {
	direct := 0.0
	for _, share := range l.Direct {
		direct += share
	}
	return checkoutsState{own: own, part: part(l.Direct, doors), direct: direct >= directShare, opens: l.Opens}
}

// isDoorOpen reports whether the door would let people in, if there are any.
func (r *Rooms) isDoorOpen(of *room) bool {
	return of.active(r.mono()) && mayOpen(&of.last.Load().Queue, of.hasSeats())
}

// openDoors counts the sales that let people in now.
func (r *Rooms) openDoors() (n int) {
	r.rooms.Range(func(_, value any) bool {
		of := value.(*room)
		q := &of.last.Load().Queue
		if r.isDoorOpen(of) && (q.Door.Admitted < q.Joined || of.late.waiting()) {
			n++
		}
		return true
	})
	return n
}

// serve starts what is due for a room. At most one exchange and one look at the ledger
// are under way, so a slow one delays only its own sale.
func (r *Rooms) serve(ctx context.Context, of *room, checkouts checkoutsState, running *sync.WaitGroup) {
	now := r.mono()
	if !of.active(now) {
		r.forget(of, now)
		return
	}
	r.serveDraw(ctx, of, now, running)
	if !of.due(now) {
		return
	}
	if of.exchanging.CompareAndSwap(false, true) {
		if now < of.retryAt {
			of.exchanging.Store(false)
		} else {
			running.Go(func() {
				defer of.exchanging.Store(false)
				r.exchange(ctx, of, checkouts)
			})
		}
	}
	if now >= time.Duration(of.countAt.Load()) && of.counting.CompareAndSwap(false, true) {
		of.countAt.Store(int64(now + StockInterval))
		running.Go(func() {
			defer of.counting.Store(false)
			r.countSeats(ctx, of)
		})
	}
}

// serveDraw starts what a draw needs in addition to the exchanges.
func (r *Rooms) serveDraw(ctx context.Context, of *room, now time.Duration, running *sync.WaitGroup) {
	s := of.last.Load()
	if of.list.due(s) && of.list.growing.CompareAndSwap(false, true) {
		running.Go(func() {
			defer of.list.growing.Store(false)
			r.growList(ctx, of)
		})
	}
	if r.awaitsBeacon(of, s, now) && of.told.asking.CompareAndSwap(false, true) {
		running.Go(func() {
			defer of.told.asking.Store(false)
			r.askBeacon(ctx, of)
		})
	}
}

// forget removes a room that nobody asks for any more: what it knows is in the database,
// or too old to matter. Whoever comes back gets a new one.
func (r *Rooms) forget(of *room, now time.Duration) {
	if now-time.Duration(of.asked.Load()) <= forgetAfter || !of.close() {
		return
	}
	r.remove(of)
}

// makeRoom forgets a room without people, the one that was asked for longest ago. It
// reports whether there was one.
func (r *Rooms) makeRoom(now time.Duration) bool {
	var oldest *room
	r.rooms.Range(func(_, value any) bool {
		of := value.(*room)
		if !of.due(now) && (oldest == nil || of.asked.Load() < oldest.asked.Load()) {
			oldest = of
		}
		return true
	})
	if oldest == nil || !oldest.close() {
		return false
	}
	r.remove(oldest)
	return true
}

func (r *Rooms) remove(of *room) {
	if r.rooms.CompareAndDelete(of.sale, of) {
		r.count.Add(-1)
	}
}

// exchange is the one transaction per node and interval.
func (r *Rooms) exchange(ctx context.Context, of *room, checkouts checkoutsState) {
	// Those who joined get an answer even if the process is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeTimeout)
	defer cancel()
	of.wanted.Store(false) // before the exchange: a caller who comes during it may need the next one
	of.foresee()
	b := of.take()
	count := of.count.Load()
	e := entering{late: r.lateNow(ctx, of)}
	var doorBefore int64
	var at time.Duration
	var turned bool
	word := checkouts.own
	if sale := of.def.Load(); sale != nil {
		word.opens = opensOf(checkouts.opens[sale.Provider])
	}
	first, q, err := r.o.Store.ExchangeQueue(ctx, of.sale, b.joins, func(q *domain.Queue, first int64) domain.QueueNode {
		// Only now that we have the row: with a time from before the wait for it, a slow
		// database would look like one whose clock was set.
		at = r.mono()
		for i := range b.joins {
			of.hear(first+i, at)
		}
		drawn := r.advanceDraw(of, q, first)
		takenIn, all := takeIn(q)
		e.people, doorBefore = of.mayEnter(q, count.free, at), q.Door.Admitted
		word.came, word.let, word.listened = of.arrivals.lately(at), of.arrivals.cohorts(at), at >= PresenceTimeout
		own := domain.QueueNode{Node: r.o.Node, SeenAt: q.Now, Congested: word.congested(), Load: word.bytes()}
		own.Base, own.Present = of.presence(q, at)
		turned = !of.rests(q, at) && !drawn && all && moveDoor(q, &own, checkouts.part, checkouts.direct, count.seats == seatsFree, &e)
		if all {
			q.EntriesTo = q.Door.Admitted
		}
		e.entered = append(takenIn, e.entered...)
		q.Entered = e.entered
		return own
	})
	if err != nil {
		r.exchangeFailed(of, b, err)
		return
	}
	of.retryAt = 0
	if turned {
		of.turns.Add(1)
	}
	if of.last.Load().away {
		r.o.Log.Info("waiting room: the database is back", "sale", of.sale)
	}
	all, _ := words(others(q, r.o.Node), q.Now)
	all.add(&word)
	of.peopleCame.Store(math.Float64bits(all.came.people))
	of.peopleAbsent.Store(math.Float64bits(all.let.absent()))
	perSecond, _ := all.perSecond()
	r.perSecond.Store(math.Float64bits(perSecond))
	of.arrivals.moved(at, q.Door.Admitted, q.Door.Entered)
	r.seeEntries(ctx, of, q, doorBefore, e.entered)
	of.took(q, at)
	b.first, b.epoch, b.joinedAt = first, q.EpochNumber(), q.Now.Truncate(time.Millisecond)
	close(b.done)
}

// exchangeFailed tells those who joined that they hold no place, whether or not it was
// written: a place without a holder is passed over like one whose holder left.
func (r *Rooms) exchangeFailed(of *room, b *batch, err error) {
	if !of.last.Load().away {
		r.o.Log.Warn("waiting room: the database does not answer: the door stands, nobody can join", "sale", of.sale, "err", err)
	}
	of.retryAt = r.mono() + exchangeRetry
	b.err = overloaded(err)
	if domain.CodeOf(err) == domain.CodeNotFound {
		b.err = err
		r.remove(of)
	}
	of.failed(err)
	close(b.done)
}

func overloaded(err error) *domain.Error {
	return &domain.Error{
		Code: domain.CodeOverloaded, Detail: "The waiting room takes nobody for the moment. You hold no place yet: try again.",
		RetryAfter: retryMin, Err: err,
	}
}

// countSeats asks the ledger. Without an answer, the last one stands.
func (r *Rooms) countSeats(ctx context.Context, of *room) {
	ctx, cancel := context.WithTimeout(ctx, stockTimeout)
	defer cancel()
	at, came, absent := r.mono(), math.Float64frombits(of.peopleCame.Load()), math.Float64frombits(of.peopleAbsent.Load())
	seats, free, err := r.askSeats(ctx, of)
	if err != nil {
		r.o.Log.Debug("waiting room: the ledger does not answer", "sale", of.sale, "err", err)
		of.uncounted()
		return
	}
	free.at, free.came, free.absent = at, came, absent
	of.counted(seats, free, at)
}

func (r *Rooms) askSeats(ctx context.Context, of *room) (seats seatsState, free freeSeats, err error) {
	sale, err := r.definition(ctx, of)
	if err != nil {
		return seatsUnknown, freeSeats{}, err
	}
	levels, err := r.o.Stock(ctx, sale)
	if err != nil {
		return seatsUnknown, freeSeats{}, err
	}
	seats, available, taken := seatsOf(sale, levels)
	return seats, freeSeats{available: available, taken: taken, limit: sale.BuyerLimit}, nil
}

func (r *Rooms) definition(ctx context.Context, of *room) (*domain.Sale, error) {
	if sale := of.def.Load(); sale != nil {
		return sale, nil
	}
	sales, err := r.o.Sales(ctx)
	if err != nil {
		return nil, err
	}
	for _, sale := range sales {
		if sale.ID == of.sale {
			of.def.Store(sale)
			return sale, nil
		}
	}
	return nil, domain.NotFound("sale")
}

// seatsOf adds up the classes; a perk is not a seat.
func seatsOf(sale *domain.Sale, levels []domain.StockLevel) (state seatsState, available, taken int64) {
	var held int64
	counted := 0
	for _, l := range levels {
		if c, ok := sale.Class(l.Name); ok && c.Ledger == l.Ledger {
			available += max(l.Available, 0)
			held += l.Held
			taken += l.Held + l.Sold
			counted++
		}
	}
	switch {
	case available > 0:
		return seatsFree, available, taken
	case held > 0 || counted < len(sale.Classes):
		return seatsHeld, 0, taken
	default:
		return seatsGone, 0, taken
	}
}

// Join takes a place. It waits for the next exchange, so that it returns a token only
// when the place is durable.
//
// Errors: *domain.Error with CodeOverloaded (too many at once, or the database is down:
// no place is held), CodeQueueFull, CodeSoldOut, CodeSaleClosed, CodeSaleCanceled, CodeNotFound (the sale
// has no waiting room).
func (r *Rooms) Join(ctx context.Context, sale *domain.Sale) (token string, p Place, err error) {
	if !sale.WaitingRoom {
		return "", Place{}, domain.NotFound("waiting room")
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	of, s, err := r.open(ctx, sale.ID)
	if err != nil {
		return "", Place{}, err
	}
	of.def.Store(sale)
	if err := r.mayJoin(of, s, sale); err != nil {
		return "", Place{}, err
	}
	b, nth, ok := of.enlist()
	if !ok {
		return "", Place{}, overloaded(nil)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return "", Place{}, overloaded(ctx.Err())
	}
	if b.err != nil {
		return "", Place{}, b.err
	}
	s = of.last.Load()
	index := b.first + nth
	return sign(r.o.Keys, sale.ID, b.epoch, index, b.joinedAt), r.place(ctx, of, s, index, b.joinedAt), nil
}

// closedDetail is for a sale that closed by the database's clock.
const closedDetail = "This sale is closed: it takes no more orders."

func (r *Rooms) mayJoin(of *room, s *snapshot, sale *domain.Sale) error {
	switch {
	case sale.Canceled() || !s.CanceledAt.IsZero():
		return &domain.Error{Code: domain.CodeSaleCanceled, Detail: "The organiser has canceled this sale."}
	case s.IsClosed(s.now(r.mono())):
		return &domain.Error{Code: domain.CodeSaleClosed, Detail: closedDetail}
	case of.isSoldOut(r.mono()):
		return &domain.Error{Code: domain.CodeSoldOut, Detail: "All tickets are sold."}
	case s.away:
		return overloaded(nil)
	case s.Joined+batchJoinsMax > JoinsMax:
		return queueFull("This sale's queue has given out all its places.", retryMax)
	case s.Joined-s.Door.Admitted >= waitingMax(sale):
		if untilOpen := s.OpensAt.Sub(s.now(r.mono())); s.Drawn == domain.QueueUndrawn {
			return queueFull("The queue is full until the sale opens: join after the opening.", max(untilOpen, retryMin))
		}
		return queueFull("The queue is full for the moment: try again shortly.", retryMax)
	}
	return nil
}

// waitingMax limits who waits for a sale at a time, silent ones included: beyond this
// many for its tickets, people have no chance. Once the door is open it passes those who
// are not there.
func waitingMax(sale *domain.Sale) int64 {
	var tickets int64
	for i := range sale.Classes {
		tickets += sale.Classes[i].Capacity
	}
	return min(max(placesPerTicketMax*min(tickets, waitingMost), waitingLeast), waitingMost)
}

func queueFull(detail string, retryAfter time.Duration) *domain.Error {
	return &domain.Error{Code: domain.CodeQueueFull, Detail: detail + " You hold no place.", RetryAfter: retryAfter}
}

// Place says where a token is in the queue, and records that its holder is present.
//
// Errors: *domain.Error with CodeNotFound for a token that is forged, expired or from
// another box office; CodeOverloaded if this node has not heard from the database yet.
func (r *Rooms) Place(ctx context.Context, token string) (Place, error) {
	of, s, c, err := r.look(ctx, token)
	if err != nil {
		return Place{}, err
	}
	return r.place(ctx, of, s, c.index, c.joinedAt), nil
}

// Enter returns the idempotency key that a token stands for. It is always the same, a
// UUIDv7, so the token makes one order on whatever node.
//
// Errors: *domain.Error with CodeQueueRequired for a token that is missing, bad or for
// another sale, and before its turn: the detail says the position. CodeSoldOut,
// CodeSaleClosed and CodeSaleCanceled if its turn may never come.
func (r *Rooms) Enter(ctx context.Context, sale *domain.Sale, token string) (key string, err error) {
	if token == "" {
		return "", queueRequired("This sale has a waiting room: join it at POST /v1/sales/"+sale.ID+"/queue and send its token as Queue-Token.", 0)
	}
	of, s, c, err := r.look(ctx, token)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound || err == nil && c.sale != sale.ID:
		return "", queueRequired("The Queue-Token is not one of this sale's waiting room, or has expired: join again.", 0)
	case err != nil:
		return "", err
	}
	of.def.Store(sale)
	if s.Drawn != domain.QueueUndrawn {
		if _, in, _ := r.comeIn(ctx, of, s, c.index, ExchangeInterval); in {
			of.came(c.index, s, r.mono())
			return c.key, nil
		}
	}
	p := r.place(ctx, of, s, c.index, c.joinedAt)
	switch p.Status {
	case StatusDraw:
		if !s.Draw.IsClosed() {
			return "", queueRequired("The sale has not opened: places are drawn when it does.", p.RetryAfter)
		}
		return "", queueRequired("The places are being drawn.", p.RetryAfter)
	case StatusCanceled:
		return "", &domain.Error{Code: domain.CodeSaleCanceled, Detail: "The organiser has canceled this sale."}
	case StatusClosed:
		return "", &domain.Error{Code: domain.CodeSaleClosed, Detail: closedDetail}
	case StatusSoldOut:
		return "", &domain.Error{Code: domain.CodeSoldOut, Detail: "All tickets are sold. If an order is refunded, your place in the queue counts again."}
	case StatusWaiting, StatusPaused, StatusAdmitted: // the door has admitted it, but it may not come in yet
	}
	return "", queueRequired(fmt.Sprintf("It is not your turn yet: you are number %d in the queue.", p.Position), p.RetryAfter)
}

func queueRequired(detail string, retryAfter time.Duration) *domain.Error {
	return &domain.Error{Code: domain.CodeQueueRequired, Detail: detail, RetryAfter: retryAfter}
}

// State is what is public about a sale's room, and its settings. Errors: *domain.Error
// with CodeNotFound, CodeOverloaded.
func (r *Rooms) State(ctx context.Context, saleID string) (RoomState, error) {
	of, s, err := r.open(ctx, saleID)
	if err != nil {
		return RoomState{}, err
	}
	return r.stateOf(of, s), nil
}

// Configure replaces the settings; rates of 0 mean the defaults. Every node takes them up
// at its next exchange. Errors: *domain.Error with CodeInvalid, CodeNotFound,
// CodeOverloaded; after any other it is not known whether they were stored.
func (r *Rooms) Configure(ctx context.Context, saleID string, set domain.QueueSettings) (RoomState, error) {
	set = set.WithDefaults()
	if err := set.Validate(); err != nil {
		return RoomState{}, err
	}
	if err := r.o.Store.ConfigureQueue(ctx, saleID, set); err != nil {
		return RoomState{}, err
	}
	since := r.mono()
	of, _, err := r.open(ctx, saleID)
	if err != nil {
		return RoomState{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	state := r.stateOf(of, of.newer(ctx, since))
	state.Settings, state.Paused = set, set.Paused
	return state, nil
}

// look verifies a token and records that its holder is present.
func (r *Rooms) look(ctx context.Context, token string) (*room, *snapshot, claims, error) {
	c, ok := verify(r.o.Keys, token)
	if !ok {
		return nil, nil, c, domain.NotFound("place in a queue")
	}
	of, s, err := r.open(ctx, c.sale)
	if err != nil {
		if known, ok := r.rooms.Load(c.sale); ok { // somebody who is told to come again later was still heard
			known.(*room).hear(c.index, r.mono())
		}
		return nil, nil, c, err
	}
	now := r.mono()
	if s.now(now).Sub(later(c.joinedAt, s.OpensAt)) > TokenLife {
		return nil, nil, c, domain.NotFound("place in a queue")
	}
	// If this node has not heard of the token's database yet, the token is newer than
	// what it knows.
	if s.HasLost(c.epoch, c.index) && (s.KnowsEpoch(c.epoch) || !c.joinedAt.After(s.Now)) {
		return nil, nil, c, &domain.Error{Code: domain.CodeNotFound, Detail: "The database failed and lost this place in the queue. Join again."}
	}
	of.hear(c.index, now)
	return of, s, c, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// open finds a room and its state, fresh if nobody has asked for a while. A room that
// this node has never heard of is asked for at the next exchange.
func (r *Rooms) open(ctx context.Context, saleID string) (*room, *snapshot, error) {
	value, known := r.rooms.Load(saleID)
	now := r.mono()
	if !known {
		if r.count.Load() >= roomsMax && !r.makeRoom(now) {
			return nil, nil, overloaded(nil)
		}
		if value, known = r.rooms.LoadOrStore(saleID, newRoom(saleID, now)); !known {
			r.count.Add(1)
		}
	}
	of := value.(*room)
	if asked := &of.asked; time.Duration(asked.Load()) < now-ExchangeInterval {
		asked.Store(int64(now))
	}
	s := of.last.Load()
	if now-s.at > freshFor && !s.away {
		ctx, cancel := context.WithTimeout(ctx, freshTimeout)
		defer cancel()
		if s = of.newer(ctx, now-freshFor); s.err == nil {
			of.awaitCount(ctx, now-freshFor)
		}
	}
	switch {
	case s.err != nil:
		return nil, nil, s.err
	case !s.known():
		return nil, nil, overloaded(nil)
	}
	return of, s, nil
}

func (r *Rooms) place(ctx context.Context, of *room, s *snapshot, index int64, joinedAt time.Time) Place {
	p := Place{
		Sale: s.SaleID, Index: index, Waiting: max(s.Joined-s.Door.Admitted, 0), RatePerSecond: s.Door.Rate,
		JoinedAt: joinedAt, OpensAt: s.OpensAt, Draw: s.drawAt(s.now(r.mono())), Status: r.statusOf(of, s), RetryAfter: retryMax,
	}
	if p.Status == StatusDraw && s.Draw.IsClosed() && index >= s.Draw.Closed { // after everybody in the draw
		p.Status = waitingStatus(s)
	}
	var in bool
	var ahead int64
	if p.Status == StatusWaiting || p.Status == StatusPaused {
		p.AdmittedUntil, in, ahead = r.comeIn(ctx, of, s, index, retryMin)
	}
	switch {
	case p.Status == StatusDraw:
		p.RetryAfter = retryAtDraw(drawDue(&s.Queue).Sub(s.now(r.mono())), s.Joined, index)
	case p.Status == StatusCanceled || p.Status == StatusClosed || p.Status == StatusSoldOut:
	case in:
		p.Status = StatusAdmitted
	case of.placeOf(s, index) < s.Door.Admitted:
		p.Late, p.Ahead, p.Position = true, ahead, ahead+1
		p.RetryAfter = retryAfter(&s.Queue, 2*p.Position) // every second is from the door
		if p.Status == StatusWaiting && of.hasSeats() {
			p.Wait = estimate(&s.Queue, 2*p.Position)
		}
	default:
		p.Ahead = of.placeOf(s, index) - s.Door.Admitted
		p.Position = p.Ahead + 1
		p.RetryAfter = retryAfter(&s.Queue, p.Position) // also while paused: it may end at any time
		if p.Status == StatusWaiting && of.hasSeats() { // otherwise nobody knows when the door moves again
			p.Wait = estimate(&s.Queue, p.Position)
		}
	}
	return p
}

// estimate is how long the door takes to reach a position, on the safe side; 0: not
// known. It uses the goal: after a cut the rate is lower for a while, and returns to the
// goal. A door that was not cut yet may be faster than the engine.
func estimate(q *domain.Queue, position int64) time.Duration {
	if q.Door.Goal <= 0 {
		return 0
	}
	return estimateLeast + waitAt(position, estimateShare*q.Door.Goal)
}

// retryAfter is when it makes sense to ask again. People who learn late of their turn are
// let in and do not come, and later all of them come at once. So until the first cut it
// assumes the fastest possible growth. Later it uses the goal, because the rate is lower
// while many are on the way, and allows for growth again once the engine has time.
func retryAfter(q *domain.Queue, position int64) time.Duration {
	wait := waitAt(position, cmp.Or(max(q.Door.Rate, q.Door.Goal), q.Settings.RateCeiling*startPortion))
	if q.Door.CutAt.IsZero() {
		doublings := math.Log2(1 + math.Ln2*float64(wait)/float64(doubleTime))
		wait = max(time.Duration(doublings*float64(doubleTime)), waitAt(position, q.Settings.RateCeiling))
	} else {
		wait = time.Duration(math.Log1p(idleGrowth*wait.Seconds()) / idleGrowth * float64(time.Second))
	}
	return bounded(time.Duration(retryPortion * float64(wait)))
}

// retryAtDraw is when to ask for the place that the draw gives. Nobody knows who will be
// next, so all ask soon after the opening, but spread so that no more ask in a second
// than can be answered: told the same time, all would come at once.
func retryAtDraw(untilOpen time.Duration, joined, index int64) time.Duration {
	untilOpen = max(untilOpen, 0) // the draw may be late
	window := drawWindow(joined)
	if untilOpen+window+ExchangeInterval > retryMax { // once more before
		return bounded(time.Duration((2 + phase(index)) / 3 * float64(min(untilOpen, retryMax))))
	}
	return bounded(untilOpen + ExchangeInterval + time.Duration(phase(index)*float64(window)))
}

// drawWindow is the time within which all who wait for the draw ask.
func drawWindow(joined int64) time.Duration {
	return min(time.Duration(float64(joined)/drawPollsPerSecond*float64(time.Second)), drawSpreadMax)
}

// phase is in [0, 1), evenly spread over any run of indexes: the multiples of the golden
// ratio (Knuth, The Art of Computer Programming 3, 6.4). It reveals nothing about the
// places to be drawn.
func phase(index int64) float64 {
	const golden = 0x9E3779B97F4A7C15 // of 2^64
	return float64(uint64(index)*golden>>11) / (1 << 53)
}

func waitAt(position int64, ratePerSecond float64) time.Duration {
	return time.Duration(float64(position) / ratePerSecond * float64(time.Second))
}

func bounded(d time.Duration) time.Duration { return min(max(d, retryMin), retryMax) }

func (r *Rooms) stateOf(of *room, s *snapshot) RoomState {
	return RoomState{
		Sale: s.SaleID, Status: r.statusOf(of, s), Waiting: max(s.Joined-s.Door.Admitted, 0), Admitted: s.Door.Admitted, Joined: s.Joined,
		RatePerSecond: s.Door.Rate, Paused: s.Settings.Paused, Draw: s.drawAt(s.now(r.mono())), Record: recordOf(&s.Queue), Settings: s.Settings,
	}
}

// statusOf is the status of everybody who is not admitted.
func (r *Rooms) statusOf(of *room, s *snapshot) Status {
	switch {
	case !s.CanceledAt.IsZero():
		return StatusCanceled
	case s.IsClosed(s.now(r.mono())):
		return StatusClosed
	case of.seats() == seatsGone:
		return StatusSoldOut
	case s.Drawn == domain.QueueUndrawn:
		return StatusDraw
	default:
		return waitingStatus(s)
	}
}

func waitingStatus(s *snapshot) Status {
	if s.Settings.Paused {
		return StatusPaused
	}
	return StatusWaiting
}
