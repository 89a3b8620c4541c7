package humancheck

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
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
	c, err := New(keys, bits)
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

// solutionOf gives a hash with so many leading zero bits, and a one behind them.
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
		"solved": {func(c *Check, ch, s string) error { return c.Verify("a", ch, s, noon) }, ""},
		"solved, in its last second": {func(c *Check, ch, s string) error {
			return c.Verify("a", ch, s, noon.Add(Lifetime-time.Second))
		}, ""},
		"expired":         {func(c *Check, ch, s string) error { return c.Verify("a", ch, s, noon.Add(Lifetime)) }, domain.CodeProofRequired},
		"not solved":      {func(c *Check, ch, _ string) error { return c.Verify("a", ch, wrong(ch, testBits), noon) }, domain.CodeProofRequired},
		"of another sale": {func(c *Check, ch, s string) error { return c.Verify("b", ch, s, noon) }, domain.CodeProofRequired},
		"of another key": {func(c *Check, ch, s string) error {
			return newCheck(t, 8, testBits).Verify("a", ch, s, noon)
		}, domain.CodeProofRequired},
		"of another node": {func(c *Check, ch, s string) error {
			return newCheck(t, 7, testBits).Verify("a", ch, s, noon)
		}, ""},
		"of a node that asks for more": {func(c *Check, ch, s string) error {
			return newCheck(t, 7, BitsMax).Verify("a", ch, s, noon)
		}, ""},
		"used before": {func(c *Check, ch, s string) error {
			return errors.Join(c.Verify("a", ch, s, noon), c.Verify("a", ch, s, noon.Add(Lifetime-time.Second)))
		}, domain.CodeProofRequired},
		"used before, another solution": {func(c *Check, ch, s string) error {
			second := ""
			for n := 0; second == ""; n++ {
				if try := fmt.Sprintf("again%x", n); solves(ch, try, testBits) {
					second = try
				}
			}
			return errors.Join(c.Verify("a", ch, s, noon), c.Verify("a", ch, second, noon))
		}, domain.CodeProofRequired},
		"used before, and long ago for the node": {func(c *Check, ch, s string) error {
			rotate, bits, _, _ := c.Challenge("a", noon) // begins what the node remembers, and ends it a lifetime later
			if err := c.Verify("a", rotate, Solve(rotate, bits), noon.Add(-time.Minute)); err != nil {
				return err
			}
			late, bits, _, _ := c.Challenge("a", noon.Add(3*time.Minute))
			solution := Solve(late, bits)
			if err := c.Verify("a", late, solution, noon.Add(3*time.Minute)); err != nil {
				t.Error(err)
			}
			if err := c.Verify("a", ch, s, noon.Add(Lifetime-time.Second)); err != nil {
				t.Error(err)
			}
			return c.Verify("a", late, solution, noon.Add(Lifetime))
		}, domain.CodeProofRequired},
		"solved with not a bit to spare": {func(c *Check, ch, _ string) error { return c.Verify("a", ch, solutionOf(ch, testBits), noon) }, ""},
		"a bit is missing":               {func(c *Check, ch, _ string) error { return c.Verify("a", ch, solutionOf(ch, testBits-1), noon) }, domain.CodeProofRequired},
		"the longest solution": {func(c *Check, ch, _ string) error {
			for n := 0; ; n++ {
				if s := fmt.Sprintf("%0*x", SolutionLenMax, n); solves(ch, s, testBits) {
					return c.Verify("a", ch, s, noon)
				}
			}
		}, ""},
		"a failed attempt uses nothing up": {func(c *Check, ch, s string) error {
			if c.Verify("a", ch, wrong(ch, testBits), noon) == nil {
				t.Error("a wrong solution was accepted")
			}
			return c.Verify("a", ch, s, noon)
		}, ""},
		"a solution that is too long": {func(c *Check, ch, _ string) error {
			return c.Verify("a", ch, strings.Repeat("x", SolutionLenMax+1), noon)
		}, domain.CodeProofRequired},
		"nothing":      {func(c *Check, _, _ string) error { return c.Verify("a", "", "", noon) }, domain.CodeProofRequired},
		"more padding": {func(c *Check, ch, s string) error { return c.Verify("a", ch+"=", s, noon) }, domain.CodeProofRequired},
		"easier by the client's hand": {func(c *Check, ch, _ string) error {
			raw, _ := base64.RawURLEncoding.DecodeString(ch)
			raw[1] = 1
			easier := base64.RawURLEncoding.EncodeToString(raw)
			return c.Verify("a", easier, Solve(easier, 1), noon)
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
	if err := c.Verify("a", "", "", noon); err != nil {
		t.Error(err)
	}
}

func TestDifficultyIsBounded(t *testing.T) {
	for _, bits := range []int{-1, BitsMax + 1} {
		if _, err := New(nil, bits); err == nil {
			t.Errorf("%d bits were accepted", bits)
		}
	}
}

// What is remembered is bounded, and what no longer counts is forgotten.
func TestUsedChallengesAreBounded(t *testing.T) {
	c := newCheck(t, 7, 1)
	c.used.max = 2
	join := func(at time.Time) error {
		challenge, bits, _, _ := c.Challenge("a", at)
		return c.Verify("a", challenge, Solve(challenge, bits), at)
	}
	for range 2 {
		if err := join(noon); err != nil {
			t.Fatal(err)
		}
	}
	var refusal *domain.Error
	if err := join(noon); !errors.As(err, &refusal) || refusal.Code != domain.CodeOverloaded || refusal.RetryAfter <= 0 {
		t.Errorf("one more than the maximum: %v", err)
	}
	if err := join(noon.Add(Lifetime)); err != nil {
		t.Errorf("a lifetime later: %v", err)
	}
	_ = join(noon.Add(2 * Lifetime))
	if n := len(c.used.current) + len(c.used.earlier); n != 2 {
		t.Errorf("%d are remembered after two lifetimes, want 2", n)
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
		if err := ours.Verify("a", sent, solution, noon); err != nil && domain.CodeOf(err) != domain.CodeProofRequired {
			t.Fatal(err)
		}
		if err := theirs.Verify("a", sent, solution, noon); domain.CodeOf(err) != domain.CodeProofRequired {
			t.Fatalf("another key's challenge %q: %v", sent, err)
		}
	})
}

func BenchmarkChallengeAndVerify(b *testing.B) {
	c := newCheck(b, 7, 1)
	for b.Loop() {
		challenge, bits, _, _ := c.Challenge("a", noon)
		_ = c.Verify("a", challenge, Solve(challenge, bits), noon)
	}
}

// What a solver pays: hashes of one core.
func BenchmarkSolve16Bits(b *testing.B) {
	c := newCheck(b, 7, 16)
	for b.Loop() {
		challenge, bits, _, _ := c.Challenge("a", noon)
		Solve(challenge, bits)
	}
}
