package orders

import (
	"context"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// FiguresReader is the name of the reader that keeps the view of sales.
const FiguresReader = "figures"

// figureColumns are rows of figures as arrays of a statement.
type figureColumns struct {
	event                         []int64
	sale, figure, about, currency []string
	minute, n, amount             []int64
}

func (c *figureColumns) add(event int64, r domain.FigureRow) {
	c.event = append(c.event, event)
	c.sale, c.figure, c.about, c.currency = append(c.sale, r.Sale), append(c.figure, string(r.Figure)), append(c.about, r.About), append(c.currency, r.Currency)
	c.minute, c.n, c.amount = append(c.minute, r.Minute), append(c.n, r.Count), append(c.amount, r.AmountMinor)
}

func (c *figureColumns) args() []any {
	return []any{c.event, c.sale, c.figure, c.minute, c.about, c.currency, c.n, c.amount}
}

// figuresOf is what events add, each once, and their rows.
func figuresOf(events []domain.Event) (c figureColumns, rows []int64, err error) {
	rows = make([]int64, 0, len(events))
	seen := make(map[int64]bool, len(events))
	for i := range events {
		row := events[i].ID.Row()
		figures, err := events[i].Figures()
		if err != nil {
			return c, nil, err
		}
		if seen[row] {
			continue
		}
		seen[row] = true
		rows = append(rows, row)
		for _, f := range figures {
			c.add(row, f)
		}
	}
	return c, rows, nil
}

// figuresGiven are those arrays as a table, with the event of each.
const figuresGiven = `(SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
	AS given (event_row, sale_id, figure, minute, about, currency, n, amount_minor))`

// addFigures adds what a table or a statement has to a table of figures. Rows are locked in
// one order everywhere, so that two who add wait for each other instead of deadlocking.
func addFigures(to, from string) string {
	return `
		INSERT INTO ` + to + ` AS f (sale_id, figure, minute, about, currency, n, amount_minor)
		SELECT * FROM (
			SELECT sale_id, figure, minute, about, currency, sum(n)::bigint, sum(amount_minor)::bigint FROM ` + from + `
			GROUP BY sale_id, figure, minute, about, currency
			ORDER BY sale_id COLLATE "C", figure COLLATE "C", minute, about COLLATE "C", currency COLLATE "C"
		) added
		ON CONFLICT (sale_id, figure, minute, about, currency)
		DO UPDATE SET n = f.n + excluded.n, amount_minor = f.amount_minor + excluded.amount_minor`
}

// AddFigures adds events to the view of sales, those that it has not taken in yet: they
// may come as often as they like, and in any order. It is one statement. It does not wait
// for the disk: whoever keeps in this database that it is done waits for that, and then
// this is durable too, for it stands before it in the server's log.
//
// The error is that of domain.Event.Data where an event cannot be read.
func (s *Store) AddFigures(ctx context.Context, events []domain.Event) error {
	c, rows, err := figuresOf(events)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err = s.pool.Exec(ctx, `
		WITH fresh AS (
			INSERT INTO sale_figures_events (event_row)
			SELECT * FROM (SELECT DISTINCT event_row FROM unnest($9::bigint[]) event_row ORDER BY event_row) given
			WHERE set_config('synchronous_commit', 'off', true) IS NOT NULL
			ON CONFLICT DO NOTHING RETURNING event_row
		)`+addFigures("sale_figures", figuresGiven+` given JOIN fresh USING (event_row)`), append(c.args(), rows)...)
	return writeFailed("add to", "the figures of sales", err)
}

// figureSteps are the steps of time, in minutes, in which figures are shown: as fine as
// there are not too many.
var figureSteps = []int64{1, 5, 15, 60, 4 * 60, 24 * 60, 7 * 24 * 60, 10 * 365 * 24 * 60}

// Figures reads the view of a sale, what was sold from a moment on by at most so many
// steps of time. It reads nothing else. A sale of which nothing was sold has none.
func (s *Store) Figures(ctx context.Context, saleID string, from time.Time, stepsMax int) (f domain.SaleFigures, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		WITH of_sale AS (
			SELECT * FROM sale_figures WHERE sale_id = $1
		), span AS (
			SELECT min(minute) AS first, max(minute) AS last FROM of_sale WHERE figure = 'sold' AND minute >= $2
		), step AS (
			SELECT coalesce((SELECT min(n) FROM unnest($3::bigint[]) n, span WHERE last / n - first / n < $4), 1) AS minutes
		)
		SELECT figure, CASE WHEN minute >= $2 THEN minute / step.minutes * step.minutes ELSE 0 END AS since, about, currency,
		       sum(n)::bigint, sum(amount_minor)::bigint, step.minutes
		FROM of_sale, step
		GROUP BY figure, since, about, currency, step.minutes
		ORDER BY figure COLLATE "C", since, about COLLATE "C", currency COLLATE "C"`,
		saleID, max(from.Unix()/60, 1), figureSteps, stepsMax)
	if err != nil {
		return f, readFailed("read the figures of", saleID, err)
	}
	f.StepMinutes = 1
	f.Rows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.FigureRow, error) {
		r := domain.FigureRow{FigureKey: domain.FigureKey{Sale: saleID}}
		err := row.Scan(&r.Figure, &r.Minute, &r.About, &r.Currency, &r.Count, &r.AmountMinor, &f.StepMinutes)
		return r, err
	})
	if err != nil {
		return f, readFailed("read the figures of", saleID, err)
	}
	states, err := s.readerStates(ctx, FiguresReader)
	for _, state := range states {
		f.Behind, f.Lag = state.LagEvents, state.Lag
	}
	return f, readFailed("read how far behind are the figures of", saleID, err)
}

// differencesListed is how many rows a check lists.
const differencesListed = 20

// figuresCheckTimeout bounds a check: it adds up all orders of a sale.
const figuresCheckTimeout = 30 * time.Second

// CheckFigures compares the view of a sale with what is on record, in one snapshot; with
// an empty id, of what belongs to no sale. Checkouts without a sale are on no record.
func (s *Store) CheckFigures(ctx context.Context, saleID string) (c domain.FigureCheck, err error) {
	ctx, cancel := context.WithTimeout(ctx, figuresCheckTimeout)
	defer cancel()
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL statement_timeout = `+milliseconds(figuresCheckTimeout)); err != nil {
			return err
		}
		c, err = checkFigures(ctx, tx, saleID)
		return err
	})
	return c, readFailed("check the figures of", saleID, err)
}

func checkFigures(ctx context.Context, tx pgx.Tx, saleID string) (c domain.FigureCheck, err error) {
	of := ofSale(saleID)
	rows, err := tx.Query(ctx, `
		WITH sold AS (
			SELECT o.id, o.status <> 'paid' AS is_void, floor(extract(epoch FROM o.paid_at) / 60)::integer AS minute, p.currency, p.amount_minor
			FROM orders o JOIN payments p ON p.id = o.payment WHERE o.`+of+`
		), back AS (
			SELECT r.payment, r.bought, r.refunded_at, r.reason, p.currency, p.amount_minor
			FROM refunds r JOIN payments p ON p.id = r.payment WHERE r.`+of+`
		), recorded AS (
			SELECT figure, minute, about, currency, sum(n)::bigint AS n, sum(amount_minor)::bigint AS amount_minor FROM (
				SELECT 'sold' AS figure, minute, l.class AS about, currency, l.quantity AS n, l.quantity * l.unit_price_minor AS amount_minor
				FROM sold JOIN order_lines l ON l.order_id = sold.id
				UNION ALL SELECT 'paid', 0, '', currency, 1, amount_minor FROM sold
				UNION ALL SELECT 'voided', 0, l.class, currency, l.quantity, l.quantity * l.unit_price_minor
				          FROM sold JOIN order_lines l ON l.order_id = sold.id WHERE is_void
				UNION ALL SELECT 'refund_begun', 0, reason, currency, 1, amount_minor FROM back WHERE bought = 'tickets'
				UNION ALL SELECT 'refunded', 0, reason, currency, 1, amount_minor FROM back WHERE bought = 'tickets' AND refunded_at IS NOT NULL
				UNION ALL SELECT 'payment_refunded', 0, reason, currency, 1, amount_minor FROM back WHERE bought = 'nothing' AND refunded_at IS NOT NULL
			) counted GROUP BY figure, minute, about, currency
		), compared AS (
			SELECT figure, minute, about, currency, coalesce(v.n, 0) AS view_n, coalesce(v.amount_minor, 0) AS view_minor,
			       coalesce(r.n, 0) AS n, coalesce(r.amount_minor, 0) AS minor
			FROM recorded r FULL JOIN (SELECT * FROM sale_figures WHERE sale_id = $1 AND figure <> 'unsold') v USING (figure, minute, about, currency)
		), totals AS (
			SELECT CASE WHEN different <> 0 THEN (SELECT count(*) FROM outbox e WHERE e.`+of+` AND e.event = ANY ($2)
			           AND NOT EXISTS (SELECT FROM sale_figures_events seen WHERE seen.event_row = e.id)) ELSE 0 END AS unread,
			       CASE WHEN different <> 0 THEN (SELECT count(*) FROM back WHERE bought = 'tickets'
			           AND NOT EXISTS (SELECT FROM outbox e WHERE e.event = 'order.refund_begun' AND e.payment = back.payment)) ELSE 0 END AS unannounced,
			       rows, different
			FROM (SELECT count(*) AS rows, count(*) FILTER (WHERE (view_n, view_minor) <> (n, minor)) AS different FROM compared) counted
		)
		SELECT totals.*, coalesce(figure, ''), coalesce(minute, 0), coalesce(about, ''), coalesce(currency, ''),
		       coalesce(view_n, 0), coalesce(view_minor, 0), coalesce(n, 0), coalesce(minor, 0)
		FROM totals LEFT JOIN compared ON (view_n, view_minor) <> (n, minor)
		ORDER BY figure COLLATE "C", minute, about COLLATE "C", currency COLLATE "C" LIMIT $3`,
		saleID, eventTypes(domain.FigureEvents()), differencesListed)
	if err != nil {
		return c, err
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (domain.FigureDifference, error) {
		d := domain.FigureDifference{FigureKey: domain.FigureKey{Sale: saleID}}
		err := row.Scan(&c.Unread, &c.Unannounced, &c.Rows, &c.Different, &d.Figure, &d.Minute, &d.About, &d.Currency,
			&d.View.Count, &d.View.AmountMinor, &d.Want.Count, &d.Want.AmountMinor)
		if err == nil && d.Figure != "" {
			c.Differences = append(c.Differences, d)
		}
		return d, err
	})
	return c, err
}

func eventTypes(types []domain.EventType) []string {
	names := make([]string, 0, len(types))
	for _, t := range types {
		names = append(names, string(t))
	}
	return names
}

// dropFigures moves events that are dropped from those that the view has taken in to
// where a replay begins. What it had not taken in it takes in.
func dropFigures(ctx context.Context, tx pgx.Tx, events []domain.Event) error {
	c, rows, err := figuresOf(events)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		WITH seen AS (
			DELETE FROM sale_figures_events WHERE event_row = ANY ($9) RETURNING event_row
		), missed AS (`+addFigures("sale_figures", figuresGiven+` given WHERE event_row NOT IN (SELECT event_row FROM seen)`)+`)`+
		addFigures("sale_figures_dropped", figuresGiven+` given`), append(c.args(), rows)...)
	return err
}
