package storefront

import (
	"strings"

	"boxoffice/domain"
)

// What the API writes is for programs. Here is what a page says instead, in the words of
// checkout.js.

// invalidText says what is wrong with a form, in the same words as invalidText in
// checkout.js.
func invalidText(in *words, p problem) string {
	field := ""
	if len(p.Errors) > 0 {
		field = p.Errors[0].Field
	}
	switch {
	case strings.Contains(field, "email"):
		return in.t("The e-mail address cannot be right.")
	case strings.Contains(field, "items"):
		return in.t("Choose at least one ticket, and no more than one person may have.")
	default:
		return in.t("Something in it cannot be right.")
	}
}

// checkoutRefusal is what a buyer reads when a checkout was refused for good. onHold is
// how many tickets this browser's other orders of the sale hold.
func checkoutRefusal(in *words, sale *domain.Sale, p problem, byPlace bool, onHold int64) *notice {
	switch domain.Code(p.Code) {
	case domain.CodeSoldOut:
		if p.Held > 0 {
			return &notice{
				Kind:    "warn",
				Heading: in.t("Not enough left right now"),
				Text:    in.t("On hold for a payment: %d tickets. Some may come back: try again in a minute.", p.Held),
			}
		}
		return &notice{Kind: "bad", Heading: in.t("Sold out"), Text: in.t("Fewer tickets are left than you asked for.")}
	case domain.CodeLimitReached:
		text := in.t("At most %d tickets a person, those that still wait for a payment included.", sale.BuyerLimit)
		switch {
		case onHold > 0:
			text = in.t("You have %d tickets on hold already, see above: pay for them, or cancel that order to choose anew.", onHold)
		case sale.OneCheckoutPerBuyer:
			text = in.t("At most %d tickets a person, and one order at a time: pay for the open one, or cancel it.", sale.BuyerLimit)
		}
		return &notice{Kind: "bad", Heading: in.t("That is more than one person may have"), Text: text}
	case domain.CodeSaleCanceled:
		return &notice{Kind: "bad", Heading: in.t("This sale is canceled"), Text: in.t("The organiser called it off. Nothing is held and nothing was charged.")}
	case domain.CodeNotOpen:
		return &notice{Kind: "warn", Heading: in.t("Not open yet"), Text: in.t("This sale opens later.")}
	case domain.CodeSaleClosed:
		return &notice{Kind: "bad", Heading: in.t("This sale is closed"), Text: in.t("It takes no more orders. What is on hold already can still be paid.")}
	case domain.CodeClassNotOpen:
		return &notice{
			Kind: "warn", Heading: in.t("Not all of it is on sale yet"),
			Text: in.t("One of the classes that you chose is sold later: choose another, or come back."),
		}
	case domain.CodeClassClosed:
		return &notice{
			Kind: "bad", Heading: in.t("Not all of it is on sale any more"),
			Text: in.t("One of the classes that you chose is no longer sold: choose another."),
		}
	case domain.CodeMaxPerOrder:
		return &notice{Kind: "bad", Heading: in.t("Too many tickets of one class"), Text: in.t("An order may have fewer tickets of that class: choose fewer.")}
	case domain.CodeClassCodeRefused:
		return &notice{Kind: "bad", Heading: in.t("This code is not known here"), Text: in.t("Please check it letter by letter. Perhaps it is for another sale.")}
	case domain.CodeClassCodeSpent:
		return &notice{
			Kind: "bad", Heading: in.t("This code was used already"),
			Text: in.t("Nothing is held. If an order that waits for its payment has it, it may be good again later."),
		}
	case domain.CodeInvalid:
		return &notice{Kind: "bad", Heading: in.t("Please check what you entered"), Text: invalidText(in, p)}
	case domain.CodeNotFound:
		return &notice{Kind: "bad", Heading: in.t("This sale is over"), Text: ""}
	case domain.CodeQueueRequired:
		if byPlace {
			return &notice{Kind: "warn", Heading: in.t("It is not your turn yet"), Text: in.t("Nothing is lost: your place stays yours.")}
		}
		return &notice{Kind: "warn", Heading: in.t("This sale has a queue"), Text: in.t("Join the queue from the sale’s page. Once it is your turn, its page has the form.")}
	case domain.CodeKeyReused:
		switch {
		case byPlace:
			return &notice{Kind: "bad", Heading: in.t("This place was used already"), Text: in.t("It is good for one order.")}
		case onHold > 0:
			return &notice{
				Kind:    "warn",
				Heading: in.t("You have ordered already"),
				Text:    in.t("What you ordered first is on hold, see above. Press the button again to order these tickets too."),
			}
		}
		return &notice{Kind: "warn", Heading: in.t("This form was sent before"), Text: in.t("Nothing more is held. Press the button again for another order.")}
	default:
		return wentWrong(in, p, in.t("Nothing is held."))
	}
}

// joinRefusal is what a visitor reads who got no place in a queue.
func joinRefusal(in *words, p problem) *notice {
	switch domain.Code(p.Code) {
	case domain.CodeProofRequired:
		return &notice{
			Kind:    "warn",
			Heading: in.t("This queue checks that you are not a program"),
			Text:    in.t("The check runs by itself, but only in a browser with JavaScript. Please switch it on for this page, or use another browser."),
		}
	case domain.CodeNotEntitled:
		return &notice{
			Kind:    "warn",
			Heading: in.t("This sale asks for a presale code or an invitation"),
			Text:    in.t("You have it from the organiser. Without one nobody gets a place here."),
		}
	case domain.CodeBadEntitlement:
		return &notice{
			Kind:    "bad",
			Heading: in.t("This code or invitation is not known here"),
			Text:    in.t("Please check it letter by letter. Perhaps it is for another sale, or the organiser has withdrawn it. You have no place yet."),
		}
	case domain.CodeEntitlementExpired:
		return &notice{
			Kind: "bad", Heading: in.t("This invitation has run out"),
			Text: in.t("It was good until a certain time. You have no place. Please ask the organiser."),
		}
	case domain.CodeEntitlementSpent:
		return &notice{
			Kind:    "bad",
			Heading: in.t("This code or invitation was used already"),
			Text:    in.t("All places that it is good for are taken. If it was you, your place is in the browser that you took it with, or at the address that you kept."),
		}
	case domain.CodeQueueFull:
		return &notice{
			Kind:    "warn",
			Heading: in.t("The queue is full"),
			Text:    in.t("Far more people wait than there are tickets. You have no place. There is room again once the sale is open and those who left are passed: please try again then."),
		}
	case domain.CodeSoldOut:
		return &notice{Kind: "bad", Heading: in.t("Sold out"), Text: in.t("All tickets of this sale are sold.")}
	case domain.CodeSaleClosed:
		return &notice{Kind: "bad", Heading: in.t("This sale is closed"), Text: in.t("It takes no more orders.")}
	case domain.CodeSaleCanceled:
		return &notice{Kind: "bad", Heading: in.t("This sale is canceled"), Text: in.t("The organiser called it off.")}
	case domain.CodeNotFound:
		return &notice{Kind: "bad", Heading: in.t("This sale is over"), Text: ""}
	default:
		return wentWrong(in, p, in.t("You have no place yet."))
	}
}

func wentWrong(in *words, p problem, state string) *notice {
	again := in.t("Please try again.")
	if p.RequestID != "" {
		again = in.t("Please try again (request %s).", p.RequestID)
	}
	return &notice{Kind: "bad", Heading: in.t("Something went wrong"), Text: state + " " + again}
}

// onceMore asks for a form again that came without a key: it is from a page that a cache kept, see Public.
func onceMore(in *words) *notice {
	return &notice{Kind: "warn", Heading: in.t("Please look it over and press the button once more"), Text: in.t("Nothing is held before that.")}
}
