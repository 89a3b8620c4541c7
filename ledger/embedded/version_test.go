package embedded_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"boxoffice/ledger/embedded"
)

// The version, the release and the client are told alike everywhere.
func TestVersion(t *testing.T) {
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## (\S+)\n\nTigerBeetle (\S+)\. `).FindSubmatch(changes)
	if newest == nil || string(newest[1]) != embedded.Version || string(newest[2]) != embedded.TigerBeetle {
		t.Errorf("the changelog begins with %q, want version %s for TigerBeetle %s", newest, embedded.Version, embedded.TigerBeetle)
	}
	for file, want := range map[string]string{
		"go.mod":    "github.com/tigerbeetle/tigerbeetle-go v" + embedded.TigerBeetle,
		"README.md": "release " + embedded.TigerBeetle,
	} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not have %q (%v)", file, want, err)
		}
	}
}
