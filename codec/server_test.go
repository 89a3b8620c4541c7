package codec_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	require.NoError(t, err)
	require.Equal(t, "binary/encrypted", string(sealed[0].Metadata["encoding"]))
	opened, err := remote.Decode([]*commonpb.Payload{sealed[0], payload})
	require.NoError(t, err)
	require.True(t, proto.Equal(payload, opened[0]))
	require.True(t, proto.Equal(payload, opened[1]), "what is not sealed passes")

	_, err = remote.Decode([]*commonpb.Payload{seal(t, newCodec(t, key("z", 9)), payload)})
	require.ErrorContains(t, err, `sealed with key "z": no such key`)
}

func fromProgram(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/decode", body)
	r.Header.Set("Authorization", "Bearer "+testToken)
	return r
}

// Whoever runs a program on this machine does not thereby read buyers' addresses.
func TestProgramsNeedTheToken(t *testing.T) {
	c := newCodec(t, key("a", 1))
	payload := plain(`"ada@example.com"`)
	body, err := protojson.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{seal(t, c, payload)}})
	require.NoError(t, err)
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
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.status == http.StatusOK, strings.Contains(w.Body.String(), opened))
			require.Equal(t, tt.status != http.StatusOK, w.Header().Get("WWW-Authenticate") != "")
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
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.allowed, w.Header().Get("Access-Control-Allow-Origin"))
			require.Equal(t, "Origin", w.Header().Get("Vary"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

			preflight := ask(c, http.MethodOptions, "/decode", tt.origin, nil)
			require.Equal(t, tt.allowed, preflight.Header().Get("Access-Control-Allow-Origin"))
			if tt.status == http.StatusOK {
				require.Equal(t, http.StatusNoContent, preflight.Code)
				require.Contains(t, preflight.Header().Get("Access-Control-Allow-Headers"), "X-Namespace")
			} else {
				require.Equal(t, tt.status, preflight.Code)
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
			require.Equal(t, tt.status, w.Code)
		})
	}
}

// Bodies that never end hold every slot; the next request is told to come back,
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
		require.NoError(t, err)
	}
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		server.Handler.ServeHTTP(w, fromProgram(strings.NewReader("{}")))
		return w
	}
	full := ask()
	require.Equal(t, http.StatusServiceUnavailable, full.Code)
	require.Equal(t, "1", full.Header().Get("Retry-After"))
	for _, hold := range held {
		require.NoError(t, hold.CloseWithError(io.ErrUnexpectedEOF))
		require.Equal(t, http.StatusBadRequest, <-ended)
	}
	require.Equal(t, http.StatusOK, ask().Code)
}

func TestEveryTimeoutIsSet(t *testing.T) {
	server := newCodec(t, key("a", 1)).NewServer(uiOrigin, testToken)
	for name, timeout := range map[string]time.Duration{
		"header": server.ReadHeaderTimeout, "read": server.ReadTimeout, "write": server.WriteTimeout, "idle": server.IdleTimeout,
	} {
		require.Positive(t, timeout, name)
	}
	require.Positive(t, server.MaxHeaderBytes)
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
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want == "", err != nil)
		})
	}
}
