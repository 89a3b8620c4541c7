package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"
)

// mailRows is a mailStore with what a test puts into it.
type mailRows struct {
	counts   domain.MailCounts
	rows     []domain.MailRow
	setAside []domain.SetAsideMail
	retried  []string
}

func (m *mailRows) MailCounts(context.Context) (domain.MailCounts, error) { return m.counts, nil }

func (m *mailRows) MailsOfOrder(_ context.Context, order domain.OrderID) (of []domain.MailRow, err error) {
	for _, row := range m.rows {
		if row.Order == order {
			of = append(of, row)
		}
	}
	return of, nil
}

func (m *mailRows) DelayedMails(context.Context, int) ([]domain.MailRow, error) { return m.rows, nil }

func (m *mailRows) SetAsideMails(_ context.Context, after string, _ int) (page []domain.SetAsideMail, err error) {
	for _, one := range m.setAside {
		if one.ID > after {
			page = append(page, one)
		}
	}
	return page, nil
}

func (m *mailRows) RetryMail(_ context.Context, id string) error {
	if id == "evt_taken" {
		return domain.NotFound("mail that is set aside")
	}
	m.retried = append(m.retried, id)
	return nil
}

// Whoever is asked where the tickets are can see what became of each mail, and why.
func TestMailsCommand(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	order := domain.OrderID{1}
	store := &mailRows{
		counts: domain.MailCounts{Due: 3, Oldest: at, SetAside: 2},
		rows: []domain.MailRow{
			{ID: "evt_1", Kind: domain.MailTickets, Order: order, State: domain.MailDue, Reason: "450 4.2.0 <…> greylisted", Attempts: 2, QueuedAt: at, DueAt: at.Add(time.Minute)},
			{ID: "evt_2", Kind: domain.MailRefunded, Order: domain.OrderID{2}, State: domain.MailSent, Attempts: 1, QueuedAt: at, SettledAt: at},
		},
		setAside: []domain.SetAsideMail{{ID: "evt_3", Kind: domain.MailTickets, Order: order, Reason: "550 …: user unknown", SetAsideAt: at}, {ID: "evt_taken"}},
	}
	for name, tt := range map[string]struct {
		args        string
		says, lacks string
		isWrong     bool
	}{
		"status":             {args: "status", says: "3 wait, the oldest since 2026-03-01T12:00:00Z; 2 are set aside"},
		"those of an order":  {args: "of " + order.String(), says: `"450 4.2.0 <…> greylisted"`, lacks: "evt_2"},
		"those that wait":    {args: "delayed", says: "2026-03-01T12:01:00Z"},
		"those set aside":    {args: "set-aside", says: `"550 …: user unknown"`},
		"retry all":          {args: "retry all", says: "1 mails are sent"},
		"nothing":            {isWrong: true},
		"of nobody":          {args: "of me", isWrong: true},
		"retry nothing":      {args: "retry", isWrong: true},
		"one that was taken": {args: "retry evt_taken", isWrong: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := mailsCommand(t.Context(), store, &out, strings.Fields(tt.args))
			if (err != nil) != tt.isWrong || !strings.Contains(out.String(), tt.says) || tt.lacks != "" && strings.Contains(out.String(), tt.lacks) {
				t.Errorf("%q, %v; want %q, not %q, an error: %t", out.String(), err, tt.says, tt.lacks, tt.isWrong)
			}
		})
	}
	if len(store.retried) != 1 || store.retried[0] != "evt_3" {
		t.Errorf("retried %v, want what nobody else had", store.retried)
	}
}
