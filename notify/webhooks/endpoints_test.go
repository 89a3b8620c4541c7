package webhooks

import (
	"context"
	"testing"
	"time"

	"boxoffice/domain"
)

// endpoint is an EndpointStore with one endpoint and what Change needs.
type endpoint struct {
	EndpointStore
	changed domain.WebhookEndpoint
}

func (e endpoint) ChangeWebhookEndpoint(context.Context, string, domain.WebhookChange) (domain.WebhookEndpoint, error) {
	return e.changed, nil
}

func TestAMendedEndpointIsWoken(t *testing.T) {
	url := "https://hooks.example.com/"
	for _, tt := range []struct {
		name       string
		change     domain.WebhookChange
		isDisabled bool
		isWoken    bool
	}{
		{"another URL", domain.WebhookChange{URL: &url}, false, true},
		{"a new URL while disabled", domain.WebhookChange{URL: &url}, true, false},
		{"enabled", domain.WebhookChange{Enabled: new(true)}, false, true},
		{"disabled", domain.WebhookChange{Enabled: new(false)}, true, false},
		{"another description", domain.WebhookChange{Description: new("ours")}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var temporal wakes
			store := endpoint{changed: domain.WebhookEndpoint{ID: "whe_TEST"}}
			if tt.isDisabled {
				store.changed.DisabledAt = time.Now()
			}
			_ = must(NewEndpoints(store, clear{}, &temporal, nil).Change(t.Context(), "whe_TEST", tt.change))
			if (len(temporal.got) == 1) != tt.isWoken {
				t.Errorf("woken %v, want it woken: %t", temporal.got, tt.isWoken)
			}
		})
	}
}
