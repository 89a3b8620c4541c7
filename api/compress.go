package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// zippedMin is what is worth the work: less fits into one packet anyway.
const zippedMin = 1400

// compressed lets clients that can read gzip have pages and lists in it. What is refused, held or streamed does not even
// pass here.
//
// Who can have a browser ask for a page with text of their choice, and sees how long the compressed answer is, guesses
// a secret in it letter by letter (BREACH). So nothing is compressed that may have both: no answer to a form, which
// repeats what was typed, and nothing that is asked for with a token. A page that is read with GET repeats nothing of
// the request but its path, and no answer is for a path that was made up.
func compressed(next http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(zippedMin), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false),
		gzhttp.ContentTypes([]string{"text/html", "application/json", "application/openapi+json", "application/problem+json", "text/markdown", "text/plain"}))
	if err != nil {
		return nil, fmt.Errorf("api: compression: %w", err)
	}
	zipped := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mayZip(r) {
			zipped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// mayZip reports whether the answer to a request may be compressed.
func mayZip(r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "" {
		return false
	}
	path := r.URL.Path
	if !strings.HasPrefix(path, "/v1/") {
		switch path {
		case healthRoute, readyRoute, metricsRoute:
			return false
		}
		return !strings.HasPrefix(path, "/debug/") && !strings.HasPrefix(path, "/static/") // which has its files compressed
	}
	sale, isSale := strings.CutPrefix(path, salesRoute)
	return isSale && strings.Count(sale, "/") <= 1 // the list, and one of it; not its streams
}
