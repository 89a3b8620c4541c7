package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"boxoffice/tracing"
	"boxoffice/tracing/temporaltrace"
	"boxoffice/worker"
)

const (
	// traceRatioDefault is what is sampled if nothing says more: what a rush can afford.
	traceRatioDefault = 0.01
	// tracesFlushTimeout is how long a process that stops waits for the collector.
	tracesFlushTimeout = 5 * time.Second

	otlpHTTP = "http/protobuf"
	otlpGRPC = "grpc"
)

// tracingConfig says where spans go. The exporter, the batching and the limits read more of the
// standard variables by themselves.
type tracingConfig struct {
	On       bool
	Protocol string            // OTEL_EXPORTER_OTLP_PROTOCOL
	Headers  map[string]string // OTEL_EXPORTER_OTLP_HEADERS from a file; nil: the exporter reads the variable
	Sampler  sdktrace.Sampler  // OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG
}

// readTracing reads the standard variables of OpenTelemetry. Unlike there, nothing is exported
// unless a variable says where or that it should.
func (c *config) readTracing() error {
	endpoint := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	exporter := env("OTEL_TRACES_EXPORTER", "")
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return nil
	}
	switch exporter {
	case "none":
		return nil
	case "otlp":
	case "":
		if endpoint == "" {
			return nil
		}
	default:
		return fmt.Errorf("OTEL_TRACES_EXPORTER: want otlp or none, not %q", exporter)
	}
	t := tracingConfig{On: true, Protocol: cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL", otlpHTTP))}
	var problems []error
	if t.Protocol != otlpHTTP && t.Protocol != otlpGRPC {
		problems = append(problems, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: want %s or %s", otlpHTTP, otlpGRPC))
	}
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		problems = append(problems, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT: want http://host:port or https://host:port"))
	}
	var err error
	if t.Sampler, err = readSampler(); err != nil {
		problems = append(problems, err)
	}
	if t.Headers, err = readOTLPHeaders(); err != nil {
		problems = append(problems, err)
	}
	c.Tracing = t
	return errors.Join(problems...)
}

// readSampler reads which traces are sampled. A trace has no parent elsewhere, so "parentbased"
// says nothing more.
func readSampler() (sdktrace.Sampler, error) {
	name := strings.TrimPrefix(env("OTEL_TRACES_SAMPLER", "traceidratio"), "parentbased_")
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample(), nil
	case "always_off":
		return sdktrace.NeverSample(), nil
	case "traceidratio":
		text := os.Getenv("OTEL_TRACES_SAMPLER_ARG")
		if text == "" {
			return sdktrace.TraceIDRatioBased(traceRatioDefault), nil
		}
		ratio, err := strconv.ParseFloat(text, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return nil, errors.New("OTEL_TRACES_SAMPLER_ARG: want a number from 0 to 1, such as 0.01")
		}
		return sdktrace.TraceIDRatioBased(ratio), nil
	default:
		return nil, errors.New("OTEL_TRACES_SAMPLER: want traceidratio, always_on or always_off, also with parentbased_ in front")
	}
}

// readOTLPHeaders reads the headers if they come from a file.
func readOTLPHeaders() (map[string]string, error) {
	const name = "OTEL_EXPORTER_OTLP_HEADERS"
	value, err := readSecret(name)
	if err != nil || os.Getenv(name) != "" || value == "" {
		return nil, err
	}
	headers := make(map[string]string)
	for pair := range strings.SplitSeq(string(value), ",") {
		key, encoded, found := strings.Cut(pair, "=")
		text, err := url.PathUnescape(strings.TrimSpace(encoded))
		if key = strings.TrimSpace(key); !found || key == "" || err != nil {
			return nil, fmt.Errorf("%s_FILE: want key=value, several separated by commas", name)
		}
		headers[key] = text
	}
	return headers, nil
}

// openTracing makes the process's Tracer. Nil: tracing is off. It does not wait for the collector.
func (s *service) openTracing(ctx context.Context) (*tracing.Tracer, error) {
	if !s.Tracing.On {
		return nil, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		s.log.Warn("traces: spans were not exported, so traces have gaps", "error", err)
	}))
	exporter, err := s.Tracing.exporter(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	t := tracing.New(s.Tracing.Sampler, sdktrace.WithBatcher(exporter), sdktrace.WithResource(traceResource(ctx)))
	s.later(func() {
		flush, cancel := context.WithTimeout(context.Background(), tracesFlushTimeout)
		defer cancel()
		if err := t.Shutdown(flush); err != nil {
			s.log.Warn("traces: the last spans were not exported", "error", err)
		}
	})
	s.log.Info("traces are on", "protocol", s.Tracing.Protocol, "sampler", s.Tracing.Sampler.Description())
	return t, nil
}

// temporalSpans makes spans of workflows and activities.
func (s *service) temporalSpans() []worker.DialOption {
	if s.tracer == nil {
		return nil
	}
	return []worker.DialOption{worker.WithInterceptor(temporaltrace.New(s.tracer))}
}

func (c *tracingConfig) exporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	var client otlptrace.Client
	if c.Protocol == otlpGRPC {
		var options []otlptracegrpc.Option
		if c.Headers != nil {
			options = append(options, otlptracegrpc.WithHeaders(c.Headers))
		}
		client = otlptracegrpc.NewClient(options...)
	} else {
		var options []otlptracehttp.Option
		if c.Headers != nil {
			options = append(options, otlptracehttp.WithHeaders(c.Headers))
		}
		client = otlptracehttp.NewClient(options...)
	}
	return otlptrace.New(ctx, client)
}

// traceResource says who we are. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say it better.
func traceResource(ctx context.Context) *resource.Resource {
	found, err := resource.New(ctx,
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("boxoffice"), semconv.ServiceVersion(cmp.Or(builtFrom, "devel")), semconv.ServiceInstanceID(rand.Text())),
		resource.WithFromEnv())
	if found == nil || err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return resource.Default()
	}
	return found
}
