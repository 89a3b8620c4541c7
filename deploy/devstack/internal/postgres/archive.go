package postgres

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// downloadVersion is what a machine without Postgres gets. Its major release is the one of all such data folders:
// changing it needs a new data format, and new pins.
const downloadVersion = embedded.V17

// pins are the SHA-256 hashes of the archives of downloadVersion, by platform as their publisher names it. What has
// none is not downloaded, what differs is neither unpacked nor run: a hash that the server gives proves nothing about
// the server.
var pins = map[string]string{
	"linux-amd64":        "646f3269075d1a23904127374e3cdbcef96beb32979fedee25d835877400fcbe",
	"linux-amd64-alpine": "7122386c7f7a089568f05720ada63448093d4065abbc0a89e6dc660851a53e3c",
	"linux-arm64v8":      "e02f27ff50ff2d90b6541d54f3f108505aacd84ea53c2890e976a684bfea2752",
	"darwin-amd64":       "fb70f783928e77c3d6ef5ca8ed644f1ac502f740fcfc032a375c8347820f2bdd",
	"darwin-arm64v8":     "e9d3398e10c2ec926395498b03e75ad1a24eeaed82895e756a7e173b202cf6de",
}

// archiveBytesMax is twice what the largest archive has.
const archiveBytesMax = 64 << 20

const mavenCentral = "https://archives.invalid/maven2"

// RepositoryVariable names a Maven repository to use instead of Maven Central. It may be anybody's: the pins decide.
const RepositoryVariable = "POSTGRES_BINARIES_URL"

func repository() string {
	if url := os.Getenv(RepositoryVariable); url != "" {
		return strings.TrimSuffix(url, "/")
	}
	return mavenCentral
}

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

// fetchArchive downloads the archive of a platform, proves that it is the one that is pinned, and leaves the inner
// archive in folder, where the library that unpacks looks for it.
func fetchArchive(ctx context.Context, repository, platform, pin, folder string) error {
	name := "embedded-postgres-binaries-" + platform
	jar, err := download(ctx, fmt.Sprintf("%s/io/zonky/test/postgres/%s/%s/%s-%s.jar", repository, name, downloadVersion, name, downloadVersion))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(jar); hex.EncodeToString(sum[:]) != pin {
		return fmt.Errorf("%s %s from %s is not the archive that this program knows: its SHA-256 is %x, want %s; nothing of it was unpacked",
			name, downloadVersion, repository, sum, pin)
	}
	inner, err := innerArchive(jar)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%s.txz", name, downloadVersion)), inner, 0o600)
}

func download(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, archiveBytesMax+1))
	if err == nil && len(raw) > archiveBytesMax {
		err = fmt.Errorf("%s is larger than %d bytes", url, archiveBytesMax)
	}
	return raw, err
}

// innerArchive is the one .txz in a jar.
func innerArchive(jar []byte) ([]byte, error) {
	files, err := zip.NewReader(bytes.NewReader(jar), int64(len(jar)))
	if err != nil {
		return nil, err
	}
	for _, file := range files.File {
		if !strings.HasSuffix(file.Name, ".txz") {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return nil, err
		}
		defer content.Close()
		return io.ReadAll(io.LimitReader(content, archiveBytesMax))
	}
	return nil, errors.New("there is no .txz in it")
}
