package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

const (
	eventLogInterval   = 500 * time.Millisecond // between two polls of the log, for all clients that wait on this node
	eventLogLookMax    = 1000                   // events that one read looks at, selected or not
	eventLogReadsMax   = 64                     // requests for pages at a time, including those that wait
	eventLogStreamsMax = 64
)

// An EventLog has the events in the order in which they were committed. orders.Store is one.
type EventLog interface {
	// Events returns the events that follow a cursor. CodeInvalid: this database has not come so far.
	Events(ctx context.Context, q domain.EventQuery) (domain.EventPage, error)
	// EventHead returns the present last event's cursor.
	EventHead(ctx context.Context) (domain.EventCursor, error)
	// EventPlace returns what the log has at a cursor.
	EventPlace(ctx context.Context, at domain.EventCursor) (domain.EventPlace, error)
}

type eventLogInput struct {
	After  string `query:"after" maxLength:"64" doc:"next of the previous page. Without it: from the first event that is stored"`
	Types  string `query:"types" maxLength:"1000" doc:"Only these types, separated by commas" example:"order.paid,order.refunded"`
	Sale   string `query:"sale" maxLength:"63" doc:"Only events of this sale and its orders"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500" doc:"The most events on a page"`
	WaitS  int    `query:"wait_s" minimum:"0" maximum:"25" doc:"How many seconds to wait for an event if there is none yet. Streams wait anyway"`
	Accept string `header:"Accept" doc:"text/event-stream: a stream instead of a page"`
	LastID string `header:"Last-Event-ID" maxLength:"64" doc:"For a stream: where to go on, instead of after"`
}

// EventsView is a page of the event log.
type EventsView struct {
	Events []EventView `json:"events" doc:"In the order in which they were committed"`
	Next   string      `json:"next" doc:"Pass it as after, even if the page is empty"`
	More   bool        `json:"more" doc:"There may already be more, even if the page is empty: ask again at once"`
}

// EventView is the envelope of an event, as domain.Event marshals itself.
type EventView struct {
	ID         string           `json:"id" doc:"It never changes: do things once per id" example:"evt_01a22bc7aaa0dd6b16b9000000000002"`
	Type       domain.EventType `json:"type" example:"order.paid"`
	Schema     int              `json:"schema" doc:"The version of data. Within a version, fields are only added"`
	OccurredAt time.Time        `json:"occurred_at"`
	Sale       string           `json:"sale,omitempty" doc:"Absent: about no sale"`
	Order      *domain.OrderID  `json:"order,omitempty" doc:"Absent: about no order"`
	Data       json.RawMessage  `json:"data" doc:"The payload of the type, see the catalogue of events"`
}

func viewEvent(e *domain.Event) EventView {
	view := EventView{
		ID: e.ID.String(), Type: e.Type, Schema: e.Schema, OccurredAt: e.OccurredAt, Sale: e.SaleID, Data: e.Payload,
	}
	if !e.Order.IsZero() {
		view.Order = &e.Order
	}
	return view
}

// routeEventLog registers the organiser's route to the event log.
func (s *Server) routeEventLog(api huma.API, admin func(huma.Operation) huma.Operation) {
	page := s.document.Components.Schemas.Schema(reflect.TypeFor[EventsView](), true, "EventsView")
	operation(s, api, admin(huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: eventLogRoute,
		Summary: "Read events, and wait for new ones",
		Description: "Every event of sales, orders and the audit, in the order in which they were committed. A reader that goes on from `next` misses none. " +
			"With `Accept: text/event-stream` the answer is a stream. Its ids are such cursors, and `Last-Event-ID` goes on from one.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A page of events, or a stream of them",
			Content: map[string]*huma.MediaType{
				"application/json":  {Schema: page},
				"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}), []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeEventsDropped, codeEventsRestored,
	}, s.listEvents)
}

// An eventReading is a client's position in the log and what it selects.
type eventReading struct {
	query     domain.EventQuery // its After moves forward
	mark      string            // mark of the event at After, see eventPlace
	most      int               // events of a page
	fromStart bool              // the client named no position
}

func (s *Server) listEvents(_ context.Context, in *eventLogInput) (*huma.StreamResponse, error) {
	if s.EventLog == nil {
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node does not serve events."}
	}
	isStream := strings.Contains(strings.ToLower(in.Accept), "text/event-stream")
	reading, err := in.reading(isStream)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		c := humagin.Unwrap(ctx)
		// The server's ReadTimeout would end the wait, because net/http reads to notice that the
		// client left. An error means that the writer has no deadlines.
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Time{})
		if isStream {
			s.streamEvents(c, reading)
			return
		}
		s.answerEvents(c, reading, time.Duration(in.WaitS)*time.Second)
	}}, nil
}

func (in *eventLogInput) reading(isStream bool) (*eventReading, error) {
	r := &eventReading{most: in.Limit, query: domain.EventQuery{Limit: in.Limit, Sale: in.Sale}}
	place, field := in.After, "after"
	if isStream && in.LastID != "" {
		place, field = in.LastID, "Last-Event-ID"
	}
	r.fromStart = place == ""
	if !r.fromStart {
		var err error
		if r.query.After, r.mark, err = parseEventPlace(place); err != nil {
			return nil, domain.Invalid(field, "must be the next of a page, or the id of an event in a stream")
		}
	}
	if in.Sale != "" && !domain.ValidSaleID(in.Sale) {
		return nil, domain.Invalid("sale", "must be the id of a sale")
	}
	if in.Types != "" {
		for name := range strings.SplitSeq(in.Types, ",") {
			t := domain.EventType(name)
			if !t.Known() {
				return nil, domain.Invalid("types", "has one that this release does not know; see the catalogue of events")
			}
			r.query.Types = append(r.query.Types, t)
		}
	}
	if in.Sale != "" || in.Types != "" { // events that are not selected take no room on the page
		r.query.Limit = eventLogLookMax
	}
	return r, nil
}

// answerEvents answers with a page once there is an event or the time is over. While it waits
// it holds a permit, but no database connection.
func (s *Server) answerEvents(c *gin.Context, r *eventReading, wait time.Duration) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), wait+requestTimeout)
	defer cancel()
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + requestTimeout + answerGrace))
	if isHead(c) {
		wait = 0
	}
	page, err := s.awaitEvents(ctx, r, wait)
	if err != nil {
		s.abort(c, err)
		return
	}
	view := EventsView{Events: make([]EventView, 0, len(page.Events)), Next: r.place(), More: page.More}
	for i := range page.Events {
		view.Events = append(view.Events, viewEvent(&page.Events[i]))
	}
	c.Header("Content-Type", "application/json")
	c.Status(http.StatusOK)
	_ = jsonFormat.Marshal(c.Writer, view) // the client left
}

func (s *Server) awaitEvents(ctx context.Context, r *eventReading, wait time.Duration) (domain.EventPage, error) {
	if wait == 0 {
		return s.readEvents(ctx, r)
	}
	defer s.logHub.join()()
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		moved := s.logHub.news() // before reading, so that news after the read is noticed
		page, err := s.readEvents(ctx, r)
		if err != nil || len(page.Events) > 0 {
			return page, err
		}
		if page.More {
			moved = always
		}
		select {
		case <-moved:
		case <-over.C:
			return page, nil
		case <-s.logHub.closed:
			return page, nil
		case <-ctx.Done():
			return page, ctx.Err()
		}
	}
}

// always is a channel that is always ready.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// readEvents reads a page and moves past it. A *Problem says that events to come were dropped,
// or that the log is a different one.
func (s *Server) readEvents(ctx context.Context, r *eventReading) (page domain.EventPage, err error) {
	if r.fromStart {
		place, err := s.EventLog.EventPlace(ctx, domain.EventCursor{})
		if err != nil {
			return page, err
		}
		r.query.After = place.DroppedTo
	}
	page, err = s.EventLog.Events(ctx, r.query)
	isAhead := domain.CodeOf(err) == domain.CodeInvalid
	if err != nil && !isAhead {
		return page, err
	}
	if !r.fromStart { // asked after the read: whatever was dropped before it is known by now
		place, err := s.EventLog.EventPlace(ctx, r.query.After)
		if err != nil {
			return page, err
		}
		if code := r.gone(place, isAhead); code != "" {
			p := newProblem(code, "")
			p.After = place.DroppedTo.String()
			return page, p
		}
	}
	if len(page.Events) > r.most {
		page.Events, page.More = page.Events[:r.most], true
		page.Next, page.NextID = page.Events[r.most-1].Cursor, page.Events[r.most-1].ID
	}
	if page.Next != r.query.After {
		r.query.After, r.mark = page.Next, eventMark(page.NextID)
	}
	r.fromStart = false
	return page, nil
}

// gone says why a reader cannot go on; empty: it can. A cursor stands at an event that its
// reader has seen. If the log does not have that event there, the database was restored to a
// time before it, or on another server. Then the events after the cursor are not all that
// happened since.
func (r *eventReading) gone(place domain.EventPlace, isAhead bool) domain.Code {
	switch order := r.query.After.Compare(place.DroppedTo); {
	case isAhead:
		return codeEventsRestored
	case order < 0:
		return codeEventsDropped
	case order == 0:
		return ""
	case place.ID == (domain.EventID{}), r.mark != "" && r.mark != eventMark(place.ID):
		return codeEventsRestored
	default:
		return ""
	}
}

// place is the reader's position in the form that the client keeps.
func (r *eventReading) place() string { return eventPlace(r.query.After, r.mark) }

// eventPlace is a cursor with the mark of its event, for clients. A restored database may give
// the same numbers to other events. Without a mark, we can only tell whether there is an
// event.
func eventPlace(at domain.EventCursor, mark string) string {
	if mark == "" {
		return at.String()
	}
	return at.String() + "-" + mark
}

// eventMark tells an event from any other that may get the same numbers.
func eventMark(id domain.EventID) string {
	sum := sha256.Sum256(id[:])
	return hex.EncodeToString(sum[:4])
}

func parseEventPlace(text string) (at domain.EventCursor, mark string, err error) {
	cursor := text
	if parts := strings.Split(text, "-"); len(parts) == 3 {
		cursor, mark = parts[0]+"-"+parts[1], parts[2]
		if raw, err := hex.DecodeString(mark); err != nil || hex.EncodeToString(raw) != mark || len(raw) != 4 {
			return at, "", domain.Invalid("cursor", "must be a cursor that came with an event")
		}
	}
	at, err = domain.ParseEventCursor(cursor)
	return at, mark, err
}

// streamEvents writes events until the client leaves, is too slow, or has used up its time.
func (s *Server) streamEvents(c *gin.Context, r *eventReading) {
	select {
	case s.logStreams.permits <- struct{}{}:
		defer func() { <-s.logStreams.permits }()
	default:
		s.abort(c, &domain.Error{Code: domain.CodeOverloaded, Detail: "Too many clients read the event stream. GET pages instead.", RetryAfter: eventsHeartbeat})
		return
	}
	defer s.logHub.join()()
	ctx, moved := c.Request.Context(), s.logHub.news()
	page, err := s.readEvents(ctx, r)
	if err != nil {
		SetWriteDeadline(c.Writer)
		s.abort(c, err)
		return
	}
	setStreamHeaders(c.Writer.Header())
	c.Status(http.StatusOK)
	if isHead(c) {
		return
	}
	w := eventWriter{w: c.Writer, control: http.NewResponseController(c.Writer)}
	heartbeat := time.NewTicker(s.logHub.beat)
	defer heartbeat.Stop()
	lifetime := time.NewTimer(eventsLifetimeMax)
	defer lifetime.Stop()
	var again <-chan time.Time
	for ok := w.write("retry: %d\n\n", eventsRetryMillis) && w.events(page.Events); ok; {
		if page.More {
			moved = always
		}
		select {
		case <-heartbeat.C:
			// The id alone moves the client past events that it did not select.
			ok = w.write(": still here\nid: %s\n\n", r.place())
			continue
		case <-moved:
		case <-again:
		case <-lifetime.C:
			return
		case <-s.logHub.closed:
			return
		case <-ctx.Done():
			return
		}
		moved, again = s.logHub.news(), nil
		page, err = s.readEvents(ctx, r)
		if err != nil {
			if ctx.Err() != nil || !mayRecover(err) { // the client gets the problem when it connects again
				return
			}
			s.log.WarnContext(ctx, "event stream: the log gives no answer", "request", requestID(ctx), "err", err)
			page, moved, again = domain.EventPage{}, nil, time.After(4*s.logHub.every)
		}
		ok = w.events(page.Events)
	}
}

// mayRecover reports whether asking again may help.
func mayRecover(err error) bool {
	var told *Problem
	return !errors.As(err, &told)
}

// An eventWriter writes server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (w eventWriter) write(format string, args ...any) bool {
	_ = w.control.SetWriteDeadline(time.Now().Add(eventsWriteTimeout))
	if _, err := fmt.Fprintf(w.w, format, args...); err != nil {
		return false
	}
	return w.control.Flush() == nil
}

// events have no names, so a client gets types that it does not know.
func (w eventWriter) events(events []domain.Event) bool {
	if len(events) == 0 {
		return true
	}
	var b bytes.Buffer
	for i := range events {
		data, err := json.Marshal(viewEvent(&events[i]))
		if err != nil {
			return false // ours to fix; never skip it
		}
		fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", eventPlace(events[i].Cursor, eventMark(events[i].ID)), data)
	}
	return w.write("%s", b.Bytes())
}

// A logHub polls the log for all clients that wait on this node, while there are any.
type logHub struct {
	head   func(context.Context) (domain.EventCursor, error)
	every  time.Duration // between two polls
	beat   time.Duration // between two heartbeats of a stream
	log    *slog.Logger
	closed chan struct{}

	mu      sync.Mutex
	waiting int
	stop    context.CancelFunc
	moved   chan struct{} // closed when there is news
}

func newLogHub(head func(context.Context) (domain.EventCursor, error), log *slog.Logger) *logHub {
	return &logHub{head: head, every: eventLogInterval, beat: eventsHeartbeat, log: log, closed: make(chan struct{}), moved: make(chan struct{})}
}

// join counts a waiting client until leave is called.
func (h *logHub) join() (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting++; h.waiting == 1 {
		var ctx context.Context
		ctx, h.stop = context.WithCancel(context.Background())
		go h.look(ctx)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.waiting--; h.waiting == 0 {
			h.stop()
		}
	}
}

// news returns a channel that is closed when there is news. Get it before you read.
func (h *logHub) news() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.moved
}

func (h *logHub) look(ctx context.Context) {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	var at domain.EventCursor
	isFirst, isFailing := true, false // the first poll does not know what the clients have read
	for {
		head, err := h.head(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !isFailing:
			h.log.Warn("event log: cannot poll", "err", err)
		case err == nil && (isFirst || head != at):
			at, isFirst = head, false
			h.tell()
		}
		isFailing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *logHub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.moved)
	h.moved = make(chan struct{})
}

// close ends all waits, so that a shutdown does not wait for them.
func (h *logHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
}
