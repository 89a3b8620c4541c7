package storefront

import (
	"net/http"
	"time"
)

// findData is the page on which a buyer asks for the links of their orders.
type findData struct {
	Asked     bool // the answer, the same for every address
	Wrong     bool // it is not an address
	TooOften  bool
	Away      bool
	RetrySecs int
	Email     string // as it was typed, if it has to be corrected
}

func (p *pages) find(w http.ResponseWriter, r *http.Request) {
	if !p.Mails {
		p.notFound(w, r)
		return
	}
	p.renderFind(w, r, http.StatusOK, findData{})
}

func (p *pages) renderFind(w http.ResponseWriter, r *http.Request, status int, data findData) {
	p.render(w, r, status, "find", page{Title: wordsOf(r).t("Find your orders"), Data: data})
}

// ask passes the address to the API, for browsers with and without scripts.
func (p *pages) askForOrders(w http.ResponseWriter, r *http.Request) {
	if !p.Mails {
		p.notFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	r = p.postedLanguage(w, r)
	email := r.PostFormValue("email")
	a, err := p.ask(r, "", question{method: http.MethodPost, path: "/v1/order-links", body: map[string]string{"email": email}}, nil)
	data := findData{Email: email}
	switch {
	case err == nil && a.ok():
		p.renderFind(w, r, http.StatusAccepted, findData{Asked: true})
		return
	case err == nil && a.problem.Code == "invalid":
		data.Wrong = true
	case err == nil && a.problem.Code == "rate_limited":
		data.TooOften, data.RetrySecs = true, int(a.retryAfter/time.Second)
	default:
		data.Away = true
		a.status = http.StatusServiceUnavailable
	}
	p.renderFind(w, r, a.status, data)
}
