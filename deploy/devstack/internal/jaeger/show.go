package jaeger

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// answer is what Jaeger's query API says of a trace.
type answer struct {
	Data []struct {
		Spans []span `json:"spans"`
	} `json:"data"`
	Errors []struct {
		Message string `json:"msg"`
	} `json:"errors"`
}

type span struct {
	ID         string `json:"spanID"`
	Name       string `json:"operationName"`
	Start      int64  `json:"startTime"` // µs
	Duration   int64  `json:"duration"`  // µs
	References []struct {
		Kind string `json:"refType"`
		Span string `json:"spanID"`
	} `json:"references"`
	Tags []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
}

func (s *span) parent() string {
	for _, r := range s.References {
		if r.Kind == "CHILD_OF" {
			return r.Span
		}
	}
	return ""
}

func (s *span) tag(key string) string {
	for _, t := range s.Tags {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

const answerBytesMax = 32 << 20

// Show writes an order's trace as a tree, with when each span began, and for how long.
func Show(ctx context.Context, w io.Writer, address, order string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/traces/"+url.PathEscape(order), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no Jaeger answers at %s: %w", address, err)
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(response.Body, answerBytesMax)).Decode(&a); err != nil {
		return fmt.Errorf("read Jaeger's answer (%s): %w", response.Status, err)
	}
	if len(a.Data) == 0 {
		return fmt.Errorf("jaeger has no trace of order %q: it keeps the newest %d in memory, and spans arrive some seconds late", order, tracesMax)
	}
	write(w, a.Data[0].Spans)
	return nil
}

func write(w io.Writer, spans []span) {
	slices.SortStableFunc(spans, func(a, b span) int { return int(a.Start - b.Start) })
	known := make(map[string]bool, len(spans))
	for i := range spans {
		known[spans[i].ID] = true
	}
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		for i := range spans {
			s := &spans[i]
			if p := s.parent(); p != parent && (parent != "" || known[p]) {
				continue
			}
			fmt.Fprintf(w, "%10s %10s  %s%s%s\n", micros(s.Start-spans[0].Start), micros(s.Duration), strings.Repeat("  ", depth), s.Name, s.outcome())
			below(s.ID, depth+1)
		}
	}
	fmt.Fprintf(w, "%10s %10s\n", "began", "took")
	below("", 0)
}

// outcome is the status of an HTTP request, or the kind of an error.
func (s *span) outcome() string {
	for _, key := range []string{"http.response.status_code", "error.type"} {
		if value := s.tag(key); value != "" {
			return "  " + value
		}
	}
	return ""
}

func micros(n int64) string {
	return (time.Duration(n) * time.Microsecond).Round(10 * time.Microsecond).String()
}
