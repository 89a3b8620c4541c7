package api

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ConnectionLimits limit the connections of a listener.
type ConnectionLimits struct {
	Max int // served at a time
	// PerAddressMax limits the connections of one client: an IPv4 address or an IPv6 /64.
	// 0: no limit.
	PerAddressMax int
	// Exempt from PerAddressMax are addresses with many clients behind them: proxies.
	Exempt []netip.Prefix
	// TLS says that the server speaks TLS on the listener. Bytes that arrive are then perhaps
	// no request: of a handshake, or of HTTP/2's own talk.
	TLS bool
}

// LimitConnections limits the connections of a listener whose server uses
// TrackConnection, like one of NewServer. If the listener is full, a new connection takes
// the place of the one that has been idle the longest, or of one that connected and sent
// nothing; requests under way keep their connections. If neither exists, a few more
// connections get 503 `overloaded`, and the rest wait to be accepted. A client over its
// own limit loses its own idle connection; if it has none, the new one is closed.
func LimitConnections(l net.Listener, limits ConnectionLimits) net.Listener {
	return &limitedListener{
		Listener: l, limits: limits,
		room: make(chan struct{}, limits.Max+surplusMax), closed: make(chan struct{}),
		idle: list.New(), silent: list.New(), clients: make(map[netip.Addr]*client), silentMin: silentMin,
	}
}

// silentMin is how long a connection may send nothing before another takes its place: in
// a rush the server is slow to read what has arrived. With TLS that holds for idle ones too.
const silentMin = time.Second

// roomPoll is how often a full listener checks whether one of its connections can give
// way.
const roomPoll = 20 * time.Millisecond

type limitedListener struct {
	net.Listener
	limits    ConnectionLimits
	room      chan struct{} // one for each open connection
	closed    chan struct{}
	closeOnce sync.Once
	silentMin time.Duration

	mu      sync.Mutex
	open    int
	idle    *list.List // of *limitedConn between two requests, for longest first
	silent  *list.List // of those that have sent nothing yet, likewise
	clients map[netip.Addr]*client
}

// A client is what one address has open. It is kept only if addresses are limited.
type client struct {
	open int
	idle *list.List // as the listener's
}

// Accept implements net.Listener. Only one server may call it, one call at a time.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		if !l.takeRoom() {
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.room
			return nil, err
		}
		if admitted, ok := l.admit(conn); ok {
			return admitted, nil
		}
		_ = conn.Close()
		<-l.room
	}
}

// takeRoom waits for a place, for a connection that will be served or told that the node
// is full. It returns false if the listener was closed. A connection that becomes idle,
// or stays silent for too long, gives way.
func (l *limitedListener) takeRoom() bool {
	for {
		select {
		case l.room <- struct{}{}:
			return true
		default:
		}
		if l.shed(l.candidate()) {
			continue // its place is free
		}
		select {
		case l.room <- struct{}{}:
			return true
		case <-l.closed:
			return false
		case <-time.After(roomPoll):
		}
	}
}

func (l *limitedListener) admit(conn net.Conn) (net.Conn, bool) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(unreadBytesMax) // fails on a connection that is gone
	}
	address := addressOf(conn)
	c := &limitedConn{
		Conn: conn, listener: l, client: clientOfAddress(address), came: time.Now(),
		isBounded: l.limits.PerAddressMax > 0 && !isTrusted(address, l.limits.Exempt),
	}
	if c.isBounded && l.isAtItsBound(c.client) && !l.shed(l.candidateOf(c.client)) {
		return nil, false
	}
	if l.isFull() {
		c.surplus = !l.shed(l.candidate())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	if c.isBounded {
		of := l.clients[c.client]
		if of == nil {
			of = &client{idle: list.New()}
			l.clients[c.client] = of
		}
		of.open++
	}
	c.heard.Store(&c.came)
	c.waits.Store(true)
	c.inAll = l.silent.PushBack(c)
	return c, true
}

func (l *limitedListener) isFull() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open >= l.limits.Max
}

func (l *limitedListener) isAtItsBound(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.clients[address]
	return of != nil && of.open >= l.limits.PerAddressMax
}

// candidate is the connection whose place a new one may take; nil if all are busy.
func (l *limitedListener) candidate() *limitedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.quietLocked(l.idle); c != nil {
		return c
	}
	if c := l.quietLocked(l.silent); c != nil && time.Since(c.came) >= l.silentMin {
		return c
	}
	return nil
}

func (l *limitedListener) candidateOf(address netip.Addr) *limitedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.clients[address]; of != nil { // it may have gone meanwhile
		return l.quietLocked(of.idle)
	}
	return nil
}

// quietLooksMax bounds the search for a connection that is quiet.
const quietLooksMax = 16

// quietLocked is the first connection of a list, with TLS the first that has been quiet: there
// nobody knows yet whether what has just arrived is a request.
func (l *limitedListener) quietLocked(conns *list.List) *limitedConn {
	e := conns.Front()
	for range quietLooksMax {
		if e == nil {
			return nil
		}
		c := e.Value.(*limitedConn)
		if !l.limits.TLS || time.Since(*c.heard.Load()) >= l.silentMin {
			return c
		}
		e = e.Next()
	}
	return nil
}

// shed closes a connection without a request: HTTP lets a server do that at any time, and
// clients connect again. It reports whether there was one.
func (l *limitedListener) shed(c *limitedConn) bool {
	if c == nil {
		return false
	}
	_ = c.Close()
	return true
}

// rests notes that the connection's request was answered.
func (l *limitedListener) rests(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.isClosed {
		return
	}
	l.worksLocked(c)
	c.waits.Store(true)
	c.inAll = l.idle.PushBack(c)
	if c.isBounded {
		c.inClient = l.clients[c.client].idle.PushBack(c)
	}
}

// works notes that a part of a request has arrived.
func (l *limitedListener) works(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worksLocked(c)
}

func (l *limitedListener) worksLocked(c *limitedConn) {
	if !c.waits.Load() {
		return
	}
	c.waits.Store(false)
	l.idle.Remove(c.inAll) // which does nothing where it is not in
	l.silent.Remove(c.inAll)
	if c.inClient != nil {
		l.clients[c.client].idle.Remove(c.inClient)
	}
	c.inAll, c.inClient = nil, nil
}

func (l *limitedListener) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.isClosed {
		return
	}
	l.worksLocked(c)
	c.isClosed = true
	l.open--
	if c.isBounded {
		of := l.clients[c.client]
		if of.open--; of.open == 0 {
			delete(l.clients, c.client)
		}
	}
	<-l.room
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func addressOf(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{} // not a network connection: all share one address
}

type limitedConn struct {
	net.Conn
	listener  *limitedListener
	client    netip.Addr
	isBounded bool // by its address
	surplus   bool
	came      time.Time

	waits atomic.Bool               // for a request, of which nothing has arrived yet
	heard atomic.Pointer[time.Time] // with TLS: when bytes came last

	// Fields below belong to the listener, under its lock.
	isClosed        bool
	inAll, inClient *list.Element // its places in the lists
}

// Read implements net.Conn. A request is under way from its first byte. If it came along
// with the one before, or through TLS, the server reports it (see TrackConnection).
func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case n == 0 || !c.waits.Load():
	case c.listener.limits.TLS:
		now := time.Now()
		c.heard.Store(&now)
	default:
		c.listener.works(c)
	}
	return n, err
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.listener.leave(c)
	return c.Conn.Close()
}

// TrackConnection is the ConnState of a server on a listener of LimitConnections, or the
// first thing that its ConnState calls. Without it, no connection counts as idle.
// NewServer sets it.
func TrackConnection(conn net.Conn, state http.ConnState) {
	c, ok := beneath(conn).(*limitedConn)
	switch {
	case !ok:
	case state == http.StateIdle:
		c.listener.rests(c)
	case state == http.StateActive && c.waits.Load():
		c.listener.works(c)
	}
}

// beneath is the connection that carries TLS, or the connection itself.
func beneath(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

// noteConnection is a server's ConnContext.
func noteConnection(ctx context.Context, conn net.Conn) context.Context {
	ctx = context.WithValue(ctx, connKey, conn)
	if limited, ok := beneath(conn).(*limitedConn); ok && limited.surplus {
		return context.WithValue(ctx, surplusKey, true)
	}
	return ctx
}
