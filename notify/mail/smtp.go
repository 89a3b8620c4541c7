package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"boxoffice/domain"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// A TLSMode says how the connection to the relay is encrypted.
type TLSMode string

// The modes.
const (
	TLSStart    TLSMode = "starttls" // STARTTLS, required
	TLSImplicit TLSMode = "tls"      // from the first byte
	TLSNone     TLSMode = "none"     // no TLS, for a relay on this machine or in a trusted network
)

// Default ports by mode (RFC 8314).
var defaultPorts = map[TLSMode]int{TLSStart: 587, TLSImplicit: 465, TLSNone: 25}

// The defaults of SMTPOptions.
const (
	SMTPTimeoutDefault     = 30 * time.Second
	SMTPConnectionsDefault = 2
	SMTPConnectionsMax     = 20
)

const (
	// endTimeouts is how many timeouts a relay has for its answer to a whole message: 10 minutes by
	// default, as RFC 5321 wants (4.5.3.2.6). It may have the message by then, so to give up
	// earlier doubles mails.
	endTimeouts = 20
	// stopGraceDefault is what is left of them when the process is stopping.
	stopGraceDefault = 5 * time.Second
)

// SMTPOptions say where the relay is.
type SMTPOptions struct {
	Host           string
	Port           int // 0: the mode's
	TLS            TLSMode
	User, Password string // empty: the relay needs no login
	From           *netmail.Address
	Timeout        time.Duration // for one message, from MAIL to its end, and for connecting; see endTimeouts
	ConnectionsMax int
	TLSConfig      *tls.Config // optional: the trusted certificates
}

// Validate says which options cannot work.
func (o *SMTPOptions) Validate() error {
	if _, known := defaultPorts[o.TLS]; !known {
		return fmt.Errorf("TLS %q: want starttls, tls or none", string(o.TLS))
	}
	if (o.User == "") != (o.Password == "") {
		return errors.New("user and password go together: set both or neither")
	}
	if o.TLS == TLSNone && o.User != "" && !domain.IsLoopback(o.Host) {
		return errors.New("a password would go in the clear: use starttls or tls")
	}
	return nil
}

// SMTP is a relay that speaks SMTP (RFC 5321). It keeps its connections for the next message.
type SMTP struct {
	options   SMTPOptions
	client    *gomail.Client
	idle      chan *connection
	stopGrace time.Duration
}

// idleMax is less than relays wait for the next message.
const idleMax = 20 * time.Second

type connection struct {
	*smtp.Client
	net  net.Conn
	used time.Time

	mu   sync.Mutex
	stop time.Time // no deadline is later; zero: nobody is stopping
}

// within bounds what is said next.
func (c *connection) within(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(d)
	if !c.stop.IsZero() && c.stop.Before(deadline) {
		deadline = c.stop
	}
	return c.net.SetDeadline(deadline)
}

// stopWithin bounds all that is said from now on.
func (c *connection) stopWithin(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = time.Now().Add(d)
	_ = c.net.SetDeadline(c.stop) // else it is closed
}

// NewSMTP makes a relay. It connects when it sends the first message.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Port == 0 {
		o.Port = defaultPorts[o.TLS]
	}
	if o.Timeout == 0 {
		o.Timeout = SMTPTimeoutDefault
	}
	if o.ConnectionsMax == 0 {
		o.ConnectionsMax = SMTPConnectionsDefault
	}
	config := &tls.Config{}
	if o.TLSConfig != nil {
		config = o.TLSConfig.Clone()
	}
	config.ServerName, config.MinVersion = o.Host, tls.VersionTLS12
	o.TLSConfig = config
	options := []gomail.Option{
		gomail.WithPort(o.Port), gomail.WithTimeout(o.Timeout), gomail.WithTLSConfig(config), gomail.WithoutNoop(),
		gomail.WithDialContextFunc(func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(dialedKey{}).(net.Conn), nil
		}),
	}
	switch o.TLS {
	case TLSStart:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLSImplicit:
		options = append(options, gomail.WithSSL())
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if o.User != "" {
		options = append(options, gomail.WithUsername(o.User), gomail.WithPassword(o.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	client, err := gomail.NewClient(o.Host, options...)
	if err != nil {
		return nil, err
	}
	return &SMTP{options: o, client: client, idle: make(chan *connection, o.ConnectionsMax), stopGrace: stopGraceDefault}, nil
}

// Check connects and logs in, as for a message.
func (s *SMTP) Check(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	s.keep(c)
	return nil
}

// Close closes the idle connections.
func (s *SMTP) Close() {
	const quitWithin = time.Second // all of them together
	until := time.Now().Add(quitWithin)
	for {
		select {
		case c := <-s.idle:
			_ = c.within(time.Until(until))
			_ = c.Quit() // closing is all we want
			_ = c.net.Close()
		default:
			return
		}
	}
}

// Send implements Relay. A message that is being sent when the context ends has stopGrace left, because without the relay's answer
// nobody knows whether it has the message.
func (s *SMTP) Send(ctx context.Context, m *Message) (err error) {
	msg, to, err := m.mime(s.options.From, time.Now())
	if err != nil {
		return &NotTakenError{Reason: err.Error()}
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	forget := context.AfterFunc(ctx, func() { c.stopWithin(s.stopGrace) })
	works := false
	defer func() {
		if recover() != nil { // the library panics at a malformed answer
			works, err = false, errors.New("the relay: its answer cannot be read")
		}
		if forget() && works {
			s.keep(c)
			return
		}
		_ = c.net.Close()
	}()
	if takes, _ := c.Extension("SMTPUTF8"); !takes && !isASCII(to) {
		works = true
		return &NotTakenError{Reason: "the relay accepts only ASCII addresses (it lacks SMTPUTF8)"}
	}
	step, err := s.transmit(c, msg)
	if err != nil {
		err = classify(step, err, to)
	}
	works = err == nil || errors.As(err, new(*NotTakenError)) // of a message that was answered
	return err
}

// A step of the way of a message.
type step string

const (
	stepSender    step = "MAIL FROM"
	stepRecipient step = "RCPT TO"
	stepData      step = "DATA"
	stepContent   step = "send the message"
	stepEnd       step = "the message's end"
)

// transmit returns the step that failed.
func (s *SMTP) transmit(c *connection, msg *gomail.Msg) (step, error) {
	from, err := msg.GetSender(false)
	if err == nil {
		err = c.within(s.options.Timeout)
	}
	if err == nil {
		err = c.Mail(from)
	}
	if err != nil {
		return stepSender, err
	}
	to, err := msg.GetRecipients()
	for _, one := range to { // there is one
		err = c.Rcpt(one)
	}
	if err != nil {
		return stepRecipient, err
	}
	content, err := c.Data()
	if err != nil {
		return stepData, err
	}
	if _, err := msg.WriteTo(content); err != nil {
		return stepContent, err
	}
	if err := c.within(endTimeouts * s.options.Timeout); err != nil {
		return stepContent, err
	}
	return stepEnd, content.Close()
}

// classify tells a message's failure from the relay's. 421 and failures without an answer are
// the relay's, and so is whatever it says of the sender: it would of all messages.
func classify(at step, err error, address string) error {
	const closing, permanent = 421, 500
	reason := withoutAddresses(err.Error(), address)
	var answer *textproto.Error
	if errors.As(err, &answer) && answer.Code != closing && (at == stepRecipient || at == stepData || at == stepEnd) {
		return &NotTakenError{Later: answer.Code < permanent || isAboutUs(at, answer), Reason: reason}
	}
	return fmt.Errorf("the relay: %s: %s", at, reason)
}

var enhancedStatus = regexp.MustCompile(`\b5\.\d{1,3}\.\d{1,3}\b`)

// isAboutUs: the relay refuses the sender or has a quota, though it says so at the recipient
// (RFC 3463: 5.7.x is policy, 5.4.5 a quota; 530 wants a login). Then it would say so of every
// mail, and none is to be given up at once for it.
func isAboutUs(at step, answer *textproto.Error) bool {
	status := enhancedStatus.FindString(answer.Msg)
	return status == "5.4.5" || at == stepRecipient && (answer.Code == 530 || strings.HasPrefix(status, "5.7."))
}

func (s *SMTP) connect(ctx context.Context) (*connection, error) {
	for {
		select {
		case c := <-s.idle:
			if s.works(ctx, c) {
				return c, nil
			}
			_ = c.net.Close()
			continue
		default:
		}
		return s.dial(ctx)
	}
}

// works asks a connection that was idle. The relay may have closed it.
func (s *SMTP) works(ctx context.Context, c *connection) bool {
	defer context.AfterFunc(ctx, func() { _ = c.net.Close() })() // nobody's message is on it
	return time.Since(c.used) < idleMax && c.within(s.options.Timeout) == nil && c.Reset() == nil
}

// dial keeps the connection itself, because the library does not close one that it cannot use.
func (s *SMTP) dial(ctx context.Context) (c *connection, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, fmt.Errorf("timeout: no answer within %v", s.options.Timeout))
	defer cancel()
	address := net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, relayError("connect", err)
	}
	forget := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if recover() != nil {
			err = errors.New("the relay: its greeting cannot be read")
		}
		if !forget() { // the connection was closed for it
			err = relayError("connect", context.Cause(ctx))
		}
		if err != nil {
			c = nil
			_ = conn.Close()
		}
	}()
	if s.options.TLS == TLSImplicit {
		encrypted := tls.Client(conn, s.options.TLSConfig)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, relayError("TLS", err)
		}
		conn = encrypted
	}
	client, err := s.client.DialToSMTPClientWithContext(context.WithValue(ctx, dialedKey{}, conn))
	if err != nil {
		return nil, relayError("connect", err)
	}
	return &connection{Client: client, net: conn, used: time.Now()}, nil
}

type dialedKey struct{}

func (s *SMTP) keep(c *connection) {
	c.used = time.Now()
	select {
	case s.idle <- c:
	default:
		_ = c.net.Close()
	}
}

var _ Relay = (*SMTP)(nil)
