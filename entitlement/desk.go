package entitlement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"boxoffice/batching"
	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// A Store keeps what was created, revoked and taken. orders.Store is one; see there.
type Store interface {
	LookAtEntitlements(ctx context.Context, claims []domain.EntitlementClaim) ([]domain.EntitlementAnswer, error)
	TakeEntitledPlaces(ctx context.Context, claims []domain.EntitlementClaim) ([]domain.EntitlementAnswer, error)
	MakeEntitlements(
		ctx context.Context,
		saleID string,
		kind domain.EntitlementKind,
		ids []domain.EntitlementID,
		places int,
		batch string,
	) (made []bool, err error)
	RevokeEntitlements(ctx context.Context, saleID string, kind domain.EntitlementKind, ids []domain.EntitlementID, places int) (int64, error)
	RevokeBatch(ctx context.Context, saleID, batch string) (int64, error)
	EntitlementBatches(ctx context.Context, saleID string) ([]domain.EntitlementBatch, error)
}

// Rooms are the waiting rooms. waitingroom.Rooms is one; see there.
type Rooms interface {
	Join(ctx context.Context, sale *domain.Sale) (token string, place waitingroom.Place, err error)
	Place(ctx context.Context, token string) (waitingroom.Place, error)
	Named(token string) (place domain.QueuePlace, ok bool)
	Token(saleID string, place domain.QueuePlace) string
}

const (
	callTimeout = 2 * time.Second
	// callMax is how much one call of the store takes, waitingMax how much waits for the
	// next ones.
	callMax    = 1024
	waitingMax = 8 * callMax
	retryAfter = 2 * time.Second
)

// A Desk gives places to buyers who are entitled. It is safe for concurrent use.
type Desk struct {
	store Store
	rooms Rooms
	keys  *domain.Keyring
	look  batching.Calls[domain.EntitlementClaim, domain.EntitlementAnswer]
	take  batching.Calls[domain.EntitlementClaim, domain.EntitlementAnswer]
}

// New makes a Desk. Nodes that share the store and the keys agree.
func New(store Store, rooms Rooms, keys *domain.Keyring) *Desk {
	d := &Desk{store: store, rooms: rooms, keys: keys}
	d.look.Call, d.take.Call = store.LookAtEntitlements, store.TakeEntitledPlaces
	d.look.Timeout, d.look.Max, d.look.WaitingMax = callTimeout, callMax, waitingMax
	d.take.Timeout, d.take.Max, d.take.WaitingMax = callTimeout, callMax, waitingMax
	return d
}

// Join takes a place with what the buyer shows. The key identifies the buyer: the same
// key with the same entitlement always gets the same place, on any node.
//
// The place is taken first and counts once the entitlement is spent on it; until then
// nobody has its token. So a crash between the two needs no repair: the place is passed
// over like one whose holder left, and the buyer who asks again takes another. For the
// same reason two that use one entitlement at once need no coordination.
//
// Errors: *domain.Error with CodeNotEntitled, CodeBadEntitlement, CodeEntitlementExpired,
// CodeEntitlementSpent, and those of waitingroom.Rooms.Join: no place is held.
// *domain.UnknownError: ask again with the same key.
func (d *Desk) Join(ctx context.Context, sale *domain.Sale, shown domain.ShownEntitlement, key string) (token string, place waitingroom.Place, err error) {
	e, err := Read(d.keys, sale, shown)
	if err != nil {
		return "", place, err
	}
	claim := domain.EntitlementClaim{SaleID: sale.ID, Entitlement: e, Holder: d.keys.EntitlementHolder(sale.ID, key)}
	answer, err := d.look.Do(ctx, claim)
	if err != nil {
		return "", place, overloaded(err)
	}
	if answer.Verdict != domain.EntitlementFree {
		return d.answered(ctx, sale, answer)
	}
	if !e.ExpiresAt.IsZero() && !time.Now().Before(e.ExpiresAt) {
		return "", place, &domain.Error{Code: domain.CodeEntitlementExpired, Detail: "It was valid until " + e.ExpiresAt.UTC().Format(time.RFC3339) + "."}
	}
	if token, place, err = d.rooms.Join(ctx, sale); err != nil {
		return "", waitingroom.Place{}, err
	}
	var ok bool
	if claim.Place, ok = d.rooms.Named(token); !ok {
		return "", waitingroom.Place{}, &domain.Error{
			Code: domain.CodeInternal,
			Err:  fmt.Errorf("entitlement: the place that a waiting room of sale %s gave has no name", sale.ID),
		}
	}
	answer, err = d.take.Do(ctx, claim)
	switch {
	case errors.Is(err, batching.ErrTooMany):
		return "", waitingroom.Place{}, overloaded(err)
	case err != nil:
		return "", waitingroom.Place{}, unknown(sale.ID, err)
	case answer.Verdict == domain.EntitlementGiven && answer.Place == claim.Place:
		return token, place, nil
	default: // somebody else was faster, or the same buyer was
		return d.answered(ctx, sale, answer)
	}
}

// Read says what the shown entitlement is worth in a sale by itself, not whether it was
// used.
func Read(keys *domain.Keyring, sale *domain.Sale, shown domain.ShownEntitlement) (domain.Entitlement, error) {
	kinds := sale.Entitlement.Kinds()
	verifier := verifiersOf(keys)[shown.Kind]
	switch {
	case shown.Kind == "":
		return domain.Entitlement{}, &domain.Error{Code: domain.CodeNotEntitled}
	case !slices.Contains(kinds, shown.Kind) || verifier == nil:
		return domain.Entitlement{}, &domain.Error{Code: domain.CodeNotEntitled, Detail: "This sale does not ask for this, but for one of: " + join(kinds) + "."}
	}
	return verifier.Verify(sale, shown.Value)
}

func join(kinds []domain.EntitlementKind) (s string) {
	for i, kind := range kinds {
		if i > 0 {
			s += ", "
		}
		s += string(kind)
	}
	return s
}

// answered is the result for a buyer who gets no new place.
func (d *Desk) answered(ctx context.Context, sale *domain.Sale, answer domain.EntitlementAnswer) (string, waitingroom.Place, error) {
	switch answer.Verdict {
	case domain.EntitlementHeld, domain.EntitlementGiven:
		token := d.rooms.Token(sale.ID, answer.Place)
		place, err := d.rooms.Place(ctx, token)
		if domain.CodeOf(err) == domain.CodeNotFound {
			err = spent("The place that you took with it has expired.")
		}
		return token, place, err
	case domain.EntitlementSpent:
		return "", waitingroom.Place{}, spent("The places that it is good for are taken. Who took one finds it in the browser that did, or by its address.")
	case domain.EntitlementRevoked:
		return "", waitingroom.Place{}, refused("The organiser has revoked it.", nil)
	default:
		return "", waitingroom.Place{}, refused("This sale has no such presale code.", nil)
	}
}

func spent(detail string) error {
	return &domain.Error{Code: domain.CodeEntitlementSpent, Detail: detail}
}

func overloaded(err error) error {
	return &domain.Error{
		Code:       domain.CodeOverloaded,
		Detail:     "You hold no place yet: try again with the same key.",
		RetryAfter: retryAfter,
		Err:        errors.New("entitlement: " + err.Error()),
	}
}

// unknown keeps what is certain: nothing was written.
func unknown(saleID string, err error) error {
	var definite *domain.Error
	if errors.As(err, &definite) {
		return err
	}
	return &domain.UnknownError{Op: "take an entitled place in the queue of", ID: saleID, Err: err}
}

// MakeCodes makes presale codes, each good for a number of places, and stores what is
// needed to recognise them. They can be read here and never again. Errors: *domain.Error
// with CodeInvalid; those of any write, and then none of the codes is given out.
func (d *Desk) MakeCodes(ctx context.Context, sale *domain.Sale, count, places int, batch string) ([]string, error) {
	if err := checkBatch(batch); err != nil {
		return nil, err
	}
	made := make([]string, count)
	for i := range made {
		made[i] = domain.NewSecretCode()
	}
	isNew, err := d.store.MakeEntitlements(ctx, sale.ID, domain.PresaleCode, d.idsOf(sale, made), places, batch)
	if err != nil {
		return nil, err
	}
	given := made[:0]
	for i, code := range made {
		if isNew[i] { // otherwise it existed before, which has a chance of 1 in 2^60
			given = append(given, code)
		}
	}
	return given, nil
}

// AddCodes stores codes that the organiser brings, and returns how many are new. It fails
// with a *domain.Error with CodeInvalid that names the position of a malformed one.
func (d *Desk) AddCodes(ctx context.Context, sale *domain.Sale, codes []string, places int, batch string) (made int, err error) {
	if err := cmp.Or(checkBatch(batch), checkCodes(codes)); err != nil {
		return 0, err
	}
	isNew, err := d.store.MakeEntitlements(ctx, sale.ID, domain.PresaleCode, d.idsOf(sale, codes), places, batch)
	for _, fresh := range isNew {
		if fresh {
			made++
		}
	}
	return made, err
}

// batchBytesMax limits the name of a batch.
const batchBytesMax = 64

func checkBatch(batch string) error { return domain.CheckTitle("batch", batch, batchBytesMax) }

func checkCodes(codes []string) error {
	for i, code := range codes {
		if _, ok := domain.NormalSecretCode(code); !ok {
			return domain.Invalid(fmt.Sprintf("codes[%d]", i),
				fmt.Sprintf("must have %d–%d letters and digits, hyphens and spaces not counted", domain.SecretCodeLenMin, domain.SecretCodeLenMax))
		}
	}
	return nil
}

func (d *Desk) idsOf(sale *domain.Sale, shown []string) []domain.EntitlementID {
	ids := make([]domain.EntitlementID, len(shown))
	for i := range shown {
		code, _ := domain.NormalSecretCode(shown[i])
		ids[i] = codes{d.keys}.id(sale.ID, code)
	}
	return ids
}

// RevokeCodes makes codes worthless, and returns how many were not before. Places taken
// with them stay. Errors as for AddCodes.
func (d *Desk) RevokeCodes(ctx context.Context, sale *domain.Sale, codes []string) (int64, error) {
	if err := checkCodes(codes); err != nil {
		return 0, err
	}
	return d.store.RevokeEntitlements(ctx, sale.ID, domain.PresaleCode, d.idsOf(sale, codes), 0)
}

// RevokeInvitations does the same for invitees, including those who have not come yet.
func (d *Desk) RevokeInvitations(ctx context.Context, sale *domain.Sale, invitees []string) (int64, error) {
	ids := make([]domain.EntitlementID, len(invitees))
	for i, invitee := range invitees {
		ids[i] = invitations{d.keys}.id(sale.ID, invitee)
	}
	return d.store.RevokeEntitlements(ctx, sale.ID, domain.Invitation, ids, 1)
}

// RevokeBatch does the same for all codes that were created together. It may fail with a
// *domain.Error with CodeInvalid.
func (d *Desk) RevokeBatch(ctx context.Context, sale *domain.Sale, batch string) (int64, error) {
	if err := checkBatch(batch); err != nil {
		return 0, err
	}
	return d.store.RevokeBatch(ctx, sale.ID, batch)
}

// Batches counts what was created for a sale, and what was taken.
func (d *Desk) Batches(ctx context.Context, sale *domain.Sale) ([]domain.EntitlementBatch, error) {
	return d.store.EntitlementBatches(ctx, sale.ID)
}
