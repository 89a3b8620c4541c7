package api

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"net/http/httptest"
	"strings"
	"testing"

	"boxoffice/domain"
	"boxoffice/picture"
)

func (b *bundle) putImage(file, ifMatch string) request {
	header := bearerOf(testAdminToken)
	header["Content-Type"] = "image/png"
	if ifMatch != "" {
		header["If-Match"] = ifMatch
	}
	return request{"PUT", "/v1/sales/conference/image", file, header}
}

func pngFile(t *testing.T, width, height int) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// An image is uploaded, drawn anew, and shown at an address of its own for ever.
func TestTheImageOfASale(t *testing.T) {
	b := setup(t)
	w := b.do(b.putImage(pngFile(t, 3200, 1800), `"1"`))
	var put SaleView
	decode(t, w, &put)
	if w.Code != 200 || w.Header().Get("ETag") != `"2"` || put.Image == nil || put.Image.Width != 1600 || put.Image.Height != 900 {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	var shown *httptest.ResponseRecorder
	for range 3 {
		shown = b.do(request{method: "GET", path: put.Image.URL})
	}
	h := shown.Header()
	if shown.Code != 200 || h.Get("Content-Type") != "image/jpeg" || h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", shown.Code, h)
	}
	if drawn, err := jpeg.Decode(shown.Body); err != nil || drawn.Bounds().Dx() != 1600 {
		t.Errorf("%v", err)
	}
	if b.world.imageReads != 1 {
		t.Errorf("the database was asked %d times", b.world.imageReads)
	}

	// Another image has another address, and the first one shows nothing any more.
	w = b.do(b.putImage(pngFile(t, 20, 10), `"2"`))
	var other SaleView
	decode(t, w, &other)
	if w.Code != 200 || other.Image.URL == put.Image.URL {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{method: "GET", path: put.Image.URL}), 404, domain.CodeNotFound)

	remove := b.putImage("", `"3"`)
	remove.method = "DELETE"
	if w := b.do(remove); w.Code != 200 || strings.Contains(w.Body.String(), `"image"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, b.do(request{method: "GET", path: other.Image.URL}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/conference/images/"}), 404, domain.CodeNotFound)
}

func TestBadImagesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		file, ifMatch string
		status        int
		code          domain.Code
	}{
		"an SVG with a script":  {`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "*", 422, domain.CodeInvalid},
		"HTML":                  {`<!doctype html>`, "*", 422, domain.CodeInvalid},
		"nothing":               {``, "*", 422, domain.CodeInvalid},
		"50 MB":                 {strings.Repeat("x", 50_000_000), "*", 413, domain.CodeTooLarge},
		"one byte too many":     {strings.Repeat("x", picture.FileBytesMax+1), "*", 413, domain.CodeTooLarge},
		"another version":       {pngFile(t, 1, 1), `"7"`, 412, domain.CodeChanged},
		"for no version at all": {pngFile(t, 1, 1), ``, 428, codeVersionMissing},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			w := b.do(b.putImage(tt.file, tt.ifMatch))
			wantProblem(t, w, tt.status, tt.code)
			if tt.code == domain.CodeInvalid && !strings.Contains(w.Body.String(), `"field":"image"`) && name != "nothing" {
				t.Errorf("%s names no field", w.Body)
			}
			if view, _ := b.saleView(t); view.Version != 1 || view.Image != nil {
				t.Errorf("changed: %+v", view)
			}
		})
	}
}

// Who is not the organiser cannot make a node read a large body.
func TestOnlyTheOrganiserSendsLargeBodies(t *testing.T) {
	b := setup(t)
	r := b.putImage(strings.Repeat("x", BodyBytesMax+1), "*")
	r.header["Authorization"] = "Bearer nobody"
	wantProblem(t, b.do(r), 413, domain.CodeTooLarge)
	r.body = pngFile(t, 1, 1)
	wantProblem(t, b.do(r), 401, domain.CodeUnauthorized)
}
