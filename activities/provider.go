package activities

import (
	"context"

	"boxoffice/domain"
	"boxoffice/payments"
)

// ProviderCallsMax is how many calls of a worker may wait for payment providers at a
// time. A provider that hangs must leave slots of the worker to steps that need only the
// ledger and the database, and to other providers.
const ProviderCallsMax = 250

// BoundProvider lets at most ProviderCallsMax calls through at a time, with an equal
// share for each named provider. It refuses one more at once with CodeOverloaded; its
// activity is retried later and takes no slot until then.
func BoundProvider(provider Provider, names ...string) Provider {
	b := &boundProvider{provider: provider, slots: make(map[string]chan struct{}, len(names))}
	for _, name := range names {
		b.slots[name] = make(chan struct{}, max(1, ProviderCallsMax/len(names)))
	}
	return b
}

type boundProvider struct {
	provider Provider
	slots    map[string]chan struct{}
}

func (b *boundProvider) Open(ctx context.Context, provider string, opening payments.Opening) (page domain.PayPage, err error) {
	err = b.enter(provider, func() (err error) {
		page, err = b.provider.Open(ctx, provider, opening)
		return err
	})
	return page, err
}

func (b *boundProvider) Expire(ctx context.Context, session string) (outcome domain.ExpireOutcome, err error) {
	err = b.enter(domain.ProviderOf(session), func() (err error) {
		outcome, err = b.provider.Expire(ctx, session)
		return err
	})
	return outcome, err
}

func (b *boundProvider) Capture(ctx context.Context, session string) (capture domain.Capture, captured bool, err error) {
	err = b.enter(domain.ProviderOf(session), func() (err error) {
		capture, captured, err = b.provider.Capture(ctx, session)
		return err
	})
	return capture, captured, err
}

func (b *boundProvider) Refund(ctx context.Context, refund domain.Refund) error {
	return b.enter(domain.ProviderOf(refund.Capture.Payment), func() error { return b.provider.Refund(ctx, refund) })
}

func (b *boundProvider) CaptureAuthorized(ctx context.Context, session string) (outcome domain.ExpireOutcome, err error) {
	err = b.enter(domain.ProviderOf(session), func() (err error) {
		outcome, err = b.provider.CaptureAuthorized(ctx, session)
		return err
	})
	return outcome, err
}

func (b *boundProvider) ReleaseAuthorized(ctx context.Context, session string) (outcome domain.ExpireOutcome, err error) {
	err = b.enter(domain.ProviderOf(session), func() (err error) {
		outcome, err = b.provider.ReleaseAuthorized(ctx, session)
		return err
	})
	return outcome, err
}

func (b *boundProvider) enter(provider string, call func() error) error {
	slots, known := b.slots[provider]
	if !known {
		return call() // not configured: that is answered at once
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return call()
	default:
		return &domain.Error{Code: domain.CodeOverloaded, Detail: "Too many calls are already waiting for the payment provider. Nothing was sent."}
	}
}
