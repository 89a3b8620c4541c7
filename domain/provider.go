package domain

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultProvider is the payment provider of whatever names none: sales and orders from
// before they named theirs, and ids without a provider in front.
const DefaultProvider = "mockpay"

var providerPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// ValidProvider reports whether a payment provider may be called so: 1–32 lower-case
// letters, digits and hyphens, the first a letter.
func ValidProvider(name string) bool { return providerPattern.MatchString(name) }

// QualifiedID is an id of a provider's session or payment as everything but the
// provider's adapter has it: with the provider's name in front, so that ids of two
// providers never collide. Those of DefaultProvider stand as they are, which is what
// books and histories from before have; no id of a provider has a slash.
func QualifiedID(provider, id string) string {
	if provider == DefaultProvider || id == "" {
		return id
	}
	return provider + "/" + id
}

// SplitID is the inverse of QualifiedID.
func SplitID(qualified string) (provider, id string) {
	if provider, id, ok := strings.Cut(qualified, "/"); ok {
		return provider, id
	}
	return DefaultProvider, qualified
}

// ProviderOf is the provider that a qualified id names.
func ProviderOf(qualified string) string {
	provider, _ := SplitID(qualified)
	return provider
}

// PaymentSession is the order's payment session as far as it is known from the order's
// beginning: a provider that derives it needs no call. Empty: one is opened once its
// buyer wants to pay.
//
// Orders from before they said it are DefaultProvider's, whose sessions are named like
// this. That goes once no checkout of such an order can be open any more.
func (o *Order) PaymentSession() string {
	if o.Session == "" && o.Provider == "" {
		return fmt.Sprintf("ps_%s", o.ID)
	}
	return o.Session
}

// PaidIn reports whether the order can be paid in a session. Where its session is known
// from its beginning it is that one; else the provider may have opened one of which it
// could not tell.
func (o *Order) PaidIn(session string) bool {
	if own := o.PaymentSession(); own != "" {
		return session == own
	}
	return ProviderOf(session) == o.Provider
}

// A PayPage is where an order is paid.
type PayPage struct {
	Session string `json:"session,omitempty"` // empty: it is opened when its buyer comes
	URL     string `json:"url"`
}

// A PayWish is what the page where an order is paid needs to know of where the buyer
// comes from.
type PayWish struct {
	ReturnURL   string `json:"return_url"`  // where the buyer goes afterwards
	Description string `json:"description"` // one line of what is paid for
}
