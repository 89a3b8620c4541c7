package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/picture"
	"boxoffice/tracing"
)

// Limits of a request. If its request line and header exceed HeaderBytesMax together,
// net/http itself answers (431).
const (
	HeaderBytesMax       = 16 << 10
	BodyBytesMax         = 64 << 10
	CheckoutBodyBytesMax = 8 << 10
	WebhookBodyBytesMax  = 16 << 10
	QueueBodyBytesMax    = 2 << 10

	readHeaderTimeout = 5 * time.Second
	requestTimeout    = admission.RequestTimeout
	auditTimeout      = 2 * time.Minute  // two looks at a big sale
	scrapeTimeout     = 5 * time.Second  // Prometheus itself gives up after 10, grace included
	answerGrace       = 5 * time.Second  // to write what was found in time
	readTimeout       = 20 * time.Second // to read a request, without the wait for its answer
	idleTimeout       = 90 * time.Second

	// Of a connection with HTTP/2: a browser asks for some ten things at once. One that is silent is asked whether it is there.
	http2StreamsMax = 100
	http2PingAfter  = 15 * time.Second
)

// answerTimeout is how long a request to a route may take; 0 means that the route limits
// itself.
func answerTimeout(route string) time.Duration {
	switch route {
	case eventsRoute, watchRoute, eventLogRoute:
		return 0
	case auditRoute, auditRestRoute, restoreRoute, restoreRest, erasureRoute, exportRoute:
		return auditTimeout
	case metricsRoute:
		return scrapeTimeout
	case profilesRoute:
		return profileMax
	default:
		return requestTimeout
	}
}

// NewServer is an http.Server with every timeout set, for a listener of LimitConnections.
// It has no WriteTimeout, which would end event streams; each request gets its own write
// deadline instead (see identify and SetWriteDeadline).
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    HeaderBytesMax - headerSlack,
		ConnContext:       noteConnection,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: http2StreamsMax,
			SendPingTimeout:      http2PingAfter,
			PingTimeout:          answerGrace,
			WriteByteTimeout:     readTimeout,
		},
		ConnState: TrackConnection,
	}
}

// headerSlack is what net/http reads beyond its MaxHeaderBytes.
const headerSlack = 4 << 10

// SetWriteDeadline limits the answer of a handler on a server of NewServer that is not a
// Server of this package.
func SetWriteDeadline(w http.ResponseWriter) {
	// An error means a writer without deadlines, as in tests.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerGrace))
}

type contextKey int

const (
	requestKey contextKey = iota
	localKey              // the client is on this machine
	surplusKey            // the connection is above the maximum
	connKey               // the connection that a request came on
	actKey                // the *domain.Act that a request is
)

// A requestInfo is what logs and metrics may say about a request.
type requestInfo struct {
	id, route string
	request   *http.Request // as it came; nil in tests of what lies behind
}

func infoOf(ctx context.Context) requestInfo {
	if info, ok := ctx.Value(requestKey).(*requestInfo); ok {
		return *info
	}
	return requestInfo{}
}

func requestID(ctx context.Context) string { return infoOf(ctx).id }

func routeOf(ctx context.Context) string { return infoOf(ctx).route }

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// identify gives every request an id, its own or the one from the proxy in front, and a
// time by which it must be answered.
func (s *Server) identify(c *gin.Context) {
	id := c.GetHeader("X-Request-Id")
	if !requestIDPattern.MatchString(id) {
		id = rand.Text()
	}
	c.Header("X-Request-Id", id)
	// If a request has both lengths, net/http reads it by its chunks and hides the other
	// length. A proxy that passed it on may have used the other one, and then the next
	// bytes on the connection may be somebody else's (RFC 9112, 6.1).
	if len(c.Request.TransferEncoding) > 0 {
		c.Header("Connection", "close")
	}
	route := c.FullPath()
	if route == "" {
		route = "other" // never the path itself: labels must stay few
	}
	ctx := context.WithValue(c.Request.Context(), requestKey, &requestInfo{id, route, c.Request})
	if s.Tracer != nil && isTraced(route) {
		var span *tracing.Request
		ctx, span = s.traceRequest(ctx, c, id)
		defer func() { span.End(c.Writer.Status()) }()
	}
	if timeout := answerTimeout(route); timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
		// An error means a writer without deadlines, as in tests.
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(timeout + answerGrace))
	}
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// isTraced: streams last as long as somebody looks, and probes say nothing.
func isTraced(route string) bool {
	switch route {
	case eventsRoute, watchRoute, eventLogRoute, healthRoute, readyRoute, metricsRoute:
		return false
	default:
		return true
	}
}

// traceRequest puts a request about an order into its trace. A checkout gets there when its order is known.
func (s *Server) traceRequest(ctx context.Context, c *gin.Context, id string) (context.Context, *tracing.Request) {
	scheme := "http"
	if c.Request.TLS != nil {
		scheme = "https"
	}
	ctx, request := s.Tracer.Request(ctx, tracing.Incoming{
		ID: id, Method: methodOf(c.Request), Route: c.FullPath(), Scheme: scheme, Header: c.Request.Header,
	})
	if order, err := domain.ParseOrderID(c.Param("order")); err == nil {
		ctx = tracing.Join(ctx, order)
	}
	return ctx, request
}

// observe measures and logs. It logs a request's route, never its path or query, which
// may have tokens.
func (s *Server) observe(c *gin.Context) {
	start := time.Now()
	c.Next()
	ctx, took := c.Request.Context(), time.Since(start)
	route, status, method := routeOf(ctx), c.Writer.Status(), methodOf(c.Request)
	s.metrics.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	if route != eventsRoute && route != watchRoute && route != eventLogRoute { // streams last as long as somebody looks
		s.metrics.duration.WithLabelValues(route).Observe(took.Seconds())
	}
	s.log.DebugContext(ctx, "request", "request", requestID(ctx), "method", method, "route", route, "status", status, "took", took)
}

// methodOf is the method if HTTP knows it: no label may have a value that a stranger
// chose.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodConnect, http.MethodTrace:
		return r.Method
	default:
		return "other"
	}
}

// recoverPanic keeps a bug in one request from ending the process.
func (s *Server) recoverPanic(c *gin.Context) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		err, _ := cause.(error)
		if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, http.ErrAbortHandler) {
			c.Abort() // the client left while we wrote
			return
		}
		ctx := c.Request.Context()
		s.log.ErrorContext(ctx, "panic", "request", requestID(ctx), "route", routeOf(ctx), "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			s.abort(c, &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("panic: %v", cause)})
		}
	}()
	c.Next()
}

// secure sets what every answer needs. Pages loosen their own policy.
func secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	c.Next()
}

func bodyBytesMax(route string) int64 {
	switch route {
	case checkoutsRoute:
		return CheckoutBodyBytesMax
	case queueRoute:
		return QueueBodyBytesMax
	case webhookRoute:
		return WebhookBodyBytesMax
	case webhooksRoute:
		return payments.EventBytesMax
	default:
		return BodyBytesMax
	}
}

// readBody reads the whole body, with a limit, before any handler runs. So a body that is
// too large, broken or slow gets the same answer everywhere.
func (s *Server) readBody(c *gin.Context) {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		c.Next()
		return
	}
	if isEncoded(c.Request.Header["Content-Encoding"]) {
		c.Header("Accept-Encoding", "identity")
		s.abort(c, &domain.Error{Code: codeMediaType, Detail: "Send the body without Content-Encoding."})
		return
	}
	limit := bodyBytesMax(c.FullPath())
	if c.FullPath() == imageRoute && s.isAdmin(c.GetHeader("Authorization")) { // nobody else can make us keep that much
		limit = picture.FileBytesMax
	}
	if c.Request.ContentLength > limit { // known before a byte of it is read
		c.Header("Connection", "close") // nor will it be
		s.abort(c, bodyError(&http.MaxBytesError{Limit: limit}, limit))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, limit))
	if err != nil {
		SetWriteDeadline(c.Writer) // the time for the whole request may be over by now
		c.Header("Connection", "close")
		s.abort(c, bodyError(err, limit))
		return
	}
	lowerMediaType(c.Request.Header)
	c.Request.Body = &wholeBody{*bytes.NewReader(body), body}
	c.Next()
}

func isEncoded(codings []string) bool {
	for _, coding := range codings {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return true
		}
	}
	return false
}

// lowerMediaType: media types are case-insensitive (RFC 9110, 8.3.1), but huma compares
// letters. What follows the type stays as it is.
func lowerMediaType(h http.Header) {
	if values := h["Content-Type"]; len(values) > 0 {
		mediaType, _, _ := strings.Cut(values[0], ";")
		if lower := strings.ToLower(mediaType); lower != mediaType {
			values[0] = lower + values[0][len(mediaType):]
		}
	}
}

// A wholeBody is a request body that was already read.
type wholeBody struct {
	bytes.Reader
	bytes []byte
}

// Close implements io.Closer.
func (*wholeBody) Close() error { return nil }

func bodyError(err error, limit int64) *domain.Error {
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		return &domain.Error{Code: domain.CodeTooLarge, Detail: fmt.Sprintf("The body may have at most %d bytes.", limit)}
	case errors.As(err, &network) && network.Timeout():
		return &domain.Error{Code: codeTimeout, Err: err}
	default:
		return &domain.Error{Code: domain.CodeInvalid, Detail: "The body broke off or is not well framed.", Err: err}
	}
}

// bearer reads the token of an Authorization header (RFC 6750), empty if there
// is none.
func bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// problemRender writes a Problem as gin's own renderers would write JSON.
type problemRender struct{ p *Problem }

func (r problemRender) Render(w http.ResponseWriter) error {
	r.WriteContentType(w)
	return json.NewEncoder(w).Encode(r.p)
}

func (r problemRender) WriteContentType(w http.ResponseWriter) {
	w.Header().Set("Content-Type", problemType)
}
