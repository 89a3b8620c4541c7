package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
			t.Run("who comes when it is open", func(t *testing.T) { testOpenRoom(t, s, all) })
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
	require.NoError(t, err)
	return id
}

func (s *stack) join(t *testing.T, n *node, sale string) place {
	t.Helper()
	a := asked(t, func(ctx context.Context) error {
		_, err := s.at(n.url).JoinQueue(ctx, sale, client.JoinQueueParams{}, nil)
		return err
	})
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	var p place
	a.into(t, &p)
	require.NotEmpty(t, p.Token)
	require.LessOrEqual(t, len(p.Token), 120)
	require.Equal(t, "/v1/queue/"+p.Token, a.header.Get("Location"))
	return p
}

func (s *stack) place(t *testing.T, n *node, token string) place {
	t.Helper()
	p, err := s.at(n.url).GetPlace(t.Context(), token)
	require.NoError(t, err)
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
	require.NoError(t, err)
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
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	var o order
	a.into(t, &o)
	s.pay(t, o, "succeeded")
	require.Len(t, s.awaitStatus(t, o, "paid").Tickets, 1)
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
	require.NoError(t, err)
	keys, err := domain.NewKeyring(key)
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	said, tag := raw[:len(raw)-tagLen], raw[len(raw)-tagLen:]
	require.Equal(t, keys.QueueTag(said)[:tagLen], tag, "tokens are signed in another way now")
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
		require.Empty(t, p.Draw.Seed, "before the draw")
		tokens, commitment = append(tokens, p.Token), p.Draw.Commitment
	}
	refused := s.checkoutWith(t, first, sale, tokens[0], newBuyer())
	require.Equal(t, http.StatusForbidden, refused.status)
	require.Equal(t, "queue_required", refused.code(t))

	// The draw: everybody who was there has one of the first places, and the seed is
	// the one that was committed to.
	places := s.awaitPlaces(t, nodes, tokens, "paused")
	var positions []int64
	for _, p := range places {
		positions = append(positions, p.Position)
		require.EqualValues(t, early, *p.Draw.Size)
		require.Equal(t, commitment, p.Draw.Commitment)
	}
	slices.Sort(positions)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, positions)
	seed, err := hex.DecodeString(places[0].Draw.Seed)
	require.NoError(t, err)
	sum := sha256.Sum256(append(seed, sale...))
	require.Equal(t, commitment, hex.EncodeToString(sum[:]))

	late := s.join(t, last, sale)
	require.EqualValues(t, early+1, late.Position, "after the opening: first come, first served")
	tokens = append(tokens, late.Token)

	// A node dies. Nobody loses a place.
	if last.process != nil {
		last.kill()
		nodes = nodes[:len(nodes)-1]
		for i, p := range s.places(t, nodes, tokens[:early]) {
			require.Equal(t, places[i].Position, p.Position)
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
	require.Contains(t, events(), "admitted")

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
		require.Equal(t, http.StatusForbidden, a.status, "%s: %s", name, a.body)
		require.Equal(t, "queue_required", a.code(t), name)
	}
	for _, name := range []string{"forged", "not one of ours"} {
		require.Equal(t, "not_found", lookUp(refusedTokens[name]), name)
	}

	// A day after the opening, or the join, a token is no longer good.
	old := s.rush(t, 1, -25*time.Hour)
	expired := s.yesterdays(t, s.join(t, first, old).Token)
	require.Equal(t, "not_found", lookUp(expired))
	a := s.checkoutWith(t, first, old, expired, newBuyer())
	require.Equal(t, http.StatusForbidden, a.status, "%s", a.body)
	require.Equal(t, "queue_required", a.code(t))
	require.NotEqual(t, "not_found", lookUp(s.yesterdays(t, tokens[0])),
		"yesterday's join for an opening of today")

	// A token is one order: replayed it is the same one, shared it is refused.
	buyer := newBuyer()
	held := s.checkoutWith(t, first, sale, tokens[0], buyer)
	again := s.checkoutWith(t, nodes[len(nodes)-1], sale, tokens[0], buyer)
	require.Equal(t, "true", again.header.Get("Idempotent-Replayed"), "%s", again.body)
	require.JSONEq(t, string(held.body), string(again.body))
	require.Equal(t, "key_reused", s.checkoutWith(t, first, sale, tokens[0], newBuyer()).code(t))

	s.pays(t, held)
	for _, token := range append([]string{absent}, tokens[7:7+capacity-2]...) {
		s.pays(t, s.checkoutWith(t, first, sale, token, newBuyer()))
	}
	require.Equal(t, "sold_out", s.checkoutWith(t, first, sale, tokens[1], newBuyer()).code(t))
	s.awaitStock(t, sale, "A", level{Sold: capacity})
	eventually(t, "nobody can join what is sold out", func() bool {
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

// A room whose sale is open already: nothing is drawn, and who is alone goes
// straight in. Pausing shuts the door for those who come later only.
func testOpenRoom(t *testing.T, s *stack, nodes []*node) {
	sale := s.rush(t, 5, 0)
	n := nodes[0]
	early := s.join(t, n, sale)
	s.awaitPlaces(t, []*node{n}, []string{early.Token}, "admitted")
	s.configure(t, sale, client.ConfigureBody{Paused: new(true)})
	eventually(t, "the queue says that it is paused", func() bool {
		state, err := s.at(n.url).GetQueue(t.Context(), sale)
		require.NoError(t, err)
		return state.Paused
	})
	late := s.join(t, n, sale)
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "paused")
	s.pays(t, s.checkoutWith(t, n, sale, early.Token, newBuyer()))
	require.Equal(t, "queue_required", s.checkoutWith(t, n, sale, late.Token, newBuyer()).code(t))
	s.configure(t, sale, client.ConfigureBody{Paused: new(false)})
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "admitted")
	s.pays(t, s.checkoutWith(t, n, sale, late.Token, newBuyer()))
}
