package browsertest

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"testing"
	"time"

	"boxoffice/domain"
)

// SaleImage is a JPEG of 32 × 18 pixels, for every sale that has an image, if the test has no other.
func (d database) SaleImage(context.Context, string, string) ([]byte, error) {
	if d.shop.poster != nil {
		return d.shop.poster, nil
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 32, 18)), nil)
	return b.Bytes(), err
}

// keepFiles keeps the text of calendar files that the page makes.
const keepFiles = `
window.files = [];
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => {
	if (blob.type.startsWith('text/calendar')) blob.text().then((text) => window.files.push(text));
	return create.call(URL, blob);
};`

func TestABuyerReadsTheFactsOfASale(t *testing.T) {
	starts := time.Date(2024, 5, 1, 18, 0, 0, 0, time.UTC)
	s := open(t, func(sale *domain.Sale) {
		sale.Classes[0].Label = "Parkett, <b>links</b>"
		sale.Image = domain.SaleImage{Hash: "0123456789abcdef0123456789abcdef", Width: 32, Height: 18}
		sale.Facts = domain.Facts{
			Description: "An evening.\nWith <img src=x onerror=alert(1)>", Venue: domain.Venue{Name: "Tempodrom", Address: "Möckernstraße 10\n10963 Berlin"},
			StartsAt: starts, EndsAt: starts.Add(3 * time.Hour), TimeZone: "Asia/Seoul",
			Terms: "No cameras.", TermsURL: "https://example.com/terms", Imprint: "Bühne GmbH",
		}
	})
	v := newVisitor(t, beforeLoad(keepFiles))
	v.open(s.URL + "/sales/concert")
	v.wait(`document.querySelector('.poster').naturalWidth === 32`)
	for _, text := range []string{"Thursday, 2 May 2024, 03:00–06:00 (Asia/Seoul)", "Tempodrom", "With <img src=x onerror=alert(1)>", "Parkett, <b>links</b>", "Bühne GmbH"} {
		v.shows(text)
	}
	v.wait(`document.documentElement.scrollWidth <= innerWidth && JSON.parse(document.querySelector('script[type="application/ld+json"]').textContent).startDate === '2024-05-02T03:00:00+09:00'`)
	v.picture("facts-sale")

	v.hold("VIP", 1)
	v.shownHeading("Your seats are held")
	v.shows("1 × Parkett, <b>links</b>")
	v.shows("Tempodrom, Möckernstraße 10, 10963 Berlin")
	id, _ := s.onlyOrder()
	s.pay(id)
	v.shownHeading("You are in!")
	for _, text := range []string{"2 May 2024", "(Asia/Seoul)", "Parkett, <b>links</b>", "Bühne GmbH"} {
		v.shows(text)
	}
	v.wait(`document.querySelector('.ticket-class').textContent === 'Parkett, <b>links</b>' && /03:00.*06:00/.test(document.querySelector('.ticket-event').textContent)`)
	v.wait(`document.querySelector('[data-field="terms-url"]').href === 'https://example.com/terms' && !document.getElementById('terms').hidden`)
	v.picture("facts-order")
	v.click(`[data-action="calendar"]`)
	v.wait(`window.files.length === 1 && window.files[0].includes('UID:` + id.String() + `@boxoffice') && window.files[0].includes('DTSTART;TZID=Asia/Seoul:20240502T030000')`)
}

// The page of a sale that says nothing of itself has no empty places.
func TestASaleWithoutFacts(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/sales/concert")
	v.wait(`!document.querySelector('.event') && !document.querySelector('.poster') && document.querySelector('.class-name').innerText.includes('Class VIP')`)
	v.hold("VIP", 1)
	v.shownHeading("Your seats are held")
	id, _ := s.onlyOrder()
	s.pay(id)
	v.shownHeading("You are in!")
	v.wait(`[...document.querySelectorAll('[data-field="event"], [data-action="calendar"], #terms, [data-field="imprint"]')].every((element) => element.hidden)`)
}
