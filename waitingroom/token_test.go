package waitingroom

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"boxoffice/domain"

	"github.com/google/uuid"
)

func testKeys(t testing.TB, first byte) *domain.Keyring {
	t.Helper()
	secret := make([]byte, domain.ServerKeyLen)
	secret[0] = first
	keys, err := domain.NewKeyring(secret)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestATokenSaysWhatWasSigned(t *testing.T) {
	keys, at := testKeys(t, 0), time.UnixMilli(1_800_000_000_123).UTC()
	for _, sale := range []string{"a", strings.Repeat("s", 63)} {
		for epoch, index := range map[int]int64{0: 0, 1: JoinsMax - 1, domain.QueueEpochMax: 1<<indexBits - 1} {
			token := sign(keys, sale, epoch, index, at)
			c, ok := verify(keys, token)
			if !ok || c.sale != sale || c.index != index || c.epoch != epoch || !c.joinedAt.Equal(at) || len(token) > TokenMaxLen {
				t.Errorf("sale %s, index %d: %d characters say %+v, valid %t", sale, index, len(token), c, ok)
			}
			u, err := uuid.Parse(c.key)
			if err != nil || u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Errorf("the key %q is no UUIDv7: %v", c.key, err)
			}
		}
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	keys := testKeys(t, 0)
	token := sign(keys, "sale", 0, 7, time.Now())
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, ok := verify(keys, base64.RawURLEncoding.EncodeToString(raw)); ok {
				t.Errorf("bit %d of byte %d may be changed", bit, i)
			}
			raw[i] ^= 1 << bit
		}
	}
	for name, forged := range map[string]string{
		"empty": "", "cut": token[:len(token)-1], "longer": token + "A", "padded": token + "=", "very long": strings.Repeat("A", 1<<16),
		"of another box office": sign(testKeys(t, 1), "sale", 0, 7, time.Now()),
	} {
		if _, ok := verify(keys, forged); ok {
			t.Errorf("a token that is %s was accepted", name)
		}
	}
}

func FuzzToken(f *testing.F) {
	keys := testKeys(f, 0)
	f.Add(sign(keys, "sale", 0, 7, time.UnixMilli(1)))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		c, ok := verify(keys, token)
		if ok && sign(keys, c.sale, c.epoch, c.index, c.joinedAt) != token {
			t.Errorf("%q is a second spelling of a token", token)
		}
	})
}
