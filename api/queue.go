package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// The waiting room over HTTP. Rooms decides who is admitted and when; here its answers
// become bodies.

type joinInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	// Key is read by Resolve, which sees how often it is there.
	Key  string    `header:"Idempotency-Key" doc:"Names the person who joins, if the sale asks for an entitlement. The same key with the same entitlement has the same place. Otherwise it is ignored"`
	Body *JoinBody // optional

	keys []string
}

// Resolve implements huma.Resolver.
func (in *joinInput) Resolve(ctx huma.Context) []error {
	in.keys = idempotencyKeys(ctx)
	return nil
}

// JoinBody is what joining a queue may need.
type JoinBody struct {
	Proof       *ProofBody       `json:"proof,omitempty" doc:"Needed if GET …/queue/challenge returns one"`
	Entitlement *EntitlementBody `json:"entitlement,omitempty" doc:"Needed if the sale has an entitlement: one of the kinds that it names"`
}

// ProofBody is a challenge and its solution.
type ProofBody struct {
	Challenge string `json:"challenge" maxLength:"512"`
	Solution  string `json:"solution" maxLength:"128"`
}

type joinOutput struct {
	Location   string `header:"Location" doc:"The place"`
	RetryAfter *int64 `header:"Retry-After" doc:"Seconds until it makes sense to read the place"`
	Body       JoinView
}

// JoinView is a new place and its token.
type JoinView struct {
	Token string `json:"token" doc:"Anybody who has it has the place. It works for one checkout, as Queue-Token"`
	PlaceView
}

type placeInput struct {
	Token string `path:"token" doc:"The token from joining"`
}

type placeOutput struct {
	RetryAfter *int64 `header:"Retry-After" doc:"Seconds until it makes sense to ask again; absent once admitted"`
	Body       PlaceView
}

// PlaceView says where a token is in the queue of a sale.
type PlaceView struct {
	Sale     string             `json:"sale"`
	Status   waitingroom.Status `json:"status" enum:"draw,waiting,admitted,paused,sold_out,closed,canceled" doc:"draw: the places are drawn at the opening. admitted: check out now. sold_out: all tickets are sold and none is only held; if a refund frees seats, the place counts again. closed: the sale takes no more orders; if the organiser opens it again, the place counts again"`
	Position int64              `json:"position" doc:"1 is next; 0 before the draw and after admission"`
	Ahead    int64              `json:"ahead" doc:"How many places before it are not admitted yet, including those of people who have left"`
	Waiting  int64              `json:"waiting" doc:"How many places are not admitted yet, in total"`
	Wait     *int64             `json:"wait_seconds,omitempty" doc:"An estimate; absent if there is none"`
	Rate     float64            `json:"rate" doc:"Current admissions per second"`
	JoinedAt time.Time          `json:"joined_at"`
	OpensAt  *time.Time         `json:"opens_at,omitempty"`
	Draw     DrawView           `json:"draw"`

	Late          bool       `json:"late,omitempty" doc:"Its turn has passed, because the person was away or did not check out in time. Late people are let in alternately with those whose turn it is. position counts the places before it"`
	AdmittedUntil *time.Time `json:"admitted_until,omitempty" doc:"Start the checkout before this time; after it the place is late. Absent if it is not admitted, or if it stays admitted for as long as the token is valid"`

	Interrupted bool `json:"interrupted,omitempty" doc:"Checkouts are refused for the moment, because Temporal or the ledger does not answer. The place is safe"`
}

type queueOutput struct{ Body QueueView }

// QueueView is the queue of a sale as everybody may see it.
type QueueView struct {
	Sale     string             `json:"sale"`
	Status   waitingroom.Status `json:"status" enum:"draw,waiting,paused,sold_out,closed,canceled"`
	Waiting  int64              `json:"waiting" doc:"How many places are not admitted yet"`
	Admitted int64              `json:"admitted" doc:"How many places have had their turn"`
	Joined   int64              `json:"joined" doc:"How many places were given out"`
	Rate     float64            `json:"rate" doc:"Current admissions per second"`
	Paused   bool               `json:"paused"`
	Draw     DrawRecordView     `json:"draw"`
}

type challengeOutput struct {
	Status int
	Body   *ChallengeView
}

// ChallengeView is what to solve before joining: see docs/waiting-room.md.
type ChallengeView struct {
	Challenge      string    `json:"challenge"`
	DifficultyBits int       `json:"difficulty_bits" doc:"Solving takes about 2 to the power of this number of attempts"`
	ExpiresAt      time.Time `json:"expires_at"`
}

var joinCodes = []domain.Code{
	domain.CodeNotFound,
	domain.CodeInvalid,
	domain.CodeProofRequired,
	domain.CodeQueueFull,
	domain.CodeSoldOut,
	domain.CodeSaleClosed, domain.CodeSaleCanceled,
	domain.CodeOverloaded,
	codeMediaType,
	domain.CodeNotEntitled,
	domain.CodeBadEntitlement,
	domain.CodeEntitlementExpired,
	domain.CodeEntitlementSpent,
	domain.CodeKeyMissing,
	domain.CodeUnknown,
}

// routeQueue registers the routes for people in a waiting room.
func (s *Server) routeQueue(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "join-queue", Method: http.MethodPost, Path: "/v1/sales/{sale}/queue",
		Summary: "Join a sale's queue", Tags: []string{"queue"}, DefaultStatus: http.StatusCreated,
		Description:        "Each request creates a new place, so keep the token. If the sale asks for an entitlement, each key has one place.",
		SkipValidateParams: true, // parseKey has a code of its own
	}, joinCodes, s.join)

	operation(s, api, huma.Operation{
		OperationID: "get-queue", Method: http.MethodGet, Path: "/v1/sales/{sale}/queue",
		Summary: "A sale's queue", Tags: []string{"queue"}, Description: "404 if the sale has no waiting room.",
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.queue)

	operation(s, api, huma.Operation{
		OperationID: "get-queue-challenge", Method: http.MethodGet, Path: "/v1/sales/{sale}/queue/challenge",
		Summary: "Get the proof of work to solve before joining", Tags: []string{"queue"}, Description: "204: no proof is needed, join at once.",
		Responses: map[string]*huma.Response{"204": {Description: "No proof is needed"}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.challenge)

	operation(s, api, huma.Operation{
		OperationID: "get-place", Method: http.MethodGet, Path: "/v1/queue/{token}",
		Summary: "Read a place in the queue", Tags: []string{"queue"},
		Description: "Reading it keeps the place alive: people who have left are skipped.",
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.place)

	operation(s, api, huma.Operation{
		OperationID: "watch-place", Method: http.MethodGet, Path: "/v1/queue/{token}/events",
		Summary: "Watch a place in the queue", Tags: []string{"queue"},
		Description: "Server-sent events, at most one a second. The event `place` has the body of GET /v1/queue/{token}.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of events",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.placeEvents)

	operation(s, api, huma.Operation{
		OperationID: "prove-place", Method: http.MethodGet, Path: "/v1/queue/{token}/proof",
		Summary: "Prove that a token is on the list of the draw", Tags: []string{"queue"},
		Description: "Available once the list is closed. `boxoffice draw` checks it, see docs/waiting-room.md.",
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.provePlace)
}

// roomOf finds a sale that has a queue.
func (s *Server) roomOf(ctx context.Context, saleID string) (*domain.Sale, error) {
	sale, err := s.Catalog.Sale(ctx, saleID)
	switch {
	case err != nil:
		return nil, err
	case !sale.WaitingRoom:
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This sale has no waiting room: check out at once."}
	default:
		return sale, s.hasRooms()
	}
}

func (s *Server) roomState(ctx context.Context, saleID string) (waitingroom.RoomState, error) {
	sale, err := s.roomOf(ctx, saleID)
	if err != nil {
		return waitingroom.RoomState{}, err
	}
	return s.Rooms.State(ctx, sale.ID)
}

// hasRooms fails on a node that runs no waiting rooms.
func (s *Server) hasRooms() error {
	if s.Rooms == nil {
		return admission.ErrNoRooms
	}
	return nil
}

// join takes a place. It answers once the place is on disk, up to one exchange of the
// nodes later.
func (s *Server) join(ctx context.Context, in *joinInput) (*joinOutput, error) {
	sale, err := s.roomOf(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	if sale.Canceled() {
		return nil, &domain.Error{Code: domain.CodeSaleCanceled}
	}
	token, place, err := s.takePlace(ctx, sale, in)
	if err != nil {
		return nil, err
	}
	return &joinOutput{
		Location: "/v1/queue/" + token, RetryAfter: secondsOrNil(place.RetryAfter),
		Body: JoinView{Token: token, PlaceView: s.viewPlace(&place)},
	}, nil
}

// isExempt reports whether the client may join without a human check.
func (s *Server) isExempt(ctx context.Context) bool {
	isLocal, _ := ctx.Value(localKey).(bool)
	return s.HumanCheck == nil || isLocal && s.HumanCheckExemptsLocal
}

func (s *Server) checkHuman(ctx context.Context, saleID string, body *JoinBody) error {
	if s.isExempt(ctx) {
		return nil
	}
	var proof ProofBody
	if body != nil && body.Proof != nil {
		proof = *body.Proof
	}
	return s.HumanCheck.Verify(ctx, saleID, proof.Challenge, proof.Solution, time.Now())
}

func (s *Server) challenge(ctx context.Context, in *saleInput) (*challengeOutput, error) {
	sale, err := s.roomOf(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	if s.isExempt(ctx) {
		return &challengeOutput{Status: http.StatusNoContent}, nil
	}
	challenge, bits, expiresAt, required := s.HumanCheck.Challenge(sale.ID, time.Now())
	if !required {
		return &challengeOutput{Status: http.StatusNoContent}, nil
	}
	return &challengeOutput{http.StatusOK, &ChallengeView{challenge, bits, expiresAt.UTC()}}, nil
}

func (s *Server) queue(ctx context.Context, in *saleInput) (*queueOutput, error) {
	state, err := s.roomState(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	return &queueOutput{viewQueue(&state)}, nil
}

func (s *Server) place(ctx context.Context, in *placeInput) (*placeOutput, error) {
	return s.placeOf(ctx, in.Token)
}

func (s *Server) placeOf(ctx context.Context, token string) (*placeOutput, error) {
	if err := s.hasRooms(); err != nil {
		return nil, err
	}
	place, err := s.Rooms.Place(ctx, token)
	if err != nil {
		return nil, err
	}
	return &placeOutput{RetryAfter: secondsOrNil(place.RetryAfter), Body: s.viewPlace(&place)}, nil
}

// placeEvents refuses a token that is not ours before any stream begins.
func (s *Server) placeEvents(ctx context.Context, in *placeInput) (*huma.StreamResponse, error) {
	place, err := s.placeOf(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	leave, err := s.placeHub.enter()
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) { s.placeHub.stream(ctx, in.Token, &place.Body, leave) }}, nil
}

func (s *Server) viewPlace(p *waitingroom.Place) PlaceView {
	return PlaceView{
		Sale: p.Sale, Status: p.Status, Position: p.Position, Ahead: p.Ahead, Waiting: p.Waiting, Rate: round(p.RatePerSecond),
		JoinedAt: p.JoinedAt.UTC(), OpensAt: timeOrNil(p.OpensAt), Wait: secondsOrNil(p.Wait), Draw: viewDraw(p.Draw),
		Late: p.Late, AdmittedUntil: timeOrNil(p.AdmittedUntil), Interrupted: s.interrupted(p.Sale),
	}
}

func viewQueue(s *waitingroom.RoomState) QueueView {
	return QueueView{
		Sale: s.Sale, Status: s.Status, Waiting: s.Waiting, Admitted: s.Admitted, Joined: s.Joined,
		Rate: round(s.RatePerSecond), Paused: s.Paused, Draw: viewDrawRecord(s),
	}
}

// round keeps two decimal places of a rate: people read it.
func round(rate float64) float64 { return math.Round(rate*100) / 100 }

// secondsOrNil rounds up; nil for none.
func secondsOrNil(d time.Duration) *int64 {
	if d <= 0 {
		return nil
	}
	seconds := int64(math.Ceil(d.Seconds()))
	return &seconds
}
