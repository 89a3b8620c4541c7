package domain

import "strings"

// HeldCookieName is the cookie in which a browser keeps the order that it holds in a
// sale.
func HeldCookieName(saleID string) string { return "boxoffice-held-" + saleID }

// HoldingCookieName is a cookie that scripts may read. It says that there is a held cookie, and nothing else.
func HoldingCookieName(saleID string) string { return "boxoffice-holding-" + saleID }

// HeldCookieValue names the order and proves it with the order's token.
func HeldCookieValue(order OrderID, token string) string { return order.String() + "." + token }

// ParseHeldCookie splits the value. Ask a Keyring whether the token belongs to the order.
func ParseHeldCookie(value string) (order OrderID, token string, ok bool) {
	id, token, ok := strings.Cut(value, ".")
	if !ok || token == "" {
		return OrderID{}, "", false
	}
	order, err := ParseOrderID(id)
	return order, token, err == nil
}
