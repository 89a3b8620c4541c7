package domain

import (
	"crypto/ed25519"
	"encoding/hex"
	"time"
)

// An EntitlementKind is one way for a buyer to show that they may have a place in a
// sale's queue.
type EntitlementKind string

// The kinds. To add one, such as a verified address, add a constant here, a field in
// EntitlementRule and a Verifier in package entitlement.
const (
	PresaleCode EntitlementKind = "presale_code"
	Invitation  EntitlementKind = "invitation"
)

const (
	// EntitlementPlacesMax limits how many places one entitlement gives.
	EntitlementPlacesMax = 1000
	// EntitlementsMax limits the presale codes of a sale.
	EntitlementsMax = 1_000_000
	// EntitlementBatchLenMax limits the name of a batch of codes, in bytes.
	EntitlementBatchLenMax = 64
)

// An EntitlementRule says what a buyer must show before a place in the sale's queue
// counts: any one of the kinds that it names. The zero value asks for nothing.
type EntitlementRule struct {
	PresaleCodes  bool
	InvitationKey ed25519.PublicKey // verifies what the organiser signed; nil: no invitations
}

// Kinds lists the kinds, any one of which will do. Empty: nothing is needed.
func (r *EntitlementRule) Kinds() (kinds []EntitlementKind) {
	if r.PresaleCodes {
		kinds = append(kinds, PresaleCode)
	}
	if r.InvitationKey != nil {
		kinds = append(kinds, Invitation)
	}
	return kinds
}

// IsAsked reports whether a place needs an entitlement.
func (r *EntitlementRule) IsAsked() bool { return r.PresaleCodes || r.InvitationKey != nil }

func (r *EntitlementRule) validate(waitingRoom bool) error {
	switch {
	case r.IsAsked() && !waitingRoom:
		return Invalid("entitlement", "is only for a sale with waiting_room")
	case r.InvitationKey != nil && len(r.InvitationKey) != ed25519.PublicKeySize:
		return Invalid("entitlement.invitation_key", "must be the 32 bytes of an Ed25519 public key")
	}
	return nil
}

// An EntitlementID identifies one entitlement of a sale among those of its kind, or one
// holder of it. It is a keyed hash: nobody can read a code or a name from it.
type EntitlementID [16]byte

// String is the text form, 32 lower-case hexadecimal digits.
func (id EntitlementID) String() string { return hex.EncodeToString(id[:]) }

// A ShownEntitlement is what a buyer presents.
type ShownEntitlement struct {
	Kind  EntitlementKind
	Value string
}

// An Entitlement says what a verified entitlement gives.
type Entitlement struct {
	Kind      EntitlementKind
	ID        EntitlementID
	Places    int       // how many places it gives; 0: as many as the organiser stored, and it must be stored
	ExpiresAt time.Time // after this it gives no place; zero: never expires
}

// A QueuePlace identifies a place in a sale's queue.
type QueuePlace struct {
	Index    int64 // the join index
	Epoch    int   // number of the database that gave out the place, see Queue.EpochNumber
	JoinedAt time.Time
}

// An EntitlementClaim asks for a place with an entitlement, for one holder.
type EntitlementClaim struct {
	SaleID string
	Entitlement
	Holder EntitlementID
	Place  QueuePlace // ignored when the claim only asks
}

// An EntitlementVerdict is the answer to a claim.
type EntitlementVerdict string

// The verdicts.
const (
	EntitlementFree    EntitlementVerdict = "free"    // the claim only asked: a place can be taken
	EntitlementGiven   EntitlementVerdict = "given"   // the claim's place is taken with it
	EntitlementHeld    EntitlementVerdict = "held"    // the holder already has a place, and keeps that one
	EntitlementSpent   EntitlementVerdict = "spent"   // all its places are taken
	EntitlementRevoked EntitlementVerdict = "revoked" // the organiser revoked it
	EntitlementUnknown EntitlementVerdict = "unknown" // there is no such entitlement
)

// An EntitlementAnswer is the verdict on a claim, with its place.
type EntitlementAnswer struct {
	Verdict EntitlementVerdict
	Place   QueuePlace // set if the verdict is given or held
}

// An EntitlementBatch counts the entitlements that were created together.
type EntitlementBatch struct {
	Kind    EntitlementKind
	Batch   string // empty: entitlements that nobody created here, such as invitations
	Made    int64
	Revoked int64
	Places  int64 // places that they give, revoked ones included
	Taken   int64
}
