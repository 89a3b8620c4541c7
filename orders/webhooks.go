package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// webhookColumns are the columns of w that scanWebhook reads.
const webhookColumns = `w.id, w.url, w.description, coalesce(w.sale_id, ''), w.types, w.created_at, w.secret, w.previous_secret, w.previous_until,
	coalesce(w.previous_until > clock_timestamp(), false), w.disabled_at, w.disabled_why, w.failures, w.failing_since, w.paused_until`

// webhookPending counts what is pending for the table w, as far as somebody reads: in a rush there may be a million.
const webhookPending = `(SELECT count(*) FROM (SELECT FROM webhook_deliveries d WHERE d.endpoint = w.id AND d.state = 'pending' LIMIT 100000) c)`

func scanWebhook(row pgx.Row, more ...any) (e domain.WebhookEndpoint, err error) {
	var until, disabled, failing, paused *time.Time
	var types []string
	targets := []any{
		&e.ID, &e.URL, &e.Description, &e.SaleID, &types, &e.CreatedAt, &e.Secret, &e.PreviousSecret, &until,
		&e.PreviousSigns, &disabled, &e.DisabledWhy, &e.Failures, &failing, &paused,
	}
	if err := row.Scan(append(targets, more...)...); err != nil {
		return e, err
	}
	for _, t := range types {
		e.Types = append(e.Types, domain.EventType(t))
	}
	e.CreatedAt, e.PreviousUntil, e.DisabledAt = e.CreatedAt.UTC(), fromNull(until), fromNull(disabled)
	e.FailingSince, e.PausedUntil = fromNull(failing), fromNull(paused)
	return e, nil
}

// noEndpoint turns a missing row into CodeNotFound.
func noEndpoint(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.NotFound("webhook endpoint")
	}
	return err
}

func typeNames(types []domain.EventType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return names
}

// CreateWebhookEndpoint stores an endpoint and returns it. Errors: *domain.Error with CodeNotFound if there is no such sale, with
// CodeInvalid if there are domain.WebhookEndpointsMax already; those of any write.
func (s *Store) CreateWebhookEndpoint(ctx context.Context, e domain.WebhookEndpoint) (stored domain.WebhookEndpoint, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// One at a time, so that the bound holds.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('boxoffice webhook endpoints', 0))`); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM webhook_endpoints WHERE deleted_at IS NULL`).Scan(&count); err != nil {
			return err
		}
		if count >= domain.WebhookEndpointsMax {
			return domain.Invalid("url", fmt.Sprintf("is one too many: at most %d endpoints are possible, delete one", domain.WebhookEndpointsMax))
		}
		stored, err = scanWebhook(tx.QueryRow(ctx, `
			INSERT INTO webhook_endpoints AS w (id, url, description, sale_id, types, secret) VALUES ($1, $2, $3, nullif($4, ''), $5, $6)
			RETURNING `+webhookColumns, e.ID, e.URL, e.Description, e.SaleID, typeNames(e.Types), e.Secret))
		const foreignKeyViolation = "23503"
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == foreignKeyViolation {
			return domain.NotFound("sale")
		}
		return err
	})
	return stored, writeFailed("create webhook endpoint", e.ID, err)
}

// WebhookEndpoints lists all endpoints, oldest first. Errors as for any read.
func (s *Store) WebhookEndpoints(ctx context.Context) ([]domain.WebhookEndpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT `+webhookColumns+`, `+webhookPending+`
		FROM webhook_endpoints w WHERE w.deleted_at IS NULL ORDER BY w.created_at, w.id COLLATE "C"`)
	if err != nil {
		return nil, readFailed("list", "webhook endpoints", err)
	}
	endpoints, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.WebhookEndpoint, error) {
		var pending int64
		e, err := scanWebhook(row, &pending)
		e.Pending = pending
		return e, err
	})
	return endpoints, readFailed("list", "webhook endpoints", err)
}

// WebhookEndpoint finds one, without what is pending for it. CodeNotFound; errors as of any read.
func (s *Store) WebhookEndpoint(ctx context.Context, id string) (domain.WebhookEndpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	e, err := scanWebhook(s.pool.QueryRow(ctx, `SELECT `+webhookColumns+` FROM webhook_endpoints w WHERE id = $1 AND deleted_at IS NULL`, id))
	return e, readFailed("read webhook endpoint", id, noEndpoint(err))
}

// WebhookEndpointState finds one and counts what is pending for it. CodeNotFound; errors as of any read.
func (s *Store) WebhookEndpointState(ctx context.Context, id string) (domain.WebhookEndpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var pending int64
	e, err := scanWebhook(s.pool.QueryRow(ctx, `
		SELECT `+webhookColumns+`, `+webhookPending+` FROM webhook_endpoints w WHERE id = $1 AND deleted_at IS NULL`, id), &pending)
	e.Pending = pending
	return e, readFailed("read webhook endpoint", id, noEndpoint(err))
}

// ChangeWebhookEndpoint changes one. A new URL, or enabling it, resets its failures and makes pending deliveries due at once.
// CodeNotFound; errors as for any write.
func (s *Store) ChangeWebhookEndpoint(ctx context.Context, id string, c domain.WebhookChange) (e domain.WebhookEndpoint, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var types []string
	if c.Types != nil {
		types = typeNames(*c.Types)
	}
	forget := c.URL != nil || c.Enabled != nil && *c.Enabled
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		e, err = scanWebhook(tx.QueryRow(ctx, `
			UPDATE webhook_endpoints w SET
				url = coalesce($2, url), description = coalesce($3, description), types = coalesce($4, types),
				wants_since = CASE WHEN $4::text[] IS NULL AND $5::boolean IS NULL THEN wants_since ELSE clock_timestamp() END,
				disabled_at = CASE WHEN $5::boolean THEN NULL WHEN NOT $5 THEN coalesce(disabled_at, clock_timestamp()) ELSE disabled_at END,
				disabled_why = CASE WHEN $5 THEN '' WHEN NOT $5 AND disabled_at IS NULL THEN 'the organiser disabled it' ELSE disabled_why END,
				failures = CASE WHEN $6 THEN 0 ELSE failures END,
				failing_since = CASE WHEN NOT $6 THEN failing_since END, paused_until = CASE WHEN NOT $6 THEN paused_until END
			WHERE id = $1 AND deleted_at IS NULL RETURNING `+webhookColumns, id, c.URL, c.Description, types, c.Enabled, forget))
		switch {
		case err != nil:
			return noEndpoint(err)
		case !e.DisabledAt.IsZero():
			return giveUpPending(ctx, tx, id)
		case forget:
			_, err = tx.Exec(ctx, `
				UPDATE webhook_deliveries SET due_at = clock_timestamp()
				WHERE endpoint = $1 AND state = 'pending' AND due_at > clock_timestamp()`, id)
		}
		return err
	})
	return e, writeFailed("change webhook endpoint", id, err)
}

// giveUpMax bounds what the transaction that disables an endpoint gives up. SweepWebhooks does the rest.
const giveUpMax = 1000

// giveUpPending gives up everything that waits for an endpoint that was disabled.
func giveUpPending(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `
		UPDATE webhook_deliveries SET state = 'given_up', finished_at = clock_timestamp()
		WHERE endpoint = $1 AND state = 'pending' AND event_row IN (
			SELECT event_row FROM webhook_deliveries WHERE endpoint = $1 AND state = 'pending' LIMIT $2)`, id, giveUpMax)
	return err
}

// SweepWebhooks does some of what nobody waits for, and says whether there may be more: it gives up what is pending for endpoints
// that are disabled, also what was queued in that moment; it forgets what was done longer ago than kept; and it forgets endpoints
// that were deleted. Each statement changes at most limit rows. Any number of nodes may call it.
func (s *Store) SweepWebhooks(ctx context.Context, kept time.Duration, limit int) (more bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`
		UPDATE webhook_deliveries u SET state = 'given_up', finished_at = clock_timestamp()
		FROM (
			SELECT p.endpoint, p.event_row FROM webhook_endpoints w, LATERAL (
				SELECT d.endpoint, d.event_row FROM webhook_deliveries d
				WHERE d.endpoint = w.id AND d.state = 'pending' LIMIT $1 FOR UPDATE SKIP LOCKED) p
			WHERE w.disabled_at IS NOT NULL LIMIT $1) d
		WHERE u.endpoint = d.endpoint AND u.event_row = d.event_row AND u.state = 'pending'`, []any{limit}},
		{`
		DELETE FROM webhook_deliveries u USING (
			SELECT p.endpoint, p.event_row FROM webhook_endpoints w, LATERAL (
				SELECT d.endpoint, d.event_row FROM webhook_deliveries d
				WHERE d.endpoint = w.id AND d.state <> 'pending'
				  AND (d.finished_at < now() - $2::interval OR w.deleted_at IS NOT NULL)
				ORDER BY d.finished_at LIMIT $1 FOR UPDATE SKIP LOCKED) p
			LIMIT $1) d
		WHERE u.endpoint = d.endpoint AND u.event_row = d.event_row AND u.state <> 'pending'`, []any{limit, kept}},
		{`
		DELETE FROM webhook_endpoints w
		WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint = w.id)`, nil},
	} {
		tag, err := s.pool.Exec(ctx, q.sql, q.args...)
		if err != nil {
			return false, writeFailed("sweep", "webhooks", err)
		}
		more = more || tag.RowsAffected() >= int64(limit)
	}
	return more, nil
}

// RotateWebhookSecret replaces the present secret with a sealed one. During the overlap the old one signs too. CodeNotFound; errors
// as for any write.
func (s *Store) RotateWebhookSecret(ctx context.Context, id string, secret []byte, overlap time.Duration) (domain.WebhookEndpoint, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	e, err := scanWebhook(s.pool.QueryRow(ctx, `
		UPDATE webhook_endpoints w SET secret = $2,
			previous_secret = CASE WHEN $3::interval > '0' THEN secret END,
			previous_until = CASE WHEN $3::interval > '0' THEN clock_timestamp() + $3::interval END
		WHERE id = $1 AND deleted_at IS NULL RETURNING `+webhookColumns, id, secret, overlap))
	return e, writeFailed("rotate the secret of webhook endpoint", id, noEndpoint(err))
}

// DeleteWebhookEndpoint deletes one, with its URL and its secrets. What it was sent is forgotten by SweepWebhooks, in steps. CodeNotFound;
// errors as of any write.
func (s *Store) DeleteWebhookEndpoint(ctx context.Context, id string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	tag, err := s.pool.Exec(ctx, `
		UPDATE webhook_endpoints SET deleted_at = clock_timestamp(), disabled_at = coalesce(disabled_at, clock_timestamp()),
			disabled_why = 'the organiser deleted it', url = '', description = '', secret = '', previous_secret = NULL, previous_until = NULL
		WHERE id = $1 AND deleted_at IS NULL`, id)
	if err == nil && tag.RowsAffected() == 0 {
		err = domain.NotFound("webhook endpoint")
	}
	return writeFailed("delete webhook endpoint", id, err)
}

// pauseNotWoken is how much of a pause must be left that an endpoint is not named to be woken: its delivery looks by itself when
// the pause is over. It is longer than any statement takes, so that what is queued meanwhile is seen then.
const pauseNotWoken = 30 * time.Second

// QueueWebhooks queues events for every endpoint that wants them, once, and names the endpoints that have any of them pending, also
// those that an earlier call queued. It leaves out endpoints that are paused.
func (s *Store) QueueWebhooks(ctx context.Context, events []domain.Event) (endpoints []string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n := len(events)
	transactions, rows, ids, types := make([]string, n), make([]int64, n), make([]string, n), make([]string, n)
	subjects, sales, at := make([]string, n), make([]string, n), make([]time.Time, n)
	for i := range events {
		e := &events[i]
		transactions[i], rows[i], ids[i] = strconv.FormatUint(e.Cursor.Transaction, 10), e.Cursor.ID, e.ID.String()
		types[i], subjects[i], sales[i], at[i] = string(e.Type), e.Subject(), e.SaleID, e.OccurredAt
	}
	found, err := s.pool.Query(ctx, `
		WITH queued AS (
			INSERT INTO webhook_deliveries (endpoint, event_row, transaction_id, event, type, subject)
			SELECT w.id, e.id, e.transaction_id::xid8, e.event, e.type, e.subject
			FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
				e (transaction_id, id, event, type, subject, sale, created_at)
			JOIN webhook_endpoints w ON w.disabled_at IS NULL AND e.created_at >= w.created_at
				AND (w.sale_id IS NULL OR w.sale_id = e.sale) AND (cardinality(w.types) = 0 OR e.type = ANY (w.types))
			ON CONFLICT DO NOTHING RETURNING endpoint
		)
		SELECT p.endpoint FROM (
			SELECT endpoint FROM queued
			UNION SELECT endpoint FROM webhook_deliveries WHERE event_row = ANY ($2) AND transaction_id = ANY ($1::text[]::xid8[]) AND state = 'pending'
		) p JOIN webhook_endpoints w ON w.id = p.endpoint
		WHERE w.paused_until IS NULL OR w.paused_until < clock_timestamp() + $8::interval`,
		transactions, rows, ids, types, subjects, sales, at, pauseNotWoken)
	if err == nil {
		endpoints, err = pgx.CollectRows(found, pgx.RowTo[string])
	}
	return endpoints, writeFailed("queue webhooks of event", ids[0], err)
}

// A DueWebhook is a delivery that is due.
type DueWebhook struct {
	Event    domain.Event
	Attempts int // before this one
}

// isHead is true of the first delivery of its subject that is pending, in the table d. As a subquery for each row it reads one entry
// of an index; as a join it would read all that is pending.
const isHead = `d.event_row = (
	SELECT f.event_row FROM webhook_deliveries f
	WHERE f.endpoint = d.endpoint AND f.state = 'pending' AND f.subject COLLATE "C" = d.subject COLLATE "C" ORDER BY f.event_row LIMIT 1)`

const dueSQL = `
	SELECT * FROM webhook_deliveries d
	WHERE endpoint = $1 AND state = 'pending' AND due_at <= now() AND ` + isHead + ` ORDER BY due_at, event_row LIMIT $2`

// DueWebhooks returns due deliveries, oldest first, and only the first pending one of each order or sale. Errors as for any read.
func (s *Store) DueWebhooks(ctx context.Context, endpoint string, limit int) ([]DueWebhook, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT `+eventColumns+`, d.attempts, e.payload
		FROM (`+dueSQL+`) d JOIN outbox e ON e.transaction_id = d.transaction_id AND e.id = d.event_row, event_log
		ORDER BY d.due_at, d.event_row`, endpoint, limit)
	if err != nil {
		return nil, readFailed("read webhooks of endpoint", endpoint, err)
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d DueWebhook, err error) {
		d.Event, err = scanEvent(row, &d.Attempts)
		return d, err
	})
	return due, readFailed("read webhooks of endpoint", endpoint, err)
}

// WebhookWait is how long until something is to be sent to an endpoint, by the database's
// clock: 0 is now. waits is false where nothing is pending, and it is not paused either: for a pause nobody wakes its delivery.
// Errors as of any read.
func (s *Store) WebhookWait(ctx context.Context, endpoint string) (wait time.Duration, waits bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var left *time.Duration
	err = s.pool.QueryRow(ctx, `
		SELECT CASE WHEN p.due_at IS NOT NULL OR w.paused_until > clock_timestamp() THEN greatest(p.due_at, w.paused_until) - clock_timestamp() END
		FROM webhook_endpoints w LEFT JOIN LATERAL (
			SELECT d.due_at FROM webhook_deliveries d
			WHERE d.endpoint = w.id AND d.state = 'pending' AND `+isHead+` ORDER BY d.due_at, d.event_row LIMIT 1
		) p ON true
		WHERE w.id = $1 AND w.disabled_at IS NULL`, endpoint).Scan(&left)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil || left == nil {
		return 0, false, readFailed("read webhooks of endpoint", endpoint, err)
	}
	return max(*left, 0), true, nil
}

// A WebhookResult is the result of an attempt.
type WebhookResult struct {
	Endpoint string
	URL      string // where it was sent
	Secret   []byte // the secret that signed it, sealed
	Event    domain.EventID
	Attempt  domain.WebhookAttempt
	State    domain.WebhookState
	RetryIn  time.Duration // if it stays pending
	Failures int           // of the endpoint in a row; 0: it accepted this one
	PauseFor time.Duration // how long to pause the endpoint
	Disable  string        // why the endpoint is to be disabled; empty: it is not
}

// RecordWebhook stores the result of an attempt. Much may have changed while it was in flight: a failure does not count for an
// endpoint that is disabled or has another URL by now, nor for a delivery that is done. current is false if the endpoint has changed,
// so the caller has to read it again. Errors as for any write.
func (s *Store) RecordWebhook(ctx context.Context, r *WebhookResult) (current bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	entry, err := json.Marshal(r.Attempt)
	if err != nil {
		return false, fmt.Errorf("orders: attempt to deliver %s: %w", r.Event, err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// Lock the endpoint before its deliveries, as in ChangeWebhookEndpoint, or the two deadlock.
		var batch pgx.Batch
		batch.Queue(`
			UPDATE webhook_endpoints SET failures = $2, failing_since = CASE WHEN $2 > 0 THEN coalesce(failing_since, clock_timestamp()) END,
				paused_until = CASE WHEN $3::interval > '0' THEN greatest(paused_until, clock_timestamp() + $3::interval) ELSE paused_until END,
				disabled_at = CASE WHEN $4 <> '' THEN clock_timestamp() END, disabled_why = $4
			WHERE id = $1 AND url = $5 AND disabled_at IS NULL AND ($2 > 0 OR failures > 0 OR $4 <> '')`,
			r.Endpoint, r.Failures, r.PauseFor, r.Disable, r.URL)
		batch.Queue(`
			UPDATE webhook_deliveries SET attempts = attempts + 1, state = $3, due_at = clock_timestamp() + $4::interval,
				finished_at = CASE WHEN $3 <> 'pending' THEN clock_timestamp() END,
				log = CASE WHEN jsonb_array_length(log) >= $5 THEN log - 0 ELSE log END || $6::jsonb
			WHERE endpoint = $1 AND event_row = $2 AND ($3 = 'delivered' OR state = 'pending' AND EXISTS (
				SELECT FROM webhook_endpoints w WHERE w.id = $1 AND w.url = $7 AND (w.disabled_at IS NULL OR $8 <> '')))`,
			r.Endpoint, r.Event.Row(), string(r.State), r.RetryIn, domain.WebhookAttemptsKept, entry, r.URL, r.Disable)
		batch.Queue(`
			SELECT EXISTS (SELECT FROM webhook_endpoints WHERE id = $1 AND url = $2 AND secret = $3 AND (disabled_at IS NULL OR $4 <> ''))`,
			r.Endpoint, r.URL, r.Secret, r.Disable)
		results := tx.SendBatch(ctx, &batch)
		endpoint, err := results.Exec()
		if err == nil {
			_, err = results.Exec()
		}
		if err == nil {
			err = results.QueryRow().Scan(&current)
		}
		if err = errors.Join(err, results.Close()); err != nil || r.Disable == "" || endpoint.RowsAffected() == 0 {
			return err
		}
		return giveUpPending(ctx, tx, r.Endpoint)
	})
	return current, writeFailed("record the delivery of event", r.Event.String(), err)
}

// A redelivery reads the log in pages, each in a statement of its own, and ends after a time: who asks goes on from there.
const (
	redeliverPage   = 5000
	redeliverBudget = 5 * time.Second
	// clockMargin is how much earlier than the event before it an event may have happened: the transaction began, and wrote later.
	clockMargin = 10 * time.Second
)

// RedeliverWebhooks queues again what an endpoint wants: one event, or those since a time, at most limit. more: there are or may be
// more, and last is the time from which to go on. It queues some events of that time again then. CodeNotFound: no such endpoint, or
// it does not want the event; CodeInvalid: the endpoint is disabled; errors as of any write.
func (s *Store) RedeliverWebhooks(
	ctx context.Context, endpoint string, r domain.WebhookRedelivery, limit int,
) (queued int, last time.Time, more bool, err error) {
	e, err := s.WebhookEndpoint(ctx, endpoint)
	if err != nil {
		return 0, last, false, err
	}
	if !e.DisabledAt.IsZero() {
		return 0, last, false, domain.Invalid("endpoint", "is disabled: enable it first")
	}
	since := r.Since
	one := r.Event != domain.EventID{}
	if one { // an id has its event's time, in milliseconds
		since = r.Event.At()
	}
	from, err := s.eventsSince(ctx, since.Add(-clockMargin))
	if err != nil {
		return 0, last, false, err
	}
	began := time.Now()
	for more = true; more && queued < limit; {
		if time.Since(began) > redeliverBudget {
			break
		}
		page, err := s.redeliver(ctx, &e, r.Event, since, from, limit-queued)
		if err != nil {
			return queued, last, true, err
		}
		queued, from, more = queued+page.queued, page.next, page.more
		if !page.last.IsZero() {
			last = page.last
		}
		if one && (queued > 0 || last.Sub(since) > 2*clockMargin) {
			more = false
		}
	}
	if one && queued == 0 {
		return 0, last, false, domain.NotFound("event for this endpoint")
	}
	if again := last.Add(-clockMargin); more && again.After(since) {
		last = again
	}
	return queued, last, more, nil
}

type redelivered struct {
	queued int
	last   time.Time // of the last event that was looked at; zero: none was
	next   domain.EventCursor
	more   bool
}

// redeliver queues what an endpoint wants of the events from a cursor on: one, or all since a time.
func (s *Store) redeliver(
	ctx context.Context, e *domain.WebhookEndpoint, one domain.EventID, since time.Time, from domain.EventCursor, limit int,
) (page redelivered, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var (
		read        int
		at          *time.Time
		transaction *string
		row         *int64
	)
	err = s.pool.QueryRow(ctx, `
		WITH page AS (
			SELECT * FROM outbox
			WHERE (transaction_id, outbox.id) >= ($2::text::xid8, $3) AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
			ORDER BY transaction_id, outbox.id LIMIT $4
		), wanted AS (
			SELECT * FROM page outbox
			WHERE CASE WHEN $5::bigint > 0 THEN id = $5 AND date_trunc('milliseconds', created_at) = $6 ELSE outbox.created_at >= $6 END
			  AND ($7 = '' OR sale_id = $7) AND (cardinality($8::text[]) = 0 OR event = ANY ($8))
			ORDER BY transaction_id, outbox.id LIMIT $9
		), queued AS (
			INSERT INTO webhook_deliveries AS d (endpoint, event_row, transaction_id, event, type, subject)
			SELECT $1, w.id, w.transaction_id, `+eventIDText+`, w.event,
			       CASE WHEN w.order_id IS NOT NULL THEN replace(w.order_id::text, '-', '') ELSE coalesce(w.sale_id, w.payment, '') END
			FROM wanted w, event_log
			ON CONFLICT (endpoint, event_row) DO UPDATE SET state = 'pending', attempts = 0, due_at = clock_timestamp(),
				queued_at = clock_timestamp(), finished_at = NULL, transaction_id = excluded.transaction_id
		), ends AS ( -- at the limit what is behind the last that is wanted is for the next page
			SELECT * FROM (
				(SELECT * FROM wanted outbox WHERE (SELECT count(*) FROM wanted) = $9 ORDER BY transaction_id DESC, outbox.id DESC LIMIT 1)
				UNION ALL (SELECT * FROM page outbox ORDER BY transaction_id DESC, outbox.id DESC LIMIT 1)
			) outbox ORDER BY transaction_id, outbox.id LIMIT 1
		)
		SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM page), e.created_at, e.transaction_id::text, e.id
		FROM (SELECT) one LEFT JOIN ends e ON true`,
		e.ID, strconv.FormatUint(from.Transaction, 10), from.ID, redeliverPage, one.Row(), since, e.SaleID, typeNames(e.Types), limit,
	).Scan(&page.queued, &read, &at, &transaction, &row)
	if err == nil && transaction != nil {
		page.last, page.more = at.UTC(), page.queued == limit || read == redeliverPage
		page.next.ID = *row + 1
		page.next.Transaction, err = strconv.ParseUint(*transaction, 10, 64)
	}
	return page, writeFailed("redeliver to webhook endpoint", e.ID, err)
}

// eventsSince finds a place in the log before which no event happened since a time. Times have no index, which every paid order would
// pay for; but they rise along the log, so a few dozen reads of one row find it.
func (s *Store) eventsSince(ctx context.Context, since time.Time) (from domain.EventCursor, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// first is the first event from a place on: whether it is before the time, and where it is.
	first := func(from domain.EventCursor) (before bool, at domain.EventCursor, err error) {
		var transaction string
		err = s.pool.QueryRow(ctx, `
			SELECT created_at < $3, transaction_id::text, id FROM outbox WHERE (transaction_id, outbox.id) >= ($1::text::xid8, $2)
			ORDER BY transaction_id, outbox.id LIMIT 1`, strconv.FormatUint(from.Transaction, 10), from.ID, since).Scan(&before, &transaction, &at.ID)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, domain.EventCursor{Transaction: math.MaxInt64}, nil
		}
		if err == nil {
			at.Transaction, err = strconv.ParseUint(transaction, 10, 64)
		}
		return before, at, err
	}
	head, err := s.EventHead(ctx)
	if err != nil {
		return from, err
	}
	// The last transaction whose first event is before the time: after a restore one has all events of before.
	low, high := uint64(0), head.Transaction+1
	for high-low > 1 {
		mid := low + (high-low)/2
		before, at, err := first(domain.EventCursor{Transaction: mid})
		if err != nil {
			return from, readFailed("find", "events", err)
		}
		if before {
			low = min(at.Transaction, high-1)
		} else {
			high = mid
		}
	}
	from.Transaction = low
	// And in it the last event that is.
	lowID, highID := int64(0), head.ID+1
	for highID-lowID > 1 {
		mid := lowID + (highID-lowID)/2
		before, at, err := first(domain.EventCursor{Transaction: low, ID: mid})
		if err != nil {
			return from, readFailed("find", "events", err)
		}
		if before && at.Transaction == low {
			lowID = min(at.ID, highID-1)
		} else {
			highID = mid
		}
	}
	from.ID = lowID
	return from, nil
}

// eventIDText is domain.NewEventID in SQL, for a row w of the outbox.
const eventIDText = `'evt_' || lpad(to_hex(floor(extract(epoch FROM w.created_at) * 1000)::bigint), 12, '0') ||
	lpad(to_hex(event_log.origin), 8, '0') || lpad(to_hex(w.id), 12, '0')`

// WebhookDeliveries lists an endpoint's deliveries, newest event first, starting past after if it is set, in one state or in all.
// CodeNotFound; errors as for any read.
func (s *Store) WebhookDeliveries(
	ctx context.Context, endpoint string, state domain.WebhookState, after domain.EventID, limit int,
) ([]domain.WebhookDelivery, error) {
	if _, err := s.WebhookEndpoint(ctx, endpoint); err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT event, type, subject, state, attempts, due_at, queued_at, finished_at, log FROM webhook_deliveries
		WHERE endpoint = $1 AND ($2 = '' OR state = $2) AND ($3 = 0 OR event_row < $3) ORDER BY event_row DESC LIMIT $4`,
		endpoint, string(state), after.Row(), limit)
	if err != nil {
		return nil, readFailed("list deliveries of webhook endpoint", endpoint, err)
	}
	deliveries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d domain.WebhookDelivery, err error) {
		var event string
		var finished *time.Time
		if err = row.Scan(&event, &d.Type, &d.Subject, &d.State, &d.Attempts, &d.DueAt, &d.QueuedAt, &finished, &d.Log); err != nil {
			return d, err
		}
		d.DueAt, d.QueuedAt, d.FinishedAt = d.DueAt.UTC(), d.QueuedAt.UTC(), fromNull(finished)
		d.Event, err = domain.ParseEventID(event)
		return d, err
	})
	return deliveries, readFailed("list deliveries of webhook endpoint", endpoint, err)
}

// OverdueWebhookEndpoints names the endpoints that should have been sent something longer ago than that. Their deliveries do not
// run, or are behind.
func (s *Store) OverdueWebhookEndpoints(ctx context.Context, overdue time.Duration) ([]string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT id FROM webhook_endpoints w
		WHERE disabled_at IS NULL AND (paused_until IS NULL OR paused_until < now() - $1::interval) AND EXISTS (
			SELECT FROM webhook_deliveries d WHERE d.endpoint = w.id AND d.state = 'pending' AND d.due_at < now() - $1::interval)`, overdue)
	if err != nil {
		return nil, readFailed("list", "webhook endpoints", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, readFailed("list", "webhook endpoints", err)
}

// WebhookCounts counts endpoints and deliveries by state. Errors as for any read.
func (s *Store) WebhookCounts(ctx context.Context) (c domain.WebhookCounts, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE disabled_at IS NULL), count(*) FILTER (WHERE disabled_at IS NULL AND failures > 0),
		       count(*) FILTER (WHERE disabled_at IS NOT NULL),
		       coalesce(sum(pending), 0)::bigint, coalesce(sum(given_up), 0)::bigint,
		       greatest(clock_timestamp() - min(webhook_deliveries.queued_at), '0')
		FROM webhook_endpoints w, LATERAL (
			SELECT `+webhookPending+` AS pending,
			       (SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint = w.id AND d.state = 'given_up'
			          AND d.finished_at > now() - interval '1 day') AS given_up,
			       (SELECT min(webhook_deliveries.queued_at) FROM ( -- the longest due
			          SELECT d.queued_at FROM webhook_deliveries d WHERE d.endpoint = w.id AND d.state = 'pending'
			          ORDER BY d.due_at, d.event_row LIMIT 1000) webhook_deliveries) AS queued_at
		) webhook_deliveries
		WHERE w.deleted_at IS NULL`).Scan(&c.Enabled, &c.Failing, &c.Disabled, &c.Pending, &c.GivenUp, &c.Lag)
	return c, readFailed("count", "webhooks", err)
}

// GiveUpLostWebhooks gives up pending deliveries whose events are no longer in the log: they were dropped at the moment at which
// redelivery was asked for.
func (s *Store) GiveUpLostWebhooks(ctx context.Context, endpoint string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
		UPDATE webhook_deliveries d SET state = 'given_up', finished_at = clock_timestamp()
		WHERE endpoint = $1 AND state = 'pending'
		  AND NOT EXISTS (SELECT FROM outbox e WHERE e.transaction_id = d.transaction_id AND e.id = d.event_row)`, endpoint)
	return writeFailed("give up lost deliveries of webhook endpoint", endpoint, err)
}
