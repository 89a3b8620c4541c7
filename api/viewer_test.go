package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page loads nothing from other sites.
func TestTheAPIPageIsServedFromHere(t *testing.T) {
	b := setup(t)
	page := b.do(request{method: "GET", path: viewerRoute})
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	policy := page.Header().Get("Content-Security-Policy")
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %s", policy)
	}
	loaded := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1)
	for _, found := range loaded {
		w := b.do(request{method: "GET", path: found[1]})
		if !strings.HasPrefix(found[1], "/") || w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", found[1], w.Code)
		}
	}
	if len(loaded) != 4 || strings.Contains(page.Body.String(), "<style") || regexp.MustCompile(`<script[^>]*>[^<]`).MatchString(page.Body.String()) {
		t.Errorf("%d things are loaded:\n%s", len(loaded), page.Body)
	}
}

// We serve the files that the maker published, compressed or not.
func TestTheViewerIsThePinnedOne(t *testing.T) {
	b := setup(t)
	readme, err := os.ReadFile("viewer/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"swagger-ui-bundle.js", "swagger-ui.css"} {
		path := viewerRoute + "/" + viewerVersion + "/" + name
		plain := b.do(request{method: "GET", path: path})
		sum := sha256.Sum256(plain.Body.Bytes())
		if want := "`" + name + "`, sha256 `" + hex.EncodeToString(sum[:]) + "`"; !strings.Contains(string(readme), want) {
			t.Errorf("viewer/README.md does not say %s", want)
		}
		packed := b.do(request{"GET", path, "", map[string]string{"Accept-Encoding": "br, gzip;q=0.8"}})
		unpacked, err := unzipped(packed.Body.Bytes())
		if err != nil || packed.Header().Get("Content-Encoding") != "gzip" || string(unpacked) != plain.Body.String() {
			t.Errorf("%s packed: %v, %v", name, packed.Header(), err)
		}
	}
	for header, want := range map[string]bool{"gzip": true, "br, GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0": false, "br": false, "": false} {
		if r := (&http.Request{Header: http.Header{"Accept-Encoding": {header}}}); acceptsGzip(r) != want {
			t.Errorf("%q accepts gzip: %v", header, !want)
		}
	}
	if !strings.Contains(string(readme), "Swagger UI "+viewerVersion) {
		t.Error("viewer/README.md describes another version")
	}
}
