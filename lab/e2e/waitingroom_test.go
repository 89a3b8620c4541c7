package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"boxoffice/domain"

	"boxoffice/client"
)

// A sale with a waiting room, from before the opening to the last ticket; where a
// ledger takes several nodes, on two of them and one database.
func TestWaitingRoom(t *testing.T) {
	for ledger, nodes := range map[string]int{"embedded": 1, ledgerOfSeveralNodes(t): 2} {
		t.Run(ledger, func(t *testing.T) {
			s := startStack(t, dataDir(t), ledger)
			all := []*node{{url: s.env["BOXOFFICE_URL"]}}
			for len(all) < nodes {
				all = append(all, s.startNode(t, ""))
			}
			t.Run("from the draw to the tickets", func(t *testing.T) { testRoom(t, s, all) })
			t.Run("somebody who comes when it is open", func(t *testing.T) { testOpenRoom(t, s, all) })
			alive := all[:1] // the others were killed
			for len(alive) < nodes {
				alive = append(alive[:len(alive):len(alive)], s.startNode(t, ""))
			}
			t.Run("a presale", func(t *testing.T) { testPresale(t, s, alive) })
			t.Run("verify", func(t *testing.T) { testVerify(t, s) })
		})
	}
}

// place is what the API says of one.
type place struct {
	Token string `json:"token"`
	client.PlaceView
}

// rush opens a sale with a waiting room.
func (s *stack) rush(t *testing.T, capacity int, opensIn time.Duration) string {
	t.Helper()
	id := "rush-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	body := &client.CreateSaleBody{
		ID: id, Name: "Rush", Currency: "EUR", Classes: []client.CreateClassBody{{Class: "A", Price: 6500, Capacity: int64(capacity)}},
		HoldSeconds: new(int64(longHold)), BuyerLimit: new(int64(1)), WaitingRoom: new(true),
		Queue: &client.CreateQueueBody{RateFloor: new(20.0), RateCeiling: new(50.0)},
	}
	if opensIn != 0 {
		body.OpensAt = new(time.Now().Add(opensIn).UTC())
	}
	_, err := s.boxOffice().CreateSale(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *stack) join(t *testing.T, n *node, sale string) place {
	t.Helper()
	a := asked(t, func(ctx context.Context) error {
		_, err := s.at(n.url).JoinQueue(ctx, sale, client.JoinQueueParams{}, nil)
		return err
	})
	if a.status != http.StatusCreated {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
	}
	var p place
	a.into(t, &p)
	if p.Token == "" {
		t.Fatal("p.Token is empty")
	}
	if len(p.Token) > 120 {
		t.Fatalf("len(p.Token) is %v, want at most 120", len(p.Token))
	}
	if got := a.header.Get("Location"); got != ("/v1/queue/" + p.Token) {
		t.Fatalf(`a.header.Get("Location") is %q, want %q`, got, ("/v1/queue/" + p.Token))
	}
	return p
}

func (s *stack) place(t *testing.T, n *node, token string) place {
	t.Helper()
	p, err := s.at(n.url).GetPlace(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return place{Token: token, PlaceView: p}
}

// places asks for all of them, each time at another node: they are all there.
func (s *stack) places(t *testing.T, nodes []*node, tokens []string) []place {
	t.Helper()
	var all []place
	for i, token := range tokens {
		all = append(all, s.place(t, nodes[i%len(nodes)], token))
	}
	return all
}

func (s *stack) awaitPlaces(t *testing.T, nodes []*node, tokens []string, want string) []place {
	t.Helper()
	var all []place
	eventually(t, "all places are "+want, func() bool {
		all = s.places(t, nodes, tokens)
		return !slices.ContainsFunc(all, func(p place) bool { return p.Status != want })
	})
	return all
}

func (s *stack) configure(t *testing.T, sale string, body client.ConfigureBody) {
	t.Helper()
	_, err := s.boxOffice().ConfigureQueue(t.Context(), sale, &body)
	if err != nil {
		t.Fatal(err)
	}
}

func (s *stack) checkoutWith(t *testing.T, n *node, sale, token, email string) answer {
	t.Helper()
	return asked(t, func(ctx context.Context) error {
		params := client.CreateCheckoutParams{IdempotencyKey: newKey(), QueueToken: token}
		_, err := s.at(n.url).CreateCheckout(ctx, sale, params, checkoutBody(items{"A": 1}, email))
		return err
	})
}

// pays for an order that must be held.
func (s *stack) pays(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusCreated {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
	}
	var o order
	a.into(t, &o)
	s.pay(t, o, "succeeded")
	if got := s.awaitStatus(t, o, "paid").Tickets; len(got) != 1 {
		t.Fatalf(`%d in s.awaitStatus(t, o, "paid").Tickets, want 1: %+v`, len(got), got)
	}
}

// forge changes one character of a token.
func forge(token string) string {
	i, c := len(token)/2, "A"
	if token[i] == 'A' {
		c = "a"
	}
	return token[:i] + c + token[i+1:]
}

// yesterdays is the same token, given out more than a day ago: signed as the
// service signs, see waitingroom.TokenLife.
func (s *stack) yesterdays(t *testing.T, token string) string {
	t.Helper()
	const tagLen = 14
	key, err := base64.StdEncoding.DecodeString(s.env["BOXOFFICE_SERVER_KEY"])
	if err != nil {
		t.Fatal(err)
	}
	keys, err := domain.NewKeyring(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	said, tag := raw[:len(raw)-tagLen], raw[len(raw)-tagLen:]
	if want := keys.QueueTag(said)[:tagLen]; !bytes.Equal(tag, want) {
		t.Fatalf("tag is %q, want %q: tokens are signed in another way now", tag, want)
	}
	millis := said[6:12] // after the version and the index
	then := binary.BigEndian.AppendUint64(nil, uint64(time.Now().Add(-25*time.Hour).UnixMilli()))
	copy(millis, then[2:])
	return base64.RawURLEncoding.EncodeToString(append(said[:len(said):len(said)], keys.QueueTag(said)[:tagLen]...))
}

func testRoom(t *testing.T, s *stack, nodes []*node) {
	const early, capacity = 12, 5
	sale := s.rush(t, capacity, 5*time.Second)
	s.configure(t, sale, client.ConfigureBody{Paused: new(true)}) // so that the draw can be looked at
	first, last := nodes[0], nodes[len(nodes)-1]

	var tokens []string
	var commitment string
	for i := range early {
		p := s.join(t, nodes[i%len(nodes)], sale)
		if p.Draw.Seed != "" {
			t.Fatalf("p.Draw.Seed is %q, want nothing: before the draw", p.Draw.Seed)
		}
		tokens, commitment = append(tokens, p.Token), p.Draw.Commitment
	}
	refused := s.checkoutWith(t, first, sale, tokens[0], newBuyer())
	if refused.status != http.StatusForbidden {
		t.Fatalf("refused.status is %v, want %v", refused.status, http.StatusForbidden)
	}
	if got := refused.code(t); got != "queue_required" {
		t.Fatalf(`refused.code(t) is %q, want "queue_required"`, got)
	}

	// The draw: everybody who was there has one of the first places, and the seed is
	// the one that was committed to.
	places := s.awaitPlaces(t, nodes, tokens, "paused")
	var positions []int64
	for _, p := range places {
		positions = append(positions, p.Position)
		if *p.Draw.Size != early {
			t.Fatalf("*p.Draw.Size is %v, want early", *p.Draw.Size)
		}
		if p.Draw.Commitment != commitment {
			t.Fatalf("p.Draw.Commitment is %q, want %q", p.Draw.Commitment, commitment)
		}
	}
	slices.Sort(positions)
	if want := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; !reflect.DeepEqual(positions, want) {
		t.Fatalf("positions is %v, want %v", positions, want)
	}
	seed, err := hex.DecodeString(places[0].Draw.Seed)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(seed, sale...))
	if got := hex.EncodeToString(sum[:]); got != commitment {
		t.Fatalf("hex.EncodeToString(sum[:]) is %q, want %q", got, commitment)
	}

	late := s.join(t, last, sale)
	if late.Position != (early + 1) {
		t.Fatalf("late.Position is %v, want early+1: after the opening: first come, first served", late.Position)
	}
	tokens = append(tokens, late.Token)

	// A node dies. Nobody loses a place.
	if last.process != nil {
		last.kill()
		nodes = nodes[:len(nodes)-1]
		for i, p := range s.places(t, nodes, tokens[:early]) {
			if p.Position != places[i].Position {
				t.Fatalf("p.Position is %v, want %v", p.Position, places[i].Position)
			}
		}
	}

	// The door opens. One has left meanwhile and holds nobody up; coming back, they
	// may enter.
	absent := tokens[3]
	present := slices.DeleteFunc(slices.Clone(tokens), func(token string) bool { return token == absent })
	events := s.watchPlace(t, first, present[0])
	s.configure(t, sale, client.ConfigureBody{Paused: new(false)})
	s.awaitPlaces(t, nodes, present, "admitted")
	s.awaitPlaces(t, nodes, []string{absent}, "admitted")
	if got := events(); !strings.Contains(got, "admitted") {
		t.Fatalf("no %q in %s", "admitted", got)
	}

	lookUp := func(token string) (code string) {
		_, err := s.boxOffice().GetPlace(t.Context(), token)
		return client.CodeOf(err)
	}
	refusedTokens := map[string]string{
		"none": "", "forged": forge(tokens[0]), "not one of ours": "abc",
		"another sale's": s.join(t, first, s.rush(t, 1, time.Hour)).Token,
	}
	for name, token := range refusedTokens {
		a := s.checkoutWith(t, first, sale, token, newBuyer())
		if a.status != http.StatusForbidden {
			t.Fatalf("a.status is %v, want %v: %s: %s", a.status, http.StatusForbidden, name, a.body)
		}
		if got := a.code(t); got != "queue_required" {
			t.Fatalf(`a.code(t) is %q, want "queue_required": %v`, got, name)
		}
	}
	for _, name := range []string{"forged", "not one of ours"} {
		if got := lookUp(refusedTokens[name]); got != "not_found" {
			t.Fatalf(`lookUp(refusedTokens[name]) is %q, want "not_found": %v`, got, name)
		}
	}

	// A day after the opening, or the join, a token is no longer good.
	old := s.rush(t, 1, -25*time.Hour)
	expired := s.yesterdays(t, s.join(t, first, old).Token)
	if got := lookUp(expired); got != "not_found" {
		t.Fatalf(`lookUp(expired) is %q, want "not_found"`, got)
	}
	a := s.checkoutWith(t, first, old, expired, newBuyer())
	if a.status != http.StatusForbidden {
		t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusForbidden, a.body)
	}
	if got := a.code(t); got != "queue_required" {
		t.Fatalf(`a.code(t) is %q, want "queue_required"`, got)
	}
	if got := lookUp(s.yesterdays(t, tokens[0])); got == "not_found" {
		t.Fatalf("lookUp(s.yesterdays(t, tokens[0])) is %q: yesterday's join for an opening of today", got)
	}

	// A token is one order: replayed it is the same one, shared it is refused.
	buyer := newBuyer()
	held := s.checkoutWith(t, first, sale, tokens[0], buyer)
	again := s.checkoutWith(t, nodes[len(nodes)-1], sale, tokens[0], buyer)
	if got := again.header.Get("Idempotent-Replayed"); got != "true" {
		t.Fatalf(`again.header.Get("Idempotent-Replayed") is %q, want "true": %s`, got, again.body)
	}
	sameJSON(t, again.body, held.body)
	if got := s.checkoutWith(t, first, sale, tokens[0], newBuyer()).code(t); got != "key_reused" {
		t.Fatalf(`s.checkoutWith(t, first, sale, tokens[0], newBuyer()).code(t) is %q, want "key_reused"`, got)
	}

	s.pays(t, held)
	for _, token := range append([]string{absent}, tokens[7:7+capacity-2]...) {
		s.pays(t, s.checkoutWith(t, first, sale, token, newBuyer()))
	}
	if got := s.checkoutWith(t, first, sale, tokens[1], newBuyer()).code(t); got != "sold_out" {
		t.Fatalf(`s.checkoutWith(t, first, sale, tokens[1], newBuyer()).code(t) is %q, want "sold_out"`, got)
	}
	s.awaitStock(t, sale, "A", level{Sold: capacity})
	eventually(t, "nobody can join a sold-out sale", func() bool {
		_, err := s.boxOffice().JoinQueue(t.Context(), sale, client.JoinQueueParams{}, nil)
		return client.CodeOf(err) == "sold_out"
	})
}

// watchPlace reads the stream of a place in the background; the function answers
// the last event once it says admitted, or at the end.
func (s *stack) watchPlace(t *testing.T, n *node, token string) func() string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	last := make(chan string, 1)
	go func() {
		status := ""
		for p, err := range s.at(n.url).WatchPlace(ctx, token) {
			if err != nil {
				status = fmt.Sprint(status, ", then ", err)
				break
			}
			if status = p.Status; status == "admitted" {
				break
			}
		}
		last <- status
	}()
	return func() string { return <-last }
}

// A room whose sale is already open: nothing is drawn, and a single visitor goes
// straight in. Pausing shuts the door for those who come later only.
func testOpenRoom(t *testing.T, s *stack, nodes []*node) {
	sale := s.rush(t, 5, 0)
	n := nodes[0]
	early := s.join(t, n, sale)
	s.awaitPlaces(t, []*node{n}, []string{early.Token}, "admitted")
	s.configure(t, sale, client.ConfigureBody{Paused: new(true)})
	eventually(t, "the queue says that it is paused", func() bool {
		state, err := s.at(n.url).GetQueue(t.Context(), sale)
		if err != nil {
			t.Fatal(err)
		}
		return state.Paused
	})
	late := s.join(t, n, sale)
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "paused")
	s.pays(t, s.checkoutWith(t, n, sale, early.Token, newBuyer()))
	if got := s.checkoutWith(t, n, sale, late.Token, newBuyer()).code(t); got != "queue_required" {
		t.Fatalf(`s.checkoutWith(t, n, sale, late.Token, newBuyer()).code(t) is %q, want "queue_required"`, got)
	}
	s.configure(t, sale, client.ConfigureBody{Paused: new(false)})
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "admitted")
	s.pays(t, s.checkoutWith(t, n, sale, late.Token, newBuyer()))
}
