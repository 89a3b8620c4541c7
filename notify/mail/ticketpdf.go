package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/signintech/gopdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"boxoffice/calendar"
	"boxoffice/qrcode"
)

// Fonts that an operator may put beside the templates, for scripts that ours lacks: it has Latin, Greek and Cyrillic letters.
const (
	fontFile     = "font.ttf"
	boldFile     = "font-bold.ttf"
	fontBytesMax = 32 << 20
)

type fonts struct {
	regular, bold font
	parsed        *gopdf.FontContainer // both, for all PDFs: to parse them takes longer than to draw a ticket
}

// Names of fonts in a PDF.
const (
	fontRegular = "regular"
	fontBold    = "bold"
)

type font struct {
	bytes []byte
	glyph *sfnt.Font
}

func readFonts(files overlay) (f fonts, err error) {
	if f.regular, err = readFont(files, fontFile, goregular.TTF); err != nil {
		return f, err
	}
	// An operator's font replaces both weights, because ours lacks the letters that theirs is for.
	otherwise := gobold.TTF
	if !bytes.Equal(f.regular.bytes, goregular.TTF) {
		otherwise = f.regular.bytes
	}
	if f.bold, err = readFont(files, boldFile, otherwise); err != nil {
		return f, err
	}
	f.parsed = &gopdf.FontContainer{}
	for _, one := range []struct {
		family, file string
		font         font
	}{{fontRegular, fontFile, f.regular}, {fontBold, boldFile, f.bold}} {
		if err := f.parsed.AddTTFFontData(one.family, one.font.bytes); err != nil {
			return f, fmt.Errorf("%s: %w", one.file, err)
		}
	}
	return f, nil
}

func readFont(files overlay, name string, otherwise []byte) (font, error) {
	content, err := files.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		content, err = otherwise, nil
	}
	if err != nil {
		return font{}, err
	}
	glyphs, err := sfnt.Parse(content)
	if err != nil {
		return font{}, fmt.Errorf("%s: %w", name, err)
	}
	return font{content, glyphs}, nil
}

// fit replaces characters that the font cannot draw: the PDF library would draw boxes, or fail.
func (f font) fit(text string) string {
	const basicPlaneMax = 0xffff // the library's tables end there
	var buffer sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if r <= basicPlaneMax {
			if glyph, err := f.glyph.GlyphIndex(&buffer, r); err == nil && glyph != 0 {
				return r
			}
		}
		return '?'
	}, text)
}

// addTickets adds the QR codes that the HTML shows, and all tickets as a PDF.
func (t *Templates) addTickets(w *words, m *Message, tells *Tells) error {
	for _, ticket := range tells.Tickets {
		image, err := qrcode.PNG(ticket.scanned)
		if err != nil {
			return err
		}
		m.Images = append(m.Images, File{ticket.Image, "image/png", image})
	}
	pdf, err := t.pdf(w, tells, m.Images)
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

// pdf draws the tickets.
func (t *Templates) pdf(w *words, tells *Tells, codes []File) ([]byte, error) {
	doc := &gopdf.GoPdf{}
	doc.Start(gopdf.Config{Unit: gopdf.UnitMM, PageSize: *gopdf.PageSizeA4})
	doc.SetInfo(gopdf.PdfInfo{Title: t.fonts.bold.fit(tells.Subject), CreationDate: tells.PaidAt})
	for _, family := range []string{fontRegular, fontBold} {
		if err := doc.AddTTFFontFromFontContainer(family, t.fonts.parsed); err != nil {
			return nil, err
		}
	}
	for i, ticket := range tells.Tickets {
		if i%pageTickets == 0 {
			doc.AddPage()
		}
		if err := t.drawTicket(doc, w, tells, ticket, codes[i], marginMM+float64(i%pageTickets)*(ticketHeightMM+ticketGapMM)); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	_, err := doc.WriteTo(&b)
	return b.Bytes(), err
}

// wordsOnTicket writes what a ticket says in this language, by the names in pdf.txt.
func (w *words) wordsOnTicket(tells *Tells, ticket TicketTold) (map[string]string, error) {
	said := map[string]string{}
	for _, name := range []string{"number", "hint", "order", "when"} {
		part := w.pdf.Lookup(name)
		switch {
		case name == "when" && (part == nil || tells.StartsAt.IsZero()): // an operator's file from before there was one
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

func (t *Templates) drawTicket(doc *gopdf.GoPdf, w *words, tells *Tells, ticket TicketTold, code File, top float64) error {
	const cornerMM, cornerPoints = 3, 8
	doc.SetStrokeColor(200, 196, 216)
	doc.SetLineWidth(lineMM)
	if err := doc.Rectangle(marginMM, top, marginMM+ticketWidthMM, top+ticketHeightMM, "D", cornerMM, cornerPoints); err != nil {
		return err
	}
	doc.SetFillColor(91, 63, 214)
	doc.RectFromUpperLeftWithStyle(marginMM, top+6, 1.6, ticketHeightMM-12, "F")
	image, err := gopdf.ImageHolderByBytes(code.Content)
	if err != nil {
		return err
	}
	if err := doc.ImageByHolder(image, marginMM+6, top+(ticketHeightMM-codeSizeMM)/2, &gopdf.Rect{W: codeSizeMM, H: codeSizeMM}); err != nil {
		return err
	}

	said, err := w.wordsOnTicket(tells, ticket)
	if err != nil {
		return err
	}
	y := top + 8
	write := func(family string, f font, points, lineHeightMM float64, linesMax int, text string) {
		if err == nil {
			err = doc.SetFont(family, "", points)
		}
		text = strings.TrimSpace(f.fit(text))
		if err != nil || text == "" {
			return
		}
		var lines []string
		if lines, err = doc.SplitTextWithWordWrap(text, textWidthMM); err != nil {
			return
		}
		for _, line := range lines[:min(len(lines), linesMax)] {
			doc.SetXY(textLeftMM, y)
			err = errors.Join(err, doc.CellWithOption(&gopdf.Rect{W: textWidthMM, H: lineHeightMM}, line, gopdf.CellOption{Align: gopdf.Left | gopdf.Middle}))
			y += lineHeightMM
		}
	}
	bold, regular := t.fonts.bold, t.fonts.regular
	doc.SetTextColor(29, 26, 41)
	write(fontBold, bold, 15, 6.6, 4, tells.Sale)
	y += 2
	write(fontBold, bold, 12, 5.6, 1, ticket.Class)
	doc.SetTextColor(101, 95, 120)
	write(fontRegular, regular, 10, 5, 1, said["number"])
	y = min(y+1, top+ticketHeightMM-33-2*4.2) // room for two lines, however long the sale's name is
	write(fontRegular, regular, 8.5, 4.2, 1, said["when"])
	write(fontRegular, regular, 8.5, 4.2, 1, tells.Venue)
	y = top + ticketHeightMM - 33
	doc.SetTextColor(29, 26, 41)
	write(fontBold, bold, 12, 6, 2, ticket.Code)
	doc.SetTextColor(101, 95, 120)
	write(fontRegular, regular, 8.5, 4.2, 3, said["hint"])
	write(fontRegular, regular, 7, 4, 1, said["order"])
	return err
}
