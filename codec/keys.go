package codec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Limits of the keys.
const (
	KeyLen      = 32 // bytes: AES-256
	KeyIDLenMax = 64 // letters, digits, dot, underscore, hyphen
	KeysMax     = 16
)

// Key is a secret, and the id by which payloads name it. An id is public, and is never
// reused for another secret.
type Key struct {
	ID     string
	Secret []byte // KeyLen bytes
}

// keyID allows no separator of the text form.
var keyID = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9._-]{1,%d}$`, KeyIDLenMax))

func (k Key) check() error {
	switch {
	case !keyID.MatchString(k.ID):
		return fmt.Errorf("a payload key's id is 1 to %d letters, digits, dots, underscores or hyphens", KeyIDLenMax)
	case len(k.Secret) != KeyLen:
		return fmt.Errorf("payload key %q has %d bytes, want %d", k.ID, len(k.Secret), KeyLen)
	}
	return nil
}

// ParseKeys reads `id:base64[,id:base64…]`, the form of BOXOFFICE_PAYLOAD_KEYS. Errors
// never repeat what may be a secret.
func ParseKeys(text string) ([]Key, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no payload key: want id:base64[,id:base64…]")
	}
	var keys []Key
	for entry := range strings.SplitSeq(text, ",") {
		if len(keys) == KeysMax {
			return nil, fmt.Errorf("more than %d payload keys", KeysMax)
		}
		id, secret, found := strings.Cut(strings.TrimSpace(entry), ":")
		if !found {
			return nil, fmt.Errorf("payload key %d is not id:base64", len(keys)+1)
		}
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			return nil, fmt.Errorf("payload key %d is not base64 after its id", len(keys)+1)
		}
		key := Key{ID: id, Secret: raw}
		if err := key.check(); err != nil {
			return nil, fmt.Errorf("payload key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Parse is New of ParseKeys.
func Parse(text string) (*Codec, error) {
	keys, err := ParseKeys(text)
	if err != nil {
		return nil, err
	}
	return New(keys)
}
