package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders/orderstest"
)

const logBegan = 1_780_000_000_000 // ms

// eventLog is an EventLog in memory.
type eventLog struct {
	mu      sync.Mutex
	events  []domain.Event
	dropped domain.EventCursor
	err     error // of Events
	failed  int
}

func (l *eventLog) add(t domain.EventType, sale string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.UnixMilli(logBegan).UTC()
	row := int64(len(l.events) + 1)
	e := domain.Event{
		ID: domain.NewEventID(at, 7, row), Cursor: domain.EventCursor{Transaction: 100, ID: row}, Type: t, Schema: 1, SaleID: sale,
		OccurredAt: at, Payload: json.RawMessage(`{"sale":"` + sale + `"}`),
	}
	if t.Terms().Subject == domain.SubjectOrder {
		e.Order = domain.OrderID{14: byte(row)}
	}
	l.events = append(l.events, e)
}

func (l *eventLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// drop drops the first n.
func (l *eventLog) drop(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = l.events[n-1].Cursor
	l.events = l.events[n:]
}

func (l *eventLog) Events(_ context.Context, q domain.EventQuery) (domain.EventPage, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	page := domain.EventPage{Next: q.After}
	if l.err != nil {
		l.failed++
		return page, l.err
	}
	looked := 0
	for _, e := range l.events {
		if e.Cursor.Compare(q.After) <= 0 || looked == q.Limit {
			continue
		}
		looked++
		page.Next, page.NextID = e.Cursor, e.ID
		if (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) && (q.Sale == "" || q.Sale == e.SaleID) {
			page.Events = append(page.Events, e)
		}
	}
	page.More = looked == q.Limit
	return page, nil
}

func (l *eventLog) EventHead(context.Context) (head domain.EventCursor, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.events); n > 0 {
		head = l.events[n-1].Cursor
	}
	return head, nil
}

func (l *eventLog) EventPlace(_ context.Context, at domain.EventCursor) (domain.EventPlace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := domain.EventPlace{DroppedTo: l.dropped}
	for _, e := range l.events {
		if e.Cursor == at {
			place.ID = e.ID
		}
	}
	return place, nil
}

// logSetup is a box office whose log has an order's and two sales' events.
func logSetup(t *testing.T) (*bundle, *eventLog) {
	t.Helper()
	log := &eventLog{}
	log.add(domain.EventSaleCreated, "rock")
	log.add(domain.EventOrderPaid, "rock")
	log.add(domain.EventSaleCreated, "jazz")
	return logOf(t, log), log
}

func logOf(t *testing.T, log EventLog) *bundle {
	t.Helper()
	b := setup(t, func(o *Options) { o.EventLog = log })
	b.api.logHub.every = 5 * time.Millisecond
	t.Cleanup(b.api.CloseStreams)
	return b
}

func eventsRequest(query string) request {
	return request{"GET", "/v1/events?" + query, "", bearerOf(testAdminToken)}
}

func (b *bundle) events(t *testing.T, query string) (page EventsView) {
	t.Helper()
	w := b.do(eventsRequest(query))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d %s %s", query, w.Code, w.Header(), w.Body)
	}
	decode(t, w, &page)
	return page
}

func (p *EventsView) types() string {
	var types []string
	for _, e := range p.Events {
		types = append(types, string(e.Type)+" "+e.Sale)
	}
	return strings.Join(types, ", ")
}

// placeAt is the cursor of the log's n-th event.
func placeAt(n int64) string {
	return eventPlace(domain.EventCursor{Transaction: 100, ID: n}, eventMark(domain.NewEventID(time.UnixMilli(logBegan), 7, n)))
}

func TestEventsComeInPages(t *testing.T) {
	b, log := logSetup(t)
	for _, c := range []struct{ query, want, next string }{
		{"limit=2", "sale.created rock, order.paid rock", placeAt(2)},
		{"limit=2&after=" + placeAt(2), "sale.created jazz", placeAt(3)},
		{"limit=2&after=100-2", "sale.created jazz", placeAt(3)}, // a cursor in the old form
		{"after=" + placeAt(3), "", placeAt(3)},
		{"types=order.paid", "order.paid rock", placeAt(3)},
		{"types=order.paid,sale.created&sale=rock", "sale.created rock, order.paid rock", placeAt(3)},
		{"types=sale.created&limit=1", "sale.created rock", placeAt(1)}, // and not after events that were cut off
		{"sale=blues", "", placeAt(3)},
	} {
		page := b.events(t, c.query)
		if page.types() != c.want || page.Next != c.next {
			t.Errorf("%s: %q, next %s; want %q, next %s", c.query, page.types(), page.Next, c.want, c.next)
		}
		if wantMore := strings.Contains(c.query, "limit=") && len(page.Events) > 0 && !strings.Contains(c.query, "after"); page.More != wantMore {
			t.Errorf("%s: more is %t", c.query, page.More)
		}
	}
	for i := range log.events { // the envelope is the same everywhere
		want, err := json.Marshal(log.events[i])
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(viewEvent(&log.events[i]))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestRefusedReadsOfTheEventLog(t *testing.T) {
	b, _ := logSetup(t)
	for query, field := range map[string]string{
		"types=order.eaten": "types", "types=order.paid,": "types", "after=x": "after", "after=100--2": "after", "after=100-2-": "after", "after=100-2-ABCDEF01": "after", "after=100-2-abcdef0": "after", "limit=501": "limit", "limit=0": "limit",
		"wait_s=26": "wait_s", "sale=No%20Sale": "sale", "type=order.paid": "query",
	} {
		p := wantProblem(t, b.do(eventsRequest(query)), 422, domain.CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: %+v, want %s", query, p.Errors, field)
		}
	}
	stream := request{"GET", "/v1/events", "", map[string]string{
		"Authorization": "Bearer " + testAdminToken, "Accept": "text/event-stream", "Last-Event-ID": "x",
	}}
	if p := wantProblem(t, b.do(stream), 422, domain.CodeInvalid); p.Errors[0].Field != "Last-Event-ID" {
		t.Errorf("%+v", p.Errors)
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/events"}), 401, domain.CodeUnauthorized)
	wantProblem(t, setup(t).do(eventsRequest("")), 404, domain.CodeNotFound)
}

func TestAReaderIsToldThatEventsWereDropped(t *testing.T) {
	b, log := logSetup(t)
	log.drop(2)
	for _, query := range []string{"after=100-1", "after=0-0", "after=100-1&wait_s=25"} {
		p := wantProblem(t, b.do(eventsRequest(query)), 410, codeEventsDropped)
		if p.After != "100-2" {
			t.Errorf("%s: go on from %q", query, p.After)
		}
	}
	for _, query := range []string{"after=100-2", "limit=10"} {
		if page := b.events(t, query); page.types() != "sale.created jazz" {
			t.Errorf("%s: %q", query, page.types())
		}
	}
	log.drop(1)
	if page := b.events(t, "limit=10"); page.types() != "" || page.Next != "100-3" {
		t.Errorf("%q, next %s: want the cursor after which nothing is missing", page.types(), page.Next)
	}
}

// A restored database gives the same numbers to other events. A reader with an old cursor must be
// told so, however far the new log has come.
func TestAReaderIsToldThatTheLogWasRestored(t *testing.T) {
	b, log := logSetup(t)
	cursor := b.events(t, "limit=10").Next
	log.mu.Lock()
	log.events = log.events[:2] // the events in the backup
	log.mu.Unlock()
	gone := func(query string) {
		t.Helper()
		p := wantProblem(t, b.do(eventsRequest(query)), 410, codeEventsRestored)
		if page := b.events(t, "after="+p.After); len(page.Events) < 2 || page.Events[0].ID != log.events[0].ID.String() {
			t.Errorf("%s: %+v after %s, want the log from its beginning", query, page, p.After)
		}
	}
	gone("after=" + cursor)
	gone("after=100-3") // a cursor in the old form, without a mark
	log.add(domain.EventSaleSoldOut, "rock")
	log.mu.Lock()
	e := &log.events[2] // the same numbers, another time
	e.ID = domain.NewEventID(e.ID.At().Add(time.Hour), 7, 3)
	log.mu.Unlock()
	log.add(domain.EventSaleSoldOut, "rock")
	gone("after=" + cursor)
	for _, query := range []string{"after=" + placeAt(2), "after=100-2"} { // after an event that both logs have
		if page := b.events(t, query); len(page.Events) != 2 {
			t.Errorf("%s: %+v", query, page)
		}
	}
	log.fail(domain.Invalid("cursor", "must be of this database"))
	wantProblem(t, b.do(eventsRequest("after=900-1")), 410, codeEventsRestored)

	stream := eventsRequest("")
	stream.header["Accept"], stream.header["Last-Event-ID"] = "text/event-stream", cursor
	wantProblem(t, b.do(stream), 410, codeEventsRestored)
}

// waitsFor starts a request and returns once it waits.
func (b *bundle) waitsFor(t *testing.T, r request) (answer chan *httptest.ResponseRecorder) {
	t.Helper()
	answer = make(chan *httptest.ResponseRecorder, 1)
	go func() { answer <- b.do(r) }()
	hub := b.api.logHub
	waitFor(t, func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		return hub.waiting > 0
	})
	return answer
}

// An event that is not selected ends no wait, but moves the cursor.
func TestAWaitEndsWithTheFirstSelectedEvent(t *testing.T) {
	b, log := logSetup(t)
	answer := b.waitsFor(t, eventsRequest("wait_s=25&sale=rock&after="+placeAt(3)))
	log.add(domain.EventSaleSoldOut, "jazz")
	log.add(domain.EventSaleSoldOut, "rock")
	var page EventsView
	decode(t, <-answer, &page)
	if page.types() != "sale.sold_out rock" || page.Next != placeAt(5) {
		t.Errorf("%q, next %s", page.types(), page.Next)
	}
}

func TestAWaitEndsWithItsTimeAndWithTheNode(t *testing.T) {
	b, _ := logSetup(t)
	if page := b.events(t, "wait_s=1&after="+placeAt(3)); page.types() != "" || page.Next != placeAt(3) || page.More {
		t.Errorf("%+v", page)
	}
	answer := b.waitsFor(t, eventsRequest("wait_s=25&after="+placeAt(3)))
	b.api.CloseStreams()
	var page EventsView
	decode(t, <-answer, &page)
	if page.types() != "" || page.Next != placeAt(3) {
		t.Errorf("%+v", page)
	}
}

func TestWaitingReadersAreBounded(t *testing.T) {
	b, _ := logSetup(t)
	for range eventLogReadsMax {
		b.api.boundOf(eventLogRoute).permits <- struct{}{}
	}
	wantProblem(t, b.do(eventsRequest("")), 503, domain.CodeOverloaded)
	<-b.api.boundOf(eventLogRoute).permits
	for range eventLogStreamsMax {
		b.api.logStreams.permits <- struct{}{}
	}
	r := eventsRequest("")
	r.header["Accept"] = "text/event-stream"
	wantProblem(t, b.do(r), 503, domain.CodeOverloaded)
	if page := b.events(t, "limit=1"); len(page.Events) != 1 {
		t.Error("streams take the place of pages")
	}
}

// A logStream is an open stream of events.
type logStream struct {
	body  *http.Response
	lines *bufio.Scanner
}

// openLog opens a stream of the server's log, behind an id.
func openLog(t *testing.T, server *httptest.Server, query, last string) *logStream {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+testAdminToken)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := server.Client().Do(r)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%+v, %v", response, err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return &logStream{response, bufio.NewScanner(response.Body)}
}

// next is the next id, with its event if it has one; "" at the end.
func (s *logStream) next(t *testing.T) (id string, event EventView) {
	t.Helper()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case field == "id":
			id = value
		case field == "data":
			if err := json.Unmarshal([]byte(value), &event); err != nil {
				t.Fatal(err)
			}
		case s.lines.Text() == "" && id != "":
			return id, event
		}
	}
	return "", event
}

// A heartbeat moves the client past events that it did not select.
func TestAHeartbeatMovesTheClientOn(t *testing.T) {
	b, log := logSetup(t)
	b.api.logHub.beat = 5 * time.Millisecond
	s := openLog(t, serve(t, b), "sale=jazz", "")
	if id, e := s.next(t); id != placeAt(3) || e.Sale != "jazz" {
		t.Fatalf("%s %+v", id, e)
	}
	log.add(domain.EventSaleSoldOut, "rock")
	for id := placeAt(3); id != placeAt(4); {
		var e EventView
		if id, e = s.next(t); id == "" || e.ID != "" {
			t.Fatalf("%q %+v", id, e)
		}
	}
	b.api.CloseStreams()
	for id := placeAt(4); id != ""; {
		id, _ = s.next(t)
	}
}

// A log that is down for a while ends no stream.
func TestAStreamOutlivesItsLog(t *testing.T) {
	b, log := logSetup(t)
	s := openLog(t, serve(t, b), "limit=100", placeAt(2))
	if id, _ := s.next(t); id != placeAt(3) {
		t.Fatal(id)
	}
	log.fail(errors.New("away"))
	log.add(domain.EventSaleSoldOut, "rock")
	waitFor(t, func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return log.failed > 1
	})
	log.fail(nil)
	if id, _ := s.next(t); id != placeAt(4) {
		t.Fatal(id)
	}
}

const insertEvent = `INSERT INTO outbox (event, sale_id, payload) VALUES ('audit.broken', NULL, jsonb_build_object('n', $1::int))`

// logOfStore is a box office over a real log, and how to add to it.
func logOfStore(t *testing.T) (b *bundle, add func(n int)) {
	t.Helper()
	address := orderstest.URL(t)
	return logOf(t, orderstest.Open(t, address).Readers()), func(n int) {
		t.Helper()
		if err := orderstest.Exec(t.Context(), address, insertEvent, n); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWaitEndsWithACommit(t *testing.T) {
	b, add := logOfStore(t)
	add(1)
	first := b.events(t, "wait_s=25")
	if len(first.Events) != 1 {
		t.Fatalf("%+v", first)
	}
	answer := b.waitsFor(t, eventsRequest("types=audit.broken&wait_s=25&after="+url.QueryEscape(first.Next)))
	add(2)
	var page EventsView
	decode(t, <-answer, &page)
	if len(page.Events) != 1 || string(page.Events[0].Data) != `{"n": 2}` && string(page.Events[0].Data) != `{"n":2}` || page.Next == first.Next {
		t.Errorf("%+v", page)
	}
}

// A client that reconnects with its last id, whenever it is cut off, gets every event once.
func TestAStreamGoesOnFromItsLastID(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b, add := logOfStore(t)
	server := serve(t, b)
	const all = 30
	var got []string
	written, last := 0, ""
	for len(got) < all {
		for range random.IntN(4) {
			if written < all {
				written++
				add(written)
			}
		}
		if written == len(got) {
			continue
		}
		s := openLog(t, server, fmt.Sprintf("limit=%d", 1+random.IntN(3)), last)
		for range 1 + random.IntN(written-len(got)) {
			id, e := s.next(t)
			if id == "" || id == last {
				t.Fatalf("%q after %q", id, last)
			}
			last = id
			got = append(got, string(e.Data))
		}
		s.body.Body.Close()
	}
	for i, data := range got {
		var n struct{ N int }
		if err := json.Unmarshal([]byte(data), &n); err != nil || n.N != i+1 {
			t.Fatalf("%d: %s, %v", i+1, data, err)
		}
	}
}
