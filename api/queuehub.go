package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

const (
	// placeEvery is how often the loop visits a stream. In that time it sends at most one
	// event, and notices a client that left.
	placeEvery = time.Second
	// placeRests is how often a stream reports more than a poll would. A place far back
	// moves all the time, and nobody there needs to see that every second.
	placeRests = 3
	// placeShifts spread the streams over that time, so that they do not all
	// compute at once.
	placeShifts = 10
	// placeSendBufferBytes is what the kernel keeps for a client that does not read, half
	// a minute of events; then the stream is closed.
	placeSendBufferBytes = 16 << 10
	// placeReachedWithin is how long a stream may stay unconfirmed before it is closed. A
	// phone that lost its network does not tell, and the kernel would try for a quarter
	// of an hour. After placeDoubtAfter the stream no longer counts as a sign of life.
	placeReachedWithin = 20 * time.Second
	placeDoubtAfter    = 2 * time.Second
)

// placeHub streams places. Thousands watch theirs for minutes while almost nothing
// happens, so a stream is a connection taken over from net/http (http.Hijacker) plus a
// few hundred bytes: no goroutine, no buffers, no request. One loop serves them all and
// never waits for any. A client that does not keep up is dropped and connects again.
// Through TLS of ours a stream is an ordinary answer, with a goroutine (lentConn).
type placeHub struct {
	place      func(ctx context.Context, token string) (*placeOutput, error)
	log        *slog.Logger
	streamsMax int
	every      time.Duration // placeEvery
	heartbeat  time.Duration // eventsHeartbeat
	lifetime   time.Duration // eventsLifetimeMax

	mu      sync.Mutex
	open    int // including those about to begin
	closed  bool
	running bool
	shifts  [placeShifts]map[*placeStream]struct{}
}

// placeStream is one watcher. Only the loop touches it once it is in a shift.
type placeStream struct {
	conn    placeConn
	token   string
	sent    uint64             // hash of the last event
	status  waitingroom.Status // in it
	restsTo time.Time          // until then only a change of status is sent
	wroteAt time.Time
	endsAt  time.Time

	written, confirmed int64     // bytes; confirmed by the client's machine
	reachedAt          time.Time // when more of them, or all, were confirmed
}

func newPlaceHub(place func(context.Context, string) (*placeOutput, error), log *slog.Logger, streamsMax int) *placeHub {
	h := &placeHub{place: place, log: log, streamsMax: streamsMax, every: placeEvery, heartbeat: eventsHeartbeat, lifetime: eventsLifetimeMax}
	for i := range h.shifts {
		h.shifts[i] = make(map[*placeStream]struct{})
	}
	return h
}

// enter counts a stream that is about to begin. Call leave once, when it ends.
func (h *placeHub) enter() (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.open >= h.streamsMax {
		return nil, &domain.Error{Code: domain.CodeOverloaded, Detail: "Too many clients are watching. GET the place instead.", RetryAfter: eventsHeartbeat}
	}
	h.open++
	return h.leave, nil
}

func (h *placeHub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
}

// stream takes the connection over, says where the token is, and leaves the rest to the
// loop.
func (h *placeHub) stream(ctx huma.Context, token string, place *PlaceView, leave func()) {
	c := humagin.Unwrap(ctx)
	ctx.SetStatus(http.StatusOK) // for metrics and logs
	if isHead(c) {
		setStreamHeaders(c.Writer.Header())
		leave()
		return
	}
	if c.Request.TLS != nil {
		h.answer(c, token, place, leave)
		return
	}
	header := c.Writer.Header().Clone()
	conn, _, err := http.NewResponseController(c.Writer).Hijack()
	if err != nil { // HTTP/2 without TLS, which none of our listeners speaks
		leave()
		h.log.Error("place stream: the connection cannot be taken over", "err", err)
		return
	}
	h.begin(takenConn{nowait(conn), conn}, streamHead(header), token, place, leave)
}

// answer is a stream on a connection that cannot be taken over: TLS has a state, and HTTP/2 other requests on it. It needs a
// goroutine of its own to write, and returns when the stream ends.
func (h *placeHub) answer(c *gin.Context, token string, place *PlaceView, leave func()) {
	control := http.NewResponseController(c.Writer)
	_ = control.SetReadDeadline(time.Time{}) // as of all streams: net/http reads to notice that the client left
	setStreamHeaders(c.Writer.Header())
	c.Status(http.StatusOK)
	conn, _ := c.Request.Context().Value(connKey).(net.Conn)
	lent := &lentConn{ctx: c.Request.Context(), due: make(chan []byte, 1), ended: make(chan struct{})}
	if conn != nil {
		lent.carrier = rawOf(beneath(conn))
	}
	h.begin(lent, fmt.Appendf(nil, "retry: %d\n\n", eventsRetryMillis), token, place, leave)
	lent.writeAll(c.Writer, control)
}

// begin sends the head and the first event, and leaves the rest to the loop.
func (h *placeHub) begin(conn placeConn, head []byte, token string, place *PlaceView, leave func()) {
	now := time.Now()
	// Clients that came in the same second should not come again in the same second.
	lifetime := h.lifetime - rand.N(h.lifetime/3)
	s := &placeStream{conn: conn, token: strings.Clone(token), endsAt: now.Add(lifetime), reachedAt: now}
	event, ok := h.event(s, place)
	if !ok || !s.write(append(head, event...), now) || !h.add(s) {
		_ = conn.Close()
		leave()
	}
}

// A placeConn is a stream's connection. None of its methods waits.
type placeConn interface {
	write(data []byte) bool // false: the stream is broken
	gone() bool
	unacked() (bytes int)
	Close() error
}

// A takenConn is one that the hub has for itself.
type takenConn struct {
	nowaitConn
	conn net.Conn
}

// Close implements placeConn.
func (c takenConn) Close() error { return c.conn.Close() }

// A lentConn is the answer to a request that is under way until the stream ends.
type lentConn struct {
	ctx     context.Context // the request's
	due     chan []byte     // what is not written yet
	ended   chan struct{}
	once    sync.Once
	carrier nowaitConn // only asked what the client's machine has not confirmed
}

func (c *lentConn) write(data []byte) bool {
	select {
	case c.due <- data:
		return true
	default: // the one before is not written yet: the client does not read
		return false
	}
}

func (c *lentConn) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return c.ctx.Err() != nil
	}
}

func (c *lentConn) unacked() (bytes int) { return c.carrier.unacked() }

// Close implements placeConn.
func (c *lentConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return nil
}

func (c *lentConn) writeAll(w io.Writer, control *http.ResponseController) {
	defer c.Close()
	for {
		select {
		case data := <-c.due:
			_ = control.SetWriteDeadline(time.Now().Add(eventsWriteTimeout))
			if _, err := w.Write(data); err != nil || control.Flush() != nil {
				return
			}
		case <-c.ended:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// streamHead begins a response that lasts until the connection ends (RFC 9112
// §6.3, rule 8).
func streamHead(header http.Header) []byte {
	setStreamHeaders(header)
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b) // a buffer takes all
	fmt.Fprintf(&b, "\r\nretry: %d\n\n", eventsRetryMillis)
	return b.Bytes()
}

// event is what there is to send, empty if it was already sent.
func (h *placeHub) event(s *placeStream, place *PlaceView) (event []byte, ok bool) {
	data, err := json.Marshal(place)
	if err != nil {
		h.log.Error("place stream: cannot encode", "sale", place.Sale, "err", err)
		return nil, false
	}
	sum := maphash.Bytes(hashSeed, data)
	if sum == s.sent {
		return nil, true
	}
	s.sent, s.status = sum, place.Status
	return fmt.Appendf(nil, "event: place\ndata: %s\n\n", data), true
}

var hashSeed = maphash.MakeSeed()

func (s *placeStream) write(data []byte, now time.Time) bool {
	s.wroteAt = now
	s.written += int64(len(data))
	return s.conn.write(data)
}

// unreached is how long nothing was confirmed although something should have been.
func (s *placeStream) unreached(now time.Time) time.Duration {
	unacked := int64(s.conn.unacked())
	if confirmed := s.written - unacked; unacked == 0 || confirmed > s.confirmed {
		s.confirmed, s.reachedAt = confirmed, now
	}
	return now.Sub(s.reachedAt)
}

// add puts a stream into the emptiest shift. It fails once the hub is closed.
func (h *placeHub) add(s *placeStream) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	emptiest := h.shifts[0]
	for _, shift := range h.shifts[1:] {
		if len(shift) < len(emptiest) {
			emptiest = shift
		}
	}
	emptiest[s] = struct{}{}
	if !h.running {
		h.running = true
		go h.run()
	}
	return true
}

// run visits all streams until there are none.
func (h *placeHub) run() {
	ticker := time.NewTicker(h.every / placeShifts)
	defer ticker.Stop()
	var streams []*placeStream // of one shift; kept to avoid allocations
	for i := 0; ; i = (i + 1) % placeShifts {
		var ok bool
		if streams, ok = h.shift(i, streams[:0]); !ok {
			return
		}
		h.tend(i, streams)
		<-ticker.C
	}
}

// shift lists the streams of a shift. It fails, and the loop ends, if there are no
// streams at all: all have left, or the hub is closed.
func (h *placeHub) shift(i int, into []*placeStream) ([]*placeStream, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	streams := 0
	for _, shift := range h.shifts {
		streams += len(shift)
	}
	h.running = streams > 0
	for s := range h.shifts[i] {
		into = append(into, s)
	}
	return into, h.running
}

// tend visits some streams. A room that cannot answer delays a shift once, not once per
// stream.
func (h *placeHub) tend(i int, streams []*placeStream) {
	ctx, cancel := context.WithTimeout(context.Background(), h.every/placeShifts)
	defer cancel()
	for _, s := range streams {
		if !h.visit(ctx, s, time.Now()) {
			h.drop(i, s)
		}
	}
}

// visit reports whether the stream goes on.
func (h *placeHub) visit(ctx context.Context, s *placeStream, now time.Time) bool {
	if now.After(s.endsAt) || s.conn.gone() {
		return false
	}
	switch unreached := s.unreached(now); {
	case unreached > placeReachedWithin:
		return false
	case unreached > placeDoubtAfter:
		return true // asking would count as a sign of life
	}
	place, err := h.place(ctx, s.token)
	switch {
	case isNotFound(err):
		return false // expired: connecting again says so
	case err == nil && (place.Body.Status != s.status || !now.Before(s.restsTo)):
		event, ok := h.event(s, &place.Body)
		if !ok || len(event) > 0 {
			s.restsTo = now.Add(restOf(place) - h.every/2) // ticks are not exact
			return ok && s.write(event, now)
		}
	}
	if now.Sub(s.wroteAt) < h.heartbeat {
		return true
	}
	return s.write([]byte(": still here\n\n"), now)
}

// restOf is how long a place that was sent need not be sent again.
func restOf(place *placeOutput) time.Duration {
	if place.RetryAfter == nil {
		return 0
	}
	return time.Duration(*place.RetryAfter) * time.Second / placeRests
}

func (h *placeHub) drop(i int, s *placeStream) {
	_ = s.conn.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.shifts[i][s]; ok { // otherwise close was faster
		delete(h.shifts[i], s)
		h.open--
	}
}

// close ends all streams and takes no more.
func (h *placeHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, shift := range h.shifts {
		for s := range shift {
			_ = s.conn.Close()
			delete(shift, s)
			h.open--
		}
	}
}

// count is the number of streams.
func (h *placeHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}
