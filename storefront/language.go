package storefront

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/bojanz/currency"
	"github.com/go-playground/locales"
	"github.com/go-playground/locales/de"
	"github.com/go-playground/locales/en_GB"
	"github.com/go-playground/locales/ko"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	textcatalog "golang.org/x/text/message/catalog"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// What a buyer reads is in English in the code, where it is used, and in the other languages in
// texts/, with the English as the key. en.yaml has only what English has several forms for.

//go:embed texts
var textFiles embed.FS

// A shownLanguage is a language of the pages, with its own name. The first is for whoever reads none of them.
type shownLanguage struct {
	Tag, Name string
	dates     locales.Translator // for dates and times, as CLDR has them
	halves    *strings.Replacer  // of the day, where dates writes them in English; nil: it does not
}

var shownLanguages = []shownLanguage{
	{"en", "English", en_GB.New(), nil},
	{"de", "Deutsch", de.New(), nil},
	{"ko", "한국어", ko.New(), strings.NewReplacer("AM", "오전", "PM", "오후")},
}

// forms are a text in the plural forms of a language by their CLDR names. A text that does not depend on a
// number has only "other".
type forms map[string]string

// otherForm is the form that every language has.
const otherForm = "other"

// UnmarshalYAML reads a text, or its forms.
func (f *forms) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*f = forms{otherForm: node.Value}
		return nil
	}
	return node.Decode((*map[string]string)(f))
}

// words are what the pages say in one language.
type words struct {
	shownLanguage
	texts   map[string]forms // by the English text
	printer *message.Printer
}

// A dictionary has the words of every language.
type dictionary struct {
	all     []*words // as shownLanguages
	matcher language.Matcher
}

// pluralForms are CLDR's names of forms.
var pluralForms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, otherForm: plural.Other,
}

func readDictionary() (*dictionary, error) {
	builder := textcatalog.NewBuilder(textcatalog.Fallback(language.English))
	d := &dictionary{}
	var tags []language.Tag
	for _, shown := range shownLanguages {
		texts, err := readTexts(shown.Tag)
		if err != nil {
			return nil, err
		}
		tag := language.Make(shown.Tag)
		for key, f := range texts {
			if err := f.addTo(builder, tag, key); err != nil {
				return nil, fmt.Errorf("storefront: texts/%s.yaml: %q: %w", shown.Tag, key, err)
			}
		}
		tags = append(tags, tag)
		d.all = append(d.all, &words{shownLanguage: shown, texts: texts, printer: message.NewPrinter(tag, message.Catalog(builder))})
	}
	d.matcher = language.NewMatcher(tags)
	return d, nil
}

func readTexts(tag string) (map[string]forms, error) {
	content, err := textFiles.ReadFile("texts/" + tag + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("storefront: %w", err)
	}
	texts := map[string]forms{}
	if err := yaml.Unmarshal(content, &texts); err != nil {
		return nil, fmt.Errorf("storefront: texts/%s.yaml: %w", tag, err)
	}
	return texts, nil
}

// addTo adds the forms to a catalog. The first number of the key chooses the form.
func (f forms) addTo(builder *textcatalog.Builder, tag language.Tag, key string) error {
	if len(f) == 1 {
		return builder.SetString(tag, key, f[otherForm])
	}
	chooser := 1 + strings.Count(key[:max(0, strings.Index(key, "%d"))], "%s")
	cases := make([]any, 0, 2*len(f))
	for name, form := range pluralForms {
		if text, ok := f[name]; ok && name != otherForm {
			cases = append(cases, form, text)
		}
	}
	return builder.Set(tag, key, plural.Selectf(chooser, "%d", append(cases, plural.Other, f[otherForm])...))
}

// t says a text in this language. Numbers (%d) are written as the language does.
func (w *words) t(text string, args ...any) string {
	if len(args) > 0 {
		return w.printer.Sprintf(message.Key(text, text), args...)
	}
	if f, ok := w.texts[text]; ok { // most texts, without the cost of a format
		return f[otherForm]
	}
	return text
}

// th is t for a text with markup: the text is ours, and the arguments are escaped.
func (w *words) th(text string, args ...any) template.HTML {
	for i, arg := range args {
		switch arg := arg.(type) {
		case int, int64:
		default:
			args[i] = template.HTMLEscapeString(fmt.Sprint(arg))
		}
	}
	return template.HTML(w.t(text, args...)) // see above
}

// msg marks a text that is said later, by t.
func msg(text string) string { return text }

// The language of a page is in its URL, so that caches tell the languages apart, or else in a cookie that
// remembers the last choice, or else it is what the browser asks for.
const (
	languageParam  = "lang"
	languageCookie = "boxoffice-language"
	languageLife   = 365 * 24 * time.Hour
)

// named finds a language by its tag; nil: the pages do not have it.
func (d *dictionary) named(tag string) *words {
	for _, w := range d.all {
		if w.Tag == tag {
			return w
		}
	}
	return nil
}

// inURL is the language that the URL names; nil: none.
func (d *dictionary) inURL(r *http.Request) *words { return d.named(r.URL.Query().Get(languageParam)) }

// choose finds the language for a request.
func (d *dictionary) choose(r *http.Request) *words {
	if r.URL.RawQuery != "" {
		if w := d.inURL(r); w != nil {
			return w
		}
	}
	if cookie, err := r.Cookie(languageCookie); err == nil {
		if w := d.named(cookie.Value); w != nil {
			return w
		}
	}
	wanted := r.Header.Get("Accept-Language")
	if wanted == "" || domain.KnownLanguages(wanted) == "" {
		return d.all[0]
	}
	tags, _, err := language.ParseAcceptLanguage(wanted)
	if err != nil {
		return d.all[0]
	}
	_, i, _ := d.matcher.Match(tags...)
	return d.all[i]
}

type wordsKey struct{}

// wordsOf are the words of the request's language, which protect chose.
func wordsOf(r *http.Request) *words { return r.Context().Value(wordsKey{}).(*words) }

func withWords(r *http.Request, w *words) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), wordsKey{}, w))
}

// postedLanguage is the language of the page that a form was on, for browsers that know it from nowhere else.
func (p *pages) postedLanguage(w http.ResponseWriter, r *http.Request) *http.Request {
	if posted := p.dictionary.named(r.PostFormValue("language")); posted != nil && posted != wordsOf(r) {
		rememberLanguage(w, r, posted)
		return withWords(r, posted)
	}
	return r
}

// rememberLanguage is for the pages that follow. Scripts may set the cookie too (common.js).
func rememberLanguage(w http.ResponseWriter, r *http.Request, chosen *words) {
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: chosen.Tag, Path: "/", MaxAge: int(languageLife / time.Second),
		SameSite: http.SameSiteLaxMode, Secure: isSecure(r),
	})
}

// A languageLink leads to the same page in another language.
type languageLink struct {
	shownLanguage
	URL     string
	Current bool
}

// languageLinks switch the language without JavaScript: the answer to a form has the page that the form was on.
func languageLinks(r *http.Request, current *words) []languageLink {
	page := url.URL{Path: r.URL.Path}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		switch path.Base(page.Path) {
		case "checkouts", "queue", "cancel":
			page.Path = path.Dir(page.Path)
		}
	}
	links := make([]languageLink, 0, len(shownLanguages))
	for _, shown := range shownLanguages {
		page.RawQuery = languageQuery(shown.Tag)
		links = append(links, languageLink{shown, page.String(), shown.Tag == current.Tag})
	}
	return links
}

func languageQuery(tag string) string { return languageParam + "=" + tag }

// funcs are what templates call.
func (w *words) funcs() template.FuncMap {
	return template.FuncMap{
		"t": w.t, "th": w.th, "lang": func() string { return w.Tag },
		"money": w.money, "price": w.price, "number": w.number, "spell": w.spell, "clock": w.clock, "moment": w.shortTime,
		"when": w.when, "where": where, "status": w.status, "declined": w.declined, "closing": w.closing,
		"ahead": w.ahead, "turn": func() time.Duration { return waitingroom.EntryLife },
		"called": w.called, "titled": w.titled,
		"times": func(a, b int64) int64 { return a * b },
		"left":  func(until time.Time) string { return left(time.Until(until)) },
		"fives": fives,
	}
}

// called is what people call a class: its label, or its id.
func (w *words) called(label, name string) string {
	if label != "" {
		return label
	}
	return w.t("class %s", name)
}

// titled is called at the beginning of a line.
func (w *words) titled(label, name string) string {
	if label != "" {
		return label
	}
	return w.t("Class %s", name)
}

// number writes a count as people do: 12,345.
func (w *words) number(n int64) string { return w.t("%d", max(n, 0)) }

// ahead is what stands behind the number of those ahead. Agrees with queue.js.
func (w *words) ahead(n int64) string {
	if n == 1 {
		return w.t("person ahead of you")
	}
	return w.t("people ahead of you")
}

// closing is what a page says between the opening and the draw; empty: nothing.
func (w *words) closing(state string) string {
	switch state {
	case drawClosed:
		return w.t("The sale has opened and the list is closed. The places are drawn in a few seconds, when the random number is there that nobody knows yet.")
	case drawDelayed:
		return w.t("The random number that the draw waits for has not come yet. Nobody is let in before the draw, so you lose nothing: stay here, it goes on by itself.")
	}
	return ""
}

// spell writes a duration of whole seconds for people, in the largest unit that fits
// exactly: 10 minutes, 90 seconds.
func (w *words) spell(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return w.t("%d hours", int64(d/time.Hour))
	case d%time.Minute == 0:
		return w.t("%d minutes", int64(d/time.Minute))
	default:
		return w.t("%d seconds", int64(d/time.Second))
	}
}

// spellWait writes an estimated wait as people do. It agrees with what queue.js writes.
func (w *words) spellWait(seconds float64) string {
	minutes := int64(math.Round(seconds / 60))
	switch {
	case seconds <= 0:
		return ""
	case seconds < 60:
		return w.t("less than a minute")
	case minutes < 90:
		return w.t("about %d minutes", minutes)
	default:
		return w.t("about %d hours", int64(math.Round(seconds/3600)))
	}
}

// shortTime is a moment for a line with other things.
func (w *words) shortTime(at time.Time) string {
	at = at.UTC()
	return w.t("%s, %s UTC", w.dates.FmtDateMedium(at), w.hour(at))
}

// longTime is a moment for a line of its own.
func (w *words) longTime(at time.Time) string {
	at = at.UTC()
	return w.t("%s, %s UTC", w.dates.FmtDateLong(at), w.hour(at))
}

// clock is a time of today.
func (w *words) clock(at time.Time) string {
	return w.t("%s UTC", w.half(w.dates.FmtTimeMedium(at.UTC())))
}

// hour is a time of day in hours and minutes.
func (w *words) hour(at time.Time) string { return w.half(w.dates.FmtTimeShort(at)) }

func (w *words) half(text string) string {
	if w.halves == nil {
		return text
	}
	return w.halves.Replace(text)
}

// when is the time of an event by the clocks of the venue; empty if it is not known.
func (w *words) when(f domain.Facts) string {
	begins, ends := f.Begins(), f.Ends()
	if begins.IsZero() {
		return ""
	}
	zone := begins.Location().String()
	day, hour := w.dates.FmtDateFull(begins), w.hour(begins)
	switch {
	case ends.IsZero():
		return w.t("%s, %s (%s)", day, hour, zone)
	case begins.Format(time.DateOnly) == ends.Format(time.DateOnly):
		return w.t("%s, %s–%s (%s)", day, hour, w.hour(ends), zone)
	default:
		return w.t("%s, %s – %s, %s (%s)", day, hour, w.dates.FmtDateFull(ends), w.hour(ends), zone)
	}
}

// formatter writes amounts of a currency. Its decimals are ISO's, as in the books.
func (w *words) formatter(code string) *currency.Formatter {
	f := currency.NewFormatter(currency.NewLocale(w.Tag))
	_, fraction := domain.MinorDigits(0, code)
	f.MinDigits, f.MaxDigits = uint8(len(fraction)), uint8(len(fraction))
	return f
}

// money writes minor units as people do: 6500 EUR is €65.00. The scripts write the same, with the table of
// textsScript.
func (w *words) money(minor int64, code string) string {
	whole, fraction := domain.MinorDigits(minor, code)
	if fraction != "" {
		whole += "." + fraction
	}
	f := w.formatter(code)
	amount, err := currency.NewAmount(whole, code)
	if err != nil { // the currency no longer exists: what has its place is written with its code
		f.SymbolMap["EUR"] = code
		if amount, err = currency.NewAmount(whole, "EUR"); err != nil {
			return domain.FormatMoney(minor, code)
		}
	}
	return f.Format(amount)
}

// price is money for a ticket: one that costs nothing is free.
func (w *words) price(minor int64, code string) string {
	if minor == 0 {
		return w.t("free")
	}
	return w.money(minor, code)
}
