package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	netmail "net/mail"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/domain"
	"boxoffice/notify/mail"
)

// mailpitInstall is how to get the program that this test runs on.
const mailpitInstall = "go install github.com/axllent/mailpit@latest"

// A mail server that is not ours finds our mails well formed: their headers, parts, pictures and files are what it should see, mail
// programs can show the HTML, and a camera can read the QR code.
func TestMailpitReadsOurMails(t *testing.T) {
	program, err := exec.LookPath("mailpit")
	if err != nil {
		t.Skip("SKIPPED: no mailpit on PATH; " + mailpitInstall)
	}
	t.Attr("ran-on", "Mailpit")
	smtp, web := freeAddress(t), freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, program, "--smtp", smtp, "--listen", web, "--database", filepath.Join(t.TempDir(), "mails.db"),
		"--disable-version-check", "--quiet")
	server.Stdout, server.Stderr = t.Output(), t.Output()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = server.Wait() })
	get := func(path string) (status int, body []byte) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, nil
		}
		defer answer.Body.Close()
		body, err = io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, body
	}
	eventually(t, "Mailpit answers", func() bool { status, _ := get("/readyz"); return status == http.StatusOK })

	order := domain.SoldOrder{
		ID: domain.OrderID{1}, SaleID: "conference", SaleName: "Göpher & Söhne <live>", Status: domain.OrderPaid, Email: "ann@example.com",
		Currency: "EUR", AmountMinor: 13000, PaidAt: time.Unix(1_800_000_000, 0), Lines: []domain.Line{{Class: "A", Quantity: 2, UnitPriceMinor: 6500}},
		Tickets: []domain.Ticket{{Number: 1, Class: "A", Code: "0123456789ABCDEFGHJKMNPQRS"}, {Number: 2, Class: "A", Code: "SRQPNMKJHGFEDCBA9876543210"}},
	}
	sendTickets(t, smtp, order)

	var list struct{ Messages []struct{ ID string } }
	eventually(t, "the mail has come", func() bool {
		_, body := get("/api/v1/messages")
		return json.Unmarshal(body, &list) == nil && len(list.Messages) == 1
	})
	path := "/api/v1/message/" + list.Messages[0].ID
	var message struct {
		MessageID, Subject, Text, HTML string
		To, Bcc, Cc                    []struct{ Address string }
		Inline, Attachments            []struct{ PartID, FileName, ContentType, ContentID string }
	}
	read := func(path string, into any) {
		status, body := get(path)
		if status != http.StatusOK {
			t.Fatalf("status is %v, want %v: %s: %s", status, http.StatusOK, path, body)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	read(path, &message)
	if message.MessageID != "evt_1.mail@tickets.example.com" {
		t.Fatalf(`message.MessageID is %q, want "evt_1.mail@tickets.example.com"`, message.MessageID)
	}
	if !strings.Contains(message.Subject, order.SaleName) {
		t.Fatalf("no %q in %s", order.SaleName, message.Subject)
	}
	if len(message.To) != 1 {
		t.Fatalf("%d in message.To, want 1: %+v", len(message.To), message.To)
	}
	if message.To[0].Address != order.Email {
		t.Fatalf("message.To[0].Address is %q, want %q", message.To[0].Address, order.Email)
	}
	if got := append(message.Bcc, message.Cc...); len(got) != 0 {
		t.Fatalf("append(message.Bcc, message.Cc...) is %+v, want nothing", got)
	}
	if !strings.Contains(message.Text, order.SaleName) {
		t.Fatalf("no %q in %s", order.SaleName, message.Text)
	}
	if strings.Contains(message.HTML, "<live>") {
		t.Fatalf("%q is in %s", "<live>", message.HTML)
	}

	var headers map[string][]string
	read(path+"/headers", &headers)
	if want := []string{"auto-generated"}; !reflect.DeepEqual(headers["Auto-Submitted"], want) {
		t.Fatalf(`headers["Auto-Submitted"] is %q, want %q`, headers["Auto-Submitted"], want)
	}
	for _, one := range []string{"From", "To", "Date", "Message-Id", "Mime-Version", "Subject"} {
		if len(headers[one]) != 1 {
			t.Fatalf("%d in headers[one], want 1: %q: %v", len(headers[one]), headers[one], one)
		}
	}
	for name := range headers {
		if strings.HasPrefix(name, "List-") {
			t.Fatalf(`want false: strings.HasPrefix(name, "List-"): %v`, name)
		}
	}

	if len(message.Inline) != len(order.Tickets) {
		t.Fatalf("%d in message.Inline, want %d: %+v", len(message.Inline), len(order.Tickets), message.Inline)
	}
	for i, picture := range message.Inline {
		if picture.ContentType != "image/png" {
			t.Fatalf(`picture.ContentType is %q, want "image/png"`, picture.ContentType)
		}
		if !strings.Contains(message.HTML, ("cid:" + picture.ContentID)) {
			t.Fatalf("no %q in %s", ("cid:" + picture.ContentID), message.HTML)
		}
		_, raw := get(path + "/part/" + picture.PartID)
		if got := scan(t, base64.StdEncoding.EncodeToString(raw)); got != order.Tickets[i].Code {
			t.Fatalf("scan(t, base64.StdEncoding.EncodeToString(raw)) is %q, want %q", got, order.Tickets[i].Code)
		}
	}
	if len(message.Attachments) != 1 {
		t.Fatalf("%d in message.Attachments, want 1: %+v", len(message.Attachments), message.Attachments)
	}
	if message.Attachments[0].ContentType != "application/pdf" {
		t.Fatalf(`message.Attachments[0].ContentType is %q, want "application/pdf"`, message.Attachments[0].ContentType)
	}
	if message.Attachments[0].FileName != "tickets.pdf" {
		t.Fatalf(`message.Attachments[0].FileName is %q, want "tickets.pdf"`, message.Attachments[0].FileName)
	}
	_, pdf := get(path + "/part/" + message.Attachments[0].PartID)
	if !strings.HasPrefix(string(pdf), "%PDF-") || !strings.Contains(string(pdf), "%%EOF") {
		t.Fatalf("%d bytes are not a whole PDF", len(pdf))
	}

	var check struct {
		Total    struct{ Supported, Unsupported, Partial float64 }
		Warnings []struct{ Title string }
	}
	read(path+"/html-check", &check)
	t.Logf("mail programs: %.1f %% supported, %.1f %% in part, %.1f %% not; %+v", check.Total.Supported, check.Total.Partial, check.Total.Unsupported, check.Warnings)
	const unsupportedMax = 5
	if bound := float64(unsupportedMax); check.Total.Unsupported >= bound {
		t.Fatalf("check.Total.Unsupported is %v, want less than %v: %+v", check.Total.Unsupported, bound, check.Warnings)
	}
}

// sendTickets has the tickets of an order sent to a relay.
func sendTickets(t *testing.T, address string, order domain.SoldOrder) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	relay, err := mail.NewSMTP(mail.SMTPOptions{
		Host: host, Port: number, TLS: mail.TLSNone, From: &netmail.Address{Name: "Box office", Address: "tickets@tickets.example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	templates, err := mail.ReadTemplates("", "en")
	if err != nil {
		t.Fatal(err)
	}
	store := &oneMail{order: order, sent: make(chan domain.MailOutcome, 1)}
	sender, err := mail.NewSender(mail.Options{
		Store: store, Relay: relay, Templates: templates, Link: func(id domain.OrderID) string { return "https://tickets.example.com/orders/" + id.String() },
		ConnectionsMax: 1, PerSecond: 10, Timeout: 10 * time.Second, Meter: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); sender.Run(ctx) }()
	if got := (<-store.sent).State; got != domain.MailSent {
		t.Fatalf("(<-store.sent).State is %q, want %q", got, domain.MailSent)
	}
	stop()
	<-ended
}

// oneMail is a mail.Store with the tickets of an order, once.
type oneMail struct {
	mail.Store
	order domain.SoldOrder
	sent  chan domain.MailOutcome

	claimed bool // by the sender alone
}

func (s *oneMail) ClaimMails(_ context.Context, asked bool, _ int, _ time.Duration) ([]domain.Mail, error) {
	if asked || s.claimed {
		return nil, nil
	}
	s.claimed = true
	return []domain.Mail{{ID: "evt_1", Kind: domain.MailTickets, Order: s.order.ID, QueuedAt: time.Now(), Attempts: 1}}, nil
}

func (s *oneMail) SettleMails(_ context.Context, outcomes []domain.MailOutcome) error {
	s.sent <- outcomes[0]
	return nil
}

func (s *oneMail) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) {
	return s.order, nil
}

func (s *oneMail) Sale(context.Context, string) (*domain.Sale, error) {
	return &domain.Sale{ID: s.order.SaleID}, nil
}
