package domain

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultProvider takes the money where no provider is named: in sales and orders from
// before they named theirs, and in ids without a provider in front.
const DefaultProvider = "mockpay"

// FreeProvider stands in orders that cost nothing where the provider's name stands in
// others. No provider can have that name: there is no session, no call and no payment. It
// marks orders from their start, so that checkouts of earlier releases go on as they
// began: those took an amount of 0 to a provider like any other.
const FreeProvider = "free"

var providerPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// ValidProvider reports whether name can be a payment provider's: 1–32 lower-case
// letters, digits and hyphens, the first a letter, and not FreeProvider.
func ValidProvider(name string) bool {
	return providerPattern.MatchString(name) && name != FreeProvider
}

// QualifiedID is a provider's id of a session or payment as everything but the provider's
// adapter sees it: with the provider's name in front, so that ids of two providers never
// collide. Ids of DefaultProvider stay bare, because existing books and histories have
// them so. No provider's id has a slash.
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

// ProviderOf returns the provider that a qualified id names.
func ProviderOf(qualified string) string {
	provider, _ := SplitID(qualified)
	return provider
}

// IsFree reports whether the order costs nothing and is sold without a payment.
func (o *Order) IsFree() bool { return o.Provider == FreeProvider }

// FreeCapture stands where the payment of an order stands that costs nothing. Nobody took
// it and nobody gives it back.
func FreeCapture(o *Order) Capture {
	id := QualifiedID(FreeProvider, o.ID.String())
	return Capture{Payment: id, Session: id, Order: o.ID, Currency: o.Currency}
}

// IsFree reports whether the capture is a FreeCapture: no provider knows it.
func (c *Capture) IsFree() bool { return ProviderOf(c.Payment) == FreeProvider }

// PaymentSession is the order's payment session if it is known from the start: a provider
// that derives its session needs no call. Empty: one is opened when the buyer wants to
// pay.
//
// Orders from before they named their provider are DefaultProvider's, whose sessions have
// these ids. Remove that once no checkout of such an order can be open.
func (o *Order) PaymentSession() string {
	if o.Session == "" && o.Provider == "" {
		return fmt.Sprintf("ps_%s", o.ID)
	}
	return o.Session
}

// PaidIn reports whether the order can be paid in a session. If its session is known from
// the start, only in that one. Otherwise the provider may have opened one and failed to
// tell us.
func (o *Order) PaidIn(session string) bool {
	if own := o.PaymentSession(); own != "" {
		return session == own
	}
	return ProviderOf(session) == o.Provider
}

// A PayPage is where an order is paid.
type PayPage struct {
	Session string `json:"session,omitempty"` // empty: opened when the buyer comes
	URL     string `json:"url"`
}

// A PayWish tells the payment page where the buyer comes from.
type PayWish struct {
	ReturnURL   string `json:"return_url"`  // where the buyer goes afterwards
	Description string `json:"description"` // one line about what is paid for
}
