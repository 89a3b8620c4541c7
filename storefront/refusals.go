package storefront

import (
	"fmt"
	"strings"

	"boxoffice/domain"
)

// What the API writes is for programs. Here is what a page says instead, in the words of
// checkout.js.

// invalidText says what is wrong with a form, in the same words as invalidText in
// checkout.js.
func invalidText(p problem) string {
	field := ""
	if len(p.Errors) > 0 {
		field = p.Errors[0].Field
	}
	switch {
	case strings.Contains(field, "email"):
		return "The e-mail address cannot be right."
	case strings.Contains(field, "items"):
		return "Choose at least one ticket, and no more than one person may have."
	default:
		return "Something in it cannot be right."
	}
}

// checkoutRefusal is what a buyer reads when a checkout was refused for good. onHold is
// how many tickets this browser's other orders of the sale hold.
func checkoutRefusal(sale *domain.Sale, p problem, byPlace bool, onHold int64) *notice {
	switch domain.Code(p.Code) {
	case domain.CodeSoldOut:
		if p.Held > 0 {
			return &notice{
				Kind:    "warn",
				Heading: "Not enough left right now",
				Text:    "On hold for a payment: " + count(p.Held, "ticket") + ". Some may come back: try again in a minute.",
			}
		}
		return &notice{Kind: "bad", Heading: "Sold out", Text: "Fewer tickets are left than you asked for."}
	case domain.CodeLimitReached:
		text := fmt.Sprintf("At most %d tickets a person, those that still wait for a payment included.", sale.BuyerLimit)
		switch {
		case onHold > 0:
			text = "You have " + count(onHold, "ticket") + " on hold already, see above: pay for them, or cancel that order to choose anew."
		case sale.OneCheckoutPerBuyer:
			text = fmt.Sprintf("At most %d tickets a person, and one order at a time: pay for the open one, or cancel it.", sale.BuyerLimit)
		}
		return &notice{Kind: "bad", Heading: "That is more than one person may have", Text: text}
	case domain.CodeSaleCanceled:
		return &notice{Kind: "bad", Heading: "This sale is canceled", Text: "The organiser called it off. Nothing is held and nothing was charged."}
	case domain.CodeNotOpen:
		return &notice{Kind: "warn", Heading: "Not open yet", Text: "This sale opens later."}
	case domain.CodeSaleClosed:
		return &notice{Kind: "bad", Heading: "This sale is closed", Text: "It takes no more orders. What is on hold already can still be paid."}
	case domain.CodeClassNotOpen:
		return &notice{Kind: "warn", Heading: "Not all of it is on sale yet", Text: "One of the classes that you chose is sold later: choose another, or come back."}
	case domain.CodeClassClosed:
		return &notice{Kind: "bad", Heading: "Not all of it is on sale any more", Text: "One of the classes that you chose is no longer sold: choose another."}
	case domain.CodeMaxPerOrder:
		return &notice{Kind: "bad", Heading: "Too many tickets of one class", Text: "An order may have fewer tickets of that class: choose fewer."}
	case domain.CodeInvalid:
		return &notice{Kind: "bad", Heading: "Please check what you entered", Text: invalidText(p)}
	case domain.CodeNotFound:
		return &notice{Kind: "bad", Heading: "This sale is over", Text: ""}
	case domain.CodeQueueRequired:
		if byPlace {
			return &notice{Kind: "warn", Heading: "It is not your turn yet", Text: "Nothing is lost: your place stays yours."}
		}
		return &notice{Kind: "warn", Heading: "This sale has a queue", Text: "Join the queue from the sale’s page. Once it is your turn, its page has the form."}
	case domain.CodeKeyReused:
		switch {
		case byPlace:
			return &notice{Kind: "bad", Heading: "This place was used already", Text: "It is good for one order."}
		case onHold > 0:
			return &notice{
				Kind:    "warn",
				Heading: "You have ordered already",
				Text:    "What you ordered first is on hold, see above. Press the button again to order these tickets too.",
			}
		}
		return &notice{Kind: "warn", Heading: "This form was sent before", Text: "Nothing more is held. Press the button again for another order."}
	default:
		return wentWrong(p, "Nothing is held.")
	}
}

// joinRefusal is what a visitor reads who got no place in a queue.
func joinRefusal(p problem) *notice {
	switch domain.Code(p.Code) {
	case domain.CodeProofRequired:
		return &notice{
			Kind:    "warn",
			Heading: "This queue checks that you are not a program",
			Text:    "The check runs by itself, but only in a browser with JavaScript. Please switch it on for this page, or use another browser.",
		}
	case domain.CodeNotEntitled:
		return &notice{
			Kind:    "warn",
			Heading: "This sale asks for a presale code or an invitation",
			Text:    "You have it from the organiser. Without one nobody gets a place here.",
		}
	case domain.CodeBadEntitlement:
		return &notice{
			Kind:    "bad",
			Heading: "This code or invitation is not known here",
			Text:    "Please check it letter by letter. Perhaps it is for another sale, or the organiser has withdrawn it. You have no place yet.",
		}
	case domain.CodeEntitlementExpired:
		return &notice{Kind: "bad", Heading: "This invitation has run out", Text: "It was good until a certain time. You have no place. Please ask the organiser."}
	case domain.CodeEntitlementSpent:
		return &notice{
			Kind:    "bad",
			Heading: "This code or invitation was used already",
			Text:    "All places that it is good for are taken. If it was you, your place is in the browser that you took it with, or at the address that you kept.",
		}
	case domain.CodeQueueFull:
		return &notice{
			Kind:    "warn",
			Heading: "The queue is full",
			Text:    "Far more people wait than there are tickets. You have no place. There is room again once the sale is open and those who left are passed: please try again then.",
		}
	case domain.CodeSoldOut:
		return &notice{Kind: "bad", Heading: "Sold out", Text: "All tickets of this sale are sold."}
	case domain.CodeSaleClosed:
		return &notice{Kind: "bad", Heading: "This sale is closed", Text: "It takes no more orders."}
	case domain.CodeSaleCanceled:
		return &notice{Kind: "bad", Heading: "This sale is canceled", Text: "The organiser called it off."}
	case domain.CodeNotFound:
		return &notice{Kind: "bad", Heading: "This sale is over", Text: ""}
	default:
		return wentWrong(p, "You have no place yet.")
	}
}

func wentWrong(p problem, state string) *notice {
	text := state + " Please try again"
	if p.RequestID != "" {
		text += " (request " + p.RequestID + ")"
	}
	return &notice{Kind: "bad", Heading: "Something went wrong", Text: text + "."}
}
