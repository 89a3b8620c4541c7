package payments

import (
	"crypto/sha256"
	"encoding/hex"

	"boxoffice/domain"
)

// Event is what the provider's webhook says about a session, for one who asked instead of
// waiting for it. It returns false while the session can still be paid in, and for one
// that was expired, which is nobody's news. Give it a session of a Set, and what the
// order costs: an event without money does not know it.
//
// The id differs from the webhook's, and is always the same for the same news.
func (s Session) Event(amountMinor int64, currency string) (domain.PaymentEvent, bool) {
	event := domain.PaymentEvent{
		Session: s.Session, Order: s.Order, Payment: s.Session, AmountMinor: amountMinor, Currency: currency,
	}
	switch s.Status {
	case SessionCaptured, SessionAuthorized:
		event = s.Capture.Event("")
	case SessionFailed:
		event.Type = domain.PaymentFailed
	case SessionCanceled:
		event.Type = domain.PaymentCanceled
	case SessionOpen, SessionProcessing, SessionExpired:
		return domain.PaymentEvent{}, false
	default:
		return domain.PaymentEvent{}, false // of an adapter that is newer than this
	}
	news := sha256.Sum256([]byte(event.Session + " " + event.Payment + " " + string(event.Type)))
	event.ID = "asked_" + hex.EncodeToString(news[:16])
	return event, true
}
