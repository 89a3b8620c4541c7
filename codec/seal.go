package codec

import (
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// metadataFor names what a sealed secret is of. It is inside of what is sealed.
const metadataFor = "for"

// Seal seals a secret that is kept elsewhere than in Temporal, such as in the database.
// It opens only for the same owner: one row's secret is of no use in another.
func (c *Codec) Seal(owner string, secret []byte) ([]byte, error) {
	sealed, err := c.Encode([]*commonpb.Payload{{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/plain"), metadataFor: []byte(owner)}, Data: secret,
	}})
	if err != nil {
		return nil, err
	}
	return proto.Marshal(sealed[0])
}

// Open opens what Seal sealed. The error is a *UnreadableError where no key of these
// sealed it.
func (c *Codec) Open(owner string, kept []byte) ([]byte, error) {
	payload := &commonpb.Payload{}
	if err := proto.Unmarshal(kept, payload); err != nil {
		return nil, fmt.Errorf("open the secret of %s: %w", owner, err)
	}
	if !sealed(payload) {
		return nil, fmt.Errorf("open the secret of %s: it is not sealed", owner)
	}
	opened, err := c.open(payload)
	if err != nil {
		return nil, fmt.Errorf("open the secret of %s: %w", owner, err)
	}
	if string(opened.GetMetadata()[metadataFor]) != owner {
		return nil, errors.New("open the secret of " + owner + ": it was sealed for another")
	}
	return opened.GetData(), nil
}
