package mockpay

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// inbox is a box office that knows what is genuine, and remembers what came.
type inbox struct {
	*httptest.Server
	sender *trickSender
	bundle *bundle

	mu       sync.Mutex
	came     []string // what a verifier says of each
	gullible bool     // acknowledges everything
	refuses  bool     // acknowledges nothing
}

func startInbox(t *testing.T) *inbox {
	verifier, err := mockpay.NewVerifier(testSecrets(t), time.Now)
	require.NoError(t, err)
	i := &inbox{bundle: setup(t)}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, err := verifier.Verify(r.Header, body)
		status, what := http.StatusOK, strings.TrimPrefix(string(event.Type), "payment.")+" "+event.ID
		if err != nil {
			status, what = http.StatusUnauthorized, string(domain.CodeOf(err))
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.came = append(i.came, what)
		switch {
		case i.gullible:
			status = http.StatusOK
		case i.refuses && err == nil:
			status = http.StatusServiceUnavailable
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(i.Close)
	poster, err := NewHTTPSender(i.URL, testSecrets(t))
	require.NoError(t, err)
	t.Cleanup(poster.client.CloseIdleConnections)
	i.sender, err = newTrickSender(poster, i.bundle.bank.trickster)
	require.NoError(t, err)
	return i
}

func (i *inbox) takeCame() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	came := i.came
	i.came = nil
	return came
}

// messageOf reports a payment of the n-th order.
func messageOf(t *testing.T, n int, id string, attempt int) Message {
	t.Helper()
	order := orderNumber(n)
	event := domain.PaymentEvent{
		ID: id, Type: domain.PaymentFailed, Session: mockpay.SessionID(order), Order: order,
		Payment: mockpay.SessionID(order), AmountMinor: 6500, Currency: "EUR",
	}
	body, err := mockpay.EncodeEvent(event, time.Now())
	require.NoError(t, err)
	return Message{Event: event, Attempt: attempt, Body: body}
}

func TestTricksOfTheWire(t *testing.T) {
	const forged = string(domain.CodeForged)
	for _, row := range []struct {
		name    string
		tricks  []Trick
		attempt int
		want    []string
	}{
		{"well-behaved", nil, 1, []string{"failed evt_1"}},
		{"duplicate", []Trick{TrickDuplicate}, 1, []string{"failed evt_1", "failed evt_1"}},
		{"forge", []Trick{TrickForge}, 1, []string{forged, forged, forged, forged, "failed evt_1"}},
		{"replay", []Trick{TrickReplay}, 1, []string{"failed evt_1", "failed evt_0", forged}},
		{"all at once", []Trick{TrickDuplicate, TrickForge, TrickReplay}, 1, []string{forged, forged, forged, forged, "failed evt_1", "failed evt_1", "failed evt_0", forged}},
		{"not in a later attempt", []Trick{TrickDuplicate, TrickForge, TrickReplay, TrickReorder}, 2, []string{"failed evt_1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			i := startInbox(t)
			require.True(t, i.sender.Send(t.Context(), messageOf(t, 0, "evt_0", 1)).Acknowledged())
			i.takeCame()
			i.bundle.misbehave(1, always(row.tricks...))
			answer := i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", row.attempt))
			require.Equal(t, Answer{HTTPStatus: http.StatusOK}, answer)
			require.Equal(t, row.want, i.takeCame())
			require.Zero(t, i.bundle.bank.trickster.report().WronglyAccepted)
		})
	}
}

// The list of deliveries says what became of the message, whatever was answered
// to what was sent along with it.
func TestWhatIsSentAlongIsNoAcknowledgement(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickDuplicate, TrickForge, TrickReplay))
	i.refuses = true
	require.Equal(t, Answer{HTTPStatus: http.StatusServiceUnavailable}, i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1)))
}

func TestABoxOfficeThatBelievesForgeriesIsNoticed(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickForge, TrickReplay))
	i.gullible = true
	i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1))
	require.Equal(t, int64(5), i.bundle.bank.trickster.report().WronglyAccepted)
}

func TestReorderIsToBeOvertaken(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickReorder))
	first := make(chan Answer, 1)
	go func() { first <- i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1)) }()
	require.Eventually(t, func() bool {
		i.sender.mu.Lock()
		defer i.sender.mu.Unlock()
		return i.sender.waiting != nil
	}, 10*time.Second, time.Millisecond)
	require.True(t, i.sender.Send(t.Context(), messageOf(t, 2, "evt_2", 1)).Acknowledged())
	require.True(t, (<-first).Acknowledged())
	require.Equal(t, []string{"failed evt_2", "failed evt_1"}, i.takeCame())
	require.Equal(t, map[Trick]int64{TrickReorder: 1}, i.bundle.bank.trickster.report().Played)
}

func TestAMessageThatNobodyOvertakesIsSentAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trickSender{}
		began := time.Now()
		require.False(t, s.giveWay(t.Context()))
		require.Equal(t, reorderWaitMax, time.Since(began))
		require.Nil(t, s.waiting)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		require.False(t, s.giveWay(ctx))
		require.Zero(t, time.Since(began))
	})
}

func TestOneMessageWaitsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trickSender{}
		overtaken := make(chan bool, 1)
		go func() { overtaken <- s.giveWay(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		require.False(t, s.giveWay(t.Context()))
		require.Zero(t, time.Since(began), "the second does not wait")
		s.overtake()
		require.True(t, <-overtaken)
	})
}

func TestLettersAreBounded(t *testing.T) {
	s := &trickSender{}
	for n := range lettersMax + 3 {
		s.keep(letter{body: []byte{byte(n)}})
	}
	require.Len(t, s.letters, lettersMax)
	require.Equal(t, []byte{3}, s.oldest().body)
}
