package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/waitingroom"
)

// rooms is a fake of the waiting rooms, with places that the test sets.
type rooms struct {
	mu         sync.Mutex
	places     map[string]waitingroom.Place
	err        error // of every method
	settings   domain.QueueSettings
	configured int // how often
	asked      int // how often for a place
	witness    string
	settled    waitingroom.Settlement
	record     *waitingroom.RoomState // its draw, if State should return another one
}

func newRooms() *rooms {
	return &rooms{places: map[string]waitingroom.Place{}, settings: domain.QueueSettings{}.WithDefaults()}
}

var joinedAt = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

func (r *rooms) set(token string, change func(*waitingroom.Place)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.places[token]
	change(&p)
	r.places[token] = p
}

func (r *rooms) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *rooms) Join(_ context.Context, sale *domain.Sale) (string, waitingroom.Place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return "", waitingroom.Place{}, r.err
	}
	n := int64(len(r.places))
	token := fmt.Sprintf("token-%d", n)
	p := waitingroom.Place{
		Sale: sale.ID, Status: waitingroom.StatusWaiting, Index: n, Position: n + 1, Ahead: n, Waiting: n + 1,
		Wait: 1500 * time.Millisecond, RatePerSecond: 12.3456, JoinedAt: joinedAt, RetryAfter: 2100 * time.Millisecond,
		Draw: waitingroom.Draw{Version: 1, Source: domain.QueueDrawNone, State: waitingroom.DrawOpen, Commitment: "c0ffee", Size: -1},
	}
	r.places[token] = p
	return token, p, nil
}

func (r *rooms) Place(_ context.Context, token string) (waitingroom.Place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	p, ok := r.places[token]
	switch {
	case r.err != nil:
		return waitingroom.Place{}, r.err
	case !ok:
		return waitingroom.Place{}, domain.NotFound("place")
	}
	return p, nil
}

func (r *rooms) visits() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func (r *rooms) Enter(_ context.Context, sale *domain.Sale, token string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.places[token]
	switch {
	case r.err != nil:
		return "", r.err
	case !ok || p.Sale != sale.ID || p.Status != waitingroom.StatusAdmitted:
		return "", &domain.Error{Code: domain.CodeQueueRequired, RetryAfter: 3 * time.Second}
	}
	return fmt.Sprintf("0198c0de-0000-7000-8000-%012d", p.Index), nil
}

func (r *rooms) State(_ context.Context, saleID string) (waitingroom.RoomState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return waitingroom.RoomState{}, r.err
	}
	if r.record != nil {
		return *r.record, nil
	}
	return waitingroom.RoomState{
		Sale: saleID, Status: waitingroom.StatusWaiting, Waiting: 7, Admitted: 3, Joined: int64(len(r.places)),
		RatePerSecond: 2.5, Paused: r.settings.Paused, Draw: waitingroom.Draw{Version: 1, Source: domain.QueueDrawNone, State: waitingroom.DrawDrawn, Commitment: "c0ffee", Size: 10, Seed: "5eed"},
		Settings: r.settings,
	}, nil
}

func (r *rooms) Configure(ctx context.Context, saleID string, settings domain.QueueSettings) (waitingroom.RoomState, error) {
	r.mu.Lock()
	r.settings = settings
	r.configured++
	r.mu.Unlock()
	return r.State(ctx, saleID)
}

func (r *rooms) Proof(_ context.Context, token string) (waitingroom.Proof, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.places[token]
	switch {
	case r.err != nil:
		return waitingroom.Proof{}, r.err
	case !ok:
		return waitingroom.Proof{}, domain.NotFound("place")
	}
	return waitingroom.Proof{Sale: p.Sale, Index: p.Index, Size: 10, Leaf: []byte{1}, Path: [][]byte{{2}, {3}}, Root: []byte{4}}, nil
}

func (r *rooms) BindWitness(_ context.Context, _, commitment string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.witness = commitment
	return r.err
}

func (r *rooms) Settle(ctx context.Context, saleID string, given waitingroom.Settlement) (waitingroom.RoomState, error) {
	r.mu.Lock()
	r.settled = given
	r.mu.Unlock()
	return r.State(ctx, saleID)
}

// roomSetup is setup with rooms and a sale that has one.
func roomSetup(t testing.TB, change ...func(*Options)) (*bundle, *rooms) {
	t.Helper()
	r := newRooms()
	b := setup(t, append([]func(*Options){func(o *Options) { o.Rooms = r }}, change...)...)
	b.world.AddSale(&domain.Sale{
		ID: "rush", Name: "Rush", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, WaitingRoom: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	b.world.Opened["rush"] = true
	return b, r
}

func joinOf(sale, body string) request {
	return request{"POST", "/v1/sales/" + sale + "/queue", body, map[string]string{"Content-Type": "application/json"}}
}

// joined is the token of a new place in the queue of sale rush.
func (b *bundle) joined() string {
	b.t.Helper()
	w := b.do(joinOf("rush", ""))
	if w.Code != http.StatusCreated {
		b.t.Fatalf("join: %d %s", w.Code, w.Body)
	}
	var view JoinView
	decode(b.t, w, &view)
	return view.Token
}

func admit(p *waitingroom.Place) {
	p.Status, p.Ahead, p.RetryAfter = waitingroom.StatusAdmitted, 0, 0
}

func TestJoin(t *testing.T) {
	b, _ := roomSetup(t)
	w := b.do(joinOf("rush", ""))
	if w.Code != http.StatusCreated || w.Header().Get("Location") != "/v1/queue/token-0" || w.Header().Get("Retry-After") != "3" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	want := []string{"ahead", "draw", "joined_at", "position", "rate", "sale", "status", "token", "wait_seconds", "waiting"}
	if got := fields(t, w); !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
	var view JoinView
	decode(t, w, &view)
	if view.Token != "token-0" || view.Sale != "rush" || view.Status != "waiting" || view.Position != 1 || view.Waiting != 1 ||
		*view.Wait != 2 || view.Rate != 12.35 || !view.JoinedAt.Equal(joinedAt) || view.Draw != (DrawView{Version: 1, Source: "none", State: "open", Commitment: "c0ffee"}) {
		t.Errorf("%+v", view)
	}
	if w := b.do(joinOf("rush", `{}`)); w.Code != http.StatusCreated {
		t.Errorf("an empty object: %d %s", w.Code, w.Body)
	}
}

func TestJoinRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		sale, body string
		change     func(*bundle, *rooms)
		status     int
		code       domain.Code
	}{
		"no such sale":    {sale: "nothing", status: 404, code: domain.CodeNotFound},
		"no waiting room": {sale: "conference", status: 404, code: domain.CodeNotFound},
		"a canceled sale": {sale: "rush", status: 409, code: domain.CodeSaleCanceled, change: func(b *bundle, _ *rooms) {
			_ = b.world.CancelSale(context.Background(), "rush", time.Now())
		}},
		"sold out for good": {sale: "rush", status: 409, code: domain.CodeSoldOut, change: func(_ *bundle, r *rooms) {
			r.fail(&domain.Error{Code: domain.CodeSoldOut})
		}},
		"the database is down": {sale: "rush", status: 503, code: domain.CodeOverloaded, change: func(_ *bundle, r *rooms) {
			r.fail(&domain.Error{Code: domain.CodeOverloaded})
		}},
		"not JSON":          {sale: "rush", body: `{`, status: 422, code: domain.CodeInvalid},
		"an unknown field":  {sale: "rush", body: `{"place":1}`, status: 422, code: domain.CodeInvalid},
		"a body of 3 KB":    {sale: "rush", body: `{"x":"` + strings.Repeat("x", 3<<10) + `"}`, status: 413, code: domain.CodeTooLarge},
		"a proof too long":  {sale: "rush", body: `{"proof":{"challenge":"c","solution":"` + strings.Repeat("x", 129) + `"}}`, status: 422, code: domain.CodeInvalid},
		"half a proof":      {sale: "rush", body: `{"proof":{"challenge":"c"}}`, status: 422, code: domain.CodeInvalid},
		"a node without it": {sale: "rush", status: 503, code: domain.CodeOverloaded, change: func(b *bundle, _ *rooms) { b.api.Rooms = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := roomSetup(t)
			if test.change != nil {
				test.change(b, r)
			}
			p := wantProblem(t, b.do(joinOf(test.sale, test.body)), test.status, test.code)
			if p.Detail == "" && test.code != domain.CodeSoldOut {
				t.Error("no detail")
			}
		})
	}
}

// check asks for the solution "42" of challenges of one sale.
type check struct{ required bool }

func (c check) Challenge(saleID string, now time.Time) (string, int, time.Time, bool) {
	if !c.required {
		return "", 0, time.Time{}, false
	}
	return "of-" + saleID, 18, now.Add(time.Minute), true
}

func (c check) Verify(_ context.Context, saleID, challenge, solution string, _ time.Time) error {
	if c.required && (challenge != "of-"+saleID || solution != "42") {
		return &domain.Error{Code: domain.CodeProofRequired}
	}
	return nil
}

func TestHumanCheck(t *testing.T) {
	challenge := request{method: "GET", path: "/v1/sales/rush/queue/challenge"}
	b, _ := roomSetup(t, func(o *Options) { o.HumanCheck = check{required: true} })
	w := b.do(challenge)
	var view ChallengeView
	decode(t, w, &view)
	if w.Code != 200 || view.Challenge != "of-rush" || view.DifficultyBits != 18 || time.Until(view.ExpiresAt) <= 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for body, want := range map[string]int{
		``:   403,
		`{}`: 403,
		`{"proof":{"challenge":"of-rush","solution":"41"}}`:    403,
		`{"proof":{"challenge":"of-another","solution":"42"}}`: 403,
		`{"proof":{"challenge":"of-rush","solution":"42"}}`:    201,
	} {
		w := b.do(joinOf("rush", body))
		if w.Code != want {
			t.Errorf("proof %q: %d, want %d: %s", body, w.Code, want, w.Body)
		}
		if want == 403 {
			wantProblem(t, w, 403, domain.CodeProofRequired)
		}
	}
	for name, change := range map[string]func(*Options){
		"none is required": func(o *Options) { o.HumanCheck = check{} },
		"there is none":    func(*Options) {},
	} {
		b, _ := roomSetup(t, change)
		if w := b.do(challenge); w.Code != 204 || w.Body.Len() > 0 {
			t.Errorf("%s: challenge %d %q", name, w.Code, w.Body)
		}
		if w := b.do(joinOf("rush", "")); w.Code != 201 {
			t.Errorf("%s: join %d %s", name, w.Code, w.Body)
		}
	}
}

func TestPlace(t *testing.T) {
	b, r := roomSetup(t)
	opens := joinedAt.Add(time.Hour)
	for name, test := range map[string]struct {
		place      func(*waitingroom.Place)
		fields     []string // besides those that are always there
		retryAfter string
	}{
		"before the draw": {func(p *waitingroom.Place) {
			p.Status, p.OpensAt, p.Wait, p.RetryAfter = waitingroom.StatusDraw, opens, 0, 5*time.Second
		}, []string{"opens_at"}, "5"},
		"waiting":  {func(p *waitingroom.Place) { p.Draw.Size, p.Draw.Seed = 1, "5eed" }, []string{"wait_seconds"}, "3"},
		"admitted": {func(p *waitingroom.Place) { admit(p); p.Wait = 0 }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			token := b.joined()
			r.set(token, test.place)
			w := b.do(request{method: "GET", path: "/v1/queue/" + token})
			want := append([]string{"ahead", "draw", "joined_at", "position", "rate", "sale", "status", "waiting"}, test.fields...)
			slices.Sort(want)
			if got := fields(t, w); w.Code != 200 || !slices.Equal(got, want) {
				t.Errorf("%d, fields %v, want %v", w.Code, got, want)
			}
			if got := w.Header().Get("Retry-After"); got != test.retryAfter {
				t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
			}
		})
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/forged"}), 404, domain.CodeNotFound)
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/forged/events"}), 404, domain.CodeNotFound)
	b.api.Rooms = nil
	wantProblem(t, b.do(request{method: "GET", path: "/v1/queue/token-0"}), 503, domain.CodeOverloaded)
}

func TestQueueOfASale(t *testing.T) {
	b, _ := roomSetup(t)
	w := b.do(request{method: "GET", path: "/v1/sales/rush/queue"})
	var got map[string]any
	decode(t, w, &got)
	want := map[string]any{
		"sale": "rush", "status": "waiting", "waiting": 7., "admitted": 3., "joined": 0., "rate": 2.5, "paused": false,
		"draw": map[string]any{"version": 1, "source": "none", "state": "drawn", "commitment": "c0ffee", "size": 10., "seed": "5eed"},
	}
	if w.Code != 200 || !maps.EqualFunc(got, want, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("%d %v", w.Code, got)
	}
	wantProblem(t, b.do(request{method: "GET", path: "/v1/sales/conference/queue"}), 404, domain.CodeNotFound)
}

// The token names the checkout of a sale with a waiting room, whatever the key.
func TestCheckoutNeedsAnAdmittedToken(t *testing.T) {
	b, r := roomSetup(t)
	b.world.AddSale(&domain.Sale{
		ID: "other", Name: "Other", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, WaitingRoom: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, CreatedAt: time.Now(),
	})
	b.world.Opened["other"] = true
	checkout := func(sale, key, token, body string) *httptest.ResponseRecorder {
		q := request{"POST", "/v1/sales/" + sale + "/checkouts", body, map[string]string{"Content-Type": "application/json", "Idempotency-Key": key}}
		if token != "" {
			q.header["Queue-Token"] = token
		}
		return b.do(q)
	}
	admitted, waiting := b.joined(), b.joined()
	r.set(admitted, admit)

	for name, test := range map[string]struct{ sale, token string }{
		"no token":                  {"rush", ""},
		"a forged token":            {"rush", "forged"},
		"a token that waits":        {"rush", waiting},
		"the token of another sale": {"other", admitted},
	} {
		p := wantProblem(t, checkout(test.sale, testKey, test.token, wish("A", 1)), 403, domain.CodeQueueRequired)
		if p.Detail == "" {
			t.Errorf("%s: no detail", name)
		}
	}
	if w := checkout("rush", testKey, waiting, wish("A", 1)); w.Header().Get("Retry-After") != "3" {
		t.Errorf("Retry-After %q, want the room's", w.Header().Get("Retry-After"))
	}
	wantProblem(t, checkout("rush", "", admitted, wish("A", 1)), 400, domain.CodeKeyMissing)
	if b.world.Starts > 0 {
		t.Fatalf("%d checkouts were started", b.world.Starts)
	}

	var first, again CheckoutView
	w := checkout("rush", testKey, admitted, wish("A", 1))
	decode(t, w, &first)
	if w.Code != 201 {
		t.Fatalf("admitted: %d %s", w.Code, w.Body)
	}
	w = checkout("rush", "another-key-of-the-same-buyer", admitted, wish("A", 1))
	decode(t, w, &again)
	if w.Code != 201 || again.Order != first.Order || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("replayed: %d %s", w.Code, w.Body)
	}
	shared := strings.Replace(wish("A", 1), "buyer-7", "buyer-8", 1)
	wantProblem(t, checkout("rush", "a-key-of-another-buyer", admitted, shared), 422, domain.CodeKeyReused)

	if w := checkout("conference", testKey, "forged", wish("A", 1)); w.Code != 201 {
		t.Errorf("a sale without a waiting room looks at the token: %d %s", w.Code, w.Body)
	}
	r.fail(&domain.Error{Code: domain.CodeOverloaded})
	wantProblem(t, checkout("rush", testKey, admitted, wish("A", 1)), 503, domain.CodeOverloaded)
}

// The room's clock decides who is let in, not this node's.
func TestTheRoomOpensTheSale(t *testing.T) {
	b, r := roomSetup(t)
	b.world.SalesByID["rush"].OpensAt = time.Now().Add(time.Hour)
	token := b.joined()
	checkout := request{"POST", "/v1/sales/rush/checkouts", wish("A", 1), map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": testKey, "Queue-Token": token,
	}}
	wantProblem(t, b.do(checkout), 403, domain.CodeQueueRequired)
	r.set(token, admit)
	if w := b.do(checkout); w.Code != 201 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCanceledSaleWithAWaitingRoom(t *testing.T) {
	b, r := roomSetup(t)
	token := b.joined()
	r.set(token, admit)
	checkout := request{"POST", "/v1/sales/rush/checkouts", wish("A", 1), map[string]string{
		"Content-Type": "application/json", "Idempotency-Key": testKey, "Queue-Token": token,
	}}
	if w := b.do(checkout); w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if err := b.world.CancelSale(t.Context(), "rush", time.Now()); err != nil {
		t.Fatal(err)
	}
	b.api.Catalog.Forget("rush")
	if w := b.do(checkout); w.Code != 201 {
		t.Errorf("an order that was held before: %d %s", w.Code, w.Body)
	}
	checkout.header["Queue-Token"] = "never admitted"
	wantProblem(t, b.do(checkout), 409, domain.CodeSaleCanceled)
}

// ---- streams

// watcher reads the stream of a place.
type watcher struct {
	conn  net.Conn
	lines *bufio.Scanner
}

// watchPlace connects as a browser does, and reads the head of the answer.
func watchPlace(t *testing.T, server *httptest.Server, token string) *watcher {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /v1/queue/%s/events HTTP/1.1\r\nHost: boxoffice\r\n\r\n", token)
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<16), nil)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" || !response.Close ||
		response.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%+v, %v", response, err)
	}
	return &watcher{conn, bufio.NewScanner(response.Body)}
}

// next is the next line that is not empty, "" at the end.
func (w *watcher) next() string {
	for w.lines.Scan() {
		if line := w.lines.Text(); line != "" {
			return line
		}
	}
	return ""
}

// quick sets how long the streams' second lasts.
func quick(b *bundle) *httptest.Server {
	b.api.placeHub.every = 20 * time.Millisecond
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(b.api.Public())
	server.Listener = LimitConnections(server.Listener, ConnectionLimits{Max: ConnectionsMax})
	server.Start()
	b.t.(*testing.T).Cleanup(func() { b.api.CloseStreams(); server.Close() })
	return server
}

func TestStreamOfAPlace(t *testing.T) {
	b, r := roomSetup(t)
	token := b.joined()
	server := quick(b)
	w := watchPlace(t, server, token)
	for _, want := range []string{"retry: 3000", "event: place"} {
		if got := w.next(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	place := b.do(request{method: "GET", path: "/v1/queue/" + token}).Body.String()
	if got := w.next(); got != "data: "+strings.TrimSpace(place) {
		t.Fatalf("%q, want the body of the poll, %s", got, place)
	}
	r.set(token, admit)
	if event, data := w.next(), w.next(); event != "event: place" || !strings.Contains(data, `"status":"admitted"`) {
		t.Errorf("%s %s", event, data)
	}
}

// While checkouts do not go through, waiting clients are told.
func TestAPlaceSaysThatCheckoutsAreInterrupted(t *testing.T) {
	b, _ := roomSetup(t)
	var away atomic.Bool
	b.api.interrupted = func(string) bool { return away.Load() }
	token := b.joined()
	says := func(body string) bool { return strings.Contains(body, `"interrupted":true`) }
	if w := b.do(request{method: "GET", path: "/v1/queue/" + token}); says(w.Body.String()) {
		t.Errorf("%s", w.Body)
	}
	w := watchPlace(t, quick(b), token)
	for range 3 {
		w.next() // retry, event, data
	}
	away.Store(true)
	if event, data := w.next(), w.next(); event != "event: place" || !says(data) {
		t.Errorf("%s %s", event, data)
	}
	for _, r := range []request{{method: "GET", path: "/v1/queue/" + token}, joinOf("rush", "")} {
		if w := b.do(r); w.Code >= 300 || !says(w.Body.String()) {
			t.Errorf("%s: %d %s", r.path, w.Code, w.Body)
		}
	}
	away.Store(false)
	if event, data := w.next(), w.next(); event != "event: place" || says(data) {
		t.Errorf("%s %s", event, data)
	}
}

// Nothing is sent twice, and a silent stream shows that it is alive. A place far back is
// told less often that it moves up, but at once of what matters.
func TestStreamOfAPlaceFarBack(t *testing.T) {
	b, r := roomSetup(t)
	token := b.joined()
	move := func(ahead int64) {
		r.set(token, func(p *waitingroom.Place) { p.Ahead, p.RetryAfter = ahead, time.Hour })
	}
	move(9000)
	w := watchPlace(t, quick(b), token)
	event := func() string {
		for {
			if data, ok := strings.CutPrefix(w.next(), "data: "); ok {
				return data
			}
		}
	}
	event()
	move(8000)
	if got := event(); !strings.Contains(got, "8000") {
		t.Fatalf("%s: the first move was sent", got)
	}
	move(7000)
	visits := r.visits()
	waitFor(t, func() bool { return r.visits() > visits+5 })
	r.set(token, admit)
	if got := event(); !strings.Contains(got, `"admitted"`) {
		t.Errorf("%s, want its admission, and not each step before", got)
	}
}

func TestStreamOfAPlaceThatDoesNotChange(t *testing.T) {
	b, r := roomSetup(t)
	token := b.joined()
	b.api.placeHub.heartbeat = 50 * time.Millisecond
	w := watchPlace(t, quick(b), token)
	for range 3 {
		w.next() // retry, event, data
	}
	if got := w.next(); got != ": still here" {
		t.Errorf("%q, want a sign of life", got)
	}
	r.fail(errors.New("the room does not say")) // the last place stands
	for range 2 {
		if got := w.next(); got != ": still here" {
			t.Errorf("%q, want a sign of life", got)
		}
	}
}

func TestStreamOfAPlaceEnds(t *testing.T) {
	for name, end := range map[string]func(*bundle, *rooms){
		"the token expires": func(_ *bundle, r *rooms) { r.fail(domain.NotFound("place")) },
		"the node stops":    func(b *bundle, _ *rooms) { b.api.CloseStreams() },
	} {
		t.Run(name, func(t *testing.T) {
			b, r := roomSetup(t)
			w := watchPlace(t, quick(b), b.joined())
			waitFor(t, func() bool { return b.api.placeHub.looping() })
			end(b, r)
			for w.next() != "" {
			}
			if err := w.lines.Err(); err != nil {
				t.Errorf("it did not end: %v", err)
			}
			waitFor(t, func() bool { return b.api.placeHub.count() == 0 && !b.api.placeHub.looping() })
		})
	}
}

func TestStreamOfAPlaceEndsAfterItsLifetime(t *testing.T) {
	b, _ := roomSetup(t)
	b.api.placeHub.lifetime = 100 * time.Millisecond
	w := watchPlace(t, quick(b), b.joined())
	for w.next() != "" {
	}
	if err := w.lines.Err(); err != nil {
		t.Errorf("it did not end: %v", err)
	}
}

func (h *placeHub) looping() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running
}

// The stream of a client that left is not a sign of life.
func TestAStreamOfAClientThatLeftIsNoSignOfLife(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closed":      func(c *net.TCPConn) { c.Close() },
		"reset":       func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"half closed": func(c *net.TCPConn) { _ = c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := roomSetup(t)
			w := watchPlace(t, quick(b), b.joined())
			waitFor(t, func() bool { return b.api.placeHub.count() == 1 })
			leave(w.conn.(*net.TCPConn))
			waitFor(t, func() bool { return b.api.placeHub.count() == 0 })
		})
	}
}

// A client that does not read is dropped, and holds nobody up meanwhile.
func TestSlowWatchersAreDropped(t *testing.T) {
	b, r := roomSetup(t)
	slow, reader := b.joined(), b.joined()
	server := quick(b)
	conn := watchPlace(t, server, slow).conn
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	w := watchPlace(t, server, reader)
	long := strings.Repeat("x", 64<<10) // an event larger than the kernel's buffer
	position := int64(10)
	waitFor(t, func() bool {
		position++
		r.set(slow, func(p *waitingroom.Place) { p.Sale, p.Position = long, position })
		r.set(reader, func(p *waitingroom.Place) { p.Position = position })
		for line := w.next(); line != "event: place"; line = w.next() {
			if line == "" {
				t.Fatal("the client that reads was dropped")
			}
		}
		return b.api.placeHub.count() == 1
	})
}

func TestPlaceStreamsAreBounded(t *testing.T) {
	b, _ := roomSetup(t, func(o *Options) { o.QueueConnectionsMax = 2 })
	token, server := b.joined(), quick(b)
	watchPlace(t, server, token)
	last := watchPlace(t, server, token)
	get := func() *http.Response {
		response, err := http.Get(server.URL + "/v1/queue/" + token + "/events")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	if refused := get(); refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" {
		t.Errorf("the third: %d %v", refused.StatusCode, refused.Header)
	}
	last.conn.Close()
	waitFor(t, func() bool { return get().StatusCode == 200 })
	b.api.CloseStreams()
	if refused := get(); refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" {
		t.Errorf("a node that shuts down: %d %v", refused.StatusCode, refused.Header)
	}
}

// Anybody who has a token has the place, so it is in no log, no metric and no problem.
func TestTokensOfPlacesStaySecret(t *testing.T) {
	b, r := roomSetup(t)
	token := "marked-place-4f1d"
	r.set(token, func(p *waitingroom.Place) { p.Sale, p.Status = "rush", waitingroom.StatusWaiting })
	checkout := map[string]string{"Content-Type": "application/json", "Idempotency-Key": testKey, "Queue-Token": token}
	requests := []request{
		{"GET", "/v1/queue/" + token, "", nil},
		{"GET", "/v1/queue/" + token + "x", "", nil},
		{"GET", "/v1/queue/" + token + "x/events", "", nil},
		{"PUT", "/v1/queue/" + token, "", nil},
		{"POST", "/v1/sales/rush/checkouts", wish("A", 1), checkout},
		{"POST", "/v1/sales/rush/checkouts", `{`, checkout},
	}
	var answers strings.Builder
	for _, q := range requests {
		answers.WriteString(b.do(q).Body.String())
	}
	r.fail(errors.New("a bug"))
	answers.WriteString(b.do(requests[0]).Body.String())
	scrape := b.do(request{method: "GET", path: "/metrics", header: bearerOf(testAdminToken)}).Body.String()
	for where, text := range map[string]string{"log": b.log.String(), "metrics": scrape, "answers": answers.String()} {
		if text == "" || strings.Contains(text, token) {
			t.Errorf("the token is in the %s, or there are none: %s", where, text)
		}
	}
}
