package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"
)

// The stream of a client that vanished, like a phone in a tunnel, is no sign of life, and
// ends. It goes on if the client comes back in time.
func TestTheStreamOfAVanishedClientIsNoSignOfLife(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	}}
	client, err := dialer.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked := 0
	h := newPlaceHub(func(context.Context, string) (*placeOutput, error) {
		asked++
		return &placeOutput{}, nil
	}, slog.New(slog.DiscardHandler), 1)
	now := time.Now()
	s := &placeStream{conn: takenConn{nowait(conn), conn}, endsAt: now.Add(time.Hour), reachedAt: now}
	const bytes = 12 << 10 // more than the client's machine buffers
	if !s.write(make([]byte, bytes), now) {
		t.Fatal("the kernel did not accept it")
	}
	last := 0
	waitFor(t, func() bool { // until nothing more is confirmed
		before := last
		last = s.conn.unacked()
		return last == before && last > 0
	})
	s.unreached(now)
	visit := func(later time.Duration, goesOn bool, asks int) {
		t.Helper()
		asked = 0
		if got := h.visit(t.Context(), s, now.Add(later)); got != goesOn || asked != asks {
			t.Errorf("%v later: goes on %v, asked %d times; want %v, %d", later, got, asked, goesOn, asks)
		}
	}
	visit(placeDoubtAfter, true, 1)
	visit(placeDoubtAfter+time.Second, true, 0)
	visit(placeReachedWithin, true, 0)
	visit(placeReachedWithin+time.Second, false, 0)
	if _, err := io.ReadFull(client, make([]byte, bytes)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	waitFor(t, func() bool { return s.conn.unacked() == 0 })
	visit(placeReachedWithin+2*time.Second, true, 1)
	waitFor(t, func() bool { return s.conn.unacked() == 0 })
	visit(time.Minute, true, 1) // all is confirmed, so silence is no reason for doubt
}
