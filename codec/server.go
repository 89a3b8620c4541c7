package codec

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.temporal.io/sdk/converter"
)

// Limits of the codec server.
const (
	// BodyBytesMax has room for a payload of the largest size that Temporal takes, 2 MB,
	// in base64 twice over.
	BodyBytesMax = 4 << 20
	// RequestsMax are worked on at a time; a browser sends 6. The others wait.
	RequestsMax = 16

	headerBytesMax    = 16 << 10
	queueTimeout      = 2 * time.Second
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 15 * time.Second // from the end of the header: longer than reading
	idleTimeout       = time.Minute
	preflightMaxAge   = "600" // seconds
)

// Origin is the origin of a page at the URL, as browsers send it. The error says what is
// wrong with the URL.
func Origin(pageURL string) (string, error) {
	u, err := url.Parse(pageURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
		return "", fmt.Errorf("%q is not http://host:port or https://host:port", pageURL)
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
	return u.Scheme + "://" + host, nil
}

// NewServer is a codec server for the Web UI at one origin (see Origin), with every
// timeout set: POST /encode and /decode as Temporal's tools use them, and GET /healthz.
// It refuses pages of any other origin, rather than only hiding the answer from them. A
// program, which sends no Origin, is served if it sends Authorization: Bearer and the
// token; without a configured token no program is. The package comment says what to put
// in front of it.
func (c *Codec) NewServer(uiOrigin, token string) *http.Server {
	return &http.Server{
		Handler:           c.handler(uiOrigin, token),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytesMax,
	}
}

func (c *Codec) handler(uiOrigin, token string) http.Handler {
	h := &handler{
		convert:  converter.NewPayloadCodecHTTPHandler(c),
		uiOrigin: uiOrigin,
		token:    token,
		slots:    make(chan struct{}, RequestsMax),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	})
	for _, path := range []string{"/encode", "/decode"} {
		mux.HandleFunc("OPTIONS "+path, h.preflight)
		mux.HandleFunc("POST "+path, h.serve)
	}
	return mux
}

type handler struct {
	convert  http.Handler
	uiOrigin string
	token    string // for programs; empty: none is served
	slots    chan struct{}
}

// preflight answers a browser that asks whether a page may send.
func (h *handler) preflight(w http.ResponseWriter, r *http.Request) {
	if !h.admit(w, r) {
		return
	}
	w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, X-Namespace, Authorization")
	w.Header().Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// admit refuses pages of other origins. Browsers send the origin with every POST, even if
// it needs no preflight, and even if a name was rebound to this address.
func (h *handler) admit(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return h.admitProgram(w, r)
	}
	if origin != h.uiOrigin {
		http.Error(w, "The codec serves the Temporal Web UI at "+h.uiOrigin+" (TEMPORAL_UI_URL) only.", http.StatusForbidden)
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", h.uiOrigin)
	w.Header().Set("Access-Control-Allow-Credentials", "true") // the cookie of a proxy in front
	return true
}

// admitProgram lets in programs with the token. Both sides are hashed first, so that the
// comparison reveals nothing, not even the length.
func (h *handler) admitProgram(w http.ResponseWriter, r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(h.token)), sha256.Sum256([]byte(strings.TrimSpace(token)))
	if h.token != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1 {
		return true
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(
		w,
		"The codec opens payloads for programs that send Authorization: Bearer and BOXOFFICE_CODEC_TOKEN: temporal … --codec-auth \"Bearer $BOXOFFICE_CODEC_TOKEN\".",
		http.StatusUnauthorized,
	)
	return false
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !h.admit(w, r) {
		return
	}
	if !h.enter(r.Context()) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The codec is at its limit.", http.StatusServiceUnavailable)
		return
	}
	defer func() { <-h.slots }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, BodyBytesMax))
	if err != nil {
		refuseBody(w, err)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.convert.ServeHTTP(w, r)
}

// enter waits a little for a free slot.
func (h *handler) enter(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	select {
	case h.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func refuseBody(w http.ResponseWriter, err error) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("More than %d bytes.", BodyBytesMax), http.StatusRequestEntityTooLarge)
		return
	}
	http.Error(w, "The request's body did not arrive.", http.StatusBadRequest)
}
