//go:build unix

package api

import (
	"errors"
	"net"
	"syscall"
)

// nowaitConn reads and writes what is possible at once.
type nowaitConn struct{ raw syscall.RawConn }

// nowait prepares a connection of one of our listeners. After it the kernel keeps little
// for a client that does not read.
func nowait(conn net.Conn) nowaitConn {
	if limited, ok := conn.(*limitedConn); ok {
		conn = limited.Conn
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(placeSendBufferBytes) // otherwise it is larger
	}
	return rawOf(conn)
}

// rawOf leaves the connection as it is.
func rawOf(conn net.Conn) nowaitConn {
	if limited, ok := conn.(*limitedConn); ok {
		conn = limited.Conn
	}
	if sys, ok := conn.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			return nowaitConn{raw}
		}
	}
	return nowaitConn{}
}

// write reports whether everything was taken. If not, the stream is broken.
func (c nowaitConn) write(data []byte) bool {
	if c.raw == nil {
		return false
	}
	var n int
	err := c.raw.Write(func(fd uintptr) bool {
		n, _ = ignoringEINTR(syscall.Write, int(fd), data)
		return true // whatever happened: do not wait
	})
	return err == nil && n == len(data)
}

// gone reports whether the client has closed its side, or the connection broke. What the
// client sends is read and ignored: a stream has no further requests.
func (c nowaitConn) gone() bool {
	if c.raw == nil {
		return true
	}
	var buffer [64]byte
	var n int
	var readErr error
	err := c.raw.Read(func(fd uintptr) bool {
		n, readErr = ignoringEINTR(syscall.Read, int(fd), buffer[:])
		return true
	})
	if err != nil {
		return true
	}
	silent := errors.Is(readErr, syscall.EAGAIN) || errors.Is(readErr, syscall.EWOULDBLOCK)
	return !silent && (readErr != nil || n == 0)
}

func ignoringEINTR(call func(int, []byte) (int, error), fd int, p []byte) (n int, err error) {
	for {
		if n, err = call(fd, p); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
