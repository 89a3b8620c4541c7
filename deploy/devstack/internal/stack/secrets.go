package stack

import (
	"crypto/rand"
	"encoding/base64"
)

// secretBytes is the length of each generated secret: 256 bits.
const secretBytes = 32

func randomBytes() []byte {
	b := make([]byte, secretBytes)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

// keepSecrets returns the secrets of the previous start and makes those that are missing.
// The server key determines every order id: a new one would orphan existing orders.
// Without the payload key, Temporal's histories are unreadable.
func keepSecrets(before map[string]string) map[string]string {
	secrets := map[string]string{}
	generate := map[string]func() string{
		varAdminToken:  func() string { return base64.RawURLEncoding.EncodeToString(randomBytes()) },
		varWebhook:     func() string { return "whsec_" + base64.StdEncoding.EncodeToString(randomBytes()) },
		varServerKey:   func() string { return base64.StdEncoding.EncodeToString(randomBytes()) },
		varCodecToken:  func() string { return base64.RawURLEncoding.EncodeToString(randomBytes()) },
		varPayloadKeys: func() string { return "local:" + base64.StdEncoding.EncodeToString(randomBytes()) },
	}
	for name, fresh := range generate {
		secrets[name] = before[name]
		if secrets[name] == "" {
			secrets[name] = fresh()
		}
	}
	return secrets
}
