package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
)

// Summary is the line by which people recognise a checkout in the Web UI. It says what is
// bought, never who buys.
func Summary(order *domain.Order) string {
	var b strings.Builder
	for i, l := range order.Lines {
		if i > 0 {
			b.WriteString(" + ")
		}
		fmt.Fprintf(&b, "%d × %s", l.Quantity, l.Class)
	}
	fmt.Fprintf(&b, " · %s · %s", order.SaleID, domain.FormatMoney(order.AmountMinor, order.Currency))
	return b.String()
}

// enter moves the order to a state, and shows it as the workflow's current details, which
// cost no event.
func (c *checkout) enter(ctx workflow.Context, status domain.OrderStatus) {
	c.state.Status = status
	if status.Settled() {
		c.state.Ended, c.state.Processing = workflow.Now(ctx), false
	}
	workflow.SetCurrentDetails(ctx, c.details())
}

func (c *checkout) details() string {
	switch c.state.Status {
	case domain.OrderPending:
		return "**pending**: the ledger is asked for the seats"
	case domain.OrderHeld:
		if c.order.IsFree() {
			return "**held**: it costs nothing, so the tickets are recorded at once"
		}
		if c.state.Authorized {
			return fmt.Sprintf("**held**: the payment of %s is authorised; the seats are sold first, then the money is captured",
				domain.FormatMoney(c.order.AmountMinor, c.order.Currency))
		}
		if c.state.Processing {
			return fmt.Sprintf("**held** until %s: the payment of %s is being processed",
				c.state.Hold.KeptUntil().UTC().Format("2006-01-02 15:04:05 UTC"), domain.FormatMoney(c.order.AmountMinor, c.order.Currency))
		}
		return fmt.Sprintf("**held** until %s: waiting for the payment of %s%s",
			c.state.Hold.ExpiresAt.UTC().Format("15:04:05 UTC"), domain.FormatMoney(c.order.AmountMinor, c.order.Currency), c.declined())
	case domain.OrderPaid:
		perk := ""
		if c.order.Perk != nil && c.state.PerkTaken {
			perk = ", with " + c.order.Perk.Name
		} else if c.order.Perk != nil {
			perk = ", without " + c.order.Perk.Name + ": none left"
		}
		if c.order.IsFree() {
			return fmt.Sprintf("**paid**: it costs nothing; %d tickets recorded%s", c.order.Quantity(), perk)
		}
		return fmt.Sprintf("**paid** by `%s`: %d tickets recorded%s", c.state.Payment, c.order.Quantity(), perk)
	case domain.OrderSoldOut:
		return "**sold out**: the ledger had not enough tickets left; nothing is held"
	case domain.OrderLimitReached:
		return "**limit reached**: the buyer's tickets of this sale are used up; nothing is held"
	case domain.OrderFailed, domain.OrderCanceled, domain.OrderExpired:
		return fmt.Sprintf("**%s**: the seats are back on sale%s", c.state.Status, c.declined())
	case domain.OrderRefunding:
		return fmt.Sprintf("**refunding** `%s`: it bought no ticket; see workflow `%s`",
			c.state.Payment, LateID(c.order.ID, c.state.Payment))
	case domain.OrderRefunded:
		return fmt.Sprintf("**refunded** `%s`", c.state.Payment)
	default:
		leaveToOthers("order status", c.state.Status)
		return ""
	}
}

// awaits is what a held order waits for: its timer's name in the timeline.
func (c *checkout) awaits() string {
	if c.state.Processing {
		return "the payment that is being processed, or the next look at it"
	}
	if c.state.Declines == 0 {
		return "payment or deadline"
	}
	return fmt.Sprintf("another attempt or deadline, declined %d of %d", c.state.Declines, domain.DeclinesMax)
}

func (c *checkout) declined() string {
	if c.state.Declines == 0 {
		return ""
	}
	return fmt.Sprintf("; declined %d times, of at most %d", c.state.Declines, domain.DeclinesMax)
}

// tellEnding makes the ending searchable, unless it is the ordinary one.
func (c *checkout) tellEnding(ctx workflow.Context) error {
	if c.state.Status == domain.OrderPaid {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, EndingAttribute.ValueSet(string(c.state.Status)))
}
