package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// emailDomain ends the address of every buyer of these tests.
const emailDomain = "@example.com"

type visitor = func(*proxy.VisitPayloadsContext, []*commonpb.Payload) ([]*commonpb.Payload, error)

// visit replaces payloads; search attributes are not the codec's.
func visit(t *testing.T, what proto.Message, with visitor) {
	t.Helper()
	require.NoError(t, proxy.VisitPayloads(t.Context(), what, proxy.VisitPayloadsOptions{SkipSearchAttributes: true, Visitor: with}))
}

// requireSealed: whatever Temporal stores is encrypted.
func requireSealed(t *testing.T, history *historypb.History) {
	t.Helper()
	for _, event := range history.Events {
		visit(t, event, func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, payload := range payloads {
				require.Equal(t, "binary/encrypted", string(payload.GetMetadata()["encoding"]), "event %d, %s: %s", event.GetEventId(), event.GetEventType(), payload.GetData())
			}
			return payloads, nil
		})
	}
	stored, err := proto.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, string(stored), emailDomain)
}

// decode decrypts a history at the stack's codec server, as Temporal's tools do.
func (s *stack) decode(t *testing.T, history *historypb.History) {
	t.Helper()
	codec := s.codec()
	visit(t, history, func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
		return codec.Decode(payloads)
	})
}

// codec is the stack's codec server, as Temporal's tools ask it.
func (s *stack) codec() converter.PayloadCodec {
	return converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: s.env["BOXOFFICE_CODEC_URL"],
		ModifyRequest: func(r *http.Request) error { // temporal --codec-auth
			r.Header.Set("Authorization", "Bearer "+s.env["BOXOFFICE_CODEC_TOKEN"])
			return nil
		},
	})
}

// seal encrypts an argument at the stack's codec server, as Temporal's tools do.
func (s *stack) seal(t *testing.T, argument any) converter.RawValue {
	t.Helper()
	payload, err := converter.GetDefaultDataConverter().ToPayload(argument)
	require.NoError(t, err)
	sealed, err := s.codec().Encode([]*commonpb.Payload{payload})
	require.NoError(t, err)
	return converter.NewRawValue(sealed[0])
}
