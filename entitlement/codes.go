package entitlement

import (
	"crypto/rand"
	"strings"

	"boxoffice/domain"
)

// Bounds of a presale code, in letters and digits. The least is what cannot be guessed: of a
// million codes with 12 letters at random, one is met in 2^40 tries.
const (
	CodeLenMin = 12
	CodeLenMax = 40
	// newCodeLen is 80 bits.
	newCodeLen = 16
	groupLen   = 4
)

// codeLetters are Crockford's: none looks like another.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codes verifies presale codes. What is kept of one is a keyed hash: it is looked up by that.
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

// NewCode makes a presale code, as people read it: 4 letters in a group.
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

// normalCode is a code as it counts: upper case, without hyphens and spaces, and with the
// digits for the letters that look like them. ok is false for what is no code.
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
