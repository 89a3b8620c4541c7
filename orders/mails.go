package orders

import (
	"context"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// QueueMails queues mails about orders, in one statement. A mail whose id already exists, due
// or settled, stays as it is, so an event that is read twice sends one mail.
func (s *Store) QueueMails(ctx context.Context, mails []domain.Mail) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		ids, kinds []string
		orders     []pgtype.UUID
	)
	for _, m := range mails {
		ids, kinds, orders = append(ids, m.ID), append(kinds, string(m.Kind)), append(orders, uuidOf(m.Order))
	}
	_, err := s.pool.Exec(ctx, `
		INSERT INTO mails (id, kind, order_id)
		SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[])
		ON CONFLICT (id) DO NOTHING`, ids, kinds, orders)
	return writeFailed("queue", "mails", err)
}

// AskedMailsMax bounds the mails that somebody asked for and that wait.
const AskedMailsMax = 10_000

// AskForOrders queues a mail with the orders of an address. Repeated with the same id it sends
// nothing more, but takes as long, because it writes a row then too. It fails with a
// *domain.Error with CodeRateLimited if too many wait.
func (s *Store) AskForOrders(ctx context.Context, id, address, languages string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	result, err := s.pool.Exec(ctx, `
		INSERT INTO mails (id, kind, asked_by, languages)
		SELECT $1, $2, $3, nullif($4, '')
		WHERE (SELECT count(*) FROM mails WHERE state = 'due' AND order_id IS NULL) < $5
		ON CONFLICT (id) DO UPDATE SET languages = mails.languages`,
		id, string(domain.MailOrders), address, languages, AskedMailsMax)
	if err != nil {
		return writeFailed("ask for", "the orders of an address", err)
	}
	if result.RowsAffected() == 0 {
		return &domain.Error{Code: domain.CodeRateLimited, Detail: "Too many people ask for their orders. Please try again later.", RetryAfter: time.Minute}
	}
	return nil
}

// ClaimMails leases due mails, longest due first: either those that somebody asked for by
// address, or those about orders. Nobody else can claim them before the lease ends.
func (s *Store) ClaimMails(ctx context.Context, asked bool, most int, lease time.Duration) ([]domain.Mail, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	of := `order_id IS NOT NULL`
	if asked {
		of = `order_id IS NULL` // it has its own index, so it does not wait behind the mails of a rush
	}
	rows, err := s.pool.Query(ctx, `
		UPDATE mails SET due_at = now() + $2::interval, attempts = attempts + 1
		WHERE id IN (
			SELECT id FROM mails WHERE state = 'due' AND due_at <= now() AND `+of+`
			ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING id, kind, order_id, coalesce(asked_by, ''), coalesce(languages, ''), queued_at, attempts`, most, lease)
	if err != nil {
		return nil, readFailed("claim", "mails", err)
	}
	mails, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.Mail, error) {
		var (
			m     domain.Mail
			order pgtype.UUID
		)
		err := row.Scan(&m.ID, &m.Kind, &order, &m.Address, &m.Languages, &m.QueuedAt, &m.Attempts)
		m.Order, m.QueuedAt = order.Bytes, m.QueuedAt.UTC()
		return m, err
	})
	return mails, readFailed("claim", "mails", err)
}

// SettleMails stores the outcomes of claimed mails, and forgets the address of those that are done.
func (s *Store) SettleMails(ctx context.Context, outcomes []domain.MailOutcome) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		ids, states, reasons []string
		agains               []time.Duration
		failed               []bool
	)
	for _, o := range outcomes {
		ids, states, reasons = append(ids, o.ID), append(states, string(o.State)), append(reasons, o.Reason)
		agains, failed = append(agains, o.Again), append(failed, o.Failed)
	}
	_, err := s.pool.Exec(ctx, `
		UPDATE mails m SET state = o.state, reason = nullif(o.reason, ''),
			due_at = CASE o.state WHEN 'due' THEN now() + o.again ELSE m.due_at END,
			attempts = m.attempts - CASE WHEN o.state = 'due' AND NOT o.failed THEN 1 ELSE 0 END,
			settled_at = CASE o.state WHEN 'due' THEN NULL ELSE now() END,
			asked_by = CASE WHEN o.state IN ('due', 'set_aside') THEN m.asked_by END
		FROM unnest($1::text[], $2::text[], $3::text[], $4::interval[], $5::boolean[]) o (id, state, reason, again, failed)
		WHERE m.id = o.id AND m.state = 'due'`, ids, states, reasons, agains, failed)
	return writeFailed("settle", "mails", err)
}

// ForgetAskedMails deletes settled mails that somebody asked for by address, once they are
// older than kept. Until then, their ids prevent another one. One that was set aside stays for
// a day. One that no relay accepted for three times as long is given up: whoever still wants
// it can ask again.
func (s *Store) ForgetAskedMails(ctx context.Context, olderThan time.Duration) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		DELETE FROM mails WHERE order_id IS NULL AND (
			state IN ('sent', 'needless') AND queued_at < now() - $1::interval
			OR state = 'set_aside' AND settled_at < now() - interval '1 day'
			OR state = 'due' AND queued_at < now() - 3 * $1::interval)`, olderThan)
	return writeFailed("forget", "asked mails", err)
}

// searchTimeout bounds a search of all orders. It is shorter than the time within which a
// sender must start a claimed mail. See FindOrders for why there is no index.
const searchTimeout = 30 * time.Second

// OrdersOfAddresses finds the newest orders of all the addresses in one search: at most limit
// of each, newest first.
func (s *Store) OrdersOfAddresses(ctx context.Context, addresses []string, most int) (map[string][]domain.SoldOrder, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	var ids []pgtype.UUID
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`SET LOCAL statement_timeout = %s`, milliseconds(searchTimeout))); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			SELECT unnest((array_agg(orders.id ORDER BY orders.id DESC))[1:$2::integer]) FROM orders WHERE email = ANY($1) GROUP BY email`, addresses, most)
		if err != nil {
			return err
		}
		ids, err = pgx.CollectRows(rows, pgx.RowTo[pgtype.UUID])
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, readFailed("find", "the orders of addresses", err)
	}
	found, err := s.queryOrders(ctx, `WHERE o.id = ANY($1) ORDER BY o.id DESC`, ids)
	if err != nil {
		return nil, readFailed("find", "the orders of addresses", err)
	}
	byAddress := make(map[string][]domain.SoldOrder)
	for _, order := range found {
		byAddress[order.Email] = append(byAddress[order.Email], order)
	}
	return byAddress, nil
}

// MailsOfOrder lists what became of the mails about an order, the oldest first.
func (s *Store) MailsOfOrder(ctx context.Context, order domain.OrderID) ([]domain.MailRow, error) {
	return s.mails(ctx, `WHERE order_id = $1 ORDER BY queued_at, id COLLATE "C"`, uuidOf(order))
}

// DelayedMails lists mails that were tried and wait to be tried again, with the last reason, the longest queued first.
func (s *Store) DelayedMails(ctx context.Context, most int) ([]domain.MailRow, error) {
	return s.mails(ctx, `WHERE state = 'due' AND reason IS NOT NULL ORDER BY queued_at, id COLLATE "C" LIMIT $1`, most)
}

func (s *Store) mails(ctx context.Context, which string, args ...any) ([]domain.MailRow, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	mails, err := queryMails(ctx, s.pool, which, args...)
	return mails, readFailed("list", "mails", err)
}

func queryMails(ctx context.Context, q querier, which string, args ...any) ([]domain.MailRow, error) {
	rows, err := q.Query(ctx, `
		SELECT id, kind, order_id, state, coalesce(reason, ''), attempts, queued_at, due_at, settled_at FROM mails `+which, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m domain.MailRow, err error) {
		var order pgtype.UUID
		var settled *time.Time
		err = row.Scan(&m.ID, &m.Kind, &order, &m.State, &m.Reason, &m.Attempts, &m.QueuedAt, &m.DueAt, &settled)
		m.Order, m.QueuedAt, m.DueAt, m.SettledAt = order.Bytes, m.QueuedAt.UTC(), m.DueAt.UTC(), fromNull(settled)
		return m, err
	})
}

// SetAsideMails returns a page of the mails that no relay accepts, after an id.
func (s *Store) SetAsideMails(ctx context.Context, after string, most int) ([]domain.SetAsideMail, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT id, kind, order_id, coalesce(reason, ''), attempts, queued_at, settled_at FROM mails
		WHERE state = 'set_aside' AND id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2`, after, most)
	if err != nil {
		return nil, readFailed("list", "mails", err)
	}
	mails, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.SetAsideMail, error) {
		var (
			m     domain.SetAsideMail
			order pgtype.UUID
		)
		err := row.Scan(&m.ID, &m.Kind, &order, &m.Reason, &m.Attempts, &m.QueuedAt, &m.SetAsideAt)
		m.Order, m.QueuedAt, m.SetAsideAt = order.Bytes, m.QueuedAt.UTC(), m.SetAsideAt.UTC()
		return m, err
	})
	return mails, readFailed("list", "mails", err)
}

// RetryMail queues a mail again that was set aside. It fails with a *domain.Error with
// CodeNotFound if the mail is not set aside.
func (s *Store) RetryMail(ctx context.Context, id string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	result, err := s.pool.Exec(ctx, `
		UPDATE mails SET state = 'due', attempts = 0, due_at = now(), queued_at = now(), settled_at = NULL
		WHERE id = $1 AND state = 'set_aside'`, id)
	if err == nil && result.RowsAffected() == 0 {
		return domain.NotFound("mail that is set aside")
	}
	return writeFailed("retry", "mail", err)
}

// MailCounts counts mails by state.
func (s *Store) MailCounts(ctx context.Context) (domain.MailCounts, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		counts domain.MailCounts
		oldest *time.Time
	)
	err := s.pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM mails WHERE state = 'due'), (SELECT min(queued_at) FROM mails WHERE state = 'due'),
			(SELECT count(*) FROM mails WHERE state = 'set_aside')`).Scan(&counts.Due, &oldest, &counts.SetAside)
	counts.Oldest = fromNull(oldest)
	return counts, readFailed("count", "mails", err)
}
