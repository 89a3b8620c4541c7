// Package picture makes pictures that people upload safe to show: it draws them anew, so that nothing of the file comes along but its
// pixels. No metadata, no place where a photograph was taken, no second meaning of the file.
package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // is read

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // is read

	"boxoffice/domain"
)

// Limits of a picture.
const (
	FileBytesMax = 8 << 20
	sideMax      = 6000       // pixels
	pixelsMax    = 24_000_000 // four bytes each while it is drawn
	shownSideMax = 1600       // pixels
	quality      = 82
)

// drawing is whose turn it is: one picture at a time, because of the memory.
var drawing = make(chan struct{}, 1)

// A Picture is a JPEG.
type Picture struct {
	JPEG          []byte
	Width, Height int
}

// Read reads a PNG, JPEG or WebP. It looks at the file and believes no name and no media type. The error is a *domain.Error with
// CodeInvalid that names the field.
func Read(field string, file []byte) (Picture, error) {
	invalid := func(rule string) (Picture, error) { return Picture{}, domain.Invalid(field, rule) }
	if len(file) > FileBytesMax {
		return invalid(fmt.Sprintf("must have at most %d MiB", FileBytesMax>>20))
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(file))
	switch {
	case err != nil, format != "png" && format != "jpeg" && format != "webp": // other packages bring other formats
		return invalid("must be a PNG, JPEG or WebP")
	case config.Width < 1 || config.Height < 1 || config.Width > sideMax || config.Height > sideMax || config.Width*config.Height > pixelsMax:
		return invalid(fmt.Sprintf("must have at most %d pixels a side and %d million in all", sideMax, pixelsMax/1_000_000))
	}
	drawing <- struct{}{}
	defer func() { <-drawing }()
	original, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return invalid("is a broken " + format)
	}
	width, height := shown(config.Width, config.Height)
	canvas := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src) // a JPEG is not transparent
	draw.ApproxBiLinear.Scale(canvas, canvas.Bounds(), original, original.Bounds(), draw.Over, nil)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, canvas, &jpeg.Options{Quality: quality}); err != nil {
		return Picture{}, err
	}
	return Picture{b.Bytes(), width, height}, nil
}

// shown is the size in which a picture is shown: its own, or smaller.
func shown(width, height int) (w, h int) {
	longer := max(width, height)
	if longer <= shownSideMax {
		return width, height
	}
	return max(1, width*shownSideMax/longer), max(1, height*shownSideMax/longer)
}
