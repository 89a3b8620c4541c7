package domain_test

import (
	"strings"
	"testing"

	"boxoffice/domain"
)

// The rule is the same however an event comes in: webhook, signal, command line.
func TestUsableEvents(t *testing.T) {
	order := domain.OrderID{1}
	tests := []struct {
		name   string
		change func(*domain.PaymentEvent)
		usable bool
	}{
		{"a success", func(*domain.PaymentEvent) {}, true},
		{"a failure", func(e *domain.PaymentEvent) { e.Type = domain.PaymentFailed }, true},
		{"an amount of 0", func(e *domain.PaymentEvent) { e.AmountMinor = 0 }, true},
		{"the longest ids", func(e *domain.PaymentEvent) {
			e.ID, e.Payment = strings.Repeat("e", domain.EventIDMaxLen), strings.Repeat("p", domain.PaymentIDMaxLen)
		}, true},
		{"every sign that an event id may have", func(e *domain.PaymentEvent) { e.ID = "_aZ09:=+-" }, true},
		{"every sign that a payment id may have", func(e *domain.PaymentEvent) { e.Payment = "aZ09._:-" }, true},
		{"an unknown type", func(e *domain.PaymentEvent) { e.Type = "payment.disputed" }, false},
		{"no event id", func(e *domain.PaymentEvent) { e.ID = "" }, false},
		{"an event id too long", func(e *domain.PaymentEvent) { e.ID = strings.Repeat("e", domain.EventIDMaxLen+1) }, false},
		{"an event id with the separator of what is signed", func(e *domain.PaymentEvent) { e.ID = "evt.1" }, false},
		{"no payment id", func(e *domain.PaymentEvent) { e.Payment = "" }, false},
		{"a payment id too long", func(e *domain.PaymentEvent) { e.Payment = strings.Repeat("p", domain.PaymentIDMaxLen+1) }, false},
		{"a payment id with the separator of workflow ids", func(e *domain.PaymentEvent) { e.Payment = "pay/1" }, false},
		{"a payment id that begins with a sign", func(e *domain.PaymentEvent) { e.Payment = ".pay" }, false},
		{"an invalid session id", func(e *domain.PaymentEvent) { e.Session = "ps 1" }, false},
		{"a session of another provider", func(e *domain.PaymentEvent) { e.Session = "other/" + e.Session }, false},
		{"another provider's", func(e *domain.PaymentEvent) { e.Session, e.Payment = "other/"+e.Session, "other/"+e.Payment }, true},
		{"an invalid provider name", func(e *domain.PaymentEvent) { e.Session, e.Payment = "O/"+e.Session, "O/"+e.Payment }, false},
		{"a negative amount", func(e *domain.PaymentEvent) { e.AmountMinor = -1 }, false},
		{"no currency", func(e *domain.PaymentEvent) { e.Currency = "" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			event := domain.PaymentEvent{
				ID: "evt_1", Type: domain.PaymentSucceeded, Session: "ps_" + order.String(), Order: order,
				Payment: "pay_1", AmountMinor: 6500, Currency: "EUR",
			}
			tt.change(&event)
			if got := event.Usable(); got != tt.usable {
				t.Fatalf("event.Usable() is %v, want %v", got, tt.usable)
			}
		})
	}
}

func TestAnEventMayLeaveOutWhatFollowsFromItsOrder(t *testing.T) {
	order := domain.OrderID{1}
	event := domain.PaymentEvent{ID: "evt_1", Type: domain.PaymentSucceeded, Order: order, Currency: "EUR"}.Normalized("ps_" + order.String())
	if want := "ps_" + order.String(); event.Session != want {
		t.Fatalf("event.Session is %q, want %q", event.Session, want)
	}
	if event.Payment != event.Session {
		t.Fatalf("event.Payment is %q, want %q", event.Payment, event.Session)
	}
	if !event.Usable() {
		t.Fatal("want true: event.Usable()")
	}
}
