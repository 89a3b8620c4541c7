package mockpay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"boxoffice/payments/mockpay"
)

// Limits of the HTTP server.
const (
	requestsAtOnceMax = 1024
	requestBodyMax    = 16 << 10 // bytes
	headerMax         = 16 << 10 // bytes; a pay link has up to 8 kB
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	shutdownTimeout   = 10 * time.Second
)

// Server is a payment provider that holds its state and its port.
type Server struct {
	log      *slog.Logger
	store    *store
	bank     *bank
	courier  *courier
	listener net.Listener
	http     *http.Server
}

// New opens the state, takes the port and loads what is undelivered. It serves nothing
// before Run. Close a Server that is never run. The error says which of the state and the
// port is taken, and by what.
func New(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if err := checkLoopback(cfg.Addr); err != nil {
		return nil, err
	}
	poster, err := NewHTTPSender(cfg.BoxofficeURL, cfg.Secrets)
	if err != nil {
		return nil, err
	}
	links, err := mockpay.NewPayLinks("http://"+cfg.Addr, cfg.Secrets)
	if err != nil {
		return nil, err
	}
	store, err := openStore(cfg.DataDir, cfg.Log)
	if err != nil {
		return nil, err
	}
	bank, err := newBank(store, poster, cfg.Log)
	if err != nil {
		return nil, errors.Join(err, store.close())
	}
	// Whoever configures a container says who reaches it. The Host header must name this machine all the same.
	listener, err := listen(cmp.Or(cfg.Listen, cfg.Addr))
	if err != nil {
		return nil, errors.Join(err, store.close())
	}
	s := &Server{log: cfg.Log, store: store, bank: bank, courier: bank.courier, listener: listener}
	s.http = &http.Server{
		Handler:           newHandler(bank, links, cfg.Log),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerMax,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// newBank is a bank with everything that it did and was told before.
func newBank(store *store, poster *HTTPSender, log *slog.Logger) (*bank, error) {
	trickster, err := newTrickster(store, log)
	if err != nil {
		return nil, err
	}
	sender, err := newTrickSender(poster, trickster)
	if err != nil {
		return nil, err
	}
	courier := newCourier(store, sender, log)
	if err := courier.load(); err != nil {
		return nil, fmt.Errorf("read the undelivered webhooks: %w", err)
	}
	return &bank{store: store, courier: courier, trickster: trickster, now: time.Now}, nil
}

func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program: stop it, or set MOCKPAY_URL to a free port", addr)
	}
	return listener, err
}

// URL is where the provider is reached, with the port that it got.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Run serves until ctx ends. Then it takes no new requests, finishes those under way,
// gives webhooks under way a moment, and leaves the rest to the next start. It returns
// nil unless the server or the store failed.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.log.Info("MockPay takes payments", "url", s.URL(), "undelivered", s.courier.undelivered())

	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		s.courier.run(ctx)
	}()
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()

	var failure error
	select {
	case <-ctx.Done():
	case failure = <-served:
	case <-s.store.broken: // close says why
	}
	failure = errors.Join(failure, s.shutdown())
	cancel()
	<-delivered
	undelivered := s.courier.undelivered()
	failure = errors.Join(failure, s.store.close())
	s.log.Info("MockPay has stopped", "undelivered", undelivered)
	return failure
}

func (s *Server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("requests were still under way: %w", err), s.http.Close())
	}
	return nil
}

// Close releases the state and the port of a Server that was never run.
func (s *Server) Close() error {
	return errors.Join(s.listener.Close(), s.store.close())
}
