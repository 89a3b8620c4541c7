package mockpay

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// inbox is a box office that knows what is genuine, and records what came.
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
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(poster.client.CloseIdleConnections)
	i.sender, err = newTrickSender(poster, i.bundle.bank.trickster)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
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
			if !i.sender.Send(t.Context(), messageOf(t, 0, "evt_0", 1)).Acknowledged() {
				t.Fatal(`want true: i.sender.Send(t.Context(), messageOf(t, 0, "evt_0", 1)).Acknowledged()`)
			}
			i.takeCame()
			i.bundle.misbehave(1, always(row.tricks...))
			answer := i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", row.attempt))
			if want := (Answer{HTTPStatus: http.StatusOK}); !reflect.DeepEqual(answer, want) {
				t.Fatalf("answer is %+v, want %+v", answer, want)
			}
			if got := i.takeCame(); !reflect.DeepEqual(got, row.want) {
				t.Fatalf("i.takeCame() is %q, want %q", got, row.want)
			}
			if got := i.bundle.bank.trickster.report().WronglyAccepted; got != 0 {
				t.Fatalf("i.bundle.bank.trickster.report().WronglyAccepted is %v, want zero", got)
			}
		})
	}
}

// The list of deliveries says what became of the message, whatever was answered
// to what was sent along with it.
func TestWhatIsSentAlongIsNoAcknowledgement(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickDuplicate, TrickForge, TrickReplay))
	i.refuses = true
	if got, want := i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1)), (Answer{HTTPStatus: http.StatusServiceUnavailable}); !reflect.DeepEqual(got, want) {
		t.Fatalf(`i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1)) is %+v, want %+v`, got, want)
	}
}

func TestABoxOfficeThatBelievesForgeriesIsNoticed(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickForge, TrickReplay))
	i.gullible = true
	i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1))
	if got := i.bundle.bank.trickster.report().WronglyAccepted; got != int64(5) {
		t.Fatalf("i.bundle.bank.trickster.report().WronglyAccepted is %v, want int64(5)", got)
	}
}

func TestReorderIsToBeOvertaken(t *testing.T) {
	i := startInbox(t)
	i.bundle.misbehave(1, always(TrickReorder))
	first := make(chan Answer, 1)
	go func() { first <- i.sender.Send(t.Context(), messageOf(t, 1, "evt_1", 1)) }()
	eventually(t, func() bool {
		i.sender.mu.Lock()
		defer i.sender.mu.Unlock()
		return i.sender.waiting != nil
	}, 10*time.Second, time.Millisecond)
	if !i.sender.Send(t.Context(), messageOf(t, 2, "evt_2", 1)).Acknowledged() {
		t.Fatal(`want true: i.sender.Send(t.Context(), messageOf(t, 2, "evt_2", 1)).Acknowledged()`)
	}
	if !(<-first).Acknowledged() {
		t.Fatal("want true: (<-first).Acknowledged()")
	}
	if got, want := i.takeCame(), []string{"failed evt_2", "failed evt_1"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("i.takeCame() is %q, want %q", got, want)
	}
	if got, want := i.bundle.bank.trickster.report().Played, map[Trick]int64{TrickReorder: 1}; !reflect.DeepEqual(got, want) {
		t.Fatalf("i.bundle.bank.trickster.report().Played is %v, want %v", got, want)
	}
}

func TestAMessageThatNobodyOvertakesIsSentAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trickSender{}
		began := time.Now()
		if s.giveWay(t.Context()) {
			t.Fatal("want false: s.giveWay(t.Context())")
		}
		if got := time.Since(began); got != reorderWaitMax {
			t.Fatalf("time.Since(began) is %v, want %v", got, reorderWaitMax)
		}
		if s.waiting != nil {
			t.Fatalf("s.waiting is %+v, want nil", s.waiting)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		if s.giveWay(ctx) {
			t.Fatal("want false: s.giveWay(ctx)")
		}
		if got := time.Since(began); got != 0 {
			t.Fatalf("time.Since(began) is %v, want zero", got)
		}
	})
}

func TestOneMessageWaitsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &trickSender{}
		overtaken := make(chan bool, 1)
		go func() { overtaken <- s.giveWay(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		if s.giveWay(t.Context()) {
			t.Fatal("want false: s.giveWay(t.Context())")
		}
		if got := time.Since(began); got != 0 {
			t.Fatalf("time.Since(began) is %v, want zero: the second does not wait", got)
		}
		s.overtake()
		if !<-overtaken {
			t.Fatal("want true: <-overtaken")
		}
	})
}

func TestLettersAreBounded(t *testing.T) {
	s := &trickSender{}
	for n := range lettersMax + 3 {
		s.keep(letter{body: []byte{byte(n)}})
	}
	if len(s.letters) != lettersMax {
		t.Fatalf("%d in s.letters, want %d: %+v", len(s.letters), lettersMax, s.letters)
	}
	if got, want := s.oldest().body, []byte{3}; !bytes.Equal(got, want) {
		t.Fatalf("s.oldest().body is %q, want %q", got, want)
	}
}
