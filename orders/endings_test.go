package orders_test

import (
	"context"
	"testing"

	"boxoffice/domain"
)

// A checkout that ends without a sale is written down only while somebody asks for that by
// name, and then once, however often its step is repeated.
func TestEndingsAreToldWhereSomebodyAsksByName(t *testing.T) {
	const expired, failed = domain.EventCheckoutExpired, domain.EventCheckoutFailed
	for name, tt := range map[string]struct {
		always   []domain.EventType
		endpoint []domain.EventType // nil: there is none
		disabled bool
		want     int
	}{
		"nobody":                         {want: 0},
		"an endpoint for all types":      {endpoint: []domain.EventType{}, want: 0},
		"an endpoint for another type":   {endpoint: []domain.EventType{failed}, want: 0},
		"an endpoint that names it":      {endpoint: []domain.EventType{failed, expired}, want: 1},
		"an endpoint that was disabled":  {endpoint: []domain.EventType{expired}, disabled: true, want: 0},
		"a setting, or a reader":         {always: []domain.EventType{expired}, want: 1},
		"a setting for another type":     {always: []domain.EventType{failed}, want: 0},
		"both a setting and an endpoint": {always: []domain.EventType{expired}, endpoint: []domain.EventType{expired}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if tt.endpoint != nil {
				b.webhook(t, tt.endpoint...)
			}
			if tt.disabled {
				off := false
				must(b.store.ChangeWebhookEndpoint(b.ctx, webhookID, domain.WebhookChange{Enabled: &off}))
			}
			order := b.sold(t, keyOf(1)).Order
			before := b.count(t, `SELECT count(*) FROM outbox`)
			for range 3 { // by two processes
				endings := b.store.NewEndings(tt.always)
				for range 2 {
					if err := endings.CheckoutEnded(b.ctx, &order, domain.OrderExpired); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := b.count(t, `SELECT count(*) FROM outbox`) - before; got != tt.want {
				t.Errorf("%d events written, want %d", got, tt.want)
			}
		})
	}
}

// Whether somebody wants it is not guessed while the database is away: the step is repeated.
// What was known before goes on to hold.
func TestEndingsWhileTheDatabaseIsAway(t *testing.T) {
	b := setup(t)
	order := b.sold(t, keyOf(1)).Order
	away, cancel := context.WithCancel(b.ctx)
	cancel()
	endings := b.store.NewEndings(nil)
	if err := endings.CheckoutEnded(away, &order, domain.OrderExpired); err == nil {
		t.Error("nobody knows whether it is wanted, and it is taken for not wanted")
	}
	if err := endings.CheckoutEnded(b.ctx, &order, domain.OrderExpired); err != nil {
		t.Fatal(err)
	}
	if err := endings.CheckoutEnded(away, &order, domain.OrderExpired); err != nil {
		t.Errorf("%v, although nobody wanted it a moment ago", err)
	}
	if err := endings.CheckoutEnded(away, &order, domain.OrderSoldOut); err != nil {
		t.Errorf("%v, for a refusal, which is never told", err)
	}
}
