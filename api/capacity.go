package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type capacityInput struct {
	Sale  string `path:"sale" doc:"The sale's id"`
	Class string `path:"class" maxLength:"32" doc:"The class"`
	Key   string `header:"Idempotency-Key" doc:"Needed. Names this change: the same key is the same change and gets the same answer. A bare or quoted string of 16–255 visible ASCII characters"`
	Body  CapacityBody

	keys []string
}

// Resolve implements huma.Resolver, as that of checkoutInput.
func (in *capacityInput) Resolve(ctx huma.Context) []error {
	in.keys = idempotencyKeys(ctx)
	return nil
}

// CapacityBody says what a class is to have.
type CapacityBody struct {
	Capacity int64 `json:"capacity" minimum:"1" maximum:"100000000" doc:"Tickets of the class from now on, those that are held and sold included"`
}

type capacityOutput struct{ Body CapacityView }

// CapacityView is a change of a class's capacity.
type CapacityView struct {
	Sale      string    `json:"sale"`
	Class     string    `json:"class"`
	Before    int64     `json:"before"`
	Capacity  int64     `json:"capacity"`
	ChangedAt time.Time `json:"changed_at"`
}

// changeCapacity raises or lowers what a class has to sell.
func (s *Server) changeCapacity(ctx context.Context, in *capacityInput) (*capacityOutput, error) {
	key, err := parseKey(in.keys)
	if err != nil {
		return nil, err
	}
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	change, err := s.Capacities.Change(ctx, sale.ID, in.Class, key, in.Body.Capacity)
	if err != nil {
		return nil, err
	}
	s.Catalog.Forget(sale.ID)
	return &capacityOutput{CapacityView{
		Sale: sale.ID, Class: change.Class, Before: change.Before, Capacity: change.After, ChangedAt: change.SettledAt.UTC(),
	}}, nil
}
