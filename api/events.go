package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"boxoffice/admission"
	"boxoffice/domain"
)

const (
	eventsInterval     = 500 * time.Millisecond // how often to look at the stock
	eventsHeartbeat    = 15 * time.Second       // proxies drop connections that are silent for longer
	eventsWriteTimeout = 5 * time.Second        // a client that takes longer is dropped
	eventsLifetimeMax  = 15 * time.Minute       // after this the client connects again
	eventsRetryMillis  = 3000
)

// hub streams the stock of sales. One goroutine per sale reads the stock, however many
// clients watch it; it runs only while somebody does.
type hub struct {
	catalog        *admission.Catalog
	interrupted    func(saleID string) bool
	log            *slog.Logger
	connectionsMax int

	mu          sync.Mutex
	closed      chan struct{}
	feeds       map[string]*feed
	connections int
}

// feed is one sale's stream: its subscribers and the last event they got.
type feed struct {
	cancel      context.CancelFunc
	subscribers map[chan []byte]bool
	last        []byte
}

func newHub(catalog *admission.Catalog, interrupted func(saleID string) bool, log *slog.Logger, connectionsMax int) *hub {
	return &hub{catalog: catalog, interrupted: interrupted, log: log, connectionsMax: connectionsMax, closed: make(chan struct{}), feeds: make(map[string]*feed)}
}

// subscribe returns a mailbox of one event: it always has the newest state and replaces
// one that was not fetched in time. Call leave once.
func (h *hub) subscribe(sale *domain.Sale) (mailbox chan []byte, leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.connections >= h.connectionsMax {
		return nil, nil, &domain.Error{Code: domain.CodeOverloaded, Detail: "Too many clients are watching. GET the sale instead.", RetryAfter: eventsHeartbeat}
	}
	h.connections++
	f, ok := h.feeds[sale.ID]
	if !ok {
		ctx, cancel := context.WithCancel(context.Background())
		f = &feed{cancel: cancel, subscribers: make(map[chan []byte]bool)}
		h.feeds[sale.ID] = f
		go h.poll(ctx, sale, f)
	}
	mailbox = make(chan []byte, 1)
	if f.last != nil {
		mailbox <- f.last
	}
	f.subscribers[mailbox] = true
	return mailbox, func() { h.unsubscribe(sale.ID, f, mailbox) }, nil
}

func (h *hub) unsubscribe(saleID string, f *feed, mailbox chan []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections--
	delete(f.subscribers, mailbox)
	if len(f.subscribers) == 0 {
		f.cancel()
		delete(h.feeds, saleID)
	}
}

// poll reads the stock until its feed is canceled, and publishes every change.
func (h *hub) poll(ctx context.Context, sale *domain.Sale, f *feed) {
	ticker := time.NewTicker(eventsInterval)
	defer ticker.Stop()
	failing := false
	for {
		if now, err := h.catalog.Sale(ctx, sale.ID); err == nil {
			sale = now // it may have been canceled meanwhile
		}
		levels, err := h.catalog.Stock(ctx, sale)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			h.log.Warn("stock stream: the ledger gives no answer", "sale", sale.ID, "err", err)
		case err == nil:
			view := viewSale(sale.Public(), levels, time.Now())
			view.Facts = nil // they do not move with the stock, and may be long
			view.Interrupted = h.interrupted(sale.ID)
			h.publish(f, view)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (h *hub) publish(f *feed, view SaleView) {
	data, err := json.Marshal(view)
	if err != nil {
		h.log.Error("stock stream: cannot encode", "sale", view.ID, "err", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if string(data) == string(f.last) {
		return
	}
	f.last = data
	for mailbox := range f.subscribers {
		select {
		case <-mailbox: // not fetched yet: replace it with the newer one
		default:
		}
		mailbox <- data
	}
}

// close ends all streams, so that a shutdown does not wait for them.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
}

// stream writes events (WHATWG HTML, "Server-sent events") until the client leaves, is
// too slow, or has used up its time.
func (h *hub) stream(ctx huma.Context, mailbox <-chan []byte) {
	c := humagin.Unwrap(ctx)
	rc := http.NewResponseController(c.Writer)
	// The server's ReadTimeout would end the stream, because net/http reads to notice
	// that the client left. An error means that the writer has no deadlines.
	_ = rc.SetReadDeadline(time.Time{})
	setStreamHeaders(c.Writer.Header())
	ctx.SetStatus(http.StatusOK)
	if isHead(c) {
		return
	}

	write := func(format string, args ...any) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(eventsWriteTimeout))
		if _, err := fmt.Fprintf(c.Writer, format, args...); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	heartbeat := time.NewTicker(eventsHeartbeat)
	defer heartbeat.Stop()
	lifetime := time.NewTimer(eventsLifetimeMax)
	defer lifetime.Stop()

	for ok := write("retry: %d\n\n", eventsRetryMillis); ok; {
		select {
		case data := <-mailbox:
			ok = write("event: stock\ndata: %s\n\n", data)
		case <-heartbeat.C:
			ok = write(": still here\n\n")
		case <-lifetime.C:
			return
		case <-h.closed:
			return
		case <-ctx.Context().Done():
			return
		}
	}
}

func setStreamHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
}

func isHead(c *gin.Context) bool { return c.Request.Method == http.MethodHead }

// open is the number of connections.
func (h *hub) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.connections
}
