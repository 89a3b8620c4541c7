package domain

import (
	"crypto/ed25519"
	"encoding/hex"
	"time"
)

// An EntitlementKind is a way to show that one may have a place in a sale's queue.
type EntitlementKind string

// The kinds. Another one, such as a verified address, is a constant here, a field of
// EntitlementRule, and a Verifier of package entitlement.
const (
	PresaleCode EntitlementKind = "presale_code"
	Invitation  EntitlementKind = "invitation"
)

const (
	// EntitlementPlacesMax bounds the places that one entitlement is good for.
	EntitlementPlacesMax = 1000
	// EntitlementsMax bounds the presale codes of a sale.
	EntitlementsMax = 1_000_000
	// EntitlementBatchLenMax bounds the name of a batch of codes, in bytes.
	EntitlementBatchLenMax = 64
)

// An EntitlementRule is what a sale asks for before a place in its queue counts: any one of
// the kinds that it names. The zero value asks for nothing.
type EntitlementRule struct {
	PresaleCodes  bool
	InvitationKey ed25519.PublicKey // that the organiser signs with; nil: no invitations
}

// Kinds are those of which one will do; none: nothing is asked for.
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

// An EntitlementID tells one entitlement of a sale from all others of its kind, or one holder
// of it from the others. It is a keyed hash: nobody reads a code or a name out of it.
type EntitlementID [16]byte

// String is the text form, 32 lower-case hexadecimal digits.
func (id EntitlementID) String() string { return hex.EncodeToString(id[:]) }

// A ShownEntitlement is what a buyer shows.
type ShownEntitlement struct {
	Kind  EntitlementKind
	Value string
}

// An Entitlement is what a verified one is worth.
type Entitlement struct {
	Kind      EntitlementKind
	ID        EntitlementID
	Places    int       // how many places it is good for; 0: as the organiser stored it, and it must be stored
	ExpiresAt time.Time // no place is taken with it from then on; zero: never
}

// A QueuePlace is what names a place in a sale's queue.
type QueuePlace struct {
	Index    int64 // the join index
	Epoch    int   // the number of the database that gave it out, see Queue.EpochNumber
	JoinedAt time.Time
}

// An EntitlementClaim takes a place with an entitlement, for a holder.
type EntitlementClaim struct {
	SaleID string
	Entitlement
	Holder EntitlementID
	Place  QueuePlace // not looked at where one only asks
}

// An EntitlementVerdict is what becomes of a claim.
type EntitlementVerdict string

// The verdicts.
const (
	EntitlementFree    EntitlementVerdict = "free"    // asked only: a place can be taken
	EntitlementGiven   EntitlementVerdict = "given"   // the claim's place is taken with it
	EntitlementHeld    EntitlementVerdict = "held"    // the holder took a place before, and has that
	EntitlementSpent   EntitlementVerdict = "spent"   // as many places as it is good for are taken
	EntitlementRevoked EntitlementVerdict = "revoked" // by the organiser
	EntitlementUnknown EntitlementVerdict = "unknown" // there is none such
)

// An EntitlementAnswer is the verdict on a claim.
type EntitlementAnswer struct {
	Verdict EntitlementVerdict
	Place   QueuePlace // where it is given or held
}

// An EntitlementBatch counts the entitlements that were made together.
type EntitlementBatch struct {
	Kind    EntitlementKind
	Batch   string // empty: of those that were made by nobody, such as invitations
	Made    int64
	Revoked int64
	Places  int64 // that they are good for, revoked ones included
	Taken   int64
}
