package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"boxoffice/domain"
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
	Token    string `json:"token"`
	Sale     string `json:"sale"`
	Status   string `json:"status"`
	Position int    `json:"position"`
	Ahead    int    `json:"ahead"`
	Waiting  int    `json:"waiting"`
	Draw     struct {
		Commitment string `json:"commitment"`
		Size       int    `json:"size"`
		Seed       string `json:"seed"`
	} `json:"draw"`
}

// rush opens a sale with a waiting room.
func (s *stack) rush(t *testing.T, capacity int, opensIn time.Duration) string {
	t.Helper()
	id := "rush-" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]
	body := map[string]any{
		"id": id, "name": "Rush", "currency": "EUR", "classes": []map[string]any{{"class": "A", "price": 6500, "capacity": capacity}},
		"hold_seconds": longHold, "buyer_limit": 1, "waiting_room": true, "queue": map[string]any{"rate_floor": 20, "rate_ceiling": 50},
	}
	if opensIn != 0 {
		body["opens_at"] = time.Now().Add(opensIn).UTC().Format(time.RFC3339Nano)
	}
	a := s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/sales", s.admin(), body)
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	return id
}

func (s *stack) join(t *testing.T, n *node, sale string) place {
	t.Helper()
	a := s.request(t, http.MethodPost, n.url+"/v1/sales/"+sale+"/queue", nil, nil)
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
	a := s.request(t, http.MethodGet, n.url+"/v1/queue/"+token, nil, nil)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var p place
	a.into(t, &p)
	p.Token = token
	return p
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

func (s *stack) configure(t *testing.T, sale string, body map[string]any) {
	t.Helper()
	a := s.request(t, http.MethodPatch, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/sales/"+sale+"/queue", s.admin(), body)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
}

func (s *stack) checkoutWith(t *testing.T, n *node, sale, token, email string) answer {
	t.Helper()
	header := map[string]string{"Idempotency-Key": newKey()}
	if token != "" {
		header["Queue-Token"] = token
	}
	return s.request(t, http.MethodPost, n.url+"/v1/sales/"+sale+"/checkouts", header, checkoutBody(items{"A": 1}, email))
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
	s.configure(t, sale, map[string]any{"paused": true}) // so that the draw can be looked at
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
	var positions []int
	for _, p := range places {
		positions = append(positions, p.Position)
		require.Equal(t, early, p.Draw.Size)
		require.Equal(t, commitment, p.Draw.Commitment)
	}
	slices.Sort(positions)
	require.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, positions)
	seed, err := hex.DecodeString(places[0].Draw.Seed)
	require.NoError(t, err)
	sum := sha256.Sum256(append(seed, sale...))
	require.Equal(t, commitment, hex.EncodeToString(sum[:]))

	late := s.join(t, last, sale)
	require.Equal(t, early+1, late.Position, "after the opening: first come, first served")
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
	s.configure(t, sale, map[string]any{"paused": false})
	s.awaitPlaces(t, nodes, present, "admitted")
	s.awaitPlaces(t, nodes, []string{absent}, "admitted")
	require.Contains(t, events(), "admitted")

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
		require.Equal(t, http.StatusNotFound, s.request(t, http.MethodGet, s.api("/v1/queue/"+refusedTokens[name]), nil, nil).status, name)
	}

	// A day after the opening, or the join, a token is no longer good.
	old := s.rush(t, 1, -25*time.Hour)
	expired := s.yesterdays(t, s.join(t, first, old).Token)
	require.Equal(t, http.StatusNotFound, s.request(t, http.MethodGet, s.api("/v1/queue/"+expired), nil, nil).status)
	a := s.checkoutWith(t, first, old, expired, newBuyer())
	require.Equal(t, http.StatusForbidden, a.status, "%s", a.body)
	require.Equal(t, "queue_required", a.code(t))
	require.NotEqual(t, http.StatusNotFound, s.request(t, http.MethodGet, s.api("/v1/queue/"+s.yesterdays(t, tokens[0])), nil, nil).status,
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
		a := s.request(t, http.MethodPost, s.api("/v1/sales/"+sale+"/queue"), nil, nil)
		return a.status == http.StatusConflict && a.code(t) == "sold_out"
	})
}

// watchPlace reads the stream of a place in the background; the function answers
// the last event once it says admitted, or at the end.
func (s *stack) watchPlace(t *testing.T, n *node, token string) func() string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/v1/queue/"+token+"/events", nil)
	require.NoError(t, err)
	response, err := (&http.Client{}).Do(request) // s.http has a timeout
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	last := make(chan string, 1)
	go func() {
		defer response.Body.Close()
		var p place
		lines := bufio.NewScanner(response.Body)
		for p.Status != "admitted" && lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				_ = json.Unmarshal([]byte(data), &p)
			}
		}
		last <- fmt.Sprint(p.Status, lines.Err())
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
	s.configure(t, sale, map[string]any{"paused": true})
	eventually(t, "the queue says that it is paused", func() bool {
		a := s.request(t, http.MethodGet, n.url+"/v1/sales/"+sale+"/queue", nil, nil)
		var state struct{ Paused bool }
		a.into(t, &state)
		return state.Paused
	})
	late := s.join(t, n, sale)
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "paused")
	s.pays(t, s.checkoutWith(t, n, sale, early.Token, newBuyer()))
	require.Equal(t, "queue_required", s.checkoutWith(t, n, sale, late.Token, newBuyer()).code(t))
	s.configure(t, sale, map[string]any{"paused": false})
	s.awaitPlaces(t, []*node{n}, []string{late.Token}, "admitted")
	s.pays(t, s.checkoutWith(t, n, sale, late.Token, newBuyer()))
}
