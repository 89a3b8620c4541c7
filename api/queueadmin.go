package api

import (
	"context"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// What the organiser sets for a sale's waiting room.

// QueueBody limits how fast the door of a waiting room opens.
type QueueBody struct {
	RateFloor   *float64 `json:"rate_floor,omitempty" exclusiveMinimum:"0" doc:"Minimum admissions per second, whatever the load"`
	RateCeiling *float64 `json:"rate_ceiling,omitempty" exclusiveMinimum:"0" doc:"Maximum admissions per second"`
}

// CreateQueueBody is the waiting room of a new sale.
type CreateQueueBody struct {
	QueueBody
	WitnessCommitment string `json:"witness_commitment,omitempty" maxLength:"64" doc:"Another party's commitment to a number that goes into the draw instead of a beacon's: hex SHA-256 of its 32 bytes and the sale's id. That party reveals the number once the list is closed"`
}

type configureInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body ConfigureBody
}

// ConfigureBody changes the settings that it names.
type ConfigureBody struct {
	Paused *bool `json:"paused,omitempty" doc:"true: nobody is admitted until it is false again. People who were admitted stay admitted"`
	QueueBody
}

type configuredOutput struct{ Body ConfiguredView }

// ConfiguredView is a queue with the organiser's settings.
type ConfiguredView struct {
	QueueView
	RateFloor   float64 `json:"rate_floor"`
	RateCeiling float64 `json:"rate_ceiling"`
}

// over applies the body's settings on top of others.
func (b *ConfigureBody) over(settings domain.QueueSettings) domain.QueueSettings {
	if b.Paused != nil {
		settings.Paused = *b.Paused
	}
	if b.RateFloor != nil {
		settings.RateFloor = *b.RateFloor
	}
	if b.RateCeiling != nil {
		settings.RateCeiling = *b.RateCeiling
	}
	return settings
}

// settings are those of a new queue.
func (b *QueueBody) settings() domain.QueueSettings {
	change := ConfigureBody{QueueBody: *b}
	return change.over(domain.QueueSettings{}).WithDefaults()
}

// configure changes a waiting room. Two organisers who change different settings at the
// same moment may undo each other's change: the answer says what holds.
func (s *Server) configure(ctx context.Context, in *configureInput) (*configuredOutput, error) {
	state, err := s.roomState(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	settings := in.Body.over(state.Settings)
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	if settings != state.Settings { // the organiser's page asks without a change, and must not undo another's
		if state, err = s.Rooms.Configure(ctx, in.Sale, settings); err != nil {
			return nil, err
		}
	}
	return &configuredOutput{ConfiguredView{viewQueue(&state), state.Settings.RateFloor, state.Settings.RateCeiling}}, nil
}

// furnish sets up the waiting room of a sale before it goes on offer. A sale that is
// already on offer keeps its later settings.
func (s *Server) furnish(ctx context.Context, sale *domain.Sale, body *CreateQueueBody) error {
	if body == nil {
		return nil
	}
	if _, err := s.Orders.Sale(ctx, sale.ID); !isNotFound(err) {
		return err
	}
	if body.WitnessCommitment != "" {
		if err := s.Rooms.BindWitness(ctx, sale.ID, body.WitnessCommitment); err != nil {
			return err
		}
	}
	_, err := s.Rooms.Configure(ctx, sale.ID, body.settings())
	return err
}

// checkQueue refuses what furnish could not do, before anything is stored.
func (s *Server) checkQueue(b *CreateSaleBody) error {
	switch {
	case b.Queue == nil:
		return nil
	case !b.WaitingRoom:
		return domain.Invalid("queue", "is only for a sale with waiting_room")
	}
	if err := b.Queue.settings().Validate(); err != nil {
		return err
	}
	if b.Queue.WitnessCommitment != "" {
		if _, err := waitingroom.ParseWitness(b.Queue.WitnessCommitment); err != nil {
			return err
		}
	}
	return s.hasRooms()
}
