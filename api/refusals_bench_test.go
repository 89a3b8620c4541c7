package api

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// BenchmarkRefusals sends checkouts to a sold-out sale, over the loopback interface and the
// server that production runs; the clients are in the same process and as cheap as
// possible. Requests that are not plain go the ordinary way.
func BenchmarkRefusals(b *testing.B) {
	for _, test := range []struct {
		way         string
		clients     int
		contentType string
	}{
		{"atOnce", 1, plainType}, {"atOnce", 64, plainType}, {"atOnce", 512, plainType}, {"ordinary", 64, plainType + ";charset=utf-8"},
	} {
		b.Run(fmt.Sprintf("%s/clients=%d", test.way, test.clients), func(b *testing.B) {
			bundle := setup(b, func(o *Options) { o.Log = slog.New(slog.DiscardHandler) })
			bundle.stockOf(0, 0, 5)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			server := NewServer(bundle.api.Public())
			go func() { _ = server.Serve(LimitConnections(listener, ConnectionLimits{Max: ConnectionsMax})) }()
			b.Cleanup(func() { _ = server.Close() })
			refuse(b, listener.Addr().String(), test.clients, test.contentType)
			if bundle.world.Lookups > 0 || bundle.startsNow() > 0 {
				b.Errorf("%d lookups, %d checkouts", bundle.world.Lookups, bundle.world.Starts)
			}
		})
	}
}

const plainType = "application/json"

func refuse(b *testing.B, address string, clients int, contentType string) {
	var left atomic.Int64
	left.Store(int64(b.N))
	latencies := make([][]time.Duration, clients)
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range clients {
		all.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for n := 0; left.Add(-1) >= 0; n++ {
				body := wishOf(fmt.Sprintf("buyer-%d-%d@example.com", i, n), 1)
				began := time.Now()
				if _, err := fmt.Fprintf(conn, "POST /v1/sales/conference/checkouts HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s",
					contentType, uuid.Must(uuid.NewV7()), len(body), body); err != nil {
					b.Error(err)
					return
				}
				if status := readAnswer(answers); status != http.StatusConflict {
					b.Errorf("status %d", status)
					return
				}
				latencies[i] = append(latencies[i], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	took := slices.Concat(latencies...)
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "refusals/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// readAnswer reads one answer off a connection; 0: it broke.
func readAnswer(r *bufio.Reader) (status int) {
	length := 0
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return 0
		}
		if code, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
			status, _ = strconv.Atoi(code[:3])
		}
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, _ = strconv.Atoi(strings.TrimSpace(n))
		}
	}
	if _, err := r.Discard(length); err != nil {
		return 0
	}
	return status
}
