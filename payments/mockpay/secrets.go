package mockpay

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
)

// Limits of the webhook secret. Its length is what Standard Webhooks allows (spec 1.0.0,
// "Signature scheme"), in bytes once decoded.
const (
	secretMinLen = 24
	secretMaxLen = 64
	secretsMax   = 4 // the new one, the old one, and room for a mistake
	secretPrefix = "whsec_"
)

// Secrets are what the box office and the provider share. The first is current; the
// others are still accepted and still sign, so that rotating a secret loses no webhook.
// They never print.
type Secrets struct {
	keys [][]byte
}

// ParseSecrets reads BOXOFFICE_WEBHOOK_SECRET: `whsec_` and base64. While a secret is
// being rotated there are several, separated by spaces or commas, the current one first.
// An error names the secret by its position, never by its content.
func ParseSecrets(s string) (Secrets, error) {
	texts := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(texts) == 0 || len(texts) > secretsMax {
		return Secrets{}, fmt.Errorf("webhook secret: got %d secrets, want 1–%d of the form whsec_<base64>", len(texts), secretsMax)
	}
	var secrets Secrets
	for i, text := range texts {
		key, err := parseSecret(text)
		if err != nil {
			return Secrets{}, fmt.Errorf("webhook secret %d of %d: %w", i+1, len(texts), err)
		}
		secrets.keys = append(secrets.keys, key)
	}
	return secrets, nil
}

func parseSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, errors.New("must begin with " + secretPrefix)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("what follows " + secretPrefix + " must be base64") // err would quote the secret's bytes
	}
	if len(key) < secretMinLen || len(key) > secretMaxLen {
		return nil, fmt.Errorf("has %d bytes, want %d–%d", len(key), secretMinLen, secretMaxLen)
	}
	return key, nil
}

// derive makes one key for each purpose (HKDF-SHA256, RFC 5869), so that a signature made
// for one can never serve another.
func (s Secrets) derive(purpose string) ([][]byte, error) {
	if len(s.keys) == 0 {
		return nil, errors.New("no webhook secret is set")
	}
	derived := make([][]byte, len(s.keys))
	for i, key := range s.keys {
		k, err := hkdf.Key(sha256.New, key, nil, "boxoffice/v1/"+purpose, sha256.Size)
		if err != nil {
			return nil, fmt.Errorf("derive the %s key: %w", purpose, err)
		}
		derived[i] = k
	}
	return derived, nil
}

const redacted = "[redacted]"

// Format hides the secrets from every verb of package fmt, %d and %#v included.
func (s Secrets) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides them from slog.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(redacted) }
