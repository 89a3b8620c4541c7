// Package qrcode draws the codes of tickets: for the API's images, and for pages
// that show them without JavaScript.
package qrcode

import (
	"bytes"
	"fmt"

	"rsc.io/qr"
)

// quietModules is the white border that readers need (ISO/IEC 18004).
const quietModules = 4

// PNG draws a text as a PNG image.
func PNG(text string) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	return code.PNG(), nil
}

// SVG draws a text as an SVG image: one path of unit squares, black on white in any
// colour scheme. It has no text of the caller's in it, so it can stand in a page.
func SVG(text string) ([]byte, error) {
	code, err := encode(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	size := code.Size + 2*quietModules
	fmt.Fprintf(
		&b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`,
		size,
		size,
		size,
		size,
	)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quietModules, y+quietModules)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

func encode(text string) (*qr.Code, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("draw a ticket's QR code: %w", err)
	}
	return code, nil
}
