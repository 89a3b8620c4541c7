package codec_test

import (
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	commonpb "go.temporal.io/api/common/v1"
)

// Whatever a browser sends: an answer, never a failure of ours; a page of
// another origin gets nothing, and only what this key sealed is opened.
func FuzzServer(f *testing.F) {
	c := newCodec(f, key("a", 1))
	sealed, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{stored(f)}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(sealed), `{}`, `{"payloads":[]}`, `{"payloads":[null]}`, `{"payloads":[{"metadata":{"encoding":"!"}}]}`, `[`, ``,
		`{"payloads":[{"metadata":{"encoding":"YmluYXJ5L2VuY3J5cHRlZA=="},"data":"AAAA"}]}`,
	} {
		f.Add("/decode", uiOrigin, seed)
		f.Add("/encode", "", seed)
		f.Add("/decode", "http://evil.example", seed)
	}
	plain, err := open(c, stored(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, origin, body string) {
		if path != "/decode" && path != "/encode" {
			t.Skip()
		}
		w := ask(c, http.MethodPost, path, origin, strings.NewReader(body))
		if w.Code >= 500 {
			t.Fatalf("w.Code is %v, want less than %v: %v", w.Code, 500, w.Body)
		}
		if origin != "" && origin != uiOrigin {
			if w.Code != http.StatusForbidden {
				t.Fatalf("w.Code is %v, want %v", w.Code, http.StatusForbidden)
			}
			if got := w.Body.String(); strings.Contains(got, string(plain.Data)) {
				t.Fatalf("%q is in %s", string(plain.Data), got)
			}
		}
	})
}
