package domain

import "strings"

// HeldCookieName is the cookie in which a browser keeps the order of a sale that it holds.
func HeldCookieName(saleID string) string { return "boxoffice-held-" + saleID }

// HeldCookieValue says which order it is, and proves it by the order's token.
func HeldCookieValue(order OrderID, token string) string { return order.String() + "." + token }

// ParseHeldCookie takes the value apart; whether the token is the order's, a Keyring knows.
func ParseHeldCookie(value string) (order OrderID, token string, ok bool) {
	id, token, ok := strings.Cut(value, ".")
	if !ok || token == "" {
		return OrderID{}, "", false
	}
	order, err := ParseOrderID(id)
	return order, token, err == nil
}
