package orders

import (
	"context"
	"encoding/json"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// RecordAudit stores what an audit found and returns what is new: findings that appeared,
// and findings that healed. Each is an event of the log, in the same transaction; a
// finding that stays has no further event, however often it is seen. It may be repeated.
func (s *Store) RecordAudit(ctx context.Context, r domain.AuditRecord) (appeared, healed []domain.AuditFinding, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		appeared, healed = nil, nil
		if err := upsertAudit(ctx, tx, &r); err != nil {
			return err
		}
		for _, f := range r.Broken {
			f.SaleID, f.Since = r.SaleID, stored(r.EndedAt)
			isNew, err := upsertFinding(ctx, tx, &f)
			if err != nil {
				return err
			}
			if isNew {
				appeared = append(appeared, f)
			}
		}
		if healed, err = deleteHealed(ctx, tx, &r); err != nil {
			return err
		}
		if err := tellAudit(ctx, tx, domain.EventAuditBroken, appeared); err != nil {
			return err
		}
		return tellAudit(ctx, tx, domain.EventAuditHealed, healed)
	})
	return appeared, healed, writeFailed("record audit of", r.SaleID, err)
}

// upsertAudit also locks the sale's row, so that one audit is recorded at a time.
func upsertAudit(ctx context.Context, tx pgx.Tx, r *domain.AuditRecord) error {
	unread := r.Unread
	if unread == nil {
		unread = []string{}
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO audits AS a (sale_id, ended_at, complete_at, took_ms, unread, waiting)
		VALUES ($1, $2, CASE WHEN cardinality($4::text[]) = 0 THEN $2::timestamptz END, $3, $4, $5)
		ON CONFLICT (sale_id) DO UPDATE SET ended_at = excluded.ended_at, took_ms = excluded.took_ms,
			unread = excluded.unread, waiting = excluded.waiting, complete_at = coalesce(excluded.complete_at, a.complete_at)`,
		r.SaleID, stored(r.EndedAt), r.Took.Milliseconds(), unread, r.Waiting)
	return err
}

// upsertFinding reports whether the finding is new. An old one keeps the time when it was
// first seen.
func upsertFinding(ctx context.Context, tx pgx.Tx, f *domain.AuditFinding) (isNew bool, err error) {
	err = tx.QueryRow(ctx, `
		INSERT INTO audit_findings (sale_id, invariant, subject, since, offenders) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (sale_id, invariant, subject) DO UPDATE SET offenders = excluded.offenders
		RETURNING xmax = 0`, // 0: inserted, not updated
		f.SaleID, f.Invariant, f.Subject, f.Since, f.Offenders).Scan(&isNew)
	return isNew, err
}

func deleteHealed(ctx context.Context, tx pgx.Tx, r *domain.AuditRecord) ([]domain.AuditFinding, error) {
	var invariants, subjects []string
	keep := func(k domain.AuditKey) {
		invariants, subjects = append(invariants, k.Invariant), append(subjects, k.Subject)
	}
	for _, f := range r.Broken {
		keep(f.AuditKey)
	}
	for _, k := range r.Unjudged {
		keep(k)
	}
	rows, err := tx.Query(ctx, `
		DELETE FROM audit_findings
		WHERE sale_id = $1 AND (invariant, subject) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
		RETURNING invariant, subject, sale_id, since, offenders`, r.SaleID, invariants, subjects)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanFinding)
}

func scanFinding(row pgx.CollectableRow) (f domain.AuditFinding, err error) {
	err = row.Scan(&f.Invariant, &f.Subject, &f.SaleID, &f.Since, &f.Offenders)
	f.Since = f.Since.UTC()
	return f, err
}

func tellAudit(ctx context.Context, tx pgx.Tx, event domain.EventType, findings []domain.AuditFinding) error {
	for _, f := range findings {
		payload, err := json.Marshal(f)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO outbox (event, sale_id, payload) VALUES ($1, nullif($2, ''), $3)`, string(event), f.SaleID, payload)
		if err != nil {
			return err
		}
	}
	return nil
}

// AuditState is what the audits know now, over all sales.
type AuditState struct {
	Audited    bool      // whether there ever was one
	CompleteAt time.Time // the oldest of the sales' last complete audits; zero: a sale has none
	Took       time.Duration
	Unread     []string // sources that some sale's last audit could not read
	Waiting    int64
	Findings   []domain.AuditFinding // without their offenders
}

// AuditState reads it.
func (s *Store) AuditState(ctx context.Context) (AuditState, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	state, err := s.auditState(ctx)
	return state, readFailed("read", "audits", err)
}

func (s *Store) auditState(ctx context.Context) (state AuditState, err error) {
	var (
		tookMillis int64
		complete   *time.Time
	)
	err = s.pool.QueryRow(ctx, `
		SELECT count(*) > 0, CASE WHEN count(complete_at) = count(*) THEN min(complete_at) END,
		       coalesce(sum(took_ms), 0)::bigint, coalesce(sum(waiting), 0)::bigint,
		       ARRAY(SELECT DISTINCT source COLLATE "C" FROM audits, unnest(unread) AS source ORDER BY source COLLATE "C")
		FROM audits`).Scan(&state.Audited, &complete, &tookMillis, &state.Waiting, &state.Unread)
	if err != nil {
		return state, err
	}
	state.Took = time.Duration(tookMillis) * time.Millisecond
	state.CompleteAt = fromNull(complete)
	rows, err := s.pool.Query(ctx, `
		SELECT invariant, subject, sale_id, since, offenders FROM audit_findings
		ORDER BY sale_id COLLATE "C", invariant COLLATE "C", subject COLLATE "C"`)
	if err != nil {
		return state, err
	}
	state.Findings, err = pgx.CollectRows(rows, scanFinding)
	return state, err
}
