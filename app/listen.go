package app

import (
	"context"
	"crypto/tls"
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
	if s.role != roleWorker {
		if s.certificate, err = s.openCertificate(s.log); err != nil {
			return nil, err
		}
	}
	public := s.certificate
	var sites []*site
	open := func(address string, cert *certificate, pick func(*handlers) http.Handler) {
		if err != nil {
			return
		}
		var opened *site
		if opened, err = s.listener(address, cert, pick, fail); err == nil {
			sites = append(sites, opened)
		}
	}
	open(address, public, func(h *handlers) http.Handler { return h.public })
	if s.role != roleWorker && s.AdminURL != s.URL && err == nil {
		address, err = s.adminAddress()
		var admin *certificate
		if s.adminHasTLS() {
			admin = public
		}
		open(address, admin, func(h *handlers) http.Handler { return h.admin })
	}
	if s.role != roleWorker && s.WebhookListen != "" {
		open(s.WebhookListen, public, func(h *handlers) http.Handler { return h.webhooks })
	}
	if err != nil {
		for _, site := range sites {
			_ = site.server.Close()
		}
		return nil, err
	}
	return func() { s.shutdown(sites) }, nil
}

func (s *service) listener(address string, cert *certificate, pick func(*handlers) http.Handler, fail func(error)) (*site, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf(
			"listen at %s: %w (another process has that port; BOXOFFICE_URL or BOXOFFICE_LISTEN, BOXOFFICE_WEBHOOK_LISTEN, BOXOFFICE_ADMIN_URL and BOXOFFICE_WORKER_URL choose other ports)",
			address,
			err,
		)
	}
	s.log.Info("listening", "address", l.Addr().String(), "tls", cert != nil)
	limits := s.connectionLimits()
	limits.TLS = cert != nil
	server := api.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.ready.Load(); h != nil && !(s.stopping.Load() && isReadyz(r)) {
			pick(h).ServeHTTP(w, r)
			return
		}
		s.notReadyYet(w, r)
	}))
	if cert != nil {
		server.TLSConfig, server.ErrorLog = cert.config(), withoutHandshakes(s.log)
	}
	return s.open(api.LimitConnections(l, limits), server, fail), nil
}

// A site is a server on its listener, and the number of its connections.
type site struct {
	server   *http.Server
	listener net.Listener
	// connections with HTTP/2 are not among them: their clients are told to go, see close.
	connections atomic.Int64
	http2       sync.Map // of net.Conn
	closing     atomic.Bool
}

func (s *service) open(l net.Listener, server *http.Server, fail func(error)) *site {
	site := &site{server: server, listener: l}
	track := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if track != nil {
			track(conn, state)
		}
		site.count(conn, state)
	}
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	go func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) && !site.closing.Load() {
			fail(fmt.Errorf("listener %s: %w", l.Addr(), err))
		}
	}()
	return site
}

func (s *site) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		if _, was := s.http2.LoadAndDelete(conn); !was {
			s.connections.Add(-1)
		}
	case http.StateActive, http.StateIdle: // of HTTP/2 the first comes after the handshake
		if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol == "h2" {
			if _, was := s.http2.LoadOrStore(conn, struct{}{}); !was {
				s.connections.Add(-1)
			}
		}
	}
}

// closePoll is how often a closing site checks whether it is empty.
const closePoll = 5 * time.Millisecond

// close takes no more connections, and answers what came on those that it has.
// http.Server.Shutdown alone would drop a connection whose first request it had not read
// yet, without an answer. Clients with HTTP/2 it tells which of their requests it takes.
func (s *site) close(ctx context.Context) error {
	s.closing.Store(true)
	s.server.SetKeepAlivesEnabled(false) // idle ones end now, the others after their answer
	_ = s.listener.Close()
	for s.connections.Load() > 0 && ctx.Err() == nil {
		select {
		case <-time.After(closePoll):
		case <-ctx.Done():
		}
	}
	if err := s.server.Shutdown(ctx); !errors.Is(err, net.ErrClosed) { // it closes the listener once more
		return err
	}
	return nil
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
