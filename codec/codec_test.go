package codec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"boxoffice/codec"
	"boxoffice/domain"
)

// key makes a key whose secret is one byte repeated.
func key(id string, fill byte) codec.Key {
	return codec.Key{ID: id, Secret: bytes.Repeat([]byte{fill}, codec.KeyLen)}
}

func newCodec(t rapid.TB, keys ...codec.Key) *codec.Codec {
	c, err := codec.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func seal(t rapid.TB, c *codec.Codec, payload *commonpb.Payload) *commonpb.Payload {
	sealed, err := c.Encode([]*commonpb.Payload{payload})
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != 1 {
		t.Fatalf("%d payloads of one", len(sealed))
	}
	return sealed[0]
}

func open(c *codec.Codec, payload *commonpb.Payload) (*commonpb.Payload, error) {
	opened, err := c.Decode([]*commonpb.Payload{payload})
	if err != nil {
		return nil, err
	}
	return opened[0], nil
}

func plain(data string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(data)}
}

// anyPayload draws a payload with random metadata.
func anyPayload(t *rapid.T) *commonpb.Payload {
	return &commonpb.Payload{
		Metadata: rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Byte())).Draw(t, "metadata"),
		Data:     rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
	}
}

func TestAnyPayloadComesBackAsItWas(t *testing.T) {
	c := newCodec(t, key("a", 1))
	rapid.Check(t, func(t *rapid.T) {
		payload := anyPayload(t)
		before := proto.Clone(payload)
		sealed := seal(t, c, payload)
		if !proto.Equal(before, payload) {
			t.Fatal("want true: proto.Equal(before, payload): the argument is not changed")
		}
		opened, err := open(c, sealed)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(payload, opened) {
			t.Fatal("want true: proto.Equal(payload, opened)")
		}
	})
}

func TestASealedPayloadShowsOnlyItsKey(t *testing.T) {
	c := newCodec(t, key("a", 1))
	sealed := seal(t, c, &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte("json/plain"), "messageType": []byte("secret type")},
		Data:     []byte(`"ada@example.com"`),
	})
	if want := map[string][]byte{"encoding": []byte("binary/encrypted"), "encryption-key-id": []byte("a")}; !reflect.DeepEqual(sealed.Metadata, want) {
		t.Fatalf("sealed.Metadata is %v, want %v", sealed.Metadata, want)
	}
	for _, secret := range []string{"ada@example.com", "secret type", "json/plain"} {
		if strings.Contains(string(sealed.Data), secret) {
			t.Fatalf("%q is in %s", secret, string(sealed.Data))
		}
	}
}

func TestTheSameContentIsNeverSealedTheSame(t *testing.T) {
	c := newCodec(t, key("a", 1))
	if got, want := seal(t, c, plain("1")).Data, seal(t, c, plain("1")).Data; bytes.Equal(got, want) {
		t.Fatalf(`seal(t, c, plain("1")).Data is %q`, got)
	}
}

func TestEveryChangedByteIsDetected(t *testing.T) {
	c := newCodec(t, key("a", 1), key("b", 2))
	sealed := seal(t, c, plain(`{"email":"ada@example.com"}`))
	for i := range sealed.Data {
		for _, bit := range []byte{0x01, 0x80} {
			changed := proto.CloneOf(sealed)
			changed.Data[i] ^= bit
			_, err := open(c, changed)
			if !errors.Is(err, codec.ErrForged) {
				t.Fatalf("the error is %v, want %v: byte %d", err, codec.ErrForged, i)
			}
		}
	}
	for n := range sealed.Data {
		cut := proto.CloneOf(sealed)
		cut.Data = cut.Data[:n]
		_, err := open(c, cut)
		if !errors.Is(err, codec.ErrForged) {
			t.Fatalf("the error is %v, want %v: cut to %d bytes", err, codec.ErrForged, n)
		}
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	ours := newCodec(t, key("a", 1), key("b", 2))
	sealed := seal(t, ours, plain("1"))
	relabeled := proto.CloneOf(sealed)
	relabeled.Metadata["encryption-key-id"] = []byte("b")
	unlabeled := proto.CloneOf(sealed)
	delete(unlabeled.Metadata, "encryption-key-id")
	tests := []struct {
		name    string
		payload *commonpb.Payload
		with    *codec.Codec
		want    error
		says    string
	}{
		{"a key that is not here", sealed, newCodec(t, key("z", 9), key("y", 8)), codec.ErrUnknownKey, `"a": no such key; BOXOFFICE_PAYLOAD_KEYS has z, y: add it`},
		{"another secret under the same id", sealed, newCodec(t, key("a", 9)), codec.ErrForged, `"a"`},
		{"the label of another key that is here", relabeled, ours, codec.ErrForged, `"b"`},
		{"the same secret under another id", relabeled, newCodec(t, key("b", 1)), codec.ErrForged, `"b"`},
		{"no label", unlabeled, ours, codec.ErrUnknownKey, `""`},
		{"no content", &commonpb.Payload{Metadata: sealed.Metadata}, ours, codec.ErrForged, `"a"`},
		{"a label of a megabyte", &commonpb.Payload{Metadata: map[string][]byte{
			"encoding": []byte("binary/encrypted"), "encryption-key-id": bytes.Repeat([]byte("x"), 1<<20),
		}}, ours, codec.ErrUnknownKey, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(tt.with, tt.payload)
			if !errors.Is(err, tt.want) {
				t.Fatalf("the error is %v, want %v", err, tt.want)
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("the error is %v, want %q in it", err, tt.says)
			}
			if got := len(err.Error()); got >= 300 {
				t.Fatalf("len(err.Error()) is %v, want less than 300", got)
			}
		})
	}
}

func TestOneUnreadablePayloadFailsTheCall(t *testing.T) {
	c := newCodec(t, key("a", 1))
	foreign := seal(t, newCodec(t, key("z", 9)), plain("1"))
	opened, err := c.Decode([]*commonpb.Payload{plain("1"), foreign})
	if !errors.Is(err, codec.ErrUnknownKey) {
		t.Fatalf("the error is %v, want %v", err, codec.ErrUnknownKey)
	}
	if len(opened) != 0 {
		t.Fatalf("opened is %+v, want nothing", opened)
	}
}

func TestWhatIsNotSealedPasses(t *testing.T) {
	c := newCodec(t, key("a", 1))
	for _, payload := range []*commonpb.Payload{
		plain(`{"id":"evt_1"}`),
		{Metadata: map[string][]byte{"encoding": []byte("binary/null")}},
		{},
	} {
		opened, err := open(c, payload)
		if err != nil {
			t.Fatal(err)
		}
		if opened != payload {
			t.Fatalf("opened is %v, want %v", opened, payload)
		}
	}
}

// storedPayload is plain(`{"id":"evt_1"}`) sealed with key("a", 1) by the first
// version of this package.
const storedPayload = "zNTz7L2Zu18qNCVV1ur9eo/IP9OelREcKL+R4KmYWTmOn3lJkLO3hgFoEo3ayLfsnZoqLogOK7M7HDaY9i04l9DP5yI="

func stored(t rapid.TB) *commonpb.Payload {
	data, err := base64.StdEncoding.DecodeString(storedPayload)
	if err != nil {
		t.Fatal(err)
	}
	return &commonpb.Payload{Data: data, Metadata: map[string][]byte{
		converter.MetadataEncoding: []byte("binary/encrypted"), "encryption-key-id": []byte("a"),
	}}
}

// Histories outlive a deployment: sealed payloads must open for ever.
func TestWhatWasStoredStaysReadable(t *testing.T) {
	opened, err := open(newCodec(t, key("a", 1)), stored(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := plain(`{"id":"evt_1"}`); !proto.Equal(want, opened) {
		t.Fatalf("opened is %v, want %v", opened, want)
	}
}

// As the package comment tells operators to do it.
func TestRotation(t *testing.T) {
	before, after := key("2025", 1), key("2026", 2)
	old := newCodec(t, before)
	prepared := newCodec(t, before, after)
	turned := newCodec(t, after, before)
	done := newCodec(t, after)
	for _, seals := range []*codec.Codec{old, prepared} {
		sealed := seal(t, seals, plain("1"))
		for _, opens := range []*codec.Codec{old, prepared, turned} {
			_, err := open(opens, sealed)
			if err != nil {
				t.Fatalf("%s opened by %s: %v", seals, opens, err)
			}
		}
		_, err := open(done, sealed)
		if !errors.Is(err, codec.ErrUnknownKey) {
			t.Fatalf("the error is %v, want %v: removed too early", err, codec.ErrUnknownKey)
		}
	}
	sealed := seal(t, turned, plain("1"))
	if string(sealed.Metadata["encryption-key-id"]) != "2026" {
		t.Fatalf(`string(sealed.Metadata["encryption-key-id"]) is %q, want "2026": the first key seals`, string(sealed.Metadata["encryption-key-id"]))
	}
	for _, opens := range []*codec.Codec{prepared, turned, done} {
		_, err := open(opens, sealed)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An order is what holds the buyer's address; every payload takes this way.
func TestNothingOfTheBuyerIsInAnOrdersPayload(t *testing.T) {
	order := domain.Order{ID: domain.OrderID{1}, SaleID: "conf", Email: "ada@example.com", AmountMinor: 6500, Currency: "EUR"}
	convert := newCodec(t, key("a", 1)).DataConverter()
	payloads, err := convert.ToPayloads(order, "2 × A")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := proto.Marshal(payloads)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"ada", "example.com", "EUR", "conf", "× A"} {
		if strings.Contains(string(stored), secret) {
			t.Fatalf("%q is in %s", secret, string(stored))
		}
	}
	var (
		got     domain.Order
		summary string
	)
	if err := convert.FromPayloads(payloads, &got, &summary); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, order) {
		t.Fatalf("got %+v, want %+v", got, order)
	}
	if summary != "2 × A" {
		t.Fatalf(`summary is %q, want "2 × A"`, summary)
	}
}

func TestParse(t *testing.T) {
	const secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" // 32 bytes
	many := strings.Repeat("k:"+secret+",", codec.KeysMax) + "k:" + secret
	tests := []struct {
		name, text string
		err        string // part of it; empty: accepted
	}{
		{"one key", "a:" + secret, ""},
		{"two keys, with space around", " a:" + secret + ", b:" + secret + "\n", ""},
		{"none", " ", "no payload key"},
		{"no id", ":" + secret, "id is 1 to 64"},
		{"an id with a space", "a b:" + secret, "id is 1 to 64"},
		{"an id that is too long", strings.Repeat("a", 65) + ":" + secret, "id is 1 to 64"},
		{"no secret", "a", "is not id:base64"},
		{"not base64", "a:supersecret!", "is not base64"},
		{"too short", "a:AQEB", "has 3 bytes, want 32"},
		{"an id twice", "a:" + secret + ",a:" + secret, `"a" is there twice`},
		{"a comma at the end", "a:" + secret + ",", "payload key 2"},
		{"too many", many, "more than 16"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := codec.Parse(tt.text)
			if tt.err == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(c); strings.Contains(got, secret) {
					t.Fatalf("%q is in %s", secret, got)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("the error is %v, want %q in it", err, tt.err)
			}
			if got := err.Error(); strings.Contains(got, "supersecret") {
				t.Fatalf("%q is in %s", "supersecret", got)
			}
			if got := err.Error(); strings.Contains(got, secret) {
				t.Fatalf("%q is in %s", secret, got)
			}
		})
	}
}

func TestNewRefusesNoKeys(t *testing.T) {
	_, err := codec.New(nil)
	if err == nil {
		t.Fatal("no error, want one")
	}
}

// Whatever is in a history: an error or a payload, never a panic; and nothing
// that this key did not seal opens.
func FuzzDecode(f *testing.F) {
	c := newCodec(f, key("a", 1))
	sealed := stored(f) // the same in every process of a fuzz run: a nonce is random
	f.Add("binary/encrypted", "a", sealed.Data)
	f.Add("binary/encrypted", "b", sealed.Data)
	f.Add("json/plain", "", []byte(`{"id":1}`))
	f.Add("", "", []byte(nil))
	f.Fuzz(func(t *testing.T, encoding, id string, data []byte) {
		payload := &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(encoding), "encryption-key-id": []byte(id),
		}}
		opened, err := open(c, payload)
		switch {
		case encoding != "binary/encrypted":
			if err != nil {
				t.Fatal(err)
			}
			if opened != payload {
				t.Fatalf("opened is %v, want %v", opened, payload)
			}
		case id == "a" && bytes.Equal(data, sealed.Data):
			if err != nil {
				t.Fatal(err)
			}
		default:
			unreadable := (*codec.UnreadableError)(nil)
			if !errors.As(err, &unreadable) {
				t.Fatalf("the error is a %T, want a %T: %v", err, unreadable, err)
			}
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add("a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=,b:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=")
	f.Add(":,:")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := codec.ParseKeys(text)
		if err != nil {
			if len(keys) != 0 {
				t.Fatalf("keys is %+v, want nothing", keys)
			}
			return
		}
		if len(keys) == 0 {
			t.Fatal("keys is empty")
		}
		if len(keys) > codec.KeysMax {
			t.Fatalf("len(keys) is %v, want at most %v", len(keys), codec.KeysMax)
		}
	})
}

// noted records whether it was sealed.
type noted struct {
	Value    int
	unsealed bool
}

func (n *noted) MarkUnsealed() { n.unsealed = true }

// Outside of a workflow (an update's arguments) and inside (a signal's, a start's): a
// value that asks is told whether its payload was sealed.
func TestWhatWasNotSealedIsMarked(t *testing.T) {
	c := newCodec(t, key("a", 1))
	outside := c.DataConverter()
	inside := outside.(converter.ContextAware).WithWorkflowContext(nil)
	for name, convert := range map[string]converter.DataConverter{"outside": outside, "inside": inside} {
		t.Run(name, func(t *testing.T) {
			sealed, err := outside.ToPayloads(noted{Value: 1}, noted{Value: 2}, "text")
			if err != nil {
				t.Fatal(err)
			}
			clear, err := converter.GetDefaultDataConverter().ToPayloads(noted{Value: 3})
			if err != nil {
				t.Fatal(err)
			}
			sealed.Payloads[1] = clear.Payloads[0]
			var first, second noted
			var text string
			if err := convert.FromPayloads(sealed, &first, &second, &text); err != nil {
				t.Fatal(err)
			}
			if got, want := []noted{first, second}, []noted{{Value: 1}, {Value: 3, unsealed: true}}; !reflect.DeepEqual(got, want) {
				t.Fatalf("[]noted{first, second} is %+v, want %+v", got, want)
			}
			first, second = noted{}, noted{}
			if err := convert.FromPayload(sealed.Payloads[0], &first); err != nil {
				t.Fatal(err)
			}
			if err := convert.FromPayload(sealed.Payloads[1], &second); err != nil {
				t.Fatal(err)
			}
			if got, want := []noted{first, second}, []noted{{Value: 1}, {Value: 3, unsealed: true}}; !reflect.DeepEqual(got, want) {
				t.Fatalf("[]noted{first, second} is %+v, want %+v", got, want)
			}
			if err := convert.FromPayloads(nil, &first); err != nil {
				t.Fatal(err)
			}
		})
	}
}
