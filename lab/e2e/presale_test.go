package e2e

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

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
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.boxOffice().MakePresaleCodes(t.Context(), sale, &client.MakeCodesBody{Count: new(int64(3)), Batch: "fans"})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Codes) != 3 {
		t.Fatalf("%d in made.Codes, want 3: %q", len(made.Codes), made.Codes)
	}

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
		eventually(t, "a place in the presale", func() bool { // a node knows the sale within a second
			a := join(n, shown, key)
			if a.status != http.StatusCreated {
				if got := []int{http.StatusNotFound, http.StatusServiceUnavailable}; !slices.Contains(got, a.status) {
					t.Fatalf("no %v in %v: %s", a.status, got, a.body)
				}
				return false
			}
			a.into(t, &p)
			return true
		})
		return p.Token
	}
	a := join(0, nil, "")
	if a.status != http.StatusForbidden {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusForbidden, a.body)
	}
	if !strings.Contains(string(a.body), "entitlement_required") {
		t.Fatalf("no %q in %s", "entitlement_required", string(a.body))
	}

	key := newKey()
	token := joined(0, code(made.Codes[0]), key)
	if got := joined(1, code(strings.ToLower(made.Codes[0])), key); got != token {
		t.Fatalf("joined(1, code(strings.ToLower(made.Codes[0])), key) is %q, want %q: the same browser, on another node", got, token)
	}
	a = join(1, code(made.Codes[0]), newKey())
	if a.status != http.StatusConflict {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusConflict, a.body)
	}
	if !strings.Contains(string(a.body), "entitlement_spent") {
		t.Fatalf("no %q in %s", "entitlement_spent", string(a.body))
	}

	invitation, err := entitlement.SignInvitation(sign, sale, "member-17", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	invited := joined(1, &client.EntitlementBody{Invitation: invitation}, newKey())
	a = join(0, &client.EntitlementBody{Invitation: invitation}, newKey())
	if a.status != http.StatusConflict {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusConflict, a.body)
	}

	_, err = s.boxOffice().RevokeEntitlements(t.Context(), sale, &client.RevokeBody{Codes: made.Codes[2:]})
	if err != nil {
		t.Fatal(err)
	}
	a = join(0, code(made.Codes[2]), newKey())
	if a.status != http.StatusForbidden {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusForbidden, a.body)
	}
	if !strings.Contains(string(a.body), "entitlement_refused") {
		t.Fatalf("no %q in %s", "entitlement_refused", string(a.body))
	}

	// Two places, two addresses, one mailbox: one ticket.
	s.awaitPlaces(t, nodes, []string{token, invited}, "admitted")
	s.pays(t, s.checkoutWith(t, nodes[0], sale, token, "grace.hopper@gmail.com"))
	a = s.checkoutWith(t, nodes[len(nodes)-1], sale, invited, "gracehopper+2@googlemail.com")
	if a.status != http.StatusTooManyRequests {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusTooManyRequests, a.body)
	}
	if !strings.Contains(string(a.body), "limit_reached") {
		t.Fatalf("no %q in %s", "limit_reached", string(a.body))
	}
	s.pays(t, s.checkoutWith(t, nodes[0], sale, invited, "ada@gmail.com")) // a refusal takes nothing
}
