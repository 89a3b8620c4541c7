package api

import (
	"context"
	"encoding/hex"
	"time"

	"boxoffice/beacon"
	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// The draw of a waiting room: what anybody needs to check it, and what an organiser
// supplies to it.

// DrawView is the draw as everybody who waits sees it.
type DrawView struct {
	Version    int                    `json:"version" minimum:"1" doc:"How the places are drawn: 1 by the seed alone; 2 by the seed, the list of joins and its source. See docs/waiting-room.md"`
	Source     domain.QueueDrawSource `json:"source" enum:"none,beacon,witness" doc:"The source of a number that goes into the draw and that nobody has before the list is closed. none: there is no such number, so the operator could know the result beforehand"`
	State      waitingroom.DrawState  `json:"state" enum:"open,closed,delayed,drawn" doc:"closed: the list of participants is final, and the places are about to be drawn. delayed: the source's number is overdue, and nobody is let in until it is there"`
	Commitment string                 `json:"commitment" doc:"Hex SHA-256 that commits to the seed before anybody has joined"`
	DueAt      *time.Time             `json:"due_at,omitempty" doc:"When the places are drawn; absent once they are"`
	Size       *int64                 `json:"size,omitempty" doc:"How many take part; absent before the list is closed"`
	Root       string                 `json:"root,omitempty" doc:"version 2: the Merkle root (RFC 6962) of the list of joins, hex; absent before the list is closed"`
	Seed       string                 `json:"seed,omitempty" doc:"The seed behind commitment, hex; absent before the draw"`
	Waived     bool                   `json:"waived,omitempty" doc:"The source's number did not come, and the organiser chose to draw without it"`
}

// DrawRecordView is all that anybody needs to check the draw.
type DrawRecordView struct {
	DrawView
	ClosedAt    *time.Time   `json:"closed_at,omitempty" doc:"When the list was closed"`
	PublishedAt *time.Time   `json:"published_at,omitempty" doc:"When its root was published"`
	DrawnAt     *time.Time   `json:"drawn_at,omitempty"`
	Beacon      *BeaconView  `json:"beacon,omitempty"`
	Witness     *WitnessView `json:"witness,omitempty"`
	Waiver      *WaiverView  `json:"waiver,omitempty"`
}

// BeaconView is the round of a drand chain that goes into a draw.
type BeaconView struct {
	Chain      string    `json:"chain" doc:"The chain's hash, hex"`
	NamedRound int64     `json:"named_round" doc:"The round that was named before anybody joined"`
	Round      int64     `json:"round" doc:"The round that is used: a later one if the list was closed too late"`
	At         time.Time `json:"at" doc:"When that round comes out"`
	Signature  string    `json:"signature,omitempty" doc:"The chain's, hex"`
	Randomness string    `json:"randomness,omitempty" doc:"SHA-256 of the signature, hex"`
}

// WitnessView is the number of another party that goes into a draw.
type WitnessView struct {
	Commitment string `json:"commitment" doc:"Hex SHA-256 of the number and the sale's id, published before anybody joined"`
	Secret     string `json:"secret,omitempty" doc:"The number, hex; absent before it is revealed"`
}

// WaiverView is the organiser's choice to draw without the source.
type WaiverView struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

func viewDraw(d waitingroom.Draw) DrawView {
	v := DrawView{
		Version: d.Version, Source: d.Source, State: d.State, Commitment: d.Commitment, Root: d.Root, Seed: d.Seed, Waived: d.Waived,
	}
	if d.Size >= 0 {
		v.Size = &d.Size
	}
	if d.State != waitingroom.DrawDrawn {
		v.DueAt = timeOrNil(d.DueAt)
	}
	return v
}

func viewDrawRecord(s *waitingroom.RoomState) DrawRecordView {
	r := &s.Record
	v := DrawRecordView{
		DrawView: viewDraw(s.Draw), ClosedAt: timeOrNil(r.ClosedAt), PublishedAt: timeOrNil(r.RootAt), DrawnAt: timeOrNil(r.DrawnAt),
	}
	if b := &r.Beacon; b.Chain != nil {
		v.Beacon = &BeaconView{
			Chain:      hex.EncodeToString(b.Chain),
			NamedRound: b.Named,
			Round:      b.Round,
			At:         r.BeaconAt.UTC(),
			Signature:  hex.EncodeToString(b.Signature),
		}
		if b.Signature != nil {
			v.Beacon.Randomness = hex.EncodeToString(beacon.Randomness(b.Signature))
		}
	}
	if r.WitnessCommitment != nil {
		v.Witness = &WitnessView{Commitment: hex.EncodeToString(r.WitnessCommitment), Secret: hex.EncodeToString(r.WitnessSecret)}
	}
	if !r.WaivedAt.IsZero() {
		v.Waiver = &WaiverView{At: r.WaivedAt.UTC(), Reason: r.WaivedReason}
	}
	return v
}

type proofOutput struct{ Body ListProofView }

// ListProofView shows that a token is on the list of a draw.
type ListProofView struct {
	Sale  string   `json:"sale"`
	Index int64    `json:"index" doc:"The position on the list: how many joined before"`
	Size  int64    `json:"size" doc:"How many are on it"`
	Leaf  string   `json:"leaf" doc:"Hex SHA-256 of a zero byte and the token's text"`
	Path  []string `json:"path" doc:"The other hashes up to the root (RFC 6962, 2.1.1), hex" maxItems:"64"`
	Root  string   `json:"root" doc:"Hex"`
}

func (s *Server) provePlace(ctx context.Context, in *placeInput) (*proofOutput, error) {
	if err := s.hasRooms(); err != nil {
		return nil, err
	}
	p, err := s.Rooms.Proof(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	view := ListProofView{
		Sale: p.Sale, Index: p.Index, Size: p.Size, Leaf: hex.EncodeToString(p.Leaf), Path: make([]string, 0, len(p.Path)), Root: hex.EncodeToString(p.Root),
	}
	for _, hash := range p.Path {
		view.Path = append(view.Path, hex.EncodeToString(hash))
	}
	return &proofOutput{view}, nil
}

type settleInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body SettleBody
}

// SettleBody is what a draw waits for: one of these. Everybody can see it in the draw.
type SettleBody struct {
	WitnessSecret   string `json:"witness_secret,omitempty" maxLength:"64" doc:"What the witness committed to, hex"`
	BeaconSignature string `json:"beacon_signature,omitempty" maxLength:"96" doc:"The signature of the beacon's round, hex, if no node can reach the beacon: GET {a drand server}/{chain}/public/{round} has it"`
	Waive           string `json:"waive,omitempty" maxLength:"200" doc:"Why the places are drawn without the source's number. Possible ten minutes after it was due"`
}

// settle gives a draw what it waits for.
func (s *Server) settle(ctx context.Context, in *settleInput) (*queueOutput, error) {
	sale, err := s.roomOf(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	given := 0
	for _, field := range []string{in.Body.WitnessSecret, in.Body.BeaconSignature, in.Body.Waive} {
		if field != "" {
			given++
		}
	}
	if given != 1 {
		return nil, domain.Invalid("body", "must have one of witness_secret, beacon_signature and waive")
	}
	state, err := s.Rooms.Settle(ctx, sale.ID, waitingroom.Settlement(in.Body))
	if err != nil {
		return nil, err
	}
	return &queueOutput{viewQueue(&state)}, nil
}
