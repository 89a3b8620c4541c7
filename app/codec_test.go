package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"boxoffice/api"
)

// A few programs that keep their connections do not shut others out of the codec.
func TestIdleConnectionsOfTheCodecMakeRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: func(net.Conn, http.ConnState) {}}
	go func() { stopped <- serveUntil(ctx, server, l, api.ConnectionLimits{Max: 1}) }()
	first := keep(t, "http://"+l.Addr().String())
	first.get("/")
	gone := make(chan struct{})
	go func() {
		_, err := first.conn.Read(make([]byte, 1)) // nothing more is sent
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			close(gone)
		}
	}()
	eventually(t, "the connection that was idle for longest gives way", func() bool {
		another := keep(t, "http://"+l.Addr().String())
		another.get("/")
		another.conn.Close()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	})
	stop()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}
