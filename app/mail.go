package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	netmail "net/mail"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
	"boxoffice/notify/mail"
)

// mailConfig says how buyers get mail. Without a relay or a folder they get none.
type mailConfig struct {
	SMTP      mail.SMTPOptions // BOXOFFICE_SMTP_…; Host is empty: none
	Folder    string           // BOXOFFICE_MAIL_DIR: files instead
	From      *netmail.Address // BOXOFFICE_MAIL_FROM
	Language  string           // BOXOFFICE_MAIL_LANGUAGE
	Templates string           // BOXOFFICE_MAIL_TEMPLATES
	PerSecond float64          // BOXOFFICE_MAIL_RATE
}

func (c *mailConfig) isOn() bool { return c.SMTP.Host != "" || c.Folder != "" }

const (
	mailRateDefault = 10
	mailRateMax     = 1000
)

// readMail reads all of it. A setting without the others that it needs is a mistake.
func (c *config) readMail() (err error) {
	c.Mail, err = readMail()
	return err
}

func readMail() (c mailConfig, err error) {
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	c = mailConfig{
		SMTP: mail.SMTPOptions{
			Host: os.Getenv("BOXOFFICE_SMTP_HOST"), User: os.Getenv("BOXOFFICE_SMTP_USER"), TLS: mail.TLSMode(env("BOXOFFICE_SMTP_TLS", string(mail.TLSStart))),
		},
		Folder: os.Getenv("BOXOFFICE_MAIL_DIR"), Language: env("BOXOFFICE_MAIL_LANGUAGE", "en"), Templates: os.Getenv("BOXOFFICE_MAIL_TEMPLATES"),
		PerSecond: mailRateDefault,
	}
	c.SMTP.Port, err = envNumber("BOXOFFICE_SMTP_PORT", 0, 1)
	note(err)
	if c.SMTP.Port > 65535 {
		note(errors.New("BOXOFFICE_SMTP_PORT: want a port"))
	}
	c.SMTP.Timeout, err = envDuration("BOXOFFICE_SMTP_TIMEOUT", mail.SMTPTimeoutDefault, time.Second, 5*time.Minute)
	note(err)
	c.SMTP.ConnectionsMax, err = envNumber("BOXOFFICE_SMTP_CONNECTIONS", mail.SMTPConnectionsDefault, 1)
	note(err)
	if c.SMTP.ConnectionsMax > mail.SMTPConnectionsMax {
		note(fmt.Errorf("BOXOFFICE_SMTP_CONNECTIONS: want at most %d", mail.SMTPConnectionsMax))
	}
	password, err := readSecret("BOXOFFICE_SMTP_PASSWORD")
	note(err)
	c.SMTP.Password = string(password)
	if text := os.Getenv("BOXOFFICE_MAIL_RATE"); text != "" {
		c.PerSecond, err = strconv.ParseFloat(text, 64)
		if err != nil || !(c.PerSecond >= rateMin && c.PerSecond <= mailRateMax) {
			note(fmt.Errorf("BOXOFFICE_MAIL_RATE: want mails a second, such as 10; at most %d", mailRateMax))
		}
	}
	note(c.readSender())
	return c, errors.Join(problems...)
}

// readSender reads the sender. Only the local stack may use an address that does not exist.
func (c *mailConfig) readSender() (err error) {
	from := os.Getenv("BOXOFFICE_MAIL_FROM")
	switch {
	case c.SMTP.Host == "" && (c.SMTP.User != "" || c.SMTP.Password != "" || os.Getenv("BOXOFFICE_SMTP_PORT") != ""):
		return errors.New("BOXOFFICE_SMTP_HOST is not set, but another BOXOFFICE_SMTP_… variable is")
	case c.SMTP.Host != "" && c.Folder != "":
		return errors.New("BOXOFFICE_SMTP_HOST and BOXOFFICE_MAIL_DIR are both set: set one")
	case c.SMTP.Host != "" && from == "":
		return errors.New("BOXOFFICE_MAIL_FROM is not set: mails need a sender")
	case from == "":
		from = "Box office <tickets@box-office.invalid>"
	}
	if c.From, err = mail.ParseSender(from); err != nil {
		return fmt.Errorf("BOXOFFICE_MAIL_FROM: %w", err)
	}
	c.SMTP.From = c.From
	if c.SMTP.Host == "" {
		return nil
	}
	if err := c.SMTP.Validate(); err != nil {
		return fmt.Errorf("BOXOFFICE_SMTP_…: %w", err)
	}
	return nil
}

// mailing is what sends mail.
type mailing struct {
	templates *mail.Templates
	relay     mail.Relay
	folder    *mail.Folder // nil: mails are sent
}

// openMail reads the templates before anything else is started. nil: buyers get no mail.
func (s *service) openMail() (*mailing, error) {
	c := &s.Mail
	if !c.isOn() {
		s.log.Warn("buyers get no mail: neither BOXOFFICE_SMTP_HOST nor BOXOFFICE_MAIL_DIR is set")
		return nil, nil
	}
	m := &mailing{}
	var err error
	if m.templates, err = c.readTemplates(); err != nil {
		return nil, err
	}
	if c.Folder != "" {
		m.folder, err = mail.NewFolder(c.Folder, c.From)
		m.relay = m.folder
	} else {
		m.relay, err = mail.NewSMTP(c.SMTP)
	}
	return m, err
}

func (c *mailConfig) readTemplates() (*mail.Templates, error) {
	templates, err := mail.ReadTemplates(c.Templates, c.Language)
	if err != nil {
		return nil, fmt.Errorf("mail templates (BOXOFFICE_MAIL_TEMPLATES, BOXOFFICE_MAIL_LANGUAGE): %w", err)
	}
	return templates, nil
}

// ticketTemplates draw the PDFs of tickets, also where buyers get no mail.
func (s *service) ticketTemplates(p *parts) (*mail.Templates, error) {
	if p.mails != nil {
		return p.mails.templates, nil
	}
	return s.Mail.readTemplates()
}

// runMail sends due mails until the process ends.
func (s *service) runMail(p *parts) error {
	m := p.mails
	if m == nil {
		return nil
	}
	sender, err := mail.NewSender(mail.Options{
		Store: p.store.Readers(), Relay: m.relay, Templates: m.templates, Link: s.orderLink(p.keys),
		ConnectionsMax: s.Mail.SMTP.ConnectionsMax, PerSecond: s.Mail.PerSecond, Timeout: s.Mail.SMTP.Timeout, Busy: s.isBusy, Meter: p.meter.registry, Log: s.log,
		Tracer: s.tracer,
	})
	if err != nil {
		return err
	}
	counts := newLook(p.store.Readers().MailCounts)
	s.later(counts.start())
	p.meter.registry.MustRegister(mailMetrics(counts))
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { sender.Run(ctx) })
	s.later(func() {
		stop()
		running.Wait()
	})
	return nil
}

// orderLink is a link that opens an order for anyone who has it.
func (s *service) orderLink(keys *domain.Keyring) func(domain.OrderID) string {
	return func(id domain.OrderID) string { return s.URL + "/orders/" + id.String() + "#" + keys.OrderToken(id) }
}

// mailPages puts pages with the local stack's mails in front of the other pages, if mails
// are files and the box office is on this machine. Behind a proxy everybody seems to come
// from this machine, but then the public URL is not where it listens.
func (s *service) mailPages(m *mailing, pages http.Handler) http.Handler {
	address, err := s.publicAddress()
	if m == nil || m.folder == nil || err != nil || !onLoopback(address) || s.URL != "http://"+address {
		return pages
	}
	shown := http.StripPrefix(mailPath, m.folder)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == mailPath && r.Method == http.MethodGet:
			http.Redirect(w, r, mailPath+"/", http.StatusSeeOther)
		case strings.HasPrefix(r.URL.Path, mailPath+"/"):
			shown.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// mailPath is where the local stack shows mails.
const mailPath = "/mail"

var (
	mailsDueCount = prometheus.NewDesc("boxoffice_mails_due", "Mails to buyers that wait for the relay, in the whole database.", nil, nil)
	mailsDueAge   = prometheus.NewDesc("boxoffice_mails_due_oldest_seconds", "How long the oldest of them has waited; 0 if there is none.", nil, nil)
	mailsSetAside = prometheus.NewDesc("boxoffice_mails_set_aside", "Mails that no relay accepts: GET /v1/mails/set-aside says why.", nil, nil)
)

// mailMetrics shows the mails by state.
func mailMetrics(l *look[domain.MailCounts]) prometheus.Collector {
	return metricsOf(l, "mails", func(counts domain.MailCounts, gauge gauge) {
		gauge(mailsDueCount, float64(counts.Due))
		gauge(mailsDueAge, oldest(l.now(), counts.Oldest))
		gauge(mailsSetAside, float64(counts.SetAside))
	}, mailsDueCount, mailsDueAge, mailsSetAside)
}
