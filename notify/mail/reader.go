package mail

import (
	"context"

	"boxoffice/domain"
	"boxoffice/notify"
)

// readerName names this reader's cursors and is part of the Message-IDs, so it never changes.
const readerName = domain.ReaderMail

// eventsMax is the number of events whose mails are queued in one statement.
const eventsMax = 200

// NewReader queues a mail for each event, under the event's id, so an event that is read twice is one mail. When mail is first
// turned on, earlier events get none.
func NewReader(store Store) notify.Reader {
	kindOf := domain.MailKinds()
	r := notify.Reader{Name: readerName, FromNow: true, BatchMax: eventsMax}
	for event := range kindOf {
		r.Types = append(r.Types, event)
	}
	r.Handle = func(ctx context.Context, events []domain.Event) error {
		var mails []domain.Mail
		for _, event := range events {
			if kind, is := kindOf[event.Type]; is {
				mails = append(mails, domain.Mail{ID: event.ID.String(), Kind: kind, Order: event.Order})
			}
		}
		return store.QueueMails(ctx, mails)
	}
	return r
}
