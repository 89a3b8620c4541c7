package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/api"
	"boxoffice/domain"
)

// listen opens the listeners before anything else is ready, so that /healthz and /readyz
// answer from the first moment. The returned stop finishes accepted requests.
func (s *service) listen(fail func(error)) (stop func(), err error) {
	address, err := s.publicAddress()
	if s.role == roleWorker {
		address, err = listenAddress(s.WorkerURL)
	}
	if err != nil {
		return nil, err
	}
	var sites []*site
	open := func(address string, pick func(*handlers) http.Handler) {
		if err != nil {
			return
		}
		var opened *site
		if opened, err = s.listener(address, pick, fail); err == nil {
			sites = append(sites, opened)
		}
	}
	open(address, func(h *handlers) http.Handler { return h.public })
	if s.role != roleWorker && s.AdminURL != s.URL && err == nil {
		address, err = listenAddress(s.AdminURL)
		open(address, func(h *handlers) http.Handler { return h.admin })
	}
	if s.role != roleWorker && s.WebhookListen != "" {
		open(s.WebhookListen, func(h *handlers) http.Handler { return h.webhooks })
	}
	if err != nil {
		for _, site := range sites {
			_ = site.server.Close()
		}
		return nil, err
	}
	return func() { s.shutdown(sites) }, nil
}

func (s *service) listener(address string, pick func(*handlers) http.Handler, fail func(error)) (*site, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf(
			"listen at %s: %w (another process has that port; BOXOFFICE_URL or BOXOFFICE_LISTEN, BOXOFFICE_WEBHOOK_LISTEN, BOXOFFICE_ADMIN_URL and BOXOFFICE_WORKER_URL choose other ports)",
			address,
			err,
		)
	}
	s.log.Info("listening", "address", l.Addr().String())
	limited := api.LimitConnections(l, s.connectionLimits())
	return s.open(limited, api.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.ready.Load(); h != nil && !(s.stopping.Load() && isReadyz(r)) {
			pick(h).ServeHTTP(w, r)
			return
		}
		s.notReadyYet(w, r)
	})), fail), nil
}

// A site is a server on its listener, and the number of its connections.
type site struct {
	server      *http.Server
	listener    net.Listener
	connections atomic.Int64
	closing     atomic.Bool
}

func (s *service) open(l net.Listener, server *http.Server, fail func(error)) *site {
	site := &site{server: server, listener: l}
	track := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if track != nil {
			track(conn, state)
		}
		switch state {
		case http.StateNew:
			site.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			site.connections.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !site.closing.Load() {
			fail(fmt.Errorf("listener %s: %w", l.Addr(), err))
		}
	}()
	return site
}

// closePoll is how often a closing site checks whether it is empty.
const closePoll = 5 * time.Millisecond

// close takes no more connections, and answers what came on those that it has.
// http.Server.Shutdown alone would drop a connection whose first request it had not read
// yet, without an answer.
func (s *site) close(ctx context.Context) error {
	s.closing.Store(true)
	_ = s.listener.Close()
	s.server.SetKeepAlivesEnabled(false) // idle ones end now, the others after their answer
	for s.connections.Load() > 0 && ctx.Err() == nil {
		select {
		case <-time.After(closePoll):
		case <-ctx.Done():
		}
	}
	return s.server.Shutdown(ctx)
}

func isReadyz(r *http.Request) bool { return strings.TrimSuffix(r.URL.Path, "/") == "/readyz" }

// notReadyYet answers while the process waits for what it needs, and answers /readyz
// while it stops.
func (s *service) notReadyYet(w http.ResponseWriter, r *http.Request) {
	api.SetWriteDeadline(w)
	if r.URL.Path == "/healthz" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
		return
	}
	problem := api.Problem{
		Type: "/problems/overloaded", Title: "Not ready", Status: http.StatusServiceUnavailable, Code: domain.CodeOverloaded,
		Detail: "The box office is starting.",
	}
	switch {
	case s.stopping.Load():
		problem.Detail = "The box office is stopping."
	case isReadyz(r):
		problem.Detail = s.waiting.String()
		for _, name := range s.waiting.list() {
			problem.Errors = append(problem.Errors, api.FieldError{Field: name, Message: "does not answer as it should; the log says why"})
		}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(problem)
}

// shutdown ends all listeners at once: one with long requests must not use up the time of
// another.
func (s *service) shutdown(sites []*site) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, site := range sites {
		wg.Go(func() {
			if err := site.close(ctx); err != nil {
				s.log.Warn("requests were cut off", "error", err, "after", shutdownTimeout.Round(time.Second).String())
				_ = site.server.Close()
			}
		})
	}
	wg.Wait()
}
