package domain

import (
	"crypto/rand"
	"strings"
)

// Limits of a code that an organiser gives out, for the queue or for hidden classes, in letters
// and digits. The shortest cannot be guessed: with a million random codes of 12 letters, a hit
// takes 2^40 tries.
const (
	SecretCodeLenMin = 12
	SecretCodeLenMax = 40
	// SecretCodeShownMax limits what somebody enters, in bytes: hyphens and spaces do not count.
	SecretCodeShownMax = 80
	// newSecretCodeLen is 80 bits.
	newSecretCodeLen   = 16
	secretCodeGroupLen = 4
)

// secretCodeLetters are Crockford's: none looks like another.
const secretCodeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewSecretCode makes a code as people read it, in groups of 4 letters.
func NewSecretCode() string {
	var random [newSecretCodeLen]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	code := make([]byte, 0, newSecretCodeLen+newSecretCodeLen/secretCodeGroupLen)
	for i, b := range random {
		if i > 0 && i%secretCodeGroupLen == 0 {
			code = append(code, '-')
		}
		code = append(code, secretCodeLetters[int(b)%len(secretCodeLetters)]) // 256 is a multiple of 32
	}
	return string(code)
}

// NormalSecretCode is the form in which a code counts: upper case, without hyphens and spaces,
// with digits for the letters that look like them. ok is false if it is not a code.
func NormalSecretCode(shown string) (code string, ok bool) {
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
		if b.Len() == SecretCodeLenMax {
			return "", false
		}
		b.WriteRune(r)
	}
	return b.String(), b.Len() >= SecretCodeLenMin
}
