// Package mailtest has an SMTP relay for tests, which fails as a script says.
package mailtest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// HangUp is the answer of a script that closes the connection instead.
const HangUp = "hang up"

// The moments that a script is asked about besides SMTP commands.
const (
	Greeting = "GREETING" // the connection is made
	End      = "END"      // the whole message has arrived
)

// connectionFor is how long a connection lives at most.
const connectionFor = 2 * time.Minute

// A Relay speaks enough SMTP to receive mail. Set its fields before it starts.
type Relay struct {
	// Answer returns the answer to a command (EHLO, MAIL, RCPT, DATA, Greeting, End …): a line such as
	// "451 4.3.0 later", or HangUp. "" is OK. It may block, and then the relay hangs. Many connections
	// call it at the same time.
	Answer     func(command string) string
	Extensions []string
	TLS        *tls.Config // for STARTTLS and for Implicit
	Implicit   bool        // TLS from the first byte
	// Took is called with each message that is accepted, before the 250 is sent. Without it the
	// messages are kept for Seen.
	Took func(message string)

	listener net.Listener
	running  sync.WaitGroup

	mu          sync.Mutex
	open        map[net.Conn]bool
	taken       []string
	recipients  []string
	connections int
}

// Listen serves at an address, such as 127.0.0.1:0, until Close.
func (r *Relay) Listen(address string) (net.Addr, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	r.listener, r.open = listener, make(map[net.Conn]bool)
	r.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if !r.enter(conn) {
				_ = conn.Close()
				return
			}
			r.running.Go(func() {
				defer r.leave(conn)
				r.serve(conn)
			})
		}
	})
	return listener.Addr(), nil
}

func (r *Relay) enter(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return false
	}
	r.open[conn] = true
	r.connections++
	return true
}

func (r *Relay) leave(conn net.Conn) {
	_ = conn.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, conn)
}

// Close closes the relay and all its connections. Release a script that blocks first.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.mu.Lock()
	for conn := range r.open {
		err = errors.Join(err, conn.Close())
	}
	r.open = nil
	r.mu.Unlock()
	r.running.Wait()
	return err
}

// Seen is what the relay has seen so far: the accepted messages, unless there is a Took; the
// recipients, including those of messages that were not accepted; and the number of connections.
func (r *Relay) Seen() (taken, recipients []string, connections int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken), slices.Clone(r.recipients), r.connections
}

func (r *Relay) answer(command string) string {
	if r.Answer == nil {
		return ""
	}
	return r.Answer(command)
}

func (r *Relay) took(message string) {
	if r.Took != nil {
		r.Took(message)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, message)
}

func (r *Relay) serve(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(connectionFor))
	if r.Implicit {
		conn = tls.Server(conn, r.TLS)
	}
	in := bufio.NewReader(conn)
	say := func(line string) bool { _, err := io.WriteString(conn, line+"\r\n"); return err == nil }
	reply := func(command, ok string) bool {
		switch answer := r.answer(command); answer {
		case "":
			return say(ok)
		case HangUp:
			return false
		default:
			return say(answer)
		}
	}
	if !reply(Greeting, "220 relay.example ESMTP") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb := strings.ToUpper(line)
		switch {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-relay.example")
			for _, extension := range r.Extensions {
				say("250-" + extension)
			}
			if !reply("EHLO", "250 SIZE") {
				return
			}
		case verb == "STARTTLS":
			if !say("220 go on") {
				return
			}
			conn = tls.Server(conn, r.TLS)
			in = bufio.NewReader(conn)
		case verb == "DATA":
			if !r.data(in, say) {
				return
			}
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			if strings.HasPrefix(verb, "RCPT") {
				r.mu.Lock()
				r.recipients = append(r.recipients, line)
				r.mu.Unlock()
			}
			command, _, _ := strings.Cut(verb, " ")
			if !reply(command, "250 ok") {
				return
			}
		}
	}
}

// data takes a message, and reports whether the connection goes on.
func (r *Relay) data(in *bufio.Reader, say func(string) bool) bool {
	switch refusal := r.answer("DATA"); refusal {
	case "":
	case HangUp:
		return false
	default:
		return say(refusal)
	}
	if !say("354 go on") {
		return false
	}
	message, err := readMessage(in)
	if err != nil {
		return false
	}
	switch answer := r.answer(End); answer {
	case "":
		r.took(message)
		return say("250 taken")
	case HangUp:
		return false
	default:
		return say(answer)
	}
}

func readMessage(in *bufio.Reader) (string, error) {
	var message strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return message.String(), nil
		}
		message.WriteString(strings.TrimPrefix(line, "."))
	}
}

// Only is a script that gives this answer to this command alone.
func Only(command, answer string) func(string) string {
	return func(got string) string {
		if got == command {
			return answer
		}
		return ""
	}
}
