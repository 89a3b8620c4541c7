package mockpay

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"sync"
	"time"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

const (
	// reorderWaitMax is how long a message waits to be overtaken.
	reorderWaitMax = 2 * time.Second
	// trickTimeout limits everything that is sent along with a message, before it and
	// after, so that the message itself has most of its own time.
	trickTimeout = 3 * time.Second
	lettersMax   = 64
	// staleBy is how far from now a timestamp is that must be refused.
	staleBy = 2 * mockpay.TimestampTolerance
)

// trickSender plays the tricks on the wire around an HTTPSender. It answers only for the
// message itself: the tally shows what happened to forgeries and replays, never the list
// of deliveries. Tricks are for first attempts, so each is played once per webhook and
// process.
type trickSender struct {
	*HTTPSender
	trickster *trickster
	stranger  *mockpay.Signer // whose secret the box office does not know

	mu      sync.Mutex
	waiting chan struct{} // closed when the message that waits was overtaken; nil: none waits
	letters []letter      // the last that were sent, oldest first
}

func newTrickSender(next *HTTPSender, t *trickster) (*trickSender, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	secrets, err := mockpay.ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString(secret))
	if err != nil {
		return nil, err
	}
	stranger, err := mockpay.NewSigner(secrets)
	if err != nil {
		return nil, err
	}
	return &trickSender{HTTPSender: next, trickster: t, stranger: stranger}, nil
}

// Send implements Sender.
func (s *trickSender) Send(ctx context.Context, m Message) Answer {
	defer s.overtake()
	t := s.trickster.on(m.Event.Order)
	if m.Attempt > 1 {
		return s.HTTPSender.Send(ctx, m)
	}
	if t.play(TrickReorder) && s.giveWay(ctx) {
		s.trickster.played(TrickReorder)
	}
	if t.play(TrickForge) {
		s.forge(ctx, m)
	}
	genuine, err := s.sign(m.Event.ID, s.now(), m.Body)
	if err != nil {
		return Answer{Err: err}
	}
	answer := s.deliver(ctx, t, genuine)
	s.keep(genuine)
	if t.play(TrickReplay) {
		s.replay(ctx, m)
	}
	return answer
}

// giveWay waits until another message was sent, and reports whether one was. One message
// waits at a time; a second that should wait overtakes it instead.
func (s *trickSender) giveWay(ctx context.Context) (overtaken bool) {
	s.mu.Lock()
	if s.waiting != nil {
		s.mu.Unlock()
		return false
	}
	turn := make(chan struct{})
	s.waiting = turn
	s.mu.Unlock()
	timer := time.NewTimer(reorderWaitMax)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == turn {
		s.waiting = nil
	}
	return false
}

func (s *trickSender) overtake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		close(s.waiting)
		s.waiting = nil
	}
}

// deliver posts the message, twice at once for TrickDuplicate: one acknowledgement is
// enough, because both are of the same event.
func (s *trickSender) deliver(ctx context.Context, t *tricks, genuine letter) Answer {
	if !t.play(TrickDuplicate) {
		return s.post(ctx, genuine)
	}
	s.trickster.played(TrickDuplicate)
	copied := make(chan Answer, 1)
	go func() { copied <- s.post(ctx, genuine) }()
	answer, other := s.post(ctx, genuine), <-copied
	if other.Acknowledged() {
		return other
	}
	return answer
}

func (s *trickSender) keep(l letter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.letters) == lettersMax {
		s.letters = s.letters[1:]
	}
	s.letters = append(s.letters, l)
}

func (s *trickSender) oldest() letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.letters[0]
}

// forge sends a success that never happened, under the message's own id: none of it may
// stick, least of all the id.
func (s *trickSender) forge(ctx context.Context, m Message) {
	s.trickster.played(TrickForge)
	forged := m.Event
	forged.Type, forged.Payment = domain.PaymentSucceeded, "forged_"+forged.Order.String()
	now := s.now()
	body, err := mockpay.EncodeEvent(forged, now)
	if err != nil {
		s.trickster.log.Error("forge a webhook", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, trickTimeout)
	defer cancel()
	for _, f := range []struct {
		how  string
		sign func() (letter, error)
	}{
		{"unsigned", func() (letter, error) { return letter{make(http.Header), body}, nil }},
		{"signed by somebody else", func() (letter, error) {
			header, err := s.stranger.Headers(forged.ID, now, body)
			return letter{header, body}, err
		}},
		{"altered after it was signed", func() (letter, error) {
			l, err := s.sign(forged.ID, now, m.Body)
			return letter{l.header, body}, err
		}},
		{"from the future", func() (letter, error) { return s.sign(forged.ID, now.Add(staleBy), body) }},
	} {
		s.mustBeRefused(ctx, f.how, m.Event.Order, f.sign)
	}
}

// replay sends the oldest remembered webhook once more, byte for byte, and this one as if
// it had been recorded a while ago. The first must have no second effect, the other none
// at all.
func (s *trickSender) replay(ctx context.Context, m Message) {
	s.trickster.played(TrickReplay)
	ctx, cancel := context.WithTimeout(ctx, trickTimeout)
	defer cancel()
	s.post(ctx, s.oldest())
	s.mustBeRefused(ctx, "stale", m.Event.Order, func() (letter, error) {
		return s.sign(m.Event.ID, s.now().Add(-staleBy), m.Body)
	})
}

func (s *trickSender) mustBeRefused(ctx context.Context, how string, order domain.OrderID, sign func() (letter, error)) {
	l, err := sign()
	if err != nil {
		s.trickster.log.Error("sign a webhook", "error", fmt.Errorf("%s: %w", how, err))
		return
	}
	if answer := s.post(ctx, l); answer.Acknowledged() {
		s.trickster.wronglyAccepted(how, order, answer.HTTPStatus)
	}
}
