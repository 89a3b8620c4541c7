package postgres

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestEveryPlatformThatIsOfferedIsPinned(t *testing.T) {
	for _, c := range []struct {
		system, processor string
		alpine            bool
		want              string
		offered           bool
	}{
		{"linux", "amd64", false, "linux-amd64", true},
		{"linux", "amd64", true, "linux-amd64-alpine", true},
		{"linux", "arm64", false, "linux-arm64v8", true},
		{"linux", "arm64", true, "linux-arm64v8-alpine", false},
		{"linux", "riscv64", false, "linux-riscv64", false},
		{"darwin", "amd64", false, "darwin-amd64", true},
		{"darwin", "arm64", false, "darwin-arm64v8", true},
	} {
		got := platformOf(c.system, c.processor, c.alpine)
		pin, err := pinOf(got)
		if got != c.want || (err == nil) != c.offered {
			t.Errorf("%s on %s: %s, %v; want %s, offered %t", c.system, c.processor, got, err, c.want, c.offered)
		}
		if c.offered && !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(pin) {
			t.Errorf("the pin of %s is %q", got, pin)
		}
	}
	if want := "17.5.0"; string(downloadVersion) != want {
		t.Errorf("the pins are those of %s, the version is %s: pin its archives", want, downloadVersion)
	}
}

// fakeRepository serves one jar for every name, with the hash that belongs to it or with none.
func fakeRepository(t *testing.T, jar []byte, vouches bool) (url string, asked *[]string) {
	asked = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path)
		switch {
		case !strings.HasSuffix(r.URL.Path, ".sha256"):
			_, _ = w.Write(jar)
		case vouches:
			fmt.Fprintf(w, "%x", sha256.Sum256(jar))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// jarOf is an archive that a hostile repository would serve.
func jarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ownClient restores the default client after a test, because fetch replaces it for the process.
func ownClient(t *testing.T) {
	before := *http.DefaultClient
	t.Cleanup(func() { *http.DefaultClient = before })
}

func TestAnArchiveThatIsNotPinnedIsNotUnpacked(t *testing.T) {
	ownClient(t)
	jar := jarOf(t, map[string][]byte{"postgres.txz": []byte("not even an archive")})
	for _, vouches := range []bool{true, false} {
		t.Run(fmt.Sprintf("with a hash of the server's %t", vouches), func(t *testing.T) {
			url, _ := fakeRepository(t, jar, vouches)
			work := t.TempDir()
			err := fetch(url, pins["linux-amd64"], work)
			if err == nil || !strings.Contains(err.Error(), "is not the archive that this program knows") {
				t.Errorf("fetch: %v", err)
			}
			if left, _ := os.ReadDir(work); len(left) != 0 {
				t.Errorf("it left %v behind", left)
			}
		})
	}
}

func TestOnlyThePinnedArchiveIsAskedForAndUnpacked(t *testing.T) {
	ownClient(t)
	jar := jarOf(t, map[string][]byte{"META-INF/MANIFEST.MF": nil, "postgres.txz": []byte("not an archive")})
	sum := sha256.Sum256(jar)
	// A repository whose own hash is wrong, behind a redirection: nobody asks for the hash.
	url, asked := fakeRepository(t, jar, false)
	moved := httptest.NewServer(http.RedirectHandler(url+"/elsewhere", http.StatusFound))
	t.Cleanup(moved.Close)
	err := fetch(moved.URL+"/", hex.EncodeToString(sum[:]), t.TempDir())
	if err == nil || strings.Contains(err.Error(), "is not the archive") || !strings.Contains(err.Error(), "xz") {
		t.Errorf("fetch: %v; want the library to fail to unpack it", err)
	}
	if len(*asked) != 1 || (*asked)[0] != "/elsewhere" {
		t.Errorf("asked for %v, want the archive alone", *asked)
	}
}

func TestAnArchiveThatIsTooLargeIsNotRead(t *testing.T) {
	ownClient(t)
	url, _ := fakeRepository(t, make([]byte, archiveBytesMax+1), false)
	err := fetch(url, pins["linux-amd64"], t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "is larger than") {
		t.Errorf("fetch: %v", err)
	}
}
