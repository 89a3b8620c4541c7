package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// Metadata of a sealed payload. Both names are those of Temporal's own samples, which
// other tools know.
const (
	encodingSealed = "binary/encrypted"
	metadataKeyID  = "encryption-key-id"
)

// Why a payload cannot be opened. An *UnreadableError wraps one of them.
var (
	// ErrUnknownKey: it was sealed with a key that is not here.
	ErrUnknownKey = errors.New("no such key")
	// ErrForged: it was changed or cut after it was sealed, or another key has
	// this one's id.
	ErrForged = errors.New("changed since it was sealed, or sealed with another key of that id")
)

// UnreadableError means that this process cannot open a sealed payload.
type UnreadableError struct {
	KeyID string   // as the payload names it: untrusted bytes
	Known []string // the ids of the keys that are here
	Err   error
}

func (e *UnreadableError) Error() string {
	text := fmt.Sprintf("payload sealed with key %.*q: %v", KeyIDLenMax, e.KeyID, e.Err)
	if errors.Is(e.Err, ErrUnknownKey) {
		text += fmt.Sprintf("; BOXOFFICE_PAYLOAD_KEYS has %s: add it there, last", strings.Join(e.Known, ", "))
	}
	return text
}

func (e *UnreadableError) Unwrap() error { return e.Err }

// Codec seals and opens payloads. It is a converter.PayloadCodec, and safe for concurrent
// use.
type Codec struct {
	keys    map[string]cipher.AEAD // by id
	ids     []string               // in the order given
	sealing string                 // the id of the key that seals
}

var _ converter.PayloadCodec = (*Codec)(nil)

// New makes a codec whose first key seals; all keys open. It fails for no key, more than
// KeysMax, a repeated id, or a key that ParseKeys would refuse.
func New(keys []Key) (*Codec, error) {
	if len(keys) == 0 || len(keys) > KeysMax {
		return nil, fmt.Errorf("%d payload keys, want 1 to %d", len(keys), KeysMax)
	}
	c := &Codec{keys: make(map[string]cipher.AEAD, len(keys)), sealing: keys[0].ID}
	for _, key := range keys {
		if err := key.check(); err != nil {
			return nil, err
		}
		if c.keys[key.ID] != nil {
			return nil, fmt.Errorf("payload key %q is there twice", key.ID)
		}
		aead, err := newAEAD(key.Secret)
		if err != nil {
			return nil, fmt.Errorf("payload key %q: %w", key.ID, err)
		}
		c.keys[key.ID] = aead
		c.ids = append(c.ids, key.ID)
	}
	return c, nil
}

// newAEAD puts a random nonce of 96 bits in front of each ciphertext.
func newAEAD(secret []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// String names the keys, never their secrets.
func (c *Codec) String() string { return "payload keys " + strings.Join(c.ids, ", ") }

// Encode seals payloads, each whole: its own metadata is inside.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		plaintext, err := proto.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("seal payload: %w", err)
		}
		out[i] = &commonpb.Payload{
			Metadata: map[string][]byte{
				converter.MetadataEncoding: []byte(encodingSealed),
				metadataKeyID:              []byte(c.sealing),
			},
			Data: c.keys[c.sealing].Seal(nil, nil, plaintext, bound(c.sealing)),
		}
	}
	return out, nil
}

// Decode opens sealed payloads and passes others through. It returns an *UnreadableError
// for one that cannot be opened.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	opened := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		opened[i] = payload
		if !sealed(payload) {
			continue
		}
		var err error
		if opened[i], err = c.open(payload); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

func sealed(payload *commonpb.Payload) bool {
	return string(payload.GetMetadata()[converter.MetadataEncoding]) == encodingSealed
}

func (c *Codec) open(payload *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(payload.GetMetadata()[metadataKeyID])
	unreadable := func(why error) error {
		return &UnreadableError{KeyID: id, Known: slices.Clone(c.ids), Err: why}
	}
	aead := c.keys[id]
	if aead == nil {
		return nil, unreadable(ErrUnknownKey)
	}
	plaintext, err := aead.Open(nil, nil, payload.GetData(), bound(id))
	if err != nil {
		return nil, unreadable(ErrForged)
	}
	opened := &commonpb.Payload{}
	if err := proto.Unmarshal(plaintext, opened); err != nil {
		return nil, unreadable(fmt.Errorf("its content is not a payload: %w", err))
	}
	return opened, nil
}

// bound is the metadata that a ciphertext belongs to, as additional authenticated data: a
// payload whose label was changed does not open. An id has no NUL in it.
func bound(keyID string) []byte {
	return []byte(encodingSealed + "\x00" + metadataKeyID + "\x00" + keyID)
}
