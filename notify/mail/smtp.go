package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"regexp"
	"strconv"
	"strings"
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

// SMTPOptions say where the relay is.
type SMTPOptions struct {
	Host           string
	Port           int // 0: the mode's
	TLS            TLSMode
	User, Password string // empty: the relay needs no login
	From           *netmail.Address
	Timeout        time.Duration // for one message, from MAIL to its end, and for connecting
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
	options SMTPOptions
	client  *gomail.Client
	idle    chan *connection
}

// idleMax is less than relays wait for the next message.
const idleMax = 20 * time.Second

type connection struct {
	*smtp.Client
	net  net.Conn
	used time.Time
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
	return &SMTP{options: o, client: client, idle: make(chan *connection, o.ConnectionsMax)}, nil
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
	for {
		select {
		case c := <-s.idle:
			_ = c.Quit() // closing is all we want
			_ = c.net.Close()
		default:
			return
		}
	}
}

// Send implements Relay. The context does not interrupt a message that is being sent, or nobody would know whether the relay has
// it. The timeout bounds it.
func (s *SMTP) Send(ctx context.Context, m *Message) (err error) {
	msg, to, err := m.mime(s.options.From, time.Now())
	if err != nil {
		return &NotTakenError{Reason: err.Error()}
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if recover() != nil { // the library panics at a malformed answer
			err = errors.New("the relay: its answer cannot be read")
		}
		if ended || err != nil && !stillWorks(err) {
			_ = c.net.Close()
			return
		}
		s.keep(c)
	}()
	if takes, _ := c.Extension("SMTPUTF8"); !takes && !isASCII(to) {
		return &NotTakenError{Reason: "the relay accepts only ASCII addresses (it lacks SMTPUTF8)"}
	}
	if err := c.net.SetDeadline(time.Now().Add(s.options.Timeout)); err != nil {
		return relayError("connection", err)
	}
	err = s.client.SendWithSMTPClient(c.Client, msg)
	if msg.IsDelivered() { // an error after the 250 is about the connection
		ended = err != nil
		return nil
	}
	return classify(err, to)
}

// stillWorks reports whether the connection can send another message: the relay answered, if only with a refusal.
func stillWorks(err error) bool {
	var taken *NotTakenError
	return errors.As(err, &taken)
}

// classify tells whether a failure is about the message or about the relay. 421 and failures without an answer are about the
// relay. So is an answer about the sender, because every message has the same one.
func classify(err error, address string) error {
	if err == nil {
		return nil
	}
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return relayError("send", err)
	}
	reason := withoutAddresses(answerOf(failed), address)
	const closing, permanent = 421, 500
	code := failed.ErrorCode()
	switch failed.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		if code == 0 || code == closing {
			break
		}
		return &NotTakenError{Later: code < permanent || isAboutUs(failed), Reason: reason}
	default:
	}
	return fmt.Errorf("the relay: %s: %s", failed.Reason, reason)
}

var enhancedStatus = regexp.MustCompile(`\b5\.\d{1,3}\.\d{1,3}\b`)

// isAboutUs reports whether the relay refuses the sender or has a quota, though it says so at the recipient (RFC 3463: 5.7.x is
// policy, 5.4.5 a quota; 530 wants a login). It would refuse every mail so, and no mail should be given up for that at once.
func isAboutUs(f *gomail.SendError) bool {
	status := f.EnhancedStatusCode()
	if status == "" { // many relays send one without announcing it in their greeting
		status = enhancedStatus.FindString(answerOf(f))
	}
	return status == "5.4.5" || f.Reason == gomail.ErrSMTPRcptTo && (f.ErrorCode() == 530 || strings.HasPrefix(status, "5.7."))
}

// answerOf is the relay's answer without what the library adds to it: recipients and the message.
func answerOf(failed *gomail.SendError) string {
	answer, _, _ := strings.Cut(failed.Error(), ", affected ")
	return answer
}

func (s *SMTP) connect(ctx context.Context) (*connection, error) {
	for {
		select {
		case c := <-s.idle:
			if s.works(c) {
				return c, nil
			}
			_ = c.net.Close()
			continue
		default:
		}
		return s.dial(ctx)
	}
}

// works checks an idle connection, because the relay may have closed it.
func (s *SMTP) works(c *connection) bool {
	const surely = time.Second
	idle := time.Since(c.used)
	return idle < surely || idle < idleMax && c.net.SetDeadline(time.Now().Add(s.options.Timeout)) == nil && c.Noop() == nil
}

// dial keeps the connection itself, because the library does not close one that it cannot use.
func (s *SMTP) dial(ctx context.Context) (c *connection, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	address := net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, relayError("connect", err)
	}
	defer func() {
		if recover() != nil {
			err = errors.New("the relay: its greeting cannot be read")
		}
		if err != nil {
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
