package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/tracing"
	"boxoffice/tracing/tracingtest"
)

// Nothing is exported unless somebody says so, and what cannot be meant is refused.
func TestTracingIsReadFromTheEnvironment(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, test := range map[string]struct {
		env     map[string]string
		on      bool
		sampler string
		refused string // in the error
	}{
		"nothing":               {},
		"an endpoint":           {env: map[string]string{endpoint: "http://127.0.0.1:4318"}, on: true, sampler: "TraceIDRatioBased{0.01}"},
		"an endpoint of traces": {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/v1/traces"}, on: true, sampler: "TraceIDRatioBased{0.01}"},
		"the exporter":          {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true, sampler: "TraceIDRatioBased{0.01}"},
		"no exporter":           {env: map[string]string{endpoint: "http://c", "OTEL_TRACES_EXPORTER": "none"}},
		"disabled":              {env: map[string]string{endpoint: "http://c", "OTEL_SDK_DISABLED": "true"}},
		"a ratio":               {env: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, on: true, sampler: "TraceIDRatioBased{0.5}"},
		"with its parent's":     {env: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER": "parentbased_always_on"}, on: true, sampler: "AlwaysOnSampler"},
		"grpc":                  {env: map[string]string{endpoint: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "always_off"}, on: true, sampler: "AlwaysOffSampler"},
		"another exporter":      {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, refused: "OTEL_TRACES_EXPORTER"},
		"another protocol":      {env: map[string]string{endpoint: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, refused: "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"no URL":                {env: map[string]string{endpoint: "c:4318"}, refused: endpoint},
		"another sampler":       {env: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER": "jaeger_remote"}, refused: "OTEL_TRACES_SAMPLER"},
		"above one":             {env: map[string]string{endpoint: "http://c", "OTEL_TRACES_SAMPLER_ARG": "1.5"}, refused: "OTEL_TRACES_SAMPLER_ARG"},
	} {
		t.Run(name, func(t *testing.T) {
			withoutOTel(t)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			var c config
			err := c.readTracing()
			if (err != nil) != (test.refused != "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("the error is %v, want %q in it", err, test.refused)
			}
			if err != nil {
				return
			}
			sampler := ""
			if c.Tracing.Sampler != nil {
				sampler = c.Tracing.Sampler.Description()
			}
			if c.Tracing.On != test.on || sampler != test.sampler {
				t.Errorf("on: %v, sampler %q, want %v and %q", c.Tracing.On, sampler, test.on, test.sampler)
			}
		})
	}
}

// withoutOTel takes the variables of the machine away.
func withoutOTel(t *testing.T) {
	t.Helper()
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

func TestHeadersOfTheCollectorMayComeFromAFile(t *testing.T) {
	withoutOTel(t)
	file := filepath.Join(t.TempDir(), "headers")
	for content, want := range map[string]map[string]string{
		"api-key=a%3Db, x=1\n": {"api-key": "a=b", "x": "1"},
		"nonsense":             nil,
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS_FILE", file)
		got, err := readOTLPHeaders()
		if (err != nil) != (want == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v; want %v", content, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), content) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

// What a process has recorded reaches the collector before it ends, and says who it is.
func TestSpansReachTheCollector(t *testing.T) {
	withoutOTel(t)
	collector := tracingtest.NewCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // ms: only the end exports
	s := &service{log: slog.New(slog.DiscardHandler)}
	if err := s.readTracing(); err != nil {
		t.Fatal(err)
	}
	tracer, err := s.openTracing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tracing.End(tracer.Tell(tracing.Told{Order: domain.OrderID{1}, Name: "checkout"}), nil)
	s.closeAll()
	spans := collector.Spans()
	if len(spans) != 1 || spans[0].Trace != (domain.OrderID{1}).String() || spans[0].Instance == "" {
		t.Errorf("collected %+v, want the checkout of one process", spans)
	}
}
