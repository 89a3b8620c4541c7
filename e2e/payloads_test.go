package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
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

// requireSealed: whatever Temporal stores is encrypted, except what was sent
// without a key: a signal by hand.
func requireSealed(t *testing.T, history *historypb.History) {
	t.Helper()
	for _, event := range history.Events {
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			continue
		}
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
	codec := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{Endpoint: s.env["BOXOFFICE_CODEC_URL"]})
	visit(t, history, func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
		return codec.Decode(payloads)
	})
}
