package storefront

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"boxoffice/domain"
)

// What was ordered, so that a buyer whose order came to nothing tries again without filling in anything. Without JavaScript a cookie of
// the order's page keeps it; with JavaScript it is in the browser's storage.

// againCookie has the form that made an order. It is sent only to that order's page, and goes once the order is paid.
const againCookie = "boxoffice-again"

// againLife is how long it is kept otherwise.
const againLife = 24 * time.Hour

// keptForm is a form as a cookie keeps it; empty if it is too long for that.
func (f *formData) keptForm() string {
	kept := url.Values{"email": {f.Email}}
	for class, n := range f.Quantities {
		kept.Set("quantity-"+class, strconv.FormatInt(min(n, domain.BuyerLimitMax), 10))
	}
	if value := kept.Encode(); len(value) <= basketBytesMax {
		return value
	}
	return ""
}

// recall puts what a cookie kept into a form, and reports whether there was anything.
func (f *formData) recall(r *http.Request, cookieName string, sale *domain.Sale) bool {
	cookie, err := r.Cookie(cookieName)
	if err != nil || len(cookie.Value) > basketBytesMax {
		return false
	}
	kept, err := url.ParseQuery(cookie.Value)
	if err != nil {
		return false
	}
	read, _ := readForm(&http.Request{PostForm: kept}, sale)
	f.Email, f.Quantities = read.Email, maps.Clone(read.Quantities)
	return f.Email != "" || len(f.Quantities) > 0
}

// again is the form of the sale with what an order that came to nothing had, for a browser without JavaScript that made it.
func (p *pages) again(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseOrderID(r.PathValue("order"))
	if err != nil {
		p.notFound(w, r)
		return
	}
	view := p.readOrder(w, r, id)
	if view == nil || !view.CanRetry() {
		http.Redirect(w, r, "/orders/"+id.String()+p.query(r), http.StatusSeeOther)
		return
	}
	sale, err := p.Catalog.Sale(r.Context(), view.Sale)
	if err != nil {
		p.noSale(w, r, err)
		return
	}
	if sale.WaitingRoom { // there is no form before the turn
		http.Redirect(w, r, "/sales/"+sale.ID+p.query(r), http.StatusSeeOther)
		return
	}
	data := p.saleData(r, sale)
	data.Held = p.heldOrders(w, r, sale)
	data.Form.recall(r, againCookie, sale)
	p.renderSale(w, r, http.StatusOK, data)
}

// canRetry reports whether an order came to nothing that its buyer still wanted.
func canRetry(status domain.OrderStatus) bool {
	return slices.Contains([]domain.OrderStatus{domain.OrderFailed, domain.OrderExpired}, status)
}
