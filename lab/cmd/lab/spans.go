package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	"boxoffice/app"
	variants "boxoffice/lab/bench/variant"
)

// A collector takes the spans of a traced variant and forgets them: what is measured is what they cost the box office.
type collector struct{ requests, bytes atomic.Int64 }

// ServeHTTP implements http.Handler. An empty answer is OTLP's for success.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.requests.Add(1)
	c.bytes.Add(n)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// collecting runs the bench of a traced variant beside its collector. Without a span the variant measured nothing.
func collecting(v variants.Variant, bench app.Command) app.Command {
	if !v.Traces {
		return bench
	}
	return func(ctx context.Context, args []string) error {
		listener, err := net.Listen("tcp", variants.TracesAddress)
		if err != nil {
			return fmt.Errorf("the variant %q wants to receive spans: %w", v.Name, err)
		}
		spans := &collector{}
		server := &http.Server{Handler: spans} //nolint:gosec // on loopback, for the stack's own processes
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		err = bench(ctx, args)
		_ = server.Close()
		if failed := <-ended; !errors.Is(failed, http.ErrServerClosed) {
			return errors.Join(err, failed)
		}
		fmt.Printf("the collector got %d requests with spans, %d bytes\n", spans.requests.Load(), spans.bytes.Load())
		if spans.bytes.Load() == 0 {
			return errors.Join(err, fmt.Errorf("the variant %q sent no spans, so it is no measurement: let the bench run longer", v.Name))
		}
		return err
	}
}
