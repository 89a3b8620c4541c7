package waitingroom

import (
	"context"
	"log/slog"
	"time"

	"boxoffice/domain"

	"github.com/prometheus/client_golang/prometheus"
)

// A Status is what a token's holder may do.
type Status string

// The statuses.
const (
	StatusDraw     Status = "draw"     // the sale has not opened: places are drawn when it does
	StatusWaiting  Status = "waiting"  // not yet
	StatusAdmitted Status = "admitted" // may check out
	StatusPaused   Status = "paused"   // the organiser holds the door
	StatusSoldOut  Status = "sold_out" // for good: nothing is held that may come back
	StatusCanceled Status = "canceled" // the organiser canceled the sale
)

// A Place is where a token stands.
type Place struct {
	Sale          string
	Status        Status
	Index         int64         // the join index: who joined before has a lower one
	Position      int64         // 1 is next; 0 before the draw and once admitted
	Ahead         int64         // places before this one, left ones included; 0 before the draw and once admitted
	Waiting       int64         // places that wait, over all
	Wait          time.Duration // an estimate, on the safe side; 0: unknown or none
	RatePerSecond float64
	JoinedAt      time.Time
	OpensAt       time.Time
	RetryAfter    time.Duration // ask again then; who is silent for PresenceTimeout counts as gone
	Draw          Draw
}

// A Draw is what anybody needs to check the draw of a sale (see Drawn).
type Draw struct {
	Commitment string // hex SHA-256(seed ‖ sale id), published before
	Size       int64  // how many took part; -1 before the draw
	Seed       string // hex; empty before the draw
}

// A RoomState is what is public about a waiting room, and its settings.
type RoomState struct {
	Sale          string
	Status        Status // StatusDraw, StatusWaiting, StatusPaused, StatusSoldOut or StatusCanceled
	Waiting       int64
	Admitted      int64
	Joined        int64
	RatePerSecond float64
	Paused        bool
	Draw          Draw
	Settings      domain.QueueSettings
}

// A Load is how the checkouts of this node fare.
type Load struct {
	InFlight, InFlightMax int
	HoldLatency           time.Duration // of recent holds, such as their p90; 0: none
	Overloaded            int64         // answers overloaded or unknown since the last call
}

// A Store is the database that the nodes share. orders.Store is one.
type Store interface {
	// ExchangeQueue adds joins to a sale's queue, lets turn decide, writes what it
	// decided, all in one transaction, and returns the first index of the joins
	// and the state after. CodeNotFound: the sale has no waiting room. Of any other
	// error it is not known whether it took effect.
	ExchangeQueue(ctx context.Context, saleID string, joins int64, turn domain.QueueTurn) (first int64, q *domain.Queue, err error)
	// ConfigureQueue sets what the organiser may set. CodeNotFound as above.
	ConfigureQueue(ctx context.Context, saleID string, s domain.QueueSettings) error
}

// Options of New. Meter may be nil; all else is required.
type Options struct {
	Store Store
	Keys  *domain.Keyring
	Node  string      // tells this process from every other, those before it included
	Load  func() Load // called by Run alone
	// Stock is the ledger's word on the sale; it is asked at most every StockInterval.
	Stock func(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	Sales func(ctx context.Context) ([]*domain.Sale, error)
	Meter prometheus.Registerer
	Log   *slog.Logger
}
