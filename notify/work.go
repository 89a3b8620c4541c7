package notify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/orders"
)

// work is one reader's work on this node.
type work struct {
	Reader
	*Runner
	wake chan struct{} // signals that there is an offer

	mu      sync.Mutex
	offered []orders.ReaderShard // by the last lease
	share   int
	until   time.Time              // when the lease ends, by this node's clock
	calling map[int]domain.EventID // what Handle has at the moment, by shard
	stored  map[int]place          // where the database has the shards, as far as this node knows
	left    map[int]int64          // leases that were released or lost

	shards map[int]*shard // the shards held; only run uses it
}

// A place is a shard's cursor under a lease.
type place struct {
	lease  int64
	cursor domain.EventCursor
}

// A shard is a shard of the reader's work that this node holds.
type shard struct {
	number int
	lease  int64
	cursor domain.EventCursor
	until  time.Time // as adopted, see heldUntil

	tries   int // how often the event after the cursor was refused
	stalls  int // how often in a row the world was at fault
	failure string
	retryAt time.Time

	aside       []orders.AsideRow
	asideAt     time.Time // when to look at them again
	asideStalls int
	step        orders.ReaderStep // changes not stored yet, except the move, which is made from the above
	unsaved     bool
}

func newWork(r *Runner, reader Reader) *work {
	return &work{
		Reader: reader, Runner: r, wake: make(chan struct{}, 1),
		shards: make(map[int]*shard), calling: make(map[int]domain.EventID), left: make(map[int]int64), stored: make(map[int]place),
	}
}

// offer says what this node holds, how much of it is its share, and until when.
func (w *work) offer(held []orders.ReaderShard, share int, until time.Time) {
	w.mu.Lock()
	w.offered, w.share, w.until = held, share, until
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run works until running ends. A call under way has until calls ends.
func (w *work) run(running, calls context.Context) {
	for running.Err() == nil {
		at, moved := w.head.get()
		wait := w.round(running, calls, at)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-moved:
		case <-w.wake:
		case <-timer.C:
		case <-running.Done():
		}
		timer.Stop()
	}
}

// round does what there is to do now and returns when there may be more.
func (w *work) round(running, calls context.Context, head domain.EventCursor) (wait time.Duration) {
	w.adopt()
	w.giveBack(running)
	now := time.Now()
	var able, behind []*shard
	for _, s := range w.shards {
		if now.Before(s.until) && !now.Before(s.retryAt) {
			able = append(able, s)
			if s.cursor.Compare(head) < 0 {
				behind = append(behind, s)
			}
		}
	}
	page, err := w.read(running, behind)
	if err != nil {
		if running.Err() == nil {
			w.options.Log.Warn("readers: cannot read events", "reader", w.Name, "error", err)
		}
		return w.options.RetryMin
	}
	var working sync.WaitGroup
	for _, s := range able {
		working.Go(func() { w.shard(running, calls, s, page) })
	}
	working.Wait()
	w.save(w.unsaved()...)
	if page.More && len(w.shards) > 0 && running.Err() == nil {
		return 0
	}
	return w.nextWait()
}

// read reads what follows the cursor of the shard that is furthest behind.
func (w *work) read(ctx context.Context, behind []*shard) (*orders.EventPage, error) {
	if len(behind) == 0 {
		return &orders.EventPage{}, nil
	}
	first := slices.MinFunc(behind, func(a, b *shard) int { return a.cursor.Compare(b.cursor) })
	page, err := w.store.Events(ctx, orders.EventQuery{After: first.cursor, Limit: w.options.PageMax, Types: w.Types})
	if page.Next == first.cursor {
		page.More = false
	}
	return &page, err
}

func (w *work) nextWait() time.Duration {
	now := time.Now()
	wait := w.options.Lease
	sooner := func(at time.Time) { wait = min(wait, at.Sub(now)) }
	for _, s := range w.shards {
		switch {
		case s.retryAt.After(now):
			sooner(s.retryAt)
		case len(s.aside) > 0:
			sooner(s.asideAt)
		}
	}
	return max(wait, w.options.PollMin/10)
}

// adopt takes over what the last lease offers. A shard under a new lease begins where the
// database says, and one under the same lease goes on.
func (w *work) adopt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := make(map[int]bool)
	for _, o := range w.offered {
		if lease, left := w.left[o.Shard]; left && lease == o.Lease {
			continue
		}
		held[o.Shard] = true
		s := w.shards[o.Shard]
		if s == nil || s.lease != o.Lease {
			s = &shard{number: o.Shard, lease: o.Lease, cursor: o.Cursor, tries: o.Tries}
			w.shards[o.Shard] = s
			w.stored[o.Shard] = place{o.Lease, o.Cursor}
		}
		s.until = w.until
	}
	for number := range w.shards {
		if !held[number] {
			delete(w.shards, number)
		}
	}
}

// giveBack releases what exceeds this node's share.
func (w *work) giveBack(ctx context.Context) {
	w.mu.Lock()
	share := w.share
	w.mu.Unlock()
	var spare []int
	for number, s := range w.shards {
		if len(w.shards)-len(spare) > share && !s.unsaved {
			spare = append(spare, number)
		}
	}
	if len(spare) == 0 {
		return
	}
	w.mu.Lock()
	for _, number := range spare { // an earlier offer no longer holds
		w.left[number] = w.shards[number].lease
		delete(w.shards, number)
	}
	w.mu.Unlock()
	if err := w.store.ReleaseShards(ctx, w.node, w.Name, spare); err != nil {
		w.options.Log.Warn("readers: cannot release shards", "reader", w.Name, "error", err)
		w.mu.Lock()
		for _, number := range spare { // keep them, or nobody would work on them; the next offer decides
			delete(w.left, number)
		}
		w.mu.Unlock()
	}
}

func (w *work) unsaved() (all []*shard) {
	for _, s := range w.shards {
		if s.unsaved {
			all = append(all, s)
		}
	}
	return all
}

// saveTimeout bounds saving while the Runner is being stopped.
const saveTimeout = 10 * time.Second

// save stores how far shards are, and reports whether all of them are still this node's. It
// may run for different shards at the same time.
func (w *work) save(shards ...*shard) bool {
	if len(shards) == 0 {
		return true
	}
	var step orders.ReaderStep
	for _, s := range shards {
		step.Moves = append(step.Moves, orders.ShardMove{
			Shard: s.number, Lease: s.lease, From: w.place(s.number).cursor, Cursor: s.cursor, Tries: s.tries, Error: s.failure,
		})
		step.Put, step.Tried, step.Done = append(step.Put, s.step.Put...), append(step.Tried, s.step.Tried...), append(step.Done, s.step.Done...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	moved, err := w.store.MoveShards(ctx, w.node, w.Name, step)
	if err != nil {
		w.options.Log.Warn("readers: cannot store how far a reader is", "reader", w.Name, "error", err)
	}
	all := err == nil
	for _, s := range shards {
		switch {
		case err != nil: // save is retried before anything else
			s.unsaved, s.stalls = true, s.stalls+1
			s.retryAt = time.Now().Add(backoff(s.stalls, w.options.RetryMin, w.options.RetryMax))
		case moved[s.number]:
			s.unsaved, s.step = false, orders.ReaderStep{}
			w.mu.Lock()
			w.stored[s.number] = place{s.lease, s.cursor}
			w.mu.Unlock()
		default:
			all = false
			w.lose(ctx, s)
		}
	}
	return all
}

func (w *work) place(shard int) place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored[shard]
}

// lose forgets a shard that another node has by now, or whose cursor is not where this node
// left it. In the second case this node still has it, and releases it: under a new lease a
// shard begins where the database says.
func (w *work) lose(ctx context.Context, s *shard) {
	w.options.Log.Warn("readers: another node has a shard that this one worked on, or the database was put back",
		"reader", w.Name, "shard", s.number, "lease", s.lease)
	s.unsaved, s.step = false, orders.ReaderStep{}
	w.mu.Lock()
	s.until = time.Time{}
	w.left[s.number] = s.lease
	w.mu.Unlock()
	w.release(ctx, s.number)
}

// release releases shards that this node does not go on with. What fails is repeated with
// the next lease, see unwanted.
func (w *work) release(ctx context.Context, shards ...int) {
	if err := w.store.ReleaseShards(ctx, w.node, w.Name, shards); err != nil {
		w.options.Log.Warn("readers: cannot release shards", "reader", w.Name, "error", err)
	}
}

// storedBefore returns where the database has the shards, for unwanted.
func (w *work) storedBefore() map[int]place {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.stored)
}

// unwanted says whether this node must not go on with a shard under the lease that it has:
// it has given the lease up, or the database has the shard behind where this node had stored
// it before it asked, so the database was put back to an earlier moment.
func (w *work) unwanted(before map[int]place, h orders.ReaderShard) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	lease, left := w.left[h.Shard]
	at, known := before[h.Shard]
	return left && lease == h.Lease || known && at.lease == h.Lease && h.Cursor.Compare(at.cursor) < 0
}

// shard does one shard's part of a round.
func (w *work) shard(running, calls context.Context, s *shard, page *orders.EventPage) {
	if s.unsaved && !w.save(s) {
		return
	}
	if !w.tryAside(running, calls, s) {
		return
	}
	var its []domain.Event
	for i := range page.Events {
		if e := &page.Events[i]; e.Shard() == s.number && e.Cursor.Compare(s.cursor) > 0 {
			its = append(its, *e)
		}
	}
	if w.pass(running, calls, s, its) && page.Next.Compare(s.cursor) > 0 {
		s.cursor, s.unsaved = page.Next, true
	}
}

// pass hands events to the reader and reports whether the cursor has passed them all.
func (w *work) pass(running, calls context.Context, s *shard, events []domain.Event) bool {
	singles := 0 // that many are tried one by one
	for len(events) > 0 {
		if running.Err() != nil || !time.Now().Before(w.heldUntil(s)) {
			return false
		}
		if s.unsaved && !w.save(s) {
			return false
		}
		first := &events[0]
		if s.isAside(first.Subject()) {
			if !w.putAside(s, first, "", 0, 0) {
				return false
			}
			events = events[1:]
			continue
		}
		n := 1
		for singles == 0 && n < min(w.BatchMax, len(events)) && !s.isAside(events[n].Subject()) {
			n++
		}
		err := w.call(calls, s, events[:n])
		switch result := resultOf(err); {
		case result == ResultDone:
			s.cursor, s.tries, s.stalls, s.failure, s.unsaved = events[n-1].Cursor, 0, 0, "", true
		case result == ResultFailed:
			if !first.Type.Known() {
				err = fmt.Errorf("%w (event %s has the type %s: run the release that wrote it, or a later one)", err, first.ID, first.Type)
			}
			s.stalls++
			w.stall(s, err, backoff(s.stalls, w.options.RetryMin, w.options.RetryMax))
			return false
		case n > 1:
			singles = n
			continue
		case result == ResultLater:
			if !w.putAside(s, first, errorText(err), 1, backoff(1, w.options.RetryMin, w.options.RetryLaterMax)) {
				return false
			}
		default:
			s.tries++
			if s.tries < w.options.TriesMax {
				w.stall(s, err, backoff(s.tries, w.options.RetryMin, w.options.RetryMax))
				return false
			}
			if !w.putAside(s, first, errorText(err), s.tries, onRequest) {
				return false
			}
			w.options.Log.Error("readers: an event that a reader refuses is set aside", "reader", w.Name, "event", first.ID, "type", first.Type, "error", err)
		}
		events, singles = events[n:], max(singles-n, 0)
	}
	return true
}

// stall makes a shard wait before its next try.
func (w *work) stall(s *shard, err error, wait time.Duration) {
	s.failure, s.unsaved, s.retryAt = errorText(err), true, time.Now().Add(wait)
	w.options.Log.Warn("readers: a reader is stuck", "reader", w.Name, "shard", s.number, "again_in", wait.String(), "error", err)
}

const onRequest = -1 // AsideEvent.RetryIn

// putAside skips an event, unless too many are set aside already.
func (w *work) putAside(s *shard, e *domain.Event, text string, tries int, retryIn time.Duration) bool {
	if len(s.aside) >= w.options.AsideMax {
		w.stall(s, fmt.Errorf("%d events are already set aside, which is the most: %s", len(s.aside), text), w.options.RetryMax)
		return false
	}
	s.step.Put = append(s.step.Put, orders.AsideEvent{
		Shard: s.number, Cursor: e.Cursor, Subject: e.Subject(), Type: e.Type, Error: text, Tries: tries, RetryIn: retryIn,
	})
	s.aside = append(s.aside, orders.AsideRow{Reader: w.Name, Shard: s.number, Cursor: e.Cursor, Subject: e.Subject()})
	s.cursor, s.tries, s.stalls, s.failure, s.unsaved = e.Cursor, 0, 0, "", true
	return true
}

func (s *shard) isAside(subject string) bool {
	return slices.ContainsFunc(s.aside, func(a orders.AsideRow) bool { return a.Subject == subject })
}

// asideAtOnce is how many set-aside events are tried in a round, so that they do not hold
// up the others for long.
const asideAtOnce = 16

// tryAside retries the set-aside events that are due, the first of each subject. It reports
// whether the shard is known and goes on.
func (w *work) tryAside(running, calls context.Context, s *shard) bool {
	if now := time.Now(); now.Before(s.asideAt) || len(s.aside) == 0 && !s.asideAt.IsZero() {
		return true
	}
	rows, err := w.store.SetAside(running, w.Name, []int{s.number}, w.options.AsideMax+1)
	if err != nil {
		if running.Err() == nil {
			w.options.Log.Warn("readers: cannot read the set-aside events", "reader", w.Name, "error", err)
		}
		s.stalls++
		s.retryAt = time.Now().Add(backoff(s.stalls, w.options.RetryMin, w.options.RetryMax))
		return false
	}
	s.aside, s.asideAt = rows, time.Now().Add(2*w.options.PollMax)
	due := firstDue(rows)
	if len(due) == 0 {
		return true
	}
	cursors := make([]domain.EventCursor, len(due))
	for i, row := range due {
		cursors[i] = row.Cursor
	}
	events, err := w.store.EventsAt(running, cursors)
	if err != nil {
		s.asideAt = time.Now().Add(w.options.RetryMin)
		return true
	}
	found := make(map[domain.EventCursor]*domain.Event)
	for i := range events {
		found[events[i].Cursor] = &events[i]
	}
	for _, row := range due {
		if running.Err() != nil || !time.Now().Before(w.heldUntil(s)) {
			break
		}
		if !w.tryOne(calls, s, &row, found[row.Cursor]) {
			break
		}
	}
	return !s.unsaved || w.save(s)
}

// firstDue returns the first event of each subject if it is due.
func firstDue(rows []orders.AsideRow) (due []orders.AsideRow) {
	seen := make(map[string]bool)
	for _, row := range rows {
		if first := !seen[row.Subject]; first && row.Due && len(due) < asideAtOnce {
			due = append(due, row)
		}
		seen[row.Subject] = true
	}
	return due
}

// tryOne retries an event, and reports whether to go on with the others: not if the world
// is at fault.
func (w *work) tryOne(calls context.Context, s *shard, row *orders.AsideRow, e *domain.Event) bool {
	var err error
	if e != nil {
		err = w.call(calls, s, []domain.Event{*e})
	}
	tries := row.Tries + 1
	again := orders.AsideEvent{Shard: s.number, Cursor: row.Cursor, Error: errorText(err), Tries: tries, WasDue: row.RetryAt}
	switch resultOf(err) {
	case ResultFailed:
		s.asideStalls++
		s.asideAt = time.Now().Add(backoff(s.asideStalls, w.options.RetryMin, w.options.RetryMax))
		return false
	case ResultDone:
		s.step.Done = append(s.step.Done, orders.AsideKey{Shard: s.number, Cursor: row.Cursor})
		s.aside = slices.DeleteFunc(s.aside, func(a orders.AsideRow) bool { return a.Cursor == row.Cursor })
		s.asideAt = time.Now() // the next of its subject
	case ResultLater:
		again.RetryIn = backoff(tries, w.options.RetryMin, w.options.RetryLaterMax)
		s.step.Tried = append(s.step.Tried, again)
	case ResultRefused:
		again.RetryIn = onRequest
		if tries < w.options.TriesMax {
			again.RetryIn = backoff(tries, w.options.RetryMin, w.options.RetryMax)
		}
		s.step.Tried = append(s.step.Tried, again)
	}
	s.asideStalls, s.unsaved = 0, true
	return true
}

// heldUntil is when the lease of a shard ends. The lease is renewed while calls go on.
func (w *work) heldUntil(s *shard) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	prolonged := slices.ContainsFunc(w.offered, func(o orders.ReaderShard) bool { return o.Shard == s.number && o.Lease == s.lease })
	if prolonged && !s.until.IsZero() && w.until.After(s.until) {
		return w.until
	}
	return s.until
}

// call calls the reader once. The call ends with the lease, unless the lease is renewed.
func (w *work) call(calls context.Context, s *shard, events []domain.Event) error {
	began := time.Now()
	ctx, cancel := context.WithDeadline(calls, began.Add(w.Timeout))
	defer cancel()
	go func() {
		for {
			left := time.NewTimer(time.Until(w.heldUntil(s)))
			select {
			case <-left.C:
			case <-ctx.Done():
				left.Stop()
				return
			}
			if !time.Now().Before(w.heldUntil(s)) {
				cancel()
				return
			}
		}
	}()
	defer w.watchCall(ctx, s.number, events[0].ID)()
	err := w.handle(ctx, events)
	w.options.Handled(w.Name, len(events), resultOf(err), time.Since(began))
	return err
}

// watchCall keeps what Handle has at the moment, and says so if Handle does not return although its time is up: until it does, this
// node's part of the reader stands still.
func (w *work) watchCall(ctx context.Context, shard int, event domain.EventID) (done func()) {
	w.mu.Lock()
	w.calling[shard] = event
	w.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		late := time.NewTimer(w.options.StopGrace)
		defer late.Stop()
		select {
		case <-late.C:
			w.options.Log.Error("a reader does not return although its time is up", "reader", w.Name, "shard", shard, "event", event)
		case <-ended:
		}
	}()
	return func() {
		close(ended)
		w.mu.Lock()
		delete(w.calling, shard)
		w.mu.Unlock()
	}
}

func (w *work) callsNow() map[int]domain.EventID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.calling)
}

func (w *work) handle(ctx context.Context, events []domain.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.options.Log.Error("a reader panics", "reader", w.Name, "event", events[0].ID, "panic", p, "stack", string(debug.Stack()))
			err = Refused(fmt.Errorf("panic: %v", p))
		}
	}()
	failpoint.Before("reader", "handle")
	err = w.Handle(ctx, slices.Clone(events))
	failpoint.After("reader", "handle")
	return err
}

// errorTextMax is how much of an error is stored.
const errorTextMax = 500

func errorText(err error) string {
	if err == nil {
		return ""
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", ""), "")
	if len(text) > errorTextMax {
		text = strings.ToValidUTF8(text[:errorTextMax], "")
	}
	return cmp.Or(text, "the error has no text")
}
