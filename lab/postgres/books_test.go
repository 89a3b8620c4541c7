package postgres_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The product's own tests of its books, on this ledger: they are compiled with a file of
// ours added to them (go help build, -overlay), because the product may not know of the lab.
func TestTheBooksOfTheBoxOffice(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short starts no Postgres")
	}
	t.Parallel()
	ledger, err := filepath.Abs("../../ledger")
	if err != nil {
		t.Fatal(err)
	}
	added, err := filepath.Abs("testdata/backend_test.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(ledger, "zz_lab_test.go"): added}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := testsOnEveryLedger(t, ledger)
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-overlay", file, "-run", "^("+strings.Join(tests, "|")+")$", "boxoffice/ledger")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, test := range tests {
		if !regexp.MustCompile(`--- PASS: ` + test + `/.*\bpostgres \(`).Match(output) {
			t.Errorf("%s did not run on this ledger", test)
		}
	}
}

// testsOnEveryLedger are those that go through the backends.
func testsOnEveryLedger(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?ms)^func (Test\w+)\(t \*testing\.T\) \{\n.*?^\}`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range function.FindAllSubmatch(text, -1) {
			if body := string(found[0]); strings.Contains(body, "onEvery(t") || strings.Contains(body, "range backends()") {
				names = append(names, string(found[1]))
			}
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d tests go through the backends of %s", len(names), folder)
	}
	return names
}
