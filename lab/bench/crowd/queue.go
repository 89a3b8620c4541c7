package crowd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/lab/bench/load"
)

// A Queue is how a crowd uses a sale's waiting room: everybody joins, some watch
// their place by server-sent events, the others ask for it as often as they are
// told to, and those admitted check out with the token.
type Queue struct {
	// Live is how many watch, each over its own connection.
	Live int
	// Once everybody has a place, this many more places a second are requested, for this long,
	// which is measured separately. The queue's door must be shut until then.
	ReadsPerSecond float64
	ReadFor        time.Duration
	// Full is called once after that. It lets the door be opened.
	Full func(ctx context.Context) error
}

// Bounds of a Queue.
const (
	LiveMax      = 16_384
	readsMax     = 10_000_000
	tokenMaxLen  = 512
	streamLine   = 4 << 10 // an event's longest line
	streamRetry  = time.Second
	streamIsDead = time.Minute // without a heartbeat
)

func (q *Queue) validate(buyers int) error {
	switch {
	case q.Live < 0 || q.Live > LiveMax || q.Live > buyers:
		return fmt.Errorf("%d live connections: want 0–%d, and not more than buyers", q.Live, LiveMax)
	case q.ReadsPerSecond < 0 || q.ReadFor < 0 || q.reads() > readsMax:
		return fmt.Errorf("%v reads a second for %v: want up to %d in all", q.ReadsPerSecond, q.ReadFor, readsMax)
	case q.Full == nil:
		return errors.New("nobody opens the queue's door")
	default:
		return nil
	}
}

func (q *Queue) reads() int { return int(q.ReadsPerSecond * q.ReadFor.Seconds()) }

// QueueResult is what became of a crowd in a waiting room, besides. Latencies are
// of answers as expected, seconds are since the first buyer was due.
type QueueResult struct {
	Joined         int64        `json:"joined"`
	JoinedSeconds  float64      `json:"joined_seconds"` // the last one had a place
	JoinsPerSecond float64      `json:"joins_per_second"`
	Join           load.Latency `json:"join"`     // from when it was sent
	JoinDue        load.Latency `json:"join_due"` // from when it was due

	// For the time in which this many reads a second were made; those that Retry-After
	// had told to come then are in it.
	ReadsPerSecond float64      `json:"reads_per_second"`
	Read           load.Latency `json:"read"`
	ReadDue        load.Latency `json:"read_due"`

	Polls       int64   `json:"polls"` // places asked for because Retry-After was over
	Live        int64   `json:"live"`  // streams that were open when the door opened
	Events      int64   `json:"events"`
	LiveRefused int64   `json:"live_refused"` // streams that were answered 503: those buyers poll
	LiveBroken  int64   `json:"live_broken"`  // streams that ended and were opened again
	SentBack    int64   `json:"sent_back"`    // checkouts that were answered: not your turn yet
	DoorSeconds float64 `json:"door_seconds"` // when the door was opened
}

// Where a buyer of a waiting room is.
type stage uint8

const (
	atCheckout stage = iota // without a waiting room from the start
	joining
	queued
)

// room is the part of a crowd that is about its waiting room.
type room struct {
	join, joinDue, read, readDue *load.Times

	joined, polls, live, events, refused, broken, sentBack atomic.Int64
	allJoined                                              chan struct{}

	readsLeft atomic.Int64
	readsDone chan struct{}

	mu         sync.Mutex
	joinedLast time.Duration
	measuring  bool
	readFrom   time.Duration
	readTo     time.Duration
	readCount  int64
	openLive   int64
	door       time.Duration

	watchers   sync.WaitGroup
	head, rest []byte // of a read, around the token
}

func newRoom(t target) *room {
	return &room{
		join: load.NewTimes(), joinDue: load.NewTimes(), read: load.NewTimes(), readDue: load.NewTimes(),
		allJoined: make(chan struct{}), readsDone: make(chan struct{}),
		head: []byte("GET /v1/queue/"), rest: []byte(" HTTP/1.1\r\nHost: " + t.host + "\r\n\r\n"),
	}
}

// runQueue goes through the parts that need everybody.
func (c *crowd) runQueue(ctx context.Context) error {
	if !await(ctx, c.room.allJoined) {
		return nil
	}
	if n := c.Queue.reads(); n > 0 {
		c.startReads(n)
		if !await(ctx, c.room.readsDone) {
			return nil
		}
		c.stopReads()
	}
	c.room.mu.Lock()
	c.room.openLive = c.room.live.Load()
	c.room.mu.Unlock()
	if err := c.Queue.Full(ctx); err != nil {
		return fmt.Errorf("open the queue's door: %w", err)
	}
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	c.room.door = c.now()
	return nil
}

func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// startReads schedules all of them at random times, which is how a Poisson
// process is where its number is known.
func (c *crowd) startReads(n int) {
	now := c.now()
	c.room.readsLeft.Store(int64(n))
	c.room.mu.Lock()
	c.room.measuring, c.room.readFrom = true, now
	c.room.mu.Unlock()
	for range n {
		who := len(c.buyers) + rand.IntN(len(c.buyers))
		c.schedule.add(int32(who), now+rand.N(c.Queue.ReadFor))
	}
}

func (c *crowd) stopReads() {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	c.room.measuring, c.room.readTo = false, c.now()
}

// joinQueue takes a place.
func (c *crowd) joinQueue(ctx context.Context, conn *connection, d due) {
	conn.request = append(conn.request[:0], "POST /v1/sales/"+c.Sale+"/queue HTTP/1.1\r\nHost: "...)
	conn.request = append(append(conn.request, c.target.host...), "\r\nContent-Length: 0\r\n\r\n"...)
	sent := c.now()
	a, err := conn.do(ctx, conn.request)
	now := c.now()
	switch {
	case err != nil || a.status != http.StatusCreated:
		c.notYet(ctx, d, &a, now, sent, err)
		return
	}
	token := a.text("token")
	if token == "" || len(token) > tokenMaxLen || strings.ContainsAny(token, " \r\n") {
		c.recorder.failed(now, "wrong_answer", fmt.Sprintf("join: %.200q", a.body))
		c.final(d.who)
		return
	}
	c.room.join.Observe(now - sent)
	c.room.joinDue.Observe(now - d.at)
	b := &c.buyers[d.who]
	b.token, b.stage = token, queued
	if b.live {
		c.room.watchers.Go(func() { c.watch(ctx, d.who) })
	} else {
		c.placed(d.who, &a, now)
	}
	c.room.mu.Lock()
	c.room.joinedLast = max(c.room.joinedLast, now)
	c.room.mu.Unlock()
	if c.room.joined.Add(1) == int64(len(c.buyers)) {
		close(c.room.allJoined)
	}
}

// readPlace asks where a buyer stands. A read of the measurement changes nothing.
func (c *crowd) readPlace(ctx context.Context, conn *connection, d due) {
	who, isPoll := d.who, true
	if int(who) >= len(c.buyers) {
		who, isPoll = who-int32(len(c.buyers)), false
	}
	conn.request = c.room.request(conn.request[:0], c.buyers[who].token, "")
	sent := c.now()
	a, err := conn.do(ctx, conn.request)
	now := c.now()
	if err == nil && a.status == http.StatusOK {
		c.room.wasRead(now, sent, d.at)
	}
	if !isPoll {
		if c.room.readsLeft.Add(-1) == 0 {
			close(c.room.readsDone)
		}
		if err != nil || a.status != http.StatusOK {
			c.recorder.busyRead(now, sent)
		}
		return
	}
	c.room.polls.Add(1)
	if err != nil || a.status != http.StatusOK {
		c.notYet(ctx, d, &a, now, sent, err)
		return
	}
	c.placed(who, &a, now)
}

func (r *room) request(request []byte, token, suffix string) []byte {
	request = append(request, r.head...)
	request = append(request, token...)
	request = append(request, suffix...)
	return append(request, r.rest...)
}

func (r *room) wasRead(now, sent, due time.Duration) {
	r.mu.Lock()
	measuring := r.measuring
	if measuring {
		r.readCount++
	}
	r.mu.Unlock()
	if measuring {
		r.read.Observe(now - sent)
		r.readDue.Observe(now - due)
	}
}

// notYet is an answer to a join or a read that says nothing of a place.
func (c *crowd) notYet(ctx context.Context, d due, a *answer, now, sent time.Duration, err error) {
	switch {
	case err != nil:
		if ctx.Err() == nil {
			c.recorder.lost.Add(1)
			c.comeBack(d.who, now, retryAfterNoAnswer)
		}
	case isBusy(a):
		c.recorder.wasBusy(now, sent)
		c.Progress.Busy.Add(1)
		c.comeBack(d.who, now, a.retryAfter)
	case a.status == http.StatusConflict && a.code() == "sold_out":
		c.recorder.refused(now, sent, d.at)
		c.recorder.turnedAway(now, true)
		c.final(d.who)
	default:
		c.recorder.failed(now, fmt.Sprintf("%d %s", a.status, a.code()), fmt.Sprintf("queue: %.200q", a.body))
		c.final(d.who)
	}
}

// placed does what a place says.
func (c *crowd) placed(who int32, a *answer, now time.Duration) {
	if !c.decided(who, a.text("status"), now) {
		c.comeBack(who, now, a.retryAfter)
	}
}

// decided is whether the queue is over for a buyer, one way or the other.
func (c *crowd) decided(who int32, status string, now time.Duration) bool {
	switch status {
	case "admitted":
		c.buyers[who].stage = atCheckout
		c.schedule.add(who, now)
	case "sold_out":
		c.recorder.turnedAway(now, true)
		c.final(who)
	case "draw", "waiting", "paused":
		return false
	default:
		c.recorder.failed(now, "place "+status, "a place of which nobody can tell what to do")
		c.final(who)
	}
	return true
}

// watch follows a place by its stream, and polls if there is none.
func (c *crowd) watch(ctx context.Context, who int32) {
	for ctx.Err() == nil {
		retryAfter, refused, over := c.stream(ctx, who)
		switch {
		case over:
			return
		case refused:
			c.room.refused.Add(1)
			c.comeBack(who, c.now(), retryAfter)
			return
		case ctx.Err() == nil:
			c.room.broken.Add(1)
			await(ctx, after(streamRetry+rand.N(streamRetry)))
		}
	}
}

func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}

// stream reads one stream to its end. over: the buyer has left the queue.
func (c *crowd) stream(ctx context.Context, who int32) (retryAfter time.Duration, refused, over bool) {
	conn := newConnection(c.target, c.Timeout, c.dial)
	conn.reader = bufio.NewReaderSize(nil, streamLine)
	defer conn.close()
	defer context.AfterFunc(ctx, conn.interrupt)()
	if err := conn.send(ctx, c.room.request(nil, c.buyers[who].token, "/events")); err != nil {
		return 0, false, false
	}
	h, err := conn.readHead()
	switch {
	case err != nil:
		return 0, false, false
	case h.status != http.StatusOK:
		return h.retryAfter, true, false
	}
	c.room.live.Add(1)
	defer c.room.live.Add(-1)
	for {
		_ = conn.net.SetDeadline(time.Now().Add(streamIsDead))
		line, err := conn.readLine()
		if err != nil {
			return 0, false, false
		}
		// Where the stream is chunked, the lines between are of that: an event's
		// own are whole, because each is written at once.
		data, isData := bytes.CutPrefix(line, []byte("data:"))
		if !isData {
			continue
		}
		c.room.events.Add(1)
		if c.decided(who, (&answer{body: data}).text("status"), c.now()) {
			return 0, false, true
		}
	}
}

// sentBackFromDoor is a checkout that came before its turn.
func (c *crowd) sentBackFromDoor(who int32, a *answer, now time.Duration) {
	c.room.sentBack.Add(1)
	c.buyers[who].stage = queued
	c.comeBack(who, now, a.retryAfter)
}

func (r *room) result() *QueueResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &QueueResult{
		Joined: r.joined.Load(), JoinedSeconds: r.joinedLast.Seconds(), Join: r.join.Latency(), JoinDue: r.joinDue.Latency(),
		Read: r.read.Latency(), ReadDue: r.readDue.Latency(), Polls: r.polls.Load(), Live: r.openLive, Events: r.events.Load(),
		LiveRefused: r.refused.Load(), LiveBroken: r.broken.Load(), SentBack: r.sentBack.Load(), DoorSeconds: r.door.Seconds(),
	}
	if q.JoinedSeconds > 0 {
		q.JoinsPerSecond = float64(q.Joined) / q.JoinedSeconds
	}
	if seconds := (r.readTo - r.readFrom).Seconds(); seconds > 0 {
		q.ReadsPerSecond = float64(r.readCount) / seconds
	}
	return q
}
