package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// Limits of an Idempotency-Key, in characters, without its quotes. Shorter keys could
// collide by chance.
const (
	KeyLenMin = 16
	KeyLenMax = 255
)

// idempotencyKeys are all values of the header; huma keeps only the first.
func idempotencyKeys(ctx huma.Context) (keys []string) {
	ctx.EachHeader(func(name, value string) {
		if http.CanonicalHeaderKey(name) == "Idempotency-Key" {
			keys = append(keys, value)
		}
	})
	return keys
}

// parseKey reads the values of the header Idempotency-Key. There must be exactly one,
// either bare or, as in the IETF draft (draft-ietf-httpapi-idempotency-key-header), a
// quoted string of RFC 8941 §3.3.3. Both forms mean the same key. The error is an *Error
// with CodeKeyMissing.
func parseKey(values []string) (string, error) {
	if len(values) != 1 || values[0] == "" {
		return "", keyMissing("Send one Idempotency-Key header, for example a UUIDv7.")
	}
	key, ok := values[0], true
	if strings.HasPrefix(key, `"`) {
		key, ok = unquote(key)
	}
	if !ok || !visible(key) {
		return "", keyMissing("The Idempotency-Key must be visible ASCII characters, bare or in double quotes.")
	}
	if len(key) < KeyLenMin || len(key) > KeyLenMax {
		return "", keyMissing(fmt.Sprintf("The Idempotency-Key must have %d–%d characters.", KeyLenMin, KeyLenMax))
	}
	return key, nil
}

func keyMissing(detail string) *domain.Error {
	return &domain.Error{Code: domain.CodeKeyMissing, Detail: detail}
}

// unquote reads an RFC 8941 string: only \" and \\ are escapes.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	inner := s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '"':
			return "", false
		case c != '\\':
			b.WriteByte(c)
		case i+1 < len(inner) && (inner[i+1] == '"' || inner[i+1] == '\\'):
			i++
			b.WriteByte(inner[i])
		default:
			return "", false
		}
	}
	return b.String(), true
}

// visible reports whether s has only printable ASCII without spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
