package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"boxoffice/app"
	variants "boxoffice/lab/bench/variant"
)

// A bench of traces that nobody sent measured something else.
func TestATracedBenchGetsSpans(t *testing.T) {
	wrong := errors.New("something is wrong")
	// Every case has a collector of its own on the same port: a connection to the one before is no use.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(body string, err error) app.Command {
		return func(ctx context.Context, _ []string) error {
			request, problem := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+variants.TracesAddress+"/v1/traces", strings.NewReader(body))
			if problem != nil {
				return problem
			}
			response, problem := client.Do(request)
			if problem != nil {
				return problem
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Errorf("the exporter gets %s", response.Status)
			}
			return err
		}
	}
	nothing := func(context.Context, []string) error { return nil }
	for name, tt := range map[string]struct {
		variant variants.Variant
		bench   app.Command
		says    string // of the error; empty: none
	}{
		"with spans":                   {variants.Variant{Traces: true}, send("spans", nil), ""},
		"with nobody's":                {variants.Variant{Traces: true}, nothing, "sent no spans"},
		"with empty requests":          {variants.Variant{Traces: true}, send("", nil), "sent no spans"},
		"the bench's own error counts": {variants.Variant{Traces: true}, send("spans", wrong), "something is wrong"},
		"another variant needs none":   {variants.Variant{}, nothing, ""},
	} {
		err := collecting(tt.variant, tt.bench)(t.Context(), nil)
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want an error that says %q", name, err, tt.says)
		}
	}
}

// What a variant turns on is what the service reads, or both would measure the same.
func TestTheServiceReadsWhatAVariantSets(t *testing.T) {
	for _, v := range variants.All {
		t.Run(v.Name, func(t *testing.T) {
			for _, name := range []string{"TEMPORAL_DEPLOYMENT_NAME", "TEMPORAL_WORKER_BUILD_ID", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"} {
				t.Setenv(name, "") // and afterwards it is what it was
			}
			if err := set(v); err != nil {
				t.Fatal(err)
			}
			c, err := app.ReadConfig()
			if err != nil {
				t.Fatal(err)
			}
			if v.WorkerVersions == c.Version.IsZero() || v.Traces != c.Tracing.On {
				t.Errorf("version %q and tracing %v, want as in %+v", c.Version, c.Tracing.On, v)
			}
			if v.Traces && c.Tracing.Sampler.Description() != "TraceIDRatioBased{0.01}" {
				t.Errorf("sampled by %s", c.Tracing.Sampler.Description())
			}
		})
	}
}
