package orders_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// entitled is a database with a sale that asks for presale codes.
func entitled(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	sale := definition("presale")
	sale.WaitingRoom, sale.Entitlement.PresaleCodes = true, true
	b.sale = must(b.store.CreateSale(b.ctx, sale))
	return b
}

func entitlementID(n int) (id domain.EntitlementID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// claim is a holder's claim with a code that was created; its place is the holder's number.
func (b *bundle) claim(code, holder int) domain.EntitlementClaim {
	return domain.EntitlementClaim{
		SaleID: b.sale.ID, Entitlement: domain.Entitlement{Kind: domain.PresaleCode, ID: entitlementID(code)}, Holder: entitlementID(1_000_000 + holder),
		Place: domain.QueuePlace{Index: int64(holder), Epoch: 7, JoinedAt: day.Truncate(time.Millisecond).Add(time.Duration(holder) * time.Millisecond)},
	}
}

func (b *bundle) makeCodes(t *testing.T, places int, codes ...int) {
	t.Helper()
	ids := make([]domain.EntitlementID, len(codes))
	for i, code := range codes {
		ids[i] = entitlementID(code)
	}
	if _, err := b.store.MakeEntitlements(b.ctx, b.sale.ID, domain.PresaleCode, ids, places, "fans"); err != nil {
		t.Fatal(err)
	}
}

// take returns the verdict on one claim, which must agree with LookAtEntitlements.
func (b *bundle) take(t *testing.T, claim domain.EntitlementClaim) domain.EntitlementAnswer {
	t.Helper()
	looked := must(b.store.LookAtEntitlements(b.ctx, []domain.EntitlementClaim{claim}))[0]
	taken := must(b.store.TakeEntitledPlaces(b.ctx, []domain.EntitlementClaim{claim}))[0]
	want := looked
	if looked.Verdict == domain.EntitlementFree {
		want = domain.EntitlementAnswer{Verdict: domain.EntitlementGiven, Place: claim.Place}
	}
	wantEqual(t, "the verdict, compared with the look before", taken, want)
	return taken
}

func TestACodeGivesItsNumberOfPlaces(t *testing.T) {
	b := entitled(t)
	b.makeCodes(t, 2, 1)
	first, second, third := b.claim(1, 1), b.claim(1, 2), b.claim(1, 3)
	wantEqual(t, "verdict on the first", b.take(t, first).Verdict, domain.EntitlementGiven)
	again := first
	again.Place = third.Place // joined once more, because no answer came
	wantEqual(t, "the first, asking again", b.take(t, again), domain.EntitlementAnswer{Verdict: domain.EntitlementHeld, Place: first.Place})
	wantEqual(t, "verdict on the second", b.take(t, second).Verdict, domain.EntitlementGiven)
	wantEqual(t, "the third", b.take(t, third), domain.EntitlementAnswer{Verdict: domain.EntitlementSpent})
	wantEqual(t, "the second, asking again", b.take(t, second).Verdict, domain.EntitlementHeld)
	wantEqual(t, "a code that was not created", b.take(t, b.claim(2, 1)).Verdict, domain.EntitlementUnknown)
	other := first
	other.SaleID = "gophercon"
	wantEqual(t, "the code at another sale", b.take(t, other).Verdict, domain.EntitlementUnknown)
}

// An invitation is stored with its first place.
func TestAnInvitationNeedsNoRow(t *testing.T) {
	b := entitled(t)
	claim := b.claim(1, 1)
	claim.Kind, claim.Places = domain.Invitation, 1
	other := claim
	other.Holder = entitlementID(5)
	wantEqual(t, "the first", b.take(t, claim).Verdict, domain.EntitlementGiven)
	wantEqual(t, "again", b.take(t, claim).Verdict, domain.EntitlementHeld)
	wantEqual(t, "by somebody else", b.take(t, other).Verdict, domain.EntitlementSpent)
}

// Several nodes send batches, each in its own order, and three holders want every code. Each
// code gives its number of places, and a repeated claim gets the same answer.
func TestCodesAreSpentOnceByManyNodes(t *testing.T) {
	const nodes, codes, holders, places = 4, 40, 3, 2
	b := entitled(t)
	var all []int
	for code := range codes {
		all = append(all, code)
	}
	b.makeCodes(t, places, all...)
	answers := make([][]domain.EntitlementAnswer, nodes)
	claims := make([][]domain.EntitlementClaim, nodes)
	var running sync.WaitGroup
	for node := range nodes {
		store := orderstest.Open(t, b.url)
		for code := range codes {
			for holder := range holders {
				claim := b.claim((code*(2*node+1)+node)%codes, holder)
				claim.Place.Index = int64(1000*node + 10*code + holder) // each attempt joins anew
				claims[node] = append(claims[node], claim)
			}
		}
		running.Go(func() {
			for part := range slices.Chunk(claims[node], 17) {
				got, err := store.TakeEntitledPlaces(b.ctx, part)
				if err != nil {
					t.Error(err)
					return
				}
				answers[node] = append(answers[node], got...)
			}
		})
	}
	running.Wait()
	held := make(map[domain.EntitlementID]map[domain.EntitlementID]domain.QueuePlace)
	for node := range nodes {
		for i, answer := range answers[node] {
			claim := claims[node][i]
			switch answer.Verdict {
			case domain.EntitlementGiven, domain.EntitlementHeld:
				if held[claim.ID] == nil {
					held[claim.ID] = make(map[domain.EntitlementID]domain.QueuePlace)
				}
				if before, ok := held[claim.ID][claim.Holder]; ok && before != answer.Place {
					t.Errorf("holder %v of code %v has the places %v and %v", claim.Holder, claim.ID, before, answer.Place)
				}
				held[claim.ID][claim.Holder] = answer.Place
			case domain.EntitlementSpent:
			default:
				t.Errorf("verdict %q", answer.Verdict)
			}
		}
	}
	if len(held) != codes {
		t.Errorf("%d codes were spent, want %d", len(held), codes)
	}
	for code, by := range held {
		if len(by) != places {
			t.Errorf("code %v gave %d places, want %d", code, len(by), places)
		}
	}
}

// The commit happened and the answer was lost: a repeated claim has the place.
func TestATakenPlaceSurvivesALostAnswer(t *testing.T) {
	b := entitled(t)
	b.makeCodes(t, 1, 1)
	g := newGate(t, b.url)
	cut := must(orders.Open(b.ctx, g.url, orders.Options{CallTimeout: time.Second}))
	defer cut.Close()
	if err := cut.CheckSchema(b.ctx); err != nil {
		t.Fatal(err)
	}
	g.swallow.Store(true)
	claim := b.claim(1, 1)
	if _, err := cut.TakeEntitledPlaces(b.ctx, []domain.EntitlementClaim{claim}); err == nil {
		t.Fatal("an answer came through")
	}
	g.swallow.Store(false)
	again := claim
	again.Place = b.claim(1, 9).Place
	got := b.take(t, again)
	if want := (domain.EntitlementAnswer{Verdict: domain.EntitlementHeld, Place: claim.Place}); got != want && got.Verdict != domain.EntitlementGiven {
		t.Errorf("asked again: %+v, want %+v, or given now if it had not been written", got, want)
	}
	wantEqual(t, "somebody else with that code", b.take(t, b.claim(1, 2)).Verdict, domain.EntitlementSpent)
}

func TestRevokedCodesGiveNoMorePlaces(t *testing.T) {
	b := entitled(t)
	b.makeCodes(t, 2, 1, 2, 3)
	early := b.claim(1, 1)
	b.take(t, early)
	revoked := must(b.store.RevokeEntitlements(b.ctx, b.sale.ID, domain.PresaleCode, []domain.EntitlementID{entitlementID(1), entitlementID(2), entitlementID(99)}, 0))
	wantEqual(t, "revoked", revoked, int64(2))
	wantEqual(t, "who has a place", b.take(t, early).Verdict, domain.EntitlementHeld)
	wantEqual(t, "who comes later", b.take(t, b.claim(1, 2)).Verdict, domain.EntitlementRevoked)
	wantEqual(t, "another one that was revoked", b.take(t, b.claim(2, 2)).Verdict, domain.EntitlementRevoked)
	wantEqual(t, "one that was not", b.take(t, b.claim(3, 2)).Verdict, domain.EntitlementGiven)
	wantEqual(t, "revoked of the batch", must(b.store.RevokeBatch(b.ctx, b.sale.ID, "fans")), int64(1))
	wantEqual(t, "batches", must(b.store.EntitlementBatches(b.ctx, b.sale.ID)),
		[]domain.EntitlementBatch{{Kind: domain.PresaleCode, Batch: "fans", Made: 3, Revoked: 3, Places: 6, Taken: 2}})

	// An invitation is revoked before it was ever used.
	invitee := b.claim(4, 1)
	invitee.Kind, invitee.Places = domain.Invitation, 1
	wantEqual(t, "revoked invitations", must(b.store.RevokeEntitlements(b.ctx, b.sale.ID, domain.Invitation, []domain.EntitlementID{invitee.ID}, 1)), int64(1))
	wantEqual(t, "the invitee", b.take(t, invitee).Verdict, domain.EntitlementRevoked)
	wantEqual(t, "revoked of no batch", must(b.store.RevokeBatch(b.ctx, b.sale.ID, "")), int64(0))
}

func TestExistingCodesStayAsTheyAre(t *testing.T) {
	b := entitled(t)
	b.makeCodes(t, 1, 1)
	ids := []domain.EntitlementID{entitlementID(1), entitlementID(2), entitlementID(2)}
	wantEqual(t, "made", must(b.store.MakeEntitlements(b.ctx, b.sale.ID, domain.PresaleCode, ids, 5, "more")), []bool{false, true, false})
	b.take(t, b.claim(1, 1))
	wantEqual(t, "a second place of the first code", b.take(t, b.claim(1, 2)).Verdict, domain.EntitlementSpent)
	_, err := b.store.MakeEntitlements(b.ctx, b.sale.ID, domain.PresaleCode, make([]domain.EntitlementID, domain.EntitlementsMax), 1, "")
	wantCode(t, err, domain.CodeInvalid)
}

func TestASaleKeepsWhatItAsksFor(t *testing.T) {
	b := setup(t)
	key := slices.Repeat([]byte{3}, 32)
	for i, rule := range []domain.EntitlementRule{{}, {PresaleCodes: true}, {InvitationKey: key}, {PresaleCodes: true, InvitationKey: key}} {
		sale := definition(fmt.Sprintf("asks-%d", i))
		sale.WaitingRoom, sale.Entitlement = true, rule
		wantEqual(t, "what the sale asks for", must(b.store.CreateSale(b.ctx, sale)).Entitlement, rule)
		sale.Entitlement = domain.EntitlementRule{PresaleCodes: true, InvitationKey: slices.Repeat([]byte{4}, 32)}
		_, err := b.store.CreateSale(b.ctx, sale)
		wantCode(t, err, domain.CodeExists)
		sale.WaitingRoom = false
		_, err = b.store.CreateSale(b.ctx, sale)
		wantCode(t, err, domain.CodeInvalid)
	}
}
