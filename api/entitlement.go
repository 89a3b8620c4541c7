package api

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// What a sale asks for before a place in its queue counts. Package entitlement decides
// who is entitled.

// Entitlements give places to buyers who are entitled. entitlement.Desk is one; see
// there.
type Entitlements interface {
	// Join takes a place with what the buyer shows; the same key gets the same place.
	// Errors: CodeNotEntitled, CodeBadEntitlement, CodeEntitlementExpired,
	// CodeEntitlementSpent, and those of Rooms.Join; *domain.UnknownError: repeat with
	// the same key.
	Join(ctx context.Context, sale *domain.Sale, shown domain.ShownEntitlement, key string) (token string, place waitingroom.Place, err error)
	MakeCodes(ctx context.Context, sale *domain.Sale, count, places int, batch string) ([]string, error)
	AddCodes(ctx context.Context, sale *domain.Sale, codes []string, places int, batch string) (made int, err error)
	RevokeCodes(ctx context.Context, sale *domain.Sale, codes []string) (int64, error)
	RevokeInvitations(ctx context.Context, sale *domain.Sale, invitees []string) (int64, error)
	RevokeBatch(ctx context.Context, sale *domain.Sale, batch string) (int64, error)
	Batches(ctx context.Context, sale *domain.Sale) ([]domain.EntitlementBatch, error)
}

// EntitlementRuleBody says what a sale asks for: any one of what it names will do.
type EntitlementRuleBody struct {
	PresaleCodes  bool   `json:"presale_codes,omitempty" doc:"A code that the organiser gave out"`
	InvitationKey string `json:"invitation_key,omitempty" maxLength:"64" doc:"An invitation that the organiser signed. This is their Ed25519 public key, 32 bytes in base64url"`
}

// rule reads what an organiser asks for; nil means nothing.
func (b *EntitlementRuleBody) rule() (rule domain.EntitlementRule, err error) {
	if b == nil {
		return rule, nil
	}
	rule.PresaleCodes = b.PresaleCodes
	if b.InvitationKey != "" {
		key, err := base64.RawURLEncoding.Strict().DecodeString(b.InvitationKey)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return rule, domain.Invalid("entitlement.invitation_key", "must be the 32 bytes of an Ed25519 public key in base64url, without padding")
		}
		rule.InvitationKey = key
	}
	if !rule.IsAsked() {
		return rule, domain.Invalid("entitlement", "must ask for presale_codes, or name an invitation_key")
	}
	return rule, nil
}

func viewRule(rule *domain.EntitlementRule) *EntitlementRuleBody {
	if !rule.IsAsked() {
		return nil
	}
	return &EntitlementRuleBody{rule.PresaleCodes, base64.RawURLEncoding.EncodeToString(rule.InvitationKey)}
}

// EntitlementBody is what a buyer shows: one of these.
type EntitlementBody struct {
	PresaleCode string `json:"presale_code,omitempty" maxLength:"80" doc:"The code as the organiser gave it out; case, spaces and hyphens do not matter"`
	Invitation  string `json:"invitation,omitempty" maxLength:"1024" doc:"The signed token"`
}

func (b *JoinBody) shown() (shown domain.ShownEntitlement, err error) {
	switch {
	case b == nil || b.Entitlement == nil || *b.Entitlement == EntitlementBody{}:
		return shown, nil
	case b.Entitlement.PresaleCode != "" && b.Entitlement.Invitation != "":
		return shown, domain.Invalid("entitlement", "must be one of presale_code and invitation")
	case b.Entitlement.Invitation != "":
		return domain.ShownEntitlement{Kind: domain.Invitation, Value: b.Entitlement.Invitation}, nil
	default:
		return domain.ShownEntitlement{Kind: domain.PresaleCode, Value: b.Entitlement.PresaleCode}, nil
	}
}

// takePlace joins the queue, with what the sale asks for. Cheap refusals come before the
// human check, because a solution can be used only once.
func (s *Server) takePlace(ctx context.Context, sale *domain.Sale, in *joinInput) (string, waitingroom.Place, error) {
	if !sale.Entitlement.IsAsked() {
		if err := s.checkHuman(ctx, sale.ID, in.Body); err != nil {
			return "", waitingroom.Place{}, err
		}
		return s.Rooms.Join(ctx, sale)
	}
	if err := s.hasEntitlements(); err != nil {
		return "", waitingroom.Place{}, err
	}
	shown, err := in.Body.shown()
	if err != nil {
		return "", waitingroom.Place{}, err
	}
	if shown.Kind == "" {
		return "", waitingroom.Place{}, &domain.Error{Code: domain.CodeNotEntitled}
	}
	key, err := parseKey(in.keys)
	if err != nil {
		return "", waitingroom.Place{}, err
	}
	if err := s.mayGuess(ctx); err != nil {
		return "", waitingroom.Place{}, err
	}
	if err := s.checkHuman(ctx, sale.ID, in.Body); err != nil {
		return "", waitingroom.Place{}, err
	}
	token, place, err := s.Entitlements.Join(ctx, sale, shown, key)
	s.countGuess(ctx, err)
	return token, place, err
}

// mayGuess refuses a client that has sent too many wrong codes, before anything is looked up.
func (s *Server) mayGuess(ctx context.Context) error {
	client, isCounted := s.guesser(ctx)
	if !isCounted {
		return nil
	}
	wait := s.byGuesser.Wait(client, time.Now())
	if wait == 0 {
		return nil
	}
	s.metrics.guessesLimited.Inc()
	return &domain.Error{
		Code: domain.CodeRateLimited, Detail: "Too many wrong codes came from this address. Nothing was done: repeat with the same key.", RetryAfter: wait,
	}
}

// countGuess counts a code that was refused.
func (s *Server) countGuess(ctx context.Context, err error) {
	if err == nil {
		return
	}
	if code := domain.CodeOf(err); code != domain.CodeBadEntitlement && code != domain.CodeClassCodeRefused {
		return
	}
	if client, isCounted := s.guesser(ctx); isCounted {
		s.byGuesser.Take(client, time.Now())
	}
}

// guesser is the client whose wrong codes are counted. Clients of this machine and of
// private networks are not: behind a proxy that is not trusted, everybody would be one
// client.
func (s *Server) guesser(ctx context.Context) (client netip.Addr, isCounted bool) {
	r := infoOf(ctx).request
	if r == nil {
		return client, false
	}
	client = s.clientOf(r)
	isLocal := client.IsLoopback() || client == netip.IPv6Unspecified() || client.IsPrivate() || client.IsLinkLocalUnicast()
	return client, !isLocal
}

func (s *Server) hasEntitlements() error {
	if s.Entitlements == nil {
		return &domain.Error{Code: domain.CodeOverloaded, Detail: "Presale codes and invitations cannot be checked here."}
	}
	return nil
}

// ---- for the organiser

type makeCodesInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body MakeCodesBody
}

// MakeCodesBody creates codes, or imports them.
type MakeCodesBody struct {
	Count  int      `json:"count,omitempty" minimum:"1" maximum:"10000" doc:"How many to create, with 80 random bits each"`
	Codes  []string `json:"codes,omitempty" minItems:"1" maxItems:"1000" doc:"Your own codes instead: 12–40 letters and digits each, and no guessable words"`
	Places int      `json:"places,omitempty" minimum:"1" maximum:"1000" doc:"How many places each code is good for; absent: 1"`
	Batch  string   `json:"batch,omitempty" maxLength:"64" doc:"A name by which to count and revoke them; absent: a new one is chosen"`
}

type codesOutput struct{ Body CodesView }

// CodesView returns the stored codes.
type CodesView struct {
	Batch  string   `json:"batch"`
	Places int      `json:"places"`
	Made   int      `json:"made" doc:"How many codes are new. Imported codes that existed already are unchanged and not counted"`
	Codes  []string `json:"codes,omitempty" doc:"The created codes. This is the only time that you see them: only keyed hashes are stored"`
}

func (s *Server) makeCodes(ctx context.Context, in *makeCodesInput) (*codesOutput, error) {
	sale, err := s.entitledSale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	if b.Places == 0 {
		b.Places = 1
	}
	if b.Batch == "" {
		b.Batch = "b-" + rand.Text()[:10]
	}
	switch {
	case !sale.Entitlement.PresaleCodes:
		return nil, domain.Invalid("sale", "asks for no presale codes")
	case (b.Count > 0) == (len(b.Codes) > 0):
		return nil, domain.Invalid("count", "say either how many codes to make, or which")
	}
	out := &codesOutput{CodesView{Batch: b.Batch, Places: b.Places}}
	if b.Count > 0 {
		out.Body.Codes, err = s.Entitlements.MakeCodes(ctx, sale, b.Count, b.Places, b.Batch)
		out.Body.Made = len(out.Body.Codes)
	} else {
		out.Body.Made, err = s.Entitlements.AddCodes(ctx, sale, b.Codes, b.Places, b.Batch)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

type revokeInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Body RevokeBody
}

// RevokeBody names what to revoke: one of these.
type RevokeBody struct {
	Batch    string   `json:"batch,omitempty" maxLength:"64" doc:"All codes of a batch"`
	Codes    []string `json:"codes,omitempty" minItems:"1" maxItems:"1000"`
	Invitees []string `json:"invitees,omitempty" minItems:"1" maxItems:"400" doc:"The invitees (sub), whether or not they have come"`
}

type revokedOutput struct{ Body RevokedView }

// RevokedView says what was revoked.
type RevokedView struct {
	Revoked int64 `json:"revoked" doc:"How many were valid before. What was got with them stays"`
}

func (s *Server) revokeEntitlements(ctx context.Context, in *revokeInput) (*revokedOutput, error) {
	sale, err := s.entitledSale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	named := 0
	for _, is := range []bool{in.Body.Batch != "", len(in.Body.Codes) > 0, len(in.Body.Invitees) > 0} {
		if is {
			named++
		}
	}
	out := &revokedOutput{}
	switch {
	case named != 1:
		return nil, domain.Invalid("batch", "name one of batch, codes and invitees")
	case in.Body.Batch != "":
		out.Body.Revoked, err = s.Entitlements.RevokeBatch(ctx, sale, in.Body.Batch)
	case len(in.Body.Codes) > 0:
		out.Body.Revoked, err = s.Entitlements.RevokeCodes(ctx, sale, in.Body.Codes)
	default:
		out.Body.Revoked, err = s.Entitlements.RevokeInvitations(ctx, sale, in.Body.Invitees)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

type batchesOutput struct{ Body BatchesView }

// BatchesView counts what was created for a sale.
type BatchesView struct {
	Batches []BatchView `json:"batches"`
}

// BatchView counts what was created together. Invitations are in no batch: it counts
// those that were used or revoked.
type BatchView struct {
	Kind    domain.EntitlementKind `json:"kind" enum:"presale_code,invitation"`
	Batch   string                 `json:"batch"`
	Made    int64                  `json:"made"`
	Revoked int64                  `json:"revoked"`
	Places  int64                  `json:"places" doc:"How many places they are good for in total"`
	Taken   int64                  `json:"taken" doc:"Places that were taken with them"`
}

func (s *Server) entitlementBatches(ctx context.Context, in *saleInput) (*batchesOutput, error) {
	sale, err := s.entitledSale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	batches, err := s.Entitlements.Batches(ctx, sale)
	if err != nil {
		return nil, err
	}
	out := &batchesOutput{BatchesView{make([]BatchView, 0, len(batches))}}
	for _, b := range batches {
		out.Body.Batches = append(out.Body.Batches, BatchView(b))
	}
	return out, nil
}

func (s *Server) entitledSale(ctx context.Context, saleID string) (*domain.Sale, error) {
	sale, err := s.Catalog.Sale(ctx, saleID)
	switch {
	case err != nil:
		return nil, err
	case !sale.Entitlement.IsAsked():
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This sale asks for neither presale codes nor invitations."}
	default:
		return sale, s.hasEntitlements()
	}
}

// routeEntitlements registers the organiser's routes for sales that ask for entitlements.
func (s *Server) routeEntitlements(api huma.API, admin func(huma.Operation) huma.Operation) {
	codes := []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}
	operation(s, api, admin(huma.Operation{
		OperationID:   "make-presale-codes",
		Method:        http.MethodPost,
		Path:          "/v1/sales/{sale}/presale-codes",
		DefaultStatus: http.StatusCreated,
		Summary:       "Create presale codes, or import your own",
		Description:   "The answer is the only place where you see created codes. Each request creates new ones, so if you got no answer, revoke the batch. Importing the same codes again changes nothing.",
	}), append(codes, domain.CodeUnknown), s.makeCodes)

	operation(s, api, admin(huma.Operation{
		OperationID: "list-entitlements", Method: http.MethodGet, Path: "/v1/sales/{sale}/entitlements",
		Summary:     "Count codes, and the places taken with them, by batch",
		Description: "Invitations have no batch; only those that were used or revoked are counted.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.entitlementBatches)

	operation(s, api, admin(huma.Operation{
		OperationID: "revoke-entitlements", Method: http.MethodPost, Path: "/v1/sales/{sale}/entitlements/revoke",
		Summary: "Revoke codes or invitations", Description: "Places that were taken with them stay. Repeating it changes nothing.",
	}), append(codes, domain.CodeUnknown), s.revokeEntitlements)
}
