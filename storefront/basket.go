package storefront

import (
	"net/http"
	"time"

	"boxoffice/domain"
)

// The basket that somebody prepares without JavaScript while they wait. It is kept in a
// cookie of their place's page, and nowhere else. With JavaScript it is in the browser's
// storage.

// basketCookie has what was filled in; it is sent only to that place's page.
const basketCookie = "boxoffice-basket"

// basketBytesMax is what browsers keep, with room to spare.
const basketBytesMax = 3 << 10

// prepare is the form for a place whose turn has not come. It is a page of its own,
// because the place's page reloads itself while somebody types.
func (p *pages) prepare(w http.ResponseWriter, r *http.Request) {
	token, sale, found, ok := p.findPlace(w, r)
	if !ok {
		return
	}
	if !mayPrepare(found.Status) {
		http.Redirect(w, r, "/queue/"+token, http.StatusSeeOther)
		return
	}
	data := p.place(r, sale, found, token, 0, nil)
	data.Preparing, data.RefreshSecs = true, 0
	p.render(w, r, http.StatusOK, "basket", page{Title: wordsOf(r).t("Prepare your order"), Data: data})
}

func mayPrepare(status string) bool {
	return status == placeDraw || status == placeWaiting || status == placePaused
}

// keepBasket keeps the form in the browser. Mistakes are reported when it is sent.
func (p *pages) keepBasket(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	token, sale, _, ok := p.findPlace(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Redirect(w, r, "/queue/"+token, http.StatusSeeOther)
		return
	}
	form, _ := readForm(r, sale)
	if value := form.keptForm(); value != "" {
		setCookie(w, r, basketCookie, value, "/queue/"+token, max(time.Until(sale.OpensAt), 0)+placeLife)
	}
	http.Redirect(w, r, "/queue/"+token, http.StatusSeeOther)
}

// findPlace reads the place for a page. If it is not ok, it has written the answer.
func (p *pages) findPlace(w http.ResponseWriter, r *http.Request) (token string, sale *domain.Sale, found place, ok bool) {
	token = r.PathValue("token")
	if !tokenPattern.MatchString(token) {
		p.unknownPlace(w, r)
		return "", nil, found, false
	}
	a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/queue/" + token}, &found)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
		return "", nil, found, false
	case a.status == http.StatusNotFound:
		p.unknownPlace(w, r)
		return "", nil, found, false
	case !a.ok():
		p.busy(w, r, a, wordsOf(r).t("Your place is safe"))
		return "", nil, found, false
	}
	found.retryAfter = a.retryAfter
	if sale, err = p.Catalog.Sale(r.Context(), found.Sale); err != nil {
		p.unavailable(w, r, err)
		return "", nil, found, false
	}
	return token, sale, found, true
}
