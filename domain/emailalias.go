package domain

import "strings"

// An AliasRule says which addresses of one mailbox count as one buyer. A sale keeps the rule
// that it was made with: by another one its buyers would have other quotas. So a rule never
// changes. Where the table of providers grows, that is a new rule, for sales made from then
// on.
type AliasRule int

const (
	// AliasesApart: every address is a buyer of its own.
	AliasesApart AliasRule = 0
	// AliasesFolded: at the providers of aliasProviders, all addresses that reach one mailbox
	// are one buyer.
	AliasesFolded AliasRule = 1
)

// An aliasProvider says how a provider's addresses reach a mailbox.
type aliasProvider struct {
	mailbox string // the domain under which all are counted; empty: each is apart
	ignored string // letters of the local part that make no difference
	dashed  bool   // a full stop is a hyphen
}

// aliasProviders are those who say in their own help pages that an address with "+" behind
// the name reaches the name. At any other domain "a+b" may be somebody else than "a", and who
// has a domain of their own has as many addresses as they like without it.
//
// Yahoo is not here: the name before the "-" of its disposable addresses is not the name of
// the mailbox.
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

// Fold is the address by which a buyer is counted. Of an address in its normal form
// (NormalizeEmail) it makes one in its normal form, and nothing else of what it made. It is
// for counting only: mail goes to the address as the buyer wrote it.
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
	if local == "" { // nobody's, or not ours to judge
		return address
	}
	if provider.mailbox != "" {
		domain = provider.mailbox
	}
	return local + "@" + domain
}

func (p *aliasProvider) fold(local string) string {
	local, _, _ = strings.Cut(local, "+")
	local = strings.TrimRight(local, ".") // no name ends so
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
