package domain

import "strings"

// An AliasRule says which addresses of one mailbox count as one buyer. A sale keeps the
// rule that it was created with, because under another rule its buyers would have other
// quotas. So a rule never changes: a longer table of providers is a new rule, for sales
// created from then on.
type AliasRule int

const (
	// AliasesApart: every address is its own buyer.
	AliasesApart AliasRule = 0
	// AliasesFolded: at the providers in aliasProviders, all addresses that reach one
	// mailbox are one buyer.
	AliasesFolded AliasRule = 1
)

// An aliasProvider says how a provider's addresses reach a mailbox.
type aliasProvider struct {
	mailbox string // the domain under which all addresses are counted; empty: each domain counts apart
	ignored string // letters of the local part that make no difference
	dashed  bool   // a full stop is a hyphen
}

// aliasProviders are the providers whose own help pages say that "name+anything" reaches
// the mailbox "name". At any other domain "a+b" may be another person than "a". Someone
// with their own domain has as many addresses as they like, with or without a plus.
//
// Yahoo is not here: the name before the "-" of its disposable addresses is not the
// mailbox's name.
var aliasProviders = func() map[string]aliasProvider {
	of := make(map[string]aliasProvider)
	add := func(p aliasProvider, domains ...string) {
		for _, d := range domains {
			of[d] = p
		}
	}
	add(aliasProvider{mailbox: "gmail.com", ignored: "."}, "gmail.com", "googlemail.com")
	add(aliasProvider{mailbox: "proton.me", ignored: ".-_"}, "proton.me", "protonmail.com", "protonmail.ch", "pm.me")
	add(aliasProvider{mailbox: "yandex.ru", dashed: true}, "yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "ya.ru")
	add(aliasProvider{}, "icloud.com", "me.com", "mac.com", "fastmail.com", "fastmail.fm")
	add(
		aliasProvider{},
		"outlook.com",
		"outlook.at",
		"outlook.be",
		"outlook.de",
		"outlook.dk",
		"outlook.es",
		"outlook.fr",
		"outlook.it",
		"outlook.jp",
		"outlook.pt",
		"hotmail.com",
		"hotmail.be",
		"hotmail.co.uk",
		"hotmail.de",
		"hotmail.es",
		"hotmail.fr",
		"hotmail.it",
		"hotmail.nl",
		"hotmail.se",
		"live.com",
		"live.be",
		"live.co.uk",
		"live.de",
		"live.dk",
		"live.fr",
		"live.it",
		"live.nl",
		"live.se",
		"msn.com",
		"windowslive.com",
	)
	return of
}()

// Fold returns the address by which a buyer is counted. It takes an address in its normal
// form (NormalizeEmail) and returns one in its normal form; folding that again changes
// nothing. Use it only to count: mail goes to the address that the buyer wrote.
func (r AliasRule) Fold(address string) string {
	if r == AliasesApart {
		return address
	}
	at := strings.LastIndexByte(address, '@')
	provider, ok := aliasProviders[address[at+1:]]
	if at < 0 || !ok {
		return address
	}
	local, domain := provider.fold(address[:at]), address[at+1:]
	if local == "" { // no mailbox, or not ours to judge
		return address
	}
	if provider.mailbox != "" {
		domain = provider.mailbox
	}
	return local + "@" + domain
}

func (p *aliasProvider) fold(local string) string {
	local, _, _ = strings.Cut(local, "+")
	local = strings.TrimRight(local, ".") // no mailbox name ends in a dot
	local = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(p.ignored, r):
			return -1
		case p.dashed && r == '.':
			return '-'
		default:
			return r
		}
	}, local)
	return local
}
