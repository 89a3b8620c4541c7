package app

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A slow request on one listener does not use up the others' time.
func TestShutdownOfListenersAtOnce(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	arrived, release := make(chan struct{}), make(chan struct{})
	finish := sync.OnceFunc(func() { close(release) })
	defer finish()
	slow, slowAddress := serveOn(t, s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	other, otherAddress := serveOn(t, s, http.NotFoundHandler())

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
		s.shutdown([]*site{slow, other})
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

// An accepted connection gets an answer, even if its request comes after the shutdown has
// begun. http.Server.Shutdown alone would drop it.
func TestShutdownAnswersConnectionsThatItHas(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	server, address := serveOn(t, s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	k := keep(t, "http://"+address)
	eventually(t, "the connection is accepted", func() bool { return server.connections.Load() == 1 })
	stopped := make(chan struct{})
	go func() {
		s.shutdown([]*site{server})
		close(stopped)
	}()
	eventually(t, "the listener is closed", func() bool { return refuses(address) })
	response, body := k.get("/")
	if response.StatusCode != http.StatusOK || body != "served" || !response.Close {
		t.Errorf("%s %q, closing %t", response.Status, body, response.Close)
	}
	<-stopped
}

func serveOn(t *testing.T, s *service, handler http.Handler) (*site, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	t.Cleanup(func() { _ = server.Close() })
	return s.open(l, server, func(err error) { t.Error(err) }), l.Addr().String()
}

func refuses(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

// Webhooks come over a listener that buyers do not share.
func TestWebhooksHaveTheirOwnListener(t *testing.T) {
	s := newService(t, roleAll)
	s.WebhookListen = freeAddress(t)
	stop, err := s.listen(func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	say := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
	}
	s.ready.Store(&handlers{public: say("public"), admin: say("admin"), webhooks: say("webhooks")})
	for url, want := range map[string]string{"http://" + s.WebhookListen: "webhooks", s.URL: "public"} {
		if _, body := keep(t, url).get("/"); body != want {
			t.Errorf("%s answers %q, want %q", url, body, want)
		}
	}
	// Whoever else tests on this machine may get a port as soon as it is closed, but not one time after the other.
	const attemptsMax = 5
	for attempt := 1; ; attempt++ {
		second := &service{config: s.config, role: roleAll, log: s.log}
		second.URL = "http://" + freeAddress(t)
		second.AdminURL = second.URL
		if _, err := second.listen(func(error) {}); err == nil {
			t.Fatal("no error, but the port is taken")
		}
		if refuses(strings.TrimPrefix(second.URL, "http://")) {
			return
		}
		if attempt == attemptsMax {
			t.Fatal("the start failed, but other listeners are still open")
		}
	}
}
