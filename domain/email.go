package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Limits of an address, in bytes of its normal form (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4).
const (
	EmailMaxLen       = 254
	emailLocalMaxLen  = 64
	emailDomainMaxLen = 253
	emailLabelMaxLen  = 63
)

const emailField = "buyer.email"

// NormalizeEmail checks an address and returns its normal form, so that one mailbox is
// one buyer and two mailboxes are never the same buyer:
//
//   - Space around the address is dropped.
//   - The domain becomes what DNS is asked for: A-labels in lower case (UTS 46).
//   - The local part is in NFC. A letter becomes lower case only where upper case undoes
//     that: "İ" stays, because folding it would give somebody else's "i".
//   - Invisible characters, and characters that stand for others (full-width letters,
//     ligatures), are refused. Nobody types them, and they would turn one mailbox into
//     many buyers.
//   - Domains that no mail server can have are refused too: labels of 64 letters, an IP address.
//
// The normal form of an ASCII address never changed between releases. The error is an
// *Error with CodeInvalid that does not repeat the address.
func NormalizeEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 1 || len(s) > 4*EmailMaxLen {
		return "", Invalid(emailField, "must be an e-mail address such as a@example.com")
	}
	local, domain := s[:at], s[at+1:]
	if isASCII(domain) {
		domain = strings.ToLower(domain)
	}
	if isASCII(s) {
		local = strings.ToLower(local)
	} else {
		if !utf8.ValidString(s) || strings.ContainsFunc(local, isUnseen) || strings.ContainsFunc(domain, isUnseenInDomain) {
			return "", Invalid(emailField, "must have no character that cannot be seen")
		}
		if local = foldLocal(local); local == "" {
			return "", Invalid(emailField, "must be written with ordinary letters")
		}
	}
	if needsUTS46(domain) {
		var err error
		if domain, err = emailDomains.ToASCII(domain); err != nil {
			return "", Invalid(emailField, "must have a domain that can exist")
		}
	}
	switch {
	case !isDotAtom(local), len(local) > emailLocalMaxLen, len(local)+1+len(domain) > EmailMaxLen:
		return "", Invalid(emailField, "must be an e-mail address such as a@example.com")
	case !isMailDomain(domain):
		return "", Invalid(emailField, "must have a domain that can exist")
	}
	if s[:at] == local && s[at+1:] == domain {
		return s, nil
	}
	return local + "@" + domain, nil
}

// emailDomains converts to A-labels as browsers and mail programs do for a DNS lookup.
// isMailDomain checks lengths, letters and hyphens.
var emailDomains = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.CheckHyphens(false),
	idna.StrictDomainName(false),
	idna.Transitional(false),
)

// needsUTS46 is false for domains that UTS 46 leaves as they are.
func needsUTS46(domain string) bool {
	return !isASCII(domain) || strings.HasPrefix(domain, "xn--") || strings.Contains(domain, ".xn--")
}

// foldLocal returns the normal form of a local part with letters beyond ASCII. It returns
// "" if one of them stands for another.
func foldLocal(local string) string {
	local = norm.NFC.String(local)
	for _, r := range local {
		if !norm.NFKC.IsNormalString(string(r)) && r != thaiSaraAm && r != laoSaraAm {
			return ""
		}
	}
	// NFC again: a letter and its accent may combine only in lower case.
	return norm.NFC.String(strings.Map(foldRune, local))
}

// People write these every day, although they have a compatibility decomposition.
const thaiSaraAm, laoSaraAm = '\u0e33', '\u0eb3'

// foldRune returns the lower case of a letter, unless another letter has the same lower
// case.
func foldRune(r rune) rune {
	if lower := unicode.ToLower(r); unicode.ToUpper(lower) == r {
		return lower
	}
	return r
}

// isUnseen reports whether a character shows nothing or means nothing: control and format
// characters, all spaces, fillers, variation selectors, code points that Unicode has not
// assigned.
func isUnseen(r rune) bool {
	const brailleBlank, objectReplacement = '\u2800', '\ufffc'
	return r == ' ' || !unicode.IsPrint(r) || r == brailleBlank || r == objectReplacement || r == unicode.ReplacementChar ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// isUnseenInDomain allows the joiners that some scripts need. UTS 46 says where.
func isUnseenInDomain(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return isUnseen(r) && r != nonJoiner && r != joiner
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isDotAtom allows letters, digits and some signs, with no full stop at an end or beside
// another (RFC 5322, 3.2.3). Beyond ASCII, foldLocal has already decided.
func isDotAtom(local string) bool {
	for i := range len(local) {
		switch c := local[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c >= utf8.RuneSelf:
		case c == '.' && i > 0 && i < len(local)-1 && local[i-1] != '.':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0:
		default:
			return false
		}
	}
	return local != ""
}

// isMailDomain reports whether a server may have mail for a domain: two labels or
// more, of letters, digits and inner hyphens (RFC 1123, 2.1). The last must not be a number, or it would be an IP address.
func isMailDomain(domain string) bool {
	labels, isNumber, begin := 0, true, 0
	for i := 0; i <= len(domain); i++ {
		if i < len(domain) && domain[i] != '.' {
			switch c := domain[i]; {
			case '0' <= c && c <= '9':
			case 'a' <= c && c <= 'z', c == '-':
				isNumber = false
			default:
				return false
			}
			continue
		}
		label := domain[begin:i]
		if label == "" || len(label) > emailLabelMaxLen || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		labels++
		if i < len(domain) {
			isNumber, begin = true, i+1
		}
	}
	return labels > 1 && !isNumber && len(domain) <= emailDomainMaxLen
}
