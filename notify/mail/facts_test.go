package mail

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ics "github.com/arran4/golang-ical"

	"boxoffice/domain"
)

// factsSample is the sample of a sale that says all there is to say.
func factsSample(t *testing.T) *Tells {
	t.Helper()
	all := samples(domain.MailTickets)
	return all[len(all)-1]
}

// The mail of the tickets says when and where, by the clocks of the venue, and brings the event for a calendar.
func TestTheMailOfTheTicketsTellsTheFacts(t *testing.T) {
	for language, want := range map[string][]string{
		"en": {"Saturday, 1 May 2027, 20:00–23:00 (Europe/Berlin)", "Terms"},
		"de": {"01.05.2027, 20:00–23:00 Uhr (Europe/Berlin)", "Bedingungen"},
		"ko": {"2027년 5월 1일 20:00~23:00 (Europe/Berlin)", "이용 약관"},
	} {
		templates := ours(t)
		m, err := templates.write(templates.match(language), domain.MailTickets, factsSample(t))
		noError(t, err)
		for _, text := range append(want, "Sample hall", "Sampletown", "Sample terms.", "https://example.com/terms", "Sample organiser", "Stalls, left") {
			contains(t, m.Text, text, language)
			contains(t, m.HTML, text, language)
		}
		contains(t, m.Text, "event.ics", language)
		equal(t, 2, len(m.Files))
		equal(t, "event.ics", m.Files[1].Name)
		equal(t, "text/calendar; charset=utf-8", m.Files[1].ContentType)
		parsed, err := ics.ParseCalendar(bytes.NewReader(m.Files[1].Content))
		noError(t, err)
		equal(t, 1, len(parsed.Events()))
		equal(t, "20270501T200000", parsed.Events()[0].GetProperty(ics.ComponentPropertyDtStart).Value)

		m, err = templates.write(templates.match(language), domain.MailTickets, samples(domain.MailTickets)[0])
		noError(t, err)
		for _, text := range append(want, "event.ics") {
			wantTrue(t, !strings.Contains(m.Text+m.HTML, text), language, text)
		}
	}
}

// Text of the organiser is text in mails too.
func TestFactsInMailsAreText(t *testing.T) {
	sample := factsSample(t)
	sample.Venue, sample.Terms = "<b>Hall</b>", "</p><script>alert(1)</script>"
	templates := ours(t)
	m, err := templates.write(templates.match("en"), domain.MailTickets, sample)
	noError(t, err)
	contains(t, m.HTML, "&lt;b&gt;Hall&lt;/b&gt;")
	wantTrue(t, !strings.Contains(m.HTML, "<script"))
	contains(t, m.Text, "<b>Hall</b>")
}

// Templates of an operator from before there were facts are taken, and their tickets have the labels.
func TestTemplatesFromBeforeThereWereFacts(t *testing.T) {
	folder := t.TempDir()
	noError(t, os.MkdirAll(filepath.Join(folder, "en"), 0o700))
	for file, text := range map[string]string{
		"en/pdf.txt":     `{{define "number"}}Ticket {{.Number}} of {{.Of}}{{end}}{{define "hint"}}Show it.{{end}}{{define "order"}}Order {{.Order}}{{end}}`,
		"en/tickets.txt": `{{define "subject"}}Yours: {{.Sale}}{{end}}{{range .Lines}}{{.Quantity}} {{.Class}};{{end}}`,
	} {
		noError(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
	}
	templates, err := ReadTemplates(folder, "en")
	noError(t, err)
	m, err := templates.write(templates.match("en"), domain.MailTickets, factsSample(t))
	noError(t, err)
	equal(t, "2 Stalls, left;1 B;", m.Text)
	equal(t, 2, len(m.Files))
}
