package entitlement

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"boxoffice/domain"

	"github.com/golang-jwt/jwt/v5"
)

// Limits of an invitation, in bytes.
const (
	InvitationLenMax = 1024
	InviteeLenMax    = 128
)

// An invitation is a JWT (RFC 7519) that the organiser signs with Ed25519 (RFC 8037). aud
// is the sale, sub the invitee; it gives a place from nbf until exp. Only a keyed hash of
// the invitee is kept.
type invitations struct{ keys *domain.Keyring }

// parser pins the algorithm: a token must not choose how it is verified. Desk checks the
// times, because a buyer who has a place keeps it after exp.
var parser = jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())

func (v invitations) Verify(sale *domain.Sale, shown string) (domain.Entitlement, error) {
	shown = strings.TrimSpace(shown)
	if len(shown) > InvitationLenMax {
		return domain.Entitlement{}, refused("This is no invitation: it is too long.", nil)
	}
	var claims jwt.RegisteredClaims
	_, err := parser.ParseWithClaims(shown, &claims, func(token *jwt.Token) (any, error) {
		if _, ok := token.Header["crit"]; ok { // RFC 7515, 4.1.11
			return nil, errors.New("it has critical members, and we know none")
		}
		return sale.Entitlement.InvitationKey, nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return domain.Entitlement{}, refused("This is no invitation. Perhaps it was copied without its end.", nil)
	case err != nil:
		return domain.Entitlement{}, refused("The invitation is not signed by this sale's organiser.", nil)
	case len(claims.Audience) != 1 || claims.Audience[0] != sale.ID:
		return domain.Entitlement{}, refused("The invitation is for another sale.", nil)
	case claims.Subject == "" || len(claims.Subject) > InviteeLenMax || claims.ExpiresAt == nil:
		return domain.Entitlement{}, refused("The invitation does not say whom it is for (sub), or until when (exp).", nil)
	case claims.NotBefore != nil && time.Now().Before(claims.NotBefore.Time):
		return domain.Entitlement{}, refused("The invitation is not valid yet: from "+claims.NotBefore.UTC().Format(time.RFC3339)+" on.", nil)
	}
	return domain.Entitlement{Kind: domain.Invitation, ID: v.id(sale.ID, claims.Subject), Places: 1, ExpiresAt: claims.ExpiresAt.Time}, nil
}

func (v invitations) id(saleID, invitee string) domain.EntitlementID {
	return v.keys.EntitlementID(saleID, domain.Invitation, invitee)
}

// SignInvitation is what an organiser does, wherever their key is. Any JWT library can do
// it.
func SignInvitation(key ed25519.PrivateKey, saleID, invitee string, expiresAt time.Time) (string, error) {
	if invitee == "" || len(invitee) > InviteeLenMax || !utf8.ValidString(invitee) {
		return "", fmt.Errorf("an invitee is 1–%d bytes of text", InviteeLenMax)
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		Audience: jwt.ClaimStrings{saleID}, Subject: invitee, ExpiresAt: jwt.NewNumericDate(expiresAt),
	}).SignedString(key)
}
