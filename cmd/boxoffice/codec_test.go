package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/api"
)

// A few programs that keep their connections do not shut the others out of the codec.
func TestIdleConnectionsOfTheCodecMakeRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	server := &http.Server{Handler: http.NotFoundHandler(), ConnState: func(net.Conn, http.ConnState) {}}
	go func() { stopped <- serveUntil(ctx, server, l, api.ConnectionLimits{Max: 1}) }()
	first := keep(t, "http://"+l.Addr().String())
	first.get("/")
	for range 2 { // by the second the first one is known to be idle
		second := keep(t, "http://"+l.Addr().String())
		second.get("/")
	}
	_, err = bufio.NewReader(first.conn).ReadByte()
	require.Error(t, err)
	timeout, ok := err.(net.Error)
	require.False(t, ok && timeout.Timeout(), "the connection that was idle for longest is still open")
	stop()
	require.NoError(t, <-stopped)
}
