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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

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
	require.NoError(t, server.Start())
	t.Cleanup(func() { stop(); _ = server.Wait() })
	get := func(path string) (status int, body []byte) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web+path, nil)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, nil
		}
		defer answer.Body.Close()
		body, err = io.ReadAll(answer.Body)
		require.NoError(t, err)
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
		require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		require.NoError(t, json.Unmarshal(body, into))
	}
	read(path, &message)
	require.Equal(t, "evt_1.mail@tickets.example.com", message.MessageID)
	require.Contains(t, message.Subject, order.SaleName)
	require.Len(t, message.To, 1)
	require.Equal(t, order.Email, message.To[0].Address)
	require.Empty(t, append(message.Bcc, message.Cc...))
	require.Contains(t, message.Text, order.SaleName)
	require.NotContains(t, message.HTML, "<live>")

	var headers map[string][]string
	read(path+"/headers", &headers)
	require.Equal(t, []string{"auto-generated"}, headers["Auto-Submitted"])
	for _, one := range []string{"From", "To", "Date", "Message-Id", "Mime-Version", "Subject"} {
		require.Len(t, headers[one], 1, one)
	}
	for name := range headers {
		require.False(t, strings.HasPrefix(name, "List-"), name)
	}

	require.Len(t, message.Inline, len(order.Tickets))
	for i, picture := range message.Inline {
		require.Equal(t, "image/png", picture.ContentType)
		require.Contains(t, message.HTML, "cid:"+picture.ContentID)
		_, raw := get(path + "/part/" + picture.PartID)
		require.Equal(t, order.Tickets[i].Code, scan(t, base64.StdEncoding.EncodeToString(raw)))
	}
	require.Len(t, message.Attachments, 1)
	require.Equal(t, "application/pdf", message.Attachments[0].ContentType)
	require.Equal(t, "tickets.pdf", message.Attachments[0].FileName)
	_, pdf := get(path + "/part/" + message.Attachments[0].PartID)
	require.True(t, strings.HasPrefix(string(pdf), "%PDF-") && strings.Contains(string(pdf), "%%EOF"))

	var check struct {
		Total    struct{ Supported, Unsupported, Partial float64 }
		Warnings []struct{ Title string }
	}
	read(path+"/html-check", &check)
	t.Logf("mail programs: %.1f %% supported, %.1f %% in part, %.1f %% not; %+v", check.Total.Supported, check.Total.Partial, check.Total.Unsupported, check.Warnings)
	const unsupportedMax = 5
	require.Less(t, check.Total.Unsupported, float64(unsupportedMax), "%+v", check.Warnings)
}

// sendTickets has the tickets of an order sent to a relay.
func sendTickets(t *testing.T, address string, order domain.SoldOrder) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	relay, err := mail.NewSMTP(mail.SMTPOptions{
		Host: host, Port: number, TLS: mail.TLSNone, From: &netmail.Address{Name: "Box office", Address: "tickets@tickets.example.com"},
	})
	require.NoError(t, err)
	templates, err := mail.ReadTemplates("", "en")
	require.NoError(t, err)
	store := &oneMail{order: order, sent: make(chan domain.MailOutcome, 1)}
	sender, err := mail.NewSender(mail.Options{
		Store: store, Relay: relay, Templates: templates, Link: func(id domain.OrderID) string { return "https://tickets.example.com/orders/" + id.String() },
		ConnectionsMax: 1, PerSecond: 10, Timeout: 10 * time.Second, Meter: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); sender.Run(ctx) }()
	require.Equal(t, domain.MailSent, (<-store.sent).State)
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

func (s *oneMail) Order(context.Context, domain.OrderID) (domain.SoldOrder, error) { return s.order, nil }

func (s *oneMail) Sale(context.Context, string) (*domain.Sale, error) { return &domain.Sale{ID: s.order.SaleID}, nil }
