package activities

import (
	"context"

	"boxoffice/domain"
)

// ProviderCallsMax is how many calls of a worker wait for the payment provider at a
// time. A provider that hangs must leave slots of the worker to the steps that need
// only the ledger and the database.
const ProviderCallsMax = 250

// BoundProvider lets at most ProviderCallsMax calls through at a time. One more is
// refused at once with CodeOverloaded: its activity is tried again later, and has no
// slot meanwhile.
func BoundProvider(provider Provider) Provider {
	return &boundProvider{provider: provider, slots: make(chan struct{}, ProviderCallsMax)}
}

type boundProvider struct {
	provider Provider
	slots    chan struct{}
}

func (b *boundProvider) Expire(ctx context.Context, order domain.OrderID) (outcome domain.ExpireOutcome, err error) {
	err = b.enter(func() (err error) {
		outcome, err = b.provider.Expire(ctx, order)
		return err
	})
	return outcome, err
}

func (b *boundProvider) Capture(ctx context.Context, session string) (capture domain.Capture, captured bool, err error) {
	err = b.enter(func() (err error) {
		capture, captured, err = b.provider.Capture(ctx, session)
		return err
	})
	return capture, captured, err
}

func (b *boundProvider) Refund(ctx context.Context, refund domain.Refund) error {
	return b.enter(func() error { return b.provider.Refund(ctx, refund) })
}

func (b *boundProvider) enter(call func() error) error {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
		return call()
	default:
		return &domain.Error{Code: domain.CodeOverloaded, Detail: "As many calls as may be are waiting for the payment provider; nothing was sent."}
	}
}
