package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"boxoffice/entitlement"
)

// A presale: places for codes and invitations alone, on whatever node, and one quota for the
// aliases of a mailbox.
func testPresale(t *testing.T, s *stack, nodes []*node) {
	admin := s.env["BOXOFFICE_ADMIN_URL"]
	sale := "presale-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	sign := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	a := s.request(t, http.MethodPost, admin+"/v1/sales", s.admin(), map[string]any{
		"id": sale, "name": "Presale", "currency": "EUR", "classes": []map[string]any{{"class": "A", "price": 6500, "capacity": 10}},
		"hold_seconds": longHold, "buyer_limit": 1, "waiting_room": true, "queue": map[string]any{"rate_floor": 20, "rate_ceiling": 50},
		"one_checkout_per_buyer": false, "fold_email_aliases": true,
		"entitlement": map[string]any{"presale_codes": true, "invitation_key": base64.RawURLEncoding.EncodeToString(sign.Public().(ed25519.PublicKey))},
	})
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	a = s.request(t, http.MethodPost, admin+"/v1/sales/"+sale+"/presale-codes", s.admin(), map[string]any{"count": 3, "batch": "fans"})
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	var made struct{ Codes []string }
	a.into(t, &made)
	require.Len(t, made.Codes, 3)

	join := func(n int, kind, shown, key string) answer {
		return s.request(t, http.MethodPost, nodes[n%len(nodes)].url+"/v1/sales/"+sale+"/queue",
			map[string]string{"Idempotency-Key": key}, map[string]any{"entitlement": map[string]string{kind: shown}})
	}
	joined := func(n int, kind, shown, key string) string {
		t.Helper()
		var p place
		eventually(t, "a place in the presale", func() bool { // a node hears of the sale within a second
			a := join(n, kind, shown, key)
			if a.status != http.StatusCreated {
				require.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable}, a.status, "%s", a.body)
				return false
			}
			a.into(t, &p)
			return true
		})
		return p.Token
	}
	a = s.request(t, http.MethodPost, nodes[0].url+"/v1/sales/"+sale+"/queue", nil, nil)
	require.Equal(t, http.StatusForbidden, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "entitlement_required")

	key := newKey()
	token := joined(0, "presale_code", made.Codes[0], key)
	require.Equal(t, token, joined(1, "presale_code", strings.ToLower(made.Codes[0]), key), "the same browser, on another node")
	a = join(1, "presale_code", made.Codes[0], newKey())
	require.Equal(t, http.StatusConflict, a.status, "%s", a.body)
	require.Contains(t, string(a.body), "entitlement_spent")

	invitation, err := entitlement.SignInvitation(sign, sale, "member-17", time.Now().Add(time.Hour))
	require.NoError(t, err)
	invited := joined(1, "invitation", invitation, newKey())
	a = join(0, "invitation", invitation, newKey())
	require.Equal(t, http.StatusConflict, a.status, "%s", a.body)

	a = s.request(t, http.MethodPost, admin+"/v1/sales/"+sale+"/entitlements/revoke", s.admin(), map[string]any{"codes": made.Codes[2:]})
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	a = join(0, "presale_code", made.Codes[2], newKey())
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
