package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"boxoffice/api"
	"boxoffice/codec"
	"boxoffice/domain"
)

const (
	// codecShutdownTimeout lets accepted requests finish.
	codecShutdownTimeout = 5 * time.Second
	// codecConnectionsMax is enough for a proxy and a few tools; see codec.RequestsMax.
	codecConnectionsMax = 128
	codecTokenLenMin    = 16
)

// serveCodec is a process of its own. It decrypts whatever it is given, so run it where
// operators are. The payload keys are the only secret it needs.
func serveCodec(ctx context.Context, args []string) error {
	flags := newFlags("codec")
	if err := parse(flags, args); err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	slog.SetDefault(log)
	c, err := readConfig()
	if err != nil {
		return err
	}
	origin, address, err := c.forCodec()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w (another process has that port; BOXOFFICE_CODEC_URL chooses another)", address, err)
	}
	log.Info("ready", "url", c.CodecURL, "for", origin, "with", c.Payloads.String())
	return serveUntil(ctx, c.Payloads.NewServer(origin, string(c.CodecToken)), l, api.ConnectionLimits{Max: codecConnectionsMax})
}

// serveUntil serves until the context ends, and finishes accepted requests.
func serveUntil(ctx context.Context, server *http.Server, l net.Listener, limits api.ConnectionLimits) error {
	l, server.ConnState = api.LimitConnections(l, limits), api.TrackConnection
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), codecShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// forCodec checks what the codec server needs: the page that it serves, and where it
// listens. Pages need no password for it, so it must not listen on an address that others
// can reach.
func (c config) forCodec() (origin, address string, err error) {
	var problems []error
	if err := c.forTemporal(); err != nil {
		problems = append(problems, err)
	}
	if origin, err = codec.Origin(c.TemporalUIURL); err != nil {
		problems = append(problems, fmt.Errorf("TEMPORAL_UI_URL: %w", err))
	}
	if address, err = listenAddress(c.CodecURL); err != nil {
		problems = append(problems, fmt.Errorf("BOXOFFICE_CODEC_URL: %w", err))
	} else if !onLoopback(address) {
		problems = append(problems, fmt.Errorf("BOXOFFICE_CODEC_URL: %s is not loopback; let others in through a proxy that authenticates them", address))
	}
	if n := len(c.CodecToken); n > 0 && n < codecTokenLenMin {
		problems = append(problems, fmt.Errorf("BOXOFFICE_CODEC_TOKEN has %d characters, want at least %d; not set, no program is served", n, codecTokenLenMin))
	}
	return origin, address, errors.Join(problems...)
}

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && domain.IsLoopback(host)
}
