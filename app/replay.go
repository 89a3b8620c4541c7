package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
)

const replayUsage = `usage: boxoffice replay [--mend]
       boxoffice replay order ORDER
       boxoffice replay [--orders] sale SALE
with DATABASE_URL set

Without arguments it makes the view of sales anew, from the beginning of the event log,
and compares it with the one that stands. exit: 0 they are equal; 1 they differ, row by
row as printed; 3 it could not look.
With an order or a sale it tells what the log knows of it, and what it cannot know.

`

// differencesPrinted is how many rows a replay names.
const differencesPrinted = 100

// replay reads the event log from its beginning.
func replay(ctx context.Context, args []string) error {
	flags := newFlags("replay")
	mend := flags.Bool("mend", false, "correct the rows that differ")
	each := flags.Bool("orders", false, "of a sale, tell each event of its orders, not only how many there were")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), replayUsage)
		flags.PrintDefaults()
	}
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	of, id := argument(flags.Args(), 0), argument(flags.Args(), 1)
	var order domain.OrderID
	var err error
	switch {
	case flags.NArg() == 0:
	case flags.NArg() == 2 && of == "order":
		if order, err = domain.ParseOrderID(id); err != nil {
			return usageError{fmt.Sprintf("%q is no order's id: 32 hexadecimal digits", id)}
		}
	case flags.NArg() == 2 && of == "sale" && domain.ValidSaleID(id):
	default:
		return usageError{"boxoffice replay --help says what it takes"}
	}
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	switch of {
	case "order":
		return tellOrder(ctx, os.Stdout, store, order)
	case "sale":
		return tellSale(ctx, os.Stdout, store, id, *each)
	default:
		return replayViews(ctx, os.Stdout, store, *mend)
	}
}

// replayViews proves that the views are what the log says.
func replayViews(ctx context.Context, w io.Writer, store *orders.Store, mend bool) error {
	differences := 0
	r, err := store.ReplayFigures(ctx, mend, func(d domain.FigureDifference) {
		if differences++; differences <= differencesPrinted {
			fmt.Fprintf(w, "  %s %s: the view has %s, the log says %s\n", cmp.Or(d.Sale, "(no sale)"), d.FigureKey,
				figureText(d.View, d.Currency), figureText(d.Want, d.Currency))
		}
	})
	if err != nil {
		return blindError{err}
	}
	fmt.Fprintf(w, "figures: %d events of the log", r.Events)
	if r.Events > 0 {
		fmt.Fprintf(w, ", from %s to %s", storyTime(r.First), storyTime(r.Last))
	}
	fmt.Fprintf(w, ", and %d rows for what it does not have", r.DroppedRows)
	if !r.DroppedUntil.IsZero() {
		fmt.Fprintf(w, ": it begins after %s, and what was dropped for its age cannot be read again", storyTime(r.DroppedUntil))
	}
	fmt.Fprintf(w, "\nfigures: %d rows in the view, %d differ\n", r.Rows, r.Different)
	if r.Unread > 0 {
		fmt.Fprintf(w, "figures: %d more events are in the log that the reader has not come to, on neither side\n", r.Unread)
	}
	switch {
	case r.Different == 0:
		fmt.Fprintln(w, "equal")
		return nil
	case mend:
		fmt.Fprintln(w, "mended: run it again, it must find them equal")
		return nil
	default:
		return fmt.Errorf("%d rows of the view are not what the log says: boxoffice replay --mend corrects them; find out who changed them", r.Different)
	}
}

func figureText(sum domain.FigureSum, currency string) string {
	return fmt.Sprintf("%d (%s)", sum.Count, domain.FormatMoney(sum.AmountMinor, currency))
}

// storyTime is a time in a story.
func storyTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }

// storyPage is how many events are read at once.
const storyPage = orders.EventsPageMax

// everyEvent reads the log to its end.
func everyEvent(ctx context.Context, store *orders.Store, q domain.EventQuery, tell func(*domain.Event) error) error {
	q.Limit = storyPage
	for more := true; more; {
		page, err := store.Events(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := tell(&page.Events[i]); err != nil {
				return err
			}
		}
		q.After, more = page.Next, page.More
	}
	return nil
}

// errNoStory is the answer where the log has nothing.
var errNoStory = errors.New("the log has no event of it: the id is wrong, it was never paid or never on offer, or its events were dropped for their age")

func tellOrder(ctx context.Context, w io.Writer, store *orders.Store, id domain.OrderID) error {
	told := 0
	err := everyEvent(ctx, store, domain.EventQuery{Order: id}, func(e *domain.Event) error {
		told++
		return tellEvent(w, e)
	})
	if err != nil {
		return blindError{err}
	}
	return tellEnd(ctx, w, store, told, `when the tickets were held and for how long, other checkouts of this buyer; `+
		`one that failed, expired or was canceled, unless somebody asked for these events then; who bought; mails`)
}

// tellEnd says what the log cannot.
func tellEnd(ctx context.Context, w io.Writer, store *orders.Store, told int, unknown string) error {
	place, err := store.EventPlace(ctx, domain.EventCursor{})
	if err != nil {
		return blindError{err}
	}
	if told == 0 {
		return errNoStory
	}
	fmt.Fprintf(w, "\nThe log cannot know: %s.\n", unknown)
	if place.DroppedTo != (domain.EventCursor{}) {
		fmt.Fprintln(w, "The log does not begin at the beginning: events were dropped for their age, and may be missing above.")
	}
	return nil
}

// A saleStory is what happened to the orders of a sale since something happened to the
// sale itself.
type saleStory struct {
	w     io.Writer
	each  bool
	since map[domain.EventType]domain.FigureSum
	money string // the currency
	last  time.Time
}

func tellSale(ctx context.Context, w io.Writer, store *orders.Store, id string, each bool) error {
	told := 0
	s := saleStory{w: w, each: each, since: make(map[domain.EventType]domain.FigureSum)}
	err := everyEvent(ctx, store, domain.EventQuery{Sale: id}, func(e *domain.Event) error {
		told++
		return s.tell(e)
	})
	s.summary()
	if err != nil {
		return blindError{err}
	}
	return tellEnd(ctx, w, store, told, `holds; checkouts that failed, expired or were canceled, unless somebody asked for these events then; `+
		`who waited in a queue; what was sold out for less than two seconds`)
}

func (s *saleStory) tell(e *domain.Event) error {
	if s.each {
		return tellEvent(s.w, e)
	}
	if e.Type.Known() && e.Type.Terms().Subject == domain.SubjectOrder {
		figures, err := e.Figures()
		if err != nil {
			return err
		}
		for _, f := range figures {
			if f.Figure != domain.FigureSold && f.Figure != domain.FigureVoided {
				sum := s.since[e.Type]
				s.since[e.Type], s.money = domain.FigureSum{Count: sum.Count + f.Count, AmountMinor: sum.AmountMinor + f.AmountMinor}, f.Currency
			}
		}
		s.last = e.OccurredAt
		return nil
	}
	s.summary()
	return tellEvent(s.w, e)
}

// summary tells of the orders.
func (s *saleStory) summary() {
	for _, t := range domain.FigureEvents() {
		if sum := s.since[t]; sum.Count > 0 {
			fmt.Fprintf(s.w, "%s  up to here %d × %s, %s\n", storyTime(s.last), sum.Count, t, domain.FormatMoney(sum.AmountMinor, s.money))
		}
	}
	clear(s.since)
}

// tellEvent tells an event in a line. One of a later release is told by its type.
func tellEvent(w io.Writer, e *domain.Event) error {
	what := string(e.Type)
	if data, err := e.Data(); err == nil {
		what = storyOf(data)
	} else if !domain.IsUnknown(err) {
		return err
	}
	order := ""
	if !e.Order.IsZero() {
		order = "  order " + e.Order.String()
	}
	_, err := fmt.Fprintf(w, "%s  %s%s  %s\n", storyTime(e.OccurredAt), what, order, e.ID)
	return err
}

func storyOf(data domain.EventData) string {
	switch d := data.(type) {
	case *domain.OrderPaidData:
		text := fmt.Sprintf("paid: %s for %s, payment %s, booked by %s", linesText(d.Lines), domain.FormatMoney(d.AmountMinor, d.Currency), d.Payment, d.Booking)
		if d.PerkTaken {
			text += ", with the perk"
		}
		return text
	case *domain.OrderRefundBegunData:
		return fmt.Sprintf("refund begun (%s): the tickets are void, %s of payment %s goes back", d.Reason, domain.FormatMoney(d.AmountMinor, d.Currency), d.Payment)
	case *domain.OrderRefundedData:
		return fmt.Sprintf("refunded (%s): the provider gave %s of payment %s back", d.Reason, domain.FormatMoney(d.AmountMinor, d.Currency), d.Payment)
	case *domain.PaymentRefundedData:
		return fmt.Sprintf("payment %s bought nothing (%s): the provider gave %s back", d.Payment, d.Reason, domain.FormatMoney(d.AmountMinor, d.Currency))
	case *domain.HoldersChangedData:
		return fmt.Sprintf("holders of %d tickets named", len(d.Tickets))
	case *domain.CheckoutExpiredData:
		return fmt.Sprintf("checkout of %s expired: nobody paid in time", linesText(d.Lines))
	case *domain.CheckoutFailedData:
		return fmt.Sprintf("checkout of %s failed: so did its payment", linesText(d.Lines))
	case *domain.CheckoutCanceledData:
		return fmt.Sprintf("checkout of %s canceled", linesText(d.Lines))
	case *domain.SaleCreatedData:
		return fmt.Sprintf("sale created: %q, %s", d.Name, classesText(d))
	case *domain.SaleChangedData:
		return fmt.Sprintf("version %d of the sale: the organiser changed %s", d.Version, strings.Join(d.Changed, ", "))
	case *domain.SaleOpenedData:
		return "sale opened, due at " + storyTime(d.OpensAt)
	case *domain.SaleSoldOutData:
		return "sold out"
	case *domain.SaleBackOnSaleData:
		return "back on sale"
	case *domain.SaleCapacityChangedData:
		return fmt.Sprintf("capacity of class %s changed from %d to %d", d.Class, d.Before, d.Capacity)
	case *domain.SaleEndedData:
		return "sale ended early by the organiser"
	case *domain.SaleReopenedData:
		return "sale opened again by the organiser"
	case *domain.SaleCanceledData:
		return "sale canceled by the organiser"
	case *domain.AuditBrokenData:
		return fmt.Sprintf("audit: %s %s is broken, %d offenders", d.Invariant, d.Subject, d.Offenders)
	case *domain.AuditHealedData:
		return fmt.Sprintf("audit: %s %s holds again", d.Invariant, d.Subject)
	default:
		return string(data.Type())
	}
}

func linesText(lines []domain.Line) string {
	texts := make([]string, 0, len(lines))
	for _, l := range lines {
		texts = append(texts, fmt.Sprintf("%d %s", l.Quantity, l.Class))
	}
	return strings.Join(texts, ", ")
}

func classesText(d *domain.SaleCreatedData) string {
	texts := make([]string, 0, len(d.Classes))
	for _, c := range d.Classes {
		texts = append(texts, fmt.Sprintf("%d %s at %s", c.Capacity, c.Class, domain.FormatMoney(c.PriceMinor, d.Currency)))
	}
	return strings.Join(texts, ", ")
}
