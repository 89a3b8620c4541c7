package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
)

// Thousands watch their places for minutes: each may cost no more than a few
// kilobytes, its test's own end of the connection included.
func TestPlaceStreamsCostLittle(t *testing.T) {
	const streams, bytesMax = 500, 8 << 10
	b, _ := roomSetup(t)
	server := quick(b)
	for range 10 { // what is made once
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
