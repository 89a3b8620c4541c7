package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"boxoffice/entitlement"

	"boxoffice/client"
)

// A presale: places for codes and invitations alone, on whatever node, and one quota for the
// aliases of a mailbox.
func testPresale(t *testing.T, s *stack, nodes []*node) {
	sale := "presale-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	sign := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	_, err := s.boxOffice().CreateSale(t.Context(), &client.CreateSaleBody{
		ID: sale, Name: "Presale", Currency: "EUR", Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: 10}},
		HoldSeconds: new(int64(longHold)), BuyerLimit: new(int64(1)), WaitingRoom: new(true), OneCheckoutPerBuyer: new(false), FoldEmailAliases: new(true),
		Queue: &client.CreateQueueBody{RateFloor: new(20.0), RateCeiling: new(50.0)},
		Entitlement: &client.EntitlementRuleBody{
			PresaleCodes: new(true), InvitationKey: base64.RawURLEncoding.EncodeToString(sign.Public().(ed25519.PublicKey)),
		},
	})
	require.NoError(t, err)
	made, err := s.boxOffice().MakePresaleCodes(t.Context(), sale, &client.MakeCodesBody{Count: new(int64(3)), Batch: "fans"})
	require.NoError(t, err)
	require.Len(t, made.Codes, 3)

	code := func(code string) *client.EntitlementBody { return &client.EntitlementBody{PresaleCode: code} }
	join := func(n int, shown *client.EntitlementBody, key string) answer {
		return asked(t, func(ctx context.Context) error {
			_, err := s.at(nodes[n%len(nodes)].url).JoinQueue(ctx, sale, client.JoinQueueParams{IdempotencyKey: key}, &client.JoinBody{Entitlement: shown})
			return err
		})
	}
	joined := func(n int, shown *client.EntitlementBody, key string) string {
		t.Helper()
		var p client.JoinView
		eventually(t, "a place in the presale", func() bool { // a node hears of the sale within a second
			a := join(n, shown, key)
			if a.status != http.StatusCreated {
				require.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable}, a.status, "%s", a.body)
				return false
			}
			a.into(t, &p)
			return true
		})
		return p.Token
	}
	a := join(0, nil, "")
	require.Equal(t, http.StatusForbidden, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "entitlement_required")

	key := newKey()
	token := joined(0, code(made.Codes[0]), key)
	require.Equal(t, token, joined(1, code(strings.ToLower(made.Codes[0])), key), "the same browser, on another node")
	a = join(1, code(made.Codes[0]), newKey())
	require.Equal(t, http.StatusConflict, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "entitlement_spent")

	invitation, err := entitlement.SignInvitation(sign, sale, "member-17", time.Now().Add(time.Hour))
	require.NoError(t, err)
	invited := joined(1, &client.EntitlementBody{Invitation: invitation}, newKey())
	a = join(0, &client.EntitlementBody{Invitation: invitation}, newKey())
	require.Equal(t, http.StatusConflict, a.status, "%s", a.body)

	_, err = s.boxOffice().RevokeEntitlements(t.Context(), sale, &client.RevokeBody{Codes: made.Codes[2:]})
	require.NoError(t, err)
	a = join(0, code(made.Codes[2]), newKey())
	require.Equal(t, http.StatusForbidden, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "entitlement_refused")

	// Two places, two addresses, one mailbox: one ticket.
	s.awaitPlaces(t, nodes, []string{token, invited}, "admitted")
	s.pays(t, s.checkoutWith(t, nodes[0], sale, token, "grace.hopper@gmail.com"))
	a = s.checkoutWith(t, nodes[len(nodes)-1], sale, invited, "gracehopper+2@googlemail.com")
	require.Equal(t, http.StatusTooManyRequests, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "limit_reached")
	s.pays(t, s.checkoutWith(t, nodes[0], sale, invited, "ada@gmail.com")) // a refusal takes nothing
}
