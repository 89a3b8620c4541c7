package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is what a machine without Postgres gets. All its data folders have that
// major release: changing it needs a new data format, and new pins.
const downloadVersion = embedded.V17

// pins are the SHA-256 hashes of the archives of downloadVersion, by platform as their
// publisher names it. An archive without a pin is not downloaded; one that differs is
// neither unpacked nor run. A hash from the server proves nothing about the server.
var pins = map[string]string{
	"linux-amd64":        "646f3269075d1a23904127374e3cdbcef96beb32979fedee25d835877400fcbe",
	"linux-amd64-alpine": "7122386c7f7a089568f05720ada63448093d4065abbc0a89e6dc660851a53e3c",
	"linux-arm64v8":      "e02f27ff50ff2d90b6541d54f3f108505aacd84ea53c2890e976a684bfea2752",
	"darwin-amd64":       "fb70f783928e77c3d6ef5ca8ed644f1ac502f740fcfc032a375c8347820f2bdd",
	"darwin-arm64v8":     "e9d3398e10c2ec926395498b03e75ad1a24eeaed82895e756a7e173b202cf6de",
}

// archiveBytesMax is twice what the largest archive has.
const archiveBytesMax = 64 << 20

// RepositoryVariable names a Maven repository to use instead of Maven Central. Anybody
// may run it: the pin decides.
const RepositoryVariable = "POSTGRES_BINARIES_URL"

// platform is this machine in the words of the archives' names.
func platform() string {
	_, err := os.Stat("/etc/alpine-release")
	return platformOf(runtime.GOOS, runtime.GOARCH, err == nil)
}

func platformOf(system, processor string, alpine bool) string {
	if processor == "arm64" {
		processor += "v8"
	}
	name := system + "-" + processor
	if system == "linux" && alpine {
		name += "-alpine"
	}
	return name
}

func pinOf(platform string) (string, error) {
	pin, ok := pins[platform]
	if !ok {
		return "", fmt.Errorf("there are no Postgres binaries to download for %s: none whose hash this program knows", platform)
	}
	return pin, nil
}

// A pinnedTransport lets a client fetch one archive and nothing else, and only if it is
// the pinned one.
type pinnedTransport struct {
	pin     string
	refused error // why it was refused; the library only says that it could not connect
}

// RoundTrip implements http.RoundTripper.
func (t *pinnedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, ".sha256") { // what the server says of its own archive proves nothing
		return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: r}, nil
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK { // a redirection leads back here
		return response, err
	}
	defer response.Body.Close()
	archive, err := io.ReadAll(io.LimitReader(response.Body, archiveBytesMax+1))
	if err == nil && len(archive) > archiveBytesMax {
		err = fmt.Errorf("%s is larger than %d bytes", r.URL, archiveBytesMax)
	}
	if sum := sha256.Sum256(archive); err == nil && hex.EncodeToString(sum[:]) != t.pin {
		err = fmt.Errorf("%s is not the archive that this program knows: its SHA-256 is %x, want %s; nothing of it was unpacked", r.URL, sum, t.pin)
	}
	if err != nil {
		t.refused = err
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(archive)), int64(len(archive))
	return response, nil
}
