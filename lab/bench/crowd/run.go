package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Run sends a crowd, and ends when everybody has a final answer and every
// payment is settled, or at the plan's deadline. Wrong answers are in
// the result; the error says that the plan cannot be or that ctx ended.
func Run(ctx context.Context, p Plan) (Result, error) {
	if err := p.Validate(); err != nil {
		return Result{}, err
	}
	c := newCrowd(p)
	bounded, cancel := context.WithTimeout(ctx, p.Deadline)
	defer cancel()
	var working sync.WaitGroup
	for range p.Connections {
		working.Go(func() { c.serve(bounded) })
	}
	working.Go(func() { c.schedule.run(bounded, c.started) })
	var failed error // of the queue
	if p.Queue != nil {
		working.Go(func() {
			if failed = c.runQueue(bounded); failed != nil {
				cancel()
			}
		})
	}
	select {
	case <-c.finished:
	case <-bounded.Done():
	}
	cancel()
	working.Wait()
	c.room.watchers.Wait()
	c.paying.Wait()
	if err := errors.Join(ctx.Err(), failed); err != nil {
		return Result{}, err
	}
	result := c.recorder.result(c.finals)
	if p.Queue != nil {
		result.Queue = c.room.result()
	}
	return result, nil
}

const keyLen = 36 // of a UUID as text

// A buyer belongs to the schedule, or to the one goroutine that asks for it.
type buyer struct {
	key   [keyLen]byte
	came  time.Duration
	tries int32
	stage stage
	live  bool
	token string // of a waiting room
}

type crowd struct {
	Plan
	target   target
	template template
	schedule *schedule
	recorder *recorder
	room     *room
	started  time.Time

	buyers []buyer
	// finals counts the final answers of each buyer: a proof, so it decides
	// nothing.
	finals    []uint8
	remaining atomic.Int64
	finished  chan struct{} // closed with the last final answer

	payers chan struct{}
	paying sync.WaitGroup
}

func newCrowd(p Plan) *crowd {
	if p.Timeout == 0 {
		p.Timeout = requestTimeoutDefault
	}
	if p.Payers == 0 {
		p.Payers = payersDefault
	}
	if p.Progress == nil {
		p.Progress = &Progress{}
	}
	t, _ := parseTarget(p.URL) // was validated
	size := p.Buyers
	if p.Queue != nil {
		size += p.Queue.reads()
	}
	c := &crowd{
		Plan: p, target: t, template: newTemplate(t, p.Sale, p.Class), schedule: newSchedule(size), room: newRoom(t),
		buyers: make([]buyer, p.Buyers), finals: make([]uint8, p.Buyers), finished: make(chan struct{}), payers: make(chan struct{}, p.Payers),
	}
	c.remaining.Store(int64(p.Buyers))
	random := rand.New(rand.NewPCG(p.Seed, 0))
	for i := range c.buyers {
		b := &c.buyers[i]
		b.key = NewKey()
		if i > 0 && p.Spread > 0 {
			b.came = time.Duration(random.Int64N(int64(p.Spread)))
		}
		if p.Queue != nil {
			b.stage, b.live = joining, i < p.Queue.Live
		}
		c.schedule.add(int32(i), b.came)
	}
	c.started = time.Now() // when all is built
	c.recorder = newRecorder(c.started)
	return c
}

// serve sends the requests of due buyers over one connection.
func (c *crowd) serve(ctx context.Context) {
	conn := newConnection(c.target, c.Timeout, c.dial)
	defer conn.close()
	defer context.AfterFunc(ctx, conn.interrupt)()
	for ctx.Err() == nil {
		select {
		case d := <-c.schedule.ready:
			c.ask(ctx, conn, d)
		case <-ctx.Done():
		}
	}
}

func (c *crowd) now() time.Duration { return time.Since(c.started) }

func (c *crowd) ask(ctx context.Context, conn *connection, d due) {
	switch {
	case int(d.who) >= len(c.buyers) || c.buyers[d.who].stage == queued:
		c.readPlace(ctx, conn, d)
	case c.buyers[d.who].stage == joining:
		c.joinQueue(ctx, conn, d)
	default:
		c.checkout(ctx, conn, d)
	}
}

func (c *crowd) checkout(ctx context.Context, conn *connection, d due) {
	i, b := d.who, &c.buyers[d.who]
	conn.request = c.template.appendTo(conn.request[:0], b.key[:], b.token)
	c.recorder.requests.Add(1)
	if b.tries++; b.tries > 1 {
		c.recorder.retries.Add(1)
	}
	sent := c.now()
	a, err := conn.do(ctx, conn.request)
	now := c.now()
	switch {
	case err != nil:
		if ctx.Err() == nil { // otherwise nobody waits for it
			c.recorder.lost.Add(1)
			c.comeBack(i, now, retryAfterNoAnswer)
		}
	case a.status == http.StatusCreated:
		c.held(ctx, i, &a, now, sent)
	default:
		c.refused(d, &a, now, sent)
	}
}

// Waits of answers that give none.
const (
	retryAfterNoAnswer = time.Second
	retryAfterUnsaid   = time.Second
)

// refused sorts the answers that are no hold. Overload, an unknown outcome and a
// first request that is still under way are repeated with the same key.
func (c *crowd) refused(d due, a *answer, now, sent time.Duration) {
	i, code := d.who, a.code()
	switch {
	case a.status == http.StatusConflict && code == "sold_out":
		c.recorder.refused(now, sent, d.at)
		c.soldOut(i, a, now)
	case a.status == http.StatusConflict && code == "in_flight":
		c.recorder.inFlight.Add(1)
		c.comeBack(i, now, a.retryAfter)
	case a.status == http.StatusForbidden && code == "queue_required" && c.buyers[i].token != "":
		c.sentBackFromDoor(i, a, now)
	case isBusy(a):
		c.recorder.wasBusy(now, sent)
		c.Progress.Busy.Add(1)
		c.comeBack(i, now, a.retryAfter)
	default:
		c.recorder.failed(now, fmt.Sprintf("%d %s", a.status, code), fmt.Sprintf("%.200q", a.body))
		c.final(i)
	}
}

// isBusy is an answer that asks to come again because of the load.
func isBusy(a *answer) bool {
	return a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests && a.code() == "rate_limited"
}

// soldOut is final, or where some may come back asked again for as long as the
// buyer is patient: with a new key, because this one may have its answer for
// ever.
func (c *crowd) soldOut(i int32, a *answer, now time.Duration) {
	b := &c.buyers[i]
	someHeld := a.someHeld()
	if someHeld && now+a.retryAfter-b.came < c.Patience {
		if b.token == "" { // otherwise the token is the key
			b.key = NewKey()
		}
		c.comeBack(i, now, a.retryAfter)
		return
	}
	c.recorder.turnedAway(now, !someHeld)
	c.final(i)
}

// comeBack repeats after the time in the answer plus up to a quarter of it, as
// docs/waiting-room.md allows: a crowd that comes back in step would be turned away in step.
func (c *crowd) comeBack(i int32, now, after time.Duration) {
	if after <= 0 {
		after = retryAfterUnsaid
	}
	c.schedule.add(i, now+after+rand.N(after/4))
}

// held pays, beside the connection that goes on.
func (c *crowd) held(ctx context.Context, i int32, a *answer, now, sent time.Duration) {
	var h Held
	if err := json.Unmarshal(a.body, &h); err != nil || h.Order == "" || h.Status != "held" {
		c.recorder.failed(now, "wrong_answer", fmt.Sprintf("%.200q", a.body))
		c.final(i)
		return
	}
	c.recorder.held(now, sent)
	c.Progress.Held.Add(1)
	c.paying.Go(func() { c.pay(ctx, i, h, now) })
}

// payAgain is the pause between two deliveries of a webhook.
const payAgain = time.Second

func (c *crowd) pay(ctx context.Context, i int32, h Held, held time.Duration) {
	for {
		err := c.deliver(ctx, h)
		now := c.now()
		var later *PayLater
		switch {
		case err == nil:
			c.recorder.wasPaid(h.Order, now, held)
			c.Progress.Paid.Add(1)
			c.final(i)
			return
		case ctx.Err() != nil:
			return
		case !errors.As(err, &later):
			c.recorder.failed(now, "payment", err.Error())
			c.final(i)
			return
		}
		c.recorder.webhookRetries.Add(1)
		select {
		case <-time.After(payAgain + rand.N(payAgain/2)):
		case <-ctx.Done():
			return
		}
	}
}

// deliver sends one webhook, of a bounded number.
func (c *crowd) deliver(ctx context.Context, h Held) error {
	select {
	case c.payers <- struct{}{}:
		defer func() { <-c.payers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	sent := time.Now()
	err := c.Pay(ctx, h)
	if err == nil {
		c.recorder.webhook.Observe(time.Since(sent))
	}
	return err
}

// final is the one place where a buyer is done.
func (c *crowd) final(i int32) {
	c.finals[i]++
	c.Progress.Answered.Add(1)
	if c.remaining.Add(-1) == 0 {
		close(c.finished)
	}
}

// A template is a request in which only the buyer's key is missing: it names the
// buyer, too.
type template struct{ beforeKey, beforeBuyer, rest []byte }

func newTemplate(t target, sale, class string) template {
	item, _ := json.Marshal([]map[string]any{{"class": class, "quantity": 1}})
	body := [2]string{`{"items":` + string(item) + `,"buyer":{"email":"`, `@bench.example"}}`}
	return template{
		beforeKey: []byte("POST /v1/sales/" + sale + "/checkouts HTTP/1.1\r\nHost: " + t.host +
			"\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(body[0])+keyLen+len(body[1])) + "\r\nIdempotency-Key: "),
		beforeBuyer: []byte("\r\n\r\n" + body[0]),
		rest:        []byte(body[1]),
	}
}

func (t template) appendTo(request, key []byte, token string) []byte {
	request = append(request, t.beforeKey...)
	request = append(request, key...)
	if token != "" {
		request = append(append(request, "\r\nQueue-Token: "...), token...)
	}
	request = append(request, t.beforeBuyer...)
	request = append(request, key...)
	return append(request, t.rest...)
}
