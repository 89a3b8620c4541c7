package payments

import (
	"errors"
	"fmt"
	"net/url"

	"boxoffice/domain"
)

// PageURLMaxLen limits the address of a payment page, in bytes.
const PageURLMaxLen = 8 << 10

// CheckPageURL checks where a provider wants buyers to pay, before they are sent there:
// an absolute https address. Plain http is for a provider on this machine. An error does
// not repeat the address: whoever has it can pay.
func CheckPageURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case len(address) > PageURLMaxLen:
		return fmt.Errorf("the payment page's address has %d bytes; at most %d are allowed", len(address), PageURLMaxLen)
	case err != nil:
		return errors.New("the payment page's address is not a URL")
	case u.Hostname() == "" || u.User != nil:
		return errors.New("the payment page's address must name a host, and no user")
	case u.Scheme == "https", u.Scheme == "http" && domain.IsLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("the payment page's address begins with %.16q; it must be https, or http on this machine", u.Scheme)
	}
}
