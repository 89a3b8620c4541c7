package picture_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"boxoffice/domain"
	"boxoffice/picture"
)

func plain(width, height int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = 0xff
	}
	m.Set(0, 0, color.NRGBA{})
	return m
}

func asPNG(m image.Image) []byte {
	var b bytes.Buffer
	_ = png.Encode(&b, m)
	return b.Bytes()
}

func asJPEG(m image.Image) []byte {
	var b bytes.Buffer
	_ = jpeg.Encode(&b, m, nil)
	return b.Bytes()
}

// pngOfSize says that it has a size, and has no pixels.
func pngOfSize(width, height uint32) []byte {
	file := asPNG(plain(1, 1))
	header := file[12:29] // IHDR and its fields
	binary.BigEndian.PutUint32(header[4:], width)
	binary.BigEndian.PutUint32(header[8:], height)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(header))
	return file
}

func TestPicturesAreDrawnAnew(t *testing.T) {
	webp, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	const script = "<script>alert(1)</script>"
	for name, tt := range map[string]struct {
		file          []byte
		width, height int
	}{
		"PNG":                    {asPNG(plain(40, 30)), 40, 30},
		"JPEG":                   {asJPEG(plain(40, 30)), 40, 30},
		"WebP":                   {webp, 1, 1},
		"a large one":            {asPNG(plain(3200, 100)), 1600, 50},
		"a tall one":             {asPNG(plain(2, 4000)), 1, 1600},
		"with a script behind":   {append(asPNG(plain(40, 30)), script...), 40, 30},
		"with a script in front": {append([]byte("\xff\xd8\xff\xfe\x00\x1b"+script), asJPEG(plain(40, 30))[2:]...), 40, 30},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := picture.Read("image", tt.file)
			if err != nil {
				t.Fatal(err)
			}
			drawn, format, err := image.Decode(bytes.NewReader(got.JPEG))
			if err != nil || format != "jpeg" || drawn.Bounds().Dx() != tt.width || drawn.Bounds().Dy() != tt.height || got.Width != tt.width || got.Height != tt.height {
				t.Errorf("%s %v of %dx%d, %v, want %dx%d", format, drawn.Bounds(), got.Width, got.Height, err, tt.width, tt.height)
			}
			if bytes.Contains(got.JPEG, []byte("script")) {
				t.Error("the script came along")
			}
		})
	}
}

func TestWhatIsNoPictureIsRefused(t *testing.T) {
	var animated bytes.Buffer
	if err := gif.Encode(&animated, plain(2, 2), nil); err != nil {
		t.Fatal(err)
	}
	whole := asPNG(plain(40, 30))
	for name, file := range map[string][]byte{
		"nothing":              nil,
		"HTML":                 []byte("<!doctype html><script>alert(1)</script>"),
		"an SVG":               []byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><script>alert(1)</script></svg>`),
		"a GIF":                animated.Bytes(),
		"half of one":          whole[:len(whole)/2],
		"only its beginning":   whole[:8],
		"too wide":             pngOfSize(6001, 1),
		"a decompression bomb": pngOfSize(5000, 5000),
		"of no size":           pngOfSize(0, 1),
		"of negative size":     pngOfSize(0xffffffff, 0xffffffff),
		"too many bytes":       make([]byte, picture.FileBytesMax+1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := picture.Read("image", file)
			if domain.CodeOf(err) != domain.CodeInvalid {
				t.Errorf("%dx%d, %v, want it refused", got.Width, got.Height, err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(asPNG(plain(3, 2)))
	f.Add(asJPEG(plain(3, 2)))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := picture.Read("image", file); err != nil && domain.CodeOf(err) != domain.CodeInvalid {
			t.Error(err)
		}
	})
}
