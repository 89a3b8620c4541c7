package storefront

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bojanz/currency"
	"github.com/klauspost/compress/gzip"

	"boxoffice/domain"
)

// An asset is a file of the pages. Pages ask for it by a name with the hash of its content, which a browser and
// a CDN may keep for good: /static/style.0123456789abcdef.css. The name without a hash, or with that of another
// release, answers too, and is asked for anew each time.
type asset struct {
	contentType string
	hash        string
	plain       body // under the name without a hash
	hashed      body // the same, but that a script imports the others by their hashed names
}

// A body has its compressed form too, if that is worth it.
type body struct{ bytes, zipped []byte }

type assets struct{ byName map[string]asset }

const (
	hashLen        = 16 // of the names, in hexadecimal digits
	assetZippedMin = 1400
	assetFreshness = "public, max-age=31536000, immutable"
)

// readAssets reads the embedded files and writes those that depend on the language.
func readAssets(d *dictionary) (*assets, error) {
	contents := make(map[string][]byte)
	names, err := fs.Glob(files, "static/*")
	if err != nil {
		return nil, fmt.Errorf("storefront: static files: %w", err)
	}
	for _, name := range names {
		if contents[path.Base(name)], err = files.ReadFile(name); err != nil {
			return nil, fmt.Errorf("storefront: static file %s: %w", name, err)
		}
	}
	said := textsOfScripts(contents)
	if contents["currencies.js"], err = currenciesScript(); err != nil {
		return nil, err
	}
	for _, words := range d.all {
		if contents[words.scriptName()], err = words.script(said); err != nil {
			return nil, err
		}
	}
	// Scripts import each other, in circles too, so all of them share one hash.
	scripts := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if path.Ext(name) == ".js" {
			_, _ = fmt.Fprintf(scripts, "%s %d\n", name, len(contents[name])) // a hash takes everything
			_, _ = scripts.Write(contents[name])
		}
	}
	ofScripts := hex.EncodeToString(scripts.Sum(nil))[:hashLen]
	a := &assets{make(map[string]asset, len(contents))}
	for name, content := range contents {
		one := asset{contentType: contentType(name), hash: ofScripts, plain: newBody(content)}
		if one.hashed = one.plain; path.Ext(name) == ".js" {
			one.hashed = newBody(importHashed(content, contents, ofScripts))
		} else {
			sum := sha256.Sum256(content)
			one.hash = hex.EncodeToString(sum[:])[:hashLen]
		}
		a.byName[name] = one
	}
	return a, nil
}

func newBody(content []byte) body {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level exists
	_, err := w.Write(content)
	if err = cmp.Or(err, w.Close()); err != nil || len(content) < assetZippedMin || b.Len() >= len(content) {
		return body{bytes: content}
	}
	return body{content, b.Bytes()}
}

var imported = regexp.MustCompile(`(['"])(\./|/static/)([a-z-]+\.js)['"]`)

// importHashed lets a script import others by their hashed names.
func importHashed(script []byte, all map[string][]byte, hash string) []byte {
	return imported.ReplaceAllFunc(script, func(found []byte) []byte {
		parts := imported.FindSubmatch(found)
		if _, ours := all[string(parts[3])]; !ours {
			return found
		}
		return fmt.Appendf(nil, "%s%s%s%s", parts[1], parts[2], hashedName(string(parts[3]), hash), parts[1])
	})
}

func hashedName(name, hash string) string {
	extension := path.Ext(name)
	return strings.TrimSuffix(name, extension) + "." + hash + extension
}

// path is the address of an asset for a page.
func (a *assets) path(name string) (string, error) {
	one, ok := a.byName[name]
	if !ok {
		return "", fmt.Errorf("storefront: there is no asset %s", name)
	}
	return "/static/" + hashedName(name, one.hash), nil
}

var withHash = regexp.MustCompile(`^([a-z-]+)\.([0-9a-f]{16})\.([a-z]+)$`)

// find finds an asset by a name with or without a hash. isOurs: the name has the hash of the content.
func (a *assets) find(name string) (one asset, isOurs, ok bool) {
	if one, ok = a.byName[name]; ok {
		return one, false, true
	}
	parts := withHash.FindStringSubmatch(name)
	if parts == nil {
		return one, false, false
	}
	one, ok = a.byName[parts[1]+"."+parts[3]]
	return one, ok && one.hash == parts[2], ok
}

// static serves the assets.
func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	one, isOurs, ok := p.assets.find(r.PathValue("file"))
	if !ok {
		p.notFound(w, r)
		return
	}
	content, h, tag := one.plain, w.Header(), one.hash
	h.Set("Cache-Control", "no-cache")
	if isOurs {
		content, tag = one.hashed, one.hash+"-hashed"
		h.Set("Cache-Control", assetFreshness)
	}
	h.Set("Content-Type", one.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	sent := content.bytes
	if content.zipped != nil {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			sent, tag = content.zipped, tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(sent))
}

// currenciesScript is what the scripts know about currencies in every language. Browsers have their own
// tables, which differ from ISO 4217 and from each other.
func currenciesScript() ([]byte, error) {
	decimals, err := json.Marshal(domain.CurrenciesByDecimals())
	if err != nil {
		return nil, fmt.Errorf("storefront: decimals of currencies: %w", err)
	}
	return fmt.Appendf(nil, "// Generated from the table of ISO 4217 that the service uses.\nexport const DECIMALS = %s; // where it is not 2\n", decimals), nil
}

// saidByScripts finds the texts that scripts say.
var saidByScripts = regexp.MustCompile(`\bt\('((?:[^'\\]|\\.)*)'`)

// textsOfScripts are the texts that the buyer's scripts say.
func textsOfScripts(contents map[string][]byte) []string {
	var said []string
	for name, script := range contents {
		if path.Ext(name) != ".js" || strings.HasPrefix(name, organiserPage) {
			continue
		}
		for _, found := range saidByScripts.FindAllSubmatch(script, -1) {
			said = append(said, strings.ReplaceAll(string(found[1]), `\'`, `'`))
		}
	}
	slices.Sort(said)
	return slices.Compact(said)
}

// scriptName is the file with what scripts say in the language.
func (w *words) scriptName() string { return "texts-" + w.Tag + ".js" }

// script is what the scripts know in this language: their texts, and how money is written.
func (w *words) script(said []string) ([]byte, error) {
	texts, symbols := make(map[string]any), make(map[string]string)
	for _, text := range said {
		switch f := w.texts[text]; len(f) {
		case 0:
		case 1:
			texts[text] = f[otherForm]
		default:
			texts[text] = f
		}
	}
	for _, code := range currency.GetCurrencyCodes() {
		if symbol, ok := currency.GetSymbol(code, currency.NewLocale(w.Tag)); ok && symbol != code {
			symbols[code] = symbol
		}
	}
	data, err := json.Marshal(map[string]any{
		"language": w.Tag, "dates": w.datesTag(), "texts": texts, "symbols": symbols, "symbolBehind": strings.HasSuffix(w.money(0, "CHF"), "CHF"),
	})
	if err != nil {
		return nil, fmt.Errorf("storefront: texts of scripts: %w", err)
	}
	return fmt.Appendf(nil, "// Generated: what scripts say in this language.\nglobalThis.boxofficeTexts = %s;\n", data), nil
}

// datesTag is whose dates are written: those of Britain where English has no country.
func (w *words) datesTag() string { return strings.ReplaceAll(w.dates.Locale(), "_", "-") }

// Money writes an amount as the pages do in a language: 6500 EUR is €65.00.
func Money(language string, minor int64, code string) string {
	for _, shown := range shownLanguages {
		if shown.Tag == language {
			return (&words{shownLanguage: shown}).money(minor, code)
		}
	}
	return domain.FormatMoney(minor, code)
}

// contentType does not depend on the host's own table of types.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(path.Ext(name))
	}
}

// acceptsGzip reports whether a browser can read gzip.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(strings.ReplaceAll(weight, " ", ""), "q=0.") != "" || strings.TrimSpace(weight) == ""
		}
	}
	return false
}
