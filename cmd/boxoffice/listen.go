package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"boxoffice/api"
)

// listen opens the listeners before anything else is there, so that /healthz
// and /readyz answer from the first moment. The returned stop finishes accepted
// requests.
func (s *service) listen(fail func(error)) (stop func(), err error) {
	if s.role == roleWorker {
		return func() {}, nil
	}
	public, err := s.listener(s.URL, func(h *handlers) http.Handler { return h.public }, fail)
	if err != nil {
		return nil, err
	}
	servers := []*http.Server{public}
	if s.AdminURL != s.URL {
		admin, err := s.listener(s.AdminURL, func(h *handlers) http.Handler { return h.admin }, fail)
		if err != nil {
			_ = public.Close()
			return nil, err
		}
		servers = append(servers, admin)
	}
	return func() { s.shutdown(servers) }, nil
}

func (s *service) listener(url string, pick func(*handlers) http.Handler, fail func(error)) (*http.Server, error) {
	address, err := listenAddress(url)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w (another process has that port; BOXOFFICE_URL and BOXOFFICE_ADMIN_URL choose others)", address, err)
	}
	server := api.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.ready.Load(); h != nil {
			pick(h).ServeHTTP(w, r)
			return
		}
		s.notReadyYet(w, r)
	}))
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("listener %s: %w", address, err))
		}
	}()
	return server, nil
}

// notReadyYet answers while the process waits for what it needs.
func (s *service) notReadyYet(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
		return
	}
	detail := "The box office is starting."
	if strings.TrimSuffix(r.URL.Path, "/") == "/readyz" {
		detail = s.waiting.String()
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": "Not ready", "status": http.StatusServiceUnavailable, "code": "overloaded", "detail": detail,
	})
}

// shutdown ends all listeners at once: one that has long requests must not use
// up the time of another.
func (s *service) shutdown(servers []*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, server := range servers {
		wg.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				s.log.Warn("requests were cut off", "error", err, "after", shutdownTimeout.Round(time.Second).String())
				_ = server.Close()
			}
		})
	}
	wg.Wait()
}
