package e2e

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
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
	if a.status != http.StatusOK {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusOK, a.body)
	}
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

// A buyer pays, and the mail's QR codes scan as the tickets' codes. A refund sends one mail
// when it begins and one when it is done. Asking for the orders of an address sends them to
// that address only.
func testMail(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	email := newBuyer()
	a := s.checkout(t, sale, newKey(), items{"A": 1, "a": 2}, email)
	if a.status != http.StatusCreated {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
	}
	var o order
	a.into(t, &o)
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")

	file := s.awaitMail(t, email, "Your 3 tickets: End to end")
	info, err := os.Stat(filepath.Join(s.env["BOXOFFICE_MAIL_DIR"], file))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Fatalf("info.Mode().Perm() is %v, want %v", got, want)
	}
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
	if len(codes) != 3 {
		t.Fatalf("%d in codes, want 3: %q", len(codes), codes)
	}
	if !reflect.DeepEqual(scanned, codes) {
		t.Fatalf("scanned is %q, want %q", scanned, codes)
	}
	pdf := s.request(t, http.MethodGet, s.api("/mail/"+file+"/files/tickets.pdf"), nil, nil)
	if !bytes.HasPrefix(pdf.body, []byte("%PDF-")) {
		t.Fatal(`want true: bytes.HasPrefix(pdf.body, []byte("%PDF-"))`)
	}

	for _, asked := range []string{strings.ToUpper(email), "nobody-" + email} {
		a = s.request(t, http.MethodPost, s.api("/v1/order-links"), nil, map[string]string{"email": asked})
		if a.status != http.StatusAccepted {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusAccepted, a.body)
		}
		sameJSON(t, a.body, []byte(`{"sent":"if_there_are_any"}`))
	}
	links := s.request(t, http.MethodGet, s.api("/mail/"+s.awaitMail(t, email, "Your order")), nil, nil)
	if !strings.Contains(string(links.body), ("/orders/" + o.Order + "#" + o.Token)) {
		t.Fatalf("no %q in %s", ("/orders/" + o.Order + "#" + o.Token), string(links.body))
	}

	a = s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/orders/"+o.Order+"/refund", s.admin(), nil)
	if got := []int{http.StatusOK, http.StatusAccepted}; !slices.Contains(got, a.status) {
		t.Fatalf("no %v in %v: %s", a.status, got, a.body)
	}
	s.awaitMail(t, email, "Refunded: End to end")
	if got := s.mails(t, "nobody-"+email); len(got) != 0 {
		t.Fatalf(`s.mails(t, "nobody-"+email) is %v, want nothing`, got)
	}
	for file, subject := range s.mails(t, email) {
		if !(strings.HasPrefix(file, "evt_") || strings.HasPrefix(file, "ask_")) {
			t.Fatalf(`want true: strings.HasPrefix(file, "evt_") || strings.HasPrefix(file, "ask_"): %s: %s`, file, subject)
		}
	}
}

// scan reads a QR code as a camera's program does.
func scan(t *testing.T, encoded string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	image, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(image)
	if err != nil {
		t.Fatal(err)
	}
	found, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found.GetText()
}
