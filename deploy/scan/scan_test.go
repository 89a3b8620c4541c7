package scan

import (
	"archive/zip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bill is what deploy/image/build writes, with one module, the standard library, and one package whose source has another name.
const bill = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
	{"name": "example.com/rope", "version": "v1.2.3", "purl": "pkg:golang/example.com/rope@v1.2.3?type=module"},
	{"name": "./ledger/embedded", "version": "(devel)", "purl": "pkg:golang/./ledger/embedded@%28devel%29?type=module"},
	{"name": "std", "version": "go1.26.8", "purl": "pkg:golang/std@go1.26.8?type=module"},
	{"name": "libc6", "version": "2.36-9+deb12u14", "purl": "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64", "properties": [
		{"name": "boxoffice:debian:source", "value": "glibc"}, {"name": "boxoffice:debian:source-version", "value": "2.36-9+deb12u14"},
		{"name": "boxoffice:debian:release", "value": "12"}]}]}`

// An advisory is of versions before fixed.
type advisory struct{ ecosystem, name, fixed string }

func (a advisory) json() string {
	kind := map[bool]string{true: "SEMVER", false: "ECOSYSTEM"}[a.ecosystem == "Go"]
	return fmt.Sprintf(`{"schema_version": "1.6.0", "id": "TRY-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": %q, "name": %q},
		"ranges": [{"type": %q, "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`, a.ecosystem, a.name, kind, a.fixed)
}

// elsewhere is an advisory of what the bill does not have: data is never empty.
func elsewhere(ecosystem string) advisory { return advisory{ecosystem, "elsewhere", "9"} }

// data writes a folder like OSV's export.
func data(t *testing.T, advisories ...advisory) string {
	t.Helper()
	dir := t.TempDir()
	for _, ecosystem := range []string{"Go", "Debian"} {
		if err := os.Mkdir(filepath.Join(dir, ecosystem), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, ecosystem, "all.zip"))
		if err != nil {
			t.Fatal(err)
		}
		z := zip.NewWriter(f)
		for i, a := range append(advisories, elsewhere("Go"), elsewhere("Debian:12")) {
			if !strings.HasPrefix(a.ecosystem, ecosystem) {
				continue
			}
			w, err := z.Create(fmt.Sprintf("TRY-%d.json", i))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(w, strings.Replace(a.json(), "TRY-1", fmt.Sprintf("TRY-%d", i), 1))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return dir
}

func scan(t *testing.T, scanner, bill, from, required string) (says string, failed bool) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sbom.try.cdx.json")
	if err := os.WriteFile(file, []byte(bill), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./scan", scanner, file)
	cmd.Env = append(os.Environ(), "SCANDB="+from, "SCAN_REQUIRED="+required)
	output, err := cmd.CombinedOutput()
	return string(output), err != nil
}

// script is a scanner that ends so, and shows what it was asked.
func script(t *testing.T, exit int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "osv-scanner")
	text := fmt.Sprintf("#!/bin/sh\necho it scanned; for a; do case $a in osv-scanner:*) cat \"${a#osv-scanner:}\" ;; esac; done; exit %d\n", exit)
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"jq", "unzip", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not on PATH", tool)
		}
	}
}

func TestScan(t *testing.T) {
	needTools(t)
	there := data(t)
	server := httptest.NewServer(http.FileServer(http.Dir(there)))
	t.Cleanup(server.Close)
	lacks := data(t)
	if err := os.Remove(filepath.Join(lacks, "Debian", "all.zip")); err != nil {
		t.Fatal(err)
	}
	cut := data(t)
	if err := os.Truncate(filepath.Join(cut, "Go", "all.zip"), 20); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, bill, from string
		exit             int
		fails            bool
		says             string
	}{
		{"nothing is found", bill, there, 0, false, "3 packages"},
		{"Debian's source is asked for", bill, there, 0, false, `"glibc"`},
		{"the standard library too", bill, there, 0, false, `"stdlib"`},
		{"something is found", bill, there, 1, true, "does not pass (exit 1)"},
		{"the scanner fails", bill, there, 127, true, "does not pass (exit 127)"},
		{"data by URL", bill, server.URL, 0, false, "it scanned"},
		{"a URL where there is none", bill, server.URL + "/none", 0, true, "NOT CHECKED"},
		{"a folder where there is none", bill, "file:///no/such/folder", 0, true, "NOT CHECKED"},
		{"no data of Debian", bill, lacks, 0, true, "NOT CHECKED"},
		{"data that is cut off", bill, cut, 0, true, "NOT CHECKED"},
		{"a bill without packages", `{"components": []}`, there, 0, true, "cannot be read"},
		{"a component of no known kind", strings.Replace(bill, "pkg:golang/std", "pkg:npm/std", 1), there, 0, true, "cannot be read"},
		{"a package without its source", strings.Replace(bill, "debian:source\"", "debian:other\"", 1), there, 0, true, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			says, failed := scan(t, script(t, c.exit), c.bill, c.from, "")
			if failed != c.fails || !strings.Contains(says, c.says) {
				t.Errorf("failed %t, want %t and %q:\n%s", failed, c.fails, c.says, says)
			}
			if strings.Contains(says, "NOT CHECKED") && strings.Contains(says, "it scanned") {
				t.Errorf("it scanned without data:\n%s", says)
			}
		})
	}
}

// Without data that somebody names, and none that is public, nothing fails, unless it is required.
func TestScanWithoutTheNetwork(t *testing.T) {
	needTools(t)
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	for required, fails := range map[string]bool{"": false, "1": true} {
		says, failed := scan(t, script(t, 0), bill, "", required)
		if failed != fails || !strings.Contains(says, "NOT CHECKED") || strings.Contains(says, "it scanned") {
			t.Errorf("required %q: failed %t, want %t and NOT CHECKED:\n%s", required, failed, fails, says)
		}
	}
}

// The scanner itself, where make scan has built it.
func TestScanFindsWhatIsKnown(t *testing.T) {
	needTools(t)
	scanner, err := filepath.Abs("../../bin/osv-scanner")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(scanner); err != nil {
		t.Skip("SKIPPED: no bin/osv-scanner; make scan builds it")
	}
	t.Attr("ran-on", "osv-scanner")
	for _, c := range []struct {
		advisory
		found bool
	}{
		{advisory{"Go", "example.com/rope", "1.2.4"}, true},
		{advisory{"Go", "example.com/rope", "1.2.3"}, false},
		{advisory{"Go", "stdlib", "1.26.9"}, true},
		{advisory{"Debian:12", "glibc", "2.36-9+deb12u15"}, true},
		{advisory{"Debian:12", "glibc", "2.36-9+deb12u14"}, false},
		{advisory{"Debian:13", "glibc", "2.36-9+deb12u15"}, false},
	} {
		t.Run(fmt.Sprint(c.advisory), func(t *testing.T) {
			says, failed := scan(t, scanner, bill, data(t, c.advisory), "1")
			if failed != c.found || strings.Contains(says, "TRY-0") != c.found {
				t.Errorf("failed %t, want %t:\n%s", failed, c.found, says)
			}
		})
	}
}
