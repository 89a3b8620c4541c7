package e2e

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/stretchr/testify/require"
)

var (
	shownCode  = regexp.MustCompile(`data:image/png;base64,([A-Za-z0-9+/=]+)`)
	shownMails = regexp.MustCompile(`href="([A-Za-z0-9_.-]+\.eml)">([^<]*)</a></td><td>([^<]*)</td>`)
)

// mails are the subjects of the mails to an address, by the files' names, as the page of the
// local stack shows them.
func (s *stack) mails(t *testing.T, to string) map[string]string {
	t.Helper()
	a := s.request(t, http.MethodGet, s.api("/mail/"), nil, nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	found := map[string]string{}
	for _, mail := range shownMails.FindAllStringSubmatch(string(a.body), -1) {
		if strings.Contains(mail[3], to) {
			found[mail[1]] = mail[2]
		}
	}
	return found
}

func (s *stack) awaitMail(t *testing.T, to, subject string) (name string) {
	t.Helper()
	eventually(t, "a mail to "+to+": "+subject, func() bool {
		for file, got := range s.mails(t, to) {
			if got == subject {
				name = file
				return true
			}
		}
		return false
	})
	return name
}

// A buyer pays, and the mail's QR codes scan as the tickets' codes; a refund is told once it
// begins and once it is done, and an address is told its orders and nobody else.
func testMail(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	email := newBuyer()
	a := s.checkout(t, sale, newKey(), items{"A": 1, "a": 2}, email)
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	var o order
	a.into(t, &o)
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")

	file := s.awaitMail(t, email, "Your 3 tickets: End to end")
	info, err := os.Stat(filepath.Join(s.env["BOXOFFICE_MAIL_DIR"], file))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	html := s.request(t, http.MethodGet, s.api("/mail/"+file+"/html"), nil, nil)
	var scanned, codes []string
	for _, found := range shownCode.FindAllStringSubmatch(string(html.body), -1) {
		scanned = append(scanned, scan(t, found[1]))
	}
	for _, ticket := range s.state(t, o).Tickets {
		codes = append(codes, ticket.Code)
	}
	sort.Strings(scanned)
	sort.Strings(codes)
	require.Len(t, codes, 3)
	require.Equal(t, codes, scanned)
	pdf := s.request(t, http.MethodGet, s.api("/mail/"+file+"/files/tickets.pdf"), nil, nil)
	require.True(t, bytes.HasPrefix(pdf.body, []byte("%PDF-")))

	for _, asked := range []string{strings.ToUpper(email), "nobody-" + email} {
		a = s.request(t, http.MethodPost, s.api("/v1/order-links"), nil, map[string]string{"email": asked})
		require.Equal(t, http.StatusAccepted, a.status, "%s", a.body)
		require.JSONEq(t, `{"sent":"if_there_are_any"}`, string(a.body))
	}
	links := s.request(t, http.MethodGet, s.api("/mail/"+s.awaitMail(t, email, "Your order")), nil, nil)
	require.Contains(t, string(links.body), "/orders/"+o.Order+"#"+o.Token)

	a = s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/orders/"+o.Order+"/refund", s.admin(), nil)
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, a.status, "%s", a.body)
	s.awaitMail(t, email, "Refunded: End to end")
	require.Empty(t, s.mails(t, "nobody-"+email))
	for file, subject := range s.mails(t, email) {
		require.True(t, strings.HasPrefix(file, "evt_") || strings.HasPrefix(file, "ask_"), "%s: %s", file, subject)
	}
}

// scan reads a QR code as a camera's program does.
func scan(t *testing.T, encoded string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	image, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(image)
	require.NoError(t, err)
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	require.NoError(t, err)
	return found.GetText()
}
