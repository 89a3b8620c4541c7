package crowd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	bodyMaxBytes   = 64 << 10
	readerBytes    = 2 << 10 // an answer and its header fit
	retryAfterMax  = time.Hour
	secondsMaxSize = 9 // digits of a Retry-After: more is no number of seconds
)

// A target is where requests go.
type target struct{ address, host string }

// parseTarget wants http, because the service is on the same machine.
func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return target{}, fmt.Errorf("the crowd asks at an http address such as http://127.0.0.1:8080, not at %q", text)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	return target{address: address, host: u.Host}, nil
}

// An answer is what a buyer acts on.
type answer struct {
	status     int
	retryAfter time.Duration // 0: none
	body       []byte        // until the connection's next request
}

// code is a problem's code; empty if there is none. Problems are flat: the
// first "code" is it.
func (a *answer) code() string { return a.text("code") }

// text is a field that needs no escapes.
func (a *answer) text(field string) string {
	_, rest, found := bytes.Cut(a.body, []byte(`"`+field+`":"`))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{'"'})
	return string(value)
}

// someHeld tells "all held, some may come back" from "sold out for good".
func (a *answer) someHeld() bool {
	_, rest, found := bytes.Cut(a.body, []byte(`"held":`))
	return found && len(rest) > 0 && rest[0] != '0'
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A connection sends one request after the other, and dials again after an
// error. Only interrupt may be called beside.
type connection struct {
	target  target
	timeout time.Duration // of one request
	dial    dialFunc

	mu      sync.Mutex // of changes of net: its owner reads it without
	net     net.Conn   // nil: to be dialled
	reader  *bufio.Reader
	body    []byte
	request []byte // scratch for who builds them
}

func newConnection(t target, timeout time.Duration, dial dialFunc) *connection {
	if dial == nil {
		dial = (&net.Dialer{Timeout: timeout}).DialContext
	}
	return &connection{target: t, timeout: timeout, dial: dial, reader: bufio.NewReaderSize(nil, readerBytes)}
}

// do sends a request and reads the answer. After an error it is unknown what the request did.
func (c *connection) do(ctx context.Context, request []byte) (answer, error) {
	if err := c.send(ctx, request); err != nil {
		return answer{}, err
	}
	a, ends, err := c.readAnswer()
	if err != nil || ends {
		c.close()
	}
	return a, err
}

func (c *connection) send(ctx context.Context, request []byte) error {
	if c.net == nil {
		dialled, err := c.dial(ctx, "tcp", c.target.address)
		if err != nil {
			return err
		}
		c.reader.Reset(dialled)
		c.set(dialled)
		if err := ctx.Err(); err != nil { // interrupt may have come before
			c.close()
			return err
		}
	}
	_ = c.net.SetDeadline(time.Now().Add(c.timeout)) // fails on closed connections only: so does the write
	if _, err := c.net.Write(request); err != nil {
		c.close()
		return err
	}
	return nil
}

func (c *connection) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.set(nil)
	}
}

func (c *connection) set(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net = conn
}

// interrupt breaks the request that is under way.
func (c *connection) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.net != nil {
		_ = c.net.Close()
	}
}

// A head is what the lines before a body say.
type head struct {
	status     int
	length     int // -1: not said
	chunked    bool
	ends       bool // the connection, with this answer
	retryAfter time.Duration
}

func (c *connection) readAnswer() (a answer, ends bool, err error) {
	h, err := c.readHead()
	if err != nil {
		return answer{}, true, err
	}
	c.body = c.body[:0]
	switch {
	case h.chunked:
		err = c.readChunks()
	case h.length > 0:
		err = c.readBody(h.length)
	case h.length < 0 && h.status != 204 && h.status != 304:
		err = errors.New("an answer of unknown length")
	}
	return answer{status: h.status, retryAfter: h.retryAfter, body: c.body}, h.ends, err
}

func (c *connection) readHead() (head, error) {
	h := head{length: -1}
	line, err := c.readLine()
	if err != nil {
		return h, err
	}
	// RFC 9112 §4: "HTTP/1.1 409 Conflict".
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return h, fmt.Errorf("no HTTP answer: %.40q", line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, fmt.Errorf("no HTTP status: %.40q", line)
	}
	for {
		if line, err = c.readLine(); err != nil {
			return h, err
		}
		if len(line) == 0 {
			return h, nil
		}
		if err := h.add(line); err != nil {
			return h, err
		}
	}
}

// add takes the few headers that matter. Names are compared as net/http's server
// writes them, and otherwise folded.
func (h *head) add(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimSpace(value)
	var err error
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		if h.length, err = strconv.Atoi(string(value)); err != nil || h.length < 0 || h.length > bodyMaxBytes {
			return fmt.Errorf("an answer of %.20q bytes", value)
		}
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		h.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Retry-After")):
		if seconds, err := strconv.Atoi(string(value)); err == nil && len(value) <= secondsMaxSize {
			h.retryAfter = min(max(time.Duration(seconds)*time.Second, 0), retryAfterMax)
		}
	case bytes.EqualFold(name, []byte("Connection")):
		h.ends = bytes.EqualFold(value, []byte("close"))
	}
	return nil
}

func (c *connection) readLine() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// readBody appends n bytes to the body.
func (c *connection) readBody(length int) error {
	from := len(c.body)
	if from+length > bodyMaxBytes {
		return errors.New("an answer beyond all bounds")
	}
	c.body = append(c.body, make([]byte, length)...)
	_, err := io.ReadFull(c.reader, c.body[from:])
	return err
}

// readChunks reads RFC 9112 §7.1, without trailers: nobody announced any.
func (c *connection) readChunks() error {
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(line), 16, 16)
		if err != nil {
			return fmt.Errorf("a chunk of %.20q bytes", line)
		}
		if size > 0 {
			if err := c.readBody(int(size)); err != nil {
				return err
			}
		}
		if _, err := c.readLine(); err != nil || size == 0 {
			return err
		}
	}
}
