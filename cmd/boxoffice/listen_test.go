package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A request that is slow on one listener leaves the others' time alone.
func TestShutdownOfListenersAtOnce(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	arrived, release := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	defer finish()
	slow, slowAddress := serveOn(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	other, otherAddress := serveOn(t, http.NotFoundHandler())

	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		response, err := http.Get("http://" + slowAddress)
		if err != nil {
			t.Errorf("the slow request was cut off: %v", err)
			return
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	})
	<-arrived
	stopped := make(chan struct{})
	wg.Go(func() {
		s.shutdown([]*http.Server{slow, other})
		close(stopped)
	})
	for deadline := time.Now().Add(5 * time.Second); !refuses(otherAddress); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the second listener still accepts while the first one finishes a request")
			break
		}
	}
	select {
	case <-stopped:
		t.Error("did not wait for the slow request")
	default:
	}
	finish()
}

func serveOn(t *testing.T, handler http.Handler) (server *http.Server, address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return server, l.Addr().String()
}

func refuses(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err != nil
}
