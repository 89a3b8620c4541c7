package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"boxoffice/codec"
)

// A secret comes back for its owner, whichever of the keys sealed it, and for nobody else.
func TestASecretOpensForItsOwnerAlone(t *testing.T) {
	secret := []byte("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	old := newCodec(t, key("a", 1))
	sealed, err := old.Seal("whe_A", secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, secret) || bytes.Contains(sealed, []byte("whe_A")) {
		t.Errorf("%q shows what it seals", sealed)
	}
	for name, c := range map[string]*codec.Codec{"the same keys": old, "a newer key first": newCodec(t, key("b", 2), key("a", 1))} {
		if opened, err := c.Open("whe_A", sealed); err != nil || !bytes.Equal(opened, secret) {
			t.Errorf("%s: %q, %v", name, opened, err)
		}
	}
	if opened, err := old.Open("whe_B", sealed); err == nil {
		t.Errorf("it opens for another: %q", opened)
	}
	var unreadable *codec.UnreadableError
	if _, err := newCodec(t, key("b", 2)).Open("whe_A", sealed); !errors.As(err, &unreadable) {
		t.Errorf("without its key: %v, want a *codec.UnreadableError", err)
	}
	again, err := old.Seal("whe_A", secret)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealed twice it is the same, %v", err)
	}
}

// No changed byte opens, and nothing that was never sealed: who can write to the database puts no secret of theirs there.
func TestAForgedSecretDoesNotOpen(t *testing.T) {
	c := newCodec(t, key("a", 1))
	sealed, err := c.Seal("whe_A", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if opened, err := c.Open("whe_A", changed); err == nil {
			t.Errorf("byte %d changed, and it opens: %q", i, opened)
		}
	}
	for _, forged := range [][]byte{nil, []byte("secret"), sealed[:len(sealed)-1]} {
		if opened, err := c.Open("whe_A", forged); err == nil {
			t.Errorf("%q opens: %q", forged, opened)
		}
	}
}
