package mockpay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"boxoffice/domain"
	"boxoffice/payments"
)

// Limits of a pay link, in bytes.
const (
	ReturnURLMaxLen   = 1024
	DescriptionMaxLen = payments.DescriptionMaxLen
	payQueryMaxLen    = 8192
)

// PayPath is where the provider's hosted pay page is, below its base URL. The session
// follows it.
const PayPath = "/pay/"

// A PayLink is all that the provider's hosted page needs to know about an order. It
// travels, signed, in the page's address, so opening a session costs no call.
type PayLink struct {
	Order       domain.OrderID
	AmountMinor int64
	Currency    string
	ExpiresAt   time.Time // whole milliseconds; after this no payment is taken
	ReturnURL   string    // where the buyer goes afterwards: absolute, http or https
	Description string    // one line for the buyer
	Authorize   bool      // the payment only authorises the money
	Delayed     bool      // a payment may be processed for a while
}

// Session is the payment session that the link opens.
func (l PayLink) Session() string { return SessionID(l.Order) }

// PayLinks signs and reads pay links. It is safe for concurrent use.
type PayLinks struct {
	base string
	keys [][]byte
}

// NewPayLinks makes links to the provider at baseURL (MOCKPAY_URL). It signs them with a
// key derived from the webhook secret for this purpose. It accepts all secrets and signs
// with the first.
func NewPayLinks(baseURL string, secrets Secrets) (*PayLinks, error) {
	base, err := parseBaseURL(baseURL)
	if err != nil {
		return nil, err
	}
	keys, err := secrets.derive("paylink")
	if err != nil {
		return nil, err
	}
	return &PayLinks{base: base, keys: keys}, nil
}

// URL returns the address of the hosted pay page for a link. It fails only if a field
// breaks its limits, with a *domain.Error with CodeInvalid.
func (p *PayLinks) URL(l PayLink) (string, error) {
	if err := l.validate(); err != nil {
		return "", err
	}
	query := url.Values{
		"amount":      {strconv.FormatInt(l.AmountMinor, 10)},
		"currency":    {l.Currency},
		"expires":     {strconv.FormatInt(l.ExpiresAt.UnixMilli(), 10)},
		"return":      {l.ReturnURL},
		"description": {l.Description},
		"signature":   {base64.RawURLEncoding.EncodeToString(l.mac(p.keys[0]))},
	}
	if l.Authorize {
		query.Set("authorize", optionYes)
	}
	if l.Delayed {
		query.Set("delayed", optionYes)
	}
	return p.base + PayPath + l.Session() + "?" + query.Encode(), nil
}

// optionYes is the only value of an option's parameter. Links without the option have no
// such parameter, as links of earlier releases.
const optionYes = "1"

// Parse reads the link from the session and the query of a pay page's address. It ignores
// parameters that are not the link's. Every failure is a *domain.Error: CodeForged if URL
// did not make the link, CodeInvalid if it cannot be read at all.
func (p *PayLinks) Parse(session, rawQuery string) (PayLink, error) {
	l, signature, err := parsePayLink(session, rawQuery)
	if err != nil {
		return PayLink{}, err
	}
	for _, key := range p.keys {
		if hmac.Equal(signature, l.mac(key)) {
			return l, l.validate()
		}
	}
	return PayLink{}, forged("The pay link's signature is not valid.", nil)
}

func parsePayLink(session, rawQuery string) (PayLink, []byte, error) {
	unreadable := func(detail string, err error) (PayLink, []byte, error) {
		return PayLink{}, nil, &domain.Error{Code: domain.CodeInvalid, Field: "link", Detail: detail, Err: err}
	}
	order, err := OrderOfSession(session)
	if err != nil {
		return unreadable("The pay link names no payment session.", err)
	}
	if len(rawQuery) > payQueryMaxLen {
		return unreadable("The pay link is too long.", nil)
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return unreadable("The pay link's query cannot be read.", err)
	}
	for _, name := range []string{"amount", "currency", "expires", "return", "description", "signature"} {
		if len(query[name]) != 1 {
			return unreadable(fmt.Sprintf("The pay link must have %s exactly once.", name), nil)
		}
	}
	amount, errAmount := strconv.ParseInt(query.Get("amount"), 10, 64)
	expires, errExpires := strconv.ParseInt(query.Get("expires"), 10, 64)
	signature, errSignature := base64.RawURLEncoding.Strict().DecodeString(query.Get("signature"))
	if err := errors.Join(errAmount, errExpires, errSignature); err != nil {
		return unreadable("The pay link's amount, expiry or signature cannot be read.", err)
	}
	for _, option := range []string{"authorize", "delayed"} {
		if given := query[option]; len(given) > 1 || len(given) == 1 && given[0] != optionYes {
			return unreadable(fmt.Sprintf("The pay link's %s must be 1, or not there.", option), nil)
		}
	}
	return PayLink{
		Authorize:   query.Has("authorize"),
		Delayed:     query.Has("delayed"),
		Order:       order,
		AmountMinor: amount,
		Currency:    query.Get("currency"),
		ExpiresAt:   time.UnixMilli(expires).UTC(),
		ReturnURL:   query.Get("return"),
		Description: query.Get("description"),
	}, signature, nil
}

// mac puts each field's length before it, so that no two lists of fields read the same.
func (l PayLink) mac(key []byte) []byte {
	h := hmac.New(sha256.New, key)
	fields := []string{
		l.Order.String(), strconv.FormatInt(l.AmountMinor, 10), l.Currency,
		strconv.FormatInt(l.ExpiresAt.UnixMilli(), 10), l.ReturnURL, l.Description,
	}
	if l.Authorize {
		fields = append(fields, "authorize")
	}
	if l.Delayed {
		fields = append(fields, "delayed")
	}
	for _, field := range fields {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	return h.Sum(nil)
}

func (l PayLink) validate() error {
	switch {
	case l.Order.IsZero():
		return domain.Invalid("order", "must be set")
	case l.AmountMinor < 0 || l.AmountMinor > AmountMinorMax:
		return domain.Invalid("amount", fmt.Sprintf("must be 0–%d minor units", int64(AmountMinorMax)))
	case !domain.ValidCurrency(l.Currency):
		return domain.Invalid("currency", "must be an ISO 4217 code such as EUR")
	case l.ExpiresAt.Year() < 2000 || l.ExpiresAt.Year() > 9999: // what RFC 3339 can write, and not forgotten
		return domain.Invalid("expires", "must be a time of the years 2000–9999")
	case !validReturnURL(l.ReturnURL):
		return domain.Invalid("return", "must be an absolute http or https address")
	case !validDescription(l.Description):
		return domain.Invalid("description", fmt.Sprintf("must be one line of at most %d bytes", DescriptionMaxLen))
	}
	return nil
}

// returnHostPattern is narrower than a URL's host may be, because it goes into the pay
// page's Content-Security-Policy.
var returnHostPattern = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

func validReturnURL(s string) bool {
	if len(s) > ReturnURLMaxLen {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && returnHostPattern.MatchString(u.Host)
}

func validDescription(s string) bool {
	return len(s) <= DescriptionMaxLen && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// parseBaseURL checks a server's base URL and drops a slash at its end.
func parseBaseURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("payment provider's URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("payment provider's URL %q: want http(s)://host[:port]", u.Redacted())
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}
