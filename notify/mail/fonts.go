package mail

import (
	"bytes"
	"compress/gzip"
	_ "embed" // a font
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/signintech/gopdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

// Fonts that an operator may put beside the templates, for scripts that ours lack.
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
	fontHangul  = "hangul"
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

//go:embed fonts/NanumGothic-Regular.ttf.gz
var nanumGothic []byte

// hangulFont draws what has Korean letters. It is unpacked when somebody first needs it.
var hangulFont = sync.OnceValues(func() (f fonts, err error) {
	packed, err := gzip.NewReader(bytes.NewReader(nanumGothic))
	if err != nil {
		return f, err
	}
	if f.regular.bytes, err = io.ReadAll(packed); err != nil {
		return f, err
	}
	if f.regular.glyph, err = sfnt.Parse(f.regular.bytes); err != nil {
		return f, err
	}
	f.parsed = &gopdf.FontContainer{}
	return f, f.parsed.AddTTFFontData(fontHangul, f.regular.bytes)
})

const basicPlaneMax = 0xffff // the library's tables end there

// inBasicPlane replaces characters that the library cannot write at all.
func inBasicPlane(text string) string {
	return strings.Map(func(r rune) rune {
		if r > basicPlaneMax {
			return '?'
		}
		return r
	}, text)
}

func (f font) draws(buffer *sfnt.Buffer, r rune) bool {
	if r > basicPlaneMax {
		return false
	}
	glyph, err := f.glyph.GlyphIndex(buffer, r)
	return err == nil && glyph != 0
}
