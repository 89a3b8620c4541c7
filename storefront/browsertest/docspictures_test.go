package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"boxoffice/domain"
	"boxoffice/mockpay"
	payclient "boxoffice/payments/mockpay"
	"boxoffice/waitingroom"
)

// The screenshots of the docs: make pictures.
const (
	docsPicturesVariable = "BOXOFFICE_DOCS_PICTURES" // the folder that they go to
	docsPictures         = "../../docs/images"
	docsPicturesBytesMax = 1_500_000 // together: everybody who clones this gets them
	pictureQuality       = 82
)

// A docsPicture is a page of a buyer's journey, or the organiser's.
type docsPicture struct {
	name  string
	enter func(t *testing.T, s *shop, v *visitor)
	ready string
	top   string // what stands at the top of the picture; empty: the page's
}

// In the order of the journey.
var docsPages = []docsPicture{
	{name: "shop", ready: heading("On sale now"), enter: func(_ *testing.T, s *shop, v *visitor) { v.open(s.URL + "/") }},
	{name: "sale", ready: "document.querySelector('.poster').naturalWidth > 0 && document.getElementById('buy').textContent === 'Hold 2 tickets'", enter: func(_ *testing.T, s *shop, v *visitor) {
		v.open(s.URL + "/sales/concert")
		v.choose("stalls", 2)
	}},
	{name: "held", ready: heading("Your seats are held") + " && document.querySelector('.lines')", enter: atDocsOrder(func(*shop, domain.OrderID) {})},
	{name: "pay", ready: "document.querySelector('button')", enter: atMockPay},
	{name: "tickets", ready: "document.querySelectorAll('.ticket img[src]').length === 2", enter: atDocsOrder(func(s *shop, id domain.OrderID) { s.pay(id) })},
	{name: "queue", ready: heading("You are in the queue"), enter: func(_ *testing.T, s *shop, v *visitor) {
		atPlace(waitingroom.Place{
			Status: waitingroom.StatusWaiting, Position: 312, Ahead: 311, Waiting: 5120, Wait: 3 * time.Minute, RatePerSecond: 2, RetryAfter: time.Second,
			Draw: waitingroom.Draw{Version: 2, Source: domain.QueueDrawBeacon, State: waitingroom.DrawDrawn, Size: 893, Commitment: strings.Repeat("9f2c", 16)},
		})(s, v)
	}},
	{name: "organiser", ready: "document.querySelectorAll('#plot rect').length > 20", enter: func(_ *testing.T, s *shop, v *visitor) {
		s.setFigures(docsFigures)
		v.organise(s)
	}},
	{name: "organiser-forms", ready: "document.getElementById('fact-imprint').value", top: "#facts-panel", enter: func(_ *testing.T, s *shop, v *visitor) {
		v.organise(s, "#facts-panel")
	}},
}

// docsSizes are a phone, sharp, and a desktop.
var docsSizes = []struct {
	name          string
	width, height int64
	scale         float64
}{{"phone", 390, 844, 2}, {"desktop", 1280, 860, 1}}

func docsSale(sale *domain.Sale) {
	starts := time.Date(2099, 6, 5, 18, 0, 0, 0, time.UTC)
	sale.Name, sale.Image = "Midsummer Night", domain.SaleImage{Hash: strings.Repeat("ab", 16), Width: 1200, Height: 500}
	sale.Classes = []domain.Class{
		{Name: "stalls", Label: "Stalls, left", PriceMinor: 6500, Capacity: 400, Ledger: 1},
		{Name: "balcony", Label: "Balcony", PriceMinor: 3900, Capacity: 200, Ledger: 2, MaxPerOrder: 4},
	}
	sale.Facts = domain.Facts{
		Description: "An orchestra, a park, and the longest evening of the year. Bring a blanket.",
		Venue:       domain.Venue{Name: "Parkbühne", Address: "Am Wasser 1\n10963 Berlin"},
		StartsAt:    starts, EndsAt: starts.Add(3 * time.Hour), TimeZone: "Europe/Berlin",
		Terms: "No cameras. Children up to six years come free.", Imprint: "Sommerbühne gGmbH, Am Wasser 1, 10963 Berlin",
	}
}

// docsShop has three sales; one is sold out.
func docsShop(t *testing.T, withRoom bool) *shop {
	s := open(t, docsSale, func(sale *domain.Sale) { sale.WaitingRoom = withRoom })
	for i, other := range []domain.Sale{
		{ID: "chamber", Name: "Chamber Music at Noon", Facts: domain.Facts{Venue: domain.Venue{Name: "Town Hall"}}},
		{ID: "finale", Name: "Season Finale", Facts: domain.Facts{Venue: domain.Venue{Name: "Parkbühne"}}},
	} {
		ledger := uint32(11 + i)
		other.Currency, other.BuyerLimit, other.HoldTimeout, other.Version = "EUR", 6, 10*time.Minute, 1
		other.Classes = []domain.Class{{Name: "A", PriceMinor: int64(1500 + 2400*i), Capacity: 150, Ledger: ledger}}
		s.sales = append(s.sales, &other)
		s.stock[ledger] = &domain.StockLevel{Name: "A", Ledger: ledger, Capacity: 150, Available: 150 * int64(1-i), Sold: 150 * int64(i)}
	}
	s.setStock(1, 23, 148)
	s.setStock(2, 4, 61)
	s.poster = docsPoster()
	return s
}

// docsPoster is a sun over water.
func docsPoster() []byte {
	const width, height, horizon = 1200, 500, 330
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	mix := func(a, b float64, by float64) uint8 { return uint8(a + (b-a)*by) }
	for y := range height {
		for x := range width {
			by := float64(y) / height
			c := color.RGBA{mix(36, 250, by), mix(30, 150, by), mix(92, 96, by), 255}
			sun := math.Hypot(float64(x)-820, float64(y)-horizon+30) < 120
			switch {
			case y > horizon:
				glitter := math.Abs(float64(x)-820) < 130+float64(y-horizon)/2 && (y/9)%2 == 0
				if c = (color.RGBA{mix(30, 20, by), mix(52, 24, by), mix(98, 60, by), 255}); glitter {
					c = color.RGBA{220, 150, 92, 255}
				}
			case sun:
				c = color.RGBA{255, 214, 120, 255}
			}
			picture.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	_ = jpeg.Encode(&b, picture, nil) // a buffer takes everything
	return b.Bytes()
}

func docsFigures(f *domain.SaleFigures) {
	const minute = 34_000_000
	f.StepMinutes = 1
	sells(f, "stalls", minute, 6500, 0, 9, 17, 23, 14, 12, 16, 9, 7, 11, 6, 5, 8, 3, 4, 2, 2)
	sells(f, "balcony", minute, 3900, 0, 2, 6, 8, 7, 9, 5, 6, 4, 3, 4, 2, 1, 2, 1, 1, 0)
	sold := int64(148 + 61)
	f.Rows = append(f.Rows,
		domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigurePaid, Currency: "EUR"}, FigureSum: domain.FigureSum{Count: 112, AmountMinor: 148*6500 + 61*3900}},
		domain.FigureRow{FigureKey: domain.FigureKey{Figure: domain.FigureUnsold, About: "expired", Currency: "EUR"}, FigureSum: domain.FigureSum{Count: sold / 9}})
}

// atDocsOrder opens the page of an order that something has become of.
func atDocsOrder(change func(*shop, domain.OrderID)) func(*testing.T, *shop, *visitor) {
	return func(_ *testing.T, s *shop, v *visitor) {
		id, token := s.hold("stalls", 2)
		change(s, id)
		v.open(s.URL + "/orders/" + id.String() + "#" + token)
	}
}

// atMockPay opens the page of a MockPay.
func atMockPay(t *testing.T, s *shop, v *visitor) {
	secrets, err := payclient.ParseSecrets("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		t.Fatal(err)
	}
	pay, err := mockpay.New(mockpay.Config{Addr: "127.0.0.1:0", DataDir: t.TempDir(), BoxofficeURL: s.URL, Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pay.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	links, err := payclient.NewPayLinks(pay.URL(), secrets)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := s.hold("stalls", 2)
	link, err := links.URL(payclient.PayLink{
		Order: id, AmountMinor: 13_000, Currency: "EUR", ExpiresAt: time.Now().Add(9*time.Minute + 40*time.Second), ReturnURL: s.URL + "/orders/" + id.String(), Description: "Midsummer Night: 2 × Stalls, left",
	})
	if err != nil {
		t.Fatal(err)
	}
	v.open(link)
}

// Makes the screenshots of the docs, where they are wanted.
func TestPicturesOfTheDocs(t *testing.T) {
	dir := os.Getenv(docsPicturesVariable)
	if dir == "" {
		t.Skipf("SKIPPED: make pictures takes the screenshots of the docs; %s names their folder", docsPicturesVariable)
	}
	for _, shown := range docsPages {
		for _, size := range docsSizes {
			s := docsShop(t, shown.name == "queue")
			v := newVisitor(t, call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: size.width, Height: size.height, DeviceScaleFactor: size.scale, Mobile: size.name == "phone",
			}), withColors("light"))
			shown.enter(t, s, v)
			v.wait(shown.ready)
			if shown.top != "" {
				v.run(evaluated(fmt.Sprintf("document.querySelector(%q).scrollIntoView()", shown.top)))
			}
			v.run(evaluated("document.activeElement.blur()")) // no outline around what was clicked last
			v.capture(filepath.Join(dir, shown.name+"-"+size.name+".webp"))
		}
	}
}

// capture writes what the window shows as a WebP.
func (v *visitor) capture(path string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	quality := int64(pictureQuality)
	picture, err := chromedp.Run(ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		taken, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
		return taken.Data, err
	})
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil { //nolint:gosec // it is published
		v.t.Fatal(err)
	}
}

// The docs have each screenshot, and all together are small.
func TestTheDocsHaveTheirPictures(t *testing.T) {
	for _, shown := range docsPages {
		for _, size := range docsSizes {
			if _, err := os.Stat(filepath.Join(docsPictures, shown.name+"-"+size.name+".webp")); err != nil {
				t.Errorf("make pictures: %v", err)
			}
		}
	}
	files, err := os.ReadDir(docsPictures)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > docsPicturesBytesMax {
		t.Errorf("%s has %d bytes, want at most %d", docsPictures, sum, docsPicturesBytesMax)
	}
}
