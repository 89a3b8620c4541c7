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
	eventLogInterval   = 500 * time.Millisecond // between two looks for news, for all who wait on this node
	eventLogLookMax    = 1000                   // events that one reading passes over, wanted or not
	eventLogReadsMax   = 64                     // requests for a page at a time, those that wait among them
	eventLogStreamsMax = 64
)

// An EventLog is what happened, in the order in which it was committed. orders.Store keeps it.
type EventLog interface {
	// Events are those that follow a cursor. CodeInvalid: this database has not come so far.
	Events(ctx context.Context, q domain.EventQuery) (domain.EventPage, error)
	// EventHead is the last event's cursor at the moment.
	EventHead(ctx context.Context) (domain.EventCursor, error)
	// EventPlace is what the log has at a cursor.
	EventPlace(ctx context.Context, at domain.EventCursor) (domain.EventPlace, error)
}

type eventLogInput struct {
	After  string `query:"after" maxLength:"64" doc:"next of the page before. Without it: from the first event that is kept"`
	Types  string `query:"types" maxLength:"1000" doc:"Only these types, separated by commas" example:"order.paid,order.refunded"`
	Sale   string `query:"sale" maxLength:"63" doc:"Only events of this sale and its orders"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500" doc:"The most events of a page"`
	WaitS  int    `query:"wait_s" minimum:"0" maximum:"25" doc:"How many seconds to wait for an event if there is none yet. Streams wait anyway"`
	Accept string `header:"Accept" doc:"text/event-stream: a stream instead of a page"`
	LastID string `header:"Last-Event-ID" maxLength:"64" doc:"Of a stream: where it goes on, instead of after"`
}

// EventsView is a page of the event log.
type EventsView struct {
	Events []EventView `json:"events" doc:"In the order in which they were committed"`
	Next   string      `json:"next" doc:"Pass it as after; also of an empty page"`
	More   bool        `json:"more" doc:"There may be more already, also if the page is empty: ask again at once"`
}

// EventView is the envelope of an event, as domain.Event marshals itself.
type EventView struct {
	ID         string           `json:"id" doc:"The same for ever: do what you do once an id" example:"evt_01a22bc7aaa0dd6b16b9000000000002"`
	Type       domain.EventType `json:"type" example:"order.paid"`
	Schema     int              `json:"schema" doc:"The version of data. Within a version fields are only added"`
	OccurredAt time.Time        `json:"occurred_at"`
	Sale       string           `json:"sale,omitempty" doc:"Absent: of no sale"`
	Order      *domain.OrderID  `json:"order,omitempty" doc:"Absent: of no order"`
	Data       json.RawMessage  `json:"data" doc:"What the type has, see the catalogue of events"`
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

// routeEventLog registers how the organiser reads the event log.
func (s *Server) routeEventLog(api huma.API, admin func(huma.Operation) huma.Operation) {
	page := s.document.Components.Schemas.Schema(reflect.TypeFor[EventsView](), true, "EventsView")
	operation(s, api, admin(huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: eventLogRoute,
		Summary: "Read what happened, and wait for what happens next",
		Description: "Every event of sales, orders and the audit, in the order in which it was committed: whoever goes on from `next` misses none. " +
			"With `Accept: text/event-stream` it is a stream whose ids are such cursors; `Last-Event-ID` goes on.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A page of events, or a stream of them",
			Content: map[string]*huma.MediaType{
				"application/json":  {Schema: page},
				"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeEventsDropped, codeEventsRestored}, s.listEvents)
}

// An eventReading is where somebody is in the log, and what they want of it.
type eventReading struct {
	query     domain.EventQuery // its After moves on
	mark      string            // of the event at After, see eventPlace
	most      int               // events of a page
	fromStart bool              // the client has named no place
}

func (s *Server) listEvents(_ context.Context, in *eventLogInput) (*huma.StreamResponse, error) {
	if s.EventLog == nil {
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node does not show events."}
	}
	isStream := strings.Contains(strings.ToLower(in.Accept), "text/event-stream")
	reading, err := in.reading(isStream)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		c := humagin.Unwrap(ctx)
		// The server's ReadTimeout would end the wait: net/http watches for the client's
		// leaving by reading. Errors mean a writer without deadlines.
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
			return nil, domain.Invalid(field, "must be the next of a page, or the id that came with an event of a stream")
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
	if in.Sale != "" || in.Types != "" { // what is not wanted costs no page
		r.query.Limit = eventLogLookMax
	}
	return r, nil
}

// answerEvents answers a page, once there is an event or the time is over. While it
// waits it holds a permit and no connection of the database.
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
		moved := s.logHub.news() // before the reading: what it misses is told
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

// always is a channel that never lets anybody wait.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// readEvents reads a page and moves on behind it. A *Problem says that events are gone
// that were to come, or that the log is another one.
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
	if !r.fromStart { // asked afterwards: what was dropped before the reading is known by now
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

// gone says why a reader cannot go on; empty: it can. A cursor is behind an event that its
// reader has seen. If the log has no such event there, or another one, the database was
// restored to a time before it, or on another server: what follows the cursor by number
// is not all that happened since.
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

// place is where the reader is, as it keeps it.
func (r *eventReading) place() string { return eventPlace(r.query.After, r.mark) }

// eventPlace is a cursor with the mark of its event, for readers outside: a database that was
// restored may come to the same numbers again, with other events. Without a mark only
// whether there is an event can be told.
func eventPlace(at domain.EventCursor, mark string) string {
	if mark == "" {
		return at.String()
	}
	return at.String() + "-" + mark
}

// eventMark tells an event from any other that may get its numbers.
func eventMark(id domain.EventID) string {
	sum := sha256.Sum256(id[:])
	return hex.EncodeToString(sum[:4])
}

func parseEventPlace(text string) (at domain.EventCursor, mark string, err error) {
	cursor := text
	if parts := strings.Split(text, "-"); len(parts) == 3 {
		cursor, mark = parts[0]+"-"+parts[1], parts[2]
		if raw, err := hex.DecodeString(mark); err != nil || hex.EncodeToString(raw) != mark || len(raw) != 4 {
			return at, "", domain.Invalid("cursor", "must be one that came with an event")
		}
	}
	at, err = domain.ParseEventCursor(cursor)
	return at, mark, err
}

// streamEvents writes events until the client leaves, is too slow, or has had its time.
func (s *Server) streamEvents(c *gin.Context, r *eventReading) {
	select {
	case s.logStreams.permits <- struct{}{}:
		defer func() { <-s.logStreams.permits }()
	default:
		s.abort(c, &domain.Error{Code: domain.CodeOverloaded, Detail: "Too many read the stream of events. GET pages instead.", RetryAfter: eventsHeartbeat})
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
			// The id alone moves the client on behind what it did not want.
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
			if ctx.Err() != nil || !mayRecover(err) { // coming back tells the client
				return
			}
			s.log.WarnContext(ctx, "stream of events: the log gives no answer", "request", requestID(ctx), "err", err)
			page, moved, again = domain.EventPage{}, nil, time.After(4*s.logHub.every)
		}
		ok = w.events(page.Events)
	}
}

// mayRecover reports whether asking again may do.
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

// events have no names: a client that knows no new type still gets it.
func (w eventWriter) events(events []domain.Event) bool {
	if len(events) == 0 {
		return true
	}
	var b bytes.Buffer
	for i := range events {
		data, err := json.Marshal(viewEvent(&events[i]))
		if err != nil {
			return false // ours to fix; never go on behind it
		}
		fmt.Fprintf(&b, "id: %s\ndata: %s\n\n", eventPlace(events[i].Cursor, eventMark(events[i].ID)), data)
	}
	return w.write("%s", b.Bytes())
}

// A logHub looks for news of the log, for all who wait on this node, while somebody does.
type logHub struct {
	head   func(context.Context) (domain.EventCursor, error)
	every  time.Duration // between two looks
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

// join counts somebody who waits, until leave is called.
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

// news is closed once there is some. Take it before you read.
func (h *logHub) news() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.moved
}

func (h *logHub) look(ctx context.Context) {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	var at domain.EventCursor
	isFirst, isFailing := true, false // the first look does not know what those who wait have read
	for {
		head, err := h.head(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !isFailing:
			h.log.Warn("event log: cannot look for news", "err", err)
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

// close ends all that waits, so that a shutdown does not wait for it.
func (h *logHub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
}
