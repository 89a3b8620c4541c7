package storefront

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// ownCookie shows that a form is ours, for a browser that does not say where the form
// comes from: SameSite=Strict keeps it out of every request that another site starts.
const ownCookie = "boxoffice-own"

// protect lets only our own forms through. The API takes nothing from a page that another
// site could send for a visitor, but another site could send a form.
//
// Browsers say where a form comes from: Sec-Fetch-Site over https and on localhost, else
// Origin. Origin is "null" if the page, the browser or an extension hides it, which can
// happen to ours and to another site's. Then the cookie decides.
func (p *pages) protect(next http.Handler) (http.Handler, error) {
	forms := http.NewCrossOriginProtection()
	if p.PublicURL != "" {
		if err := forms.AddTrustedOrigin(p.PublicURL); err != nil {
			return nil, fmt.Errorf("storefront: the public URL: %w", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withWords(r, p.dictionary.choose(r))
		switch {
		case !isCleanPath(r.URL.Path): // a mux would redirect to the path that it takes it for
			p.notFound(w, r)
		case forms.Check(r) != nil && !isOwnForm(r):
			in := wordsOf(r)
			p.render(w, r, http.StatusForbidden, "error", page{Title: in.t("Not from here"), Data: errorData{
				in.t("This form came from another site"), in.t("Please open the sale here and try again. Your browser must keep cookies for that."),
			}})
		case p.isPublic(r): // without a cookie, because caches keep it
			next.ServeHTTP(w, r)
		default:
			markOwn(w, r)
			p.markLanguage(w, r)
			next.ServeHTTP(w, r)
		}
	}), nil
}

func isOwnForm(r *http.Request) bool {
	_, err := r.Cookie(ownCookie)
	return err == nil && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null"
}

// markOwn gives the cookie, with pages that have forms, to browsers that may need it.
func markOwn(w http.ResponseWriter, r *http.Request) {
	hasForm := strings.HasPrefix(r.URL.Path, "/sales/") || strings.HasPrefix(r.URL.Path, "/queue/") || r.URL.Path == "/orders"
	if r.Method != http.MethodGet || !hasForm || r.Header.Get("Sec-Fetch-Site") != "" {
		return
	}
	if _, err := r.Cookie(ownCookie); err == nil {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: ownCookie, Value: "1", Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: isSecure(r)})
}

// isCleanPath reports whether a path has no empty segment and none that leads up.
func isCleanPath(p string) bool {
	clean := path.Clean(p)
	return p == clean || clean != "/" && p == clean+"/"
}

// isSecure reports whether the visitor came over https. Of several proxies, the first
// wrote how (X-Forwarded-Proto: https, http). A lie costs only the liar's own cookies.
func isSecure(r *http.Request) bool {
	first, _, _ := strings.Cut(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https")
}
