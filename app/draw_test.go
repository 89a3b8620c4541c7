package app

import (
	"encoding/hex"
	"testing"

	"boxoffice/waitingroom"
)

func TestDrawTakesOnlyTheSeedThatWasCommittedTo(t *testing.T) {
	seed := []byte("0123456789abcdef0123456789abcdef")
	good := []string{"-sale", "rush", "-seed", hex.EncodeToString(seed), "-commitment", waitingroom.Commitment(seed, "rush"), "-size", "10", "-index", "3"}
	for _, c := range []struct {
		name   string
		change int
		to     string
		ok     bool
	}{
		{"as published", 1, "rush", true},
		{"another sale", 1, "other", false},
		{"another seed", 3, hex.EncodeToString(make([]byte, 32)), false},
		{"no seed", 3, "", false},
		{"no hexadecimal seed", 3, "xyz", false},
		{"no size", 7, "-1", false},
		{"joined after the draw", 9, "10", false},
	} {
		args := append([]string{}, good...)
		args[c.change] = c.to
		if err := drawPlace(t.Context(), args); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
