package mail

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	netmail "net/mail"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

var sender = &netmail.Address{Name: "Box office", Address: "tickets@example.com"}

// readOurs reads the templates once: under the race detector it takes a second.
var readOurs = sync.OnceValues(func() (*Templates, error) { return ReadTemplates("", "en") })

func ours(t testing.TB) *Templates {
	t.Helper()
	templates, err := readOurs()
	noError(t, err)
	return templates
}

// A broken template is refused when the process starts, with its file and line.
func TestBrokenTemplatesAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"not closed":                  {map[string]string{"en/tickets.html": "{{define \"content\"}}\n{{if .Perk}}\n{{end}}"}, "en/tickets.html:3"},
		"no such function":            {map[string]string{"de/refunded.txt": "{{define \"subject\"}}a{{end}}\n\n{{shout .Sale}}"}, "de/refunded.txt:3"},
		"no such field":               {map[string]string{"en/refunded.txt": "{{define \"subject\"}}a{{end}}\n{{.Buyer}}"}, "en/refunded.txt:2"},
		"broken for some orders only": {map[string]string{"en/tickets.txt": "{{define \"subject\"}}a{{end}}{{if .Perk}}{{else}}\n{{.Missing}}{{end}}"}, "en/tickets.txt:2"},
		"in the layout":               {map[string]string{"layout.html": "<p>\n{{template \"content\" .}}\n{{template \"nothing\"}}"}, "layout.html:3"},
		"no subject":                  {map[string]string{"en/orders.txt": "hello"}, "en/orders.txt:1"},
		"an empty subject":            {map[string]string{"en/orders.txt": "{{define \"subject\"}} {{end}}"}, "en/orders.txt"},
		"a form is missing":           {map[string]string{"en/orders.txt": "{{define \"subject\"}}a{{end}}\n{{plural 2 \"one\" \"x\"}}"}, "en/orders.txt:2"},
		"an incomplete language":      {map[string]string{"fr/tickets.txt": "{{define \"subject\"}}a{{end}}"}, "fr/tickets.html"},
		"a misspelt name":             {map[string]string{"en/tickts.html": "x"}, "en/tickts.html is not a template"},
		"not a language":              {map[string]string{"english!/tickets.html": "x"}, "english!"},
		"not a font":                  {map[string]string{"font.ttf": "x"}, "font.ttf"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, text := range tt.files {
				noError(t, os.MkdirAll(filepath.Dir(filepath.Join(folder, file)), 0o700))
				noError(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
			}
			_, err := ReadTemplates(folder, "en")
			wantError(t, err, tt.want)
		})
	}
	_, err := ReadTemplates("", "fr")
	wantError(t, err, "de, en")
	_, err = ReadTemplates(filepath.Join(t.TempDir(), "missing"), "en")
	wantError(t, err, "is not a folder")
}

// An operator's files replace ours, one by one.
func TestAnOperatorsTemplatesReplaceOurs(t *testing.T) {
	folder := t.TempDir()
	noError(t, os.MkdirAll(filepath.Join(folder, "en"), 0o700))
	noError(t, os.WriteFile(filepath.Join(folder, "en", "refunded.txt"), []byte(`{{define "subject"}}Money!{{end}}{{money .AmountMinor .Currency}}`), 0o600))
	templates, err := ReadTemplates(folder, "de")
	noError(t, err)
	m, err := templates.write(templates.match("en-GB"), domain.MailRefunded, samples(domain.MailRefunded)[0])
	noError(t, err)
	equal(t, "Money!", m.Subject)
	equal(t, "€195.00", m.Text)
	contains(t, m.HTML, "Your money went back", "ours")
}

func TestLanguagesAreChosen(t *testing.T) {
	templates, err := ReadTemplates("", "de")
	noError(t, err)
	for asked, want := range map[string]string{
		"": "de", "en": "en", "en-US,en;q=0.8": "en", "de-AT": "de", "ko-KR,ko;q=0.9": "ko", "fr, en;q=0.5": "en", "ja": "de", "x": "de", ";;;": "de",
	} {
		equal(t, want, templates.match(asked).tag.String(), asked)
	}
}

// Each language has its own numbers, money and dates.
func TestMailsInTheirLanguages(t *testing.T) {
	templates := ours(t)
	for language, wants := range map[string][2][]string{
		"en": {{"Your 3 tickets: Sample sale", "€195.00", "2 January 2027", "Ticket 3 of 3", "00000 AAAAA"}, {"Your ticket: Sample sale"}},
		"de": {{"Ihre 3 Karten: Sample sale", "195,00\u00a0€", "02.01.2027", "Karte 3 von 3", "00000 AAAAA"}, {"Ihre Karte: Sample sale"}},
		"ko": {{"티켓 3장: Sample sale", "€195.00", "2027년 1월 2일 15:04 UTC에 결제", "티켓 3 / 3", "00000 AAAAA"}, {"티켓 1장: Sample sale"}},
	} {
		for i, want := range wants {
			m, err := templates.write(templates.match(language), domain.MailTickets, samples(domain.MailTickets)[i])
			noError(t, err)
			for _, text := range want {
				contains(t, m.Subject+"\n"+m.Text, text, language)
			}
			equal(t, len(samples(domain.MailTickets)[i].Tickets), len(m.Images))
			equal(t, 1, len(m.Files))
			wantTrue(t, bytes.HasPrefix(m.Files[0].Content, []byte("%PDF-")))
		}
	}
}

// A mail tells the same in every language: it names all of the order that the English one names.
func TestEveryLanguageTellsTheSame(t *testing.T) {
	fields := regexp.MustCompile(`\.[A-Z]\w+|define "\w+"`)
	named := func(file string) []string {
		text, err := builtIn.ReadFile(file)
		noError(t, err)
		found := fields.FindAllString(string(text), -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	english, err := fs.Glob(builtIn, "templates/en/*")
	noError(t, err)
	equal(t, 2*len(kinds)+1, len(english))
	languages, err := fs.Glob(builtIn, "templates/*/pdf.txt")
	noError(t, err)
	equal(t, 3, len(languages))
	for _, language := range languages {
		for _, file := range english {
			other := path.Join(path.Dir(language), path.Base(file))
			told := named(other)
			for _, name := range named(file) {
				wantTrue(t, slices.Contains(told, name), other+" lacks "+name)
			}
		}
	}
}

// The PDF takes any name, even one that its font cannot draw.
func TestThePDFTakesAnyName(t *testing.T) {
	templates := ours(t)
	for _, name := range []string{"東京 🎉 \U0010ffff", strings.Repeat("W", 200), "a\u200eb \u0301", strings.Repeat("long name ", 20)} {
		sample := samples(domain.MailTickets)[0]
		sample.Sale = name
		_, err := templates.write(templates.languages[0], domain.MailTickets, sample)
		noError(t, err)
	}
	many := samples(domain.MailTickets)[0]
	for n := 4; n <= 100; n++ {
		many.Tickets = append(many.Tickets, TicketTold{Number: n, Class: "A", Code: "C", Image: "x", scanned: "C" + strings.Repeat("0", n%20)})
	}
	for i := range many.Tickets {
		many.Tickets[i].Image = "t" + strings.Repeat("i", i)
	}
	_, err := templates.write(templates.languages[0], domain.MailTickets, many)
	noError(t, err)
}

func TestMessageHeaders(t *testing.T) {
	m := &Message{ID: "evt_01", To: "ann@example.com", Subject: "Ihre Karten: Größe", Text: "x", HTML: "<p>x</p>"}
	h := headersOf(t, m)
	equal(t, "<evt_01.mail@example.com>", h.Get("Message-ID"))
	equal(t, "auto-generated", h.Get("Auto-Submitted"))
	equal(t, 0, len(h.Get("List-Unsubscribe")))
	equal(t, `"Box office" <tickets@example.com>`, h.Get("From"))
	equal(t, `<ann@example.com>`, h.Get("To"))
}

func headersOf(t *testing.T, m *Message) netmail.Header {
	t.Helper()
	msg, _, err := m.mime(sender, time.Unix(0, 0))
	noError(t, err)
	var b bytes.Buffer
	_, err = msg.WriteTo(&b)
	noError(t, err)
	parsed, err := netmail.ReadMessage(&b)
	noError(t, err)
	_, err = io.ReadAll(parsed.Body)
	noError(t, err)
	return parsed.Header
}

// Whatever a sale's name, an id or an address contains, it adds no header and no recipient.
func FuzzHeadersCannotBeInjected(f *testing.F) {
	f.Add("Sale\r\nBcc: eve@example.com\r\n\r\nhello", "ann@example.com", "evt_1")
	f.Add("\u2028Bcc: a\u0085x", "ann@example.com\r\nBcc: eve@example.com", "evt\r\nX: y")
	f.Add("=?utf-8?q?a=0D=0ABcc:_eve?=", "a@b.c,eve@example.com", "<>@")
	f.Add(strings.Repeat("é", 100), "ü\"@example.com", "")
	templates := ours(f)
	f.Fuzz(func(t *testing.T, name, address, id string) {
		sample := samples(domain.MailRefunded)[0]
		sample.Sale = name
		m, err := templates.write(templates.languages[0], domain.MailRefunded, sample)
		noError(t, err)
		m.ID, m.To = id, address
		msg, _, err := m.mime(sender, time.Unix(0, 0))
		if err != nil {
			lacks(t, err.Error(), "eve")
			return
		}
		want, err := domain.NormalizeEmail(address)
		noError(t, err)
		var b bytes.Buffer
		_, err = msg.WriteTo(&b)
		noError(t, err)
		parsed, err := netmail.ReadMessage(&b)
		noError(t, err)
		known := map[string]bool{
			"From": true, "To": true, "Subject": true, "Date": true, "Message-Id": true, "Mime-Version": true, "Auto-Submitted": true, "Content-Type": true,
		}
		for header, values := range parsed.Header {
			wantTrue(t, known[header], header, values)
			equal(t, 1, len(values))
		}
		to, err := parsed.Header.AddressList("To")
		noError(t, err)
		equal(t, 1, len(to))
		equal(t, want, to[0].Address)
		recipients, err := msg.GetRecipients()
		noError(t, err)
		equal(t, 1, len(recipients))
	})
}

func TestSenders(t *testing.T) {
	for text, want := range map[string]string{
		"a@example.com":                     "<a@example.com>",
		"Karten & mehr <a@münchen.example>": `"Karten & mehr" <a@xn--mnchen-3ya.example>`,
		"Bär <a@example.com>":               "=?utf-8?q?B=C3=A4r?= <a@example.com>",
		"nobody":                            "",
		"ü@example.com":                     "",
		"\"a\r\nBcc: x\" <a@example.com>":   "",
	} {
		got, err := ParseSender(text)
		if want == "" {
			wantError(t, err, "")
			continue
		}
		noError(t, err)
		equal(t, want, got.String())
	}
}

func TestReasonsHaveNoAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"550 5.1.1 <Ann@Example.com>: user unknown": "550 5.1.1 <…>: user unknown",
		"550 bob@other.example\r\nrejected":         "550 … rejected",
		"550 no ANN@EXAMPLE.COM here":               "550 no … here",
	} {
		equal(t, want, withoutAddresses(text, "ann@example.com"))
	}
	for text, want := range map[string]string{
		"550 5.1.1 Ann.Lee+Tickets: unknown user": "550 5.1.1 …: unknown user",
		"550 mailbox ann.lee full, ann.lee":       "550 mailbox … full, …",
		"550 ann.lee ann.lee":                     "550 … …",
		"550 joann.lee2 is somebody else":         "550 joann.lee2 is somebody else",
	} {
		equal(t, want, withoutAddresses(text, "ann.lee+tickets@example.com"))
	}
	wantTrue(t, len(withoutAddresses(strings.Repeat("ü", 1000), "")) <= reasonMaxLen+len("…"))
}

func TestEventsMakeMailsDue(t *testing.T) {
	store := &queued{}
	reader := NewReader(store)
	wantTrue(t, reader.FromNow, "want FromNow, or last year's buyers get mail")
	order := domain.OrderID{1}
	noError(t, reader.Handle(t.Context(), []domain.Event{
		{ID: domain.EventID{1}, Type: domain.EventOrderPaid, Order: order},
		{ID: domain.EventID{2}, Type: domain.EventOrderRefundBegun, Order: order},
		{ID: domain.EventID{3}, Type: domain.EventOrderRefunded, Order: order},
		{ID: domain.EventID{4}, Type: domain.EventPaymentRefunded, Order: order},
	}))
	equal(t, []domain.Mail{
		{ID: domain.EventID{1}.String(), Kind: domain.MailTickets, Order: order},
		{ID: domain.EventID{2}.String(), Kind: domain.MailRefundBegun, Order: order},
		{ID: domain.EventID{3}.String(), Kind: domain.MailRefunded, Order: order},
	}, store.mails)
}

type queued struct {
	Store
	mails []domain.Mail
}

func (q *queued) QueueMails(_ context.Context, mails []domain.Mail) error {
	q.mails = append(q.mails, mails...)
	return nil
}

// In the list of somebody's orders, no order reads as another one's status would.
func TestEveryStatusReadsDifferentInTheListOfOrders(t *testing.T) {
	templates, err := readOurs()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range templates.languages {
		said := map[string]domain.OrderStatus{}
		for _, status := range domain.OrderStatuses {
			if !status.Sold() {
				continue
			}
			order := domain.SoldOrder{SaleName: "Concert", Currency: "EUR", AmountMinor: 6500, Status: status}
			m, err := templates.write(w, domain.MailOrders, &Tells{Orders: []OrderTold{orderTold(&order, "https://tickets.example/orders/1")}})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"text: " + m.Text, "html: " + m.HTML} {
				if other, is := said[text]; is {
					t.Errorf("notify/mail/templates/%s/orders: an order that is %s reads as one that is %s", w.tag, status, other)
				}
				said[text] = status
			}
		}
	}
}

// The fonts of the PDFs are parsed once. Many mails are written with them at a time, and none leaves anything behind for the next.
func TestMailsAreWrittenAtTheSameTime(t *testing.T) {
	templates := ours(t)
	write := func(n int) []byte {
		m, err := templates.write(templates.match([]string{"de", "en"}[n]), domain.MailTickets, samples(domain.MailTickets)[n])
		if err != nil {
			t.Error(err)
			return nil
		}
		return m.Files[0].Content
	}
	want := [][]byte{write(0), write(1)}
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for i := range 10 {
				if got := write(i % 2); !bytes.Equal(got, want[i%2]) {
					t.Errorf("a PDF of %d bytes, want that of %d bytes that was written alone", len(got), len(want[i%2]))
				}
			}
		})
	}
	writing.Wait()
}
