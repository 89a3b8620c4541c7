package mail

import (
	"bytes"
	"strings"
	"testing"
	texttemplate "text/template"
	"time"

	"github.com/signintech/gopdf"

	"boxoffice/domain"
)

// codesIn counts the codes to scan: a PDF of ours has no other images.
func codesIn(pdf []byte) int { return bytes.Count(pdf, []byte("/Subtype /Image")) }

func boughtOrder(status domain.OrderStatus) (*domain.SoldOrder, *domain.Sale) {
	order := &domain.SoldOrder{
		ID: domain.OrderID{1}, SaleName: "Sample sale", Currency: "EUR", Status: status, PaidAt: time.Unix(1_800_000_000, 0),
		Lines: []domain.Line{{Class: "A", Quantity: 4, UnitPriceMinor: 6500}},
	}
	for n, holder := range []string{"", "Jürgen Groß", "김민준", "Łukasz 김"} {
		order.Tickets = append(order.Tickets, domain.Ticket{Number: n + 1, Class: "A", Code: "0123456789ABCDEFGHJKMNPQR" + string(rune('A'+n)), Holder: holder})
	}
	return order, &domain.Sale{Name: "Sample sale", Currency: "EUR", Classes: []domain.Class{{Name: "A", Label: "Parkett"}}}
}

// Tickets that let nobody in have no code to scan, in every language.
func TestAPDFOfVoidTicketsHasNoCodes(t *testing.T) {
	templates := ours(t)
	canceledAt := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		status     domain.OrderStatus
		canceledAt time.Time
		want       int
	}{
		{domain.OrderPaid, time.Time{}, 4},
		{domain.OrderPaid, canceledAt, 0},
		{domain.OrderRefunding, time.Time{}, 0},
		{domain.OrderRefunded, time.Time{}, 0},
	} {
		for _, w := range templates.languages {
			order, sale := boughtOrder(tt.status)
			sale.CanceledAt = tt.canceledAt
			pdf, err := templates.TicketsPDF(w.tag.String(), order, sale)
			noError(t, err)
			wantTrue(t, bytes.HasPrefix(pdf, []byte("%PDF-")))
			equal(t, tt.want, codesIn(pdf), w.tag, tt.status, tt.canceledAt)
			said, err := w.wordsOnTicket(&Tells{}, TicketTold{})
			noError(t, err)
			wantTrue(t, said["void"] != "" && said["void_hint"] != "" && said["void_hint"] != said["hint"], w.tag)
		}
	}
	_, err := templates.TicketsPDF("en", &domain.SoldOrder{Status: domain.OrderPaid}, &domain.Sale{})
	wantError(t, err, "no tickets")
}

// An operator's words from before tickets could be void do not let anybody think that they are good.
func TestOldWordsSayThatATicketIsVoid(t *testing.T) {
	old := *ours(t).languages[0]
	var err error
	old.pdf, err = texttemplate.New("en/pdf.txt").Parse(`{{define "number"}}1{{end}}{{define "hint"}}Come in.{{end}}{{define "order"}}2{{end}}`)
	noError(t, err)
	said, err := old.wordsOnTicket(&Tells{}, TicketTold{})
	noError(t, err)
	equal(t, "VOID", said["void"])
	contains(t, said["void_hint"], "no longer valid")
}

func newDrawing(t *testing.T) *drawing {
	t.Helper()
	d := &drawing{doc: &gopdf.GoPdf{}, fonts: &ours(t).fonts, added: make(map[string]bool)}
	d.doc.Start(gopdf.Config{Unit: gopdf.UnitMM, PageSize: *gopdf.PageSizeA4})
	return d
}

// What our fonts lack is drawn in the font for Hangul, letter by letter, and what that lacks too is a question mark.
func TestFontsOfNames(t *testing.T) {
	for text, want := range map[string][]run{
		"Jürgen Groß":        {{fontRegular, "Jürgen Groß"}},
		"Łukasz":             {{fontRegular, "Łukasz"}},
		"Иван Ψ":             {{fontRegular, "Иван Ψ"}},
		"김민준":                {{fontHangul, "김민준"}},
		"뷁쌰힣":                {{fontHangul, "뷁쌰힣"}},
		"김민준 (Jürgen)":       {{fontHangul, "김민준"}, {fontRegular, " (Jürgen)"}},
		"🎉 party \U0010ffff": {{fontRegular, "? party ?"}},
	} {
		d := newDrawing(t)
		equal(t, want, d.runs(fontRegular, text))
		wantTrue(t, d.width(fontRegular, 10, text) > 0)
		noError(t, d.err)
	}
}

// Lines are as long as they may be, and nothing of the text is lost between them.
func TestLinesOfAName(t *testing.T) {
	for _, text := range []string{"a", strings.Repeat("long name ", 20), strings.Repeat("W", 200), strings.Repeat("김민준 ", 30), strings.Repeat("김", 80), "Jürgen " + strings.Repeat("x", 90) + " end"} {
		d := newDrawing(t)
		lines := d.lines(fontBold, 15, textWidthMM, text)
		noError(t, d.err)
		for _, line := range lines {
			wantTrue(t, d.width(fontBold, 15, line) <= textWidthMM, line)
		}
		equal(t, strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(strings.Join(lines, ""), " ", ""))
	}
	wantTrue(t, len(newDrawing(t).lines(fontBold, 15, textWidthMM, "")) == 0)
}
