package mail

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/signintech/gopdf"
	"golang.org/x/image/font/sfnt"

	"boxoffice/calendar"
	"boxoffice/domain"
	"boxoffice/qrcode"
)

// addTickets adds the QR codes that the HTML shows, and all tickets as a PDF.
func (t *Templates) addTickets(w *words, m *Message, tells *Tells) error {
	for i := range tells.Tickets {
		ticket := &tells.Tickets[i]
		var err error
		if ticket.png, err = qrcode.PNG(ticket.scanned); err != nil {
			return err
		}
		m.Images = append(m.Images, File{ticket.Image, "image/png", ticket.png})
	}
	pdf, err := t.pdf(w, tells)
	if err != nil {
		return fmt.Errorf("the tickets' PDF: %w", err)
	}
	m.Files = append(m.Files, File{"tickets.pdf", "application/pdf", pdf})
	if tells.event != nil {
		m.Files = append(m.Files, File{calendar.FileName, calendar.ContentType, tells.event})
	}
	return nil
}

// Millimetres on an A4 page: three tickets, each with a border to cut along.
const (
	pageTickets    = 3
	marginMM       = 15.0
	ticketWidthMM  = 180.0
	ticketHeightMM = 84.0
	ticketGapMM    = 6.0
	codeSizeMM     = 68.0
	textLeftMM     = marginMM + codeSizeMM + 14
	lineMM         = 0.2
	textWidthMM    = ticketWidthMM - codeSizeMM - 20
)

// TicketsPDF draws all tickets of an order, as its mail has them, in the best of these languages: a list as in Accept-Language. Tickets
// that are void say so, and have no code to scan. It fails for an order without tickets.
func (t *Templates) TicketsPDF(languages string, order *domain.SoldOrder, sale *domain.Sale) (pdf []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // as in compose
			pdf, err = nil, fmt.Errorf("the tickets' PDF: %v", r)
		}
	}()
	if len(order.Tickets) == 0 {
		return nil, errors.New("the tickets' PDF: the order has no tickets")
	}
	w, tells := t.match(languages), tellsOf(order, "")
	tells.tellFacts(order, sale, time.Time{})
	tells.Sale, tells.Subject = sale.Name, sale.Name
	tells.Void = sale.Canceled() || order.Status.Terms().Tickets != domain.TicketsValid
	return t.pdf(w, tells)
}

// pdf draws the tickets.
func (t *Templates) pdf(w *words, tells *Tells) ([]byte, error) {
	doc := &gopdf.GoPdf{}
	doc.Start(gopdf.Config{Unit: gopdf.UnitMM, PageSize: *gopdf.PageSizeA4})
	doc.SetInfo(gopdf.PdfInfo{Title: inBasicPlane(tells.Subject), CreationDate: tells.PaidAt})
	d := &drawing{doc: doc, fonts: &t.fonts, words: w, tells: tells, added: make(map[string]bool)}
	for i, ticket := range tells.Tickets {
		if i%pageTickets == 0 {
			doc.AddPage()
		}
		if err := d.ticket(ticket, marginMM+float64(i%pageTickets)*(ticketHeightMM+ticketGapMM)); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	_, err := doc.WriteTo(&b)
	return b.Bytes(), err
}

// wordsOnTicket writes what a ticket says in this language, by the names in pdf.txt. A file of an operator from before there was one
// of the later names says it in English, if it must be said.
func (w *words) wordsOnTicket(tells *Tells, ticket TicketTold) (map[string]string, error) {
	said := map[string]string{"void": "VOID", "void_hint": "This ticket is no longer valid. It lets nobody in."}
	for _, name := range []string{"number", "hint", "order", "when", "void", "void_hint"} {
		part := w.pdf.Lookup(name)
		switch {
		case name == "when" && (part == nil || tells.StartsAt.IsZero()), part == nil && said[name] != "":
			continue
		case part == nil:
			return nil, fmt.Errorf("%s:1: want {{define %q}}…{{end}}", w.pdf.Name(), name)
		}
		var err error
		said[name], err = execute(part, map[string]any{
			"Number": ticket.Number, "Of": len(tells.Tickets), "Order": tells.Order,
			"StartsAt": tells.StartsAt, "EndsAt": tells.EndsAt, "SameDay": tells.SameDay(), "TimeZone": tells.TimeZone,
		})
		if err != nil {
			return nil, err
		}
	}
	return said, nil
}

// A drawing is a PDF while it is drawn.
type drawing struct {
	doc   *gopdf.GoPdf
	fonts *fonts
	words *words
	tells *Tells
	added map[string]bool // fonts
	err   error           // the first one
}

// A color is red, green and blue.
type color [3]uint8

var (
	inkColor    = color{29, 26, 41}
	mutedColor  = color{101, 95, 120}
	accentColor = color{91, 63, 214}
	voidColor   = color{176, 28, 28}
)

func (d *drawing) ink(c color) { d.doc.SetTextColor(c[0], c[1], c[2]) }

// A run is text that one font can draw.
type run struct{ family, text string }

// runs divides a text by fonts: what the wanted one lacks may be in that for Hangul. What neither can draw becomes a question mark.
func (d *drawing) runs(family, text string) (runs []run) {
	f := d.fonts.regular
	if family == fontBold {
		f = d.fonts.bold
	}
	var buffer sfnt.Buffer
	for _, r := range text {
		wanted := run{family, string(r)}
		if !f.draws(&buffer, r) {
			hangul, err := hangulFont()
			if d.fail(err); err == nil && hangul.regular.draws(&buffer, r) {
				wanted.family = fontHangul
			} else {
				wanted.text = "?"
			}
		}
		if last := len(runs) - 1; last >= 0 && runs[last].family == wanted.family {
			runs[last].text += wanted.text
		} else {
			runs = append(runs, wanted)
		}
	}
	return runs
}

// setFont makes the document draw in a font.
func (d *drawing) setFont(family string, points float64) {
	if !d.added[family] {
		parsed := d.fonts.parsed
		if family == fontHangul {
			hangul, err := hangulFont()
			d.fail(err)
			parsed = hangul.parsed
		}
		if d.err != nil {
			return
		}
		d.added[family] = true
		d.fail(d.doc.AddTTFFontFromFontContainer(family, parsed))
	}
	if d.err == nil {
		d.fail(d.doc.SetFont(family, "", points))
	}
}

// width is how long a text is when it is drawn.
func (d *drawing) width(family string, points float64, text string) (mm float64) {
	for _, run := range d.runs(family, text) {
		if d.setFont(run.family, points); d.err != nil {
			return 0
		}
		width, err := d.doc.MeasureTextWidth(run.text)
		d.fail(err)
		mm += width
	}
	return mm
}

// lines divides a text into lines that are not longer than they may be: between words, or else within one.
func (d *drawing) lines(family string, points, widthMM float64, text string) (lines []string) {
	fits := func(text string) bool { return d.width(family, points, text) <= widthMM }
	line := ""
	for _, word := range strings.Fields(text) {
		if longer := strings.TrimSpace(line + " " + word); fits(longer) {
			line = longer
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for line = ""; word != ""; word = strings.TrimPrefix(word, line) {
			if line != "" {
				lines = append(lines, line)
			}
			line = word
			for !fits(line) && utf8.RuneCountInString(line) > 1 {
				_, last := utf8.DecodeLastRuneInString(line)
				line = line[:len(line)-last]
			}
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// draw draws a line of text from a point on.
func (d *drawing) draw(x, y, lineHeightMM float64, family string, points float64, text string) {
	for _, run := range d.runs(family, text) {
		if d.setFont(run.family, points); d.err != nil {
			return
		}
		width, err := d.doc.MeasureTextWidth(run.text)
		d.fail(err)
		d.doc.SetXY(x, y)
		d.fail(d.doc.CellWithOption(&gopdf.Rect{W: width, H: lineHeightMM}, run.text, gopdf.CellOption{Align: gopdf.Left | gopdf.Middle}))
		x += width
	}
}

func (d *drawing) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// write writes a text below y in at most so many lines, and returns where it ends.
func (d *drawing) write(y float64, family string, points, lineHeightMM float64, linesMax int, text string) float64 {
	lines := d.lines(family, points, textWidthMM, text)
	if len(lines) > linesMax {
		lines = lines[:linesMax]
		lines[linesMax-1] += "…"
	}
	for _, line := range lines {
		d.draw(textLeftMM, y, lineHeightMM, family, points, line)
		y += lineHeightMM
	}
	return y
}

func (d *drawing) ticket(ticket TicketTold, top float64) error {
	said, err := d.words.wordsOnTicket(d.tells, ticket)
	if err != nil {
		return err
	}
	const cornerMM, cornerPoints = 3, 8
	doc, bar := d.doc, accentColor
	if d.tells.Void {
		bar = voidColor
	}
	doc.SetStrokeColor(200, 196, 216)
	doc.SetLineWidth(lineMM)
	d.fail(doc.Rectangle(marginMM, top, marginMM+ticketWidthMM, top+ticketHeightMM, "D", cornerMM, cornerPoints))
	doc.SetFillColor(bar[0], bar[1], bar[2])
	doc.RectFromUpperLeftWithStyle(marginMM, top+6, 1.6, ticketHeightMM-12, "F")
	if d.tells.Void {
		d.void(said["void"], top)
	} else {
		d.code(ticket, top)
	}
	d.text(ticket, said, top)
	return d.err
}

// code draws the code to scan.
func (d *drawing) code(ticket TicketTold, top float64) {
	if ticket.png == nil {
		var err error
		ticket.png, err = qrcode.PNG(ticket.scanned)
		d.fail(err)
	}
	if d.err != nil {
		return
	}
	holder, err := gopdf.ImageHolderByBytes(ticket.png)
	d.fail(err)
	if d.err == nil {
		d.fail(d.doc.ImageByHolder(holder, marginMM+6, top+(ticketHeightMM-codeSizeMM)/2, &gopdf.Rect{W: codeSizeMM, H: codeSizeMM}))
	}
}

// void says where a code would stand that there is none any more.
func (d *drawing) void(text string, top float64) {
	const linesMM, points, textHeightMM = 1.2, 30, 14
	left, top := marginMM+6.0, top+(ticketHeightMM-codeSizeMM)/2
	d.doc.SetStrokeColor(voidColor[0], voidColor[1], voidColor[2])
	d.doc.SetLineWidth(linesMM)
	middle := top + codeSizeMM/2
	for _, y := range []float64{middle - textHeightMM, middle + textHeightMM} {
		d.doc.Line(left, y, left+codeSizeMM, y)
	}
	d.doc.RectFromUpperLeftWithStyle(left, top, codeSizeMM, codeSizeMM, "D")
	d.ink(voidColor)
	d.draw(left+(codeSizeMM-d.width(fontBold, points, text))/2, middle-textHeightMM/2, textHeightMM, fontBold, points, text)
	d.doc.SetLineWidth(lineMM)
}

// text writes what stands beside the code: from above what it is for, from below the code in letters.
func (d *drawing) text(ticket TicketTold, said map[string]string, top float64) {
	const codeTopMM, factLineMM = ticketHeightMM - 33, 4.2
	nameLinesMax := 4 // below it there must be room for the holder, and for when and where
	switch {
	case ticket.Holder != "":
		nameLinesMax = 2
	case said["when"] != "" || d.tells.Venue != "":
		nameLinesMax = 3
	}
	d.ink(inkColor)
	y := d.write(top+8, fontBold, 15, 6.6, nameLinesMax, d.tells.Sale)
	y = d.write(y+2, fontBold, 12, 5.6, 1, ticket.Class)
	y = d.write(y, fontRegular, 12, 5.6, 1, ticket.Holder)
	d.ink(mutedColor)
	y = d.write(y, fontRegular, 10, 5, 1, said["number"])
	y = d.write(min(y+1, top+codeTopMM-2*factLineMM), fontRegular, 8.5, factLineMM, 1, said["when"])
	d.write(y, fontRegular, 8.5, factLineMM, 1, d.tells.Venue)

	hint := said["hint"]
	if d.tells.Void {
		hint = said["void_hint"]
	} else {
		d.ink(inkColor)
	}
	y = d.write(top+codeTopMM, fontBold, 12, 6, 2, ticket.Code)
	if d.tells.Void {
		d.ink(voidColor)
	} else {
		d.ink(mutedColor)
	}
	y = d.write(y, fontRegular, 8.5, 4.2, 3, hint)
	d.ink(mutedColor)
	d.write(y, fontRegular, 7, 4, 1, said["order"])
}
