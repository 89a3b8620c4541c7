package api

import (
	"net/http"
	"strings"
	"time"

	"boxoffice/admission"
	"boxoffice/domain"
)

// A browser that holds tickets of a sale keeps the order and its token in a cookie, as
// long as the hold can last. The token authenticates it. If the buyer's limit refuses
// another checkout, this browser is told about its own order. Anybody else who knows the
// e-mail address gets the same short answer, whatever that buyer has.

// heldCookie are the cookies for a browser that holds tickets; nil for other clients, which
// send no Origin and keep no cookies.
func heldCookie(origin, saleID string, v *CheckoutView, now time.Time) []http.Cookie {
	left := v.HoldExpiresAt.Sub(now)
	if origin == "" || left < time.Second {
		return nil
	}
	held := http.Cookie{
		Name: domain.HeldCookieName(saleID), Value: domain.HeldCookieValue(v.Order, v.Token), Path: "/", MaxAge: int(left / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(origin, "https:"),
	}
	holding := held // tells scripts that it is worth asking, and no more
	holding.Name, holding.Value, holding.HttpOnly = domain.HoldingCookieName(saleID), "1", false
	return []http.Cookie{held, holding}
}

// ownOrder is the order of a sale that the sender of these cookies holds; nil if there is
// none, or its token is wrong.
func (s *Server) ownOrder(cookies, saleID string) *TokenView {
	// Not http.ParseCookie: if it cannot read one of somebody else's cookies, it reads
	// none.
	browser := http.Request{Header: http.Header{"Cookie": {cookies}}}
	for _, cookie := range browser.CookiesNamed(domain.HeldCookieName(saleID)) {
		order, token, ok := domain.ParseHeldCookie(cookie.Value)
		if ok && s.Keys.ValidOrderToken(order, token) {
			return &TokenView{order, token}
		}
	}
	return nil
}

// limitReached refuses because of a buyer's limit. Which limit it was, and so what the
// buyer has, is told only to the browser that has it.
func (s *Server) limitReached(cookies string, limit *admission.LimitReachedError) error {
	again := "a new try takes a new Idempotency-Key"
	if limit.Sale.WaitingRoom {
		again = "the Queue-Token is good for a new try"
	}
	p := newProblem(
		domain.CodeLimitReached,
		"With these tickets the buyer would have more than the sale allows, or has a checkout that still waits for its payment. "+
			"Ask for fewer, or pay, cancel or wait for that one; then "+again+".",
	)
	if p.Own = s.ownOrder(cookies, limit.Sale.ID); p.Own == nil {
		return p
	}
	p.Detail = "With these tickets you would have more than the sale allows. Tickets that you hold count: pay for them or give them back first; then " + again + "."
	if limit.CheckoutOpen {
		p.Detail = "You have a checkout of this sale that waits for its payment. Pay or cancel it, or let it expire; then " + again + "."
	}
	return p
}
