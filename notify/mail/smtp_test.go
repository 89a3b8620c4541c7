package mail

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/notify/mail/mailtest"
)

func startRelay(t *testing.T, r *mailtest.Relay) (*mailtest.Relay, SMTPOptions) {
	t.Helper()
	address, err := r.Listen("127.0.0.1:0")
	noError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	port := address.(*net.TCPAddr).Port
	return r, SMTPOptions{Host: "127.0.0.1", Port: port, TLS: TLSNone, From: sender, Timeout: 5 * time.Second, ConnectionsMax: 2}
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	noError(t, err)
	parsed, err := x509.ParseCertificate(der)
	noError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func message(to string) *Message {
	return &Message{ID: "evt_1", To: to, Subject: "Tickets", Text: "here\n.\nthey are", HTML: "<p>here</p>"}
}

// Each case says what happens to a message, and whether the message or the relay is at fault.
func TestSMTP(t *testing.T) {
	const taken, never, later, relay = "taken", "never", "later", "relay"
	for name, tt := range map[string]struct {
		relay  *mailtest.Relay
		change func(*SMTPOptions)
		to     string
		want   string
		says   string
	}{
		"takes it":                            {want: taken},
		"throttles the sender":                {relay: &mailtest.Relay{Answer: mailtest.Only("MAIL", "451 4.7.1 too many messages")}, want: relay, says: "too many messages"},
		"refuses the sender":                  {relay: &mailtest.Relay{Answer: mailtest.Only("MAIL", "550 5.7.1 sender not allowed")}, want: relay, says: "sender not allowed"},
		"greylists the recipient":             {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "450 4.2.0 <ann@example.com> greylisted")}, want: later, says: "<…> greylisted"},
		"does not know the recipient":         {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "550 5.1.1 <ann@example.com>: user unknown")}, want: never, says: "<…>: user unknown"},
		"denies us at the recipient":          {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "554 5.7.1 relay access denied")}, want: later, says: "relay access denied"},
		"wants a login at the recipient":      {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "530 5.5.1 authentication required")}, want: later},
		"has a daily quota":                   {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "550 5.4.5 daily quota exceeded")}, want: later},
		"closes at the recipient":             {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "421 4.3.2 shutting down")}, want: relay, says: "shutting down"},
		"takes no data now":                   {relay: &mailtest.Relay{Answer: mailtest.Only("DATA", "452 4.3.1 no space")}, want: later},
		"refuses the content":                 {relay: &mailtest.Relay{Answer: mailtest.Only("END", "554 5.6.0 no")}, want: never},
		"delays the content":                  {relay: &mailtest.Relay{Answer: mailtest.Only("END", "451 4.3.0 try later")}, want: later},
		"dies before the 250":                 {relay: &mailtest.Relay{Answer: mailtest.Only("END", mailtest.HangUp)}, want: relay},
		"dies at the recipient":               {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", mailtest.HangUp)}, want: relay},
		"dies after the 250":                  {relay: &mailtest.Relay{Answer: mailtest.Only("RSET", mailtest.HangUp)}, want: taken},
		"greets with garbage":                 {relay: &mailtest.Relay{Answer: mailtest.Only("GREETING", "\x00\xff garbage")}, want: relay},
		"greets with nothing":                 {relay: &mailtest.Relay{Answer: mailtest.Only("GREETING", "")}, want: taken},
		"is busy":                             {relay: &mailtest.Relay{Answer: mailtest.Only("GREETING", "421 too busy")}, want: relay, says: "too busy"},
		"answers garbage":                     {relay: &mailtest.Relay{Answer: mailtest.Only("MAIL", "what?")}, want: relay},
		"answers an empty line":               {relay: &mailtest.Relay{Answer: mailtest.Only("RCPT", "\r")}, want: relay},
		"has no STARTTLS":                     {change: func(o *SMTPOptions) { o.TLS = TLSStart }, want: relay, says: "STARTTLS"},
		"has STARTTLS":                        {relay: &mailtest.Relay{Extensions: []string{"STARTTLS"}}, change: func(o *SMTPOptions) { o.TLS = TLSStart }, want: taken},
		"speaks TLS":                          {relay: &mailtest.Relay{Implicit: true}, change: func(o *SMTPOptions) { o.TLS = TLSImplicit }, want: taken},
		"needs no login":                      {change: func(o *SMTPOptions) { o.User, o.Password = "u", "p" }, want: relay, says: "AUTH"},
		"accepts the password":                {relay: &mailtest.Relay{Extensions: []string{"AUTH PLAIN"}, Answer: mailtest.Only("AUTH", "235 ok")}, change: func(o *SMTPOptions) { o.User, o.Password = "u", "p" }, want: taken},
		"refuses the password":                {relay: &mailtest.Relay{Extensions: []string{"AUTH PLAIN"}, Answer: mailtest.Only("AUTH", "535 5.7.8 wrong")}, change: func(o *SMTPOptions) { o.User, o.Password = "u", "p" }, want: relay, says: "5.7.8 wrong"},
		"takes ASCII only":                    {to: "jürgen@example.com", want: never, says: "SMTPUTF8"},
		"accepts addresses in UTF-8":          {relay: &mailtest.Relay{Extensions: []string{"SMTPUTF8", "8BITMIME"}}, to: "jürgen@example.com", want: taken},
		"accepts an internationalised domain": {to: "ann@münchen.example", want: taken},
		"is sent no invalid address":          {to: "ann@example.com\r\nRCPT TO:<eve@example.com>", want: never},
	} {
		t.Run(name, func(t *testing.T) {
			server, pool := certificate(t)
			if tt.relay == nil {
				tt.relay = &mailtest.Relay{}
			}
			tt.relay.TLS = server
			r, options := startRelay(t, tt.relay)
			options.TLSConfig = &tls.Config{RootCAs: pool}
			if tt.change != nil {
				tt.change(&options)
			}
			s, err := NewSMTP(options)
			noError(t, err)
			defer s.Close()
			to := tt.to
			if to == "" {
				to = "ann@example.com"
			}
			err = s.Send(t.Context(), message(to))
			seen, recipients, _ := r.Seen()
			var notTaken *NotTakenError
			switch tt.want {
			case taken:
				noError(t, err)
				equal(t, 1, len(seen))
				contains(t, seen[0], "Message-ID: <evt_1.mail@example.com>")
				equal(t, 1, len(recipients))
			case relay:
				wantError(t, err, "")
				wantTrue(t, !errors.As(err, &notTaken), err)
			default:
				wantTrue(t, errors.As(err, &notTaken), err)
				equal(t, tt.want == later, notTaken.Later)
			}
			if err != nil {
				contains(t, err.Error(), tt.says)
				lacks(t, strings.ToLower(err.Error()), "ann@")
				equal(t, 0, len(seen))
			}
		})
	}
}

// A relay that closes after each message gets a new connection each time.
func TestSMTPKeepsNoClosedConnection(t *testing.T) {
	r, options := startRelay(t, &mailtest.Relay{Answer: mailtest.Only("RSET", mailtest.HangUp)})
	s, err := NewSMTP(options)
	noError(t, err)
	defer s.Close()
	for range 3 {
		noError(t, s.Send(t.Context(), message("ann@example.com")))
	}
	_, _, connections := r.Seen()
	equal(t, 3, connections)
}

// A connection serves many messages. If the relay closed it meanwhile, that is no failure.
func TestSMTPKeepsItsConnection(t *testing.T) {
	r, options := startRelay(t, &mailtest.Relay{})
	s, err := NewSMTP(options)
	noError(t, err)
	defer s.Close()
	for range 3 {
		noError(t, s.Send(t.Context(), message("ann@example.com")))
	}
	_, _, connections := r.Seen()
	equal(t, 1, connections)
	c := <-s.idle
	c.used = time.Now().Add(-10 * time.Second)
	noError(t, c.net.(*net.TCPConn).CloseWrite()) // the relay hangs up
	s.idle <- c
	noError(t, s.Send(t.Context(), message("ann@example.com")))
	seen, _, connections := r.Seen()
	equal(t, 2, connections)
	equal(t, 4, len(seen))
}

// hanging is a relay that does not answer at a step; reached is closed once it is there.
func hanging(t *testing.T, at string) (o SMTPOptions, reached chan struct{}) {
	reached = make(chan struct{})
	released := make(chan struct{})
	var once sync.Once
	_, o = startRelay(t, &mailtest.Relay{Answer: func(command string) string {
		if command == at {
			once.Do(func() { close(reached) })
			<-released
		}
		return ""
	}})
	t.Cleanup(func() { close(released) }) // before the relay is closed
	return o, reached
}

// A relay that does not answer costs the timeout and no more. Only for its answer to the whole
// message it has longer: it may have the message by then.
func TestSMTPGivesUpInTime(t *testing.T) {
	for _, at := range []string{mailtest.Greeting, "MAIL", "RCPT", "DATA", mailtest.End} {
		t.Run(at, func(t *testing.T) {
			options, _ := hanging(t, at)
			options.Timeout = 50 * time.Millisecond
			s, err := NewSMTP(options)
			noError(t, err)
			began := time.Now()
			err = s.Send(t.Context(), message("ann@example.com"))
			wantError(t, err, "timeout")
			if at == mailtest.End {
				wantTrue(t, time.Since(began) >= endTimeouts*options.Timeout, "it may have the message") //nolint:forbidigo // a slow machine only takes longer
			}
		})
	}
}

// A relay that hangs does not keep the process from ending: what was not said is not waited for,
// and for the answer to a message there are seconds.
func TestSMTPEndsWithItsContext(t *testing.T) {
	for _, at := range []string{mailtest.Greeting, "MAIL", mailtest.End} {
		t.Run(at, func(t *testing.T) {
			options, reached := hanging(t, at)
			options.Timeout = time.Hour
			s, err := NewSMTP(options)
			noError(t, err)
			s.stopGrace = 50 * time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			sent := make(chan error, 1)
			go func() { sent <- s.Send(ctx, message("ann@example.com")) }()
			<-reached
			cancel()
			wantError(t, <-sent, "")
			s.Close()
		})
	}
}

// A message that the relay takes while the process is stopping is taken.
func TestSMTPWaitsForAnAnswerThatComesWhileItStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, options := startRelay(t, &mailtest.Relay{Answer: func(command string) string {
		if command == mailtest.End {
			cancel()
		}
		return ""
	}})
	s, err := NewSMTP(options)
	noError(t, err)
	noError(t, s.Send(ctx, message("ann@example.com")))
	taken, _, _ := r.Seen()
	equal(t, 1, len(taken))
}

// What is broken off within the message is not ended as if it were whole.
func TestSMTPSendsNoHalfMessage(t *testing.T) {
	r, options := startRelay(t, &mailtest.Relay{Answer: mailtest.Only("DATA", mailtest.HangUp)})
	s, err := NewSMTP(options)
	noError(t, err)
	wantError(t, s.Send(t.Context(), message("ann@example.com")), "")
	taken, _, connections := r.Seen()
	equal(t, 0, len(taken))
	equal(t, 1, connections)
}

func TestSMTPOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*SMTPOptions){
		"no such mode":            func(o *SMTPOptions) { o.TLS = "ssl" },
		"a user alone":            func(o *SMTPOptions) { o.User = "u" },
		"a password in the clear": func(o *SMTPOptions) { o.Host, o.TLS, o.User, o.Password = "relay.example", TLSNone, "u", "p" },
	} {
		t.Run(name, func(t *testing.T) {
			o := SMTPOptions{Host: "127.0.0.1", TLS: TLSNone, From: sender}
			change(&o)
			_, err := NewSMTP(o)
			wantError(t, err, "")
		})
	}
}
