package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
)

// looksWhileProcessing is how often the provider is asked about a payment that it is
// processing, over the whole extension. Its events come first: this is for those that get
// lost.
const looksWhileProcessing = 24

// lookMin is the shortest time between two looks.
const lookMin = time.Second

// waitForProcessing keeps the seats while the provider is processing a payment, until the
// extension is over. Then they go back, and what comes later is late money like any other.
func (c *checkout) waitForProcessing(ctx workflow.Context) error {
	now, until := workflow.Now(ctx), c.state.Hold.KeptUntil()
	if !now.Before(until) {
		return c.release(ctx, domain.OrderExpired)
	}
	c.state.Processing = true
	c.nextLook = now.Add(max(c.state.Hold.ProcessingExtension/looksWhileProcessing, lookMin))
	if c.nextLook.After(until) {
		c.nextLook = until
	}
	workflow.SetCurrentDetails(ctx, c.details())
	return nil
}

// deadline is when the provider is asked to forbid further payments.
func (c *checkout) deadline() time.Time {
	if c.nextLook.After(c.state.Hold.ExpiresAt) {
		return c.nextLook
	}
	return c.state.Hold.ExpiresAt
}
