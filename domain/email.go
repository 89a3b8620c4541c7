package domain

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Bounds of an address, in bytes of its normal form (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4).
const (
	EmailMaxLen       = 254
	emailLocalMaxLen  = 64
	emailDomainMaxLen = 253
	emailLabelMaxLen  = 63
)

const emailField = "buyer.email"

// NormalizeEmail checks an address and gives its normal form, so that one mailbox is
// one buyer and no two mailboxes are the same one:
//
//   - Space around it is not part of it.
//   - The domain is what DNS is asked for: A-labels, lower case (UTS 46).
//   - The local part is in NFC. Its letters are lower case where that is undone by
//     upper case again: "İ" is not folded, it would become somebody else's "i".
//   - What cannot be seen, or stands for other letters (full-width ones, ligatures), is
//     refused: nobody types it, and by it one mailbox would be many buyers.
//   - So is what no mail server can have: labels of 64 letters, an IP address.
//
// The normal form of an ASCII address is what it has always been. The error is an
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

// emailDomains makes A-labels as browsers and mail programs do when they look a
// domain up. Its lengths, letters and hyphens are isMailDomain's business.
var emailDomains = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.CheckJoiners(true),
	idna.CheckHyphens(false),
	idna.StrictDomainName(false),
	idna.Transitional(false),
)

// needsUTS46 is false for what it would leave as it is.
func needsUTS46(domain string) bool {
	return !isASCII(domain) || strings.HasPrefix(domain, "xn--") || strings.Contains(domain, ".xn--")
}

// foldLocal is the normal form of a local part with letters beyond ASCII; empty
// where one of them stands for others.
func foldLocal(local string) string {
	local = norm.NFC.String(local)
	for _, r := range local {
		if !norm.NFKC.IsNormalString(string(r)) && r != thaiSaraAm && r != laoSaraAm {
			return ""
		}
	}
	// NFC again: of a letter and its accent, perhaps only the lower case is one character.
	return norm.NFC.String(strings.Map(foldRune, local))
}

// These are written every day, and have a compatibility decomposition all the same.
const thaiSaraAm, laoSaraAm = '\u0e33', '\u0eb3'

// foldRune is the lower case of a letter, where nothing else has that lower case.
func foldRune(r rune) rune {
	if lower := unicode.ToLower(r); unicode.ToUpper(lower) == r {
		return lower
	}
	return r
}

// isUnseen reports what has no ink of its own, or no meaning: control and format
// characters, all spaces, fillers, variation selectors, what Unicode has not assigned.
func isUnseen(r rune) bool {
	const brailleBlank, objectReplacement = '\u2800', '\ufffc'
	return r == ' ' || !unicode.IsPrint(r) || r == brailleBlank || r == objectReplacement || r == unicode.ReplacementChar ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r)
}

// isUnseenInDomain lets the joiners through that some scripts need: UTS 46 says where.
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

// isDotAtom: letters, digits and some signs, no full stop at an end or beside
// another (RFC 5322, 3.2.3). Beyond ASCII, foldLocal has decided.
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
// more, of letters, digits and hyphens within (RFC 1123, 2.1), the last no number,
// else it would be an IP address.
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
