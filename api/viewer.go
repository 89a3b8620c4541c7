package api

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// The API page: the OpenAPI document in a viewer that we serve ourselves.

//go:embed viewer/index.html viewer/start.js viewer/*.gz
var viewer embed.FS

const (
	viewerVersion = "5.35.0" // of Swagger UI: see viewer/README.md
	viewerRoute   = "/api"

	// Everything comes from this site. The viewer's style sheet embeds its icons as data.
	viewerPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// routeViewer adds the page and what it loads.
func (s *Server) routeViewer(e *gin.Engine) error {
	for _, file := range []struct{ route, name, contentType string }{
		{viewerRoute, "index.html", "text/html; charset=utf-8"},
		{viewerRoute + "/start.js", "start.js", "text/javascript; charset=utf-8"},
		{viewerRoute + "/" + viewerVersion + "/swagger-ui-bundle.js", "swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"},
		{viewerRoute + "/" + viewerVersion + "/swagger-ui.css", "swagger-ui.css.gz", "text/css; charset=utf-8"},
	} {
		content, err := viewer.ReadFile("viewer/" + file.name)
		if err != nil {
			return fmt.Errorf("api: the API page: %w", err)
		}
		isPinned := strings.HasSuffix(file.name, ".gz")
		e.GET(file.route, func(c *gin.Context) {
			h := c.Writer.Header()
			h.Set("Content-Security-Policy", viewerPolicy)
			h.Set("Referrer-Policy", "same-origin")
			if !isPinned {
				c.Data(http.StatusOK, file.contentType, content)
				return
			}
			h.Set("Cache-Control", "public, max-age=31536000, immutable") // its version is in its path
			h.Set("Vary", "Accept-Encoding")
			if acceptsGzip(c.Request) {
				h.Set("Content-Encoding", "gzip")
				c.Data(http.StatusOK, file.contentType, content)
				return
			}
			plain, err := unzipped(content)
			if err != nil {
				s.abort(c, err)
				return
			}
			c.Data(http.StatusOK, file.contentType, plain)
		})
	}
	return nil
}

func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}

func unzipped(content []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
