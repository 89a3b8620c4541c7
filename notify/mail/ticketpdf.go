package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"boxoffice/qrcode"
)

// Fonts that an operator may put beside the templates, for scripts that ours lacks: it has Latin, Greek and Cyrillic letters.
const (
	fontFile     = "font.ttf"
	boldFile     = "font-bold.ttf"
	fontBytesMax = 32 << 20
)

type fonts struct{ regular, bold font }

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
	f.bold, err = readFont(files, boldFile, otherwise)
	return f, err
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
	textWidthMM    = ticketWidthMM - codeSizeMM - 20
)

// pdf draws the tickets.
func (t *Templates) pdf(w *words, tells *Tells, codes []File) ([]byte, error) {
	doc := fpdf.New("P", "mm", "A4", "")
	doc.SetCreationDate(tells.PaidAt)
	doc.SetModificationDate(tells.PaidAt)
	doc.SetCatalogSort(true)
	doc.SetTitle(t.fonts.bold.fit(tells.Subject), true)
	doc.SetLang(tells.Language)
	doc.SetAutoPageBreak(false, 0)
	doc.AddUTF8FontFromBytes("tickets", "", t.fonts.regular.bytes)
	doc.AddUTF8FontFromBytes("tickets", "B", t.fonts.bold.bytes)
	for i, ticket := range tells.Tickets {
		if i%pageTickets == 0 {
			doc.AddPage()
		}
		if err := t.drawTicket(doc, w, tells, ticket, codes[i], marginMM+float64(i%pageTickets)*(ticketHeightMM+ticketGapMM)); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	err := doc.Output(&b)
	return b.Bytes(), err
}

func (t *Templates) drawTicket(doc *fpdf.Fpdf, w *words, tells *Tells, ticket TicketTold, code File, top float64) error {
	doc.SetDrawColor(200, 196, 216)
	doc.RoundedRect(marginMM, top, ticketWidthMM, ticketHeightMM, 3, "1234", "D")
	doc.SetFillColor(91, 63, 214)
	doc.Rect(marginMM, top+6, 1.6, ticketHeightMM-12, "F")
	options := fpdf.ImageOptions{ImageType: "PNG"}
	doc.RegisterImageOptionsReader(code.Name, options, bytes.NewReader(code.Content))
	doc.ImageOptions(code.Name, marginMM+6, top+(ticketHeightMM-codeSizeMM)/2, codeSizeMM, codeSizeMM, false, options, 0, "")

	said := map[string]string{}
	for _, name := range []string{"number", "hint", "order"} {
		part := w.pdf.Lookup(name)
		if part == nil {
			return fmt.Errorf("%s:1: want {{define %q}}…{{end}}", w.pdf.Name(), name)
		}
		var err error
		said[name], err = execute(part, map[string]any{"Number": ticket.Number, "Of": len(tells.Tickets), "Order": tells.Order})
		if err != nil {
			return err
		}
	}
	bold, regular := t.fonts.bold.fit, t.fonts.regular.fit
	doc.SetXY(textLeftMM, top+8)
	write := func(style string, points, lineMM float64, linesMax int, text string) {
		doc.SetFont("tickets", style, points)
		lines := doc.SplitText(text, textWidthMM)
		for i, line := range lines {
			if i == linesMax {
				break
			}
			doc.SetX(textLeftMM)
			doc.CellFormat(textWidthMM, lineMM, line, "", 2, "L", false, 0, "")
		}
	}
	doc.SetTextColor(29, 26, 41)
	write("B", 15, 6.6, 4, bold(tells.Sale))
	doc.SetY(doc.GetY() + 2)
	write("B", 12, 5.6, 1, bold(ticket.Class))
	doc.SetTextColor(101, 95, 120)
	write("", 10, 5, 1, regular(said["number"]))
	doc.SetY(top + ticketHeightMM - 33)
	doc.SetTextColor(29, 26, 41)
	write("B", 12, 6, 2, bold(ticket.Code))
	doc.SetTextColor(101, 95, 120)
	write("", 8.5, 4.2, 3, regular(said["hint"]))
	write("", 7, 4, 1, regular(said["order"]))
	return doc.Error()
}
