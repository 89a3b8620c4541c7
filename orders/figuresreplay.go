package orders

import (
	"context"
	"strconv"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// A FiguresReplay is what a replay of the view of sales has found.
type FiguresReplay struct {
	Events       int64     // of the log, that the view has taken in
	First, Last  time.Time // when they were written; zero without any
	Unread       int64     // events of the log that it has not taken in
	DroppedRows  int64     // rows with what is known of events that the log has not, or no more
	DroppedUntil time.Time // none that was dropped for its age is younger; zero: none was
	Rows         int64     // of the view
	Different    int64     // rows that are not what the log says
}

// figuresChunk is how many events or rows a replay holds at once.
const figuresChunk = 1000

// ReplayFigures makes the view of sales anew, of all events of the log that it has taken
// in and of what is known of those that were dropped, and compares row by row. It reads
// one snapshot, holds no more than figuresChunk rows, and builds in a temporary table.
// With mend, rows that differ are corrected by what they differ by, so that what the
// reader adds meanwhile stays.
func (s *Store) ReplayFigures(ctx context.Context, mend bool, differs func(domain.FigureDifference)) (r FiguresReplay, err error) {
	// The rebuilding has a connection and short transactions of its own: one that writes and
	// stays open would hold up the readers of the log (see EventsAfter).
	building, err := s.pool.Acquire(ctx)
	if err != nil {
		return r, readFailed("replay", "the figures of sales", err)
	}
	defer func() {
		// A pooled connection goes back without its table and its lock.
		_ = building.Conn().Close(context.WithoutCancel(ctx))
		building.Release()
	}()
	for _, sql := range []string{`SET statement_timeout = 0`, `SET idle_in_transaction_session_timeout = 0`,
		`CREATE TEMPORARY TABLE replayed_figures (LIKE sale_figures INCLUDING ALL)`} {
		if _, err := building.Exec(ctx, sql); err != nil {
			return r, readFailed("replay", "the figures of sales", err)
		}
	}
	if mend {
		var mine bool
		err := building.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('boxoffice figures ' || current_schema(), 0))`).Scan(&mine)
		if err == nil && !mine {
			err = &domain.Error{Code: domain.CodeOverloaded, Detail: "Another replay mends the figures. Wait until it has ended."}
		}
		if err != nil {
			return r, readFailed("replay", "the figures of sales", err)
		}
	}
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		for _, sql := range []string{`SET LOCAL statement_timeout = 0`, `SET LOCAL idle_in_transaction_session_timeout = 0`} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		p := figuresReplay{FiguresReplay: &r, reading: tx, building: building.Conn(), store: s}
		if err := p.rebuild(ctx); err != nil {
			return err
		}
		return p.compare(ctx, mend, differs)
	})
	return r, readFailed("replay", "the figures of sales", err)
}

type figuresReplay struct {
	*FiguresReplay
	reading  pgx.Tx // the snapshot
	building *pgx.Conn
	store    *Store
}

const figureRowColumns = `sale_id, figure, minute, about, currency, n, amount_minor`

// figuresInOrder is the order of domain.FigureKey.
const figuresInOrder = ` ORDER BY sale_id COLLATE "C", figure COLLATE "C", minute, about COLLATE "C", currency COLLATE "C"`

func scanFigure(row pgx.Row) (r domain.FigureRow, err error) {
	err = row.Scan(&r.Sale, &r.Figure, &r.Minute, &r.About, &r.Currency, &r.Count, &r.AmountMinor)
	return r, err
}

// rebuild fills the temporary table.
func (p *figuresReplay) rebuild(ctx context.Context) error {
	var until *time.Time
	err := p.reading.QueryRow(ctx, `SELECT nullif(dropped_until, '-infinity') FROM event_log`).Scan(&until)
	if err != nil {
		return err
	}
	p.DroppedUntil = fromNull(until)
	rows, err := p.reading.Query(ctx, `SELECT `+figureRowColumns+` FROM sale_figures_dropped`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var c figureColumns
	for rows.Next() {
		row, err := scanFigure(rows)
		if err != nil {
			return err
		}
		p.DroppedRows++
		if err := p.add(ctx, &c, 0, row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if err := p.addEvents(ctx, &c); err != nil {
		return err
	}
	return p.flush(ctx, &c)
}

func (p *figuresReplay) addEvents(ctx context.Context, c *figureColumns) error {
	var at domain.EventCursor
	for more := true; more; {
		rows, err := p.reading.Query(ctx, `
			SELECT `+eventColumns+`, EXISTS (SELECT FROM sale_figures_events seen WHERE seen.event_row = e.id), e.payload
			FROM outbox e, event_log
			WHERE (e.transaction_id, e.id) > ($1::text::xid8, $2) AND e.event = ANY ($3)
			ORDER BY e.transaction_id, e.id LIMIT $4`,
			strconv.FormatUint(at.Transaction, 10), at.ID, eventTypes(domain.FigureEvents()), figuresChunk)
		if err != nil {
			return err
		}
		type seenEvent struct {
			domain.Event
			isSeen bool
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e seenEvent, err error) {
			e.Event, err = scanEvent(row, &e.isSeen)
			return e, err
		})
		if err != nil {
			return err
		}
		for i := range page {
			e := &page[i]
			at = e.Cursor
			if !e.isSeen {
				p.Unread++
				continue
			}
			if p.Events++; p.Events == 1 {
				p.First = e.OccurredAt
			}
			p.Last = e.OccurredAt
			figures, err := e.Figures()
			if err != nil {
				return err
			}
			for _, f := range figures {
				if err := p.add(ctx, c, 0, f); err != nil {
					return err
				}
			}
		}
		more = len(page) == figuresChunk
	}
	return nil
}

func (p *figuresReplay) add(ctx context.Context, c *figureColumns, event int64, row domain.FigureRow) error {
	c.add(event, row)
	if len(c.event) < figuresChunk {
		return nil
	}
	return p.flush(ctx, c)
}

func (p *figuresReplay) flush(ctx context.Context, c *figureColumns) error {
	_, err := p.building.Exec(ctx, addFigures("replayed_figures", figuresGiven+` given`), c.args()...)
	*c = figureColumns{}
	return err
}

// compare reads both tables side by side.
func (p *figuresReplay) compare(ctx context.Context, mend bool, differs func(domain.FigureDifference)) error {
	var corrections figureColumns
	different := func(d domain.FigureDifference) error {
		p.Different++
		differs(d)
		if !mend {
			return nil
		}
		corrections.add(0, domain.FigureRow{FigureKey: d.FigureKey, FigureSum: domain.FigureSum{
			Count: d.Want.Count - d.View.Count, AmountMinor: d.Want.AmountMinor - d.View.AmountMinor}})
		if len(corrections.event) < figuresChunk {
			return nil
		}
		return p.correct(ctx, &corrections)
	}
	view, err := figureStream(ctx, p.reading, `SELECT `+figureRowColumns+` FROM sale_figures`+figuresInOrder)
	if err != nil {
		return err
	}
	defer view.rows.Close()
	replayed, err := figureStream(ctx, p.building, `SELECT `+figureRowColumns+` FROM replayed_figures`+figuresInOrder)
	if err != nil {
		return err
	}
	defer replayed.rows.Close()
	for view.ok || replayed.ok {
		order := view.row.Compare(replayed.row.FigureKey)
		if !replayed.ok {
			order = -1
		} else if !view.ok {
			order = 1
		}
		var d domain.FigureDifference
		if order <= 0 {
			p.Rows++
			d.FigureKey, d.View = view.row.FigureKey, view.row.FigureSum
			view.next()
		}
		if order >= 0 {
			d.FigureKey, d.Want = replayed.row.FigureKey, replayed.row.FigureSum
			replayed.next()
		}
		if d.View != d.Want {
			if err := different(d); err != nil {
				return err
			}
		}
	}
	if view.err != nil {
		return view.err
	}
	if replayed.err != nil {
		return replayed.err
	}
	return p.correct(ctx, &corrections)
}

// correct adds to the view what it lacks.
func (p *figuresReplay) correct(ctx context.Context, c *figureColumns) error {
	if len(c.event) == 0 {
		return nil
	}
	_, err := p.store.pool.Exec(ctx, addFigures("sale_figures", figuresGiven+` given`), c.args()...)
	*c = figureColumns{}
	return writeFailed("mend", "the figures of sales", err)
}

// A figures stream is rows of figures, one at a time.
type figures struct {
	rows pgx.Rows
	row  domain.FigureRow
	ok   bool
	err  error
}

func figureStream(ctx context.Context, from interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, sql string) (*figures, error) {
	rows, err := from.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	f := &figures{rows: rows}
	f.next()
	return f, f.err
}

func (f *figures) next() {
	if f.ok = f.rows.Next(); !f.ok {
		f.err = f.rows.Err()
		return
	}
	if f.row, f.err = scanFigure(f.rows); f.err != nil {
		f.ok = false
		f.rows.Close()
	}
}
