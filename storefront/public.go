package storefront

import (
	"net/http"
	"strings"
)

// publicCache lets a CDN keep a page for a moment, and give the last one out while it asks for the next. In a
// rush that is one page a second for everybody.
const publicCache = "public, max-age=0, s-maxage=1, stale-while-revalidate=1"

// isPublic reports whether the answer to a request may be for everybody. The language must be in the URL, so
// that no cache mixes languages up. A browser that has any of our cookies gets a page of its own, which no cache
// keeps, and so does one that may need our cookie (markOwn). What a public page shows of one buyer, its script
// asks for.
func (p *pages) isPublic(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawQuery == "" || r.Header.Get("Sec-Fetch-Site") == "" {
		return false
	}
	if r.URL.Path != "/" && !isSalePage(r.URL.Path) || p.dictionary.inURL(r) == nil {
		return false
	}
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, "boxoffice-") {
			return false
		}
	}
	return true
}

func isSalePage(path string) bool {
	sale, found := strings.CutPrefix(path, "/sales/")
	return found && sale != "" && !strings.Contains(sale, "/")
}

// query keeps the language in the URLs of links, for browsers that may not have the cookie.
func (p *pages) query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	if in := p.dictionary.inURL(r); in != nil {
		return "?" + languageQuery(in.Tag)
	}
	return ""
}

// markLanguage remembers the language that the URL of a page names.
func (p *pages) markLanguage(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery == "" || r.Method != http.MethodGet || strings.HasPrefix(r.URL.Path, "/static/") {
		return
	}
	in := p.dictionary.inURL(r)
	if in == nil {
		return
	}
	if cookie, err := r.Cookie(languageCookie); err != nil || cookie.Value != in.Tag {
		rememberLanguage(w, r, in)
	}
}

// alternates are the addresses of a page in every language, for search engines.
func (p *pages) alternates(path string) []languageLink {
	links := make([]languageLink, 0, len(shownLanguages))
	for _, shown := range shownLanguages {
		links = append(links, languageLink{shownLanguage: shown, URL: p.PublicURL + path + "?" + languageQuery(shown.Tag)})
	}
	return links
}
