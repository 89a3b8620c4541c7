package humancheck

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"boxoffice/domain"
)

const testBits = 8

var noon = time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)

func newCheck(t testing.TB, keyByte byte, bits int) *Check {
	t.Helper()
	keys, err := domain.NewKeyring(bytes.Repeat([]byte{keyByte}, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(keys, bits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wrong(challenge string, bits int) string {
	for n := 0; ; n++ {
		if s := strings.Repeat("x", n); !solves(challenge, s, bits) {
			return s
		}
	}
}

// solutionOf returns a hash with exactly n leading zero bits.
func solutionOf(challenge string, zeroBits int) string {
	for n := 0; ; n++ {
		if s := fmt.Sprint(n); solves(challenge, s, zeroBits) && !solves(challenge, s, zeroBits+1) {
			return s
		}
	}
}

func TestVerify(t *testing.T) {
	for name, tt := range map[string]struct {
		verify func(c *Check, challenge, solution string) error
		code   domain.Code // empty: accepted
	}{
		"solved": {func(c *Check, ch, s string) error { return c.Verify(context.Background(), "a", ch, s, noon) }, ""},
		"solved, in its last second": {func(c *Check, ch, s string) error {
			return c.Verify(context.Background(), "a", ch, s, noon.Add(Lifetime-time.Second))
		}, ""},
		"expired": {func(c *Check, ch, s string) error {
			return c.Verify(context.Background(), "a", ch, s, noon.Add(Lifetime))
		}, domain.CodeProofRequired},
		"not solved": {func(c *Check, ch, _ string) error {
			return c.Verify(context.Background(), "a", ch, wrong(ch, testBits), noon)
		}, domain.CodeProofRequired},
		"of another sale": {func(c *Check, ch, s string) error { return c.Verify(context.Background(), "b", ch, s, noon) }, domain.CodeProofRequired},
		"of another key": {func(c *Check, ch, s string) error {
			return newCheck(t, 8, testBits).Verify(context.Background(), "a", ch, s, noon)
		}, domain.CodeProofRequired},
		"of another node": {func(c *Check, ch, s string) error {
			return newCheck(t, 7, testBits).Verify(context.Background(), "a", ch, s, noon)
		}, ""},
		"of a node that asks for more": {func(c *Check, ch, s string) error {
			return newCheck(t, 7, BitsMax).Verify(context.Background(), "a", ch, s, noon)
		}, ""},
		"used before": {func(c *Check, ch, s string) error {
			return errors.Join(c.Verify(context.Background(), "a", ch, s, noon), c.Verify(context.Background(), "a", ch, s, noon.Add(Lifetime-time.Second)))
		}, domain.CodeProofRequired},
		"used before, another solution": {func(c *Check, ch, s string) error {
			second := ""
			for n := 0; second == ""; n++ {
				if try := fmt.Sprintf("again%x", n); solves(ch, try, testBits) {
					second = try
				}
			}
			return errors.Join(c.Verify(context.Background(), "a", ch, s, noon), c.Verify(context.Background(), "a", ch, second, noon))
		}, domain.CodeProofRequired},
		"used before, and long ago for the node": {func(c *Check, ch, s string) error {
			rotate, bits, _, _ := c.Challenge("a", noon) // begins what the node remembers, and ends it a lifetime later
			if err := c.Verify(context.Background(), "a", rotate, Solve(rotate, bits), noon.Add(-time.Minute)); err != nil {
				return err
			}
			late, bits, _, _ := c.Challenge("a", noon.Add(3*time.Minute))
			solution := Solve(late, bits)
			if err := c.Verify(context.Background(), "a", late, solution, noon.Add(3*time.Minute)); err != nil {
				t.Error(err)
			}
			if err := c.Verify(context.Background(), "a", ch, s, noon.Add(Lifetime-time.Second)); err != nil {
				t.Error(err)
			}
			return c.Verify(context.Background(), "a", late, solution, noon.Add(Lifetime))
		}, domain.CodeProofRequired},
		"solved with not a bit to spare": {func(c *Check, ch, _ string) error {
			return c.Verify(context.Background(), "a", ch, solutionOf(ch, testBits), noon)
		}, ""},
		"a bit is missing": {func(c *Check, ch, _ string) error {
			return c.Verify(context.Background(), "a", ch, solutionOf(ch, testBits-1), noon)
		}, domain.CodeProofRequired},
		"the longest solution": {func(c *Check, ch, _ string) error {
			for n := 0; ; n++ {
				if s := fmt.Sprintf("%0*x", SolutionLenMax, n); solves(ch, s, testBits) {
					return c.Verify(context.Background(), "a", ch, s, noon)
				}
			}
		}, ""},
		"a failed attempt uses nothing up": {func(c *Check, ch, s string) error {
			if c.Verify(context.Background(), "a", ch, wrong(ch, testBits), noon) == nil {
				t.Error("a wrong solution was accepted")
			}
			return c.Verify(context.Background(), "a", ch, s, noon)
		}, ""},
		"a solution that is too long": {func(c *Check, ch, _ string) error {
			return c.Verify(context.Background(), "a", ch, strings.Repeat("x", SolutionLenMax+1), noon)
		}, domain.CodeProofRequired},
		"nothing":      {func(c *Check, _, _ string) error { return c.Verify(context.Background(), "a", "", "", noon) }, domain.CodeProofRequired},
		"more padding": {func(c *Check, ch, s string) error { return c.Verify(context.Background(), "a", ch+"=", s, noon) }, domain.CodeProofRequired},
		"easier by the client's hand": {func(c *Check, ch, _ string) error {
			raw, _ := base64.RawURLEncoding.DecodeString(ch)
			raw[1] = 1
			easier := base64.RawURLEncoding.EncodeToString(raw)
			return c.Verify(context.Background(), "a", easier, Solve(easier, 1), noon)
		}, domain.CodeProofRequired},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCheck(t, 7, testBits)
			challenge, bits, expiresAt, required := c.Challenge("a", noon)
			if !required || bits != testBits || !expiresAt.Equal(noon.Add(Lifetime)) || len(challenge) != encodedLen {
				t.Fatalf("challenge %q of %d bits until %v, required %t", challenge, bits, expiresAt, required)
			}
			err := tt.verify(c, challenge, Solve(challenge, bits))
			if tt.code == "" && err != nil || tt.code != "" && domain.CodeOf(err) != tt.code {
				t.Errorf("answer %v, want code %q", err, tt.code)
			}
		})
	}
}

func TestOffAsksForNothing(t *testing.T) {
	c := newCheck(t, 7, 0)
	if challenge, bits, _, required := c.Challenge("a", noon); required || challenge != "" || bits != 0 {
		t.Errorf("challenge %q of %d bits, required %t", challenge, bits, required)
	}
	if err := c.Verify(context.Background(), "a", "", "", noon); err != nil {
		t.Error(err)
	}
}

func TestDifficultyIsBounded(t *testing.T) {
	for _, bits := range []int{-1, BitsMax + 1} {
		if _, err := New(nil, bits, nil); err == nil {
			t.Errorf("%d bits were accepted", bits)
		}
	}
}

// What is remembered is bounded, what no longer counts is forgotten, and nobody is locked
// out because many have joined.
func TestUsedChallengesAreBounded(t *testing.T) {
	c := newCheck(t, 7, 1)
	c.used.max = 2
	join := func(at time.Time) (challenge string) {
		t.Helper()
		challenge, bits, _, _ := c.Challenge("a", at)
		if err := c.Verify(t.Context(), "a", challenge, Solve(challenge, bits), at); err != nil {
			t.Errorf("a solved challenge: %v", err)
		}
		return challenge
	}
	var last string
	for range 10 {
		last = join(noon)
	}
	if err := c.Verify(t.Context(), "a", last, Solve(last, 1), noon); domain.CodeOf(err) != domain.CodeProofRequired {
		t.Errorf("the newest one, again: %v", err)
	}
	if n := len(c.used.current) + len(c.used.earlier); n > 4 {
		t.Errorf("%d are remembered, want 4 at most", n)
	}
	join(noon.Add(Lifetime))
	join(noon.Add(2 * Lifetime))
	if n := len(c.used.current) + len(c.used.earlier); n != 2 {
		t.Errorf("%d are remembered after two lifetimes, want 2", n)
	}
}

// noted is what the nodes share.
type noted struct {
	mu    sync.Mutex
	seen  map[string]bool
	calls int
	err   error
	begun chan struct{} // called for each call; nil: not called
	wait  chan struct{} // of each call; nil: none
}

func (n *noted) spend(_ context.Context, nonces [][]byte, _ time.Time) (fresh []bool, err error) {
	if n.begun != nil {
		n.begun <- struct{}{}
	}
	if n.wait != nil {
		<-n.wait
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	for _, nonce := range nonces {
		fresh = append(fresh, !n.seen[string(nonce)])
		n.seen[string(nonce)] = true
	}
	return fresh, n.err
}

// A challenge is good for one join, on whatever node, and after a restart.
func TestAChallengeIsUsedOnceOnAllNodes(t *testing.T) {
	all := &noted{seen: map[string]bool{}}
	node := func() *Check {
		c := newCheck(t, 7, testBits)
		c.shared = newSpender(all.spend)
		return c
	}
	a, b := node(), node()
	challenge, bits, _, _ := a.Challenge("a", noon)
	solution := Solve(challenge, bits)
	if err := a.Verify(t.Context(), "a", challenge, solution, noon); err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]*Check{"there": a, "on another node": b, "after a restart": node()} {
		if err := again.Verify(t.Context(), "a", challenge, solution, noon); domain.CodeOf(err) != domain.CodeProofRequired {
			t.Errorf("again %s: %v", name, err)
		}
	}
	all.err = errors.New("away")
	challenge, bits, _, _ = a.Challenge("a", noon)
	var refusal *domain.Error
	if err := b.Verify(t.Context(), "a", challenge, Solve(challenge, bits), noon); !errors.As(err, &refusal) || refusal.Code != domain.CodeOverloaded || refusal.RetryAfter <= 0 {
		t.Errorf("while it is not known: %v", err)
	}
}

// Those who come while a call is under way share the next one; each gets its own answer.
func TestManyShareACall(t *testing.T) {
	all := &noted{seen: map[string]bool{}, begun: make(chan struct{}, 3), wait: make(chan struct{})}
	c := newCheck(t, 7, 1)
	c.shared = newSpender(all.spend)
	const people = 50
	answers := make(chan error, people)
	join := func() {
		challenge, bits, _, _ := c.Challenge("a", noon)
		answers <- c.Verify(t.Context(), "a", challenge, Solve(challenge, bits), noon)
	}
	go join()
	<-all.begun // its call is under way, and waits
	for range people - 1 {
		go join()
	}
	for c.shared.Waiting() < people-1 {
		runtime.Gosched()
	}
	close(all.wait)
	for range people {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if all.calls != 2 {
		t.Errorf("%d people took %d calls", people, all.calls)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	all.wait = make(chan struct{})
	challenge, bits, _, _ := c.Challenge("a", noon)
	if err := c.Verify(gone, "a", challenge, Solve(challenge, bits), noon); domain.CodeOf(err) != domain.CodeOverloaded {
		t.Errorf("who left: %v", err)
	}
	close(all.wait)
}

// Joining gets harder while many join that sale, up to a bound, and easy again.
func TestDifficultyFollowsTheRate(t *testing.T) {
	for perSecond, want := range map[int]int{0: 0, 99: 0, 100: 1, 250: 2, 799: 3, 800: 4, 100_000: 4} {
		c := newCheck(t, 7, 16)
		for range perSecond * int(rateWindow/time.Second) {
			c.rates.count("a", noon)
		}
		bitsAt := func(sale string, at time.Time) int {
			_, bits, _, _ := c.Challenge(sale, at)
			return bits - 16
		}
		if got := bitsAt("a", noon.Add(rateWindow)); got != want {
			t.Errorf("%d a second: %d bits more, want %d", perSecond, got, want)
		}
		if got := bitsAt("b", noon.Add(rateWindow)); got != 0 {
			t.Errorf("another sale: %d bits more", got)
		}
		if got := bitsAt("a", noon.Add(3*rateWindow)); got != 0 {
			t.Errorf("half a minute later: %d bits more", got)
		}
		for i := range 3 * salesMax {
			c.rates.count(fmt.Sprint(i), noon)
		}
		if len(c.rates.sales) > salesMax {
			t.Errorf("%d sales are remembered", len(c.rates.sales))
		}
	}
	c := newCheck(t, 7, BitsMax)
	for range 100_000 {
		c.rates.count("a", noon)
	}
	if challenge, bits, _, _ := c.Challenge("a", noon); bits != BitsMax {
		t.Errorf("%d bits: %s", bits, challenge)
	}
}

// Whatever is sent is answered, with one failure, and nothing that another key made
// is accepted. The seeds are solved challenges of the first key.
func FuzzVerify(f *testing.F) {
	ours, theirs := newCheck(f, 7, testBits), newCheck(f, 8, testBits)
	challenge, bits, _, _ := ours.Challenge("a", noon)
	f.Add(challenge, Solve(challenge, bits))
	f.Add(strings.ToLower(challenge), "")
	f.Add("", strings.Repeat("0", 100))
	f.Fuzz(func(t *testing.T, sent, solution string) {
		if err := ours.Verify(context.Background(), "a", sent, solution, noon); err != nil && domain.CodeOf(err) != domain.CodeProofRequired {
			t.Fatal(err)
		}
		if err := theirs.Verify(context.Background(), "a", sent, solution, noon); domain.CodeOf(err) != domain.CodeProofRequired {
			t.Fatalf("another key's challenge %q: %v", sent, err)
		}
	})
}

func BenchmarkChallengeAndVerify(b *testing.B) {
	c := newCheck(b, 7, 1)
	for b.Loop() {
		challenge, bits, _, _ := c.Challenge("a", noon)
		_ = c.Verify(context.Background(), "a", challenge, Solve(challenge, bits), noon)
	}
}

// The solver's cost: hashes of one core.
func BenchmarkSolve16Bits(b *testing.B) {
	c := newCheck(b, 7, 16)
	for b.Loop() {
		challenge, bits, _, _ := c.Challenge("a", noon)
		Solve(challenge, bits)
	}
}
