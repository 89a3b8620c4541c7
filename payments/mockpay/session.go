package mockpay

import (
	"fmt"
	"strings"

	"boxoffice/domain"
)

// SessionID is MockPay's id for the order's payment session. It is derived, so opening a
// session costs no call.
func SessionID(order domain.OrderID) string { return sessionPrefix + order.String() }

// OrderOfSession is the inverse of SessionID.
func OrderOfSession(session string) (domain.OrderID, error) {
	digits, ok := strings.CutPrefix(session, sessionPrefix)
	if !ok {
		return domain.OrderID{}, fmt.Errorf("payment session %.64q: want ps_<order id>", session)
	}
	return domain.ParseOrderID(digits)
}

const sessionPrefix = "ps_"
