package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5"
)

// endingsLook is how long what endpoints want is remembered. One that is registered hears
// of checkouts that end later than that.
const endingsLook = 10 * time.Second

// Endings tell of checkouts that held seats and ended without a sale. These never touch
// this database, so a row is written only while somebody asks for its type by name: a
// webhook endpoint that is enabled, or whoever made the Endings.
type Endings struct {
	store  *Store
	always []domain.EventType

	mu     sync.Mutex
	wanted []domain.EventType // by endpoints
	looked time.Time          // zero: never
}

// NewEndings tells of the types that are asked for; always are those that endpoints need
// not name.
func (s *Store) NewEndings(always []domain.EventType) *Endings {
	return &Endings{store: s, always: always}
}

// CheckoutEnded writes the event of an ending, once however often it is called. Without
// anybody who wants it nothing is written, and the database is asked at most every 10 s.
func (e *Endings) CheckoutEnded(ctx context.Context, order *domain.Order, ending domain.OrderStatus) error {
	data := domain.NewCheckoutEnding(order, ending)
	if data == nil {
		return nil
	}
	if wanted, err := e.isWanted(ctx, data.Type()); err != nil || !wanted {
		return err
	}
	return e.store.tellEnding(ctx, order, data)
}

func (e *Endings) isWanted(ctx context.Context, kind domain.EventType) (bool, error) {
	if slices.Contains(e.always, kind) {
		return true, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.looked.IsZero() || time.Since(e.looked) > endingsLook {
		wanted, err := e.store.typesByName(ctx)
		switch {
		case err == nil:
			e.wanted, e.looked = wanted, time.Now()
		case e.looked.IsZero():
			return false, err // nobody knows: the step is repeated
		}
	}
	return slices.Contains(e.wanted, kind), nil
}

func (s *Store) typesByName(ctx context.Context) ([]domain.EventType, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT unnest(types) FROM webhook_endpoints WHERE disabled_at IS NULL`)
	if err != nil {
		return nil, readFailed("read", "the types that endpoints want", err)
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[domain.EventType])
	return types, readFailed("read", "the types that endpoints want", err)
}

func (s *Store) tellEnding(ctx context.Context, order *domain.Order, data domain.EventData) error {
	payload, err := json.Marshal(data)
	if err != nil {
		return &domain.Error{Code: domain.CodeInternal, Err: fmt.Errorf("event %s of order %s: %w", data.Type(), order.ID, err)}
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err = s.pool.Exec(ctx, `
		INSERT INTO outbox (event, sale_id, order_id, payload) VALUES ($1, $2, $3, $4)
		ON CONFLICT (order_id, event) WHERE payment IS NULL AND order_id IS NOT NULL DO NOTHING`,
		string(data.Type()), order.SaleID, uuidOf(order.ID), payload)
	return writeFailed("tell the ending of order", order.ID.String(), err)
}
