package payments_test

import (
	"testing"

	"boxoffice/domain"
	"boxoffice/payments"
)

// What a provider answers is told to the checkout as its webhook would tell it.
func TestWhatASessionTellsItsCheckout(t *testing.T) {
	id := order(7)
	capture := domain.Capture{Payment: "two/pay_1", Session: "two/s_1", Order: id, AmountMinor: 900, Currency: "EUR"}
	for status, want := range map[payments.SessionStatus]domain.PaymentEvent{
		payments.SessionOpen:       {},
		payments.SessionProcessing: {},
		payments.SessionExpired:    {},
		"of a newer adapter":       {},
		payments.SessionCaptured:   {Type: domain.PaymentSucceeded, Session: "two/s_1", Order: id, Payment: "two/pay_1", AmountMinor: 900, Currency: "EUR"},
		payments.SessionFailed:     {Type: domain.PaymentFailed, Session: "two/s_1", Order: id, Payment: "two/s_1", AmountMinor: 500, Currency: "USD"},
		payments.SessionCanceled:   {Type: domain.PaymentCanceled, Session: "two/s_1", Order: id, Payment: "two/s_1", AmountMinor: 500, Currency: "USD"},
	} {
		session := payments.Session{Session: "two/s_1", Order: id, Status: status}
		if status == payments.SessionCaptured {
			session.Capture = &capture
		}
		event, isNews := session.Event(500, "USD")
		again, _ := session.Event(500, "USD")
		if isNews != (want.Type != "") || again.ID != event.ID {
			t.Errorf("%s: news %t, ids %q and %q", status, isNews, event.ID, again.ID)
		}
		if isNews && !event.Usable() {
			t.Errorf("%s: no checkout would take %+v", status, event)
		}
		event.ID = ""
		if event != want {
			t.Errorf("%s: %+v, want %+v", status, event, want)
		}
	}
}
