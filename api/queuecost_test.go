package api

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// Thousands of clients watch their places for minutes. Each may cost no more than a few
// kilobytes, including the test's end of the connection.
func TestPlaceStreamsCostLittle(t *testing.T) {
	const streams, bytesMax = 500, 8 << 10
	b, _ := roomSetup(t)
	server := quick(b)
	for range 10 { // what is allocated once
		watchPlace(t, server, b.joined())
	}
	before := memoryInUse()
	for range streams {
		watchPlace(t, server, b.joined())
	}
	waitFor(t, func() bool { return b.api.placeHub.count() == streams+10 })
	each := (memoryInUse() - before) / streams
	t.Logf("%d bytes a stream", each)
	if each > bytesMax {
		t.Errorf("%d bytes a stream, want at most %d", each, bytesMax)
	}
}

// Tens of thousands of clients poll their places each second. An answer with everything about
// a draw must fit into one packet with its header, and must not take more allocations.
func TestAPollCostsLittle(t *testing.T) {
	const bytesMax, allocationsMax = 800, 75 // 52 without the race detector
	b, r := roomSetup(t, func(o *Options) { o.Log = slog.New(slog.DiscardHandler) })
	hash := strings.Repeat("0123456789abcdef", 4)
	token := b.joined()
	r.set(token, func(p *waitingroom.Place) {
		p.Sale, p.Position, p.Ahead, p.Waiting, p.OpensAt = strings.Repeat("s", 40), 1e6, 1e6, 1e6, joinedAt
		p.Draw = waitingroom.Draw{
			Version: 2, Source: domain.QueueDrawBeacon, State: waitingroom.DrawDrawn, Commitment: hash, Root: hash, Seed: hash, Size: 1e6, DueAt: joinedAt,
		}
	})
	poll := request{"GET", "/v1/queue/" + token, "", nil}
	if w := b.do(poll); w.Code != http.StatusOK || w.Body.Len() > bytesMax {
		t.Errorf("%d, %d bytes, want at most %d: %s", w.Code, w.Body.Len(), bytesMax, w.Body)
	}
	if got := testing.AllocsPerRun(200, func() { b.do(poll) }); got > allocationsMax {
		t.Errorf("%.0f allocations, want at most %d", got, allocationsMax)
	}
}

func memoryInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func BenchmarkQueue(b *testing.B) {
	bundle, _ := roomSetup(b)
	token := bundle.joined()
	for name, q := range map[string]func() *http.Request{
		"place": func() *http.Request { return httptest.NewRequest("GET", "/v1/queue/"+token, nil) },
		"join":  func() *http.Request { return httptest.NewRequest("POST", "/v1/sales/rush/queue", nil) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				bundle.api.Public().ServeHTTP(w, q())
				_, _ = io.Copy(io.Discard, w.Body)
				if w.Code >= 300 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}
