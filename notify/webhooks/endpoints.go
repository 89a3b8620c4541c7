package webhooks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"boxoffice/domain"
)

// EndpointStore is where endpoints are kept. orders.Store is one.
type EndpointStore interface {
	CreateWebhookEndpoint(ctx context.Context, e domain.WebhookEndpoint) (domain.WebhookEndpoint, error)
	WebhookEndpoints(ctx context.Context) ([]domain.WebhookEndpoint, error)
	WebhookEndpointState(ctx context.Context, id string) (domain.WebhookEndpoint, error)
	ChangeWebhookEndpoint(ctx context.Context, id string, c domain.WebhookChange) (domain.WebhookEndpoint, error)
	RotateWebhookSecret(ctx context.Context, id string, secret []byte, overlap time.Duration) (domain.WebhookEndpoint, error)
	DeleteWebhookEndpoint(ctx context.Context, id string) error
	RedeliverWebhooks(ctx context.Context, endpoint string, r domain.WebhookRedelivery, limit int) (queued int, last time.Time, more bool, err error)
	WebhookDeliveries(ctx context.Context, endpoint string, state domain.WebhookState, after domain.EventID, limit int) ([]domain.WebhookDelivery, error)
}

// Endpoints manages the endpoints that the organiser registers.
type Endpoints struct {
	store    EndpointStore
	sealer   Sealer
	temporal signaller
	allowed  []netip.Prefix
}

// NewEndpoints stores endpoints, with their secrets sealed. allowed are networks that we may
// send to although they are not public.
func NewEndpoints(store EndpointStore, sealer Sealer, c signaller, allowed []netip.Prefix) *Endpoints {
	return &Endpoints{store: store, sealer: sealer, temporal: c, allowed: allowed}
}

const secretBytes = 32

// newSecret makes a secret in the form of Standard Webhooks.
func (s *Endpoints) newSecret(endpoint string) (secret string, sealed []byte, err error) {
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // it never fails
	secret = "whsec_" + base64.StdEncoding.EncodeToString(random)
	sealed, err = s.sealer.Seal(endpoint, []byte(secret))
	if err != nil {
		return "", nil, fmt.Errorf("seal the secret of webhook endpoint %s: %w", endpoint, err)
	}
	return secret, sealed, nil
}

func checkTypes(types []domain.EventType) error {
	for i, t := range types {
		if !t.Known() {
			return domain.Invalid(fmt.Sprintf("types[%d]", i), "must be an event type, see docs/events.md")
		}
		if slices.Contains(types[:i], t) {
			return domain.Invalid(fmt.Sprintf("types[%d]", i), "is there twice")
		}
	}
	return nil
}

// Create registers an endpoint and returns its secret, which is never shown again. Errors:
// CodeInvalid; CodeNotFound for the sale; *domain.UnknownError.
func (s *Endpoints) Create(ctx context.Context, e domain.WebhookEndpoint) (domain.WebhookEndpoint, string, error) {
	for _, err := range []error{checkURL(e.URL, s.allowed), domain.CheckWebhookDescription(e.Description), checkTypes(e.Types)} {
		if err != nil {
			return e, "", err
		}
	}
	e.ID = "whe_" + rand.Text()
	secret, sealed, err := s.newSecret(e.ID)
	if err != nil {
		return e, "", err
	}
	e.Secret = sealed
	stored, err := s.store.CreateWebhookEndpoint(ctx, e)
	return stored, secret, err
}

// List lists all endpoints.
func (s *Endpoints) List(ctx context.Context) ([]domain.WebhookEndpoint, error) {
	return s.store.WebhookEndpoints(ctx)
}

// Endpoint finds one, or fails with CodeNotFound.
func (s *Endpoints) Endpoint(ctx context.Context, id string) (domain.WebhookEndpoint, error) {
	return s.store.WebhookEndpointState(ctx, id)
}

// Change changes one. Errors: CodeInvalid, CodeNotFound, *domain.UnknownError.
func (s *Endpoints) Change(ctx context.Context, id string, c domain.WebhookChange) (domain.WebhookEndpoint, error) {
	if c.URL != nil {
		if err := checkURL(*c.URL, s.allowed); err != nil {
			return domain.WebhookEndpoint{}, err
		}
	}
	if c.Description != nil {
		if err := domain.CheckWebhookDescription(*c.Description); err != nil {
			return domain.WebhookEndpoint{}, err
		}
	}
	if c.Types != nil {
		if err := checkTypes(*c.Types); err != nil {
			return domain.WebhookEndpoint{}, err
		}
	}
	e, err := s.store.ChangeWebhookEndpoint(ctx, id, c)
	if err != nil || !e.DisabledAt.IsZero() {
		return e, err
	}
	switch { // pending deliveries become due now
	case c.URL != nil:
		err = s.wake(ctx, id, Wake{Why: "it has another URL"})
	case c.Enabled != nil && *c.Enabled:
		err = s.wake(ctx, id, Wake{Why: "the organiser enabled it"})
	}
	return e, err
}

// Rotate gives an endpoint a new secret and returns it. For the overlap, the old one signs
// beside it. Errors: CodeInvalid, CodeNotFound, *domain.UnknownError.
func (s *Endpoints) Rotate(ctx context.Context, id string, overlap time.Duration) (domain.WebhookEndpoint, string, error) {
	if overlap < 0 || overlap > domain.WebhookOverlapMax {
		return domain.WebhookEndpoint{}, "", domain.Invalid("overlap_seconds", fmt.Sprintf("must be 0–%d", int(domain.WebhookOverlapMax.Seconds())))
	}
	secret, sealed, err := s.newSecret(id)
	if err != nil {
		return domain.WebhookEndpoint{}, "", err
	}
	e, err := s.store.RotateWebhookSecret(ctx, id, sealed, overlap)
	return e, secret, err
}

// Delete deletes an endpoint and its deliveries. Errors: CodeNotFound, *domain.UnknownError.
func (s *Endpoints) Delete(ctx context.Context, id string) error {
	return s.store.DeleteWebhookEndpoint(ctx, id)
}

// Redeliver sends events again: one, or all since a time, at most
// domain.WebhookRedeliverMax. more says that there are more, after last. Errors:
// CodeNotFound, CodeInvalid, *domain.UnknownError.
func (s *Endpoints) Redeliver(ctx context.Context, id string, r domain.WebhookRedelivery) (queued int, last time.Time, more bool, err error) {
	queued, last, more, err = s.store.RedeliverWebhooks(ctx, id, r, domain.WebhookRedeliverMax)
	if queued == 0 {
		return 0, last, more, err
	}
	return queued, last, more, errors.Join(err, s.wake(ctx, id, Wake{Events: queued, Why: "the organiser asked for it"}))
}

// wake starts or signals the delivery. The change is already stored by then, so a failure to
// wake is an UnknownError.
func (s *Endpoints) wake(ctx context.Context, id string, w Wake) error {
	if err := wake(ctx, s.temporal, id, w); err != nil {
		return &domain.UnknownError{Op: "wake webhooks", ID: id, Err: err}
	}
	return nil
}

// Deliveries lists an endpoint's deliveries, newest event first, or fails with CodeNotFound.
func (s *Endpoints) Deliveries(
	ctx context.Context, id string, state domain.WebhookState, after domain.EventID, limit int,
) ([]domain.WebhookDelivery, error) {
	return s.store.WebhookDeliveries(ctx, id, state, after, limit)
}
