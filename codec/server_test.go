package codec_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"boxoffice/codec"
)

const (
	uiOrigin  = "http://127.0.0.1:8233"
	testToken = "a-token-of-the-tests"
)

func ask(c *codec.Codec, method, path, origin string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	if origin != "" {
		r.Header.Set("Origin", origin)
	} else {
		r.Header.Set("Authorization", "Bearer "+testToken)
	}
	w := httptest.NewRecorder()
	c.NewServer(uiOrigin, testToken).Handler.ServeHTTP(w, r)
	return w
}

// The SDK's own client of a codec server, as the CLI uses it.
func TestTemporalsToolsCanUseTheServer(t *testing.T) {
	c := newCodec(t, key("a", 1))
	server := httptest.NewServer(c.NewServer(uiOrigin, testToken).Handler)
	defer server.Close()
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: server.URL,
		ModifyRequest: func(r *http.Request) error { // temporal --codec-auth
			r.Header.Set("Authorization", "Bearer "+testToken)
			return nil
		},
	})
	payload := plain(`"ada@example.com"`)

	sealed, err := remote.Encode([]*commonpb.Payload{payload})
	if err != nil {
		t.Fatal(err)
	}
	if string(sealed[0].Metadata["encoding"]) != "binary/encrypted" {
		t.Fatalf(`string(sealed[0].Metadata["encoding"]) is %q, want "binary/encrypted"`, string(sealed[0].Metadata["encoding"]))
	}
	opened, err := remote.Decode([]*commonpb.Payload{sealed[0], payload})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(payload, opened[0]) {
		t.Fatal("want true: proto.Equal(payload, opened[0])")
	}
	if !proto.Equal(payload, opened[1]) {
		t.Fatal("want true: proto.Equal(payload, opened[1]): what is not sealed passes")
	}

	_, err = remote.Decode([]*commonpb.Payload{seal(t, newCodec(t, key("z", 9)), payload)})
	if err == nil || !strings.Contains(err.Error(), `sealed with key "z": no such key`) {
		t.Fatalf("the error is %v, want %q in it", err, `sealed with key "z": no such key`)
	}
}

func fromProgram(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/decode", body)
	r.Header.Set("Authorization", "Bearer "+testToken)
	return r
}

// Running a program on this machine is not enough to read buyers' addresses.
func TestProgramsNeedTheToken(t *testing.T) {
	c := newCodec(t, key("a", 1))
	payload := plain(`"ada@example.com"`)
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{seal(t, c, payload)}})
	if err != nil {
		t.Fatal(err)
	}
	opened := base64.StdEncoding.EncodeToString(payload.Data)
	tests := []struct {
		name, token, authorization string
		status                     int
	}{
		{"the token", testToken, "Bearer " + testToken, http.StatusOK},
		{"the token, as another writes it", testToken, "bearer  " + testToken + " ", http.StatusOK},
		{"none", testToken, "", http.StatusUnauthorized},
		{"another", testToken, "Bearer " + testToken + "x", http.StatusUnauthorized},
		{"an empty one", testToken, "Bearer ", http.StatusUnauthorized},
		{"another scheme", testToken, "Basic " + testToken, http.StatusUnauthorized},
		{"a server without one, and none", "", "", http.StatusUnauthorized},
		{"a server without one, and an empty one", "", "Bearer ", http.StatusUnauthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/decode", strings.NewReader(string(body)))
			r.Header.Set("Content-Type", "application/json")
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := httptest.NewRecorder()
			c.NewServer(uiOrigin, tt.token).Handler.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Fatalf("w.Code is %v, want %v", w.Code, tt.status)
			}
			if got := strings.Contains(w.Body.String(), opened); got != (tt.status == http.StatusOK) {
				t.Fatalf("strings.Contains(w.Body.String(), opened) is %v, want %v", got, tt.status == http.StatusOK)
			}
			if got := w.Header().Get("WWW-Authenticate") != ""; got != (tt.status != http.StatusOK) {
				t.Fatalf(`w.Header().Get("WWW-Authenticate") != "" is %v, want %v`, got, tt.status != http.StatusOK)
			}
		})
	}
}

func TestOrigins(t *testing.T) {
	c := newCodec(t, key("a", 1))
	tests := []struct {
		name, origin string
		status       int
		allowed      string
	}{
		{"the Web UI", uiOrigin, http.StatusOK, uiOrigin},
		{"a program with the token", "", http.StatusOK, ""},
		{"another page", "http://evil.example", http.StatusForbidden, ""},
		{"another port of this machine", "http://127.0.0.1:8080", http.StatusForbidden, ""},
		{"another scheme", "https://127.0.0.1:8233", http.StatusForbidden, ""},
		{"more than the Web UI's origin", uiOrigin + ".evil.example", http.StatusForbidden, ""},
		{"a sandboxed page or a local file", "null", http.StatusForbidden, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(c, http.MethodPost, "/decode", tt.origin, strings.NewReader(`{"payloads":[]}`))
			if w.Code != tt.status {
				t.Fatalf("w.Code is %v, want %v", w.Code, tt.status)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != tt.allowed {
				t.Fatalf(`w.Header().Get("Access-Control-Allow-Origin") is %q, want %q`, got, tt.allowed)
			}
			if got := w.Header().Get("Vary"); got != "Origin" {
				t.Fatalf(`w.Header().Get("Vary") is %q, want "Origin"`, got)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Fatalf(`w.Header().Get("Cache-Control") is %q, want "no-store"`, got)
			}

			preflight := ask(c, http.MethodOptions, "/decode", tt.origin, nil)
			if got := preflight.Header().Get("Access-Control-Allow-Origin"); got != tt.allowed {
				t.Fatalf(`preflight.Header().Get("Access-Control-Allow-Origin") is %q, want %q`, got, tt.allowed)
			}
			if tt.status == http.StatusOK {
				if preflight.Code != http.StatusNoContent {
					t.Fatalf("preflight.Code is %v, want %v", preflight.Code, http.StatusNoContent)
				}
				if got := preflight.Header().Get("Access-Control-Allow-Headers"); !strings.Contains(got, "X-Namespace") {
					t.Fatalf("no %q in %s", "X-Namespace", got)
				}
			} else {
				if preflight.Code != tt.status {
					t.Fatalf("preflight.Code is %v, want %v", preflight.Code, tt.status)
				}
			}
		})
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	c := newCodec(t, key("a", 1))
	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"too large", http.MethodPost, "/decode", strings.Repeat(" ", codec.BodyBytesMax+1), http.StatusRequestEntityTooLarge},
		{"not JSON", http.MethodPost, "/decode", "payloads", http.StatusBadRequest},
		{"another method", http.MethodGet, "/decode", "", http.StatusMethodNotAllowed},
		{"another path", http.MethodPost, "/x/decode", "{}", http.StatusNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ask(c, tt.method, tt.path, uiOrigin, strings.NewReader(tt.body))
			if w.Code != tt.status {
				t.Fatalf("w.Code is %v, want %v", w.Code, tt.status)
			}
		})
	}
}

// Bodies that never end hold every permit; the next request is told to come back,
// and served when one has gone.
func TestRequestsAreBounded(t *testing.T) {
	server := newCodec(t, key("a", 1)).NewServer(uiOrigin, testToken)
	var held []*io.PipeWriter
	ended := make(chan int, codec.RequestsMax)
	for range codec.RequestsMax {
		body, hold := io.Pipe()
		held = append(held, hold)
		go func() {
			w := httptest.NewRecorder()
			server.Handler.ServeHTTP(w, fromProgram(body))
			ended <- w.Code
		}()
		_, err := hold.Write([]byte(" ")) // returns when it is read: the slot is taken
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, fromProgram(strings.NewReader("{}")))
		return w
	}
	full := ask()
	if full.Code != http.StatusServiceUnavailable {
		t.Fatalf("full.Code is %v, want %v", full.Code, http.StatusServiceUnavailable)
	}
	if got := full.Header().Get("Retry-After"); got != "1" {
		t.Fatalf(`full.Header().Get("Retry-After") is %q, want "1"`, got)
	}
	for _, hold := range held {
		if err := hold.CloseWithError(io.ErrUnexpectedEOF); err != nil {
			t.Fatal(err)
		}
		if got := <-ended; got != http.StatusBadRequest {
			t.Fatalf("<-ended is %v, want %v", got, http.StatusBadRequest)
		}
	}
	if got := ask().Code; got != http.StatusOK {
		t.Fatalf("ask().Code is %v, want %v", got, http.StatusOK)
	}
}

func TestEveryTimeoutIsSet(t *testing.T) {
	server := newCodec(t, key("a", 1)).NewServer(uiOrigin, testToken)
	for name, timeout := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "read": server.ReadTimeout, "write": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		if timeout <= 0 {
			t.Fatalf("timeout is %v, want more than 0: %v", timeout, name)
		}
	}
	if server.MaxHeaderBytes <= 0 {
		t.Fatalf("server.MaxHeaderBytes is %v, want more than 0", server.MaxHeaderBytes)
	}
}

func TestOrigin(t *testing.T) {
	tests := []struct{ url, want string }{
		{"http://127.0.0.1:8233", "http://127.0.0.1:8233"},
		{"http://127.0.0.1:8233/namespaces/default", "http://127.0.0.1:8233"},
		{"https://Temporal.example:443/", "https://temporal.example"},
		{"http://temporal.example:80", "http://temporal.example"},
		{"http://[::1]:8233", "http://[::1]:8233"},
		{"", ""},
		{"127.0.0.1:8233", ""},
		{"ftp://temporal.example", ""},
		{"http://user:secret@temporal.example", ""},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			got, err := codec.Origin(tt.url)
			if got != tt.want {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			if (err != nil) != (tt.want == "") {
				t.Fatalf("err != nil is %v, want %v", err != nil, tt.want == "")
			}
		})
	}
}
