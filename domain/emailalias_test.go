package domain_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"boxoffice/domain"
)

func TestAliasesOfAMailboxAreOneBuyer(t *testing.T) {
	for _, c := range []struct {
		name, mailbox string
		aliases       []string
	}{
		{"Google: full stops, tags, the other domain", "gracehopper@gmail.com",
			[]string{"gracehopper@gmail.com", "Grace.Hopper@gmail.com", "g.r.a.c.e.hopper+tickets@googlemail.com", "gracehopper+a+b@gmail.com", "grace.hopper.+x@gmail.com"}},
		{"Microsoft: tags; a full stop is another mailbox", "grace.hopper@outlook.com", []string{"grace.hopper@outlook.com", "grace.hopper+1@outlook.com", "grace.hopper.+1@OUTLOOK.com"}},
		{"Microsoft's other domains are other mailboxes", "grace@hotmail.co.uk", []string{"grace+x@hotmail.co.uk"}},
		{"Apple: tags", "grace@icloud.com", []string{"grace@icloud.com", "grace+x@icloud.com"}},
		{"Proton: signs, tags, domains", "gracehopper@proton.me",
			[]string{"grace.hopper@proton.me", "grace_hopper@protonmail.com", "grace-hopper+x@pm.me", "GraceHopper@protonmail.ch"}},
		{"Yandex: a full stop is a hyphen, and the domains are one", "grace-hopper@yandex.ru",
			[]string{"grace.hopper@yandex.ru", "grace-hopper@ya.ru", "grace.hopper+x@yandex.com"}},
		{"Fastmail: tags", "grace@fastmail.com", []string{"grace+x@fastmail.com"}},
		{"elsewhere a tag may be somebody else", "grace+x@example.com", []string{"grace+x@example.com", "GRACE+x@Example.com"}},
		{"a domain that only ends like one", "g.r+x@notgmail.com", []string{"g.r+x@notgmail.com"}},
		{"a domain below one", "g.r+x@mail.gmail.com", []string{"g.r+x@mail.gmail.com"}},
		{"a name that is all tag stays", "+x@gmail.com", []string{"+x@gmail.com"}},
		{"a name that is all signs stays", "-_-@proton.me", []string{"-_-@proton.me"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, alias := range c.aliases {
				address, err := domain.NormalizeEmail(alias)
				if err != nil {
					t.Fatalf("%s: %v", alias, err)
				}
				if got := domain.AliasesFolded.Fold(address); got != c.mailbox {
					t.Errorf("%s counts as %s, want %s", alias, got, c.mailbox)
				}
				if got := domain.AliasesApart.Fold(address); got != address {
					t.Errorf("%s counts as %s in a sale that folds nothing", alias, got)
				}
			}
		})
	}
}

// addresses draws addresses that people might write, at providers that fold and at others.
func addresses() *rapid.Generator[string] {
	domains := []string{"example.com", "notgmail.com", "münchen.example", "yahoo.com",
		"gmail.com", "googlemail.com", "outlook.com", "hotmail.fr", "icloud.com", "proton.me", "pm.me", "fastmail.fm", "yandex.com", "ya.ru"}
	return rapid.Custom(func(t *rapid.T) string {
		local := rapid.StringMatching(`[A-Za-z0-9._+\-éß]{1,24}`).Draw(t, "local")
		return local + "@" + rapid.SampledFrom(domains).Draw(t, "domain")
	}).Filter(func(s string) bool { _, err := domain.NormalizeEmail(s); return err == nil })
}

func TestFoldingGivesANormalFormAndIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address, err := domain.NormalizeEmail(addresses().Draw(t, "address"))
		if err != nil {
			t.Fatal(err)
		}
		folded := domain.AliasesFolded.Fold(address)
		if again := domain.AliasesFolded.Fold(folded); again != folded {
			t.Fatalf("%s is folded to %s, and that to %s", address, folded, again)
		}
		if normal, err := domain.NormalizeEmail(folded); err != nil || normal != folded {
			t.Fatalf("%s is folded to %s, whose normal form is %s, %v", address, folded, normal, err)
		}
	})
}

// Every alias counts as its mailbox, and two names that differ by more stay two buyers.
func TestFoldingJoinsAliasesAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z][a-z0-9]{2,12}`).Draw(t, "name")
		other := rapid.StringMatching(`[a-z][a-z0-9]{2,12}`).Filter(func(s string) bool { return s != name }).Draw(t, "other")
		alias := func(name string) string {
			var dotted strings.Builder
			for i, letter := range name {
				if i > 0 && rapid.Bool().Draw(t, "full stop") {
					dotted.WriteByte('.')
				}
				dotted.WriteRune(letter)
			}
			tag := rapid.StringMatching(`(\+[a-z0-9]{0,5})?`).Draw(t, "tag")
			return dotted.String() + tag + rapid.SampledFrom([]string{"@gmail.com", "@googlemail.com"}).Draw(t, "domain")
		}
		if got, want := domain.AliasesFolded.Fold(alias(name)), name+"@gmail.com"; got != want {
			t.Fatalf("an alias of %s counts as %s", want, got)
		}
		if domain.AliasesFolded.Fold(alias(name)) == domain.AliasesFolded.Fold(alias(other)) {
			t.Fatalf("%s and %s are one buyer", name, other)
		}
	})
}

// The sale's rule decides whose quota an order uses, and nothing else about the order.
func TestAnOrderCountsForTheMailbox(t *testing.T) {
	keys := keyring(t)
	order := func(rule domain.AliasRule, email string) domain.Order {
		sale := testSale()
		sale.AliasRule = rule
		o, err := domain.NewOrder(sale, keys, "a-key-of-sixteen-letters", []domain.Item{{Class: sale.Classes[0].Name, Quantity: 1}}, email)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	a, b := order(domain.AliasesFolded, "grace.hopper@gmail.com"), order(domain.AliasesFolded, "gracehopper+2@googlemail.com")
	if a.Buyer != b.Buyer || a.Email != "grace.hopper@gmail.com" || b.Email != "gracehopper+2@googlemail.com" {
		t.Errorf("two aliases: buyers %v and %v, mail to %s and %s", a.Buyer, b.Buyer, a.Email, b.Email)
	}
	if a.Fingerprint == b.Fingerprint {
		t.Error("an order to another address is the same order")
	}
	if apart := order(domain.AliasesApart, "grace.hopper@gmail.com"); apart.Buyer == a.Buyer || apart.Buyer != keys.BuyerID(apart.SaleID, "grace.hopper@gmail.com") {
		t.Error("a sale that folds nothing counts by something else than the address")
	}
}
