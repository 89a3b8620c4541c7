package e2e

import (
	"net/http"
	"strings"
	"testing"

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
	if err := proxy.VisitPayloads(t.Context(), what, proxy.VisitPayloadsOptions{SkipSearchAttributes: true, Visitor: with}); err != nil {
		t.Fatal(err)
	}
}

// requireSealed: whatever Temporal stores is encrypted.
func requireSealed(t *testing.T, history *historypb.History) {
	t.Helper()
	for _, event := range history.Events {
		visit(t, event, func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			for _, payload := range payloads {
				if got := string(payload.GetMetadata()["encoding"]); got != "binary/encrypted" {
					t.Fatalf(`string(payload.GetMetadata()["encoding"]) is %q, want "binary/encrypted": event %d, %s: %s`, got, event.GetEventId(), event.GetEventType(), payload.GetData())
				}
			}
			return payloads, nil
		})
	}
	stored, err := proto.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(stored), emailDomain) {
		t.Fatalf("%q is in %s", emailDomain, string(stored))
	}
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
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.codec().Encode([]*commonpb.Payload{payload})
	if err != nil {
		t.Fatal(err)
	}
	return converter.NewRawValue(sealed[0])
}
