package storefront

import (
	"fmt"
	"math"
	"time"

	"boxoffice/domain"
)

// An orderText is what an order's page says about a status. The rest of the page is a
// section of order.html with the status's name.
type orderText struct {
	Heading string
	// SaleCanceled is what the organiser's cancellation of the whole sale means for the
	// order.
	SaleCanceled string
	// Again: the page leads back to the sale.
	Again bool
}

var nothingCharged = msg("Nothing was charged. If your money still arrives, it is refunded.")

// orderTexts has every status that an order can be shown with.
var orderTexts = map[domain.OrderStatus]orderText{
	domain.OrderHeld: {
		Heading:      msg("Your seats are held"),
		SaleCanceled: msg("Your seats are being given back: please do not pay. If money still arrives, it is refunded."),
	},
	domain.OrderPaid: {
		Heading:      msg("You are in!"),
		SaleCanceled: msg("These tickets are no longer valid. You get your money back without doing anything."),
	},
	domain.OrderFailed:    {Heading: msg("The payment did not go through"), SaleCanceled: nothingCharged, Again: true},
	domain.OrderCanceled:  {Heading: msg("The order is canceled"), SaleCanceled: nothingCharged, Again: true},
	domain.OrderExpired:   {Heading: msg("Time is up"), SaleCanceled: nothingCharged, Again: true},
	domain.OrderRefunding: {Heading: msg("Your money is on its way back"), SaleCanceled: msg("Your money is on its way back. You need not do anything.")},
	domain.OrderRefunded:  {Heading: msg("Refunded"), SaleCanceled: msg("Your money went back to where it came from.")},
}

// freeTexts have what the page of an order says that cost nothing, where orderTexts speaks
// of money.
var freeTexts = map[domain.OrderStatus]orderText{
	domain.OrderHeld:      {Heading: msg("Your tickets are being made"), SaleCanceled: msg("Your seats are being given back.")},
	domain.OrderPaid:      {Heading: msg("You are in!"), SaleCanceled: ticketsVoid},
	domain.OrderFailed:    {Heading: msg("Your tickets could not be made"), SaleCanceled: nothingSold, Again: true},
	domain.OrderCanceled:  {Heading: msg("The order is canceled"), SaleCanceled: nothingSold, Again: true},
	domain.OrderExpired:   {Heading: msg("Time is up"), SaleCanceled: nothingSold, Again: true},
	domain.OrderRefunding: {Heading: msg("Your tickets are canceled"), SaleCanceled: ticketsVoid},
	domain.OrderRefunded:  {Heading: msg("Your tickets are canceled"), SaleCanceled: ticketsVoid},
}

var (
	nothingSold = msg("You got no tickets, and there was nothing to pay.")
	ticketsVoid = msg("These tickets are no longer valid.")
)

// unknownText is for a status that this release does not know, perhaps because the box
// office is newer. It guesses nothing.
var unknownText = orderText{Heading: msg("Your order has news"), SaleCanceled: msg("Reload this page to see what that means for your order.")}

// A shownStatus is one status as the templates use it.
type shownStatus struct {
	orderText
	Free  orderText // of an order that costs nothing
	Name  domain.OrderStatus
	Known bool
	Final bool // the page can stop asking
}

func (w *words) status(status domain.OrderStatus) shownStatus {
	text, known := orderTexts[status]
	if !known {
		unknown := unknownText.in(w)
		return shownStatus{orderText: unknown, Free: unknown, Name: "unknown"}
	}
	return shownStatus{orderText: text.in(w), Free: freeTexts[status].in(w), Name: status, Known: true, Final: status.Terms().Final}
}

func (o orderText) in(w *words) orderText {
	o.Heading, o.SaleCanceled = w.t(o.Heading), w.t(o.SaleCanceled)
	return o
}

// declined is what a buyer is told after an attempt to pay that was declined. The scripts
// say the same.
func (w *words) declined(attemptsLeft int) string {
	return w.t("Nothing was charged, and your seats are still held. %d more attempts are possible.", attemptsLeft)
}

// left is how the pages write the time that is left, in minutes and seconds.
func left(d time.Duration) string {
	seconds := max(0, int(math.Ceil(d.Seconds())))
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}

// readAgain is when the page of an order without JavaScript reloads itself: while something
// still moves the order on, or while its status is unknown.
func readAgain(status domain.OrderStatus) bool {
	return !status.Known() || status.Terms().Waiting
}
