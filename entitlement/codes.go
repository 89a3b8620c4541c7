package entitlement

import (
	"crypto/rand"
	"strings"

	"boxoffice/domain"
)

// Limits of a presale code, in letters and digits. The shortest cannot be guessed: with a
// million random codes of 12 letters, a hit takes 2^40 tries.
const (
	CodeLenMin = 12
	CodeLenMax = 40
	// newCodeLen is 80 bits.
	newCodeLen = 16
	groupLen   = 4
)

// codeLetters are Crockford's: none looks like another.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codes verifies presale codes. The store keeps a keyed hash of each code, and codes are
// looked up by it.
type codes struct{ keys *domain.Keyring }

func (c codes) Verify(sale *domain.Sale, shown string) (domain.Entitlement, error) {
	code, ok := normalCode(shown)
	if !ok {
		return domain.Entitlement{}, refused("This is no presale code: it has letters and digits only, 12 to 40 of them.", nil)
	}
	return domain.Entitlement{Kind: domain.PresaleCode, ID: c.id(sale.ID, code)}, nil
}

func (c codes) id(saleID, code string) domain.EntitlementID {
	return c.keys.EntitlementID(saleID, domain.PresaleCode, code)
}

// NewCode makes a presale code as people read it, in groups of 4 letters.
func NewCode() string {
	var random [newCodeLen]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	code := make([]byte, 0, newCodeLen+newCodeLen/groupLen)
	for i, b := range random {
		if i > 0 && i%groupLen == 0 {
			code = append(code, '-')
		}
		code = append(code, codeLetters[int(b)%len(codeLetters)]) // 256 is a multiple of 32
	}
	return string(code)
}

// normalCode is the form in which a code counts: upper case, without hyphens and spaces,
// with digits for the letters that look like them. ok is false if it is not a code.
func normalCode(shown string) (code string, ok bool) {
	var b strings.Builder
	for _, r := range shown {
		switch {
		case r == '-' || r == ' ' || r == '\t' || r == '\u00a0' || r == '‐' || r == '‑' || r == '–':
			continue
		case 'a' <= r && r <= 'z':
			r += 'A' - 'a'
		case 'A' <= r && r <= 'Z' || '0' <= r && r <= '9':
		default:
			return "", false
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if b.Len() == CodeLenMax {
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() >= CodeLenMin
}
