package storefront

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"boxoffice/domain"
)

// What a browser has on hold, on every page: "You hold 2 tickets, 3:41 left". The API's cookies know the orders. A page that a cache may
// keep says nothing of one visitor: a script asks for this, and only where another cookie says that there is something. Without
// JavaScript the page itself says it, because a request with these cookies gets a page of its own.

// Limits of what is asked for a page.
const (
	holdingMax     = 4
	holdingTimeout = time.Second
)

// A holding is an order on hold.
type holding struct {
	Order    string `json:"order"`
	Token    string `json:"token"`
	Sale     string `json:"sale"`
	SaleName string `json:"sale_name"`
	Tickets  int64  `json:"tickets"`
	LeftMS   int64  `json:"left_ms"` // until the hold ends
}

// Left is the time that is left, for people.
func (h holding) Left() string { return left(time.Duration(h.LeftMS) * time.Millisecond) }

// holdings are the orders that a browser has on hold, but for one. What does not answer in time is left out.
func (p *pages) holdings(w http.ResponseWriter, r *http.Request, except string) []holding {
	var found []holding
	var within *http.Request
	for _, cookie := range r.Cookies() {
		if !strings.HasPrefix(cookie.Name, domain.HeldCookieName("")) || len(found) == holdingMax {
			continue
		}
		order, token, ok := domain.ParseHeldCookie(cookie.Value)
		if !ok || !tokenPattern.MatchString(token) || order.String() == except {
			continue
		}
		if within == nil {
			ctx, cancel := context.WithTimeout(r.Context(), holdingTimeout)
			defer cancel()
			within = r.WithContext(ctx)
		}
		view, err := p.askOrder(w, within, order, token)
		if err != nil || view == nil || view.Status != domain.OrderHeld || view.HoldExpiresAt == nil || view.SaleCanceledAt != nil {
			continue
		}
		if left := time.Until(*view.HoldExpiresAt); left > 0 {
			found = append(found, holding{
				Order: order.String(), Token: token, Sale: view.Sale, SaleName: view.SaleName, Tickets: ticketsOf([]orderView{*view}), LeftMS: left.Milliseconds(),
			})
		}
	}
	return found
}

// held answers the scripts of the pages. Only the browser that has the cookies gets the tokens that are in them.
func (p *pages) held(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, _ := json.Marshal(map[string]any{"held": append([]holding{}, p.holdings(w, r, "")...)}) // strings and numbers cannot fail
	_, _ = w.Write(body)                                                                          // the reader may be gone
}
