package domain_test

import (
	"errors"
	"net/mail"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"boxoffice/domain"
)

func TestOneMailboxIsOneBuyer(t *testing.T) {
	for want, written := range map[string][]string{
		"grace@example.com":                    {"grace@example.com", "Grace@Example.COM", "  grace@example.com\t", "\u00a0grace@example.com\u3000"},
		"y@xn--mnchen-3ya.example":             {"y@münchen.example", "y@mu\u0308nchen.example", "Y@MÜNCHEN.example", "y@xn--mnchen-3ya.example", "y@XN--MNCHEN-3YA.example"},
		"a@xn--fsqu00a.xn--0zwm56d":            {"a@例子.测试", "a@例子。测试", "a@xn--fsqu00a.xn--0zwm56d"},
		"a@xn--strae-oqa.example":              {"a@straße.example", "a@STRAßE.example"},
		"a@example.com":                        {"a@ｅｘａｍｐｌｅ.com", "a@example．com"},
		"müller@example.com":                   {"müller@example.com", "mu\u0308ller@example.com", "MÜLLER@example.com", "MU\u0308LLER@example.com"},
		"иван@example.com":                     {"иван@example.com", "ИВАН@EXAMPLE.com"},
		"ภาษานำ@example.com":                   {"ภาษานำ@example.com"},
		"o'neil+tag%x!#$&*/=?^_`{|}~-@a-b.c0m": {"O'Neil+Tag%x!#$&*/=?^_`{|}~-@A-B.c0m"},
		"a@xn--mgba3gch31f060k.example":        {"a@نامه\u200cای.example", "a@xn--mgba3gch31f060k.example"}, // a non-joiner where the script needs it
	} {
		for _, text := range written {
			got, err := domain.NormalizeEmail(text)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if got != want {
				t.Fatalf("got %q, want %q: %q", got, want, text)
			}
		}
	}
}

// No two of these are the same mailbox.
func TestAnotherMailboxIsAnotherBuyer(t *testing.T) {
	seen := make(map[string]string)
	for _, text := range []string{
		"inci@example.com", "İnci@example.com", "ınci@example.com", "i\u0307nci@example.com"[1:], "ss@example.com", "ß@example.com",
		"a@strasse.example", "a@straße.example", "muller@example.com", "müller@example.com", "mueller@example.com",
		"σ@example.com", "ς@example.com", "а@example.com" /* Cyrillic */, "a@example.com", "a.b@example.com", "ab@example.com", "a+b@example.com",
	} {
		got, err := domain.NormalizeEmail(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if seen[got] != "" {
			t.Fatalf("seen[got] is %q, want nothing: %q is also %q", seen[got], text, got)
		}
		seen[got] = text
	}
}

func TestInvalidAddressesAreRefused(t *testing.T) {
	label := strings.Repeat("a", 63)
	for name, text := range map[string]string{
		"nothing": "", "spaces": "  ", "no at": "example.com", "no local part": "@example.com", "no domain": "a@",
		"one label": "a@localhost", "two ats": "a@b@example.com", "a display name": "A <a@example.com>", "a list": "a@example.com,b@example.com",
		"a comment": "a(b)@example.com", "quoted": `"a b"@example.com`, "quoted plainly": `"a"@example.com`, "a backslash": `a\b@example.com`,
		"a full stop first": ".a@example.com", "a full stop last": "a.@example.com", "two full stops": "a..b@example.com",
		"an empty label": "a@b..com", "an empty label first": "a@.com", "an empty label last": "a@example.com.",
		"a hyphen first": "a@-b.com", "a hyphen last": "a@b-.com", "an underscore in the domain": "a@b_c.com", "a sign in the domain": "a@b!c.com",
		"a label of 64": "a@" + label + "a.com", "a label of 64 once it is an A-label": "a@" + strings.Repeat("ü", 60) + ".com",
		"a local part of 65": strings.Repeat("a", 65) + "@example.com", "a local part of 66 bytes": strings.Repeat("ü", 33) + "@example.com",
		"255 bytes": "a@" + label + "." + label + "." + label + "." + strings.Repeat("a", 57) + ".com", "too long": strings.Repeat("a", 5000) + "@example.com",
		"a bare IP address": "a@127.0.0.1", "short for one": "a@127.1", "in full-width digits": "a@１２７.0.0.1", "a domain that ends in a number": "a@example.123",
		"an IPv4 literal": "a@[127.0.0.1]", "an IPv6 literal": "a@[IPv6:2001:db8::1]",
		"a line break": "a@example.com\r\nbcc: b@example.com", "a line break within": "a\n@example.com", "NUL": "a\x00@example.com", "DEL": "a\x7f@example.com",
		"a space": "a b@example.com", "a tab": "a\tb@example.com", "a space in the domain": "a@exam ple.com",
		"a no-break space": "a\u00a0b@example.com", "an ideographic space": "a\u3000b@example.com", "a line separator": "a\u2028b@example.com",
		"a zero-width space": "a\u200bb@example.com", "a soft hyphen": "a\u00adb@example.com", "a word joiner": "a\u2060b@example.com",
		"a joiner": "a\u200db@example.com", "a non-joiner": "a\u200cb@example.com", "a byte order mark": "\ufeffa@example.com", "a direction": "a\u202eb@example.com",
		"a variation selector": "a\ufe0fb@example.com", "a grapheme joiner": "a\u034fb@example.com", "a filler": "a\u3164b@example.com", "a blank": "a\u2800b@example.com",
		"a tag": "a\U000e0061b@example.com", "private use": "a\ue000b@example.com", "not assigned": "a\u0378b@example.com", "a replacement character": "m\ufffdller@example.com",
		"a soft hyphen in the domain": "a@exam\u00adple.com", "a zero-width space in the domain": "a@exam\u200bple.com", "a non-joiner that no script needs": "a@exam\u200cple.com",
		"full-width letters": "ａ@example.com", "a ligature": "ﬁ@example.com", "mathematical letters": "𝐚@example.com", "a long s": "claſs@example.com", "a number in a circle": "①@example.com",
		"a full-width at": "a＠example.com", "half-width kana": "ｱ@example.com", "not UTF-8": "m\xfcller@example.com", "not UTF-8 in the domain": "a@m\xfcnchen.de",
		"an invalid A-label": "a@xn--a.example", "an A-label of ASCII": "a@xn--abc-.example", "a domain that is only an accent": "a@\u0308.com", "mixed directions": "a@aא1a.com",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := domain.NormalizeEmail(text)
			var definite *domain.Error
			if !errors.As(err, &definite) {
				t.Fatalf("the error is a %T, want a %T: %v: it is %q", err, definite, err, got)
			}
			if definite.Code != domain.CodeInvalid {
				t.Fatalf("definite.Code is %q, want %q", definite.Code, domain.CodeInvalid)
			}
			if definite.Field != "buyer.email" {
				t.Fatalf(`definite.Field is %q, want "buyer.email"`, definite.Field)
			}
			if text = strings.TrimSpace(text); !strings.Contains("a@example.com", text) { // the example in the message
				if got := err.Error(); strings.Contains(got, text) {
					t.Fatalf("%q is in %s", text, got)
				}
			}
		})
	}
}

// formerly is the normal form that addresses of earlier orders have.
func formerly(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > domain.EmailMaxLen {
		return "", false
	}
	local, host, ok := strings.Cut(s, "@")
	return s, ok && local != "" && strings.Contains(host, ".") && !strings.HasSuffix(host, ".")
}

// The quota of a buyer and the fingerprint of an order use the normal form, so that of an ASCII address must never change.
func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{
		"a@example.com", "A.B+c@Example.com", "A <a@b.c>", "\"a b\"@example.com", "a@[127.0.0.1]", "ä@exämple.com", "ǅ@ΑΣ.example", "a@xn--mnchen-3ya.example",
		"\u1e9e\u0345\u0390@example.com", "Ⅷ@Ⅷ.com", "a@\u0130.com", "İ@example.com", "a@a--b.com", "\u0344@example.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		before, was := formerly(text)
		once, err := domain.NormalizeEmail(text)
		isPlain := !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
		switch {
		case err != nil:
			return
		case isPlain && (!was || before != once):
			t.Fatalf("%q is %q, formerly %q (accepted: %t)", text, once, before, was)
		}
		twice, err := domain.NormalizeEmail(once)
		if err != nil || once != twice {
			t.Fatalf("%q is %q, and that is %q: %v", text, once, twice, err)
		}
		decomposed, err := domain.NormalizeEmail(norm.NFD.String(text))
		if err != nil || decomposed != once {
			t.Fatalf("%q is %q, decomposed %q: %v", text, once, decomposed, err)
		}
		local, host, _ := strings.Cut(once, "@")
		if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) || len(local) > 64 || len(once) > domain.EmailMaxLen {
			t.Fatalf("%q is %q", text, once)
		}
		if strings.ContainsFunc(once, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
			t.Fatalf("%q has what cannot be seen: %q", text, once)
		}
	})
}

// However a buyer writes the address, the quota is the same.
func TestTheQuotaIsTheMailboxs(t *testing.T) {
	buyer := func(email string) domain.BuyerID {
		order, err := domain.NewOrder(testSale(), keyring(t), "0123456789abcdef", []domain.Item{{Class: "A", Quantity: 1}}, email)
		if err != nil {
			t.Fatal(err)
		}
		return order.Buyer
	}
	if got, want := buyer("y@münchen.example"), buyer("y@xn--mnchen-3ya.example"); got != want {
		t.Fatalf(`buyer("y@münchen.example") is %v, want %v`, got, want)
	}
	if got, want := buyer("mu\u0308ller@example.com"), buyer("müller@example.com"); got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
	if got, want := buyer("İnci@example.com"), buyer("inci@example.com"); got == want {
		t.Fatalf(`buyer("İnci@example.com") is %v`, got)
	}
}
