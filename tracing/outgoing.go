package tracing

import (
	"errors"
	"io"
	"net/http"

	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Operations name the requests to somebody else's API: patterns of http.ServeMux, such as "POST /v1/refunds/{id}", and
// what each asks for. Names of spans are of this list, because a path has ids.
type Operations map[string]string

// Outgoing makes each request to somebody else's API a span, where it is made within one that is recorded. A request
// that operations do not name is called after its method and its host. The span lasts until the answer is read. No
// header is added: their systems are not in our traces.
func Outgoing(next http.RoundTripper, operations Operations) http.RoundTripper {
	o := &outgoing{next: next, names: operations, patterns: http.NewServeMux()}
	for pattern := range operations {
		o.patterns.Handle(pattern, http.NotFoundHandler())
	}
	return o
}

type outgoing struct {
	next     http.RoundTripper
	names    Operations
	patterns *http.ServeMux // only tells which pattern a request matches
}

// RoundTrip implements http.RoundTripper.
func (o *outgoing) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanFromContext(r.Context()).IsRecording() {
		return o.next.RoundTrip(r)
	}
	_, span := Start(r.Context(), o.name(r), trace.SpanKindClient)
	span.SetAttributes(
		semconv.HTTPRequestMethodKey.String(r.Method), semconv.ServerAddress(r.URL.Hostname()), semconv.URLScheme(r.URL.Scheme),
	)
	response, err := o.next.RoundTrip(r)
	if err != nil {
		End(span, err)
		return response, err
	}
	response.Body = &answerBody{ReadCloser: response.Body, span: span, status: response.StatusCode}
	return response, nil
}

func (o *outgoing) name(r *http.Request) string {
	if _, pattern := o.patterns.Handler(r); o.names[pattern] != "" {
		return o.names[pattern]
	}
	return r.Method + " " + r.URL.Hostname()
}

// An answerBody ends its request's span when it is closed, which is a duty of who reads it. An answer that breaks off
// is none, whatever its status was.
type answerBody struct {
	io.ReadCloser
	span   trace.Span
	status int
	broke  error
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broke = err
	}
	return n, err
}

// Close implements io.Closer. A span ends once, however often it is called.
func (b *answerBody) Close() error {
	err := b.ReadCloser.Close()
	if b.broke != nil {
		b.span.SetAttributes(semconv.HTTPResponseStatusCode(b.status))
		End(b.span, b.broke)
		return err
	}
	EndHTTP(b.span, b.status, b.status < http.StatusBadRequest)
	return err
}
