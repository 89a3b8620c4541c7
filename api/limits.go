package api

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

// Limits of what one node works on at a time. None of these queues: above a limit, the
// answer is 503 `overloaded` with Retry-After, at once. Event streams have their own
// limits, see Options. Checkouts have those of package admission, and a line.
const (
	// ConnectionsMax is how many connections a listener serves. A connection carries one
	// request at a time, so this also limits requests and their memory.
	ConnectionsMax = 8192

	webhooksInFlightMax = 256 // each waits for its checkout, up to 10 s
	ordersInFlightMax   = 256 // each may ask the database, some Temporal and a worker
	pdfsInFlightMax     = 4   // each draws up to a hundred tickets: 100 ms of a core
	checksInBoundMax    = 512 // each waits for the provider, up to 4 s
	cancelsInFlightMax  = 256 // each asks Temporal, a worker and the provider, so they must not wait behind mere reads
	salesInFlightMax    = 1024
	auditsInFlightMax   = 4 // each reads all of a sale
	scrapesInFlightMax  = 4 // each prints all that is measured, some 200 KB
	othersInFlightMax   = 1024
	formsInFlightMax    = 1024 // of pages without JavaScript: some wait in line with their checkout, up to a second
	joinsInFlightMax    = 4096 // each waits up to 100 ms for the next exchange of the nodes, and does nothing meanwhile
	placesInFlightMax   = 512  // each is a computation

	// unreadBytesMax is how much the kernel buffers for a client that does not read its
	// answers. Linux would buffer up to 4 MB per connection. 1,200 such clients took 1.2 GB,
	// more than half of what a machine with 24 GB has for all of TCP (tcp_mem). Beyond that,
	// nobody gets an answer.
	unreadBytesMax = 128 << 10

	surplusRetryAfter = 2 * time.Second
	// surplusMax is how many connections above the maximum are told so. More wait in the
	// kernel's backlog, which has its own limit.
	surplusMax = 256
)

// A bound limits the requests to some routes. It refuses, and never waits.
type bound struct {
	name    string
	permits chan struct{}
}

func newBound(name string, requestsMax int) *bound {
	return &bound{name: name, permits: make(chan struct{}, requestsMax)}
}

// newBounds puts every route of the API under one bound: a new route is under "other".
// Routes that are missing here limit themselves, or cost nothing.
func newBounds() (of func(route string) *bound, all []*bound) {
	webhooks, orders := newBound("webhooks", webhooksInFlightMax), newBound("orders", ordersInFlightMax)
	cancels, sales := newBound("cancels", cancelsInFlightMax), newBound("sales", salesInFlightMax)
	audits, others := newBound("audits", auditsInFlightMax), newBound("other", othersInFlightMax)
	checks, pdfs := newBound("payment_checks", checksInBoundMax), newBound("pdfs", pdfsInFlightMax)
	reads := newBound("event_log", eventLogReadsMax)
	forms := newBound("forms", formsInFlightMax)
	joins, places := newBound("joins", joinsInFlightMax), newBound("places", placesInFlightMax)
	of = func(route string) *bound {
		switch route {
		case checkoutsRoute, eventsRoute, watchRoute, healthRoute, readyRoute, metricsRoute:
			return nil
		case webhookRoute, webhooksRoute:
			return webhooks
		case orderRoute, ticketRoute, calendarRoute, holdersRoute, payRoute:
			return orders
		case checkRoute:
			return checks
		case pdfRoute:
			return pdfs
		case cancelRoute:
			return cancels
		case salesRoute, saleRoute:
			return sales
		case queueRoute:
			return joins
		case placeRoute, challengeRoute:
			return places
		case auditRoute, restoreRoute, restoreRest, exportRoute:
			return audits
		case eventLogRoute:
			return reads
		case formRoute:
			return forms
		default:
			return others
		}
	}
	return of, []*bound{webhooks, orders, checks, cancels, sales, joins, places, audits, reads, pdfs, forms, others}
}

// bound makes the server's bounds.
func (s *Server) bound() {
	s.boundOf, s.bounds = newBounds()
	s.scrapes = newBound("metrics", scrapesInFlightMax)
	s.logStreams = newBound("event_log_streams", eventLogStreamsMax)
	s.bounds = append(s.bounds, s.scrapes, s.logStreams)
	if s.Profiles {
		s.profiles = newBound("profiles", 1)
		s.bounds = append(s.bounds, s.profiles)
	}
}

// formRoute stands for the forms of pages, which are not routes of the API.
const formRoute = "form"

func boundedRoute(c *gin.Context) string {
	if c.FullPath() == "" && c.Request.Method == http.MethodPost {
		return formRoute
	}
	return c.FullPath()
}

// inBounds refuses requests beyond what a route may have under way. It runs after the
// body was read, and frees the permit with the first byte of the answer. So a client that
// sends or reads slowly occupies a connection, never a permit.
func (s *Server) inBounds(c *gin.Context) {
	b := s.boundOf(boundedRoute(c))
	if b == nil {
		c.Next()
		return
	}
	select {
	case b.permits <- struct{}{}:
		w := &permitWriter{ResponseWriter: c.Writer, permits: b.permits}
		defer w.leave()
		c.Writer = w
		c.Next()
	default:
		s.abort(c, &domain.Error{Code: domain.CodeOverloaded, Err: errors.New("the bound of " + b.name + " is reached")})
	}
}

// scrape answers /metrics, a few at a time. Unlike other routes it keeps its permit until
// the last byte is taken, because the whole answer is in memory. If the organiser's
// routes have no listener of their own, it wants their token: metrics tell strangers how
// a sale goes, and cost more than a page.
func (s *Server) scrape(c *gin.Context) {
	if s.admin != nil && s.admin == s.public && !s.isAdmin(c.GetHeader("Authorization")) {
		s.abort(c, &domain.Error{Code: domain.CodeUnauthorized, Detail: "Send Authorization: Bearer with the admin token, or ask the organiser's own listener."})
		return
	}
	select {
	case s.scrapes.permits <- struct{}{}:
		defer func() { <-s.scrapes.permits }()
		s.Metrics.ServeHTTP(c.Writer, c.Request)
	default:
		s.abort(c, &domain.Error{Code: domain.CodeOverloaded, Err: errors.New("the bound of " + s.scrapes.name + " is reached")})
	}
}

// A permitWriter gives a bound's permit back before it writes, because writing takes as
// long as a slow client likes. Like any ResponseWriter, it is for one goroutine.
type permitWriter struct {
	gin.ResponseWriter
	permits chan struct{} // nil: the permit was given back
}

func (w *permitWriter) leave() {
	if w.permits != nil {
		<-w.permits
		w.permits = nil
	}
}

// Write implements io.Writer.
func (w *permitWriter) Write(p []byte) (int, error) {
	w.leave()
	return w.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (w *permitWriter) WriteString(text string) (int, error) {
	w.leave()
	return w.ResponseWriter.WriteString(text)
}

// Unwrap is for http.ResponseController.
func (w *permitWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refuseSurplus answers a connection above the maximum, and closes it. It still answers
// probes of the process, so that a busy node is not taken for a dead one, and webhooks,
// which say that somebody has paid.
func (s *Server) refuseSurplus(c *gin.Context) {
	surplus, _ := c.Request.Context().Value(surplusKey).(bool)
	if !surplus {
		c.Next()
		return
	}
	c.Header("Connection", "close")
	if slices.Contains([]string{healthRoute, readyRoute, metricsRoute, webhookRoute, webhooksRoute}, c.FullPath()) {
		c.Next()
		return
	}
	s.abort(c, &domain.Error{Code: domain.CodeOverloaded, RetryAfter: surplusRetryAfter, Err: errors.New("the maximum of connections is reached")})
}

// logLinesMax is how many refusals with a code are logged a second.
const logLinesMax = 20

// A logBudget keeps strangers from filling the log. What they can cause at will is logged
// this often a second, and beyond that only counted.
type logBudget struct {
	mu     sync.Mutex
	second int64
	codes  map[domain.Code]*logCount
}

type logCount struct{ lines, left int }

// spend reports whether a line may be written, and how many with that code were left out
// since the last one.
func (b *logBudget) spend(code domain.Code, now time.Time) (leftOut int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := now.Unix(); second != b.second || b.codes == nil {
		b.second = second
		if b.codes == nil {
			b.codes = make(map[domain.Code]*logCount) // at most one entry per code
		}
		for _, c := range b.codes {
			c.lines = 0
		}
	}
	c := b.codes[code]
	if c == nil {
		c = &logCount{}
		b.codes[code] = c
	}
	if c.lines >= logLinesMax {
		c.left++
		return 0, false
	}
	c.lines++
	leftOut, c.left = c.left, 0
	return leftOut, true
}
