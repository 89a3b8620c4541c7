package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"boxoffice/domain"
)

const mailsUsage = `usage: boxoffice mails COMMAND, with DATABASE_URL set

  status         how many mails wait, for how long, and how many are set aside
  of ORDER       the mails about an order, and what became of each
  delayed        the mails that were tried and wait to be tried again, and why
  set-aside      the mails that no relay takes, and why
  retry MAIL     send one of those after all; retry all: all of them
`

// mailsListMax is how many mails a list shows.
const mailsListMax = 1000

// mails shows the mails to buyers. It asks the database itself: they are sent by processes without an API, too.
func mails(ctx context.Context, args []string) error {
	flags := newFlags("mails")
	flags.Usage = func() { fmt.Fprint(flags.Output(), mailsUsage) }
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	store, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if flags.Arg(0) == "retry" {
		if err := recordCommand(ctx, store, "mails", flags.Args()...); err != nil {
			return err
		}
	}
	return mailsCommand(ctx, store, os.Stdout, flags.Args())
}

// mailStore is orders.Store as far as the command needs it.
type mailStore interface {
	MailCounts(ctx context.Context) (domain.MailCounts, error)
	MailsOfOrder(ctx context.Context, order domain.OrderID) ([]domain.MailRow, error)
	DelayedMails(ctx context.Context, most int) ([]domain.MailRow, error)
	SetAsideMails(ctx context.Context, after string, most int) ([]domain.SetAsideMail, error)
	RetryMail(ctx context.Context, id string) error
}

func mailsCommand(ctx context.Context, store mailStore, out io.Writer, args []string) error {
	command, argued := argument(args, 0), argument(args, 1)
	switch {
	case command == "status" && len(args) == 1:
		return printMailCounts(ctx, store, out)
	case command == "of" && len(args) == 2:
		order, err := domain.ParseOrderID(argued)
		if err != nil {
			return usageError{err.Error()}
		}
		rows, err := store.MailsOfOrder(ctx, order)
		return printMails(out, rows, err)
	case command == "delayed" && len(args) == 1:
		rows, err := store.DelayedMails(ctx, mailsListMax)
		return printMails(out, rows, err)
	case command == "set-aside" && len(args) == 1:
		rows, err := setAsideRows(ctx, store)
		return printMails(out, rows, err)
	case command == "retry" && argued == "all" && len(args) == 2:
		return retryAllMails(ctx, store, out)
	case command == "retry" && len(args) == 2:
		return store.RetryMail(ctx, argued)
	default:
		return usageError{"boxoffice mails --help says what it takes"}
	}
}

func printMailCounts(ctx context.Context, store mailStore, out io.Writer) error {
	counts, err := store.MailCounts(ctx)
	if err != nil {
		return err
	}
	oldest := ""
	if counts.Due > 0 {
		oldest = fmt.Sprintf(", the oldest since %s", counts.Oldest.UTC().Format(time.RFC3339))
	}
	_, err = fmt.Fprintf(out, "%d wait%s; %d are set aside\n", counts.Due, oldest, counts.SetAside)
	return err
}

func setAsideRows(ctx context.Context, store mailStore) (rows []domain.MailRow, err error) {
	found, err := store.SetAsideMails(ctx, "", mailsListMax)
	for _, m := range found {
		rows = append(rows, domain.MailRow{
			ID: m.ID, Kind: m.Kind, Order: m.Order, State: domain.MailSetAside, Reason: m.Reason, Attempts: m.Attempts, QueuedAt: m.QueuedAt, SettledAt: m.SetAsideAt,
		})
	}
	return rows, err
}

func retryAllMails(ctx context.Context, store mailStore, out io.Writer) error {
	retried := 0
	for after := ""; ; {
		found, err := store.SetAsideMails(ctx, after, mailsListMax)
		if err != nil {
			return err
		}
		for _, m := range found {
			after = m.ID
			switch err := store.RetryMail(ctx, m.ID); {
			case err == nil:
				retried++
			case domain.CodeOf(err) != domain.CodeNotFound: // else somebody else did it
				return err
			}
		}
		if len(found) < mailsListMax {
			_, err := fmt.Fprintf(out, "%d mails are sent within seconds\n", retried)
			return err
		}
	}
}

func printMails(out io.Writer, rows []domain.MailRow, err error) error {
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MAIL\tKIND\tORDER\tSTATE\tTRIES\tQUEUED\tSETTLED OR DUE\tWHY")
	for _, m := range rows {
		order, at, why := "-", m.SettledAt, "-"
		if !m.Order.IsZero() {
			order = m.Order.String()
		}
		if at.IsZero() {
			at = m.DueAt
		}
		if m.Reason != "" {
			why = strconv.QuoteToGraphic(m.Reason)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			m.ID, m.Kind, order, m.State, m.Attempts, m.QueuedAt.Format(time.RFC3339), at.Format(time.RFC3339), why)
	}
	return table.Flush()
}
