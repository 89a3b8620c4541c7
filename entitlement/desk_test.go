package entitlement_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/entitlement"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
	"boxoffice/waitingroom"
)

// A world is a database with a sale, and nodes that share it.
type world struct {
	t     *testing.T
	url   string
	keys  *domain.Keyring
	sale  *domain.Sale
	nodes []*entitlement.Desk
	rooms []*waitingroom.Rooms
	sign  ed25519.PrivateKey
}

func testKeys(t testing.TB) *domain.Keyring {
	t.Helper()
	keys, err := domain.NewKeyring(make([]byte, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func open(t *testing.T, nodes int) *world {
	t.Helper()
	t.Parallel()
	w := &world{t: t, url: orderstest.URL(t), keys: testKeys(t), sign: signer()}
	store := orderstest.Open(t, w.url)
	sale, err := store.CreateSale(t.Context(), &domain.Sale{
		ID: "presale", Name: "Presale", Currency: "EUR", Classes: []domain.Class{{Name: "A", PriceMinor: 100, Capacity: 50}},
		BuyerLimit: 2, HoldTimeout: time.Minute, WaitingRoom: true, OpensAt: time.Now().Add(time.Hour).Truncate(time.Millisecond),
		Entitlement: domain.EntitlementRule{PresaleCodes: true, InvitationKey: w.sign.Public().(ed25519.PublicKey)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.MarkSaleOpen(t.Context(), sale.ID); err != nil {
		t.Fatal(err)
	}
	w.sale = sale
	for range nodes {
		w.node()
	}
	return w
}

// node adds one.
func (w *world) node(wrap ...func(*orders.Store) entitlement.Store) *entitlement.Desk {
	w.t.Helper()
	store := orderstest.Open(w.t, w.url)
	rooms, err := waitingroom.New(waitingroom.Options{
		Store: store, Keys: w.keys, Node: fmt.Sprintf("node-%d", len(w.nodes)), Load: func() waitingroom.Load { return waitingroom.Load{} },
		Stock: func(_ context.Context, sale *domain.Sale) ([]domain.StockLevel, error) {
			c := sale.Classes[0]
			return []domain.StockLevel{{Name: c.Name, Ledger: c.Ledger, Capacity: c.Capacity, Available: c.Capacity}}, nil
		},
		Sales: store.Sales, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = rooms.Run(ctx) })
	w.t.Cleanup(func() { stop(); running.Wait() })
	var of entitlement.Store = store
	for _, f := range wrap {
		of = f(store)
	}
	w.rooms = append(w.rooms, rooms)
	w.nodes = append(w.nodes, entitlement.New(of, rooms, w.keys))
	return w.nodes[len(w.nodes)-1]
}

func (w *world) code(places int) domain.ShownEntitlement {
	w.t.Helper()
	codes, err := w.nodes[0].MakeCodes(w.t.Context(), w.sale, 1, places, "batch")
	if err != nil || len(codes) != 1 {
		w.t.Fatalf("made %d codes: %v", len(codes), err)
	}
	return domain.ShownEntitlement{Kind: domain.PresaleCode, Value: codes[0]}
}

func (w *world) invitation(invitee string, until time.Time) domain.ShownEntitlement {
	w.t.Helper()
	token, err := entitlement.SignInvitation(w.sign, w.sale.ID, invitee, until)
	if err != nil {
		w.t.Fatal(err)
	}
	return domain.ShownEntitlement{Kind: domain.Invitation, Value: token}
}

// join repeats what may be repeated, as a page does.
func (w *world) join(node int, shown domain.ShownEntitlement, key string) (string, error) {
	for {
		token, _, err := w.nodes[node].Join(w.t.Context(), w.sale, shown, key)
		if code := domain.CodeOf(err); code != domain.CodeOverloaded && code != domain.CodeUnknown || w.t.Context().Err() != nil {
			return token, err
		}
	}
}

func (w *world) mustJoin(node int, shown domain.ShownEntitlement, key string) string {
	w.t.Helper()
	token, err := w.join(node, shown, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func wantCode(t *testing.T, err error, want domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); err == nil || got != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestACodeIsOnePlace(t *testing.T) {
	w := open(t, 2)
	shown := w.code(1)
	token := w.mustJoin(0, shown, "the key of a browser")
	if place, err := w.rooms[1].Place(t.Context(), token); err != nil || place.Status != waitingroom.StatusDraw {
		t.Errorf("the place: %+v, %v", place, err)
	}
	for node := range w.nodes { // asked again, on whatever node: the same place
		if again := w.mustJoin(node, shown, "the key of a browser"); again != token {
			t.Errorf("node %d gives the same browser another place", node)
		}
	}
	_, err := w.join(1, shown, "another browser's key")
	wantCode(t, err, domain.CodeEntitlementSpent)
}

func TestAnInvitationIsOnePlaceAnInvitee(t *testing.T) {
	w := open(t, 1)
	tomorrow := time.Now().Add(24 * time.Hour)
	token := w.mustJoin(0, w.invitation("grace", tomorrow), "a key of grace's")
	if again := w.mustJoin(0, w.invitation("grace", tomorrow.Add(time.Hour)), "a key of grace's"); again != token {
		t.Error("another invitation of the same invitee gave another place")
	}
	_, err := w.join(0, w.invitation("grace", tomorrow.Add(time.Hour)), "a key of a friend's")
	wantCode(t, err, domain.CodeEntitlementSpent)
	if other := w.mustJoin(0, w.invitation("ada", tomorrow), "a key of grace's"); other == token {
		t.Error("two invitees have one place")
	}
	_, err = w.join(0, w.invitation("late", time.Now().Add(-time.Second)), "a late key")
	wantCode(t, err, domain.CodeEntitlementExpired)
}

// A buyer who has a place keeps it after the invitation has expired.
func TestAPlaceOutlivesItsInvitation(t *testing.T) {
	w := open(t, 1)
	until := time.Now().Add(3 * time.Second)
	token := w.mustJoin(0, w.invitation("grace", until), "a key of grace's")
	for !time.Now().After(until) {
		time.Sleep(time.Until(until) + time.Millisecond) //nolint:forbidigo // by the clock, which is the condition
	}
	if again := w.mustJoin(0, w.invitation("grace", until), "a key of grace's"); again != token {
		t.Error("asked again after the end: another place")
	}
	_, err := w.join(0, w.invitation("grace", until), "a key of a friend's")
	wantCode(t, err, domain.CodeEntitlementSpent)
}

func TestARevokedEntitlementGivesNoPlace(t *testing.T) {
	w := open(t, 1)
	kept, code, invited := w.code(1), w.code(1), w.invitation("grace", time.Now().Add(time.Hour))
	token := w.mustJoin(0, kept, "who came in time")
	if n, err := w.nodes[0].RevokeBatch(t.Context(), w.sale, "batch"); err != nil || n != 2 {
		t.Errorf("revoked %d, %v", n, err)
	}
	if n, err := w.nodes[0].RevokeInvitations(t.Context(), w.sale, []string{"grace"}); err != nil || n != 1 {
		t.Errorf("revoked %d invitations, %v", n, err)
	}
	for _, shown := range []domain.ShownEntitlement{code, invited} {
		_, err := w.join(0, shown, "who comes later")
		wantCode(t, err, domain.CodeBadEntitlement)
	}
	if again := w.mustJoin(0, kept, "who came in time"); again != token {
		t.Error("who had a place has another one")
	}
	w.mustJoin(0, w.code(1), "a code that was created later")
}

// Five buyers show a code for three places on three nodes at once, and each asks
// twice. Three get one place each, and the others are told that it is spent.
func TestACodeUnderConcurrencyIsSpentOnce(t *testing.T) {
	const people, places = 5, 3
	w := open(t, 3)
	shown := w.code(places)
	var mu sync.Mutex
	tokens := make(map[string]map[string]bool) // by who asked
	var asking sync.WaitGroup
	for person := range people {
		for try := range 2 {
			asking.Go(func() {
				key := fmt.Sprintf("the key of person %d", person)
				token, err := w.join((person+try)%len(w.nodes), shown, key)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					wantCode(t, err, domain.CodeEntitlementSpent)
					token = ""
				}
				if tokens[key] == nil {
					tokens[key] = make(map[string]bool)
				}
				tokens[key][token] = true
			})
		}
	}
	asking.Wait()
	given := make(map[string]bool)
	for key, of := range tokens {
		if len(of) != 1 {
			t.Errorf("%s heard %d answers: %v", key, len(of), of)
		}
		for token := range of {
			given[token] = true
		}
	}
	delete(given, "")
	if len(given) != places {
		t.Errorf("a code that is good for %d gave %d places", places, len(given))
	}
}

// A node that dies at a moment of the spending, as its store tells.
type dying struct {
	*orders.Store
	before, after bool // dies before, or after what it wrote was committed
}

func (d *dying) TakeEntitledPlaces(ctx context.Context, claims []domain.EntitlementClaim) ([]domain.EntitlementAnswer, error) {
	if d.before {
		return nil, context.DeadlineExceeded
	}
	answers, err := d.Store.TakeEntitledPlaces(ctx, claims)
	if d.after {
		return nil, context.DeadlineExceeded
	}
	return answers, err
}

// The node dies between the place and the spending, or between the spending and the answer. A
// buyer who asks again with the same key has one place, and nobody else has any.
func TestACrashBetweenPlaceAndAnswerLosesNothing(t *testing.T) {
	for name, of := range map[string]*dying{"before it was spent": {before: true}, "after it was spent": {after: true}} {
		t.Run(name, func(t *testing.T) {
			w := open(t, 1)
			shown := w.code(1)
			node := w.node(func(s *orders.Store) entitlement.Store { of.Store = s; return of })
			if _, _, err := node.Join(t.Context(), w.sale, shown, "the key of a browser"); domain.CodeOf(err) != domain.CodeUnknown {
				t.Fatalf("the node that dies answers %v", err)
			}
			if of.after { // the place is the browser's already
				_, err := w.join(0, shown, "another browser's key")
				wantCode(t, err, domain.CodeEntitlementSpent)
			}
			token := w.mustJoin(0, shown, "the key of a browser")
			if again := w.mustJoin(0, shown, "the key of a browser"); again != token {
				t.Error("asked again: another place")
			}
			_, err := w.join(0, shown, "another browser's key")
			wantCode(t, err, domain.CodeEntitlementSpent)
		})
	}
}

func TestWhatIsShownMustBeAskedFor(t *testing.T) {
	w := open(t, 1)
	onlyCodes := *w.sale
	onlyCodes.Entitlement.InvitationKey = nil
	for _, shown := range []domain.ShownEntitlement{{}, w.invitation("grace", time.Now().Add(time.Hour)), {Kind: "passport", Value: "X"}} {
		_, _, err := w.nodes[0].Join(t.Context(), &onlyCodes, shown, "the key of a browser")
		wantCode(t, err, domain.CodeNotEntitled)
	}
	_, err := w.join(0, domain.ShownEntitlement{Kind: domain.PresaleCode, Value: "ABCD-EFGH-JKMN-PQRS"}, "the key of a browser")
	wantCode(t, err, domain.CodeBadEntitlement)
}

func TestCodesOfTheOrganisersOwn(t *testing.T) {
	w := open(t, 1)
	if made, err := w.nodes[0].AddCodes(t.Context(), w.sale, []string{"fan-club 2027 0001", "FANCLUB20270001", "fanclub-2027-0002"}, 1, "fans"); err != nil || made != 2 {
		t.Errorf("made %d, %v", made, err)
	}
	w.mustJoin(0, domain.ShownEntitlement{Kind: domain.PresaleCode, Value: "fanclub 2O27 OOO2"}, "who reads O for 0") // as printed
	_, err := w.nodes[0].AddCodes(t.Context(), w.sale, []string{"fanclub-2027-0003", "SUMMER24"}, 1, "fans")
	var refusal *domain.Error
	if !errors.As(err, &refusal) || refusal.Code != domain.CodeInvalid || refusal.Field != "codes[1]" {
		t.Errorf("refusal %v", err)
	}
	batches, err := w.nodes[0].Batches(t.Context(), w.sale)
	if want := (domain.EntitlementBatch{Kind: domain.PresaleCode, Batch: "fans", Made: 2, Places: 2, Taken: 1}); err != nil || len(batches) != 1 || batches[0] != want {
		t.Errorf("batches %+v, %v", batches, err)
	}
}

// What no database takes as a batch's name is refused by its field, and nothing is made.
func TestNamesOfBatches(t *testing.T) {
	w := open(t, 1)
	desk := w.nodes[0]
	for why, batch := range map[string]string{
		"NUL": "a\x00b", "no UTF-8": "a\xffb", "half a character": "\xe2\x82", "a line break": "a\nb", "too many bytes": strings.Repeat("ü", 33), "none": "",
	} {
		_, made := desk.MakeCodes(t.Context(), w.sale, 1, 1, batch)
		_, added := desk.AddCodes(t.Context(), w.sale, []string{"fanclub-2027-0001"}, 1, batch)
		_, revoked := desk.RevokeBatch(t.Context(), w.sale, batch)
		for _, err := range []error{made, added, revoked} {
			var refused *domain.Error
			if !errors.As(err, &refused) || refused.Code != domain.CodeInvalid || refused.Field != "batch" {
				t.Errorf("%s: %v", why, err)
			}
		}
	}
	if batches, err := desk.Batches(t.Context(), w.sale); err != nil || len(batches) != 0 {
		t.Errorf("batches %+v, %v", batches, err)
	}
	longest := strings.Repeat("ü", 32)
	if codes, err := desk.MakeCodes(t.Context(), w.sale, 1, 1, longest); err != nil || len(codes) != 1 {
		t.Errorf("%d codes, %v", len(codes), err)
	}
	if n, err := desk.RevokeBatch(t.Context(), w.sale, longest); err != nil || n != 1 {
		t.Errorf("%d revoked, %v", n, err)
	}
}
