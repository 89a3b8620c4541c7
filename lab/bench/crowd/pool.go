package crowd

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A Pool hands out as many connections as are in use at a time, for loads that another
// package makes.
type Pool struct {
	target   target
	template template
	timeout  time.Duration

	mu   sync.Mutex
	free []*connection // the last one used comes first: it is warm
}

// NewPool asks for one ticket of a class at a time.
func NewPool(url, sale, class string, timeout time.Duration) (*Pool, error) {
	t, err := parseTarget(url)
	if err != nil {
		return nil, err
	}
	return &Pool{target: t, template: newTemplate(t, sale, class), timeout: timeout}, nil
}

// Checkout asks with a UUID as the key. The error says that there was no answer;
// code is that of a problem.
func (p *Pool) Checkout(ctx context.Context, key [keyLen]byte) (status int, code string, err error) {
	conn := p.take()
	defer p.put(conn)
	conn.request = p.template.appendTo(conn.request[:0], key[:], "")
	a, err := conn.do(ctx, conn.request)
	return a.status, a.code(), err
}

func (p *Pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.free) - 1
	if last < 0 {
		return newConnection(p.target, p.timeout, nil)
	}
	conn := p.free[last]
	p.free = p.free[:last]
	return conn
}

func (p *Pool) put(conn *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, conn)
}

// Close ends the connections that nobody uses.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.free {
		conn.close()
	}
	p.free = nil
	return nil
}

// NewKey is a UUIDv7, as our pages make them.
func NewKey() (key [keyLen]byte) {
	text, _ := uuid.Must(uuid.NewV7()).MarshalText() // never fails
	copy(key[:], text)
	return key
}
