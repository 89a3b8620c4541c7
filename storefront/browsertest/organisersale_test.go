package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"boxoffice/domain"
)

// ChangeSale does what the orders database does.
func (d database) ChangeSale(_ context.Context, change domain.SaleChange) (*domain.Sale, error) {
	s := d.shop
	s.mu.Lock()
	defer s.mu.Unlock()
	sale := *s.sales[0]
	before, after := sale.Editable(), sale.Editable()
	if err := change.Edit(&after); err != nil {
		return nil, err
	}
	switch {
	case before.Equal(after):
		return &sale, nil
	case !change.Permits(sale.Version):
		return nil, &domain.Error{Code: domain.CodeChanged, Detail: "The sale is at another version by now."}
	}
	if err := sale.MayBecome(after, time.Now()); err != nil {
		return nil, err
	}
	sale.Edit(after)
	if err := sale.ValidateEditable(); err != nil {
		return nil, err
	}
	sale.Version++
	s.replaceSale(&sale)
	return &sale, nil
}

// replaceSale puts another definition in the sale's place: who reads the one before goes on reading it.
func (s *shop) replaceSale(sale *domain.Sale) {
	s.sales = slices.Clone(s.sales)
	s.sales[0] = sale
}

// MakeCodes counts the codes that are made. All are new.
func (b books) MakeCodes(_ context.Context, _ *domain.Sale, codes []domain.ClassCodeID, _ uint32, uses int64) ([]bool, error) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	b.shop.made.Codes += int64(len(codes))
	b.shop.made.Uses += int64(len(codes)) * uses
	return slices.Repeat([]bool{true}, len(codes)), nil
}

func (b books) ClassCodeUses(context.Context, *domain.Sale) (domain.ClassCodeUses, error) {
	b.shop.mu.Lock()
	defer b.shop.mu.Unlock()
	return b.shop.made, nil
}

// theSale is the sale as it is now.
func (s *shop) theSale() domain.Sale {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.sales[0]
}

// somebodyElse changes the sale behind the back of whoever has it open.
func (s *shop) somebodyElse(change func(*domain.Editable)) {
	s.t.Helper()
	if _, err := (database{shop: s}).ChangeSale(s.t.Context(), domain.SaleChange{Edit: func(e *domain.Editable) error {
		change(e)
		return nil
	}}); err != nil {
		s.t.Fatal(err)
	}
}

// organise opens the organiser's page with its forms, and the panels that a test needs.
func (v *visitor) organise(s *shop, panels ...string) {
	v.t.Helper()
	v.open(s.URL + "/organiser/sales/concert")
	v.wait(isShown("#login"))
	v.run(chromedp.SetValue(chromedp.CSS("#token"), "an-admin-token-of-tests"))
	v.click("#login button")
	v.wait(isShown("#capacity"))
	for _, panel := range panels {
		v.click(panel + " summary")
	}
}

// put sets a field of a form.
func (v *visitor) put(id, value string) {
	v.t.Helper()
	v.run(evaluated(fmt.Sprintf("document.getElementById(%q).value = %q", id, value)))
}

// reads waits until a field of a form has a value.
func (v *visitor) reads(id, value string) {
	v.t.Helper()
	v.wait(fmt.Sprintf("document.getElementById(%q).value === %q", id, value))
}

const (
	saveFacts = "#facts-form .pay-row button"
	saveTerms = "#terms-form .pay-row button"
)

func TestTheOrganiserSaysWhatIsSold(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s, "#facts-panel")
	v.reads("fact-name", "Concert")
	for id, value := range map[string]string{
		"fact-name": "Ein Abend mit Größe", "fact-description": "Two lines,\nor <b>more</b>.", "fact-venue": "Tempodrom", "fact-address": "Möckernstraße 10\n10963 Berlin",
		"fact-zone": "Europe/Berlin", "fact-starts": "2099-06-01T20:00", "fact-ends": "2099-06-01T19:00", "fact-until": "2099-05-31T12:30",
		"fact-terms": "No cameras.", "fact-terms-url": "https://example.com/terms", "fact-imprint": "Bühne GmbH", "fact-kept": "30",
	} {
		v.put(id, value)
	}
	v.click("#fact-asked")
	v.click(saveFacts)
	v.shows("Ends must be after")
	v.wait(`document.activeElement.id === 'fact-ends' && document.activeElement.getAttribute('aria-invalid') === 'true'`)
	v.picture("organiser-facts-refused")
	v.put("fact-ends", "2099-06-01T23:00")
	v.click(saveFacts)
	v.shows("Saved.")
	v.wait("!document.querySelector('[aria-invalid]')")
	sale, starts := s.theSale(), time.Date(2099, 6, 1, 18, 0, 0, 0, time.UTC)
	want := domain.Facts{
		Description: "Two lines,\nor <b>more</b>.", Venue: domain.Venue{Name: "Tempodrom", Address: "Möckernstraße 10\n10963 Berlin"},
		StartsAt: starts, EndsAt: starts.Add(3 * time.Hour), TimeZone: "Europe/Berlin", Terms: "No cameras.", TermsURL: "https://example.com/terms",
		Imprint: "Bühne GmbH", HolderNames: domain.HolderNames{Asked: true, Until: time.Date(2099, 5, 31, 10, 30, 0, 0, time.UTC)},
	}
	if sale.Facts != want || sale.Name != "Ein Abend mit Größe" || sale.BuyersKeptDays != 30 {
		t.Errorf("%q, kept %d days, %+v\nwant %+v", sale.Name, sale.BuyersKeptDays, sale.Facts, want)
	}

	v.click(saveFacts)
	v.shows("Nothing is changed.")
	v.put("fact-terms", "")
	v.put("fact-kept", "")
	v.click(saveFacts)
	v.shows("Saved.")
	want.Terms = ""
	if sale = s.theSale(); sale.Facts != want || sale.BuyersKeptDays != 0 {
		t.Errorf("kept %d days, %+v\nwant %+v", sale.BuyersKeptDays, sale.Facts, want)
	}
}

// Who edits what another has changed meanwhile is told of it, and both texts stay.
func TestNoTextOfAnOrganiserIsLost(t *testing.T) {
	s := open(t, withAll)
	v := newVisitor(t)
	v.organise(s, "#facts-panel", "#terms-panel")
	v.reads("fact-starts", "2099-06-01T20:00")
	v.put("fact-description", "Mine.")
	v.put("fact-imprint", "Mine too.")
	v.put("class-0-most", "2")
	s.somebodyElse(func(e *domain.Editable) {
		e.Facts.Description, e.Facts.Venue.Name = "Theirs,\non two lines.", "Theirs"
		e.Labels["VIP"] = "Theirs"
	})
	v.click(saveFacts)
	v.shows("Somebody else has changed this sale meanwhile: Description, Venue, Class VIP: Label. Nothing of yours is saved yet")
	v.reads("fact-description", "Mine.")
	v.wait("document.getElementById('fact-description-theirs').querySelector('p').textContent === 'Theirs,\\non two lines.'")
	v.reads("fact-venue", "Theirs")
	v.reads("class-0-label", "Theirs")
	v.picture("organiser-facts-meanwhile")
	v.run(chromedp.EmulateViewport(320, 844))
	v.wait("document.documentElement.clientWidth <= 320")
	v.picture("organiser-facts-meanwhile-320")
	if found := value[string](v, outside); found != "" {
		t.Errorf("wider than a phone: %s", found)
	}
	v.run(chromedp.EmulateViewport(1280, 900))
	if got := s.theSale().Facts; got.Description != "Theirs,\non two lines." || got.Imprint != "Bühne GmbH" {
		t.Errorf("saved all the same: %+v", got)
	}
	v.click(saveFacts)
	v.shows("Saved.")
	if got := s.theSale().Facts; got.Description != "Mine." || got.Venue.Name != "Theirs" || got.Imprint != "Mine too." || got.Terms != "No cameras." {
		t.Errorf("%+v", got)
	}
	v.wait("!document.querySelector('.theirs')")
	v.reads("class-0-most", "2") // of the other form: not saved, not lost

	// Instead of the own text one may take the other's.
	v.put("fact-terms", "Mine.")
	s.somebodyElse(func(e *domain.Editable) { e.Facts.Terms = "Theirs." })
	v.click(saveFacts)
	v.click("#fact-terms-theirs button")
	v.wait("document.getElementById('fact-terms').value === 'Theirs.' && document.activeElement.id === 'fact-terms' && !document.querySelector('.theirs')")
	v.click(saveFacts)
	v.shows("Nothing is changed.")
}

// What no form shows raises the version too, such as another capacity: nobody has to hear of that.
// Nobody has said where it happens: the clocks are those of whoever looks, and the page names them.
func TestASaleWithoutATimeZone(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s, "#terms-panel")
	v.wait(`document.getElementById("terms-zone").textContent === "Times are by the clocks of " + (Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC") + "."`)
}

func TestAVersionThatOnlyCountsStopsNoSave(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s, "#terms-panel")
	v.put("class-0-most", "2")
	sale := s.theSale()
	sale.Version++
	s.mu.Lock()
	s.replaceSale(&sale)
	s.mu.Unlock()
	v.click(saveTerms)
	v.shows("Saved.")
	if got := s.theSale().Classes[0].MaxPerOrder; got != 2 {
		t.Errorf("at most %d in one order", got)
	}
}

func TestTheOrganiserSaysWhenItSells(t *testing.T) {
	exact := time.Date(2099, 3, 1, 9, 0, 1, 500_000_000, time.UTC)
	s := open(t, func(sale *domain.Sale) {
		sale.Facts.TimeZone = "Europe/Berlin"
		sale.OpensAt, sale.ClosesAt = time.Date(2099, 1, 1, 9, 0, 0, 0, time.UTC), exact
		sale.Classes[1].Hidden, sale.CodeLedger = true, 99
	})
	v := newVisitor(t)
	v.organise(s, "#terms-panel")
	v.shows("Times are by the clocks of Europe/Berlin.")
	v.reads("sale-opens", "2099-01-01T10:00")
	v.reads("sale-closes", "2099-03-01T10:00:01.5")
	v.shows("Class " + longName + " (hidden)")
	v.put("sale-opens", "2099-01-01T11:00")
	v.put("class-0-label", "Stalls")
	v.put("class-0-closes", "2099-03-29T02:30") // clocks go from 2 to 3
	v.put("class-1-most", "4")
	v.picture("organiser-terms")
	v.click(saveTerms)
	v.shows("Class VIP: Closes: there is no such time in Europe/Berlin")
	v.wait("document.activeElement.id === 'class-0-closes'")
	v.put("class-0-closes", "2098-01-01T00:00")
	v.put("class-0-opens", "2099-01-01T00:00")
	v.click(saveTerms)
	v.shows("Class VIP: Closes must be after")
	v.put("class-0-closes", "2099-02-01T00:00")
	v.put("class-1-most", "7")
	v.click(saveTerms)
	v.shows("Class " + longName + " (hidden): At most in one order must be")
	v.put("class-1-most", "4")
	v.click(saveTerms)
	v.shows("Saved.")
	sale := s.theSale()
	vip, long := sale.Classes[0], sale.Classes[1]
	got := []any{sale.OpensAt, sale.ClosesAt, vip.Label, vip.OpensAt, vip.ClosesAt, vip.MaxPerOrder, long.Label, long.MaxPerOrder, long.OpensAt}
	want := []any{
		time.Date(2099, 1, 1, 10, 0, 0, 0, time.UTC), exact, "Stalls", time.Date(2098, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(2099, 1, 31, 23, 0, 0, 0, time.UTC),
		int64(0), "", int64(4), time.Time{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}

	// Other clocks show the same moments, and nobody is said to have changed them.
	v.put("class-1-opens", "2099-01-01T12:00")
	s.somebodyElse(func(e *domain.Editable) { e.Facts.TimeZone = "Asia/Seoul" })
	v.click(saveTerms)
	v.shows("Somebody else has changed this sale meanwhile: Time zone. ")
	v.reads("sale-opens", "2099-01-01T19:00")
	v.reads("class-1-opens", "2099-01-01T20:00")
	v.click(saveTerms)
	v.wait("document.getElementById('terms-message').textContent === 'Saved.'")
	if at := s.theSale().Classes[1].OpensAt; !at.Equal(time.Date(2099, 1, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("opens at %v", at)
	}
}

// An opening that people were told of is not moved.
func TestAnOpeningIsFixed(t *testing.T) {
	for _, c := range []struct {
		name string
		sale func(*domain.Sale)
		says string
	}{
		{"open", nil, "the sale has opened"},
		{"a waiting room", func(sale *domain.Sale) { sale.WaitingRoom, sale.OpensAt = true, time.Now().Add(time.Hour) }, "the draw of the waiting room goes by it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var change []func(*domain.Sale)
			if c.sale != nil {
				change = append(change, c.sale)
			}
			s := open(t, change...)
			v := newVisitor(t)
			v.organise(s, "#terms-panel")
			v.shows(c.says)
			v.wait("document.getElementById('sale-opens').readOnly")
		})
	}
}

// What the clocks of a zone show, and when.
func TestTimesByTheClocksOfAZone(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.open(s.URL + "/")
	v.run(evaluated("import('/static/organiser-times.js').then((times) => { window.times = times; })"))
	v.wait("window.times")
	for _, c := range []struct{ zone, local, moment, back string }{
		{"UTC", "2027-05-01T20:00", "2027-05-01T20:00:00Z", ""},
		{"Europe/Berlin", "2027-05-01T20:00", "2027-05-01T18:00:00Z", ""},
		{"Europe/Berlin", "2027-03-28T02:30", "", ""},                     // clocks go from 2 to 3
		{"Europe/Berlin", "2027-10-31T02:30", "2027-10-31T00:30:00Z", ""}, // comes twice: the first
		{"Asia/Kathmandu", "2027-05-01T00:00:30.250", "2027-04-30T18:15:30.250Z", ""},
		{"Pacific/Apia", "2011-12-30T12:00", "", ""}, // a day that Samoa did not have
		{"America/New_York", "1970-01-01T00:00", "1970-01-01T05:00:00Z", ""},
		{"Pacific/Kiritimati", "2027-01-01T00:00:00", "2026-12-31T10:00:00Z", "2027-01-01T00:00"},
		{"UTC", "nonsense", "", ""},
	} {
		if got := value[string](v, fmt.Sprintf("times.momentOf(%q, %q) ?? ''", c.local, c.zone)); got != c.moment {
			t.Errorf("%s in %s is %q, want %q", c.local, c.zone, got, c.moment)
		}
		if c.moment == "" {
			continue
		}
		want := c.back
		if want == "" {
			want = c.local
		}
		if got := value[string](v, fmt.Sprintf("times.localOf(%q, %q)", c.moment, c.zone)); got != want {
			t.Errorf("%s in %s shows %q, want %q", c.moment, c.zone, got, want)
		}
	}
}

func TestTheOrganiserMakesCodes(t *testing.T) {
	s := open(t, func(sale *domain.Sale) { sale.Classes[1].Hidden, sale.CodeLedger = true, 99 })
	v := newVisitor(t)
	v.organise(s, "#codes-panel")
	v.shows("There are no codes yet")
	if got := value[string](v, "[...document.getElementById('capacity-class').options].map((option) => option.text).join()"); got != "VIP,"+longName+" (hidden)" {
		t.Errorf("the capacity of %s can be changed", got)
	}
	v.click("#codes-form .pay-row button")
	v.shows("Say either how many codes to make, or which.")
	v.put("codes-own", "short")
	v.click("#codes-form .pay-row button")
	v.shows("Code 1 of your own must have")
	v.put("codes-own", "")
	v.put("codes-number", "3")
	v.put("codes-uses", "2")
	v.click("#codes-form .pay-row button")
	v.shows("3 codes are new.")
	v.shows("3 codes, for 6 orders: 0 paid, 0 on hold.")
	if codes := strings.Fields(value[string](v, "document.getElementById('codes-list').value")); len(codes) != 3 || len(codes[0]) < 19 {
		t.Errorf("codes %q", codes)
	}
	v.wait("document.getElementById('codes-file').href.startsWith('blob:') && document.getElementById('codes-file').download === 'codes-concert.txt'")
	v.picture("organiser-codes")
}

func TestASaleWithoutHiddenClassesHasNoCodes(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s)
	if value[bool](v, isShown("#codes-panel")) {
		t.Error("codes are offered")
	}
}

func TestTheOrganiserChangesTheImage(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s, "#image-panel")
	v.shows("It has none.")
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 36))); err != nil {
		t.Fatal(err)
	}
	file, text := filepath.Join(t.TempDir(), "poster.png"), filepath.Join(t.TempDir(), "poster.jpg")
	for path, content := range map[string][]byte{file: b.Bytes(), text: []byte("no image")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	choose := func(path string) {
		t.Helper()
		v.run(chromedp.SetUploadFiles(chromedp.CSS("#image-file"), []string{path}))
		v.click("#image-form button.primary")
	}
	choose(text)
	v.shows("The file must be")
	choose(file)
	v.shows("The page of the sale shows it now.")
	v.wait(isShown("#image-now") + " && document.getElementById('image-now').complete")
	first := s.theSale().Image
	if first.Width != 64 || first.Height != 36 {
		t.Errorf("the image is %+v", first)
	}
	s.somebodyElse(func(e *domain.Editable) {
		e.Image = domain.SaleImage{Hash: strings.Repeat("ab", 16), Width: 32, Height: 18}
	})
	v.click("#image-remove")
	v.shows("Somebody else has changed this sale meanwhile: Image.")
	if s.theSale().Image.Width != 32 {
		t.Error("somebody else's image is gone")
	}
	v.click("#image-remove")
	v.shows("The sale has no image now.")
	if got := s.theSale().Image; got != (domain.SaleImage{}) {
		t.Errorf("it has %+v", got)
	}
}

// An organiser changes a sale by the keyboard alone.
func TestASaleIsChangedByKeyboardAlone(t *testing.T) {
	s := open(t)
	v := newVisitor(t)
	v.organise(s)
	v.run(evaluated("document.body.tabIndex = -1, document.body.focus(), document.body.removeAttribute('tabindex')"))
	v.tabTo("#facts-panel summary")
	v.press(kb.Enter)
	v.tabTo("#fact-description")
	v.run(chromedp.KeyEvent("An evening."))
	v.tabTo(saveFacts)
	v.press(kb.Enter)
	v.shows("Saved.")
	if got := s.theSale().Facts.Description; got != "An evening." {
		t.Errorf("it says %q", got)
	}
}
