package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"boxoffice/domain"
)

// Each case is a mistake and what its error says.
func TestMailConfigNamesWhatIsWrong(t *testing.T) {
	relay := map[string]string{"BOXOFFICE_SMTP_HOST": "relay.example", "BOXOFFICE_MAIL_FROM": "tickets@example.com"}
	for name, tt := range map[string]struct {
		env  map[string]string
		want string
	}{
		"a relay":            {relay, ""},
		"nothing":            {nil, ""},
		"a folder":           {map[string]string{"BOXOFFICE_MAIL_DIR": "mails"}, ""},
		"both":               {map[string]string{"BOXOFFICE_MAIL_DIR": "mails", "BOXOFFICE_SMTP_HOST": "relay.example"}, "set one"},
		"no sender":          {map[string]string{"BOXOFFICE_MAIL_FROM": ""}, "BOXOFFICE_MAIL_FROM is not set"},
		"an empty sender":    {map[string]string{"BOXOFFICE_MAIL_FROM": "nobody"}, "BOXOFFICE_MAIL_FROM: want an address"},
		"a password alone":   {map[string]string{"BOXOFFICE_SMTP_PASSWORD": "p"}, "user and password go together"},
		"in the clear":       {map[string]string{"BOXOFFICE_SMTP_PASSWORD": "p", "BOXOFFICE_SMTP_USER": "u", "BOXOFFICE_SMTP_TLS": "none"}, "in the clear"},
		"no such mode":       {map[string]string{"BOXOFFICE_SMTP_TLS": "ssl"}, "want starttls, tls or none"},
		"no port":            {map[string]string{"BOXOFFICE_SMTP_PORT": "70000"}, "BOXOFFICE_SMTP_PORT"},
		"no host":            {map[string]string{"BOXOFFICE_SMTP_HOST": "", "BOXOFFICE_SMTP_USER": "u"}, "BOXOFFICE_SMTP_HOST is not set"},
		"no rate":            {map[string]string{"BOXOFFICE_MAIL_RATE": "0"}, "BOXOFFICE_MAIL_RATE"},
		"no timeout":         {map[string]string{"BOXOFFICE_SMTP_TIMEOUT": "1h"}, "BOXOFFICE_SMTP_TIMEOUT"},
		"too many at a time": {map[string]string{"BOXOFFICE_SMTP_CONNECTIONS": "21"}, "BOXOFFICE_SMTP_CONNECTIONS"},
	} {
		t.Run(name, func(t *testing.T) {
			complete(t)
			if tt.want != "" && name != "both" {
				for variable, value := range relay {
					t.Setenv(variable, value)
				}
			}
			for variable, value := range tt.env {
				t.Setenv(variable, value)
			}
			c, err := readConfig()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := c.Mail.isOn(); got != (name != "nothing") {
					t.Fatalf("c.Mail.isOn() is %v, want %v", got, name != "nothing")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("the error is %v, want %q in it", err, tt.want)
			}
		})
	}
}

// A broken template stops the start, and the error has its file and line.
func TestABrokenTemplateStopsTheStart(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "en"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "en", "tickets.txt"), []byte("\n{{nothing}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &service{log: slog.New(slog.DiscardHandler)}
	s.Mail = mailConfig{Folder: t.TempDir(), Language: "en", Templates: folder}
	_, err := s.openMail()
	if err == nil || !strings.Contains(err.Error(), "en/tickets.txt:2") {
		t.Fatalf("the error is %v, want %q in it", err, "en/tickets.txt:2")
	}
	if err == nil || !strings.Contains(err.Error(), "BOXOFFICE_MAIL_TEMPLATES") {
		t.Fatalf("the error is %v, want %q in it", err, "BOXOFFICE_MAIL_TEMPLATES")
	}
}

// The pages with everybody's mails exist only if mails are files and the box office is on this
// machine.
func TestMailPagesAreForTheLocalStack(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for name, tt := range map[string]struct {
		url    string
		listen string
		folder bool
		want   int
	}{
		"the local stack":          {"http://127.0.0.1:8080", "", true, 200},
		"a public shop":            {"https://tickets.example.com", "", true, http.StatusTeapot},
		"behind a plain proxy":     {"http://tickets.example.com", "127.0.0.1:8080", true, http.StatusTeapot},
		"behind one of this name":  {"http://localhost", "127.0.0.1:8080", true, http.StatusTeapot},
		"it listens to the public": {"http://127.0.0.1:8080", "0.0.0.0:8080", true, http.StatusTeapot},
		"a relay":                  {"http://127.0.0.1:8080", "", false, http.StatusTeapot},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{log: slog.New(slog.DiscardHandler)}
			s.URL, s.Listen = tt.url, tt.listen
			s.Mail = mailConfig{Language: "en"}
			complete(t)
			if tt.folder {
				t.Setenv("BOXOFFICE_MAIL_DIR", filepath.Join(t.TempDir(), "mail"))
			}
			var err error
			s.Mail, err = readMail()
			if err != nil {
				t.Fatal(err)
			}
			m, err := s.openMail()
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/mail/", nil)
			r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:8080"
			w := httptest.NewRecorder()
			s.mailPages(m, pages).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Fatalf("w.Code is %v, want %v", w.Code, tt.want)
			}
			w = httptest.NewRecorder()
			s.mailPages(m, pages).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Code != http.StatusTeapot {
				t.Fatalf("w.Code is %v, want %v", w.Code, http.StatusTeapot)
			}
		})
	}
}

// Tickets are PDFs where buyers get no mail too.
func TestTicketsAreDrawnWithoutMail(t *testing.T) {
	s := &service{log: slog.New(slog.DiscardHandler)}
	s.Mail = mailConfig{Language: "en"}
	mails, err := s.openMail()
	if err != nil || mails != nil {
		t.Fatalf("%v %v, want no mail", mails, err)
	}
	templates, err := s.ticketTemplates(&parts{})
	if err != nil {
		t.Fatal(err)
	}
	order := &domain.SoldOrder{Status: domain.OrderPaid, Currency: "EUR", Tickets: []domain.Ticket{{Number: 1, Class: "A", Code: "ABCDE"}}}
	pdf, err := templates.TicketsPDF("de", order, &domain.Sale{Name: "A", Currency: "EUR", Classes: []domain.Class{{Name: "A"}}})
	if err != nil || !strings.HasPrefix(string(pdf), "%PDF-") {
		t.Errorf("%q, %v", pdf[:min(len(pdf), 20)], err)
	}
}
