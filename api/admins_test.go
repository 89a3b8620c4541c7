package api

import (
	"strings"
	"testing"
)

func TestAdminsAreParsed(t *testing.T) {
	const token, other = "0123456789abcdef", "fedcba9876543210"
	for name, tt := range map[string]struct {
		text  string
		want  []Admin
		wrong string
	}{
		"one token":                           {text: token, want: []Admin{{"organiser", token}}},
		"one with a name":                     {text: "ann:" + token, want: []Admin{{"ann", token}}},
		"the new one in front of the old one": {text: "ann:" + token + "\n ann:" + other, want: []Admin{{"ann", token}, {"ann", other}}},
		"with and without a name":             {text: token + " bob-2:" + other, want: []Admin{{"organiser", token}, {"bob-2", other}}},
		"a colon that follows no name":        {text: "Ann:" + token, want: []Admin{{"organiser", "Ann:" + token}}},
		"a short token":                       {text: "ann:0123456789abcde", wrong: "ann has 15 characters"},
		"a name alone":                        {text: "ann:", wrong: "ann has 0 characters"},
		"nothing":                             {text: " ", wrong: "no token"},
		"too many":                            {text: strings.Repeat(token+" ", 33), wrong: "33 tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAdmins(tt.text)
			if tt.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), token) {
					t.Fatalf("the error is %v, want %q in it, and no token", err, tt.wrong)
				}
				return
			}
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("%v, %v, want %v", got, err, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("%v, want %v", got[i], tt.want[i])
				}
			}
		})
	}
}

// While a token is changed, the old one and the new one are good.
func TestTwoTokensWhileOneIsChanged(t *testing.T) {
	const old, fresh = "the-old-token-0123456", "the-new-token-0123456"
	for name, tt := range map[string]struct {
		configured string
		old, fresh int
	}{
		"before":  {"ann:" + old, 200, 401},
		"between": {"ann:" + fresh + " ann:" + old, 200, 200},
		"after":   {"ann:" + fresh, 401, 200},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(o *Options) { o.AdminToken = tt.configured })
			for token, want := range map[string]int{old: tt.old, fresh: tt.fresh, "ann:" + old: 401, "ann:" + fresh: 401} {
				if w := b.do(request{"GET", "/v1/orders", "", bearerOf(token)}); w.Code != want {
					t.Errorf("%s: %d, want %d", token, w.Code, want)
				}
			}
		})
	}
}

// Commands of the docs send one token; whoever sends the whole variable is told what is wrong with that.
func TestTheWholeVariableIsNotAToken(t *testing.T) {
	const one, other = "the-old-token-0123456", "the-new-token-0123456"
	b := setup(t, func(o *Options) { o.AdminToken = "ann:" + one + " " + other })
	for sent, isToldSo := range map[string]bool{
		"ann:" + one + " " + other: true,
		"ann:" + one:               true,
		one + " " + other:          true,
		"wrong":                    false,
		"":                         false,
	} {
		w := b.do(request{"GET", "/v1/orders", "", bearerOf(sent)})
		if got := strings.Contains(w.Body.String(), "without its name"); w.Code != 401 || got != isToldSo {
			t.Errorf("%q: %d %s, told so: want %v", sent, w.Code, w.Body, isToldSo)
		}
		if strings.Contains(w.Body.String(), one) || strings.Contains(w.Body.String(), other) {
			t.Errorf("%q: the answer has a token: %s", sent, w.Body)
		}
	}
}
