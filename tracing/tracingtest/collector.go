// Package tracingtest collects spans for tests: as a collector of OpenTelemetry's protocol
// that runs in the test, and from a Tracer of the test's own.
package tracingtest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that was collected. Ids are in lower-case hexadecimal digits.
type Span struct {
	Trace, ID, Parent string // Parent is empty for the root of a trace
	Name              string
	Kind              string // such as SERVER
	Failed            bool
	Links             []Link
	Attributes        map[string]string
	Instance          string // of the process
}

// A Link names a span of another trace, or of this one.
type Link struct{ Trace, Span string }

// Spans are what was collected.
type Spans []Span

// Of are the spans of a trace.
func (s Spans) Of(trace string) Spans {
	return s.where(func(span *Span) bool { return span.Trace == trace })
}

// Named are the spans with a name.
func (s Spans) Named(name string) Spans {
	return s.where(func(span *Span) bool { return span.Name == name })
}

func (s Spans) where(keep func(*Span) bool) (kept Spans) {
	for i := range s {
		if keep(&s[i]) {
			kept = append(kept, s[i])
		}
	}
	return kept
}

// ByID finds a span; nil: it is not there.
func (s Spans) ByID(id string) *Span {
	i := slices.IndexFunc(s, func(span Span) bool { return span.ID == id })
	if i < 0 {
		return nil
	}
	return &s[i]
}

// Path is a span's name behind those of its parents, with " < " in between.
func (s Spans) Path(span *Span) string {
	path := span.Name
	for parent := s.ByID(span.Parent); parent != nil; parent = s.ByID(parent.Parent) {
		path += " < " + parent.Name
	}
	return path
}

// Paths are those of all spans, sorted.
func (s Spans) Paths() (paths []string) {
	for i := range s {
		paths = append(paths, s.Path(&s[i]))
	}
	slices.Sort(paths)
	return paths
}

// String shows the spans for a test that fails.
func (s Spans) String() string { return strings.Join(s.Paths(), "\n") }

// A Collector takes spans over HTTP.
type Collector struct {
	URL string // for OTEL_EXPORTER_OTLP_ENDPOINT

	mu    sync.Mutex
	spans Spans
}

// NewCollector starts a collector on loopback. It ends with the test.
func NewCollector(t testing.TB) *Collector {
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

const requestBytesMax = 64 << 20

func (c *Collector) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
	var request collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if r.URL.Path != "/v1/traces" || err != nil {
		http.Error(w, fmt.Sprint("want spans as protobuf at /v1/traces: ", err), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		instance := attributes(of.GetResource().GetAttributes())["service.instance.id"]
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(span, instance))
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Spans are all spans so far.
func (c *Collector) Spans() Spans {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

func spanOf(span *tracepb.Span, instance string) Span {
	s := Span{
		Trace: hex.EncodeToString(span.GetTraceId()), ID: hex.EncodeToString(span.GetSpanId()), Parent: hex.EncodeToString(span.GetParentSpanId()),
		Name: span.GetName(), Kind: strings.TrimPrefix(span.GetKind().String(), "SPAN_KIND_"),
		Failed:     span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Attributes: attributes(span.GetAttributes()), Instance: instance,
	}
	for _, link := range span.GetLinks() {
		s.Links = append(s.Links, Link{hex.EncodeToString(link.GetTraceId()), hex.EncodeToString(link.GetSpanId())})
	}
	return s
}

func attributes(pairs []*commonpb.KeyValue) map[string]string {
	all := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		switch value := pair.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			all[pair.GetKey()] = value.StringValue
		case *commonpb.AnyValue_IntValue:
			all[pair.GetKey()] = fmt.Sprint(value.IntValue)
		case *commonpb.AnyValue_BoolValue:
			all[pair.GetKey()] = fmt.Sprint(value.BoolValue)
		default:
			all[pair.GetKey()] = pair.GetValue().String()
		}
	}
	return all
}
