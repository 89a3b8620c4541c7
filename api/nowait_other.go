//go:build !unix

package api

import (
	"net"
	"time"
)

// nowaitConn reads and writes what is possible within a moment: outside Unix there is no
// way to ask without waiting.
type nowaitConn struct{ conn net.Conn }

const aMoment = time.Millisecond

func nowait(conn net.Conn) nowaitConn { return nowaitConn{conn} }

func rawOf(conn net.Conn) nowaitConn { return nowaitConn{conn} }

func (c nowaitConn) write(data []byte) bool {
	_ = c.conn.SetWriteDeadline(time.Now().Add(aMoment))
	_, err := c.conn.Write(data)
	return err == nil
}

func (c nowaitConn) gone() bool {
	_ = c.conn.SetReadDeadline(time.Now().Add(aMoment))
	var buffer [64]byte
	_, err := c.conn.Read(buffer[:])
	timeout, ok := err.(net.Error)
	return err != nil && !(ok && timeout.Timeout())
}
